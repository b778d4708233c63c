//! Numbers as people read them.

use shared::corpus::decision::{Decision, Side};
use wasm_bindgen::JsValue;

/// The number that somebody has typed, if it is one. Read by the browser: a reader of our own is 10 kB of tables.
pub fn number(text: &str) -> Option<f32> {
    let text = text.trim();
    let value = JsValue::from_str(text).unchecked_into_f64() as f32;
    (!text.is_empty() && value.is_finite()).then_some(value)
}

/// With thousands separated: 174,867.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// "1 decision", "12 decisions".
pub fn decisions(n: usize) -> String {
    format!("{} decision{}", count(n as u64), if n == 1 { "" } else { "s" })
}

/// A share of a whole: .5 %, 12 %.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let percent = 100.0 * part as f64 / whole as f64;
    match percent {
        0.0 => "0 %".to_owned(),
        p if p < 0.1 => "< 0.1 %".to_owned(),
        p if p < 10.0 => format!("{p:.1} %"),
        p => format!("{p:.0} %"),
    }
}

/// With a real minus sign, so that columns line up.
pub fn signed(value: f32, decimals: usize) -> String {
    if value.is_nan() {
        return "–".to_owned();
    }
    format!("{value:.decimals$}").replace('-', "−")
}

/// A probability or score: .734, 1.000.
pub fn score(value: f64) -> String {
    let text = format!("{value:.3}");
    text.strip_prefix('0').map_or(text.clone(), str::to_owned)
}

/// The name of a side.
pub fn side(side: Side) -> &'static str {
    match side {
        Side::Negatives => "negatives",
        Side::Positives => "positives",
    }
}

/// The side with this name; none for any other, which stands for both.
pub fn side_named(name: &str) -> Option<Side> {
    [Side::Negatives, Side::Positives].into_iter().find(|&s| side(s) == name)
}

/// What is done with a span.
pub fn decision(decision: Decision, labels: &[String]) -> String {
    match decision {
        Decision::Keep => "keep".to_owned(),
        Decision::Remove => "remove".to_owned(),
        Decision::Relabel(label) => format!("→ {}", labels.get(usize::from(label)).map_or("?", String::as_str)),
    }
}
