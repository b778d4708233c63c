//! What tag ids mean.

use std::collections::BTreeMap;

use super::FormatError;
use super::source::decode;

/// Names of tag ids: what a `tag_to_id.json`, the `id2label` of a model, or a list says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagNames(Vec<(i64, String)>);

impl TagNames {
    /// Reads `{"O": 0, "B-PER": 1}`, `{"0": "O", "1": "B-PER"}`, a model's `config.json` with `id2label`,
    /// `["O", "B-PER"]`, or one name a line from id 0.
    ///
    /// # Errors
    /// When it is none of these, or an id has two names.
    pub fn read(bytes: &[u8]) -> Result<Self, FormatError> {
        let text = decode(bytes)?.text;
        let failed = |line: usize, message: String| FormatError { line, message };
        let expected = "expected {\"O\": 0, \"B-PER\": 1, ...}, [\"O\", \"B-PER\", ...] or one tag a line";
        if !text.trim_start().starts_with(['{', '[']) {
            return Ok(Self::from_list(text.lines().map(str::trim).filter(|line| !line.is_empty())));
        }
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|e| failed(e.line().max(1), format!("{e}; {expected}")))?;
        match &value {
            serde_json::Value::Array(names) => {
                let names: Option<Vec<&str>> = names.iter().map(serde_json::Value::as_str).collect();
                names.map(Self::from_list).ok_or_else(|| failed(1, expected.into()))
            }
            serde_json::Value::Object(fields) => {
                let fields = match fields.get("id2label") {
                    Some(serde_json::Value::Object(fields)) => fields,
                    _ => fields,
                };
                let mut names = BTreeMap::new();
                for (name, value) in fields {
                    let (id, name) = match (value.as_i64(), value.as_str(), name.parse::<i64>()) {
                        (Some(id), ..) => (id, name.as_str()),
                        (None, Some(tag), Ok(id)) => (id, tag),
                        _ => return Err(failed(1, format!("{name:?} has no number; {expected}"))),
                    };
                    if let Some(other) = names.insert(id, name.to_owned()) {
                        return Err(failed(1, format!("id {id} is both {other:?} and {name:?}; give each tag its id")));
                    }
                }
                Ok(Self(names.into_iter().collect()))
            }
            _ => Err(failed(1, expected.into())),
        }
    }

    /// Tags in the order of their ids, from 0.
    pub fn from_list<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().enumerate().map(|(id, name)| (id as i64, name.to_owned())).collect())
    }

    /// Ids and names.
    pub fn pairs(&self) -> &[(i64, String)] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_name_tags_is_read() {
        let expected = TagNames::from_list(["O", "B-PER", "I-PER"]);
        for text in [
            r#"{"O": 0, "I-PER": 2, "B-PER": 1}"#,
            r#"{"0": "O", "1": "B-PER", "2": "I-PER"}"#,
            r#"{"hidden_size": 8, "id2label": {"0": "O", "1": "B-PER", "2": "I-PER"}}"#,
            r#"["O", "B-PER", "I-PER"]"#,
            "O\r\nB-PER\nI-PER\n",
        ] {
            assert_eq!(TagNames::read(text.as_bytes()).unwrap(), expected, "{text}");
        }
        assert!(TagNames::read(br#"{"O": 0, "X": 0}"#).unwrap_err().message.contains("both"));
        assert!(TagNames::read(br#"{"O": "x"}"#).is_err());
        assert!(TagNames::read(b"[1, 2]").is_err());
    }
}
