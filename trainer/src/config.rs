//! Settings of a training run, as they are kept with its results.

use serde::{Deserialize, Serialize};
use shared::dynamics::{Negatives, SampleScheme};

/// Everything that, with the data, determines a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// `builtin` or a model folder.
    pub encoder: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Epochs of every stage.
    pub epochs: u32,
    /// Sentences per batch.
    pub batch: usize,
    /// Learning rate of the encoder.
    pub encoder_rate: f32,
    /// Learning rate of the span classifier.
    pub head_rate: f32,
    /// Steps over which the rates rise from 0 to their constant value.
    pub warmup: usize,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Which negatives enter the loss.
    pub negatives: Negatives,
    /// With top negatives: the share of negatives left out of the loss.
    pub negative_rate: f32,
    /// Whether pretrained word embeddings are trained too.
    pub train_embeddings: bool,
    /// Widest candidate span, in tokens.
    pub max_span_width: u32,
    /// How threshold samples are mislabelled.
    pub scheme: SampleScheme,
}

impl Config {
    /// As (name, value) pairs for people.
    pub fn describe(&self) -> Vec<(String, String)> {
        let pairs = [
            ("epochs", self.epochs.to_string()),
            ("sentences per batch", self.batch.to_string()),
            ("encoder rate", self.encoder_rate.to_string()),
            ("head rate", self.head_rate.to_string()),
            ("warm-up steps", self.warmup.to_string()),
            ("weight decay", self.weight_decay.to_string()),
            ("negative rate", self.negative_rate.to_string()),
            ("word embeddings", if self.train_embeddings { "trained" } else { "frozen" }.to_owned()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).into()
    }
}
