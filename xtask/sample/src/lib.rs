//! The bundled sample: an invented corpus with gold labels and distant labels. The distant labels come from
//! matching an incomplete and ambiguous dictionary with the text.

mod corpus;
mod dice;
mod dictionary;
mod names;
mod pattern;
mod templates;
mod text;

use anyhow::Result;
use shared::formats::dynclean_json;

use corpus::corpus;
use dice::Dice;
use dictionary::{Dictionary, Matcher};
use names::World;
use text::Author;

pub(crate) const PER: &str = "PER";
pub(crate) const LOC: &str = "LOC";
pub(crate) const ORG: &str = "ORG";
pub(crate) const MISC: &str = "MISC";
pub(crate) const KINDS: [&str; 4] = [PER, LOC, ORG, MISC];

/// Seed of the bundled sample.
const SEED: u64 = 1;
const TRAIN: usize = 1000;
const DEV: usize = 200;
const TEST: usize = 300;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SampleSentence {
    tokens: Vec<String>,
    gold: Vec<Entity>,
    distant: Vec<Entity>,
}

/// A span with a type. The end is inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entity {
    start: usize,
    end: usize,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    train: Vec<SampleSentence>,
    dev: Vec<SampleSentence>,
    test: Vec<SampleSentence>,
    dictionary: Dictionary,
}

/// Returns the bundled sample as files: name and content.
///
/// # Errors
/// If the text does not fit the corpus columns.
pub fn files() -> Result<Vec<(&'static str, String)>> {
    let sample = generate(SEED);
    let json = |sentences: &[SampleSentence], distant| Ok(dynclean_json::write(&corpus(sentences, distant)?));
    let files: [(_, Result<String>); 5] = [
        ("train-distant.json", json(&sample.train, true)),
        ("train-gold.json", json(&sample.train, false)),
        ("dev.json", json(&sample.dev, false)),
        ("test.json", json(&sample.test, false)),
        ("dictionary.tsv", Ok(sample.dictionary.to_tsv())),
    ];
    files.into_iter().map(|(name, text)| Ok((name, text?))).collect()
}

/// Generates the sample of a seed. The same seed gives the same sample on every platform.
fn generate(seed: u64) -> Sample {
    let world = World::new(&mut Dice::new(seed, 0));
    let dictionary = Dictionary::build(&world, &mut Dice::new(seed, 1));
    let mut author = Author::new(&world, Dice::new(seed, 2));
    let matcher = Matcher::new(&dictionary);
    let mut split = |count, held_out_too| -> Vec<SampleSentence> {
        let written = author.write(count, held_out_too).into_iter();
        written.map(|(tokens, gold)| SampleSentence { distant: matcher.annotate(&tokens), tokens, gold }).collect()
    };
    let (train, dev, test) = (split(TRAIN, false), split(DEV, true), split(TEST, true));
    Sample { train, dev, test, dictionary }
}

#[cfg(test)]
mod tests;
