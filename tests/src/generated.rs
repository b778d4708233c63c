//! Large dynamics files that nobody trained for, to measure time and memory.

use std::io::Write;
use std::path::Path;

use shared::corpus::labels::LabelSet;
use shared::corpus::span::Span;
use shared::corpus::{Corpus, Entity, TokenTable};
use shared::formats::Layout;
use shared::recording::dyn_file::{self, RunKind};
use shared::recording::dynamics::{EpochLogits, Negatives, Precision, RunInfo, SampleScheme};

/// Number of tokens in every sentence. They make 68 spans of at most 8 tokens.
const TOKENS: u32 = 12;
const SPANS: usize = 68;

/// A fixed linear congruential sequence of numbers in 0..1.
struct Dice(u32);

impl Dice {
    fn roll(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 24) as f32
    }
}

/// The size of a generated file.
pub struct Size {
    /// Number of candidate spans.
    pub spans: usize,
    /// Number of entity types.
    pub types: usize,
    /// Number of epochs of each run.
    pub epochs: usize,
    /// Whether there are gold labels. They lack a fifth of the distant labels.
    pub gold: bool,
}

/// Writes a file with about this many spans, of which one in a hundred is a positive. Only one epoch is in memory
/// at a time. Returns the corpus.
///
/// # Panics
/// When the file cannot be written.
pub fn generate(path: &Path, size: &Size) -> Corpus {
    let mut dice = Dice(1);
    let mut tokens = TokenTable::default();
    let mut entities = Vec::new();
    for sentence in 0..(size.spans / SPANS) as u32 {
        let words: Vec<String> = (0..TOKENS).map(|_| format!("w{}", (dice.roll() * 20_000.0) as u32)).collect();
        tokens.push(words).unwrap();
        if dice.roll() < 0.68 {
            let start = (dice.roll() * 10.0) as u32;
            let label = 1 + (dice.roll() * size.types as f32) as u16;
            entities.push(Entity { span: Span { sentence, start, end: start + 1 }, label });
        }
    }
    let labels = LabelSet::from_types((1..=size.types).map(|label| format!("T{label}")));
    let corpus = Corpus { tokens, labels, entities, unknown: vec![], extra: vec![], layout: Layout::default() };
    let index = corpus.span_index(8).unwrap();
    let assigned = corpus.dense_labels(&index);
    let epoch = |assigned: &[u16], types: usize, seed: usize| {
        let mut dice = Dice(seed as u32);
        let columns = (1..=types as u16).map(|label| {
            let value = |&own: &u16| (if own == label { 4.0 } else { -9.0 }) + 8.0 * (dice.roll() + dice.roll() - 1.0);
            assigned.iter().map(value).collect()
        });
        EpochLogits::from_columns(columns, assigned.len(), Precision::F16).unwrap()
    };
    let info = RunInfo { name: "generated".into(), max_span_width: 8, negatives: Negatives::All, ..RunInfo::default() };
    let mut file = std::fs::File::create(path).unwrap();
    let mut write = |section: Vec<u8>| file.write_all(&section).unwrap();
    let gold = corpus.entities.iter().filter(|entity| !entity.span.sentence.is_multiple_of(5)).copied();
    let gold: Option<Vec<Entity>> = size.gold.then(|| gold.collect());
    write(dyn_file::begin(&info, &corpus, gold.as_deref()));
    for number in 0..size.epochs {
        write(dyn_file::epoch(RunKind::Main, number as u32 + 1, &epoch(&assigned, size.types, number)));
    }
    let samples: Vec<u32> = (0..index.len() as u32).step_by((index.len() / 4_000).max(1)).collect();
    let wrong = vec![size.types as u16 + 1; samples.len()];
    write(dyn_file::samples(SampleScheme::FakeClass, &samples, &wrong));
    for number in 0..size.epochs {
        let logits = epoch(&wrong, size.types + 1, 100 + number);
        write(dyn_file::epoch(RunKind::Threshold, number as u32 + 1, &logits));
    }
    write(dyn_file::end());
    corpus
}
