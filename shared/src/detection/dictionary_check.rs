//! Checks distant labels against annotated sentences, one dictionary entry at a time.
//!
//! Training dynamics show the labels that a model resists. A mistake of the dictionary that repeats is not resisted:
//! a word that is wrong everywhere is learned like a right one, and its AUM is high. A few hundred sentences with gold
//! labels, which every run has to choose its best epoch, show such mistakes: an entry is contradicted when its words
//! occur there, and not with its label.
//!
//! An occurrence counts where a dictionary would label it: where no longer entry matches. One inside a longer annotated
//! entity (*York* in *New York*) says nothing about the words where they stand alone.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::corpus::decision::Decision;
use crate::corpus::forms::Forms;
use crate::corpus::labels::{LabelId, O};
use crate::corpus::span::{Span, SpanId, SpanIndex};
use crate::corpus::{Corpus, Entity, TokenTable};
use crate::recording::dictionary::Entry;

/// How much a dictionary is contradicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradicted {
    /// Contradicted entries.
    pub entries: usize,
    /// Spans that they label.
    pub spans: u64,
}

impl Contradicted {
    /// Of these contradicted entries.
    pub fn of(entries: &[Entry]) -> Self {
        Self { entries: entries.len(), spans: entries.iter().map(|entry| u64::from(entry.spans)).sum() }
    }
}

/// How often an entry's words have each label in the annotated sentences.
#[derive(Debug, Clone, Default)]
struct Evidence {
    by_label: BTreeMap<LabelId, u32>,
}

/// Occurrences that the dictionary as a whole counts for, in what is believed of a single entry.
const PRIOR: f64 = 4.0;

/// What the evidence makes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Stands,
    /// Contradicted: the spans take this label, or become unknown.
    Becomes(Option<LabelId>),
}

impl Evidence {
    fn total(&self) -> u32 {
        self.by_label.values().sum()
    }

    fn of(&self, label: LabelId) -> u32 {
        self.by_label.get(&label).copied().unwrap_or(0)
    }

    /// What becomes of an entry of this label, in a dictionary that `agreement` of the evidence agrees with.
    ///
    /// It is contradicted where most occurrences have another label, and still would if [`PRIOR`] more of them were
    /// like those of the dictionary as a whole: one occurrence speaks against an entry of a poor dictionary, not of a
    /// good one.
    fn verdict(&self, label: LabelId, agreement: f64) -> Verdict {
        let (n, agreeing) = (self.total(), self.of(label));
        let posterior = (f64::from(agreeing) + PRIOR * agreement) / (f64::from(n) + PRIOR);
        if 2 * agreeing >= n || posterior >= 0.5 {
            return Verdict::Stands;
        }
        Verdict::Becomes(self.by_label.keys().copied().find(|&other| 2 * self.of(other) > n))
    }
}

/// The entries of the distant labels that `annotated`, whose labels must be numbered alike, contradicts; those that
/// label most first.
pub fn contradicted(distant: &Corpus, annotated: &Corpus) -> Vec<Entry> {
    let mut forms = Forms::default();
    let mut words = Vec::new();
    // Number of spans, by form and label.
    let mut spans: BTreeMap<(usize, LabelId), u32> = BTreeMap::new();
    for entity in &distant.entities {
        let form = *forms.entry(distant.tokens.words(entity.span)).get_or_insert_with(|| {
            words.push(distant.tokens.surface(entity.span));
            words.len() - 1
        });
        *spans.entry((form, entity.label)).or_default() += 1;
    }
    let evidence = gather(annotated, &forms, words.len());
    let agreement = agreement(&spans, &evidence);
    let name = |label| distant.labels.name(label).to_owned();
    let entry = |((form, label), spans): ((usize, LabelId), u32)| {
        let (words, found) = (words.get(form)?, evidence.get(form)?);
        let Verdict::Becomes(becomes) = found.verdict(label, agreement) else { return None };
        Some(Entry {
            words: words.clone(),
            label: name(label),
            spans,
            annotated: found.total(),
            agreeing: found.of(label),
            becomes: becomes.map(name),
        })
    };
    let mut contradicted: Vec<Entry> = spans.into_iter().filter_map(entry).collect();
    contradicted.sort_by(|a, b| b.spans.cmp(&a.spans).then_with(|| (&a.words, &a.label).cmp(&(&b.words, &b.label))));
    contradicted
}

