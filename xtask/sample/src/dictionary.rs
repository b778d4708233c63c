//! The dictionary behind the distant labels, and the matching.
//!
//! It has the errors of real dictionaries. It is incomplete: obscure names are missing more often than famous
//! ones. It is ambiguous: each form has one type, although a town may also be a club and a surname. It has parts
//! of names: it may know "Harwick" but not "Harwick Jazz Festival". And some of its names are everyday words.

use std::collections::{BTreeMap, BTreeSet};

use shared::corpus::forms::Forms;

use super::dice::Dice;
use super::names::{Pool, World, common_words};
use super::{Entity, KINDS, LOC, MISC, ORG, PER};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub form: Vec<String>,
    pub kind: &'static str,
    /// Whether the form "Frost" also matches "frost" and "FROST".
    pub ignore_case: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dictionary {
    /// Sorted by form. Each form occurs once.
    pub entries: Vec<Entry>,
}

impl Dictionary {
    /// Returns one line per entry: form, type, and `exact` or `any-case`, separated by tabs.
    pub fn to_tsv(&self) -> String {
        let mut text = String::new();
        for entry in &self.entries {
            let case = if entry.ignore_case { "any-case" } else { "exact" };
            text += &format!("{}\t{}\t{case}\n", entry.form.join(" "), entry.kind);
        }
        text
    }

    pub(super) fn build(world: &World, dice: &mut Dice) -> Self {
        let mut builder = Builder { entries: BTreeMap::new() };
        // The first entry with a form keeps it, so the order decides the type of an ambiguous form. Some clubs win
        // over their town, and towns win over the people named after them.
        let mut quota = Quota::new(dice);
        for club in world.pool(Pool::Club) {
            if quota.grants(CLUB_BY_TOWN) {
                builder.add(&club.short, ORG);
            }
        }
        for (word, kind) in common_words() {
            if dice.chance(COMMON_WORD) {
                let any_case = kind != PER || ANY_CASE_SURNAMES.contains(&word);
                let ignore_case = any_case && dice.chance(50);
                builder.entries.insert(vec![word.to_owned()], (kind, ignore_case));
            }
        }
        for pool in Pool::ALL {
            let names = world.pool(pool);
            let mut quota = Quota::new(dice);
            for (rank, name) in names.iter().enumerate() {
                if quota.grants(falling(coverage(pool), rank, names.len())) {
                    // Errors of the editors. The best-known names have none.
                    let slip = rank * 10 > names.len() && dice.chance(SLIP);
                    let kind = if slip { dice.pick(&KINDS) } else { pool.kind() };
                    builder.add(&name.words, kind);
                }
            }
        }
        // Parts of names also become entries: a surname, a given name, the first word of a firm.
        let surnames = distinct(world.pool(Pool::Person).iter().map(|name| &name.short[..]));
        let mut quota = Quota::new(dice);
        for (rank, surname) in surnames.iter().enumerate() {
            if quota.grants(falling(SURNAME, rank, surnames.len())) {
                builder.add(surname, PER);
            }
        }
        for given in distinct(world.pool(Pool::Person).iter().map(|name| &name.words[..1])) {
            if dice.chance(GIVEN_NAME) {
                builder.add(given, PER);
            }
        }
        for short in distinct(world.pool(Pool::Firm).iter().map(|name| &name.short[..])) {
            let surname = surnames.contains(&short);
            if dice.chance(if surname { FIRM_FOR_SURNAME } else { FIRM_FOR_SHORT }) {
                builder.add(short, ORG);
            }
        }
        builder.finish()
    }
}

// Shares in percent. They are chosen so that the distant labels of train have a precision of 0.70 to 0.80 and a
// recall of 0.60 to 0.70. A test checks this.
const CLUB_BY_TOWN: usize = 18;
const COMMON_WORD: usize = 85;
const SLIP: usize = 4;
const SURNAME: (usize, usize) = (65, 20);
const GIVEN_NAME: usize = 7;
const FIRM_FOR_SHORT: usize = 60;
const FIRM_FOR_SURNAME: usize = 8;

const ANY_CASE_SURNAMES: [&str; 3] = ["Frost", "Storm", "Church"];

/// Returns how many percent of a pool's names are in the dictionary, for the most famous and the most obscure
/// name.
fn coverage(pool: Pool) -> (usize, usize) {
    match pool {
        Pool::City | Pool::Country | Pool::Demonym | Pool::People => (85, 55),
        Pool::Town => (80, 50),
        _ => match pool.kind() {
            LOC => (72, 42),
            MISC => (68, 39),
            _ => (77, 42),
        },
    }
}

/// Grants a share of requests, evenly spread. With independent draws, a few famous names would decide how noisy
/// the sample of a seed is.
struct Quota {
    credit: usize,
}

impl Quota {
    fn new(dice: &mut Dice) -> Self {
        Self { credit: dice.below(100) }
    }

    fn grants(&mut self, percent: usize) -> bool {
        self.credit += percent;
        let granted = self.credit >= 100;
        self.credit %= 100;
        granted
    }
}

fn falling((famous, obscure): (usize, usize), rank: usize, of: usize) -> usize {
    famous - (famous - obscure) * rank / of
}

/// Returns each form once, in the order in which it first occurs. Names come in order of fame.
fn distinct<'a>(forms: impl Iterator<Item = &'a [String]>) -> Vec<&'a [String]> {
    let mut seen = BTreeSet::new();
    forms.filter(|form| seen.insert(*form)).collect()
}

struct Builder {
    entries: BTreeMap<Vec<String>, (&'static str, bool)>,
}

impl Builder {
    fn add(&mut self, form: &[String], kind: &'static str) {
        if !form.is_empty() {
            self.entries.entry(form.to_vec()).or_insert((kind, false));
        }
    }

    fn finish(self) -> Dictionary {
        let entries = self.entries.into_iter();
        Dictionary { entries: entries.map(|(form, (kind, ignore_case))| Entry { form, kind, ignore_case }).collect() }
    }
}

/// A dictionary that is ready for matching.
pub struct Matcher<'a> {
    dictionary: &'a Dictionary,
    exact: Forms,
    any_case: Forms,
}

impl<'a> Matcher<'a> {
    pub fn new(dictionary: &'a Dictionary) -> Self {
        let (mut exact, mut any_case) = (Forms::default(), Forms::default());
        for (number, entry) in dictionary.entries.iter().enumerate() {
            *exact.entry(&entry.form) = Some(number);
            if entry.ignore_case {
                *any_case.entry(entry.form.iter().map(|word| word.to_lowercase())) = Some(number);
            }
        }
        Self { dictionary, exact, any_case }
    }

    /// Finds entities from left to right, with the longest form at each token. Matches never overlap. An exact
    /// match wins over one that ignores case.
    pub fn annotate(&self, tokens: &[String]) -> Vec<Entity> {
        let exact: Vec<_> = tokens.iter().map(|token| self.exact.word(token)).collect();
        let any_case: Vec<_> = tokens.iter().map(|token| self.any_case.word(&token.to_lowercase())).collect();
        let (mut found, mut start) = (Vec::new(), 0);
        while start < tokens.len() {
            let hits = [self.exact.longest(&exact[start..]), self.any_case.longest(&any_case[start..])];
            let hit = hits.into_iter().flatten().reduce(|a, b| if b.0 > a.0 { b } else { a });
            if let Some((width, number)) = hit {
                found.push(Entity { start, end: start + width - 1, kind: self.dictionary.entries[number].kind });
            }
            start += hit.map_or(1, |(width, _)| width);
        }
        found
    }
}
