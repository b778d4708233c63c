//! Reads numbers that the user types, and re-exports [`explorer::format`], which writes numbers for people.

use wasm_bindgen::JsValue;

pub use explorer::format::*;

/// Reads a number that the user has typed; `None` if it is not a finite number. The browser parses it, because a
/// parser of our own would add 10 kB of tables.
pub fn number(text: &str) -> Option<f32> {
    let text = text.trim();
    let value = JsValue::from_str(text).unchecked_into_f64() as f32;
    (!text.is_empty() && value.is_finite()).then_some(value)
}
