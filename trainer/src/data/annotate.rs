//! Distant labels: every mention of a dictionary form becomes an entity.
//!
//! Matching goes from left to right and takes the longest form at each token, so matches never overlap. Among
//! forms of the same length, a form that matches case wins over one that ignores case. A form matches whole
//! tokens. It is split both at blanks and by the rule for raw text ([`tokenise`]), so that it matches in corpora
//! of both kinds.
//!
//! Words are compared as Unicode defines equal words. An accent may be a character of its own or not (NFC). All
//! apostrophes are equal, and all hyphens. If case is ignored, words are compared by full case folding (`ß` is
//! `ss`).

use std::borrow::Cow;
use std::collections::HashSet;

use anyhow::{Result, bail, ensure};
use shared::corpus::forms::Forms;
use shared::corpus::labels::LabelSet;
use shared::corpus::span::Span;
use shared::corpus::{Corpus, Entity};
use shared::formats::tokenise;
use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::data::dictionary::Dictionary;

/// What to do with a form that has several types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Ambiguous {
    /// Stop with an error
    #[value(name = "error")]
    Refuse,
    /// Use the first type, in the order of the files
    First,
    /// Do not match the form
    Drop,
}

/// A dictionary that is ready for matching.
pub struct Matcher {
    exact: Forms,
    any_case: Forms,
    /// Entity types, and the type of each entry of the dictionary.
    labels: LabelSet,
    kinds: Vec<u16>,
    /// The forms as written in the dictionary but without blanks, and whether their case is ignored.
    forms: Vec<(String, bool)>,
    /// Number of forms with several types.
    n_ambiguous: usize,
}

/// Distant labels of a text, and where they come from.
pub struct Annotated {
    /// The text with the matches as its entities.
    pub corpus: Corpus,
    /// The entry of the dictionary behind each entity, by its position in the dictionary.
    pub entries: Vec<usize>,
    /// Number of entities that differ from their form in characters that Unicode treats as equal.
    pub n_normalised: usize,
}

impl Matcher {
    /// Prepares a dictionary. `ignore_case` applies to all forms.
    ///
    /// # Errors
    /// When a form has several types and `ambiguous` refuses that. The error names both places.
    pub fn new(dictionary: &Dictionary, ignore_case: bool, ambiguous: Ambiguous) -> Result<Self> {
        let labels = LabelSet::from_types(dictionary.entries.iter().map(|entry| entry.kind.as_str()));
        ensure!(
            labels.n_types() < usize::from(u16::MAX),
            "the dictionary has too many entity types: {}",
            labels.n_types()
        );
        let mut kinds = Vec::with_capacity(dictionary.entries.len());
        let mut forms = Vec::with_capacity(dictionary.entries.len());
        let ids = labels.ids();
        let (mut exact, mut any_case) = (Forms::default(), Forms::default());
        let mut conflicts = Vec::new();
        for (number, entry) in dictionary.entries.iter().enumerate() {
            kinds.push(ids.get(entry.kind.as_str()).copied().unwrap_or_default());
            let folds = ignore_case || entry.ignore_case;
            let form = entry.form.as_str();
            forms.push((form.split_whitespace().collect(), folds));
            let forms_of_case = if folds { &mut any_case } else { &mut exact };
            let by_blanks: Vec<&str> = form.split_whitespace().collect();
            let by_rule: Vec<&str> = tokenise(form).filter_map(|(start, end)| form.get(start..end)).collect();
            let is_other = by_rule != by_blanks;
            for tokens in std::iter::once(by_blanks).chain(is_other.then_some(by_rule)) {
                let words: Vec<String> = tokens.into_iter().map(|token| compared(token, folds).into_owned()).collect();
                let earlier = *forms_of_case.entry(&words).get_or_insert(number);
                if dictionary.entries.get(earlier).is_some_and(|e| e.kind != entry.kind) {
                    conflicts.push((earlier, number, folds, words));
                }
            }
        }
        let n_ambiguous = conflicts.iter().map(|(earlier, ..)| earlier).collect::<HashSet<_>>().len();
        match (ambiguous, conflicts.first()) {
            (Ambiguous::Refuse, Some((earlier, later, ..))) => {
                let (earlier, later) = (&dictionary.entries[*earlier], &dictionary.entries[*later]);
                bail!(
                    "{:?} has several types: {} ({}) and {} ({}). Correct the dictionary, or give `--ambiguous first` or \
                     `--ambiguous drop`. Forms with several types: {n_ambiguous}",
                    later.form,
                    earlier.kind,
                    dictionary.place(earlier),
                    later.kind,
                    dictionary.place(later),
                );
            }
            (Ambiguous::Drop, _) => {
                for (.., folds, words) in &conflicts {
                    let forms_of_case = if *folds { &mut any_case } else { &mut exact };
                    *forms_of_case.entry(words) = None;
                }
            }
            _ => {}
        }
        Ok(Self { exact, any_case, labels, kinds, forms, n_ambiguous })
    }

