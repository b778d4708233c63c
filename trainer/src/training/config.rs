//! Settings of a training run, as they are stored with its results.

use clap::ValueEnum;
use nn::{Arithmetic, Schedule};
use serde::{Deserialize, Serialize};
use shared::recording::dynamics::{Negatives, SampleScheme};

use crate::model::span_model::WordShapes;

/// All settings that, together with the data, determine a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// `builtin`, a model folder, or the name of a model on the hub.
    pub encoder: String,
    /// Seed of everything that is random.
    pub seed: u64,
    /// Number of epochs of every stage.
    pub epochs: u32,
    /// Epochs after which a training ends if dev F1 has not risen; `None` means never. Trainings that record dynamics
    /// do all epochs. The default, `None`, is not written to the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<u32>,
    /// Sentences per batch.
    pub batch: usize,
    /// Batches whose gradients are added before each step of the optimizer. The default, 1, is not written to the
    /// file.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// Learning rate of the encoder.
    pub encoder_rate: f32,
    /// Learning rate of the span classifier.
    pub head_rate: f32,
    /// Steps in which the learning rates rise from 0.
    pub warmup: usize,
    /// Course of the learning rates after the warm-up.
    pub schedule: Schedule,
    /// Largest gradient norm of a step; `None` means no limit.
    pub clip_norm: Option<f32>,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Which negatives enter the loss.
    pub negatives: Negatives,
    /// With top negatives: the share of negatives that is left out of the loss.
    pub negative_rate: f32,
    /// Whether pretrained word embeddings are also trained.
    pub train_embeddings: bool,
    /// Widest candidate span, in tokens.
    pub max_span_width: u32,
    /// How threshold samples are mislabelled.
    pub scheme: SampleScheme,
    /// Which logits are recorded.
    pub record: Record,
    /// Whether the span model sees the shape of words.
    pub word_shapes: WordShapes,
    /// Number of trainings in the first stage. They differ only in their seeds, and their logits are averaged.
    pub ensemble: u32,
    /// Number format and operations. The default is not written to the file.
    #[serde(default, skip_serializing_if = "Arithmetic::is_default")]
    pub arithmetic: Arithmetic,
}

/// The logits that are recorded as training dynamics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// Logits of an extra pass without dropout after each epoch
    #[value(name = "eval")]
    Evaluation,
    /// Logits of the training passes themselves: no extra pass, but noisier
    #[value(name = "train")]
    Training,
}

fn one() -> usize {
    1
}

fn is_one(number: &usize) -> bool {
    *number == 1
}

impl Config {
    /// Returns the same settings with another seed.
    pub fn with_seed(&self, seed: u64) -> Self {
        Self { seed, ..self.clone() }
    }

    /// Returns the settings as (name, value) pairs for people.
    pub fn describe(&self) -> Vec<(String, String)> {
        let mut pairs = vec![
            ("epochs", self.epochs.to_string()),
            ("sentences per batch", self.batch.to_string()),
            ("encoder rate", self.encoder_rate.to_string()),
            ("head rate", self.head_rate.to_string()),
            ("warm-up steps", self.warmup.to_string()),
            ("schedule", format!("{:?}", self.schedule).to_lowercase()),
            ("gradient norm", self.clip_norm.map_or("not clipped".to_owned(), |n| format!("at most {n}"))),
            ("logits recorded in", format!("{:?}", self.record).to_lowercase()),
            ("weight decay", self.weight_decay.to_string()),
            ("negative rate", self.negative_rate.to_string()),
            ("word embeddings", if self.train_embeddings { "trained" } else { "frozen" }.to_owned()),
        ];
        if let Some(patience) = self.patience {
            pairs.insert(1, ("epochs without progress", format!("at most {patience}")));
        }
        if self.accumulate > 1 {
            pairs.insert(2, ("batches per step", self.accumulate.to_string()));
        }
        if self.word_shapes != WordShapes::Auto {
            pairs.push(("word shapes", format!("{:?}", self.word_shapes).to_lowercase()));
        }
        if self.ensemble > 1 {
            pairs.push(("logits averaged over seeds", self.ensemble.to_string()));
        }
        if !self.arithmetic.is_default() {
            pairs.push(("computed by", self.arithmetic.name().to_owned()));
        }
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
