//! Checks distant labels against annotated sentences, one dictionary entry at a time.
//!
//! Training dynamics show labels that a model resists. The model does not resist a dictionary error that repeats:
//! a word that is wrong everywhere is learned like a right one, and its AUM is high. A few hundred sentences with
//! gold labels show such errors, and every run needs such sentences to choose its best epoch. An entry is
//! contradicted if its words occur there, and mostly not with its label.
//!
//! An occurrence counts where a dictionary would label it, that is, where no longer entry matches. If whoever
//! labelled the training sentences has labelled the annotated ones as well (a language model does not label the
//! same words everywhere), an occurrence counts where it was really labelled. An occurrence inside a longer
//! annotated entity (*York* in *New York*) does not count: it says nothing about the words on their own.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::corpus::decision::Decision;
use crate::corpus::forms::Forms;
use crate::corpus::labels::{LabelId, O};
use crate::corpus::span::{Span, SpanId, SpanIndex, by_span};
use crate::corpus::{Corpus, Entity, TokenTable};
use crate::recording::dictionary::Entry;

/// Totals of contradicted dictionary entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradicted {
    /// Number of contradicted entries.
    pub entries: usize,
    /// Number of spans that they label.
    pub spans: u64,
}

impl Contradicted {
    /// Adds up these contradicted entries.
    pub fn of(entries: &[Entry]) -> Self {
        Self { entries: entries.len(), spans: entries.iter().map(|entry| u64::from(entry.spans)).sum() }
    }
}

/// How often an entry's words have each label in the annotated sentences. `O` is a label here.
#[derive(Debug, Clone, Default)]
struct Evidence {
    by_label: BTreeMap<LabelId, u32>,
}

/// Weight of the dictionary as a whole when one entry is checked, in occurrences.
const PRIOR: f64 = 4.0;

/// The result of checking an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Stands,
    /// The entry is contradicted: its spans take this label, or become unknown.
    Becomes(Option<LabelId>),
}

impl Evidence {
    fn total(&self) -> u32 {
        self.by_label.values().sum()
    }

    fn of(&self, label: LabelId) -> u32 {
        self.by_label.get(&label).copied().unwrap_or(0)
    }

    /// Checks an entry with this label. `agreement` is the share of occurrences that agree with the dictionary as
    /// a whole.
    ///
    /// The entry is contradicted if most occurrences have another label, even after adding [`PRIOR`] occurrences
    /// that agree as often as the whole dictionary. So one occurrence is enough against an entry of a poor
    /// dictionary, but not of a good one.
    fn verdict(&self, label: LabelId, agreement: f64) -> Verdict {
        let (n, agreeing) = (self.total(), self.of(label));
        let posterior = (f64::from(agreeing) + PRIOR * agreement) / (f64::from(n) + PRIOR);
        if 2 * agreeing >= n || posterior >= 0.5 {
            return Verdict::Stands;
        }
        Verdict::Becomes(self.by_label.keys().copied().find(|&other| 2 * self.of(other) > n))
    }
}

/// Returns the dictionary entries of the distant labels that `annotated` contradicts, those with the most spans
/// first. `labelled` are the sentences of `annotated` with distant labels; without it, the entries are matched as a
/// dictionary would. All corpora must use the same label numbers.
pub fn contradicted(distant: &Corpus, annotated: &Corpus, labelled: Option<&Corpus>) -> Vec<Entry> {
    let mut forms = Forms::default();
    let mut words = Vec::new();
    // Number of spans by form and label.
    let mut spans: BTreeMap<(usize, LabelId), u32> = BTreeMap::new();
    for entity in &distant.entities {
        let form = *forms.entry(distant.tokens.words(entity.span)).get_or_insert_with(|| {
            words.push(distant.tokens.surface(entity.span));
            words.len() - 1
        });
        *spans.entry((form, entity.label)).or_default() += 1;
    }
    let places = match labelled {
        Some(labelled) => labelled_places(labelled, &forms),
        None => matching_places(annotated, &forms),
    };
    let evidence = gather(annotated, &places);
    // With labelled sentences, an entry is checked only by the occurrences that got its label.
    let of_entry = |(form, label): (usize, LabelId)| evidence.get(&(form, labelled.map(|_| label)));
    let agreement = agreement(&spans, of_entry);
    let name = |label| distant.labels.name(label).to_owned();
    let entry = |((form, label), spans): ((usize, LabelId), u32)| {
        let (words, found) = (words.get(form)?, of_entry((form, label))?);
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

/// Mean share of the occurrences that agree with their entry. The mean is over all labelled spans whose words
/// occur in the annotated sentences; it is 1 if there are none.
fn agreement<'a>(
    spans: &BTreeMap<(usize, LabelId), u32>,
    of_entry: impl Fn((usize, LabelId)) -> Option<&'a Evidence>,
) -> f64 {
    let (mut agreeing, mut all) = (0.0, 0.0);
    for (&(form, label), &spans) in spans {
        let Some(found) = of_entry((form, label)).filter(|found| found.total() > 0) else { continue };
        agreeing += f64::from(spans) * f64::from(found.of(label)) / f64::from(found.total());
        all += f64::from(spans);
    }
    if all == 0.0 { 1.0 } else { agreeing / all }
}

/// Decides about the spans of contradicted entries, that is, the spans with their words and their distant label. A
/// span that the model `has_learned` keeps its label, unless its words are no entity at all. The words alone tell
/// whether they are a name. The sentence tells which type it is, and the model has seen the sentence.
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
    by_span(corpus.entities.iter().filter_map(of_entity))
}

