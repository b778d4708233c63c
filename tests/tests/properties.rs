//! Invariants over random runs: metrics, enumeration, the `.dyn` file, judging and cleaning.

use std::collections::BTreeMap;

use explorer::tally::Tally;
use proptest::prelude::*;
use shared::cleaning::{CleaningSummary, Decisions, Override, clean};
use shared::corpus::decision::{Decision, Side};
use shared::corpus::labels::{LabelId, LabelSet, O};
use shared::corpus::span::{self, SpanId, SpanIndex};
use shared::corpus::{Corpus, Entity, TokenTable};
use shared::detection::judge::Judge;
use shared::detection::threshold::{Action, Metric, Rule, Settings};
use shared::evaluation::quality::detect;
use shared::evaluation::score::Prf;
use shared::formats::{Layout, dynclean_json};
use shared::metrics::{Metrics, Window, mean_distribution};
use shared::recording::dictionary::Entry;
use shared::recording::dyn_file;
use shared::recording::dynamics::{
    Dynamics, EpochLogits, EpochScore, Negatives, Precision, Run, RunInfo, SampleScheme, ThresholdRun,
};

/// Logits as rows, by epoch. They are multiples of 1/8, so that sums and half precision are exact.
#[derive(Debug, Clone)]
struct Logits {
    n_types: usize,
    epochs: Vec<Vec<f32>>,
}

impl Logits {
    fn run(&self, precision: Precision) -> Run {
        let epochs = self.epochs.iter().map(|rows| EpochLogits::from_rows(rows, self.n_types, precision).unwrap());
        Run { epochs: epochs.collect(), scores: vec![] }
    }

    /// Returns logits in which every row is changed.
    fn changed(&self, change: impl Fn(usize, &[f32]) -> Vec<f32>) -> Self {
        let width = self.n_types + 1;
        let rows = |rows: &Vec<f32>| rows.chunks(width).enumerate().flat_map(|(i, row)| change(i, row)).collect();
        Self { n_types: self.n_types, epochs: self.epochs.iter().map(rows).collect() }
    }
}

fn logits(n_spans: usize, n_types: usize, n_epochs: usize) -> impl Strategy<Value = Logits> {
    let rows = prop::collection::vec((-64i8..=64).prop_map(|z| f32::from(z) / 8.0), n_spans * (n_types + 1));
    prop::collection::vec(rows, n_epochs).prop_map(move |epochs| Logits { n_types, epochs })
}

/// Returns logits and labels of up to 600 spans, which is more than one block of the vectorised loops.
fn labelled_logits() -> impl Strategy<Value = (Logits, Vec<LabelId>)> {
    (1..600usize, 1..6usize, 1..6usize).prop_flat_map(|(n_spans, n_types, n_epochs)| {
        let labels = prop::collection::vec(0..=n_types as LabelId, n_spans);
        (logits(n_spans, n_types, n_epochs), labels)
    })
}

