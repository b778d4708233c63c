//! Reads JSON record by record and keeps values as text.
//!
//! A record is read as a list of fields whose values are slices of the file. So everything that is not understood
//! (numbers of any size, nested fields, their order) is written back unchanged.

use std::fmt;
use std::ops::ControlFlow;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::FormatError;
use super::layout::Container;
use super::source::line_of;

/// One element of the outer array, or one value of JSON Lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    text: &'a str,
    /// The text of the value in the file.
    pub raw: &'a str,
    /// Number of the record, from 1.
    number: usize,
}

/// Names of fields that may identify a record.
const IDS: [&str; 6] = ["id", "guid", "uid", "_id", "sent_id", "doc_id"];

impl<'a> Record<'a> {
    /// Makes an error at the line where the record begins.
    pub fn error(&self, message: impl fmt::Display) -> FormatError {
        self.error_at(self.raw, message)
    }

    /// Makes an error at the line where a part of the record begins.
    pub fn error_at(&self, part: &str, message: impl fmt::Display) -> FormatError {
        FormatError { line: line_of(self.text, part), message: format!("{}{message}", self.place()) }
    }

    /// The number and id of the record, if the line alone does not identify it.
    fn place(&self) -> String {
        let is_line = container(self.text) == Container::Lines && line_of(self.text, self.raw) == self.number;
        if is_line { String::new() } else { format!("{}: ", self.name()) }
    }

    /// The record in words: its number, and its id if it has one.
    pub fn name(&self) -> String {
        let fields = fields(self.raw).unwrap_or_default();
        let id = IDS.iter().find_map(|name| Some((name, fields.present(name)?)));
        match id.filter(|(_, id)| id.len() <= 80 && !id.starts_with(['{', '['])) {
            Some((name, id)) => format!("record {} ({name} {id})", self.number),
            None => format!("record {}", self.number),
        }
    }

    /// The fields of the record, in order.
    pub fn fields(&self) -> Result<Fields<'a>, FormatError> {
        fields(self.raw).map_err(|e| self.json_error(self.raw, &e, "a record with fields"))
    }

    /// Parses a part of the record.
    pub fn parse<T: DeserializeOwned>(&self, part: &'a str, name: &str, expected: &str) -> Result<T, FormatError> {
        serde_json::from_str(part).map_err(|e| self.json_error(part, &e, &format!("`{name}` as {expected}")))
    }

    /// The elements of a part of the record that must be an array.
    pub fn items(&self, part: &'a str, name: &str) -> Result<Vec<&'a str>, FormatError> {
        items(part).map_err(|e| self.json_error(part, &e, &format!("`{name}` as an array")))
    }

    /// The fields of a part of the record that must be an object.
    pub fn fields_of(&self, part: &'a str, name: &str) -> Result<Fields<'a>, FormatError> {
        fields(part).map_err(|e| self.json_error(part, &e, &format!("`{name}` as an object")))
    }

    fn json_error(&self, part: &str, error: &serde_json::Error, expected: &str) -> FormatError {
        let line = line_of(self.text, part) + error.line().saturating_sub(1);
        FormatError { line, message: format!("{}{}; expected {expected}", self.place(), without_position(error)) }
    }
}

fn without_position(error: &serde_json::Error) -> String {
    // serde_json appends the position to the message. The error also has the position as its own field.
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

/// The fields of an object in order: name, and value as text of the file.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields<'a>(pub Vec<(String, &'a str)>);

impl<'a> Fields<'a> {
    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(n, _)| n == name).map(|f| f.1)
    }

    /// The value of a field, unless it is `null`.
    pub fn present(&self, name: &str) -> Option<&'a str> {
        self.get(name).filter(|raw| *raw != "null")
    }

    /// Whether a field occurs more than once.
    pub fn is_double(&self, name: &str) -> bool {
        self.0.iter().filter(|(n, _)| n == name).count() > 1
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            fields.push((name, value.get()));
        }
        Ok(Fields(fields))
    }
}

/// The fields of an object.
pub(super) fn fields(raw: &str) -> serde_json::Result<Fields<'_>> {
    let mut deserializer = serde_json::Deserializer::from_str(raw);
    let fields = deserializer.deserialize_map(FieldsVisitor)?;
    deserializer.end()?;
    Ok(fields)
}

/// The elements of an array.
pub(super) fn items(raw: &str) -> serde_json::Result<Vec<&str>> {
    let items: Vec<&RawValue> = serde_json::from_str(raw)?;
    Ok(items.into_iter().map(RawValue::get).collect())
}

