//! Names of tag ids.

use std::collections::BTreeMap;

use super::FormatError;
use super::source::decode;

/// Names of tag ids, from a `tag_to_id.json`, the `id2label` of a model, or a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagNames(Vec<(i64, String)>);

impl TagNames {
    /// Reads `{"O": 0, "B-PER": 1}`, `{"0": "O", "1": "B-PER"}`, a model's `config.json` with `id2label`, a data
    /// set's `dataset_info.json` with the `names` of a `ClassLabel`, `["O", "B-PER"]`, or one name per line from
    /// id 0.
    ///
    /// # Errors
    /// When the file has none of these forms, or an id has two names.
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
                let mut of_features = Vec::new();
                class_labels(&value, "", &mut of_features);
                match of_features.as_slice() {
                    [] => {}
                    [(_, names)] => return Ok(names.clone()),
                    several => {
                        let fields: Vec<&str> = several.iter().map(|(field, _)| field.as_str()).collect();
                        let fields = fields.join(", ");
                        return Err(failed(
                            1,
                            format!(
                                "several fields have names of ids ({fields}); give a file with one list: {expected}"
                            ),
                        ));
                    }
                }
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

    /// Builds the names from tags in the order of their ids, from 0.
    pub fn from_list<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().enumerate().map(|(id, name)| (id as i64, name.to_owned())).collect())
    }

    /// All (id, name) pairs.
    pub fn pairs(&self) -> &[(i64, String)] {
        &self.0
    }
}

/// Finds the names of class labels in the description of a data set's features, with the field of each.
fn class_labels(value: &serde_json::Value, field: &str, found: &mut Vec<(String, TagNames)>) {
    let serde_json::Value::Object(fields) = value else { return };
    let names = fields.get("names").and_then(serde_json::Value::as_array);
    let names: Option<Vec<&str>> =
        names.and_then(|names| names.iter().map(serde_json::Value::as_str).collect::<Option<_>>());
    if let Some(names) = names {
        let names = TagNames::from_list(names);
        if !found.iter().any(|(_, other)| *other == names) {
            found.push((field.to_owned(), names));
        }
        return;
    }
    for (name, value) in fields {
        let is_structure = matches!(name.as_str(), "feature" | "features");
        class_labels(value, if is_structure { field } else { name }, found);
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
