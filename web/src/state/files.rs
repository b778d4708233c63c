//! Files that are opened, compared and saved.

use explorer::axis::Axes;
use js_sys::Array;
use leptos::prelude::*;
use shared::recording::dyn_file::order_of_part;
use wasm_bindgen::JsValue;
use web_sys::File;

use super::App;
use crate::client::{self, Destination, Source};
use crate::protocol::Export;

impl App {
    /// Opens the files that the user chose: one file, the parts of one recording, or several people's `decisions.json`,
    /// which are merged.
    pub fn open_all(&self, mut files: Vec<File>) {
        let all_end_in = |ending: &str| files.iter().all(|file| file.name().ends_with(ending));
        match files.len() {
            0 | 1 => {}
            _ if all_end_in(".json") => {
                return match self.file.with_untracked(Option::is_some) {
                    true => client::merge(files),
                    false => self.tell(
                        true,
                        "Open the dynamics file first. Then open these files again: their decisions are then merged."
                            .to_owned(),
                    ),
                };
            }
            _ if all_end_in(".dyn") => {
                files = joined(&files).into_iter().collect();
            }
            _ => {
                return self.tell(
                    true,
                    "Several files can be opened together if all are parts of one recording (.dyn) or all are decisions \
                     (.json)."
                        .to_owned(),
                );
            }
        }
        if let Some(file) = files.into_iter().next() {
            self.open(file);
        }
    }

    /// Opens a file that the user chose.
    pub fn open(&self, file: File) {
        client::open(Source::File(file));
    }

    /// Compares the open file with another recording of the same corpus.
    pub fn compare(&self, file: File) {
        client::compare(Source::File(file));
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
        client::look(|look| look.change.forget_other = true);
    }

    /// Makes a file for download.
    pub fn export(&self, what: Export) {
        client::export(what, Destination::Download);
    }

    /// Saves the decisions in the folder of the run that is shown, or else as a file.
    pub fn save_decisions(&self) {
        // Decisions about an unfinished recording fit no run: their epochs are not the ones that it ends with.
        let is_complete = self.file.with_untracked(|file| file.as_ref().is_some_and(|file| file.complete));
        let address = self.review.get_untracked().filter(|_| is_complete);
        if address.is_none() || self.busy.with_untracked(Option::is_none) {
            client::export(Export::Decisions, address.map_or(Destination::Download, Destination::Run));
        }
    }

    /// Makes the complete link.
    pub fn share(&self) {
        client::share();
    }
}

/// One file of the parts of a recording: all their bytes, one part after the other.
fn joined(files: &[File]) -> Option<File> {
    let mut parts: Vec<(String, &File)> = Vec::new();
    for file in files {
        let order = order_of_part(&file.name());
        let at = parts.iter().position(|(other, _)| *other > order);
        parts.insert(at.unwrap_or(parts.len()), (order, file));
    }
    let name = format!("{} and {} more", parts.first()?.1.name(), files.len() - 1);
    File::new_with_blob_sequence(&parts.iter().map(|(_, file)| file).collect::<Array>(), &name).ok()
}

/// A part of the page's address after `?`.
fn given(name: &str) -> Option<String> {
    let search = window().location().search().ok()?;
    web_sys::UrlSearchParams::new_with_str(&search).ok()?.get(name)
}

/// The whole address of something on the page's server. `place` is relative to the page.
fn whole(place: String) -> String {
    let base = document().base_uri().ok().flatten().unwrap_or_default();
    web_sys::Url::new_with_base(&place, &base).map_or(place, |url| url.href())
}

/// Opens the file that the page's address names (`?run=`).
pub fn open_from_address() {
    if let Some(run) = given("run") {
        open_url(run);
    }
}

/// Opens the sample that lies beside the page.
pub fn open_sample() {
    open_url("sample.dyn".to_owned());
}

fn open_url(place: String) {
    client::open(Source::Url(whole(place)));
}

/// Returns the address by which decisions about this file are saved (`&review=`), if the file is in the same folder.
pub fn review_address(source: &Source) -> Option<String> {
    let address = review_given()?;
    matches!(source, Source::Url(url) if folder_of(url) == folder_of(&address)).then_some(address)
}

/// The part of an address up to its last slash.
fn folder_of(address: &str) -> &str {
    address.rfind('/').map_or("", |end| &address[..=end])
}

/// Returns the address by which decisions about the served run are saved, if the page's address names it.
pub fn review_given() -> Option<String> {
    given("review").map(whole)
}

/// Opens a file in the folder of the served run, because the run has gone on.
pub fn open_beside(review: &str, file: &str) {
    client::follow(Source::Url(format!("{}{file}", folder_of(review))));
}

/// Puts another file in the folder of the served run into the page's address.
///
/// # Errors
/// When the browser refuses. A reload then opens the file that was there before.
pub fn name_in_address(file: &str) -> Result<(), JsValue> {
    let page = web_sys::Url::new(&window().location().href()?)?;
    let run = given("run").unwrap_or_default();
    page.search_params().set("run", &format!("{}{file}", folder_of(&run)));
    let history = window().history()?;
    history.replace_state_with_url(&history.state()?, "", Some(&page.href()))
}
