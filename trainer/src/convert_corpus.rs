//! A corpus from one format into another.

use std::path::Path;

use anyhow::Result;
use shared::formats::{Format, ReadOptions, UnknownAs, WriteOptions};

use crate::corpus_file;

/// Reads a corpus, writes it in another format, and returns what could not be read or held, in words.
///
/// # Errors
/// Names the file, the line and what was expected.
pub fn convert(
    corpus: &Path,
    read: &ReadOptions,
    to: Format,
    unknown: Option<UnknownAs>,
    out: &Path,
) -> Result<Vec<String>> {
    let layers = corpus_file::read(corpus, read)?;
    let mut notes = layers.notes;
    notes.extend(corpus_file::write(out, &layers.corpus, &WriteOptions { format: Some(to), unknown })?);
    Ok(notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corpus_goes_through_every_format_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let json = "[\n{\"tokens\": [\"Ada\", \"wrote\"], \"entities\": [[0, 0, \"PER\"]], \"unknown\": [[1, 1]]}\n]\n";
        let mut from = folder.path().join("train.json");
        std::fs::write(&from, json).unwrap();
        for format in Format::ALL.into_iter().chain([Format::DyncleanJson]) {
            let out = folder.path().join(format.name());
            convert(&from, &ReadOptions::default(), format, None, &out).unwrap();
            from = out;
        }
        // Tag ids lose their meaning with their names.
        let (tags, bond) = (folder.path().join("tag_to_id.json"), folder.path().join("bond"));
        assert_eq!(corpus_file::read_tags(&tags).unwrap().pairs().len(), 3);
        std::fs::remove_file(tags).unwrap();
        let error = corpus_file::read(&bond, &ReadOptions::default()).unwrap_err().to_string();
        assert!(error.contains("bond, line 2") && error.contains("--tags"), "{error}");
        assert_eq!(std::fs::read_to_string(from).unwrap(), json);
        assert!(folder.path().join("brat/corpus.ann").is_file());
    }

    #[test]
    fn documents_do_not_leave_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        let brat = folder.path().join("in");
        std::fs::create_dir(&brat).unwrap();
        std::fs::write(brat.join("a.txt"), "Ada").unwrap();
        assert!(
            corpus_file::read(&brat, &ReadOptions::default()).unwrap_err().to_string().contains("a.ann is missing")
        );
        std::fs::write(brat.join("a.ann"), "").unwrap();
        let mut corpus = corpus_file::read(&brat, &ReadOptions::default()).unwrap().corpus;
        corpus.extra[0].1 = corpus.extra[0].1.replace("\"a\"", "\"../b\"");
        let error = corpus_file::write(&folder.path().join("out"), &corpus, &WriteOptions::default()).unwrap_err();
        assert!(error.to_string().contains("would not stay"), "{error}");
    }
}