/// Words of contradicted entries that are no entity in the annotated sentences. An unlabelled span with these
/// words is suspicious only because the dictionary labels them elsewhere.
#[derive(Debug)]
pub struct OrdinaryWords<'a> {
    words: HashSet<&'a str>,
    /// The first word of each. Most spans can be ruled out by their first word.
    first: HashSet<&'a str>,
}

impl<'a> OrdinaryWords<'a> {
    /// Collects the words from these contradicted entries.
    pub fn new(entries: &'a [Entry]) -> Self {
        let is_ordinary = |entry: &&Entry| entry.becomes.as_deref() == Some("O");
        let words: HashSet<&str> = entries.iter().filter(is_ordinary).map(|entry| entry.words.as_str()).collect();
        Self { first: words.iter().filter_map(|words| words.split(' ').next()).collect(), words }
    }

    /// Whether a span consists of such words.
    pub fn contains(&self, tokens: &TokenTable, span: Span) -> bool {
        if self.words.is_empty() {
            return false;
        }
        let first = tokens.words(span).next().and_then(|word| word.split(' ').next());
        first.is_some_and(|first| self.first.contains(first)) && self.words.contains(tokens.surface(span).as_str())
    }
}

/// A span with the number of its form, and the label that it got, if somebody labelled it.
type Place = (Span, usize, Option<LabelId>);

/// The spans that a dictionary of these forms would label.
fn matching_places(corpus: &Corpus, forms: &Forms) -> Vec<Place> {
    let mut places = Vec::new();
    for sentence in 0..corpus.n_sentences() as u32 {
        let words: Vec<Option<u32>> = corpus.tokens.sentence(sentence).map(|token| forms.word(token)).collect();
        places.extend(forms.matches(&words).map(|(start, width, form)| {
            (Span { sentence, start: start as u32, end: (start + width - 1) as u32 }, form, None)
        }));
    }
    places
}

/// The entities of the corpus that have one of these forms.
fn labelled_places(corpus: &Corpus, forms: &Forms) -> Vec<Place> {
    let place = |entity: &Entity| {
        let words: Vec<Option<u32>> = corpus.tokens.words(entity.span).map(|token| forms.word(token)).collect();
        let (width, form) = forms.longest(&words)?;
        (width == words.len()).then_some((entity.span, form, Some(entity.label)))
    };
    corpus.entities.iter().filter_map(place).collect()
}

