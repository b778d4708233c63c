//! What a report shows about a recording and its cleaning, in numbers and words. [`Findings::html`] makes a page of it.
//! These are two steps, so that the code that writes pages and draws charts can run in another program than the one
//! that holds the recording.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::histogram::{Histogram, range_of};
use super::outcome::Course;
use crate::cleaning::{CleaningSummary, Decisions, DecisionsError, Override, share};
use crate::corpus::decision::{Decision, Side};
use crate::corpus::labels::LabelId;
use crate::corpus::span::SpanId;
use crate::detection::dictionary_check::Contradicted;
use crate::detection::estimate::Estimate;
use crate::detection::judge::Judge;
use crate::detection::judgement::Judgement;
use crate::detection::threshold::Metric;
use crate::evaluation::quality::{CurvePoint, Detection, curve, detect};
use crate::evaluation::score::Prf;
use crate::recording::dictionary::Entry;
use crate::recording::dynamics::{Dynamics, RunInfo};

/// Number of suspicious spans (per side) and of dictionary entries that are listed.
pub(super) const LISTED: usize = 40;
/// Number of tokens shown on each side of a suspicious span.
const CONTEXT: usize = 12;
/// Number of points of a precision–recall curve.
const CURVE_POINTS: usize = 200;
/// Bins of a histogram.
const BINS: usize = 60;

/// What a report shows. Pairs have the negatives first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// Settings and origin of the recording.
    pub(super) info: RunInfo,
    pub(super) sentences: u64,
    pub(super) spans: u64,
    pub(super) epochs: u64,
    /// What decides about the spans.
    pub(super) metric: Metric,
    /// Thresholds, and counts per label.
    pub(super) summary: CleaningSummary,
    /// Dictionary entries that annotated sentences contradict; `None` if the settings leave them aside.
    pub(super) dictionary: Option<DictionaryEntries>,
    /// Estimates without gold.
    pub(super) estimates: [Option<Estimate>; 2],
    /// How far capitals count, in words.
    pub(super) capitals: Option<String>,
    /// `None` without gold.
    pub(super) quality: Option<[Quality; 2]>,
    pub(super) distributions: [Distribution; 2],
    /// `None` if only margins were recorded.
    pub(super) maps: Option<[MapCells; 2]>,
    pub(super) suspicious: [Vec<Suspicious>; 2],
    /// The recorded training.
    pub(super) recorded: Course,
    pub(super) decisions: DecisionTexts,
}

/// Dictionary entries that annotated sentences contradict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct DictionaryEntries {
    /// Totals of all of them.
    pub(super) all: Contradicted,
    /// Those with the most spans.
    pub(super) listed: Vec<Entry>,
}

/// Quality of the detection on one side, by gold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Quality {
    pub(super) prf: Prf,
    pub(super) average_precision: f64,
    pub(super) curve: Vec<CurvePoint>,
}

/// The metric of one side's spans and of its threshold samples, over the same bins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Distribution {
    pub(super) real: Histogram,
    pub(super) samples: Histogram,
}

/// Counts of one side's spans over variability (columns) and confidence (rows), row by row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct MapCells {
    pub(super) counts: Vec<u32>,
}

impl MapCells {
    pub(super) const COLUMNS: usize = 50;
    pub(super) const ROWS: usize = 40;
    /// Largest possible standard deviation of values in 0..=1.
    pub(super) const WIDEST: f32 = 0.5;

    fn new(judge: &Judge, side: Side) -> Self {
        let mut counts = vec![0u32; Self::COLUMNS * Self::ROWS];
        let metrics = &judge.metrics;
        for &span in judge.ranked(side).spans() {
            let (c, v) = (metrics.confidence[span as usize], metrics.variability[span as usize]);
            let column = ((v / Self::WIDEST * Self::COLUMNS as f32) as usize).min(Self::COLUMNS - 1);
            let row = ((c * Self::ROWS as f32) as usize).min(Self::ROWS - 1);
            counts[row * Self::COLUMNS + column] += 1;
        }
        Self { counts }
    }
}

/// A suspicious span in its sentence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Suspicious {
    /// Whether the sentence begins before `before`.
    pub(super) is_begin_cut: bool,
    pub(super) before: Vec<String>,
    pub(super) span: Vec<String>,
    pub(super) after: Vec<String>,
    /// Whether the sentence goes on after `after`.
    pub(super) is_end_cut: bool,
    /// The reasons, in words.
    pub(super) because: String,
    pub(super) distant: String,
    /// `None` where no logits are known.
    pub(super) predicted: Option<String>,
    /// Probability that the distant label is wrong.
    pub(super) wrong: Option<f32>,
    pub(super) aum: Option<f32>,
    pub(super) decision: Override,
}

/// The decisions behind the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct DecisionTexts {
    /// Digest of the dynamics file.
    pub(super) dynamics: String,
    /// The content of `decisions.json`.
    pub(super) json: String,
    /// The end of an address that opens the page with these decisions.
    pub(super) fragment: String,
    /// Whether the address has the decisions by hand.
    pub(super) is_fragment_complete: bool,
}

