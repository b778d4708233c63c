//! JSON lines with logits, one file per epoch, as the code of the DynClean paper and allenai/cartography write
//! them (`dynamics_epoch_K.jsonl`).
//!
//! ```text
//! {"guid": 17, "gold": 2, "logits_3": [4.1, -0.5, 1.25]}          the paper
//! {"guid": "a-17", "logits_epoch_3": [4.1, -0.5, 1.25], "gold": 2}   cartography
//! ```
//!
//! The two layouts differ only in the name of one field, whose number is the epoch. Other fields are ignored. A
//! span is flagged if one of its logits is `null` (NaN in pandas), or if `null` stands for all its logits.

use std::fmt;
use std::io::{BufRead, Read};

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::recording::{Guid, Measured, Measurement, Recording};
use super::{ImportError, Place};

/// Longest line, in bytes. Ten thousand labels need only a fraction of it.
const LONGEST_LINE: u64 = 16 << 20;

/// Adds all lines of a file to a recording.
///
/// # Errors
/// When a line is malformed or does not fit the lines before it.
pub fn read(mut reader: impl BufRead, file: &str, recording: &mut Recording) -> Result<(), ImportError> {
    let epoch_of_file = epoch_in_name(file);
    let (mut bytes, mut line) = (Vec::new(), Line::default());
    for number in 1.. {
        let place = Place { file, line: number };
        bytes.clear();
        let length =
            reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes).map_err(|e| place.error(e))? as u64;
        if length == 0 {
            break;
        }
        if length == LONGEST_LINE && bytes.last() != Some(&b'\n') {
            return Err(place.error("longer than 16 MiB: write one JSON object per line"));
        }
        let mut json = bytes.as_slice();
        if number == 1 {
            json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
        }
        if json.trim_ascii().is_empty() {
            continue;
        }
        line.parse(json).map_err(|e| place.error(e))?;
        if let Some(expected) = epoch_of_file.filter(|&e| e != line.epoch) {
            return Err(place.error(format!(
                "logits of epoch {}, but the file's name says epoch {expected}: rename the file or the field",
                line.epoch
            )));
        }
        recording.add(line.measurement(), place)?;
    }
    Ok(())
}

/// The epoch K of a name such as `dynamics_epoch_K.jsonl`.
fn epoch_in_name(file: &str) -> Option<u32> {
    let name = file.rsplit(['/', '\\']).next()?;
    let (_, after) = name.rsplit_once("epoch_")?;
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    after.get(..end)?.parse().ok()
}

/// The fields of a line. Its buffers are reused for the next line.
#[derive(Default)]
struct Line {
    guid_text: String,
    guid: Option<u64>,
    gold: u64,
    epoch: u32,
    /// False if the file has `null` for all logits.
    has_logits: bool,
    logits: Vec<f64>,
}

impl Line {
    fn parse(&mut self, json: &[u8]) -> Result<(), String> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let parsed = (&mut *self).deserialize(&mut deserializer).and_then(|()| deserializer.end());
        parsed.map_err(|e| {
            // The caller counts lines. Within a line, the column is more helpful.
            let text = e.to_string();
            let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
            let is_python = ["NaN", "Infinity"].iter().any(|word| {
                json.windows(word.len()).any(|part| part == word.as_bytes()) && e.is_syntax()
            });
            let hint = if is_python { " (JSON has no NaN and no Infinity: write null)" } else { "" };
            format!(
                "{reason} (column {}){hint}; expected {{\"guid\": …, \"gold\": label index, \"logits_K\": [numbers, or null]}}",
                e.column()
            )
        })
    }

    fn measurement(&self) -> Measurement<'_> {
        Measurement {
            guid: self.guid.map_or(Guid::Text(&self.guid_text), Guid::Number),
            label: Some(self.gold),
            epoch: self.epoch,
            measured: if self.has_logits { Measured::Logits(&self.logits) } else { Measured::Nothing },
        }
    }
}