    /// Returns the number of forms with several types.
    pub fn n_ambiguous(&self) -> usize {
        self.n_ambiguous
    }

    /// Labels a text. Its earlier entities are dropped.
    pub fn annotate(&self, text: Corpus) -> Annotated {
        let mut entries = Vec::new();
        let mut entities = Vec::new();
        let mut n_normalised = 0;
        let (mut exact, mut any_case) = (Vec::new(), Vec::new());
        for sentence in 0..text.n_sentences() as u32 {
            let tokens = text.tokens.sentence(sentence);
            exact.clear();
            exact.extend(tokens.clone().map(|token| self.exact.word(&compared(token, false))));
            if !self.any_case.is_empty() {
                any_case.clear();
                any_case.extend(tokens.map(|token| self.any_case.word(&compared(token, true))));
            }
            let mut start = 0;
            while start < exact.len() {
                let found = self.exact.longest(&exact[start..]);
                let folded = self.any_case.longest(any_case.get(start..).unwrap_or_default());
                let best = [found, folded].into_iter().flatten().reduce(|a, b| if b.0 > a.0 { b } else { a });
                let Some((width, entry)) = best else {
                    start += 1;
                    continue;
                };
                entries.push(entry);
                let span = Span { sentence, start: start as u32, end: (start + width - 1) as u32 };
                entities.push(Entity { span, label: self.kinds[entry] });
                n_normalised += usize::from(self.is_written_otherwise(entry, text.tokens.words(span)));
                start += width;
            }
        }
        Annotated {
            corpus: Corpus { entities, unknown: Vec::new(), labels: self.labels.clone(), ..text },
            entries,
            n_normalised,
        }
    }

    /// Returns whether words that match a form differ from it in their characters. Case is ignored if the form
    /// ignores it.
    fn is_written_otherwise<'t>(&self, entry: usize, words: impl Iterator<Item = &'t str>) -> bool {
        let written = words.flat_map(str::split_whitespace);
        self.forms.get(entry).is_some_and(|(form, folds)| match folds {
            true => written.collect::<String>().to_lowercase() != form.to_lowercase(),
            false => !written.flat_map(str::bytes).eq(form.bytes()),
        })
    }
}

/// Returns the form of a word that is compared: composed, with one kind of apostrophe and hyphen, and folded if
/// case is ignored.
fn compared(word: &str, folds: bool) -> Cow<'_, str> {
    if word.is_ascii() && !(folds && word.bytes().any(|byte| byte.is_ascii_uppercase())) {
        return Cow::Borrowed(word);
    }
    let is_plain = |c: char| plain(c) == c;
    if !folds && word.chars().all(is_plain) && is_nfc(word) {
        return Cow::Borrowed(word);
    }
    let plain = word.chars().map(plain);
    Cow::Owned(match folds {
        // Unicode's caseless match: decompose before folding and compose after it, because neither form is stable
        // under folding.
        true => caseless::default_case_fold_str(&plain.nfd().collect::<String>()).nfc().collect(),
        false => plain.nfc().collect(),
    })
}