impl DecisionTexts {
    fn new(decisions: &Decisions) -> Self {
        let (fragment, is_fragment_complete) = share::fragment(decisions);
        Self { dynamics: decisions.dynamics.clone(), json: decisions.to_json(), fragment, is_fragment_complete }
    }
}

impl Findings {
    /// Gathers what a report shows. `judge` must have the window and the metric of the decisions.
    ///
    /// # Errors
    /// When the decisions do not fit the dynamics.
    pub fn new(dynamics: &Dynamics, judge: &Judge, decisions: &Decisions) -> Result<Self, DecisionsError> {
        let labels = &dynamics.corpus.labels;
        let decided = decisions.resolve(judge, labels)?;
        let judgement = judge.under(&decisions.settings);
        let gold = dynamics.dense_gold(&judge.index);
        let has_probabilities = judge.metrics.has_probabilities();
        Ok(Self {
            info: dynamics.info.clone(),
            sentences: dynamics.corpus.n_sentences() as u64,
            spans: judge.index.len() as u64,
            epochs: dynamics.run.epochs.len() as u64,
            metric: judge.metric,
            summary: CleaningSummary::new(judge, &decisions.settings, &decided, labels),
            dictionary: decisions.settings.dictionary_check.then(|| DictionaryEntries {
                all: Contradicted::of(&dynamics.contradicted),
                listed: dynamics.contradicted.iter().take(LISTED).cloned().collect(),
            }),
            estimates: Side::BOTH.map(|side| Estimate::new(&judgement, side)),
            capitals: judge.capitals().map(|capitals| capitals.to_string()),
            quality: gold.map(|gold| quality(&judgement, &decided, &gold)),
            distributions: Side::BOTH.map(|side| distribution(judge, side)),
            maps: has_probabilities.then(|| Side::BOTH.map(|side| MapCells::new(judge, side))),
            suspicious: Side::BOTH.map(|side| {
                let ranked = match side {
                    Side::Positives => judge.ranked(side).spans().into(),
                    // Lists only judged spans. Overlap suppression may have left out those that repeat a more
                    // suspicious span.
                    Side::Negatives => judgement.judged_wrong(side),
                };
                let listed = ranked.iter().take(LISTED);
                listed.filter_map(|&id| suspicious(dynamics, judge, id, decided.get(&id))).collect()
            }),
            recorded: Course::recorded(dynamics),
            decisions: DecisionTexts::new(decisions),
        })
    }
}

fn quality(judgement: &Judgement, decided: &BTreeMap<SpanId, Decision>, gold: &[LabelId]) -> [Quality; 2] {
    let noise = detect(judgement, decided, gold);
    let side = |side: Side, Detection { prf, average_precision }: Detection| Quality {
        prf,
        average_precision,
        curve: curve(judgement, side, gold, CURVE_POINTS),
    };
    [side(Side::Negatives, noise.false_negatives), side(Side::Positives, noise.false_positives)]
}

fn distribution(judge: &Judge, side: Side) -> Distribution {
    let (real, samples) = (judge.ranked(side), judge.samples.given(side));
    let (low, high) = range_of(judge.metric, real, samples);
    Distribution {
        real: Histogram::of_ranked(real, low, high, BINS),
        samples: Histogram::new(samples, low, high, BINS),
    }
}

fn suspicious(dynamics: &Dynamics, judge: &Judge, id: SpanId, decision: Option<&Decision>) -> Option<Suspicious> {
    let span = judge.index.span(id)?;
    let at = id as usize;
    let name = |label: LabelId| dynamics.corpus.labels.name(label).to_owned();
    let tokens = dynamics.corpus.tokens.sentence(span.sentence);
    let (start, end, n_tokens) = (span.start as usize, span.end as usize + 1, tokens.len());
    let (first, last) = (start.saturating_sub(CONTEXT), (end + CONTEXT).min(n_tokens));
    let part = |from: usize, to: usize| -> Vec<String> {
        tokens.clone().skip(from).take(to.saturating_sub(from)).map(str::to_owned).collect()
    };
    Some(Suspicious {
        is_begin_cut: first > 0,
        before: part(first, start),
        span: part(start, end),
        after: part(end, last),
        is_end_cut: last < n_tokens,
        because: judge.explain(&dynamics.corpus.tokens, id).line(),
        distant: judge.assigned.get(at).map_or(String::new(), |&label| name(label)),
        predicted: judge.predicted(id).map(name),
        wrong: judge.metrics.trust.get(at).map(|&trust| 1.0 - trust),
        aum: judge.metrics.aum.get(at).copied(),
        decision: match decision {
            None | Some(Decision::Keep) => Override::Keep,
            Some(Decision::Remove) => Override::Remove,
            Some(Decision::Relabel(label)) => Override::Relabel(name(*label)),
        },
    })
}
