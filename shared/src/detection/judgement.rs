//! Applies settings to a judge: thresholds and the decisions about spans.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::judge::Judge;
use super::ranking::Ascending;
use super::threshold::{
    Action, Automatic, Basis, MIN_SAMPLES, Metric, Rule, Settings, Threshold, Thresholds, quantile_threshold,
};
use crate::corpus::decision::{Decision, Side};
use crate::corpus::labels::{LabelId, O};
use crate::corpus::span::{Span, SpanId};
use crate::exp::exp_nonpositive;
use crate::metrics::Prediction;
use crate::recording::dynamics::Negatives;

impl Judge {
    /// Applies these settings. Their window and metric must be the judge's.
    pub fn under<'a>(&'a self, settings: &'a Settings) -> Judgement<'a> {
        Judgement::new(self, settings)
    }
}

/// The decisions that settings give. The thresholds are computed once, with a few binary searches.
#[derive(Debug)]
pub struct Judgement<'a> {
    judge: &'a Judge,
    settings: &'a Settings,
    thresholds: Thresholds,
    /// The threshold of every label, `O` first.
    by_label: Vec<f32>,
}

impl<'a> Judgement<'a> {
    fn new(judge: &'a Judge, settings: &'a Settings) -> Self {
        let side = |side: Side, rule: Rule| {
            let quantile = |q| judge.samples.quantile(side, q);
            let ranking = judge.by_metric(&judge.group(side, settings).ranking);
            threshold(judge.metric, side, rule, ranking, quantile, || Some(judge.estimate(side, settings)))
        };
        let mut thresholds = Thresholds {
            negatives: side(Side::Negatives, settings.negatives),
            positives: side(Side::Positives, settings.positives),
            classes: Default::default(),
        };
        let mut by_label = vec![thresholds.negatives.value];
        for (label, (name, group)) in (1..).zip(judge.labels.types().iter().zip(&judge.types)) {
            let own_rule = settings.classes.get(name);
            let threshold = if own_rule.is_none() && !settings.per_class {
                thresholds.positives
            } else {
                let ranking = judge.by_metric(&group.ranking);
                let found = type_threshold(judge, label, ranking, *own_rule.unwrap_or(&settings.positives));
                let found = found.unwrap_or(Threshold { basis: Basis::AllPositives, ..thresholds.positives });
                thresholds.classes.insert(name.clone(), found);
                found
            };
            by_label.push(threshold.value);
        }
        Self { judge, settings, thresholds, by_label }
    }

