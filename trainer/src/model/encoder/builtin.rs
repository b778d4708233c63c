//! A small encoder that is trained from scratch, for the demo and for use without a pretrained encoder.
//!
//! A word is the sum of four embeddings: of its lower-cased form, prefix, suffix and shape. So even unseen names
//! carry some information. Three residual convolutions of width 3 let a word see three words to each side: `x ←
//! LN(x + dropout(gelu(W·[x₋₁; x; x₊₁])))`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result};
use candle_core::Tensor;
use nn::batch::{N_SHAPES, SentenceInput, word_shape};
use nn::{Builder, Group, Init, Linear, Norm, Pass, Weight};
use serde::Deserialize;
use shared::corpus::TokenTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::files::write_whole;

/// The `model_type` in config.json.
const MODEL_TYPE: &str = "dynclean-builtin";
/// Width of the vectors.
pub const HIDDEN: usize = 128;
const LAYERS: usize = 3;
const AFFIX_LETTERS: usize = 3;
const AFFIX_BUCKETS: u64 = 2048;
const DROPOUT: f32 = 0.2;
const EPS: f32 = 1e-5;

/// The words that have their own embedding: those that occur at least twice in the training text. All other words
/// share one embedding, which is trained on the words that occur once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    words: Vec<String>,
    index: HashMap<String, u32>,
}

impl Vocabulary {
    /// Builds the vocabulary of a training text.
    pub fn of(text: &TokenTable) -> Self {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for word in (0..text.n_sentences() as u32).flat_map(|s| text.sentence(s)) {
            *counts.entry(word.to_lowercase()).or_default() += 1;
        }
        Self::from_words(counts.into_iter().filter(|&(_, n)| n > 1).map(|(word, _)| word).collect())
    }

    /// Builds it from the words that [`words`](Self::words) returned.
    pub fn from_words(words: Vec<String>) -> Self {
        let index = words.iter().cloned().zip(1..).collect();
        Self { words, index }
    }

    /// Returns the words.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Reads a vocabulary that [`Self::save`] wrote. Returns `None` if config.json belongs to another encoder.
    ///
    /// # Errors
    /// When config.json cannot be read.
    pub fn open(folder: &Path) -> Result<Option<Self>> {
        #[derive(Deserialize)]
        struct File {
            // Encoders from the hub may lack this field.
            #[serde(default)]
            model_type: String,
            #[serde(default)]
            words: Vec<String>,
        }
        let file = folder.join("config.json");
        let json = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let File { model_type, words } =
            serde_json::from_slice(&json).with_context(|| format!("in {}", file.display()))?;
        Ok((model_type == MODEL_TYPE).then(|| Self::from_words(words)))
    }

    /// Converts a sentence to rows: one per word, with four indices each.
    pub fn input(&self, words: &[&str]) -> SentenceInput {
        let rows: Vec<u32> = (0..words.len() as u32).collect();
        let column = |f: &dyn Fn(&str) -> u32| words.iter().map(|w| f(w)).collect::<Vec<u32>>();
        SentenceInput {
            features: vec![
                column(&|w| self.index.get(&w.to_lowercase()).copied().unwrap_or(0)),
                column(&|w| bucket(w.chars().take(AFFIX_LETTERS))),
                column(&|w| bucket(w.chars().rev().take(AFFIX_LETTERS))),
                column(&word_shape),
            ],
            lengths: vec![words.len()],
            first: rows.clone(),
            last: rows,
            windows: vec![],
            shapes: column(&word_shape),
        }
    }

    /// Writes config.json with the vocabulary.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let file = folder.join("config.json");
        let json = serde_json::json!({ "model_type": MODEL_TYPE, "words": self.words });
        write_whole(&file, json.to_string())
    }
}

fn bucket(letters: impl Iterator<Item = char>) -> u32 {
    let affix: String = letters.flat_map(char::to_lowercase).collect();
    (xxh3_64(affix.as_bytes()) % AFFIX_BUCKETS) as u32
}

struct Convolution {
    linear: Linear,
    norm: Norm,
}