/// Returns the content of a whole file. It may have sentences without tokens, unknown spans, gold labels and a
/// threshold run.
fn dynamics() -> impl Strategy<Value = Dynamics> {
    let lengths = prop::collection::vec(0..6u32, 1..6);
    (lengths, 1..5u32, 1..4usize, 1..5usize, any::<[bool; 4]>()).prop_flat_map(
        |(lengths, max_width, n_types, n_epochs, [half, is_all, has_gold, has_samples])| {
            let index = SpanIndex::new(lengths.iter().copied(), max_width).unwrap();
            let n = index.len();
            // A label for each candidate, mostly `O`. The label after the last type stands for unknown.
            let label = prop_oneof![5 => Just(O), 3 => 1..=n_types as LabelId, 1 => Just(n_types as LabelId + 1)];
            let distant = prop::collection::vec(label, n);
            let gold = prop::collection::vec(prop_oneof![3 => Just(O), 1 => 1..=n_types as LabelId], n);
            let samples = prop::collection::vec(any::<bool>(), n);
            let main = logits(n, n_types, n_epochs);
            let sampled = logits(n, n_types + 1, n_epochs);
            (Just((lengths, index)), distant, gold, samples, main, sampled).prop_map(
                move |((lengths, index), distant, gold, samples, main, sampled)| {
                    let precision = if half { Precision::F16 } else { Precision::F32 };
                    let mut tokens = TokenTable::default();
                    for (sentence, &n) in lengths.iter().enumerate() {
                        tokens.push((0..n).map(|token| format!("{sentence}é{token}"))).unwrap();
                    }
                    let entities = |labels: &[LabelId]| -> Vec<Entity> {
                        let typed = (0..).zip(labels).filter(|&(_, &l)| l != O && usize::from(l) <= n_types);
                        typed.map(|(id, &label)| Entity { span: index.span(id).unwrap(), label }).collect()
                    };
                    let is_unknown = |&(_, &l): &(SpanId, &LabelId)| usize::from(l) > n_types;
                    let unknown = (0..).zip(&distant).filter(is_unknown).map(|(id, _)| index.span(id).unwrap());
                    let corpus = Corpus {
                        tokens,
                        labels: LabelSet::from_types(["A", "B", "C"].into_iter().take(n_types)),
                        entities: entities(&distant),
                        unknown: unknown.collect(),
                        extra: if lengths.len() > 1 { vec![(1, r#"{"id":7}"#.into())] } else { vec![] },
                        layout: Layout::default(),
                    };
                    let mut run = main.run(precision);
                    let dev = Prf::from_counts(1, 2, 3);
                    run.scores.push(EpochScore { epoch: 1, train_loss: 0.25, dev });
                    let spans: Vec<SpanId> = (0..).zip(&samples).filter(|&(_, &is)| is).map(|(id, _)| id).collect();
                    let rows = |epoch: &Vec<f32>| -> Vec<f32> {
                        let of = |&s: &SpanId| epoch[s as usize * (n_types + 2)..][..n_types + 2].to_vec();
                        spans.iter().flat_map(of).collect()
                    };
                    let sampled = Logits { n_types: n_types + 1, epochs: sampled.epochs.iter().map(rows).collect() };
                    let threshold_run = ThresholdRun {
                        scheme: SampleScheme::FakeClass,
                        assigned: vec![n_types as LabelId + 1; spans.len()],
                        spans,
                        run: sampled.run(Precision::F32),
                    };
                    let negatives = if is_all { Negatives::All } else { Negatives::Top };
                    Dynamics {
                        info: RunInfo { max_span_width: max_width, negatives, ..RunInfo::default() },
                        gold: has_gold.then(|| entities(&gold)),
                        contradicted: contradicted(&corpus, has_samples),
                        corpus,
                        run,
                        threshold_run: has_samples.then_some(threshold_run),
                        complete: has_gold,
                        whole: None,
                    }
                },
            )
        },
    )
}

/// Returns entries that contradict every second entity. They ask for `O`, or for no clear label.
fn contradicted(corpus: &Corpus, is_clear: bool) -> Vec<Entry> {
    let entry = |entity: &Entity| Entry {
        words: corpus.tokens.surface(entity.span),
        label: corpus.labels.name(entity.label).to_owned(),
        spans: 1,
        annotated: 3,
        agreeing: 0,
        becomes: is_clear.then(|| "O".to_owned()),
    };
    corpus.entities.iter().step_by(2).map(entry).collect()
}

fn settings() -> impl Strategy<Value = Settings> {
    let rule = || {
        prop_oneof![
            Just(Rule::Auto),
            Just(Rule::Keep),
            (0.0..1.0f32).prop_map(Rule::Quantile),
            (-6.0..6.0f32).prop_map(Rule::Fixed)
        ]
    };
    let classes = prop::collection::btree_map("[ABX]", rule(), 0..3);
    let metric = prop_oneof![Just(Metric::Aum), Just(Metric::Confidence), Just(Metric::Trust)];
    (rule(), rule(), classes, any::<[bool; 4]>(), metric, 0.0..1.0f32, 1..4u32).prop_map(
        |(negatives, positives, classes, choices, metric, relabel_probability, last)| {
            let [relabel, overlap_suppression, per_class, dictionary_check] = choices;
            // Trust is a probability. Other thresholds are refused when settings are read.
            let fit = |rule: Rule| match rule {
                Rule::Fixed(value) if metric == Metric::Trust => Rule::Fixed((value + 6.0) / 12.0),
                rule => rule,
            };
            let classes = classes.into_iter().map(|(name, rule)| (name, fit(rule))).collect();
            Settings {
                window: Window::first_epochs(last),
                metric,
                negatives: fit(negatives),
                positives: fit(positives),
                per_class,
                classes,
                action: if relabel { Action::Relabel } else { Action::Remove },
                overlap_suppression,
                relabel_probability,
                dictionary_check,
            }
        },
    )
}

fn close(a: f32, b: f32) -> bool {
    (a - b).abs() <= 1e-5 * a.abs().max(1.0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn metrics_keep_within_their_bounds((logits, labels) in labelled_logits()) {
        let run = logits.run(Precision::F16);
        let n_epochs = run.epochs.len() as u16;
        let window = Window::first_epochs(u32::from(n_epochs));
        let m = Metrics::compute(&run, &labels, window).unwrap();
        prop_assert_eq!(m.flagged(), 0);
        for i in 0..labels.len() {
            let margins: Vec<f32> = run.epochs.iter().map(|epoch| epoch.margin(i, labels[i])).collect();
            let (low, high) = margins.iter().fold((f32::MAX, f32::MIN), |(l, h), &m| (l.min(m), h.max(m)));
            prop_assert!(low - 1e-5 <= m.aum[i] && m.aum[i] <= high + 1e-5);
            prop_assert!(m.forgetting[i] <= m.correctness[i] && m.correctness[i] + m.forgetting[i] <= n_epochs);
            prop_assert!((0.0..=1.0 + 1e-6).contains(&m.confidence[i]) && (0.0..=0.5 + 1e-6).contains(&m.variability[i]));
            prop_assert!(m.prediction(i).unwrap().probability() >= m.confidence[i]);
            let distribution = mean_distribution(&run, i, window).unwrap();
            prop_assert!(close(distribution.iter().sum(), 1.0));
            prop_assert!(close(distribution[usize::from(labels[i])], m.confidence[i]));
        }
    }

    #[test]
    fn a_constant_added_to_all_logits_changes_nothing(
        (logits, labels) in labelled_logits(), shifts in prop::collection::vec(-64i8..=64, 600)
    ) {
        let shifted = logits.changed(|i, row| row.iter().map(|z| z + f32::from(shifts[i]) / 8.0).collect());
        let of = |logits: &Logits| Metrics::compute(&logits.run(Precision::F16), &labels, Window::first_epochs(9));
        prop_assert_eq!(of(&logits), of(&shifted));
    }

    #[test]
    fn renaming_types_renames_predictions((logits, labels) in labelled_logits(), by in 1..6usize) {
        let n = logits.n_types;
        let renamed = |label: LabelId| if label == O { O } else { ((usize::from(label) - 1 + by) % n + 1) as LabelId };
        let moved = logits.changed(|_, row| {
            let mut new = row.to_vec();
            (0..=n).for_each(|label| new[usize::from(renamed(label as LabelId))] = row[label]);
            new
        });
        let new_labels: Vec<LabelId> = labels.iter().map(|&l| renamed(l)).collect();
        let window = Window::first_epochs(9);
        let old = Metrics::compute(&logits.run(Precision::F16), &labels, window).unwrap();
        let new = Metrics::compute(&moved.run(Precision::F16), &new_labels, window).unwrap();
        prop_assert_eq!(&old.aum, &new.aum);
        for i in 0..labels.len() {
            prop_assert!(close(old.confidence[i], new.confidence[i]));
            let (before, after) = (old.prediction(i).unwrap(), new.prediction(i).unwrap());
            let highest = before.probability();
            prop_assert!(close(highest, after.probability()));
            let distribution = mean_distribution(&logits.run(Precision::F16), i, window).unwrap();
            let rivals = distribution.iter().filter(|&&p| p > highest - 1e-5).count();
            prop_assert!(rivals > 1 || renamed(before.label(labels[i])) == after.label(new_labels[i]));
        }
    }

    #[test]
    fn windows_add_up((logits, labels) in labelled_logits(), split in 1..5u32) {
        let run = logits.run(Precision::F16);
        let n = run.epochs.len() as u32;
        prop_assume!(split < n);
        let of = |first, last| Metrics::compute(&run, &labels, Window { first, last }).unwrap();
        let (before, after, all) = (of(1, split), of(split + 1, n), of(1, n));
        let share = split as f32 / n as f32;
        for i in 0..labels.len() {
            let mean = |column: fn(&Metrics) -> &Vec<f32>| {
                close(column(&before)[i] * share + column(&after)[i] * (1.0 - share), column(&all)[i])
            };
            prop_assert!(mean(|m| &m.aum) && mean(|m| &m.confidence));
            prop_assert_eq!(before.correctness[i] + after.correctness[i], all.correctness[i]);
            let between = all.forgetting[i] - before.forgetting[i] - after.forgetting[i];
            prop_assert!(between <= 1, "at most the one event at the seam");
        }
    }

    #[test]
    fn ids_and_spans_are_inverse(lengths in prop::collection::vec(0..40u32, 0..20), width in 1..50u32) {
        let index = SpanIndex::new(lengths.iter().copied(), width).unwrap();
        let total: u64 = lengths.iter().map(|&n| span::spans_in_sentence(n, width)).sum();
        prop_assert_eq!(index.len() as u64, total);
        for id in 0..index.len() as SpanId {
            let span = index.span(id).unwrap();
            prop_assert_eq!(index.id(span), Some(id));
            prop_assert!(span.width() <= width && span.end < lengths[span.sentence as usize]);
        }
    }

    #[test]
    fn a_dynamics_file_gives_back_what_was_written(dynamics in dynamics()) {
        prop_assert_eq!(dyn_file::read(&dyn_file::write(&dynamics)), Ok(dynamics));
    }

    #[test]
    fn a_higher_threshold_judges_the_same_spans_and_more(
        dynamics in dynamics(), low in -6.0..6.0f32, more in 0.0..6.0f32, overlap_suppression in any::<bool>()
    ) {
        let judge = Judge::new(&dynamics, Window::first_epochs(3), Metric::Aum).unwrap();
        let at = |threshold| {
            let rule = Rule::Fixed(threshold);
            Settings { negatives: rule, positives: rule, overlap_suppression, ..Settings::paper() }
        };
        for side in Side::BOTH {
            let (low_settings, high_settings) = (at(low), at(low + more));
            let (few, many) =
                (judge.under(&low_settings).judged_wrong(side), judge.under(&high_settings).judged_wrong(side));
            prop_assert!(many.starts_with(&few));
            prop_assert!(few.iter().all(|&span| judge.side(span) == side && judge.metrics.aum[span as usize] < low));
        }
        if overlap_suppression {
            let settings = at(low);
            let judged = judge.under(&settings).judged_wrong(Side::Negatives);
            let spans: Vec<_> = judged.iter().map(|&id| judge.index.span(id).unwrap()).collect();
            for (i, a) in spans.iter().enumerate() {
                prop_assert!(spans[..i].iter().all(|b| !a.overlaps(b)));
            }
            let positives = judge.ranked(Side::Positives).spans().iter();
            for &entity in positives.filter(|&&id| judge.value(id) >= 0.0) {
                let entity = judge.index.span(entity).unwrap();
                prop_assert!(spans.iter().all(|span| !span.overlaps(&entity)));
            }
        }
    }

    #[test]
    fn one_span_and_all_spans_and_live_figures_agree(dynamics in dynamics(), settings in settings()) {
        let judge = Judge::new(&dynamics, settings.window, settings.metric).unwrap();
        let labels = &dynamics.corpus.labels;
        let decided = Decisions::new(String::new(), settings.clone()).resolve(&judge, labels).unwrap();
        for id in 0..judge.index.len() as SpanId {
            let expected = decided.get(&id).copied().unwrap_or(Decision::Keep);
            prop_assert_eq!(judge.under(&settings).decide(id), expected);
        }
        let gold = dynamics.dense_gold(&judge.index);
        let tally = Tally::new(&judge, labels, gold.as_deref());
        let figures = tally.at(&judge, &settings, &BTreeMap::new(), gold.as_deref());
        prop_assert_eq!(figures.summary, CleaningSummary::new(&judge, &settings, &decided, labels));
        prop_assert_eq!(figures.quality, gold.map(|gold| detect(&judge.under(&settings), &decided, &gold)));
    }

    #[test]
    fn a_cleaning_does_what_was_decided_and_nothing_else(dynamics in dynamics(), settings in settings()) {
        let corpus = &dynamics.corpus;
        let judge = Judge::new(&dynamics, settings.window, settings.metric).unwrap();
        prop_assert_eq!(&clean(corpus.clone(), &judge, &BTreeMap::new()), corpus);
        let decided = Decisions::new(String::new(), settings.clone()).resolve(&judge, &corpus.labels).unwrap();
        let cleaned = clean(corpus.clone(), &judge, &decided);
        let (before, after) = (&judge.assigned, cleaned.dense_labels(&judge.index));
        for id in 0..judge.index.len() as SpanId {
            let span = judge.index.span(id).unwrap();
            let was_unknown = corpus.unknown.contains(&span);
            let (label, is_unknown) = (after[id as usize], cleaned.unknown.contains(&span));
            match decided.get(&id) {
                Some(Decision::Remove) => prop_assert!(label == O && is_unknown),
                Some(&Decision::Relabel(new)) => prop_assert!(label == new && is_unknown == was_unknown),
                Some(Decision::Keep) | None => {
                    prop_assert!(label == before[id as usize] && is_unknown == was_unknown);
                }
            }
        }
        let read = dynclean_json::read(dynclean_json::write(&cleaned).as_bytes()).unwrap();
        prop_assert_eq!((&read.tokens, &read.unknown, &read.extra), (&cleaned.tokens, &cleaned.unknown, &cleaned.extra));
        // The file knows only the types that still occur.
        prop_assert_eq!(read.with_labels(&corpus.labels).unwrap().entities, cleaned.entities);
    }

    #[test]
    fn a_flat_corpus_stays_flat_and_every_change_has_its_reason(dynamics in dynamics(), settings in settings()) {
        let mut dynamics = dynamics;
        let mut flat: Vec<Entity> = Vec::new();
        for entity in dynamics.corpus.entities.drain(..) {
            if !flat.iter().any(|other| other.span.overlaps(&entity.span)) {
                flat.push(entity);
            }
        }
        dynamics.corpus.entities = flat;
        let judge = Judge::new(&dynamics, settings.window, settings.metric).unwrap();
        let decided = Decisions::new(String::new(), settings).resolve(&judge, &dynamics.corpus.labels).unwrap();
        for &span in decided.keys() {
            let wrong: f32 = judge.reasons(span).map(|reason| reason.log_odds).sum();
            let trust = judge.metrics.trust[span as usize];
            prop_assert!((trust - 1.0 / (1.0 + wrong.exp())).abs() < 1e-5, "{} {}", trust, wrong);
        }
        let cleaned = clean(dynamics.corpus.clone(), &judge, &decided);
        for (i, entity) in cleaned.entities.iter().enumerate() {
            let overlapping = cleaned.entities.iter().skip(i + 1).find(|other| other.span.overlaps(&entity.span));
            prop_assert_eq!(overlapping, None, "{:?}", entity);
        }
    }

    #[test]
    fn relabelling_back_restores_the_labels(dynamics in dynamics(), picks in prop::collection::vec(0..4u16, 60)) {
        let corpus = &dynamics.corpus;
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
        let n_types = corpus.labels.n_types() as LabelId;
        let relabel = |to: &dyn Fn(usize) -> LabelId| -> BTreeMap<SpanId, Decision> {
            (0..judge.assigned.len()).map(|i| (i as SpanId, Decision::Relabel(to(i)))).collect()
        };
        let there = relabel(&|i| picks[i % picks.len()] % (n_types + 1));
        let relabelled = Dynamics { corpus: clean(corpus.clone(), &judge, &there), ..dynamics.clone() };
        let judge_of_relabelled = Judge::new(&relabelled, Window::first_epochs(1), Metric::Aum).unwrap();
        let back = clean(relabelled.corpus.clone(), &judge_of_relabelled, &relabel(&|i| judge.assigned[i]));
        prop_assert_eq!(back.dense_labels(&judge.index), corpus.dense_labels(&judge.index));
    }

    #[test]
    fn decisions_give_back_what_was_written(
        settings in settings(), spans in prop::collection::vec((any::<[u16; 3]>(), 0..3u8, "[A-Zé\"]{0,4}"), 0..6)
    ) {
        let mut decisions = Decisions::new("digest".into(), settings);
        for ([sentence, start, end], what, name) in spans {
            let span = span::Span { sentence: sentence.into(), start: start.into(), end: end.into() };
            let by_hand = [Override::Keep, Override::Remove, Override::Relabel(name)];
            decisions.overrides.push((span, by_hand[usize::from(what)].clone()));
        }
        let read = Decisions::read(decisions.to_json().as_bytes(), "digest").unwrap();
        prop_assert_eq!(read, decisions);
    }
}
