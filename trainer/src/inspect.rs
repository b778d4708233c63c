//! What a dynamics file holds.

use std::path::Path;

use anyhow::{Context, Result};
use shared::cleaning::CleaningSummary;
use shared::dynamics::Dynamics;
use shared::judge::Judge;
use shared::threshold::Settings;

/// A dynamics file with its digest.
pub struct Opened {
    /// Its content.
    pub dynamics: Dynamics,
    /// Its digest.
    pub digest: String,
}

/// Opens a dynamics file.
///
/// # Errors
/// When it cannot be read or is damaged.
pub fn open(path: &Path) -> Result<Opened> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let dynamics = shared::dyn_file::read(&bytes).with_context(|| path.display().to_string())?;
    Ok(Opened { dynamics, digest: shared::dyn_file::digest(&bytes) })
}

/// The content in figures, as JSON.
pub fn describe(opened: &Opened, judge: &Judge, settings: &Settings, summary: &CleaningSummary) -> serde_json::Value {
    let d = &opened.dynamics;
    serde_json::json!({
        "digest": opened.digest,
        "complete": d.complete,
        "info": d.info,
        "sentences": d.corpus.n_sentences(),
        "tokens": d.corpus.tokens.n_tokens(),
        "spans": judge.index.len(),
        "epochs": d.run.epochs.len(),
        "recorded": if d.run.is_margins() { "margins" } else { "logits" },
        "threshold_samples": d.threshold_run.as_ref().map(|t| t.spans.len()),
        "sample_aum_deciles": {
            "negatives": deciles(&judge.samples.negatives),
            "positives": deciles(&judge.samples.positives),
        },
        "gold": d.gold.is_some(),
        "scores": d.run.scores,
        "settings": settings,
        "cleaning": summary,
    })
}

/// Minimum, the nine deciles and maximum of a descending list.
fn deciles(descending: &[f32]) -> Vec<f32> {
    let last = descending.len().saturating_sub(1);
    (0..=10).rev().filter_map(|tenth| descending.get(last * tenth / 10).copied()).collect()
}