/// Returns the usual apostrophe or hyphen for characters that look the same.
fn plain(c: char) -> char {
    match c {
        '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2bc}' | '\u{2032}' | '\u{ff07}' | '\u{60}' | '\u{b4}' => '\'',
        '\u{2010}' | '\u{2011}' | '\u{ff0d}' => '-',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dictionary(rows: &str) -> Dictionary {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.tsv");
        std::fs::write(&path, rows).unwrap();
        let mut dictionary = Dictionary::default();
        dictionary.add_file(&path).unwrap();
        dictionary
    }

    fn text(sentences: &[&str]) -> Corpus {
        let mut corpus = Corpus::default();
        for sentence in sentences {
            corpus.tokens.push(sentence.split(' ')).unwrap();
        }
        corpus
    }

    /// Returns (sentence, start, end, type) of every match.
    fn found(annotated: &Annotated) -> Vec<(u32, u32, u32, &str)> {
        let corpus = &annotated.corpus;
        let entity = |e: &Entity| (e.span.sentence, e.span.start, e.span.end, corpus.labels.name(e.label));
        corpus.entities.iter().map(entity).collect()
    }

    #[test]
    fn the_longest_form_from_the_left_wins() {
        let rows =
            "New York\tLOC\nNew York Times\tORG\nYork Times Square\tLOC\nTimes Square\tLOC\nYork\tLOC\nNY\tLOC\n";
        let matcher = Matcher::new(&dictionary(rows), false, Ambiguous::Refuse).unwrap();
        let annotated = matcher.annotate(text(&["New York Times Square", "new York , New", "in New York Post"]));
        assert_eq!(found(&annotated), [(0, 0, 2, "ORG"), (1, 1, 1, "LOC"), (2, 1, 2, "LOC")]);
        assert_eq!(annotated.entries, [1, 4, 0]);
    }

    #[test]
    fn case_matters_unless_it_is_told_not_to() {
        let entries = dictionary("Frost\tPER\tany-case\nFrost Bank\tORG\nApple\tORG\n");
        let annotate = |ignore_case: bool| {
            let matcher = Matcher::new(&entries, ignore_case, Ambiguous::Refuse).unwrap();
            matcher.annotate(text(&["FROST bank apple", "Frost Bank ÉTÉ"]))
        };
        assert_eq!(found(&annotate(false)), [(0, 0, 0, "PER"), (1, 0, 1, "ORG")]);
        assert_eq!(found(&annotate(true)), [(0, 0, 1, "ORG"), (0, 2, 2, "ORG"), (1, 0, 1, "ORG")]);
    }

    #[test]
    fn the_same_characters_written_otherwise_match_and_are_counted() {
        let rows = "Zürich\tLOC\nO'Neill\tPER\nStraße\tLOC\tany-case\nJean‐Luc\tPER\nÅngström\tPER\tany-case\nΣίσυφος\tPER\tany-case\n";
        let matcher = Matcher::new(&dictionary(rows), false, Ambiguous::Refuse).unwrap();
        for (sentence, expected, n) in [
            // As written in the dictionary; decomposed; in another case, which matters here.
            ("in Zürich", Some((1, 1, "LOC")), 0),
            ("in Zu\u{308}rich", Some((1, 1, "LOC")), 1),
            ("in ZU\u{308}RICH", None, 0),
            // Apostrophes, in both kinds of tokens.
            ("Mr. O'Neill", Some((1, 1, "PER")), 0),
            ("Mr. O’Neill", Some((1, 1, "PER")), 1),
            ("Mr. O ’Neill", Some((1, 2, "PER")), 1),
            ("Mr. OʼNeill", Some((1, 1, "PER")), 1),
            ("Mr. ONeill", None, 0),
            // Full case folding.
            ("STRASSE", Some((0, 0, "LOC")), 1),
            ("strasse", Some((0, 0, "LOC")), 1),
            ("STRAßE", Some((0, 0, "LOC")), 0),
            ("Jean-Luc", Some((0, 0, "PER")), 1),
            ("A\u{30a}NGSTRO\u{308}M", Some((0, 0, "PER")), 1),
            ("\u{212b}ngström", Some((0, 0, "PER")), 0),
            ("ΣΊΣΥΦΟΣ", Some((0, 0, "PER")), 0),
        ] {
            let annotated = matcher.annotate(text(&[sentence]));
            let expected: Vec<_> = expected.map(|(start, end, kind)| (0, start, end, kind)).into_iter().collect();
            assert_eq!((found(&annotated), annotated.n_normalised), (expected, n), "{sentence}");
        }
        // Two spellings of the same form count as one form, so they must not have two types.
        let twice = dictionary("Zürich\tLOC\nZu\u{308}rich\tORG\n");
        assert!(Matcher::new(&twice, false, Ambiguous::Refuse).is_err());
        let dropped = Matcher::new(&twice, false, Ambiguous::Drop).unwrap();
        assert!(found(&dropped.annotate(text(&["Zürich"]))).is_empty());
        // The longest form still wins, and tokens stay unchanged.
        let longer = dictionary("Cafe\u{301}\tORG\nCafé Nord\tLOC\n");
        let matcher = Matcher::new(&longer, false, Ambiguous::Refuse).unwrap();
        let annotated = matcher.annotate(text(&["the Cafe\u{301} Nord Café"]));
        assert_eq!(found(&annotated), [(0, 1, 2, "LOC"), (0, 3, 3, "ORG")]);
        assert_eq!(annotated.corpus.tokens.sentence(0).nth(1), Some("Cafe\u{301}"));
    }

    #[test]
    fn forms_match_tokens_of_either_kind() {
        let matcher = Matcher::new(&dictionary("John's U.S. tour\tMISC\n"), false, Ambiguous::Refuse).unwrap();
        let annotated = matcher.annotate(text(&["John's U.S. tour", "John 's U.S . tour"]));
        assert_eq!(found(&annotated), [(0, 0, 2, "MISC"), (1, 0, 4, "MISC")]);
    }

    #[test]
    fn a_form_with_two_types_is_refused_or_decided() {
        let entries = dictionary("Paris\tLOC\nAda\tPER\nParis\tPER\nParis\tLOC\nAda\tPER\n");
        let Err(error) = Matcher::new(&entries, false, Ambiguous::Refuse) else { panic!("it is ambiguous") };
        let error = error.to_string();
        assert!(error.contains("line 1") && error.contains("line 3") && error.contains("--ambiguous"), "{error}");
        let found_by = |ambiguous| {
            let annotated = Matcher::new(&entries, false, ambiguous).unwrap().annotate(text(&["Ada in Paris"]));
            annotated.corpus.entities.iter().map(|e| annotated.corpus.labels.name(e.label).to_owned()).collect()
        };
        let (first, dropped): (Vec<String>, Vec<String>) = (found_by(Ambiguous::First), found_by(Ambiguous::Drop));
        assert_eq!(first, ["PER", "LOC"]);
        assert_eq!(dropped, ["PER"]);
        let folded = dictionary("Frost\tPER\nfrost\tMISC\n");
        assert!(Matcher::new(&folded, false, Ambiguous::Refuse).is_ok());
        assert!(Matcher::new(&folded, true, Ambiguous::Refuse).is_err());
    }

    #[test]
    fn old_labels_go() {
        let mut corpus = text(&["Ada wrote"]);
        corpus.labels = LabelSet::from_types(["X"]);
        let span = Span { sentence: 0, start: 1, end: 1 };
        corpus.entities = vec![Entity { span, label: 1 }];
        corpus.unknown = vec![span];
        let matcher = Matcher::new(&dictionary("Ada\tPER\n"), false, Ambiguous::Refuse).unwrap();
        let annotated = matcher.annotate(corpus);
        assert_eq!(found(&annotated), [(0, 0, 0, "PER")]);
        assert!(annotated.corpus.unknown.is_empty());
    }
}
