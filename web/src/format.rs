//! Numbers as people read them: those that are typed, and all of [`explorer::format`].

use wasm_bindgen::JsValue;

pub use explorer::format::*;

/// The number that somebody has typed, if it is one. Read by the browser: a reader of our own is 10 kB of tables.
pub fn number(text: &str) -> Option<f32> {
    let text = text.trim();
    let value = JsValue::from_str(text).unchecked_into_f64() as f32;
    (!text.is_empty() && value.is_finite()).then_some(value)
}
