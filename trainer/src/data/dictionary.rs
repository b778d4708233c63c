//! Dictionaries for distant labels. A dictionary says which surface form is an entity of which type.
//!
//! A dictionary is a TSV or CSV file without a header, or a JSON file. TSV and CSV have the columns `form, type`,
//! and optionally `any-case` or `exact`; further columns are ignored. JSON is `{"form": "TYPE"}` or `{"TYPE":
//! ["form", ...]}`.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

const BOM: &[u8] = b"\xef\xbb\xbf";
const ANY_CASE: &str = "any-case";
const EXACT: &str = "exact";

/// A surface form and its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The form as written in the file.
    pub form: String,
    /// The entity type.
    pub kind: String,
    /// Whether case is ignored.
    pub ignore_case: bool,
    /// Its place: number of the file, and line from 1 (`None` for JSON).
    place: (usize, Option<u64>),
}

/// The entries of one or several dictionary files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dictionary {
    /// All entries, in the order of the files.
    pub entries: Vec<Entry>,
    files: Vec<PathBuf>,
}

impl Dictionary {
    /// Adds the entries of a file. The ending of its name selects JSON or CSV; any other file is TSV.
    ///
    /// # Errors
    /// The error names the file, the line and what was expected.
    pub fn add_file(&mut self, path: &Path) -> Result<()> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let bytes = bytes.strip_prefix(BOM).unwrap_or(&bytes);
        self.files.push(path.to_owned());
        let before = self.entries.len();
        let added = match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => self.add_json(bytes),
            Some("csv") => self.add_rows(bytes, b',', true),
            // In TSV a quotation mark belongs to the form.
            _ => self.add_rows(bytes, b'\t', false),
        };
        added.with_context(|| path.display().to_string())?;
        ensure!(self.entries.len() > before, "{} has no entries; expected lines of form, tab, type", path.display());
        Ok(())
    }

    fn add_rows(&mut self, bytes: &[u8], delimiter: u8, quoting: bool) -> Result<()> {
        let mut builder = csv::ReaderBuilder::new();
        builder.has_headers(false).flexible(true).delimiter(delimiter).quoting(quoting);
        for row in builder.from_reader(bytes).records() {
            let row = row.map_err(|error| {
                let line = error.position().map_or(1, csv::Position::line);
                match error.kind() {
                    csv::ErrorKind::Utf8 { .. } => {
                        anyhow::anyhow!("line {line}: not UTF-8 text; save the file as UTF-8")
                    }
                    _ => anyhow::anyhow!("line {line}: {error}"),
                }
            })?;
            let line = row.position().map(|position| {
                // The reported position of a row is before the blank lines that were skipped.
                let rest = bytes.get(position.byte() as usize..).unwrap_or_default();
                let blank = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
                position.line() + blank.filter(|&&byte| byte == b'\n').count() as u64
            });
            let expected = if quoting { "form,TYPE" } else { "form, a tab, TYPE" };
            let at = || line.map_or(String::new(), |line| format!("line {line}: "));
            let (Some(form), Some(kind)) = (row.get(0), row.get(1)) else {
                anyhow::bail!("{}expected {expected}, found one column", at());
            };
            let ignore_case = match row.get(2).map(str::trim) {
                None | Some("" | EXACT) => false,
                Some(ANY_CASE) => true,
                Some(other) => {
                    anyhow::bail!("{}expected {ANY_CASE} or {EXACT} in the third column, found {other:?}", at())
                }
            };
            self.add(form, kind, ignore_case, line).with_context(|| format!("{}expected {expected}", at()))?;
        }
        Ok(())
    }

    fn add_json(&mut self, bytes: &[u8]) -> Result<()> {
        let Pairs(pairs) =
            serde_json::from_slice(bytes).context("expected {\"form\": \"TYPE\"} or {\"TYPE\": [\"form\", ...]}")?;
        for (key, value) in pairs {
            match value {
                OneOrMany::Kind(kind) => self.add(&key, &kind, false, None)?,
                OneOrMany::Forms(forms) => forms.iter().try_for_each(|form| self.add(form, &key, false, None))?,
            }
        }
        Ok(())
    }

    fn add(&mut self, form: &str, kind: &str, ignore_case: bool, line: Option<u64>) -> Result<()> {
        let (form, kind) = (form.trim(), kind.trim());
        ensure!(!form.is_empty(), "a form is empty");
        ensure!(!kind.is_empty() && kind != "O", "{kind:?} is not an entity type");
        let place = (self.files.len().saturating_sub(1), line);
        self.entries.push(Entry { form: form.to_owned(), kind: kind.to_owned(), ignore_case, place });
        Ok(())
    }

    /// Describes the place of an entry in words.
    pub fn place(&self, entry: &Entry) -> String {
        let (file, line) = entry.place;
        let file = self.files.get(file).map_or(String::new(), |file| file.display().to_string());
        line.map_or(file.clone(), |line| format!("{file}, line {line}"))
    }
}

/// All pairs of a JSON object, including pairs with the same key.
struct Pairs(Vec<(String, OneOrMany)>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Kind(String),
    Forms(Vec<String>),
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of forms and types")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, content: &str) -> Result<Dictionary> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let mut dictionary = Dictionary::default();
        dictionary.add_file(&path).map(|()| dictionary)
    }

    fn pairs(dictionary: &Dictionary) -> Vec<(&str, &str, bool)> {
        dictionary.entries.iter().map(|e| (e.form.as_str(), e.kind.as_str(), e.ignore_case)).collect()
    }

    #[test]
    fn every_layout_is_read() {
        let tsv = "\u{feff}New York\tLOC\n\nApple \tORG\tany-case\n\"Heroes\"\tMISC\texact\n";
        let expected = [("New York", "LOC", false), ("Apple", "ORG", true), ("\"Heroes\"", "MISC", false)];
        assert_eq!(pairs(&read("d.tsv", tsv).unwrap()), expected);
        assert_eq!(pairs(&read("d.csv", "\"Paris, Texas\",LOC\r\n").unwrap()), [("Paris, Texas", "LOC", false)]);
        let json = r#"{"Ada": "PER", "LOC": ["York", "Paris"], "Ada": "ORG"}"#;
        let expected = [("Ada", "PER", false), ("York", "LOC", false), ("Paris", "LOC", false), ("Ada", "ORG", false)];
        assert_eq!(pairs(&read("d.json", json).unwrap()), expected, "a form that stands twice is not lost");
    }

    #[test]
    fn errors_name_file_and_line() {
        let error = |name: &str, content: &str| format!("{:#}", read(name, content).unwrap_err());
        let message = error("d.tsv", "a\tX\n\nb c\n");
        assert!(message.contains("d.tsv") && message.contains("line 3") && message.contains("tab"), "{message}");
        assert!(error("d.csv", "a,O").contains("line 1"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latin.tsv");
        std::fs::write(&path, b"a\tX\n\xe9\tX\n").unwrap();
        let message = format!("{:#}", Dictionary::default().add_file(&path).unwrap_err());
        assert!(message.contains("line 2: not UTF-8") && !message.contains("record"), "{message}");
        assert!(error("d.json", "[1]").contains("TYPE"));
        assert!(error("d.tsv", "\n").contains("no entries"));
        let dictionary = read("d.tsv", "a\tX\nb\tY\n").unwrap();
        assert!(dictionary.place(&dictionary.entries[1]).ends_with("d.tsv, line 2"));
    }
}
