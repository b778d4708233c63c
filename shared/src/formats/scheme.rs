//! Finds out what the labels of a file mean, from all labels together.
//!
//! A file is read only if one reading is sure. Otherwise the error describes the labels and names the option that
//! settles the question.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::tags;
use crate::corpus::notation::{ENTITY, LETTERS, Notation, Scheme, Spelling};

/// The separators of letter and type, the usual one first.
const SEPARATORS: [char; 5] = ['-', '_', ':', '.', '/'];
/// A file with fewer tokens is too small for a limit on its types.
const FEW_TOKENS: usize = 50;
/// Up to this many types are accepted for any number of tokens.
const FEW_TYPES: usize = 15;

/// The labels of a file, without interpretation.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// Every label once, in file order. The number of a label is its index here.
    labels: Vec<String>,
    numbers: HashMap<String, usize>,
    /// Pairs of labels where the second follows the first in a sentence. `None` is the beginning of a sentence.
    pairs: HashSet<(Option<usize>, usize)>,
    previous: Option<usize>,
    n_tokens: usize,
}

/// How to read the labels, and what to tell the user about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Judged {
    pub notation: Notation,
    pub note: Option<String>,
}

impl From<Notation> for Judged {
    fn from(notation: Notation) -> Self {
        Self { notation, note: None }
    }
}

impl Evidence {
    /// Adds the next label of a sentence.
    pub fn see(&mut self, label: &str) {
        let number = self.number(label);
        self.pairs.insert((self.previous, number));
        self.previous = Some(number);
        self.n_tokens += 1;
    }

    /// Adds a label that the file may have, without a token.
    pub fn know(&mut self, label: &str) {
        self.number(label);
    }

    fn number(&mut self, label: &str) -> usize {
        if let Some(&number) = self.numbers.get(label) {
            return number;
        }
        self.labels.push(label.to_owned());
        self.numbers.insert(label.to_owned(), self.labels.len() - 1);
        self.labels.len() - 1
    }

    /// Ends the sentence.
    pub fn end_sentence(&mut self) {
        self.previous = None;
    }

    /// Whether the file has this label.
    pub fn has(&self, label: &str) -> bool {
        self.numbers.contains_key(label)
    }

    /// Whether there is any label other than this one.
    pub fn has_other_than(&self, label: &str) -> bool {
        self.labels.iter().any(|other| other != label)
    }

    /// Whether all labels except `O` are whole numbers.
    pub fn are_numbers(&self) -> bool {
        let mut labels = self.labels.iter().filter(|label| !label.is_empty() && *label != "O").peekable();
        labels.peek().is_some() && labels.all(|label| label.parse::<i64>().is_ok())
    }

    /// Decides how to read the labels: as `wanted` says, or as they look. `ignore` is the type that means
    /// "unknown".
    ///
    /// # Errors
    /// When no reading is sure. The text describes the labels and names the option that settles the question.
    pub fn judge(&self, wanted: Option<Scheme>, ignore: &str) -> Result<Judged, String> {
        // A lower-case `o` is the outside tag only if the file has no `O`.
        let has_small_o = self.has("o") && !self.has("O");
        let outside = if has_small_o { "o" } else { "O" };
        let labels: Vec<&str> =
            self.labels.iter().map(String::as_str).filter(|label| !label.is_empty() && *label != outside).collect();
        let spelled = |spelling: Spelling| Spelling { has_small_o, ..spelling };
        match wanted {
            Some(scheme @ (Scheme::Plain | Scheme::Brackets)) => {
                return Ok(Notation { scheme, spelling: spelled(Spelling::default()) }.into());
            }
            Some(scheme) => {
                let spelling = spellings().find(|spelling| labels.iter().all(|label| spelling.split(label).is_some()));
                let spelling = spelling.or_else(|| untyped(&labels, ignore)).unwrap_or_default();
                return Ok(Notation { scheme, spelling: spelled(spelling) }.into());
            }
            None => {}
        }
        if labels.is_empty() {
            return Ok(Notation { scheme: Scheme::default(), spelling: spelled(Spelling::default()) }.into());
        }
        let of_tags = |spelling: Spelling| {
            let spelling = spelled(spelling);
            Notation { scheme: self.scheme(spelling), spelling }
        };
        if let Some(spelling) = spellings().find(|spelling| is_sure(*spelling, &labels)) {
            return Ok(of_tags(spelling).into());
        }
        if let Some(spelling) = untyped(&labels, ignore) {
            let note = format!(
                "the tags have no types ({}): all entities are read as one type, {ENTITY}",
                listed(labels.iter().filter(|label| label.len() == 1).copied())
            );
            return Ok(Judged { notation: of_tags(spelling), note: Some(note) });
        }
        if self.are_brackets() {
            return Ok(Notation::from(Scheme::Brackets).into());
        }
        // Some labels are tags and others are not. The error then names the first one that is not a tag, and its
        // line.
        let usual = Spelling::default();
        if labels.iter().any(|label| matches!(usual.split(label), Some(('B' | 'I', _)))) {
            return Ok(of_tags(usual).into());
        }
        self.check_types(&labels, outside)?;
        Ok(Notation { scheme: Scheme::Plain, spelling: spelled(Spelling::default()) }.into())
    }

