//! Files that the page writes: the cleaned corpus and the report. The program that holds the recording describes the
//! file as a [`Job`], and a second program writes it (see `web/src/bin/exporter.rs`).

use std::io::{Cursor, Write as _};

use serde::{Deserialize, Serialize};
use shared::corpus::labels::LabelSet;
use shared::corpus::layout::{Format, Layout};
use shared::corpus::span::Span;
use shared::corpus::{Corpus, Entity, TokenTable};
use shared::formats::{self, Content, Document, WriteOptions};
use shared::report::Findings;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A file to write.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Job {
    /// A corpus, in this format; `None` keeps the format in which it was read.
    Corpus(Box<Columns>, Option<Format>),
    /// A report.
    Report(Box<Findings>),
}

/// A corpus as a message.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Columns {
    tokens: TokenTable,
    labels: LabelSet,
    entities: Vec<Entity>,
    unknown: Vec<Span>,
    extra: Vec<(u32, String)>,
    /// As JSON; `None` for the usual one.
    layout: Option<String>,
}

/// A written file.
#[derive(Debug, PartialEq, Eq)]
pub struct Made {
    /// Its content.
    pub bytes: Vec<u8>,
    /// Its usual extension, without the dot.
    pub extension: &'static str,
    /// Texts about information that the format cannot hold.
    pub notes: Vec<String>,
}

impl Job {
    /// A corpus whose file has this layout, as JSON.
    pub fn corpus(corpus: Corpus, layout: Option<String>, format: Option<Format>) -> Self {
        let Corpus { tokens, labels, entities, unknown, extra, .. } = corpus;
        Self::Corpus(Box::new(Columns { tokens, labels, entities, unknown, extra, layout }), format)
    }

    /// The job as bytes.
    pub fn encode(&self) -> Vec<u8> {
        // Encoding plain structures into memory cannot fail.
        bincode::serde::encode_to_vec(self, bincode::config::standard()).unwrap_or_default()
    }

    /// Reads a job from the bytes of [`Job::encode`].
    ///
    /// # Errors
    /// When the bytes are not a job of this version. The text says what to do.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let again = "two parts of this page have different versions: load the page again";
        match bincode::serde::decode_from_slice(bytes, bincode::config::standard()) {
            Ok((job, read)) if read == bytes.len() => Ok(job),
            Ok(_) => Err(again.to_owned()),
            Err(e) => Err(format!("{again} ({e})")),
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written, with the reason in words.
    pub fn carry_out(self) -> Result<Made, String> {
        match self {
            Self::Report(findings) => {
                // The recording has no test scores. They are in the trainer's report.
                let html = findings.html(None).map_err(|e| e.to_string())?;
                Ok(Made { bytes: html.into_bytes(), extension: "html", notes: Vec::new() })
            }
            Self::Corpus(columns, format) => {
                let Columns { tokens, labels, entities, unknown, extra, layout } = *columns;
                let layout = layout.map_or(Ok(Layout::default()), |json| Layout::from_json(&json));
                let layout = layout.map_err(|e| format!("the description of the corpus's format is damaged: {e}"))?;
                let corpus = Corpus { tokens, labels, entities, unknown, extra, layout };
                let written = formats::write(&corpus, &WriteOptions { format, ..WriteOptions::default() });
                let (bytes, extension) = match written.content {
                    Content::Text(text) => (text.into_bytes(), written.layout.extension()),
                    // A folder: a browser can save it only as an archive.
                    Content::Documents(documents) => (zipped(&documents)?, "zip"),
                };
                Ok(Made { bytes, extension, notes: written.notes })
            }
        }
    }
}

/// Packs a brat folder into one file.
fn zipped(documents: &[Document]) -> Result<Vec<u8>, String> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for Document { name, text, annotations } in documents {
        for (extension, content) in [("txt", text), ("ann", annotations)] {
            zip.start_file(format!("{name}.{extension}"), options).map_err(|e| e.to_string())?;
            zip.write_all(content.as_bytes()).map_err(|e| e.to_string())?;
        }
    }
    Ok(zip.finish().map_err(|e| e.to_string())?.into_inner())
}

#[cfg(test)]
mod tests {
    use shared::cleaning::Decisions;
    use shared::detection::judge::Judge;
    use shared::detection::threshold::{Metric, Settings};
    use shared::formats::ReadOptions;
    use shared::metrics::Window;

    use super::*;
    use crate::one_epoch::of_one_epoch;

    const CONLL: &[u8] = b"-DOCSTART- -X- O\n\nJohn NNP B-PER\nSmith NNP I-PER\nsings VBZ O\n\nParis NNP B-LOC\n";

    fn corpus() -> Corpus {
        formats::read(CONLL, &ReadOptions::default()).unwrap().corpus
    }

    fn job(format: Option<Format>) -> Job {
        let layout = serde_json::to_string(&corpus().layout).unwrap();
        Job::corpus(corpus(), Some(layout), format)
    }

    fn sent(job: &Job) -> Made {
        Job::decode(&job.encode()).unwrap().carry_out().unwrap()
    }

    #[test]
    fn a_corpus_arrives_as_it_is_with_its_layout() {
        let same = sent(&job(None));
        assert_eq!((same.bytes.as_slice(), same.extension, same.notes.len()), (CONLL, "conll", 0));
        for format in Format::ALL {
            let made = sent(&job(Some(format)));
            let options = WriteOptions { format: Some(format), ..WriteOptions::default() };
            let here = formats::write(&corpus(), &options);
            assert_eq!(made.notes, here.notes);
            match here.content {
                Content::Text(text) => assert_eq!(made.bytes, text.into_bytes(), "{format:?}"),
                Content::Documents(_) => assert!(made.extension == "zip" && made.bytes.starts_with(b"PK\x03\x04")),
            }
        }
    }

    #[test]
    fn a_damaged_layout_is_an_error_and_none_is_the_usual_one() {
        let error = Job::corpus(corpus(), Some("{".to_owned()), None).carry_out().unwrap_err();
        assert!(error.starts_with("the description of the corpus's format is damaged"), "{error}");
        assert_eq!(Job::corpus(corpus(), None, None).carry_out().unwrap().extension, "json");
    }

    #[test]
    fn a_report_arrives_as_it_is() {
        let mut dynamics = of_one_epoch(corpus(), &[0.0; 7 * 3]);
        dynamics.gold = Some(dynamics.corpus.entities.clone());
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
        let settings = Settings::automatic(&dynamics, &judge.assigned);
        let findings = Findings::new(&dynamics, &judge, &Decisions::new("d1g35t".into(), settings)).unwrap();
        let made = sent(&Job::Report(Box::new(findings.clone())));
        assert_eq!(made.bytes, findings.html(None).unwrap().into_bytes());
        assert_eq!(made.extension, "html");
    }

    #[test]
    fn bytes_of_something_else_are_refused_with_a_remedy() {
        let bytes = job(None).encode();
        for other in [vec![9, 9, 9], [&bytes[..], &[0]].concat(), bytes[..bytes.len() - 1].to_vec()] {
            assert!(Job::decode(&other).unwrap_err().contains("load the page again"));
        }
    }
}
