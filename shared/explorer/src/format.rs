//! Formats numbers and decisions for display.

use shared::corpus::decision::{Decision, Side};
use shared::corpus::labels::LabelId;
use shared::detection::threshold::Metric;

/// A count with thousands separators: 174,867.
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

/// A number of decisions: "1 decision", "12 decisions".
pub fn decisions(n: usize) -> String {
    format!("{} decision{}", count(n as u64), if n == 1 { "" } else { "s" })
}

/// A share of a whole in percent: 0.5 %, 12 %.
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

/// A number with a true minus sign, so that columns line up.
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

/// A coefficient with two decimals, such as κ or a correlation: −0.12; a dash if it is not known.
pub fn coefficient(value: f64) -> String {
    if value.is_nan() { "–".to_owned() } else { format!("{value:.2}").replace('-', "−") }
}

/// The name of a side, as the code and the paper call it.
pub fn side(side: Side) -> &'static str {
    match side {
        Side::Negatives => "negatives",
        Side::Positives => "positives",
    }
}

/// The spans of a side, as the page calls them.
pub fn spans_of(side: Side) -> &'static str {
    match side {
        Side::Negatives => "O spans",
        Side::Positives => "entities",
    }
}

/// What a metric means, in one sentence.
pub fn meaning(metric: Metric) -> &'static str {
    match metric {
        Metric::Trust => "Trust is the chance that a label is right: from how the model learned it, and from the text.",
        Metric::Aum => {
            "AUM, the area under the margin, says how strongly the model preferred the label to all others, on average \
             over the epochs. Below 0 it preferred another."
        }
        Metric::Confidence => {
            "Confidence is the probability that the model gave the label, on average over the epochs."
        }
    }
}

/// The side with this name. `None` for any other name, which means both sides.
pub fn side_named(name: &str) -> Option<Side> {
    [Side::Negatives, Side::Positives].into_iter().find(|&s| side(s) == name)
}

/// The name of a label; empty if there is no such label.
pub fn label(labels: &[String], label: LabelId) -> String {
    labels.get(usize::from(label)).cloned().unwrap_or_default()
}

/// A decision about a span in words.
pub fn decision(decision: Decision, labels: &[String]) -> String {
    match decision {
        Decision::Keep => "keep".to_owned(),
        Decision::Remove => "remove".to_owned(),
        Decision::Relabel(label) => format!("→ {}", labels.get(usize::from(label)).map_or("?", String::as_str)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_their_thousands_apart() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (174_867, "174,867"), (1_269_968, "1,269,968")] {
            assert_eq!(count(n), text);
        }
        assert_eq!(
            (decisions(1), decisions(0), decisions(1200)),
            ("1 decision".into(), "0 decisions".into(), "1,200 decisions".into())
        );
    }

    #[test]
    fn shares_have_as_many_digits_as_they_are_worth() {
        for (part, whole, text) in [
            (0, 0, "–"),
            (0, 9, "0 %"),
            (1, 100_000, "< 0.1 %"),
            (1, 200, "0.5 %"),
            (99, 1000, "9.9 %"),
            (1, 8, "12 %"),
            (9, 9, "100 %"),
        ] {
            assert_eq!(percent(part, whole), text, "{part} of {whole}");
        }
    }

    #[test]
    fn numbers_line_up() {
        assert_eq!((signed(-1.25, 1), signed(0.5, 2), signed(f32::NAN, 1)), ("−1.2".into(), "0.50".into(), "–".into()));
        assert_eq!((score(0.7341), score(1.0), score(0.0)), (".734".into(), "1.000".into(), ".000".into()));
    }

    #[test]
    fn names_of_sides_and_decisions() {
        for one in Side::BOTH {
            assert_eq!(side_named(side(one)), Some(one));
        }
        assert_eq!(side_named("both"), None);
        let labels = ["O".to_owned(), "PER".to_owned()];
        assert_eq!(decision(Decision::Relabel(1), &labels), "→ PER");
        assert_eq!(decision(Decision::Relabel(9), &labels), "→ ?");
    }
}