/// Whether a text begins like JSON, and not like a column file whose first token is a bracket.
pub(super) fn looks_like_json(text: &str) -> bool {
    let text = text.trim_start();
    let second = |rest: &str, expected: &[char]| rest.trim_start().starts_with(expected);
    let begins_so = match text.strip_prefix('[') {
        Some(rest) => second(rest, &['{', '[', ']', '"', '\'', '(']) || begins_with_value(text),
        None => text.strip_prefix('{').is_some_and(|rest| second(rest, &['"', '\'', '}'])),
    };
    let first_line = text.lines().next().unwrap_or_default();
    // A mask may follow the tag.
    let mut fields = first_line.split([' ', '\t']).rev();
    let last = fields.find(|field| !matches!(*field, "0" | "1" | "\r" | ""));
    let ends_in_tag = last.is_some_and(super::tags::is_tag) && fields.next().is_some();
    begins_so && !ends_in_tag
}

/// Whether the first line, or the whole text, begins with a complete JSON value, such as an array of numbers.
fn begins_with_value(text: &str) -> bool {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let is_value = values.next().is_some_and(|value| value.is_ok());
    let rest = text.get(values.byte_offset()..).unwrap_or_default();
    is_value
        && (rest.trim_start_matches([' ', '\t', '\r']).is_empty()
            || rest.trim_start_matches([' ', '\r']).starts_with('\n'))
}

/// How the records of this text are joined.
pub(super) fn container(text: &str) -> Container {
    let text = text.trim_start();
    let begins_with_pair = || {
        let first = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>().next();
        first.is_some_and(|first| first.is_ok_and(|first| pair(first.get()).is_some()))
    };
    match text.strip_prefix('[') {
        // A line of spaCy's pairs looks like an array of a string and an object.
        Some(rest) if rest.trim_start().starts_with('"') && begins_with_pair() => Container::Lines,
        Some(_) => Container::Array,
        None => Container::Lines,
    }
}

/// The text and the fields of a pair `["text", {"entities": [...]}]`.
pub(super) fn pair(raw: &str) -> Option<(&str, Fields<'_>)> {
    match items(raw).ok()?.as_slice() {
        [text, object] if text.starts_with('"') => Some((text, fields(object).ok()?)),
        _ => None,
    }
}

/// Calls `each` with every record, until it breaks.
///
/// # Errors
/// When the text is not JSON: the error has the line and `expected`. Errors of `each` are returned as they are.
pub(super) fn for_each<'a>(
    text: &'a str,
    expected: &str,
    mut each: impl FnMut(Record<'a>) -> Result<ControlFlow<()>, FormatError>,
) -> Result<(), FormatError> {
    let container = container(text);
    let malformed = |error: &serde_json::Error, number: usize| {
        let line = error.line().max(1);
        let place = match container == Container::Lines && line == number {
            true => String::new(),
            false => format!("record {number}, column {}: ", error.column()),
        };
        let is_python = text.trim_start_matches(['[', '{', ' ', '\n', '\r']).starts_with(['\'', '(']);
        let hint = if is_python { " (this is Python's notation: write it with json.dump)" } else { "" };
        FormatError { line, message: format!("{place}{}{hint}; expected {expected}", without_position(error)) }
    };
    match container {
        Container::Lines => {
            for (number, value) in (1..).zip(serde_json::Deserializer::from_str(text).into_iter::<&RawValue>()) {
                let value = value.map_err(|e| malformed(&e, number))?;
                if each(Record { text, raw: value.get(), number })?.is_break() {
                    break;
                }
            }
            Ok(())
        }
        Container::Array => {
            let mut stopped = None;
            let mut deserializer = serde_json::Deserializer::from_str(text);
            let mut n_read = 0;
            let seed = Elements { text, each: &mut each, stopped: &mut stopped, n_read: &mut n_read };
            let outcome = seed.deserialize(&mut deserializer).and_then(|()| deserializer.end());
            match (stopped, outcome) {
                (Some(stopped), _) => stopped,
                (None, Ok(())) => Ok(()),
                (None, Err(error)) => Err(malformed(&error, n_read + 1)),
            }
        }
    }
}

/// The first record, if there is one.
pub(super) fn first<'a>(text: &'a str, expected: &str) -> Result<Option<Record<'a>>, FormatError> {
    let mut first = None;
    for_each(text, expected, |record| {
        first = Some(record);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(first)
}

struct Elements<'a, 'e, F> {
    text: &'a str,
    each: &'e mut F,
    /// The reason why reading stopped before the end of the array.
    stopped: &'e mut Option<Result<(), FormatError>>,
    n_read: &'e mut usize,
}

impl<'a, F: FnMut(Record<'a>) -> Result<ControlFlow<()>, FormatError>> DeserializeSeed<'a> for Elements<'a, '_, F> {
    type Value = ();
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a, F: FnMut(Record<'a>) -> Result<ControlFlow<()>, FormatError>> Visitor<'a> for Elements<'a, '_, F> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array of records")
    }
    fn visit_seq<A: SeqAccess<'a>>(self, mut records: A) -> Result<(), A::Error> {
        while let Some(value) = records.next_element::<&RawValue>()? {
            *self.n_read += 1;
            match (self.each)(Record { text: self.text, raw: value.get(), number: *self.n_read }) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => *self.stopped = Some(Ok(())),
                Err(error) => *self.stopped = Some(Err(error)),
            }
            if self.stopped.is_some() {
                return Err(serde::de::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

// ---------------------------------------------------------------- writing

/// Formats a JSON string.
pub(super) fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Formats a JSON array of formatted values.
pub(super) fn array<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> String {
    let mut out = String::from("[");
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        out.push_str(item.as_ref());
    }
    out.push(']');
    out
}

/// Formats a JSON object of formatted values.
pub(super) fn object<N: AsRef<str>, S: AsRef<str>>(fields: impl IntoIterator<Item = (N, S)>) -> String {
    let mut out = String::from("{");
    for (i, (name, value)) in fields.into_iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        out.push_str(&string(name.as_ref()));
        out.push_str(": ");
        out.push_str(value.as_ref());
    }
    out.push('}');
    out
}