/// Counts the gold labels at these places of the annotated sentences, for each form and the label that the place
/// got. Spans of unknown label and spans inside a longer entity do not count.
fn gather(annotated: &Corpus, places: &[Place]) -> HashMap<(usize, Option<LabelId>), Evidence> {
    let mut evidence: HashMap<_, Evidence> = HashMap::new();
    for &(span, form, given) in places {
        let (entities, unknown) = (annotated.entities_of(span.sentence), annotated.unknown_of(span.sentence));
        let is_inside = |e: &Entity| e.span != span && e.span.start <= span.start && span.end <= e.span.end;
        let label = entities.iter().find(|e| e.span == span).map(|e| e.label);
        if unknown.contains(&span) || (label.is_none() && entities.iter().any(is_inside)) {
            continue;
        }
        *evidence.entry((form, given)).or_default().by_label.entry(label.unwrap_or(O)).or_default() += 1;
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
            // (0 + 1) / 5 and (0 + 3) / 5.
            (&[(0, 1)], poor, becomes(Some(0))),
            (&[(0, 1)], good, Verdict::Stands),
            // (0 + 3) / 6 is one half; (0 + 3) / 7 is less.
            (&[(2, 2)], good, Verdict::Stands),
            (&[(2, 3)], good, becomes(Some(2))),
            // Half of the occurrences agree.
            (&[(0, 1), (1, 1)], poor, Verdict::Stands),
            // (1 + 1) / 7: contradicted, but no other label is clear.
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
        let entries = contradicted(&distant, &annotated, None);
        // "The" is O twice, because The Hague is a longer entry. Ada is PER twice, Ur is O and PER, Oz is LOC and
        // O, "the" is unknown. The Hague and Ada as PER agree, Oz agrees by half: (1 + 1 + 0.5) / 7 in all.
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
            let entries = contradicted(&distant, &annotated, None);
            entries.into_iter().map(|entry| (entry.words, entry.annotated)).collect::<Vec<_>>()
        };
        let york = r#"{"tokens": ["York"], "entities": [[0, 0, "LOC"]]}"#;
        let new_york = r#"{"tokens": ["New", "York"], "entities": [[0, 1, "LOC"]]}"#;
        let plain = r#"{"tokens": ["New", "York"], "entities": []}"#;
        let repeated = |sentence: &str| format!("[{}]", [sentence; 5].join(","));
        // Inside a longer annotated entity, whether the dictionary has that entity or not.
        assert_eq!(of(&format!("[{york}]"), &repeated(new_york)), []);
        assert_eq!(of(&format!("[{york},{new_york}]"), &repeated(new_york)), []);
        // If the longer entry matches and is wrong, only the longer entry is contradicted.
        assert_eq!(of(&format!("[{york},{new_york}]"), &repeated(plain)), [("New York".to_owned(), 5)]);
        assert_eq!(of(&format!("[{york}]"), &repeated(plain)), [("York".to_owned(), 5)]);
    }

    #[test]
    fn long_entries_and_many_types_take_no_more_steps_than_the_text_agrees_with_them() {
        // 300 tokens that begin like every sentence, and 65,000 types with one entry each. It would take minutes
        // to look at every span of that width, or to go through all types for every entry.
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
        let entries = contradicted(&distant, &read(&annotated), None);
        // 66 times 300 tokens fit in 20,000. Every word occurs once, in a dictionary that nothing agrees with.
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
        assert_eq!(contradicted(&distant, &annotated, None), []);
    }

    #[test]
    fn labels_on_the_annotated_sentences_say_where_an_entry_counts() {
        let may = r#"{"tokens": ["May", "fell"], "entities": [[0, 0, "PER"]]}"#;
        let not = r#"{"tokens": ["May", "fell"], "entities": []}"#;
        let longer = r#"{"tokens": ["May", "fell"], "entities": [[0, 1, "PER"]]}"#;
        let of = |sentences: &[&str]| format!("[{}]", sentences.join(","));
        let (distant, annotated) = corpora(&of(&[may]), &of(&[may, not, not]));
        // A dictionary labels all three, and two are wrong.
        let found = |labelled: Option<&Corpus>| {
            let entries = contradicted(&distant, &annotated, labelled);
            entries.into_iter().map(|entry| (entry.annotated, entry.agreeing)).collect::<Vec<_>>()
        };
        assert_eq!(found(None), [(3, 1)]);
        // A model labelled only the first, rightly. Or it labelled only the others, or other boundaries.
        let labelled = |sentences: &[&str]| corpora(&of(sentences), "[]").0;
        assert_eq!(found(Some(&labelled(&[may, not, not]))), []);
        assert_eq!(found(Some(&labelled(&[not, may, may]))), [(2, 0)]);
        assert_eq!(found(Some(&labelled(&[longer, longer, longer]))), []);
        // The same word has two types, by its sentence. Whoever labelled it knew that, so neither entry is wrong.
        let ada = r#"{"tokens": ["Ada", "fell"], "entities": [[0, 0, "PER"]]}"#;
        let town = r#"{"tokens": ["Ada", "fell"], "entities": [[0, 0, "LOC"]]}"#;
        let (both, towns) = corpora(&of(&[ada, town]), &of(&[town; 9]));
        assert_eq!(contradicted(&both, &towns, Some(&towns)), []);
        assert_eq!(contradicted(&both, &towns, None).len(), 1, "a dictionary knows no sentences");
    }
}