    /// The judge.
    pub fn judge(&self) -> &'a Judge {
        self.judge
    }

    /// The settings.
    pub fn settings(&self) -> &'a Settings {
        self.settings
    }

    /// The thresholds.
    pub fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// The estimate from the threshold samples of a side.
    pub fn estimate(&self, side: Side) -> &'a Automatic {
        self.judge.estimate(side, self.settings)
    }

    /// Index of the list in [`Judge::negatives`] that these settings judge.
    pub fn negatives_judged(&self) -> usize {
        match self.settings {
            Settings { overlap_suppression: false, .. } => 0,
            Settings { dictionary_check: true, .. } => 1,
            Settings { dictionary_check: false, .. } => 2,
        }
    }

    /// The threshold of a label; minus infinity if the label does not exist.
    pub fn threshold(&self, label: LabelId) -> f32 {
        self.by_label.get(usize::from(label)).copied().unwrap_or(f32::NEG_INFINITY)
    }

    /// The spans of a side that are judged wrong, in ascending order of the metric.
    pub fn judged_wrong(&self, side: Side) -> Cow<'a, [SpanId]> {
        let ranking = self.judgeable(side);
        let (lowest, highest) = match (side, self.by_label.get(1..)) {
            (Side::Positives, Some(types)) => types
                .iter()
                .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &value| (low.min(value), high.max(value))),
            _ => (self.threshold(O), self.threshold(O)),
        };
        let below = ranking.below(highest);
        if lowest >= highest {
            return Cow::Borrowed(below);
        }
        let label = |span: SpanId| self.judge.assigned.get(span as usize).copied().unwrap_or(O);
        let is_judged = |span: &SpanId| self.judge.value(*span) < self.threshold(label(*span));
        Cow::Owned(below.iter().copied().filter(is_judged).collect())
    }

    /// The spans of a side that are judged wrong or that annotated sentences contradict, in ascending order of the
    /// metric.
    pub fn changed(&self, side: Side) -> Cow<'a, [SpanId]> {
        let judged = self.judged_wrong(side);
        let is_new = |&span: &SpanId| {
            self.judge.side(span) == side
                && self.judge.value(span).is_finite()
                && self.by_threshold(span) == Decision::Keep
        };
        let contradicted: Vec<SpanId> = self.contradicted().keys().copied().filter(is_new).collect();
        if contradicted.is_empty() {
            return judged;
        }
        let mut all = [judged.as_ref(), &contradicted].concat();
        all.sort_unstable();
        Cow::Owned(lanes::ranked(all, self.judge.metric.column(&self.judge.metrics)))
    }

    /// Decisions about the spans of contradicted dictionary entries; empty if the settings do not use this check.
    pub fn contradicted(&self) -> &'a BTreeMap<SpanId, Decision> {
        static NONE: BTreeMap<SpanId, Decision> = BTreeMap::new();
        if self.settings.dictionary_check { &self.judge.contradicted } else { &NONE }
    }

    /// Returns all decisions, in no particular order. Decisions by hand overrule annotated sentences, and
    /// annotated sentences overrule the thresholds. All other spans keep their labels.
    pub fn decided(&self, by_hand: &BTreeMap<SpanId, Decision>) -> Vec<(SpanId, Decision)> {
        let contradicted = self.contradicted();
        let mut decided: Vec<(SpanId, Decision)> = Vec::new();
        for side in Side::BOTH {
            let stands = |span: &&SpanId| !contradicted.contains_key(span) && !by_hand.contains_key(span);
            decided.extend(self.judged_wrong(side).iter().filter(stands).map(|&span| (span, self.verdict(span))));
        }
        let overruling = contradicted.iter().filter(|(span, _)| !by_hand.contains_key(span)).chain(by_hand);
        decided.extend(overruling.map(|(&span, &decision)| (span, decision)));
        decided
    }

    /// The spans of a side that could be judged wrong, the most suspicious first, in two lists: those that
    /// annotated sentences contradict, then the others. Both are in ascending order of the metric.
    pub(crate) fn by_suspicion(&self, side: Side) -> [Cow<'a, [SpanId]>; 2] {
        match side {
            Side::Positives if !self.contradicted().is_empty() => self.judge.contradicted_first().map(Cow::Owned),
            side => [Cow::Borrowed(&[]), Cow::Borrowed(self.judgeable(side).spans())],
        }
    }

    /// Number of spans with this label that are judged wrong.
    pub fn count(&self, label: LabelId) -> usize {
        self.group(label).map_or(0, |ranking| ranking.below(self.threshold(label)).len())
    }

    fn group(&self, label: LabelId) -> Option<Ascending<'a>> {
        match usize::from(label).checked_sub(1) {
            None => Some(self.judgeable(Side::Negatives)),
            Some(at) => self.judge.types.get(at).map(|group| self.judge.by_metric(&group.ranking)),
        }
    }

    /// The spans of a side that would be judged wrong if the threshold were high enough.
    fn judgeable(&self, side: Side) -> Ascending<'a> {
        self.judge.by_metric(&self.judge.group(side, self.settings).ranking)
    }

    /// The decision about one span, by annotated sentences or by threshold.
    pub fn decide(&self, span: SpanId) -> Decision {
        self.contradicted().get(&span).copied().unwrap_or_else(|| self.by_threshold(span))
    }

    /// The decision about one span by the thresholds alone. It agrees with [`Judgement::judged_wrong`] and
    /// [`Judgement::verdict`].
    pub fn by_threshold(&self, span: SpanId) -> Decision {
        let (value, side) = (self.judge.value(span), self.judge.side(span));
        let label = self.judge.assigned.get(span as usize).copied().unwrap_or(O);
        if value < self.threshold(label) && self.judgeable(side).contains(span, value) {
            self.verdict(span)
        } else {
            Decision::Keep
        }
    }

    /// The decision about a span that is judged wrong: remove or relabel.
    pub fn verdict(&self, span: SpanId) -> Decision {
        let judge = self.judge;
        let may_relabel = self.settings.action == Action::Relabel
            && match judge.side(span) {
                Side::Positives => true,
                Side::Negatives => self.may_become_entity(span),
            };
        let other = if judge.metric == Metric::Trust {
            self.most_probable_other(span)
        } else {
            let predicted =
                judge.predicted(span).filter(|predicted| Some(predicted) != judge.assigned.get(span as usize));
            predicted.zip(judge.prediction(span).map(|prediction| prediction.probability()))
        };
        match other {
            Some((label, probability)) if may_relabel && probability >= self.settings.relabel_probability => {
                Decision::Relabel(label)
            }
            _ => Decision::Remove,
        }
    }

    /// Whether a span labelled `O` may become an entity. In a corpus without overlapping entities, it must not
    /// overlap an entity that stays, nor a more suspicious negative that may become one.
    fn may_become_entity(&self, span: SpanId) -> bool {
        let judge = self.judge;
        let Some(place) = judge.index.span(span) else { return false };
        let stays_entity = |entity: Span| {
            // An entity wider than the candidates has no id and always stays.
            let decision = judge.index.id(entity).map_or(Decision::Keep, |id| self.decide(id));
            !matches!(decision, Decision::Remove | Decision::Relabel(O))
        };
        // A run that saw only the top negatives predicts far too many entities, and most of them overlap an
        // entity. Relabelling is safe only if overlap suppression or the text (by trust) has ruled those out.
        let is_safe = self.settings.overlap_suppression
            || judge.metric == Metric::Trust
            || judge.negatives_of_run == Negatives::All;
        let most_suspicious = || {
            let ranking = &judge.missed(self.settings.dictionary_check).ranking;
            judge.by_metric(ranking).contains(span, judge.value(span))
        };
        is_safe && judge.overlapped(place).is_none_or(|mut entities| most_suspicious() && !entities.any(stays_entity))
    }

    /// Returns the most probable label apart from the span's own, and its probability. This is the probability that the
    /// own label is wrong, times the share of the other label among all others. Returns `None` if the model's
    /// probabilities are not known.
    ///
    /// The share comes from the model. If the text speaks against an entity with these boundaries, the odds of `O`
    /// against all types are raised.
    pub fn most_probable_other(&self, span: SpanId) -> Option<(LabelId, f32)> {
        let wrong = 1.0 - *self.judge.metrics.trust.get(span as usize)?;
        let Prediction { own, other: label, other_probability } = self.judge.prediction(span)?;
        let share = (other_probability / (1.0 - own).max(f32::MIN_POSITIVE)).min(1.0);
        let against = self.judge.text_against(span);
        let (label, share) = if against > 0.0 {
            // If the likeliest other label is a type, nearly all of the rest belongs to `O`.
            let no_entity = if label == O { share } else { 1.0 - share };
            let types = (1.0 - no_entity) * exp_nonpositive(-against);
            let no_entity = no_entity / (no_entity + types).max(f32::MIN_POSITIVE);
            if label == O || no_entity >= 0.5 { (O, no_entity) } else { (label, 1.0 - no_entity) }
        } else {
            (label, share)
        };
        Some((label, wrong * share)).filter(|(_, probability)| probability.is_finite())
    }
}

