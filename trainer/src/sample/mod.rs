//! The bundled sample: an invented corpus with gold labels and distant labels. The distant labels come from
//! matching an incomplete and ambiguous dictionary with the text.

mod dice;
mod dictionary;
mod names;
mod pattern;
mod templates;
mod text;

pub use dictionary::{Dictionary, Entry, Matcher};

use dice::Dice;
use names::World;
use text::Author;

pub const PER: &str = "PER";
pub const LOC: &str = "LOC";
pub const ORG: &str = "ORG";
pub const MISC: &str = "MISC";
pub const KINDS: [&str; 4] = [PER, LOC, ORG, MISC];

const TRAIN: usize = 1000;
const DEV: usize = 200;
const TEST: usize = 300;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleSentence {
    pub tokens: Vec<String>,
    pub gold: Vec<Entity>,
    pub distant: Vec<Entity>,
}

/// A span with a type. The end is inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entity {
    pub start: usize,
    pub end: usize,
    pub kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    pub train: Vec<SampleSentence>,
    pub dev: Vec<SampleSentence>,
    pub test: Vec<SampleSentence>,
    pub dictionary: Dictionary,
}

/// Generates the sample of a seed. The same seed gives the same sample on every platform.
pub fn generate(seed: u64) -> Sample {
    let world = World::new(&mut Dice::new(seed, 0));
    let dictionary = Dictionary::build(&world, &mut Dice::new(seed, 1));
    let mut author = Author::new(&world, Dice::new(seed, 2));
    let matcher = dictionary.matcher();
    let mut split = |count, held_out_too| -> Vec<SampleSentence> {
        let written = author.write(count, held_out_too).into_iter();
        written.map(|(tokens, gold)| SampleSentence { distant: matcher.annotate(&tokens), tokens, gold }).collect()
    };
    let (train, dev, test) = (split(TRAIN, false), split(DEV, true), split(TEST, true));
    Sample { train, dev, test, dictionary }
}

#[cfg(test)]
mod tests;
