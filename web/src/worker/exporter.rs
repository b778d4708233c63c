//! The page's second program, which writes corpora and reports (`web/src/bin/exporter.rs`). It runs in the worker,
//! beside this one.

use std::cell::{Cell, RefCell};

use explorer::export::Job;
use js_sys::{Array, ArrayBuffer, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

use crate::error::in_words;

#[wasm_bindgen]
extern "C" {
    /// Loads the program, or loads it again. worker.js defines this function.
    #[wasm_bindgen(catch, js_name = loadExporter)]
    async fn load_exporter() -> Result<JsValue, JsValue>;

    #[derive(Clone)]
    type Exporter;

    #[wasm_bindgen(method, catch)]
    fn make(this: &Exporter, job: &[u8]) -> Result<Array, JsValue>;
}

thread_local! {
    static IS_TRIED: Cell<bool> = const { Cell::new(false) };
    static LOADED: RefCell<Option<Exporter>> = const { RefCell::new(None) };
}

/// A written file.
pub struct Made {
    pub bytes: ArrayBuffer,
    pub extension: String,
    pub notes: Vec<String>,
}

/// Loads the program in the background, once, so that files can be written after the server has stopped. If that fails,
/// the first file tries it again.
pub fn load_early() {
    if !IS_TRIED.replace(true) {
        spawn_local(async {
            let _ = loaded().await;
        });
    }
}

async fn loaded() -> Result<Exporter, JsValue> {
    if let Some(exporter) = LOADED.with_borrow(Clone::clone) {
        return Ok(exporter);
    }
    let exporter: Exporter = load_exporter().await?.unchecked_into();
    LOADED.set(Some(exporter.clone()));
    Ok(exporter)
}

/// Writes a file.
pub async fn carry_out(job: Job) -> Result<Made, String> {
    let exporter = loaded().await.map_err(|e| {
        format!(
            "the part of the page that writes corpora and reports cannot be loaded ({}): start the page's server again, \
             and save again. \"Save decisions\" works without it",
            in_words(&e)
        )
    })?;
    let bytes = job.encode();
    drop(job);
    // If the error is a text, it is the reason. Any other error means that the program has ended. The next file then
    // starts it again.
    let made = exporter.make(&bytes).map_err(|e| {
        e.as_string().unwrap_or_else(|| {
            LOADED.set(None);
            format!("the part of the page that writes files has stopped ({})", in_words(&e))
        })
    })?;
    let notes = Array::from(&made.get(2));
    Ok(Made {
        bytes: made.get(0).unchecked_into::<Uint8Array>().buffer(),
        extension: made.get(1).as_string().unwrap_or_default(),
        notes: notes.iter().filter_map(|note| note.as_string()).collect(),
    })
}
