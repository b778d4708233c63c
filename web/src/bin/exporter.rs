//! The second program of the page. It writes corpora and reports, runs in the same worker as the first one, and has a
//! memory of its own. It is a program by itself, so that the page shows its first picture without it.

use explorer::export::{Job, Made};
use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;

fn main() {
    console_error_panic_hook::set_once();
}

/// Does a [`Job`], given as bytes. Returns the bytes of the file, its extension, and notes.
///
/// # Errors
/// With the reason in words, when the file cannot be written.
#[wasm_bindgen]
pub fn make(job: &[u8]) -> Result<Array, JsValue> {
    let Made { bytes, extension, notes } = Job::decode(job).and_then(Job::carry_out).map_err(JsValue::from)?;
    let notes = notes.into_iter().map(JsValue::from).collect::<Array>();
    Ok(Array::of3(&Uint8Array::from(bytes.as_slice()), &extension.into(), &notes))
}
