//! Files that are opened, compared and saved.

use explorer::axis::Axes;
use leptos::prelude::*;
use web_sys::File;

use super::App;
use crate::client;
use crate::protocol::Export;

impl App {
    /// Opens the files that the user chose: one file, or several people's `decisions.json`, which are merged.
    pub fn open_all(&self, files: Vec<File>) {
        let n = files.len();
        if n > 1 && files.iter().all(|file| file.name().ends_with(".json")) {
            return match self.file.with_untracked(Option::is_some) {
                true => client::merge(files),
                false => self.tell(
                    true,
                    "Open the dynamics file first. Then open these files again: their decisions are then merged."
                        .to_owned(),
                ),
            };
        }
        let only_first = "The page shows one file at a time, so only the first file was opened.";
        if let Some(file) = files.into_iter().next() {
            self.open(file, (n > 1).then(|| only_first.to_owned()));
        }
    }

    /// Opens a file that the user chose. Shows `notice` when it is open.
    pub fn open(&self, file: File, notice: Option<String>) {
        client::open(client::Source::File(file), notice);
    }

    /// Compares the open file with another recording of the same corpus.
    pub fn compare(&self, file: File) {
        client::compare(client::Source::File(file));
    }

    /// Ends the comparison.
    pub fn end_comparison(&self) {
        self.compared.set(None);
        self.agreement.set(None);
        self.axes.set(Axes::default());
        self.zoom.set(None);
        self.filter_by(|filter| {
            if filter.forget_other() {
                self.said.set(Some("Filters that need the other file are dropped".to_owned()));
            }
        });
        client::look(|look| look.forget_other = true);
    }

    /// Makes a file for download.
    pub fn export(&self, what: Export) {
        client::export(what);
    }

    /// Makes the complete link.
    pub fn share(&self) {
        client::share();
    }
}

/// Opens the file that the page's address names (`?run=`).
pub fn open_from_address() {
    let Ok(search) = window().location().search() else { return };
    if let Some(run) = web_sys::UrlSearchParams::new_with_str(&search).ok().and_then(|p| p.get("run")) {
        open_url(run);
    }
}

/// Opens the sample that lies beside the page.
pub fn open_sample() {
    open_url("sample.dyn".to_owned());
}

/// Opens a file on the page's server. `run` is relative to the page.
fn open_url(run: String) {
    let base = document().base_uri().ok().flatten().unwrap_or_default();
    let url = web_sys::Url::new_with_base(&run, &base).map_or(run, |url| url.href());
    client::open(client::Source::Url(url), None);
}
