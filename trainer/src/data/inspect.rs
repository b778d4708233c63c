//! Content of a dynamics file, for people and as JSON.

use anyhow::{Result, bail};
use shared::cleaning::CleaningSummary;
use shared::corpus::decision::Side;
use shared::corpus::labels::LabelSet;
use shared::detection::estimate::Estimate;
use shared::detection::judge::Judge;
use shared::detection::threshold::{Basis, Settings, Threshold};
use shared::evaluation::quality::NoiseDetection;

use super::recording::Recording;

/// Refuses thresholds for entity types that do not exist. Otherwise a typing mistake would have no effect and
/// nobody would notice.
///
/// # Errors
/// The error names the unknown type and the types that exist.
pub fn check_classes(settings: &Settings, labels: &LabelSet) -> Result<()> {
    match settings.unknown_class(labels) {
        None => Ok(()),
        Some(name) => {
            bail!(
                "a threshold is set for {name:?}, which is no entity type here; there are: {}",
                labels.types().join(", ")
            )
        }
    }
}

/// Returns the statistics of a dynamics file as JSON, with the result of cleaning with these settings.
pub fn describe(
    recording: &Recording,
    judge: &Judge,
    settings: &Settings,
    summary: &CleaningSummary,
    noise: Option<NoiseDetection>,
) -> serde_json::Value {
    let d = &recording.dynamics;
    let judgement = judge.under(settings);
    serde_json::json!({
        "digest": recording.digest,
        "complete": d.complete,
        "info": d.info,
        "sentences": d.corpus.n_sentences(),
        "tokens": d.corpus.tokens.n_tokens(),
        "spans": judge.index.len(),
        "epochs": d.run.epochs.len(),
        "recorded": if d.run.is_margins() { "margins" } else { "logits" },
        "threshold_samples": d.threshold_run.as_ref().map(|t| t.spans.len()),
        "sample_deciles": {
            "negatives": deciles(judge.samples.given(Side::Negatives)),
            "positives": deciles(judge.samples.given(Side::Positives)),
        },
        "gold": d.gold.is_some(),
        "scores": d.run.scores,
        "settings": settings,
        "capitals": judge.capitals(),
        "cleaning": summary,
        "estimate": {
            "negatives": Estimate::new(&judgement, Side::Negatives),
            "positives": Estimate::new(&judgement, Side::Positives),
        },
        "noise": noise,
    })
}

/// Describes a threshold in words.
pub fn threshold_line(name: &str, threshold: Threshold) -> String {
    let Threshold { value, interval, basis } = threshold;
    let why = match basis {
        Basis::Given => "given",
        Basis::Quantile => "quantile of the threshold samples",
        Basis::Estimate => "estimated from the threshold samples",
        Basis::Natural => "the threshold samples support no higher one",
        Basis::HalfMissed => "a probability: at least half of the spans below it are expected to be missed entities",
        Basis::Probability => "a probability: below it, a label is more likely wrong than right",
        Basis::NotLearned => {
            return format!("{name}: none is judged, because the model has not learned them in these epochs");
        }
        Basis::NoSamples => {
            return format!("{name}: none is judged, because there are no threshold samples to take a quantile of");
        }
        Basis::Kept => return format!("{name}: none is judged, all keep their labels"),
        Basis::AllPositives if value == f32::NEG_INFINITY => {
            return format!("{name}: none is judged, as for all positives; the type has too few samples of its own");
        }
        Basis::AllPositives => "the threshold of all positives; the type has too few samples of its own",
    };
    let interval = interval.map_or(String::new(), |(low, high)| format!(", 90 % interval {low:.2} to {high:.2}"));
    format!("{name} below {value:.3} ({why}{interval})")
}

/// Describes an estimate in words.
pub fn estimate_line(estimate: &Estimate) -> String {
    let Estimate { judged, found, precision, wrong, remaining } = estimate;
    let (low, high) = wrong.interval;
    format!(
        "  {judged} judged wrong, about {found:.0} of them really wrong (precision ≈ {precision:.2}); about {:.0} \
         ({low:.0} to {high:.0}) wrong in total, {remaining:.0} of them missed",
        wrong.number
    )
}

/// Returns minimum, nine deciles and maximum of a list in descending order.
fn deciles(descending: &[f32]) -> Vec<f32> {
    let last = descending.len().saturating_sub(1);
    (0..=10).rev().filter_map(|tenth| descending.get(last * tenth / 10).copied()).collect()
}
