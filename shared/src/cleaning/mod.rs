//! Decisions about spans, and the corpus after the cleaning.

pub mod provenance;
pub mod share;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::corpus::decision::{Decision, Side};
use crate::corpus::labels::{LabelSet, O};
use crate::corpus::span::{Span, SpanId, by_span};
use crate::corpus::{Corpus, Entity};
use crate::detection::judge::Judge;
use crate::detection::threshold::{Settings, Thresholds};

/// Version of the decisions file format.
const VERSION: u32 = 1;

/// A person's decision about one span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Override {
    /// The label stays.
    Keep,
    /// The span leaves the training data.
    Remove,
    /// The span takes this label: a type name, or `O`.
    Relabel(String),
}

/// The content of `decisions.json`. Together with a dynamics file it determines one cleaning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decisions {
    /// Version of the file format.
    pub version: u32,
    /// Digest of the dynamics file that the decisions belong to.
    pub dynamics: String,
    /// Rules, window and other settings.
    pub settings: Settings,
    /// Decisions by hand, sorted by span.
    pub overrides: Vec<(Span, Override)>,
    /// Name of the person whose decisions these are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewer: Option<String>,
    /// For merged decisions of several people: for each person by name, the spans where the person's own decision is
    /// the one in this file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reviewers: BTreeMap<String, Vec<Span>>,
    /// Notes about spans, sorted by span. A note may be empty. If a span has a note and no decision by hand, the person
    /// is unsure about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<(Span, String)>,
    /// Suggestions that were chosen at random, sorted. The decisions about them say how often suggestions are right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sampled: Vec<Span>,
}

/// Reasons why a decisions file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DecisionsError {
    /// The file is not a decisions file.
    #[error(
        "this is not a decisions file: {0}; export one from the page, or write one with `trainer clean --write-decisions`"
    )]
    Malformed(serde_json::Error),
    /// A setting is out of range.
    #[error("the decisions file asks for {0}")]
    OutOfRange(&'static str),
    /// The file is from a newer program.
    #[error("the decisions file has version {0}, newer than the {VERSION} this program knows: update DynClean")]
    Newer(u32),
    /// The file belongs to another dynamics file.
    #[error(
        "the decisions are about another dynamics file (digest {expected}, this one has {found}): use the file they were exported with"
    )]
    OtherDynamics {
        /// Digest in the decisions.
        expected: String,
        /// Digest of the dynamics at hand.
        found: String,
    },
    /// A decision names a span or label that the dynamics do not have.
    #[error("the decision about span [{start}, {end}] of sentence {sentence} does not fit the dynamics file: {reason}",
        start = .span.start, end = .span.end, sentence = .span.sentence)]
    NoSuchSpan {
        /// The span.
        span: Span,
        /// What does not fit.
        reason: String,
    },
}

impl Decisions {
    /// Decisions by rules alone, without decisions by hand.
    pub fn new(dynamics: String, settings: Settings) -> Self {
        Self {
            version: VERSION,
            dynamics,
            settings,
            overrides: Vec::new(),
            reviewer: None,
            reviewers: BTreeMap::new(),
            notes: Vec::new(),
            sampled: Vec::new(),
        }
    }

    /// Gives other numbers to the sentences of all decisions and notes. `number` returns the new number of a sentence.
    /// It must keep the order of the sentences.
    ///
    /// # Errors
    /// When `number` returns `None` for a sentence.
    pub fn move_sentences(&mut self, number: impl Fn(u32) -> Option<u32>) -> Result<(), DecisionsError> {
        let spans = self.overrides.iter_mut().map(|(span, _)| span);
        let spans = spans.chain(self.reviewers.values_mut().flatten());
        let spans = spans.chain(self.notes.iter_mut().map(|(span, _)| span)).chain(&mut self.sampled);
        for span in spans {
            let missing = DecisionsError::NoSuchSpan { span: *span, reason: "there is no such sentence".to_owned() };
            span.sentence = number(span.sentence).ok_or(missing)?;
        }
        Ok(())
    }

