//! Encoders: from words to one vector per row.

mod bert;
mod builtin;
mod pieces;

use std::path::Path;

use anyhow::{Context, Result, bail};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use shared::corpus::TokenTable;

use crate::batch::{Batch, SentenceInput};
use crate::parameters::Parameters;
use crate::random::Masks;

pub use builtin::Vocabulary;

/// The name by which the encoder that needs no download is asked for.
pub const BUILTIN: &str = "builtin";

/// What an encoder is, before its weights: enough to prepare text and to choose rates.
pub enum EncoderSpec {
    /// BERT in Hugging Face layout.
    Bert(Box<bert::BertSpec>),
    /// Trained from scratch.
    Builtin(Vocabulary),
}

/// Rates and batch that suit an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Defaults {
    /// Learning rate of the encoder.
    pub encoder_rate: f32,
    /// Learning rate of the head.
    pub head_rate: f32,
    /// Sentences per batch.
    pub batch: usize,
    /// Steps over which the rates rise from 0.
    pub warmup: usize,
    /// Epochs.
    pub epochs: u32,
}

impl EncoderSpec {
    /// Opens `builtin` (its vocabulary is taken from `train`) or a folder in Hugging Face layout.
    ///
    /// # Errors
    /// When the folder is not there or lacks a file.
    pub fn open(name: &str, train: &TokenTable) -> Result<Self> {
        if name == BUILTIN {
            return Ok(Self::Builtin(Vocabulary::of(train)));
        }
        let folder = Path::new(name);
        if !folder.is_dir() {
            bail!(
                "encoder {name}: there is no such folder. Give a folder with config.json, tokenizer.json and \
                 model.safetensors (as Hugging Face models have), or `{BUILTIN}`"
            );
        }
        bert::BertSpec::open(folder).map(|spec| Self::Bert(Box::new(spec))).with_context(|| format!("encoder {name}"))
    }

    /// Rates and batch that suit this encoder: the paper's for base-sized ones, higher rates and
    /// smaller batches for small ones.
    pub fn defaults(&self) -> Defaults {
        match self {
            Self::Bert(spec) if spec.config.hidden_size >= 768 => {
                Defaults { encoder_rate: 1e-5, head_rate: 5e-4, batch: 16, warmup: 0, epochs: 5 }
            }
            Self::Bert(_) => Defaults { encoder_rate: 1e-4, head_rate: 1e-3, batch: 8, warmup: 50, epochs: 5 },
            Self::Builtin(_) => Defaults { encoder_rate: 5e-4, head_rate: 5e-4, batch: 16, warmup: 50, epochs: 6 },
        }
    }

    /// Width of the vectors.
    pub fn hidden_size(&self) -> usize {
        match self {
            Self::Bert(spec) => spec.config.hidden_size,
            Self::Builtin(_) => builtin::HIDDEN,
        }
    }

    /// Whether the encoder cannot see case, so that the span model must be told word shapes.
    pub fn is_blind_to_case(&self) -> bool {
        match self {
            Self::Bert(spec) => spec.pieces.is_lower_casing(),
            Self::Builtin(_) => false,
        }
    }

    /// Prepares the sentences of a corpus.
    ///
    /// # Errors
    /// When the tokenizer fails on a word.
    pub fn prepare(&self, tokens: &TokenTable) -> Result<Vec<SentenceInput>> {
        (0..tokens.n_sentences() as u32)
            .map(|sentence| {
                let words: Vec<&str> = tokens.sentence(sentence).collect();
                match self {
                    Self::Bert(spec) => spec.pieces.input(&words),
                    Self::Builtin(vocabulary) => Ok(vocabulary.input(&words)),
                }
            })
            .collect()
    }

    /// Builds the encoder; pretrained weights are read here.
    ///
    /// # Errors
    /// When weights are missing or do not fit the configuration.
    pub fn build(&self, parameters: &mut Parameters, train_embeddings: bool) -> Result<Encoder> {
        match self {
            Self::Bert(spec) => {
                parameters.load_checkpoint(&spec.weights)?;
                Ok(Encoder::Bert(bert::Bert::new(&spec.config, parameters, train_embeddings)?))
            }
            Self::Builtin(vocabulary) => Ok(Encoder::Builtin(builtin::Builtin::new(vocabulary, parameters)?)),
        }
    }

    /// Writes what, with the weights, makes a model folder: config.json and tokenizer.json, or the vocabulary.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        match self {
            Self::Bert(spec) => spec.save(folder),
            Self::Builtin(vocabulary) => vocabulary.save(folder),
        }
    }
}

/// An encoder with its weights.
pub enum Encoder {
    /// Transformer.
    Bert(bert::Bert),
    /// Convolutions over word features.
    Builtin(builtin::Builtin),
}

impl Encoder {
    /// `[rows, hidden]`: one vector per row of the batch.
    ///
    /// # Errors
    /// When an index of the batch is outside the encoder's tables.
    pub fn forward(&self, batch: &Batch, masks: &mut Masks) -> Result<Tensor> {
        match self {
            Self::Bert(bert) => bert.forward(batch, masks),
            Self::Builtin(builtin) => builtin.forward(batch, masks),
        }
    }
}