/// The threshold that a rule gives a group of spans. `quantile` returns a quantile of the group's samples.
fn threshold<'a>(
    metric: Metric,
    side: Side,
    rule: Rule,
    ranking: Ascending,
    quantile: impl Fn(f32) -> Threshold,
    estimate: impl Fn() -> Option<&'a Automatic>,
) -> Threshold {
    match rule {
        Rule::Fixed(value) => Threshold { value, interval: None, basis: Basis::Given },
        Rule::Keep => Threshold::none(Basis::Kept),
        Rule::Quantile(q) => quantile(q),
        Rule::Auto => {
            let natural = Threshold { value: metric.natural_threshold(), interval: None, basis: Basis::Natural };
            if metric == Metric::Trust {
                // A probability needs no estimated threshold. And more than half of a side may be wrong, so
                // nothing checks for that.
                return match side {
                    Side::Positives => Threshold { basis: Basis::Probability, ..natural },
                    Side::Negatives => Threshold { value: half_missed(ranking), basis: Basis::HalfMissed, ..natural },
                };
            }
            let estimated = estimate().and_then(|estimate| estimate.threshold).map(|(value, interval)| Threshold {
                value,
                interval: Some(interval),
                basis: Basis::Estimate,
            });
            // A threshold that judges more than half of a group shows that the model has not learned the group:
            // too few epochs, or a window that begins too early.
            let is_learned = |t: &Threshold| 2 * ranking.below(t.value).len() <= ranking.len();
            estimated.into_iter().chain([natural]).find(is_learned).unwrap_or(Threshold::none(Basis::NotLearned))
        }
    }
}

