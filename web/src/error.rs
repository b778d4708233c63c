//! Errors of the browser in words.

use wasm_bindgen::{JsCast, JsValue};

/// The message of an error.
pub fn in_words(error: &JsValue) -> String {
    error.dyn_ref::<js_sys::Error>().map_or_else(|| format!("{error:?}"), |e| String::from(e.message()))
}