    /// Checks whether labels without letters can be entity types.
    fn check_types(&self, labels: &[&str], outside: &str) -> Result<(), String> {
        let some = listed(labels.iter().copied());
        let other = "choose another one with --label-column, or say --tag-scheme plain if these are entity types";
        if self.are_numbers() {
            return Err(format!(
                "the labels are numbers ({some}); give the names of tag ids with --tags FILE, or {other}"
            ));
        }
        if labels.iter().all(|label| label.len() == 1 && LETTERS.contains(&label.to_ascii_uppercase())) {
            return Err(format!("the labels ({some}) look like tags without a type; write them as B-PER; or {other}"));
        }
        if !self.has(outside) {
            return Err(format!(
                "there is no O (in no entity) among the labels ({some}): they look like other things than \
                                entities; {other}"
            ));
        }
        for spelling in spellings() {
            let mut letters: HashMap<&str, BTreeSet<char>> = HashMap::new();
            let split: Vec<Option<(char, &str)>> = labels.iter().map(|label| spelling.split(label)).collect();
            for (letter, kind) in split.iter().flatten() {
                letters.entry(kind).or_default().insert(*letter);
            }
            let all = split.iter().all(|part| matches!(part, Some(('B' | 'I', _))));
            if all || letters.values().any(|letters| letters.contains(&'B') && letters.contains(&'I')) {
                let tags = labels.iter().zip(&split).filter(|(_, part)| part.is_some()).map(|(label, _)| *label);
                return Err(format!(
                    "{} look like tags, the letter {} the type{}; say --tag-scheme bio if they are, or --tag-scheme plain if \
                     every label but {outside} is a type",
                    listed(tags),
                    if spelling.is_suffix { "after" } else { "before" },
                    if all { "" } else { ", and other labels do not" }
                ));
            }
        }
        if self.n_tokens >= FEW_TOKENS && labels.len() > FEW_TYPES && labels.len() * 10 > self.n_tokens {
            return Err(format!(
                "{} types ({some}) among {} tokens are more than entities have; {other}",
                labels.len(),
                self.n_tokens
            ));
        }
        Ok(())
    }

    fn are_brackets(&self) -> bool {
        let parsed: Option<Vec<_>> = self.labels.iter().map(|label| tags::brackets(label)).collect();
        let is_type = |kind: &&str| kind.chars().any(char::is_alphabetic);
        parsed.is_some_and(|parsed| parsed.iter().any(|(kinds, _)| !kinds.is_empty() && kinds.iter().all(is_type)))
            && self.labels.iter().any(|label| label.contains('*'))
    }

