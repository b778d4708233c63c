//! Reads numbers that the user types, and shows decisions. Re-exports [`explorer::format`], which writes numbers
//! for people.

use shared::corpus::decision::Decision;
use wasm_bindgen::JsValue;

pub use explorer::format::*;

/// Reads a number that the user has typed; `None` if it is not a finite number. The browser parses it, because a
/// parser of our own would add 10 kB of tables.
pub fn number(text: &str) -> Option<f32> {
    let text = text.trim();
    let value = JsValue::from_str(text).unchecked_into_f64() as f32;
    (!text.is_empty() && value.is_finite()).then_some(value)
}

/// Returns the style class of a decision.
pub fn decision_class(decision: Decision) -> &'static str {
    match decision {
        Decision::Keep => "decision keep",
        Decision::Remove => "decision remove",
        Decision::Relabel(_) => "decision relabel",
    }
}