/// The name of a field.
enum Field {
    Guid,
    Gold,
    Logits(u32),
    Other,
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("the name of a field")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Field, E> {
                let Some(suffix) = name.strip_prefix("logits") else {
                    return Ok(match name {
                        "guid" => Field::Guid,
                        "gold" => Field::Gold,
                        _ => Field::Other,
                    });
                };
                let epoch = suffix.strip_prefix("_epoch_").or(suffix.strip_prefix('_')).and_then(|k| k.parse().ok());
                epoch.map(Field::Logits).ok_or_else(|| {
                    E::custom(format_args!("field {name:?} does not end in its epoch, as in \"logits_3\""))
                })
            }
        }
        deserializer.deserialize_identifier(Name)
    }
}

impl<'de> DeserializeSeed<'de> for &mut Line {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Line {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut has_guid, mut gold, mut epoch) = (false, None, None);
        while let Some(field) = map.next_key()? {
            let is_repeated = match field {
                Field::Guid => {
                    self.guid = map.next_value_seed(GuidValue(&mut self.guid_text))?;
                    std::mem::replace(&mut has_guid, true)
                }
                Field::Gold => gold.replace(map.next_value::<LabelIndex>()?.0).is_some(),
                Field::Logits(k) => {
                    self.has_logits = map.next_value_seed(LogitValues(&mut self.logits))?;
                    epoch.replace(k).is_some()
                }
                Field::Other => {
                    map.next_value::<IgnoredAny>()?;
                    false
                }
            };
            if is_repeated {
                return Err(A::Error::custom("guid, gold or logits twice: one record has one of each"));
            }
        }
        if !has_guid {
            return Err(A::Error::missing_field("guid"));
        }
        self.gold = gold.ok_or_else(|| A::Error::missing_field("gold"))?;
        self.epoch = epoch.ok_or_else(|| A::Error::missing_field("logits_K"))?;
        Ok(())
    }
}

/// Reads a guid: a whole number, or text that goes into the buffer.
struct GuidValue<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for GuidValue<'_> {
    type Value = Option<u64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<u64>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for GuidValue<'_> {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a guid: a whole number from 0, or a string")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Option<u64>, E> {
        Ok(Some(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Option<u64>, E> {
        self.0.clear();
        self.0.push_str(value);
        Ok(None)
    }
}

/// The index of a label. Pandas may write it as `2.0`.
struct LabelIndex(u64);

impl<'de> Deserialize<'de> for LabelIndex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Index;
        impl Visitor<'_> for Index {
            type Value = LabelIndex;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("the index of the assigned label in the logits, from 0")
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<LabelIndex, E> {
                Ok(LabelIndex(value))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<LabelIndex, E> {
                if value >= 0.0 && value < f64::from(u32::MAX) && f64::from(value as u32) == value {
                    Ok(LabelIndex(value as u64))
                } else {
                    Err(E::invalid_value(serde::de::Unexpected::Float(value), &self))
                }
            }
        }
        deserializer.deserialize_any(Index)
    }
}

/// Reads logits into the buffer, with NaN for null. Returns false if null stands for all logits.
struct LogitValues<'a>(&'a mut Vec<f64>);

impl<'de> DeserializeSeed<'de> for LogitValues<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for LogitValues<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list of logits")
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        self.0.clear();
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        self.0.clear();
        while let Some(Logit(logit)) = seq.next_element()? {
            self.0.push(logit);
        }
        Ok(true)
    }
}

/// A number; null becomes NaN.
struct Logit(f64);

impl<'de> Deserialize<'de> for Logit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Logit;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a number, or null")
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Logit, E> {
                Ok(Logit(value))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Logit, E> {
                Ok(Logit(value as f64))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Logit, E> {
                Ok(Logit(value as f64))
            }

            fn visit_unit<E: Error>(self) -> Result<Logit, E> {
                Ok(Logit(f64::NAN))
            }
        }
        deserializer.deserialize_any(Number)
    }
}