    /// The scheme that fits tags of this spelling, or fits them best.
    fn scheme(&self, spelling: Spelling) -> Scheme {
        let split = |label: &str| {
            let mut chars = label.chars();
            let alone = chars.next().filter(|_| spelling.is_untyped && chars.as_str().is_empty());
            match alone {
                Some(letter) => spelling.capital(letter).map(|letter| (letter, ENTITY.to_owned())),
                None => spelling.split(label).map(|(letter, kind)| (letter, kind.to_owned())),
            }
        };
        let parts: Vec<Option<(char, String)>> = self.labels.iter().map(|label| split(label)).collect();
        let has = |letters: &str| parts.iter().flatten().any(|(letter, _)| letters.contains(*letter));
        if has("M") || has("W") {
            return if has("W") { Scheme::Bmewo } else { Scheme::Bmes };
        }
        if has("ES") {
            return Scheme::Iobes;
        }
        if has("LU") {
            return Scheme::Bilou;
        }
        // A letter where no entity of its type comes before: `I` excludes IOB2, `B` excludes IOB1.
        let (mut inside_first, mut begin_first) = (false, false);
        for &(previous, label) in &self.pairs {
            let Some(Some((letter, kind))) = parts.get(label) else { continue };
            let before = previous.and_then(|previous| parts.get(previous)?.as_ref());
            if before.is_none_or(|(_, before)| before != kind) {
                inside_first |= *letter == 'I';
                begin_first |= *letter == 'B';
            }
        }
        if inside_first && !begin_first { Scheme::Iob1 } else { Scheme::Iob2 }
    }
}

/// Whether a label may be a tag in any spelling.
pub(super) fn may_be_tag(label: &str) -> bool {
    matches!(label, "O" | "o" | "B" | "I")
        || tags::brackets(label).is_some()
        || spellings().any(|spelling| matches!(spelling.split(label), Some(('B' | 'I', _))))
}

/// All spellings of tags with types, the usual ones first.
fn spellings() -> impl Iterator<Item = Spelling> {
    let of = |(is_suffix, is_small)| {
        SEPARATORS.map(|separator| Spelling { separator, is_suffix, is_small, ..Spelling::default() })
    };
    [(false, false), (true, false), (false, true), (true, true)].into_iter().flat_map(of)
}

/// Whether the labels can only be tags of this spelling.
fn is_sure(spelling: Spelling, labels: &[&str]) -> bool {
    let Some(split) = labels.iter().map(|label| spelling.split(label)).collect::<Option<Vec<_>>>() else {
        return false;
    };
    let has = |letters: &str| split.iter().any(|(letter, _)| letters.contains(*letter));
    let usual = !spelling.is_suffix && spelling.separator == '-';
    if usual {
        // `E-mail` alone is a type: an entity would have a first token.
        return has("BI") && (!spelling.is_small || has("B")) || (!spelling.is_small && has("SUW"));
    }
    let mut letters: HashMap<&str, BTreeSet<char>> = HashMap::new();
    for (letter, kind) in split.iter() {
        letters.entry(kind).or_default().insert(*letter);
    }
    has("BI") && letters.values().any(|letters| letters.len() > 1)
}

/// The spelling of tags without types: single letters, and tags of the type that means "unknown". `None` if the
/// labels are not such tags.
fn untyped(labels: &[&str], ignore: &str) -> Option<Spelling> {
    [false, true].into_iter().find_map(|is_small| {
        let spelling = Spelling { is_small, is_untyped: true, ..Spelling::default() };
        let letter = |label: &str| {
            let mut chars = label.chars();
            chars.next().filter(|_| chars.as_str().is_empty()).and_then(|letter| spelling.capital(letter))
        };
        let is_ignored = |label: &str| spelling.split(label).is_some_and(|(_, kind)| kind == ignore);
        let are_tags = labels.iter().all(|label| letter(label).is_some() || is_ignored(label));
        let begins = labels.iter().any(|label| matches!(letter(label), Some('B' | 'I')));
        (are_tags && begins).then_some(spelling)
    })
}

/// The first few elements of a list, as text.
fn listed<'l>(labels: impl Iterator<Item = &'l str>) -> String {
    let mut labels = labels.peekable();
    let short = |label: &str| match label.char_indices().nth(30) {
        Some((end, _)) => format!("{}…", label.get(..end).unwrap_or_default()),
        None => label.to_owned(),
    };
    let some: Vec<String> = labels.by_ref().take(4).map(short).collect();
    some.join(", ") + if labels.peek().is_some() { ", …" } else { "" }
}
