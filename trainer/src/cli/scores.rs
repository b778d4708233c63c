//! Precision, recall and F1 as a table.

use std::fmt::Write as _;

use shared::evaluation::score::{NerScore, Prf};

/// Returns a table of the scores in percent: overall, and for each type.
pub fn table(score: &NerScore) -> String {
    let widest = score.per_type.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max("overall".len());
    let mut table = format!(
        "{:widest$}  {:>5}  {:>5}  {:>5}  {:>8}  {:>8}  {:>8}\n",
        "", "P", "R", "F1", "correct", "found", "gold"
    );
    let mut row = |name: &str, prf: &Prf| {
        let _ = writeln!(
            table,
            "{name:widest$}  {:5.1}  {:5.1}  {:5.1}  {:8}  {:8}  {:8}",
            100.0 * prf.precision,
            100.0 * prf.recall,
            100.0 * prf.f1,
            prf.correct,
            prf.predicted,
            prf.actual
        );
    };
    row("overall", &score.overall);
    score.per_type.iter().for_each(|(name, prf)| row(name, prf));
    table
}
