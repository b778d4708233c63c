//! Files that the person saves.

use explorer::export::Job;
use shared::cleaning::{clean, provenance};
use shared::report::Findings;

use super::Session;
use crate::protocol::Export;

/// A file for download.
pub enum Exported {
    /// A short text.
    Text {
        /// Proposed name.
        name: &'static str,
        /// Content.
        text: String,
    },
    /// A file that the page's second program writes.
    Job {
        /// Proposed name without extension.
        stem: String,
        /// What it writes.
        job: Job,
    },
}

impl Session {
    /// Makes a file for download, or says what is to be written.
    pub fn export(&self, what: Export) -> Result<Exported, String> {
        let labels = &self.recording.dynamics.corpus.labels;
        let decisions = self.decisions();
        let decided = || decisions.resolve(&self.judge, labels).map_err(|e| e.to_string());
        match what {
            Export::Decisions => Ok(Exported::Text { name: "decisions.json", text: decisions.to_json() }),
            Export::Report => {
                let findings = Findings::new(&self.recording.dynamics, &self.judge, &decisions);
                let job = Job::Report(Box::new(findings.map_err(|e| e.to_string())?));
                Ok(Exported::Job { stem: "report".to_owned(), job })
            }
            Export::Provenance => {
                let text = provenance::json(&self.recording.dynamics.corpus, &self.judge, &decisions, &decided()?);
                Ok(Exported::Text { name: "provenance.json", text })
            }
            Export::Corpus(format) => {
                let cleaned = clean(self.recording.dynamics.corpus.clone(), &self.judge, &decided()?);
                let job = Job::corpus(cleaned, self.recording.layout.clone(), format);
                Ok(Exported::Job { stem: format!("{}-cleaned", self.stem()), job })
            }
        }
    }

    /// Returns a base name for exported files: the name of the corpus, or else of the file.
    pub(super) fn stem(&self) -> String {
        let named = if self.recording.dynamics.info.name.trim().is_empty() {
            &self.file
        } else {
            &self.recording.dynamics.info.name
        };
        let last = named.rsplit(['/', '\\']).next().unwrap_or(named);
        let stem = last.strip_suffix(".dyn").or(last.strip_suffix(".json")).unwrap_or(last);
        stem.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect()
    }
}