    /// Reads `decisions.json` for the dynamics file with this digest.
    ///
    /// # Errors
    /// When the file is not a decisions file, is too new, belongs to another dynamics file, or has settings out of
    /// range.
    pub fn read(json: &[u8], dynamics: &str) -> Result<Self, DecisionsError> {
        // JSON is read as text everywhere. A second reader, for bytes, would add 5 kB to the page.
        let text = std::str::from_utf8(json).map_err(serde::de::Error::custom);
        let decisions: Result<Self, _> = text.and_then(serde_json::from_str);
        let decisions = decisions.map_err(DecisionsError::Malformed)?;
        if decisions.version > VERSION {
            return Err(DecisionsError::Newer(decisions.version));
        }
        if decisions.dynamics != dynamics {
            return Err(DecisionsError::OtherDynamics { expected: decisions.dynamics, found: dynamics.to_owned() });
        }
        decisions.settings.check().map_err(DecisionsError::OutOfRange)?;
        Ok(decisions)
    }

    /// The content of `decisions.json`.
    pub fn to_json(&self) -> String {
        // Plain structures with string keys can always be serialised.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// The decisions about all spans whose label changes, sorted by span.
    ///
    /// # Errors
    /// When a decision by hand or a note names a span or label that the dynamics do not have.
    pub fn resolve(&self, judge: &Judge, labels: &LabelSet) -> Result<BTreeMap<SpanId, Decision>, DecisionsError> {
        let mut decided = by_span(judge.under(&self.settings).decided(&BTreeMap::new()));
        let ids = labels.ids();
        let id_of = |span: Span| {
            let reason = "it is not a candidate span".to_owned();
            judge.index.id(span).ok_or(DecisionsError::NoSuchSpan { span, reason })
        };
        for &span in self.notes.iter().map(|(span, _)| span).chain(&self.sampled) {
            id_of(span)?;
        }
        for &(span, ref by_hand) in &self.overrides {
            let misfit = |reason: String| DecisionsError::NoSuchSpan { span, reason };
            let id = id_of(span)?;
            let decision = match by_hand {
                Override::Keep => Decision::Keep,
                Override::Remove => Decision::Remove,
                Override::Relabel(name) => {
                    let label = ids.get(name.as_str()).copied();
                    Decision::Relabel(label.ok_or_else(|| misfit(format!("there is no label {name:?}")))?)
                }
            };
            decided.insert(id, decision);
        }
        decided.retain(|&id, decision| match decision {
            Decision::Keep => false,
            Decision::Remove => true,
            Decision::Relabel(label) => judge.assigned.get(id as usize) != Some(label),
        });
        Ok(decided)
    }
}

/// The corpus after these decisions. Removed spans become unknown; relabelled spans get their new label. Spans
/// wider than the candidates never change.
pub fn clean(corpus: Corpus, judge: &Judge, decided: &BTreeMap<SpanId, Decision>) -> Corpus {
    let mut entities = Vec::with_capacity(corpus.entities.len());
    for entity in &corpus.entities {
        let decision = judge.index.id(entity.span).and_then(|id| decided.get(&id));
        match decision {
            None | Some(Decision::Keep) => entities.push(*entity),
            Some(Decision::Remove | Decision::Relabel(O)) => {}
            Some(&Decision::Relabel(label)) => entities.push(Entity { label, ..*entity }),
        }
    }
    // A span that gets an entity type is no longer unknown.
    let is_labelled = |id: SpanId| {
        judge.side(id) == Side::Negatives && matches!(decided.get(&id), Some(&Decision::Relabel(label)) if label != O)
    };
    let stays = |span: &Span| !judge.index.id(*span).is_some_and(is_labelled);
    let mut unknown: Vec<Span> = corpus.unknown.iter().copied().filter(stays).collect();
    for (&id, decision) in decided {
        let Some(span) = judge.index.span(id) else { continue };
        match decision {
            Decision::Remove => unknown.push(span),
            &Decision::Relabel(label) if label != O && judge.side(id) == Side::Negatives => {
                entities.push(Entity { span, label });
            }
            Decision::Keep | Decision::Relabel(_) => {}
        }
    }
    // The sort is stable: within a sentence the file's order stays, and added entities come last.
    entities.sort_by_key(|e| e.span.sentence);
    unknown.sort_unstable();
    unknown.dedup();
    Corpus { entities, unknown, ..corpus }
}

/// Numbers of spans of one distant label, and the decisions about them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LabelCount {
    /// Name of the distant label.
    pub label: String,
    /// Number of candidate spans with this label.
    pub total: u64,
    /// Number of them that are removed.
    pub removed: u64,
    /// Number of them that are relabelled.
    pub relabelled: u64,
}