/// `O` spans with at least this trust are not judged automatically.
const TRUSTED_NEGATIVE: f32 = 0.8;

/// The automatic trust threshold of `O` spans. It rises as long as at least half of the spans below it are
/// expected to be missed entities, but not above [`TRUSTED_NEGATIVE`]. A missed entity that stays costs more than
/// an `O` span that is left out, so a single span below it may be more likely right than wrong. But if most of the
/// spans left out are `O`, the model finds entities everywhere.
fn half_missed(ranking: Ascending) -> f32 {
    let mut missed = 0.0;
    for n in 0..ranking.len() {
        let Some(trust) = ranking.value(n).filter(|&trust| trust < TRUSTED_NEGATIVE) else { break };
        missed += 1.0 - f64::from(trust);
        if 2.0 * missed < (n + 1) as f64 {
            return trust;
        }
    }
    TRUSTED_NEGATIVE
}

/// The own threshold of a type; `None` if the type has too few samples.
fn type_threshold(judge: &Judge, label: LabelId, ranking: Ascending, rule: Rule) -> Option<Threshold> {
    let mut descending: Vec<f32> = Vec::new();
    let needs_samples = match rule {
        Rule::Fixed(_) | Rule::Keep => false,
        Rule::Auto => judge.metric != Metric::Trust,
        Rule::Quantile(_) => true,
    };
    if needs_samples {
        descending.extend(judge.samples.of_label(label).map(|s| s.given));
        if descending.len() < MIN_SAMPLES {
            return None;
        }
        descending.sort_by(f32::total_cmp);
        descending.reverse();
    }
    let quantile = |q| quantile_threshold(&descending, q);
    Some(threshold(judge.metric, Side::Positives, rule, ranking, quantile, || judge.type_estimate(label)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::dynclean_json;
    use crate::metrics::Window;
    use crate::recording::dictionary::Entry;
    use crate::recording::dynamics::{Dynamics, EpochLogits, Precision, Run, SampleScheme, ThresholdRun};

    /// One sentence of three tokens. `logits` has the only type's logit for each span; the logit of `O` is 0.
    fn judge(logits: [f32; 6], unknown: &str) -> Judge {
        let json = format!(r#"[{{"tokens": ["a", "b", "c"], "entities": [[2, 2, "X"]], "unknown": {unknown}}}]"#);
        let corpus = dynclean_json::read(json.as_bytes()).unwrap();
        let rows: Vec<f32> = logits.iter().flat_map(|&z| [0.0, z]).collect();
        let dynamics = Dynamics::of_one_epoch(corpus, &rows);
        Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap()
    }

    /// The entry "b" with label X, contradicted.
    fn against_b(becomes: Option<&str>) -> Entry {
        let becomes = becomes.map(str::to_owned);
        Entry { words: "b".into(), label: "X".into(), spans: 1, annotated: 9, agreeing: 0, becomes }
    }

    fn settings(overlap_suppression: bool) -> Settings {
        Settings { negatives: Rule::Fixed(0.0), positives: Rule::Fixed(0.0), overlap_suppression, ..Settings::paper() }
    }

    #[test]
    fn the_most_suspicious_of_overlapping_negatives_stays() {
        // Spans: 0 [0,0], 1 [0,1], 2 [0,2], 3 [1,1], 4 [1,2], 5 [2,2] (the positive).
        let judge = judge([1.0, 3.0, 2.0, -1.0, 2.5, -4.0], "[]");
        assert_eq!(*judge.under(&settings(false)).judged_wrong(Side::Negatives), [1, 4, 2, 0]);
        assert_eq!(*judge.under(&settings(true)).judged_wrong(Side::Negatives), [1]);
        assert_eq!(*judge.under(&settings(true)).judged_wrong(Side::Positives), [5]);
    }

    #[test]
    fn no_entity_is_missed_where_one_is_learned() {
        // [0,1] is the most suspicious, but [1,1] is an entity with an AUM of 2. With −0.5, the model resists that
        // entity.
        let heeding = |dictionary_check| Settings { dictionary_check, ..settings(true) };
        let suspicious = |positive: f32, contradicted: Option<&str>| {
            let json = r#"[{"tokens": ["a", "b", "c"], "entities": [[1, 1, "X"]]}]"#;
            let corpus = dynclean_json::read(json.as_bytes()).unwrap();
            let rows: Vec<f32> = [1.0, 3.0, 2.0, positive, 2.5, 0.5].iter().flat_map(|&z| [0.0, z]).collect();
            let mut dynamics = Dynamics::of_one_epoch(corpus, &rows);
            dynamics.contradicted = contradicted.map(|becomes| against_b(Some(becomes))).into_iter().collect();
            let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
            let judged = |check| judge.under(&heeding(check)).judged_wrong(Side::Negatives).into_owned();
            assert_eq!(judged(false), if positive < 0.0 { [1, 5] } else { [0, 5] }, "whatever dev says");
            judged(true)
        };
        assert_eq!(suspicious(2.0, None), [0, 5]);
        assert_eq!(suspicious(0.0, None), [0, 5]);
        assert_eq!(suspicious(-0.5, None), [1, 5]);
        assert_eq!(suspicious(2.0, Some("O")), [1, 5]);
        assert_eq!(suspicious(2.0, Some("X")), [0, 5]);
    }

    #[test]
    fn words_that_are_no_entity_are_not_missed_ones() {
        // "b" is labelled in one place and not in the other. Dev says that "b" is no entity.
        let json = r#"[{"tokens": ["b"], "entities": [[0, 0, "X"]]}, {"tokens": ["a", "b"], "entities": []}]"#;
        let mut dynamics = Dynamics::of_one_epoch(
            dynclean_json::read(json.as_bytes()).unwrap(),
            &[4.0, 1.0, 2.0, 3.0].map(|z| [0.0, z]).concat(),
        );
        let judged = |dynamics: &Dynamics| {
            let judge = Judge::new(dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
            let judged = |dictionary_check| {
                let settings = Settings { dictionary_check, ..settings(true) };
                judge.under(&settings).judged_wrong(Side::Negatives).into_owned()
            };
            assert_eq!(judged(false), [3, 1], "whatever dev says");
            judged(true)
        };
        // Spans: 1 "a", 2 "a b", 3 "b".
        assert_eq!(judged(&dynamics), [3, 1]);
        dynamics.contradicted = vec![against_b(Some("O"))];
        assert_eq!(judged(&dynamics), [2]);
        dynamics.contradicted = vec![against_b(None)];
        assert_eq!(judged(&dynamics), [3, 1], "what they are is not clear");
    }

    #[test]
    fn one_span_is_decided_as_all_are() {
        let judge = judge([1.0, 1.0, f32::NAN, 1.0, 2.5, -4.0], "[[1, 2]]");
        for suppression in [false, true] {
            for action in [Action::Remove, Action::Relabel] {
                let settings = Settings { action, ..settings(suppression) };
                for side in [Side::Negatives, Side::Positives] {
                    let judged = judge.under(&settings).judged_wrong(side);
                    for span in (0..6).filter(|&s| judge.side(s) == side) {
                        let expected =
                            if judged.contains(&span) { judge.under(&settings).verdict(span) } else { Decision::Keep };
                        assert_eq!(judge.under(&settings).decide(span), expected, "span {span}, {settings:?}");
                    }
                }
            }
        }
        assert_eq!(judge.under(&settings(true)).decide(99), Decision::Keep);
    }

    #[test]
    fn unknown_and_flagged_spans_are_not_judged() {
        let judge = judge([1.0, 3.0, f32::NAN, -1.0, -2.5, 4.0], "[[0, 1]]");
        assert_eq!(*judge.under(&settings(false)).judged_wrong(Side::Negatives), [0]);
        assert!(judge.metrics.is_flagged(2));
    }

    #[test]
    fn a_side_that_was_not_learned_is_not_judged_automatically() {
        let automatic = Settings { negatives: Rule::Auto, positives: Rule::Auto, ..settings(false) };
        // The only positive has a negative AUM: the model has not learned positives.
        let judge = judge([1.0, -3.0, -2.0, -1.0, -2.5, -4.0], "[]");
        assert_eq!(judge.under(&automatic).thresholds().positives, Threshold::none(Basis::NotLearned));
        assert!(judge.under(&automatic).judged_wrong(Side::Positives).is_empty());
        assert_eq!(*judge.under(&automatic).judged_wrong(Side::Negatives), [0]);
        assert_eq!(*judge.under(&settings(false)).judged_wrong(Side::Positives), [5], "a fixed threshold is obeyed");
        let kept = Settings { negatives: Rule::Keep, positives: Rule::Keep, per_class: true, ..settings(false) };
        let judgement = judge.under(&kept);
        let thresholds = [judgement.thresholds().positives, judgement.thresholds().classes["X"]];
        assert!(thresholds.iter().all(|t| (t.value, t.basis) == (f32::NEG_INFINITY, Basis::Kept)));
        assert!(Side::BOTH.iter().all(|&side| judgement.judged_wrong(side).is_empty()));
    }

    #[test]
    fn what_the_samples_say_is_about_the_spans_that_are_judged() {
        // 100 sentences of two tokens, all `O`. In 60 of them the model finds an entity: at both tokens (−1), and
        // at the first (−.5). With overlap suppression only [0,1] is judged in each: 60 of 100 are suspicious;
        // without it 120 of 300.
        let json = format!(r#"[{}, {{"tokens": ["c"], "entities": [[0, 0, "X"]]}}]"#, {
            vec![r#"{"tokens": ["a", "b"], "entities": []}"#; 100].join(",")
        });
        let aum = |sentence: usize| if sentence < 60 { [-0.5, -1.0, 5.0] } else { [5.0, 4.0, 6.0] };
        let rows: Vec<f32> = (0..100).flat_map(aum).flat_map(|aum| [0.0, -aum]).chain([0.0, 9.0]).collect();
        let mut dynamics = Dynamics::of_one_epoch(dynclean_json::read(json.as_bytes()).unwrap(), &rows);
        // 40 samples that were given the label X; their AUM is −1 or −.5.
        let of_samples: Vec<f32> = (0..40).flat_map(|i| [0.0, if i < 20 { -1.0 } else { -0.5 }]).collect();
        let epoch = EpochLogits::from_rows(&of_samples, 1, Precision::F32).unwrap();
        dynamics.threshold_run = Some(ThresholdRun {
            scheme: SampleScheme::RandomOther,
            spans: (0..40).map(|i| 180 + i * 3).collect(),
            assigned: vec![1; 40],
            run: Run { epochs: vec![epoch], scores: vec![] },
        });
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
        for (overlap_suppression, wrong, basis) in [(true, 60.0, Basis::NotLearned), (false, 120.0, Basis::Natural)] {
            let automatic = Settings { negatives: Rule::Auto, ..settings(overlap_suppression) };
            let judgement = judge.under(&automatic);
            assert_eq!(judgement.estimate(Side::Negatives).wrong.unwrap().number, wrong);
            // No positive sample is held out, so the automatic threshold is the natural one.
            assert_eq!(judgement.thresholds().negatives.basis, basis, "{overlap_suppression}");
        }
    }

    #[test]
    fn at_least_half_of_the_spans_left_out_are_expected_to_be_missed() {
        let up_to = |trust: &[f32]| {
            let spans: Vec<SpanId> = (0..trust.len() as u32).collect();
            half_missed(Ascending::of_sorted(&spans, trust))
        };
        // The probabilities of being missed are .9, .6, .4, .3 and .25; their running means are .9, .75, .63, .55
        // and .49.
        assert_eq!(up_to(&[0.1, 0.4, 0.6, 0.7, 0.75, 0.9]), 0.75);
        // Exactly half is enough.
        assert_eq!(up_to(&[0.25, 0.75, 0.79]), 0.79);
        // Many that are surely missed do not make up for one that is surely right.
        assert_eq!(up_to(&[0.1, 0.1, 0.1, 0.1, 0.85, 0.9]), TRUSTED_NEGATIVE);
        assert_eq!(up_to(&[0.6, 0.7]), 0.6, "none is judged");
        assert_eq!(up_to(&[]), TRUSTED_NEGATIVE);
    }

    #[test]
    fn relabelling_needs_confidence_and_negatives_that_may_be_entities() {
        let judge = judge([1.0, 3.0, 2.0, -1.0, 2.5, -0.1], "[]");
        let relabel = Settings { action: Action::Relabel, ..settings(true) };
        assert_eq!(judge.under(&relabel).verdict(5), Decision::Relabel(O));
        assert_eq!(judge.under(&Settings { relabel_probability: 0.9, ..relabel.clone() }).verdict(5), Decision::Remove);
        assert_eq!(judge.under(&relabel).verdict(1), Decision::Relabel(1));
        let with_overlaps = Settings { overlap_suppression: false, ..relabel };
        assert_eq!(judge.under(&with_overlaps).verdict(1), Decision::Remove, "top-negatives run");
        assert_eq!(judge.under(&settings(true)).verdict(5), Decision::Remove);
    }

    #[test]
    fn what_the_text_says_against_an_entity_speaks_for_no_entity() {
        // *States*: the model prefers Y to the given label X. Among the other labels, `O` is the likeliest.
        let json = r#"[{"tokens": ["the", "United", "States"], "entities": [[2, 2, "X"]]},
                       {"tokens": ["the", "b"], "entities": [[1, 1, "Y"]]}]"#;
        let corpus = dynclean_json::read(json.as_bytes()).unwrap();
        let of_sentence = |y: f32| [[0.0f32; 3]; 5].concat().into_iter().chain([0.0, -1.0, y]);
        let rows: Vec<f32> = of_sentence(1.0).chain([0.0; 9]).collect();
        let judge = Judge::new(&Dynamics::of_one_epoch(corpus, &rows), Window::first_epochs(1), Metric::Trust).unwrap();
        let settings = Settings { metric: Metric::Trust, ..settings(false) };
        let other = |judge: &Judge| judge.under(&settings).most_probable_other(5).unwrap();
        // O : Y = 1 : e. One run of R = 10/11, so the text gives e^(2.8·10/11) against Y. C does not count for
        // entities.
        let share = 1.0 / (1.0 + (1.0 - 28.0 / 11.0f64).exp());
        let wrong = 1.0 - f64::from(judge.value(5));
        let (label, probability) = other(&judge);
        assert_eq!(label, O);
        assert!((f64::from(probability) - wrong * share).abs() < 1e-6, "{probability} {wrong} {share}");
        // Without capitals only the model says which other label is likely: Y, with e / (1 + e).
        let json = json.replace("United", "united").replace("States", "states");
        let corpus = dynclean_json::read(json.as_bytes()).unwrap();
        let judge = Judge::new(&Dynamics::of_one_epoch(corpus, &rows), Window::first_epochs(1), Metric::Trust).unwrap();
        let (wrong, e) = (1.0 - f64::from(judge.value(5)), std::f64::consts::E);
        let (label, probability) = other(&judge);
        assert_eq!(label, 2);
        assert!((f64::from(probability) - wrong * e / (1.0 + e)).abs() < 1e-6, "{probability} {wrong}");
    }

    #[test]
    fn types_can_have_thresholds_of_their_own() {
        // Positives: [0,0] X at 0.5, [1,1] Y at 0.5, [2,2] X at −1. Span ids 0, 3, 5.
        let json = r#"[{"tokens": ["a", "b", "c"], "entities": [[0, 0, "X"], [1, 1, "Y"], [2, 2, "X"]]}]"#;
        let logits = [[0.5, -9.0], [-9.0; 2], [-9.0; 2], [-9.0, 0.5], [-9.0; 2], [-1.0, -9.0]];
        let rows: Vec<f32> = logits.iter().flat_map(|&[x, y]| [0.0, x, y]).collect();
        let dynamics = Dynamics::of_one_epoch(dynclean_json::read(json.as_bytes()).unwrap(), &rows);
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
        let mut settings = settings(true);
        settings.classes = [("Y".to_owned(), Rule::Fixed(1.0))].into();
        let judgement = judge.under(&settings);
        assert_eq!(*judgement.judged_wrong(Side::Positives), [5, 3]);
        assert_eq!([judgement.count(O), judgement.count(1), judgement.count(2)], [0, 1, 1]);
        assert_eq!(judgement.decide(0), Decision::Keep);
        assert_eq!(judgement.decide(3), Decision::Remove);
        // A type without samples of its own takes the threshold of all positives.
        settings.classes.clear();
        settings.per_class = true;
        settings.positives = Rule::Auto;
        let judgement = judge.under(&settings);
        let expected = Threshold { value: 0.0, interval: None, basis: Basis::AllPositives };
        assert_eq!(judgement.thresholds().classes["X"], expected);
        assert_eq!(*judgement.judged_wrong(Side::Positives), [5]);
        // By confidence: the probability of Y at [1,1] is e^0.5 / (1 + e^0.5 + e^−9) = .622.
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Confidence).unwrap();
        assert_eq!(*judge.under(&settings).judged_wrong(Side::Positives), [5]);
        let high = Settings { positives: Rule::Fixed(0.63), per_class: false, ..settings };
        assert_eq!(*judge.under(&high).judged_wrong(Side::Positives), [5, 0, 3]);
    }
}
