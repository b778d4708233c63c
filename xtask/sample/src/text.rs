//! Sentences: a template, names drawn for its slots, and their gold spans.

use std::collections::BTreeSet;

use super::dice::Dice;
use super::names::{Name, Pool, World};
use super::pattern::{Slots, expand, polish};
use super::templates::TEMPLATES;
use super::{Entity, ORG, PER};

/// Longer sentences are dropped and drawn again.
const MAX_TOKENS: usize = 39;
/// Every ninth template is used only in dev and test, so that these contain contexts that train does not have.
const HELD_OUT: usize = 9;

/// Writes sentences. No sentence is written twice, in any split.
pub(super) struct Author<'a> {
    world: &'a World,
    dice: Dice,
    seen: BTreeSet<Vec<String>>,
}

impl<'a> Author<'a> {
    pub(super) fn new(world: &'a World, dice: Dice) -> Self {
        Self { world, dice, seen: BTreeSet::new() }
    }

    pub(super) fn write(&mut self, count: usize, held_out_too: bool) -> Vec<(Vec<String>, Vec<Entity>)> {
        let all = TEMPLATES.iter().copied().flatten().copied().enumerate();
        let mut deck: Vec<&str> =
            all.filter(|(at, _)| held_out_too || at % HELD_OUT != HELD_OUT / 2).map(|(_, template)| template).collect();
        let mut sentences = Vec::with_capacity(count);
        // Use a shuffled deck instead of free draws, so that all templates are about equally frequent.
        loop {
            self.dice.shuffle(&mut deck);
            for template in &deck {
                if sentences.len() == count {
                    return sentences;
                }
                let (tokens, gold) = self.sentence(template);
                if tokens.len() <= MAX_TOKENS && self.seen.insert(tokens.clone()) {
                    sentences.push((tokens, gold));
                }
            }
        }
    }

    fn sentence(&mut self, template: &str) -> (Vec<String>, Vec<Entity>) {
        let mut writer = Writer { world: self.world, gold: Vec::new(), used: BTreeSet::new(), person: Name::default() };
        let mut tokens = Vec::new();
        expand(template, &mut writer, &mut self.dice, &mut tokens);
        polish(&mut tokens);
        (tokens, writer.gold)
    }
}

/// Fills the slots of one sentence.
struct Writer<'a> {
    world: &'a World,
    gold: Vec<Entity>,
    used: BTreeSet<Vec<String>>,
    /// The person named last, to whom pronouns refer.
    person: Name,
}

impl Writer<'_> {
    fn entity(&mut self, name: &[String], kind: &'static str, words: &mut Vec<String>) {
        let start = words.len();
        words.extend_from_slice(name);
        self.used.insert(name.to_vec());
        self.gold.push(Entity { start, end: words.len() - 1, kind });
    }

    /// Draws a name that the sentence does not contain yet, if a few tries find one.
    fn fresh(&self, pool: Pool, dice: &mut Dice) -> Name {
        let mut name = self.world.draw(pool, dice);
        for _ in 0..20 {
            if !self.used.contains(&name.words) && !self.used.contains(&name.short) {
                break;
            }
            name = self.world.draw(pool, dice);
        }
        name.clone()
    }

    fn name(&mut self, pool: Pool, dice: &mut Dice, words: &mut Vec<String>) {
        let name = self.fresh(pool, dice);
        self.entity(&name.words, pool.kind(), words);
    }

    fn full_name(&mut self, feminine: Option<bool>, dice: &mut Dice, words: &mut Vec<String>) {
        self.person = self.fresh(Pool::Person, dice);
        while feminine.is_some_and(|asked| asked != self.person.feminine) {
            self.person = self.fresh(Pool::Person, dice);
        }
        let name = self.person.words.clone();
        self.entity(&name, PER, words);
    }

    fn surname(&mut self, title: bool, dice: &mut Dice, words: &mut Vec<String>) {
        self.person = self.fresh(Pool::Person, dice);
        if title {
            let by_sex = if self.person.feminine { ["Ms", "Mrs"] } else { ["Mr", "Mr"] };
            let titles = [by_sex[0], by_sex[1], by_sex[0], "Dr", "Professor", "Captain", "Inspector", "Major"];
            words.push(dice.pick(&titles).to_owned());
        }
        let surname = self.person.short.clone();
        self.entity(&surname, PER, words);
    }

    fn pronoun(&self, feminine: &str, masculine: &str, words: &mut Vec<String>) {
        words.push(if self.person.feminine { feminine } else { masculine }.to_owned());
    }
}