impl Convolution {
    fn new(builder: &mut Builder, i: usize) -> Result<Self> {
        let (name, inputs) = (format!("layers.{i}"), 3 * HIDDEN);
        let mut get =
            |part: &str, shape: &[usize], init| builder.get(&format!("{name}.{part}"), shape, init, Group::Encoder);
        let weight = get("weight", &[HIDDEN, inputs], Init::FanIn(inputs))?;
        let bias = get("bias", &[HIDDEN], Init::Constant(0.0))?;
        let norm = norm(builder, &format!("{name}.norm"))?;
        Ok(Self { linear: Linear { weight, bias: Some(bias) }, norm })
    }
}

fn norm(builder: &mut Builder, name: &str) -> Result<Norm> {
    let mut get =
        |part: &str, value| builder.get(&format!("{name}.{part}"), &[HIDDEN], Init::Constant(value), Group::Encoder);
    Ok(Norm { weight: get("weight", 1.0)?, bias: get("bias", 0.0)?, eps: EPS })
}

/// The encoder with its weights.
pub struct Builtin {
    tables: Vec<Weight>,
    norm: Norm,
    layers: Vec<Convolution>,
}

impl Builtin {
    /// Creates the encoder with fresh weights for this vocabulary.
    pub fn new(vocabulary: &Vocabulary, builder: &mut Builder) -> Result<Self> {
        let affixes = AFFIX_BUCKETS as usize;
        let tables =
            [("words", vocabulary.words.len() + 1), ("prefixes", affixes), ("suffixes", affixes), ("shapes", N_SHAPES)];
        let tables = tables
            .iter()
            .map(|(name, rows)| {
                let (name, shape) = (format!("embeddings.{name}.weight"), [*rows, HIDDEN]);
                builder.table(&name, &shape, Init::Uniform(0.1), Group::Encoder)
            })
            .collect::<Result<_>>()?;
        let norm = norm(builder, "embeddings.norm")?;
        let layers = (0..LAYERS).map(|i| Convolution::new(builder, i)).collect::<Result<_>>()?;
        Ok(Self { tables, norm, layers })
    }

    /// Returns the vectors of all rows, `[rows, HIDDEN]`.
    pub fn forward(&self, pass: &mut Pass) -> Result<Tensor> {
        let mut columns = self.tables.iter().zip(&pass.batch().features);
        let (table, ids) = columns.next().context("the built-in encoder reads word features")?;
        let mut sum = pass.embedding(*table, ids.clone())?;
        for (table, ids) in columns {
            let looked_up = pass.embedding(*table, ids.clone())?;
            sum = pass.add(&sum, &looked_up)?;
        }
        let x = pass.layer_norm(&sum, self.norm)?;
        let mut x = pass.dropout(&x, Some(DROPOUT))?;
        for layer in &self.layers {
            let around = pass.neighbours(&x)?;
            let seen = pass.linear(&around, layer.linear)?;
            let seen = pass.gelu(&seen)?;
            x = pass.residual_norm(&seen, Some(DROPOUT), &x, layer.norm)?;
        }
        Ok(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_words_share_an_embedding_and_keep_their_shape() {
        let mut text = TokenTable::default();
        text.push(["The", "the", "Smallville"]).unwrap();
        let vocabulary = Vocabulary::of(&text);
        assert_eq!(vocabulary.words, ["the"]);
        let input = vocabulary.input(&["THE", "Smallville", "Bigville"]);
        assert_eq!(input.features[0], [1, 0, 0]);
        assert_eq!(input.features[2][1], input.features[2][2], "same suffix");
        assert_ne!(input.features[1][1], input.features[1][2], "other prefix");
    }

    #[test]
    fn a_saved_vocabulary_is_told_from_other_encoders() {
        let folder = tempfile::tempdir().unwrap();
        let vocabulary = Vocabulary::from_words(vec!["ada".to_owned(), "the".to_owned()]);
        vocabulary.save(folder.path()).unwrap();
        assert_eq!(Vocabulary::open(folder.path()).unwrap(), Some(vocabulary));
        for other in [r#"{"model_type": "bert"}"#, r#"{"hidden_size": 384}"#] {
            std::fs::write(folder.path().join("config.json"), other).unwrap();
            assert_eq!(Vocabulary::open(folder.path()).unwrap(), None, "{other}");
        }
    }
}