/// Counts spans per distant label, `O` first.
pub fn count(judge: &Judge, decided: &BTreeMap<SpanId, Decision>, labels: &LabelSet) -> Vec<LabelCount> {
    let mut counts: Vec<LabelCount> = (0..=labels.n_types())
        .map(|l| LabelCount { label: labels.name(l as u16).to_owned(), ..LabelCount::default() })
        .collect();
    for &label in &judge.assigned {
        counts[usize::from(label)].total += 1;
    }
    for (&id, decision) in decided {
        let Some(count) = judge.assigned.get(id as usize).and_then(|&l| counts.get_mut(usize::from(l))) else {
            continue;
        };
        match decision {
            Decision::Keep => {}
            Decision::Remove => count.removed += 1,
            Decision::Relabel(_) => count.relabelled += 1,
        }
    }
    counts
}

/// The figures of one cleaning, for `metrics.json`, the report and the page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CleaningSummary {
    /// The thresholds in force.
    pub thresholds: Thresholds,
    /// Counts per distant label, `O` first.
    pub counts: Vec<LabelCount>,
    /// Number of spans with non-finite logits. They are kept and not judged.
    pub flagged: u64,
}

impl CleaningSummary {
    /// Sums up one cleaning.
    pub fn new(judge: &Judge, settings: &Settings, decided: &BTreeMap<SpanId, Decision>, labels: &LabelSet) -> Self {
        Self {
            thresholds: judge.under(settings).thresholds().clone(),
            counts: count(judge, decided, labels),
            flagged: judge.flagged(),
        }
    }

    /// Number of removed or relabelled spans of a side.
    pub fn changed(&self, side: Side) -> u64 {
        let split = self.counts.len().min(1);
        let (negatives, positives) = self.counts.split_at(split);
        let counts = match side {
            Side::Negatives => negatives,
            Side::Positives => positives,
        };
        counts.iter().map(|c| c.removed + c.relabelled).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::threshold::{Metric, Rule};
    use crate::formats::dynclean_json;
    use crate::metrics::Window;
    use crate::recording::dynamics::Dynamics;

    /// Two sentences. The AUM of spans 0 to 3 is 2, 2, −2 and −4, so a threshold of 0 judges the last two.
    fn example() -> (Dynamics, Judge) {
        let json = br#"[{"tokens": ["a", "b"], "entities": [[1, 1, "Y"], [0, 0, "X"]]},
                        {"tokens": ["c"], "entities": [], "note": "kept"}]"#;
        let corpus = dynclean_json::read(json).unwrap();
        // Spans: 0 [0,0] X, 1 [0,1] O, 2 [1,1] Y, 3 (second sentence) O. Labels O, X, Y.
        let rows = [0.0, 2.0, -9.0, 0.0, -2.0, -9.0, 0.0, 3.0, 1.0, 0.0, 4.0, -9.0];
        let dynamics = Dynamics::of_one_epoch(corpus, &rows);
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
        (dynamics, judge)
    }

    fn decisions() -> Decisions {
        let settings = Settings { negatives: Rule::Fixed(0.0), positives: Rule::Fixed(0.0), ..Settings::paper() };
        Decisions::new("d".into(), settings)
    }