impl Slots for Writer<'_> {
    fn fill(&mut self, slot: &str, dice: &mut Dice, words: &mut Vec<String>) {
        if let Some(pool) = pool_of(slot) {
            return self.name(pool, dice, words);
        }
        let (slot, range) = slot.split_once(':').unwrap_or((slot, ""));
        let (low, high) = range.split_once('-').unwrap_or_default();
        let (low, high) = (low.parse().unwrap_or(0), high.parse().unwrap_or(0));
        match slot {
            "per" => self.full_name(None, dice, words),
            "woman" => self.full_name(Some(true), dice, words),
            "man" => self.full_name(Some(false), dice, words),
            "sur" => self.surname(false, dice, words),
            "mr" => self.surname(true, dice, words),
            "given" => {
                let given = self.person.words[..1].to_vec();
                self.entity(&given, PER, words);
            }
            "first" => {
                let given = self.fresh(Pool::Person, dice).words[..1].to_vec();
                self.entity(&given, PER, words);
            }
            "he" => self.pronoun("she", "he", words),
            "him" => self.pronoun("her", "him", words),
            "his" => self.pronoun("her", "his", words),
            // A club by its full name, its nickname, or only its town.
            "side" => match dice.below(100) {
                0..48 => self.name(Pool::Club, dice, words),
                48..68 => self.name(Pool::Nickname, dice, words),
                _ => {
                    let town = self.fresh(Pool::Club, dice).short;
                    self.entity(&town, ORG, words);
                }
            },
            "firmshort" => {
                let short = self.fresh(Pool::Firm, dice).short;
                self.entity(&short, ORG, words);
            }
            "place" => {
                let pool = match dice.below(100) {
                    0..35 => Pool::Town,
                    35..60 => Pool::City,
                    60..80 => Pool::Country,
                    80..90 => Pool::Region,
                    _ => Pool::Island,
                };
                self.name(pool, dice, words);
            }
            "uni" => {
                let name = self.fresh(Pool::University, dice);
                if name.words.iter().any(|word| word == "of") {
                    words.push("the".to_owned());
                }
                self.entity(&name.words, ORG, words);
            }
            "n" => words.push(dice.between(low, high).to_string()),
            "nth" => words.push(ordinal(dice.between(low, high))),
            "dec" => words.push(format!("{}.{}", dice.between(low, high), dice.between(1, 9))),
            "clock" => words.push(format!("{}.{}", dice.between(low, high), dice.between(10, 59))),
            "thousands" => words.push(format!("{},{}00", dice.between(2, 60), dice.between(1, 9))),
            "height" => words.push(format!("{},{}", dice.between(1, 4), dice.between(100, 999))),
            "score" => {
                let goals = dice.between(1, 5);
                words.push(format!("{goals}-{}", dice.below(goals)));
            }
            "set" => words.push(format!("6-{}", dice.below(5))),
            "year" => words.push(dice.between(1931, 2019).to_string()),
            "old" => words.push(dice.between(1604, 1913).to_string()),
            "future" => words.push(dice.between(2031, 2044).to_string()),
            "life" => {
                let born = dice.between(1640, 1890);
                words.push(format!("{born}-{}", born + dice.between(31, 88)));
            }
            "day" => words.push(
                dice.pick(&["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]).to_owned(),
            ),
            "month" => words.push(
                dice.pick(&[
                    "January",
                    "February",
                    "March",
                    "April",
                    "May",
                    "June",
                    "July",
                    "August",
                    "September",
                    "October",
                    "November",
                    "December",
                ])
                .to_owned(),
            ),
            "pct" => {
                let share = if dice.chance(50) {
                    dice.between(2, 60).to_string()
                } else {
                    format!("{}.{}", dice.between(1, 19), dice.between(1, 9))
                };
                words.extend([share, "percent".to_owned()]);
            }
            "money" => {
                let sum = format!("{}.{}", dice.between(1, 79), dice.between(1, 9));
                words.extend(["$".to_owned(), sum, "million".to_owned()]);
            }
            // A test looks for this in the text.
            _ => words.push(format!("{{{slot}}}")),
        }
    }
}

fn ordinal(n: usize) -> String {
    let ending = match (n % 100, n % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

/// Returns the pool of a slot that is a single name.
fn pool_of(slot: &str) -> Option<Pool> {
    Some(match slot {
        "town" => Pool::Town,
        "city" => Pool::City,
        "country" => Pool::Country,
        "river" => Pool::River,
        "lake" => Pool::Lake,
        "mountain" => Pool::Mountain,
        "island" => Pool::Island,
        "region" => Pool::Region,
        "street" => Pool::Street,
        "venue" => Pool::Venue,
        "club" => Pool::Club,
        "firm" => Pool::Firm,
        "band" => Pool::Band,
        "party" => Pool::Party,
        "agency" => Pool::Agency,
        "paper" => Pool::Paper,
        "hospital" => Pool::Hospital,
        "adj" => Pool::Demonym,
        "people" => Pool::People,
        "award" => Pool::Award,
        "fest" => Pool::Festival,
        "album" => Pool::Album,
        "film" => Pool::Film,
        "book" => Pool::Book,
        "cup" => Pool::Cup,
        "product" => Pool::Product,
        "law" => Pool::Law,
        "war" => Pool::War,
        "ship" => Pool::Ship,
        _ => return None,
    })
}