/// The share of the occurrences that agree with their entry, the mean over all labelled spans whose words occur in the
/// annotated sentences; 1 where none do.
fn agreement(spans: &BTreeMap<(usize, LabelId), u32>, evidence: &[Evidence]) -> f64 {
    let (mut agreeing, mut all) = (0.0, 0.0);
    for (&(form, label), &spans) in spans {
        let Some(found) = evidence.get(form).filter(|found| found.total() > 0) else { continue };
        agreeing += f64::from(spans) * f64::from(found.of(label)) / f64::from(found.total());
        all += f64::from(spans);
    }
    if all == 0.0 { 1.0 } else { agreeing / all }
}

/// What becomes of the spans of contradicted entries: all that have their words and their distant label, but for those
/// that the model `has_learned`, where they are no less an entity. Whether words are a name, the words tell; of
/// which type, the sentence, which the model has seen.
pub fn decisions(
    entries: &[Entry],
    corpus: &Corpus,
    index: &SpanIndex,
    has_learned: impl Fn(SpanId) -> bool,
) -> BTreeMap<SpanId, Decision> {
    let ids = corpus.labels.ids();
    let id = |name: &str| ids.get(name).copied();
    let key = |entry: &Entry| Some((entry.words.clone(), id(&entry.label)?));
    let decision = |entry: &Entry| match entry.becomes.as_deref() {
        None => Some(Decision::Remove),
        Some(name) => id(name).map(Decision::Relabel),
    };
    let by_entry: HashMap<(String, LabelId), Decision> =
        entries.iter().filter_map(|entry| Some((key(entry)?, decision(entry)?))).collect();
    if by_entry.is_empty() {
        return BTreeMap::new();
    }
    let of_entity = |entity: &Entity| {
        let decision = by_entry.get(&(corpus.tokens.surface(entity.span), entity.label))?;
        let span = index.id(entity.span)?;
        (*decision == Decision::Relabel(O) || !has_learned(span)).then_some((span, *decision))
    };
    corpus.entities.iter().filter_map(of_entity).collect()
}

/// The words of contradicted entries that are no entity in the annotated sentences. A span that has them and no label is
/// suspicious only because the dictionary labels it elsewhere.
#[derive(Debug)]
pub struct OrdinaryWords<'a> {
    words: HashSet<&'a str>,
    /// What they begin with, up to a blank: most spans need no more than a look at it.
    first: HashSet<&'a str>,
}

impl<'a> OrdinaryWords<'a> {
    /// Of these contradicted entries.
    pub fn new(entries: &'a [Entry]) -> Self {
        let is_ordinary = |entry: &&Entry| entry.becomes.as_deref() == Some("O");
        let words: HashSet<&str> = entries.iter().filter(is_ordinary).map(|entry| entry.words.as_str()).collect();
        Self { first: words.iter().filter_map(|words| words.split(' ').next()).collect(), words }
    }

    /// Whether a span has such words.
    pub fn contains(&self, tokens: &TokenTable, span: Span) -> bool {
        if self.words.is_empty() {
            return false;
        }
        let first = tokens.words(span).next().and_then(|word| word.split(' ').next());
        first.is_some_and(|first| self.first.contains(first)) && self.words.contains(tokens.surface(span).as_str())
    }
}

