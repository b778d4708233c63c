//! Which spans are judged wrong: metrics, samples and sorted columns, computed once per window, from
//! which every change of a threshold is answered by a binary search.

use serde::{Deserialize, Serialize};

use crate::dynamics::{Dynamics, Negatives};
use crate::labels::{LabelId, O};
use crate::metrics::{Metrics, MetricsError, Window};
use crate::span::{SpanId, SpanIndex, TooManySpans};
use crate::threshold::{Action, Rule, SampleAums, Settings, Thresholds, may_relabel_negatives};

/// What is done with a span's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Decision {
    /// The label stays.
    Keep,
    /// The span leaves the training data.
    Remove,
    /// The span takes this label (possibly `O`).
    Relabel(LabelId),
}

/// The two sides that have thresholds of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// Distant label `O`.
    Negatives,
    /// Distant label an entity type.
    Positives,
}

/// Why dynamics cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// See [`TooManySpans`].
    #[error(transparent)]
    TooManySpans(#[from] TooManySpans),
    /// See [`MetricsError`].
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

/// The spans of one side in ascending order of AUM.
#[derive(Debug, Default)]
struct Ranking {
    aum: Vec<f32>,
    span: Vec<SpanId>,
}

impl Ranking {
    fn new(spans: impl Iterator<Item = SpanId>, aum: &[f32]) -> Self {
        // Order and id packed into one integer sort several times faster than pairs.
        let mut keys: Vec<u64> = spans
            .filter_map(|span| aum.get(span as usize).filter(|a| !a.is_nan()).map(|&a| sort_key(a, span)))
            .collect();
        keys.sort_unstable();
        let span: Vec<SpanId> = keys.iter().map(|&key| key as SpanId).collect();
        let aum = span.iter().map(|&s| aum[s as usize]).collect();
        Self { aum, span }
    }

    /// Spans whose AUM is below the threshold, ascending.
    fn below(&self, threshold: f32) -> &[SpanId] {
        &self.span[..self.aum.partition_point(|&a| a < threshold)]
    }

    /// Whether a span, whose AUM this is, is among them.
    fn contains(&self, span: SpanId, aum: f32) -> bool {
        let ties = self.aum.partition_point(|&a| a < aum)..self.aum.partition_point(|&a| a <= aum);
        self.span[ties].binary_search(&span).is_ok()
    }

    /// The spans that overlap no span of lower AUM that itself stays: non-maximum suppression.
    /// Who stays does not depend on any threshold, since only lower AUMs matter.
    fn without_overlaps(&self, index: &SpanIndex, n_sentences: usize) -> Self {
        let mut occupied: Vec<Vec<(u32, u32)>> = vec![Vec::new(); n_sentences];
        let mut kept = Self::default();
        for (&aum, &id) in self.aum.iter().zip(&self.span) {
            let Some(span) = index.span(id) else { continue };
            let Some(taken) = occupied.get_mut(span.sentence as usize) else { continue };
            if taken.iter().all(|&(start, end)| end < span.start || span.end < start) {
                taken.push((span.start, span.end));
                kept.aum.push(aum);
                kept.span.push(id);
            }
        }
        kept
    }
}

/// Sorts like (AUM ascending, span id ascending); −0 counts as 0.
fn sort_key(aum: f32, span: SpanId) -> u64 {
    let bits = (aum + 0.0).to_bits();
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(ordered) << 32 | u64::from(span)
}

/// Everything that a decision about any span of a dynamics file needs, for one window.
#[derive(Debug)]
pub struct Judge {
    /// The epochs looked at.
    pub window: Window,
    /// The enumeration.
    pub index: SpanIndex,
    /// Distant label of every span.
    pub assigned: Vec<LabelId>,
    /// Metrics of every span.
    pub metrics: Metrics,
    /// The threshold samples' AUM.
    pub samples: SampleAums,
    negatives_of_run: Negatives,
    negatives: Ranking,
    separate_negatives: Ranking,
    positives: Ranking,
}

impl Judge {
    /// Prepares the decisions about `dynamics` over `window`. O(n log n).
    ///
    /// # Errors
    /// When no epoch is inside the window, or there are too many spans to number.
    pub fn new(dynamics: &Dynamics, window: Window) -> Result<Self, JudgeError> {
        let index = dynamics.span_index()?;
        let assigned = dynamics.corpus.dense_labels(&index);
        Self::of(dynamics, index, assigned, window)
    }

    /// The automatic settings, changed as `adjust` does, and the judge over their window.
    ///
    /// # Errors
    /// As [`Judge::new`].
    pub fn automatic(dynamics: &Dynamics, adjust: impl FnOnce(&mut Settings)) -> Result<(Self, Settings), JudgeError> {
        let index = dynamics.span_index()?;
        let assigned = dynamics.corpus.dense_labels(&index);
        let mut settings = Settings::automatic(dynamics, &assigned);
        adjust(&mut settings);
        Ok((Self::of(dynamics, index, assigned, settings.window)?, settings))
    }

    fn of(dynamics: &Dynamics, index: SpanIndex, assigned: Vec<LabelId>, window: Window) -> Result<Self, JudgeError> {
        let metrics = Metrics::compute(&dynamics.run, &assigned, window)?;
        let samples = SampleAums::compute(dynamics, &assigned, window);
        let mut unknown: Vec<SpanId> = dynamics.corpus.unknown.iter().filter_map(|&s| index.id(s)).collect();
        unknown.sort_unstable();
        let known = |span: &SpanId| unknown.binary_search(span).is_err();
        let of_side = |is_positive: bool| {
            let spans = (0..).zip(&assigned).filter(move |&(_, &label)| (label != O) == is_positive);
            spans.map(|(span, _)| span).filter(known)
        };
        let negatives = Ranking::new(of_side(false), &metrics.aum);
        let separate_negatives = negatives.without_overlaps(&index, dynamics.corpus.n_sentences());
        let positives = Ranking::new(of_side(true), &metrics.aum);
        let negatives_of_run = dynamics.info.negatives;
        Ok(Self {
            window,
            index,
            assigned,
            metrics,
            samples,
            negatives_of_run,
            negatives,
            separate_negatives,
            positives,
        })
    }

    /// The side that a span is on.
    pub fn side(&self, span: SpanId) -> Side {
        match self.assigned.get(span as usize) {
            Some(&O) | None => Side::Negatives,
            Some(_) => Side::Positives,
        }
    }

    /// All rankable spans of a side, AUM ascending.
    pub fn ranked(&self, side: Side) -> &[SpanId] {
        match side {
            Side::Negatives => &self.negatives.span,
            Side::Positives => &self.positives.span,
        }
    }

    /// AUM of all rankable spans of a side, ascending.
    pub fn ranked_aum(&self, side: Side) -> &[f32] {
        match side {
            Side::Negatives => &self.negatives.aum,
            Side::Positives => &self.positives.aum,
        }
    }

    /// The thresholds that these settings give.
    ///
    /// Where an automatic threshold would judge more than half of a side wrong, the model has not
    /// learned that side (too few epochs, a window that begins too early), and its AUMs say nothing:
    /// the threshold is minus infinity, which judges none.
    pub fn thresholds(&self, settings: &Settings) -> Thresholds {
        let mut thresholds = self.samples.thresholds(settings);
        let sides = [
            (settings.negatives, &self.negatives, &mut thresholds.negatives),
            (settings.positives, &self.positives, &mut thresholds.positives),
        ];
        for (rule, ranking, threshold) in sides {
            if rule == Rule::Auto && 2 * ranking.below(*threshold).len() > ranking.span.len() {
                *threshold = f32::NEG_INFINITY;
            }
        }
        thresholds
    }

    /// Spans of a side that are judged wrong, AUM ascending.
    pub fn judged_wrong(&self, side: Side, settings: &Settings) -> &[SpanId] {
        self.judgeable(side, settings).below(self.thresholds(settings).of(side))
    }

    /// The spans of a side that could be judged wrong, were the threshold high enough.
    fn judgeable(&self, side: Side, settings: &Settings) -> &Ranking {
        match side {
            Side::Negatives if settings.overlap_suppression => &self.separate_negatives,
            Side::Negatives => &self.negatives,
            Side::Positives => &self.positives,
        }
    }

    /// What these settings decide about one span: the same as [`Judge::judged_wrong`] and
    /// [`Judge::verdict`] do about all.
    pub fn decide(&self, span: SpanId, settings: &Settings) -> Decision {
        let side = self.side(span);
        match self.metrics.aum.get(span as usize) {
            Some(&aum)
                if aum < self.thresholds(settings).of(side) && self.judgeable(side, settings).contains(span, aum) =>
            {
                self.verdict(span, settings)
            }
            _ => Decision::Keep,
        }
    }

    /// What happens to a span that is judged wrong.
    pub fn verdict(&self, span: SpanId, settings: &Settings) -> Decision {
        let at = span as usize;
        let may_relabel = settings.action == Action::Relabel
            && (self.side(span) == Side::Positives || may_relabel_negatives(self.negatives_of_run));
        match (self.metrics.predicted.get(at), self.metrics.predicted_probability.get(at), self.assigned.get(at)) {
            (Some(&predicted), Some(&probability), Some(&label))
                if may_relabel && predicted != label && probability >= settings.relabel_probability =>
            {
                Decision::Relabel(predicted)
            }
            _ => Decision::Remove,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamics::{EpochLogits, Precision, Run, RunInfo};
    use crate::formats::dynclean_json;

    #[test]
    fn keys_sort_like_numbers() {
        let mut values = [-1e30, -2.5, -1.0, -0.0, 0.0, 1e-40, 3.5, 1e30];
        values.sort_by_key(|&v| sort_key(v, 0));
        assert_eq!(values.map(|v: f32| v + 0.0), [-1e30, -2.5, -1.0, 0.0, 0.0, 1e-40, 3.5, 1e30]);
        assert!(sort_key(-0.0, 2) > sort_key(0.0, 1));
    }

    /// One sentence of three tokens; logit of the only type per span, O at 0.
    fn judge(logits: [f32; 6], unknown: &str) -> Judge {
        let json = format!(r#"[{{"tokens": ["a", "b", "c"], "entities": [[2, 2, "X"]], "unknown": {unknown}}}]"#);
        let corpus = dynclean_json::read(json.as_bytes()).unwrap();
        let rows: Vec<f32> = logits.iter().flat_map(|&z| [0.0, z]).collect();
        let dynamics = Dynamics {
            info: RunInfo { max_span_width: 8, ..RunInfo::default() },
            corpus,
            gold: None,
            run: Run { epochs: vec![EpochLogits::from_rows(&rows, 1, Precision::F32).unwrap()], scores: vec![] },
            threshold_run: None,
            complete: true,
        };
        Judge::new(&dynamics, Window::first_epochs(1)).unwrap()
    }

    fn settings(overlap_suppression: bool) -> Settings {
        Settings { negatives: Rule::Fixed(0.0), positives: Rule::Fixed(0.0), overlap_suppression, ..Settings::paper() }
    }

    #[test]
    fn the_most_suspicious_of_overlapping_negatives_stays() {
        // Spans: 0 [0,0], 1 [0,1], 2 [0,2], 3 [1,1], 4 [1,2], 5 [2,2] (the positive).
        let judge = judge([1.0, 3.0, 2.0, -1.0, 2.5, -4.0], "[]");
        assert_eq!(judge.judged_wrong(Side::Negatives, &settings(false)), [1, 4, 2, 0]);
        assert_eq!(judge.judged_wrong(Side::Negatives, &settings(true)), [1]);
        assert_eq!(judge.judged_wrong(Side::Positives, &settings(true)), [5]);
    }

    #[test]
    fn one_span_is_decided_as_all_are() {
        let judge = judge([1.0, 1.0, f32::NAN, 1.0, 2.5, -4.0], "[[1, 2]]");
        for suppression in [false, true] {
            for action in [Action::Remove, Action::Relabel] {
                let settings = Settings { action, ..settings(suppression) };
                for side in [Side::Negatives, Side::Positives] {
                    let judged = judge.judged_wrong(side, &settings);
                    for span in (0..6).filter(|&s| judge.side(s) == side) {
                        let expected =
                            if judged.contains(&span) { judge.verdict(span, &settings) } else { Decision::Keep };
                        assert_eq!(judge.decide(span, &settings), expected, "span {span}, {settings:?}");
                    }
                }
            }
        }
        assert_eq!(judge.decide(99, &settings(true)), Decision::Keep);
    }

    #[test]
    fn unknown_and_flagged_spans_are_not_judged() {
        let judge = judge([1.0, 3.0, f32::NAN, -1.0, -2.5, 4.0], "[[0, 1]]");
        assert_eq!(judge.judged_wrong(Side::Negatives, &settings(false)), [0]);
        assert!(judge.metrics.is_flagged(2));
    }

    #[test]
    fn a_side_that_was_not_learned_is_not_judged_automatically() {
        let automatic = Settings { negatives: Rule::Auto, positives: Rule::Auto, ..settings(false) };
        // The only positive has a negative AUM: the model has not learned positives.
        let judge = judge([1.0, -3.0, -2.0, -1.0, -2.5, -4.0], "[]");
        assert_eq!(judge.thresholds(&automatic).positives, f32::NEG_INFINITY);
        assert!(judge.judged_wrong(Side::Positives, &automatic).is_empty());
        assert_eq!(judge.judged_wrong(Side::Negatives, &automatic), [0]);
        assert_eq!(judge.judged_wrong(Side::Positives, &settings(false)), [5], "a fixed threshold is obeyed");
    }

    #[test]
    fn relabelling_needs_confidence_and_leaves_top_negatives_alone() {
        let judge = judge([1.0, 3.0, 2.0, -1.0, 2.5, -0.1], "[]");
        let relabel = Settings { action: Action::Relabel, ..settings(true) };
        assert_eq!(judge.verdict(5, &relabel), Decision::Relabel(O));
        assert_eq!(judge.verdict(5, &Settings { relabel_probability: 0.9, ..relabel }), Decision::Remove);
        assert_eq!(judge.verdict(1, &relabel), Decision::Remove, "top-negatives run");
        assert_eq!(judge.verdict(5, &settings(true)), Decision::Remove);
    }
}
