//! Results of a job as numbers: `metrics.json`, and the same in a few lines for a terminal.

use std::path::PathBuf;

use serde::Serialize;
use shared::cleaning::{CleaningSummary, LabelCount};
use shared::corpus::decision::Side;
use shared::detection::dictionary_check::Contradicted;
use shared::detection::threshold::{Basis, Settings};
use shared::evaluation::quality::NoiseDetection;
use shared::evaluation::score::NerScore;
use shared::recording::prf::Prf;
use shared::report::{Course, TestScores, Tried};

/// The content of `metrics.json` after a single training.
#[derive(Debug, Serialize)]
pub struct TrainMetrics {
    /// Test scores, if there is a test corpus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<NerScore>,
    /// Best epoch on dev.
    pub best_epoch: u32,
    /// Dev F1 of that epoch.
    pub dev_f1: f64,
    /// Wall-clock seconds of the training.
    pub seconds: f64,
    /// Folder of the model.
    pub model: PathBuf,
    /// The dynamics file, if dynamics were recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamics: Option<PathBuf>,
}

/// The content of `metrics.json` after a run.
#[derive(Debug, Serialize)]
pub struct Metrics {
    /// Test scores of the models trained on the raw distant labels, on the cleaned labels, and on gold.
    pub test: TestScores,
    /// Cleaned minus raw test F1, in points.
    pub gain_f1_points: f64,
    /// Test F1 of the model that also learned from dev, minus raw test F1, in points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gain_with_dev_f1_points: Option<f64>,
    /// Loss and dev F1 of every epoch of the trainings that the report compares.
    pub trainings: Vec<Course>,
    /// Short list of the settings that a sweep tried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sweep: Vec<Tried>,
    /// Scores of the distant labels on dev, if dev came with such labels (`--dev-distant`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels_on_dev: Option<Prf>,
    /// Labels that dev contradicts, if the dictionary check was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dictionary_check: Option<Contradicted>,
    /// Spans that left the training data.
    pub removed: Sides,
    /// Spans that got another label.
    pub relabelled: Sides,
    /// Thresholds and numbers of changed labels.
    pub cleaning: CleaningSummary,
    /// Settings of the cleaning.
    pub settings: Settings,
    /// Number of decisions by hand.
    #[serde(skip_serializing_if = "is_zero")]
    pub decided_by_hand: u64,
    /// Noise detection against gold, where gold is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseDetection>,
    /// Best epoch on dev.
    pub best_epoch: Pair<u32>,
    /// Dev F1 of that epoch.
    pub dev_f1: Pair<f64>,
    /// Wall-clock seconds of the two trainings whose models were tested.
    pub seconds: Pair<f64>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// One value for the raw and one for the cleaned labels.
#[derive(Debug, Serialize)]
pub struct Pair<T> {
    /// Value for the unchanged distant labels.
    pub raw: T,
    /// Value for the cleaned labels.
    pub cleaned: T,
}

/// Numbers of spans by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sides {
    /// Spans labelled with an entity type.
    pub positives: u64,
    /// Spans labelled `O`.
    pub negatives: u64,
}

impl Sides {
    /// Sums a count over the distant labels of each side. The counts begin with `O`.
    pub(crate) fn of(summary: &CleaningSummary, count: fn(&LabelCount) -> u64) -> Self {
        let counts = &summary.counts;
        Self { negatives: counts.first().map_or(0, count), positives: counts.iter().skip(1).map(count).sum() }
    }
}

/// Says how good the distant labels are, measured on dev.
pub(crate) fn of_labels_on_dev(scores: &Prf) -> String {
    let [precision, recall, f1] = [scores.precision, scores.recall, scores.f1].map(|score| 100.0 * score);
    format!("Your labels against the gold labels of dev: P {precision:.1}  R {recall:.1}  F1 {f1:.1}")
}

impl Metrics {
    /// Returns the result in a few lines, for a terminal.
    pub fn summary(&self) -> String {
        let row = |name: &str, s: &NerScore| {
            let percent = |v: f64| 100.0 * v;
            let o = s.overall;
            format!(
                "  {name:<15} P {:5.1}  R {:5.1}  F1 {:5.1}\n",
                percent(o.precision),
                percent(o.recall),
                percent(o.f1)
            )
        };
        let mut text = String::from("Test scores of the model trained on\n");
        let test = &self.test;
        let rows = [
            ("your labels", Some(&test.raw)),
            ("… and dev", test.raw_with_dev.as_ref()),
            ("cleaned labels", Some(&test.cleaned)),
            ("… and dev", test.with_dev.as_ref()),
            ("gold labels", test.gold.as_ref()),
            ("oracle", test.oracle.as_ref()),
        ];
        text.extend(rows.iter().filter_map(|&(name, score)| Some(row(name, score?))));
        text += &format!("Cleaning alone gains {:+.1} F1 points", self.gain_f1_points);
        if let Some(gain) = self.gain_with_dev_f1_points {
            text += &format!(". Cleaning and dev together gain {gain:+.1}");
        }
        text += " (one seed: expect 2 to 3 points of noise)\n";
        if let Some(scores) = &self.labels_on_dev {
            text += &format!("{}\n", of_labels_on_dev(scores));
        }
        if let Some(Contradicted { entries, spans }) = self.dictionary_check {
            text += &format!("Dev contradicts {entries} dictionary entries, which label {spans} spans\n");
        }
        let t = &self.cleaning.thresholds;
        for (name, side, threshold) in
            [("entities", Side::Positives, t.positives), ("O spans", Side::Negatives, t.negatives)]
        {
            let (changed, metric) = (self.cleaning.changed(side), self.settings.metric.name());
            text += &match threshold.basis {
                Basis::NotLearned => {
                    format!("No {name} are judged: the model had not learned them. Train longer, or set a threshold\n")
                }
                Basis::NoSamples => {
                    format!("No {name} are judged: there are no threshold samples to take a quantile of\n")
                }
                Basis::Kept if changed == 0 => format!("The {name} keep their labels\n"),
                Basis::Kept => format!("The {name} keep their labels, except {changed} that dev contradicts\n"),
                _ => format!("Judged wrong: {changed} of the {name} ({metric} < {:.2})\n", threshold.value),
            };
        }
        if self.decided_by_hand > 0 {
            text += &format!("Decided by hand: {} labels\n", self.decided_by_hand);
        }
        if let Some(noise) = &self.noise {
            for (name, d) in [("wrong entities", noise.false_positives), ("missed entities", noise.false_negatives)] {
                text += &format!(
                    "  against gold, {name}: P {:.1}  R {:.1}  average precision {:.3}\n",
                    100.0 * d.prf.precision,
                    100.0 * d.prf.recall,
                    d.average_precision
                );
            }
        }
        text
    }
}