/// Counts the labels of the forms' occurrences in the annotated sentences, for each of `n` forms. Spans of unknown label
/// say nothing, nor do those inside a longer entity.
fn gather(annotated: &Corpus, forms: &Forms, n: usize) -> Vec<Evidence> {
    let mut evidence = vec![Evidence::default(); n];
    for sentence in 0..annotated.n_sentences() as u32 {
        let words: Vec<Option<u32>> = annotated.tokens.sentence(sentence).map(|token| forms.word(token)).collect();
        let (entities, unknown) = (annotated.entities_of(sentence), annotated.unknown_of(sentence));
        for (start, width, form) in forms.matches(&words) {
            let span = Span { sentence, start: start as u32, end: (start + width - 1) as u32 };
            let is_inside = |e: &Entity| e.span != span && e.span.start <= span.start && span.end <= e.span.end;
            let label = entities.iter().find(|e| e.span == span).map(|e| e.label);
            if unknown.contains(&span) || (label.is_none() && entities.iter().any(is_inside)) {
                continue;
            }
            if let Some(found) = evidence.get_mut(form) {
                *found.by_label.entry(label.unwrap_or(O)).or_default() += 1;
            }
        }
    }
    evidence
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::labels::LabelSet;
    use crate::formats::dynclean_json;

    fn corpora(distant: &str, annotated: &str) -> (Corpus, Corpus) {
        let labels = LabelSet::from_types(["LOC", "ORG", "PER"].map(String::from));
        let read = |json: &str| dynclean_json::read(json.as_bytes()).unwrap().with_labels(&labels).unwrap();
        (read(distant), read(annotated))
    }

    #[test]
    fn an_entry_falls_where_most_occurrences_are_against_it_and_the_dictionary_does_not_vouch_for_it() {
        let evidence = |counts: &[(LabelId, u32)]| Evidence { by_label: counts.iter().copied().collect() };
        let becomes = Verdict::Becomes;
        let (poor, good) = (0.25, 0.75);
        for (counts, agreement, verdict) in [
            (&[][..], poor, Verdict::Stands),
            // (0 + 1) / 5, and (0 + 3) / 5.
            (&[(0, 1)], poor, becomes(Some(0))),
            (&[(0, 1)], good, Verdict::Stands),
            // (0 + 3) / 6 is a half; (0 + 3) / 7 less.
            (&[(2, 2)], good, Verdict::Stands),
            (&[(2, 3)], good, becomes(Some(2))),
            // Half of them agree.
            (&[(0, 1), (1, 1)], poor, Verdict::Stands),
            // (1 + 1) / 7; against it, but not clear for what.
            (&[(0, 1), (1, 1), (2, 1)], poor, becomes(None)),
        ] {
            assert_eq!(evidence(counts).verdict(1, agreement), verdict, "{counts:?}");
        }
    }

    #[test]
    fn contradicted_entries_lose_their_labels_everywhere() {
        let (distant, annotated) = corpora(
            r#"[{"tokens": ["The", "Hague", "and", "The", "man"], "entities": [[0, 1, "LOC"], [3, 3, "ORG"]]},
                {"tokens": ["The", "Ada"], "entities": [[0, 0, "ORG"], [1, 1, "LOC"]]},
                {"tokens": ["Ada", "the"], "entities": [[0, 0, "PER"], [1, 1, "ORG"]], "unknown": [[0, 1]]},
                {"tokens": ["Ur", "Oz"], "entities": [[0, 0, "LOC"], [1, 1, "LOC"]]}]"#,
            r#"[{"tokens": ["The", "Hague"], "entities": [[0, 1, "LOC"]]},
                {"tokens": ["The", "Ada", "the", "The"], "entities": [[1, 1, "PER"]], "unknown": [[2, 2]]},
                {"tokens": ["Ada", "Ur"], "entities": [[0, 0, "PER"]]},
                {"tokens": ["Ur", "Ur", "Oz", "Oz"], "entities": [[0, 0, "PER"], [2, 2, "LOC"]], "unknown": [[1, 1]]}]"#,
        );
        let entries = contradicted(&distant, &annotated);
        // "The" is O twice, for The Hague is a longer entry; Ada is PER twice; Ur is O and PER; Oz is LOC and O; "the" is
        // unknown. The Hague and Ada as PER agree, Oz half: (1 + 1 + 0.5) / 7 in all.
        let entry = |words: &str, label: &str, spans, becomes: Option<&str>| {
            let becomes = becomes.map(str::to_owned);
            Entry { words: words.into(), label: label.into(), spans, annotated: 2, agreeing: 0, becomes }
        };
        let expected =
            [entry("The", "ORG", 2, Some("O")), entry("Ada", "LOC", 1, Some("PER")), entry("Ur", "LOC", 1, None)];
        assert_eq!(entries, expected);
        let index = distant.span_index(2).unwrap();
        let found = |has_learned| -> Vec<(String, Decision)> {
            decisions(&entries, &distant, &index, |_| has_learned)
                .into_iter()
                .map(|(id, decision)| (distant.tokens.surface(index.span(id).unwrap()), decision))
                .collect()
        };
        let expected = [
            ("The", Decision::Relabel(O)),
            ("The", Decision::Relabel(O)),
            ("Ada", Decision::Relabel(3)),
            ("Ur", Decision::Remove),
        ];
        let expected = expected.map(|(words, decision)| (words.to_owned(), decision));
        assert_eq!(found(false), expected);
        assert_eq!(found(true), expected[..2], "no entity, learned or not");
        assert_eq!(decisions(&[], &distant, &index, |_| false), BTreeMap::new());
    }

    #[test]
    fn only_what_a_dictionary_would_label_is_counted() {
        let of = |distant: &str, annotated: &str| {
            let (distant, annotated) = corpora(distant, annotated);
            let entries = contradicted(&distant, &annotated);
            entries.into_iter().map(|entry| (entry.words, entry.annotated)).collect::<Vec<_>>()
        };
        let york = r#"{"tokens": ["York"], "entities": [[0, 0, "LOC"]]}"#;
        let new_york = r#"{"tokens": ["New", "York"], "entities": [[0, 1, "LOC"]]}"#;
        let plain = r#"{"tokens": ["New", "York"], "entities": []}"#;
        let repeated = |sentence: &str| format!("[{}]", [sentence; 5].join(","));
        // Inside an annotated entity that is longer, whether the dictionary has that or not.
        assert_eq!(of(&format!("[{york}]"), &repeated(new_york)), []);
        assert_eq!(of(&format!("[{york},{new_york}]"), &repeated(new_york)), []);
        // Where the longer entry matches, and is wrong, only that one is contradicted.
        assert_eq!(of(&format!("[{york},{new_york}]"), &repeated(plain)), [("New York".to_owned(), 5)]);
        assert_eq!(of(&format!("[{york}]"), &repeated(plain)), [("York".to_owned(), 5)]);
    }

    #[test]
    fn long_entries_and_many_types_take_no_more_steps_than_the_text_agrees_with_them() {
        // 300 tokens that begin like every sentence; 65,000 types with an entry each. Looking at every span of that
        // width, or through all types for every entry, would take minutes.
        let long = vec!["a"; 300].join("\",\"");
        let types: Vec<String> = (0..65_000).map(|i| format!("T{i:05}")).collect();
        let labels = LabelSet::from_types(types.clone());
        let own = |(i, name): (usize, &String)| format!(r#"{{"tokens": ["w{i}"], "entities": [[0, 0, "{name}"]]}}"#);
        let mut sentences: Vec<String> = types.iter().enumerate().map(own).collect();
        sentences.push(format!(r#"{{"tokens": ["{long}"], "entities": [[0, 299, "T00000"]]}}"#));
        let read = |sentences: &[String]| {
            let json = format!("[{}]", sentences.join(","));
            dynclean_json::read(json.as_bytes()).unwrap().with_labels(&labels).unwrap()
        };
        let distant = read(&sentences);
        let words: Vec<String> = (0..65_000).map(|i| format!("w{i}")).collect();
        let mut annotated = vec![format!(r#"{{"tokens": ["{}"], "entities": []}}"#, words.join("\",\""))];
        annotated.push(format!(r#"{{"tokens": ["{}"], "entities": []}}"#, vec!["a"; 20_000].join("\",\"")));
        let entries = contradicted(&distant, &read(&annotated));
        // 66 times 300 of 20,000; and every word once, in a dictionary that nothing agrees with.
        assert_eq!((entries.len(), entries.iter().map(|entry| entry.annotated).max()), (65_001, Some(66)));
        let index = distant.span_index(8).unwrap();
        assert_eq!(decisions(&entries, &distant, &index, |_| false).len(), 65_000);
    }

    #[test]
    fn what_nothing_contradicts_stays_as_it_is() {
        let (distant, annotated) = corpora(
            r#"[{"tokens": ["Ada", ""], "entities": [[0, 0, "PER"]], "unknown": [[0, 1]]}, {"tokens": [], "entities": []}]"#,
            r#"[{"tokens": [], "entities": []}, {"tokens": ["Ada", "Ada"], "entities": [[0, 0, "PER"]]}]"#,
        );
        assert_eq!(contradicted(&distant, &annotated), []);
    }
}