    #[test]
    fn removed_spans_become_unknown() {
        let (dynamics, judge) = example();
        let decided = decisions().resolve(&judge, &dynamics.corpus.labels).unwrap();
        assert_eq!(decided.into_iter().collect::<Vec<_>>(), [(2, Decision::Remove), (3, Decision::Remove)]);
        let decided = decisions().resolve(&judge, &dynamics.corpus.labels).unwrap();
        let cleaned = clean(dynamics.corpus.clone(), &judge, &decided);
        assert_eq!(
            dynclean_json::write(&cleaned),
            "[\n{\"tokens\": [\"a\", \"b\"], \"entities\": [[0, 0, \"X\"]], \"unknown\": [[1, 1]]},\n\
             {\"tokens\": [\"c\"], \"entities\": [], \"unknown\": [[0, 0]], \"note\":\"kept\"}\n]\n"
        );
        let counts = count(&judge, &decided, &dynamics.corpus.labels);
        assert_eq!(counts.iter().map(|c| (c.total, c.removed)).collect::<Vec<_>>(), [(2, 1), (1, 0), (1, 1)]);
    }

    #[test]
    fn overrides_win_over_rules() {
        let (dynamics, judge) = example();
        let span = |sentence, start, end| Span { sentence, start, end };
        let mut by_hand = decisions();
        by_hand.overrides = vec![
            (span(0, 0, 0), Override::Relabel("Y".into())),
            (span(0, 0, 1), Override::Relabel("X".into())),
            (span(0, 1, 1), Override::Keep),
            (span(1, 0, 0), Override::Relabel("O".into())),
        ];
        let decided = by_hand.resolve(&judge, &dynamics.corpus.labels).unwrap();
        let cleaned = clean(dynamics.corpus.clone(), &judge, &decided);
        let found: Vec<_> = cleaned.entities.iter().map(|e| (e.span.start, e.span.end, e.label)).collect();
        assert_eq!(found, [(1, 1, 2), (0, 0, 2), (0, 1, 1)]);
        assert!(cleaned.unknown.is_empty());
        // A relabelled span is no longer unknown.
        let unknown = Corpus { unknown: vec![span(0, 0, 1), span(1, 0, 0)], ..dynamics.corpus.clone() };
        assert_eq!(clean(unknown, &judge, &decided).unknown, [span(1, 0, 0)]);
        for misfit in [
            Decisions { overrides: vec![(span(0, 0, 5), Override::Keep)], ..decisions() },
            Decisions { notes: vec![(span(0, 0, 5), String::new())], ..decisions() },
            Decisions { sampled: vec![span(2, 0, 0)], ..decisions() },
        ] {
            let error = misfit.resolve(&judge, &dynamics.corpus.labels).unwrap_err().to_string();
            assert!(error.ends_with("it is not a candidate span"), "{error}");
        }
    }

    #[test]
    fn decisions_round_trip_and_belong_to_one_file() {
        let mut decisions = decisions();
        decisions.settings.negatives = Rule::Fixed(0.1);
        let span = Span { sentence: 1, start: 0, end: 0 };
        decisions.overrides = vec![(span, Override::Relabel("X".into()))];
        assert!(!decisions.to_json().contains("notes") && !decisions.to_json().contains("sampled"));
        decisions.notes = vec![(span, "a river or a town?".to_owned())];
        decisions.sampled = vec![span];
        let json = decisions.to_json();
        assert_eq!(Decisions::read(json.as_bytes(), "d").unwrap(), decisions);
        assert!(matches!(Decisions::read(json.as_bytes(), "e"), Err(DecisionsError::OtherDynamics { .. })));
        assert!(Decisions::read(b"{}", "d").is_err());
        let changed = |change: fn(&mut Settings)| {
            let mut other = decisions.clone();
            change(&mut other.settings);
            Decisions::read(other.to_json().as_bytes(), "d").unwrap_err().to_string()
        };
        assert!(changed(|s| s.window.first = 0).contains("window"));
        assert!(changed(|s| s.positives = Rule::Quantile(7.0)).contains("quantile"));
        assert!(changed(|s| s.relabel_probability = -5.0).contains("probability"));
        // 1e39 is infinite in single precision. It could be read, but not written again.
        assert!(Decisions::read(json.replace("0.5", "1e39").as_bytes(), "d").is_err());
    }

    #[test]
    fn cleaning_with_no_decision_changes_nothing() {
        let (dynamics, judge) = example();
        assert_eq!(clean(dynamics.corpus.clone(), &judge, &BTreeMap::new()), dynamics.corpus);
    }
}