/// Formats a JSON array of pairs.
pub(super) fn pairs<N: fmt::Display>(pairs: impl IntoIterator<Item = (N, N)>) -> String {
    array(pairs.into_iter().map(|(a, b)| format!("[{a}, {b}]")))
}

/// Formats a whole file of formatted records, one per line.
pub(super) fn file(container: Container, records: impl IntoIterator<Item = String>) -> String {
    let mut out = String::new();
    let (open, between, close) = match container {
        Container::Array => ("[\n", ",\n", "\n]\n"),
        Container::Lines => ("", "\n", "\n"),
    };
    out.push_str(open);
    let mut is_first = true;
    for record in records {
        if !is_first {
            out.push_str(between);
        }
        is_first = false;
        if container == Container::Lines && record.contains(['\n', '\r']) {
            // In valid JSON, a raw line end can only be white space between values.
            out.push_str(&record.replace(['\n', '\r'], " "));
        } else {
            out.push_str(&record);
        }
    }
    if !(is_first && container == Container::Lines) {
        out.push_str(close);
    }
    out
}

// ---------------------------------------------------------------- records of tokens

/// The fields of a token record that DynClean writes, in their usual order. `None` means that the field is left
/// out. The first field has the tokens; every record has it.
pub(super) type OwnFields<'a> = [(&'a str, Option<String>)];

/// Returns the fields of a record that are needed to write it back, as a JSON object; `None` if there are none.
///
/// If the `own` fields come first and in their usual order, the object has only the other fields. Otherwise it has all
/// fields in order, with `null` for the own fields. `kept` is an own field whose value is kept.
pub(super) fn further_fields(fields: &Fields, own: &[&str], kept: Option<(&str, &str)>) -> Option<String> {
    let of_own = fields.0.iter().map_while(|(name, _)| own.iter().position(|o| o == name));
    let (mut leading, mut last, mut is_usual) = (0, None, kept.is_none());
    for position in of_own {
        is_usual &= last.is_none_or(|last| last < position);
        (leading, last) = (leading + 1, Some(position));
    }
    let others = fields.0.get(leading..).unwrap_or_default();
    is_usual &= !others.iter().any(|(name, _)| own.contains(&name.as_str()));
    let mut out = String::from("{");
    for (i, (name, value)) in (if is_usual { others } else { &fields.0 }).iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        let value = match kept {
            Some((field, kept)) if field == name => kept,
            _ if own.contains(&name.as_str()) => "null",
            _ => value,
        };
        out.push_str(&string(name));
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    (out != "{}").then_some(out)
}

/// Formats a token record: the own fields, and the other fields in their original places.
pub(super) fn token_record(own: &OwnFields, further: Option<&str>) -> String {
    // `further` is ignored if it is not an object.
    let template = further.and_then(|json| fields(json).ok()).unwrap_or_default();
    let is_own = |name: &str| own.iter().any(|(own, _)| *own == name);
    let in_order = Some(&template).filter(|t| own.first().is_some_and(|(tokens, _)| t.get(tokens).is_some()));
    let mut out = String::from("{");
    let push = |out: &mut String, name: &str, value: &str| {
        if out.len() > 1 {
            out.push_str(", ");
        }
        out.push_str(&string(name));
        out.push_str(": ");
        out.push_str(value);
    };
    let mut missing: Vec<&(&str, Option<String>)> = own.iter().collect();
    for (name, value) in in_order.iter().flat_map(|t| &t.0) {
        match own.iter().find(|(own, _)| own == name) {
            Some((own, rendered)) => {
                missing.retain(|(n, _)| n != own);
                if let Some(rendered) = rendered {
                    push(&mut out, name, rendered);
                }
            }
            None => push(&mut out, name, value),
        }
    }
    for (name, rendered) in missing {
        if let Some(rendered) = rendered {
            push(&mut out, name, rendered);
        }
    }
    let others = template.0.iter().filter(|(name, _)| in_order.is_none() && !is_own(name));
    for (name, value) in others {
        out.push_str(", ");
        out.push_str(&string(name));
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    out
}
