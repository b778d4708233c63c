//! Settings of a training run, as they are stored with its results.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use shared::recording::dynamics::{Negatives, SampleScheme};

/// Upper limit for the width of candidate spans, in tokens. No entity is wider.
pub const WIDEST_SPAN: u32 = 10_000;

/// All settings that, together with the data, determine a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// `builtin`, a model folder, or the name of a model on the hub.
    pub encoder: String,
    /// Seed of everything that is random.
    pub seed: u64,
    /// Number of epochs of every stage.
    pub epochs: u32,
    /// Sentences per batch.
    pub batch: usize,
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

/// Number format and operations of a training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arithmetic {
    /// f32, with this program's own CPU kernels, on packed batches in random order.
    #[default]
    Kernels,
    /// f32, with the tensor operations of a GPU, on padded batches of sentences of similar length.
    TensorsF32,
    /// Like [`Self::TensorsF32`], but with matrix products in bf16.
    TensorsBf16,
}

impl Arithmetic {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Returns a name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernels => "kernels of the CPU",
            Self::TensorsF32 => "tensor operations, f32",
            Self::TensorsBf16 => "tensor operations, bf16",
        }
    }
}

/// Course of the learning rates after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// The learning rates stay constant
    Constant,
    /// The learning rates fall linearly, to 0 right after the last step
    Linear,
}

impl Schedule {
    /// Returns the factor on the learning rates at `step` (from 0) of `steps`.
    pub fn factor(self, step: usize, steps: usize, warmup: usize) -> f32 {
        if step < warmup {
            return (step + 1) as f32 / warmup as f32;
        }
        match self {
            Self::Constant => 1.0,
            Self::Linear => steps.saturating_sub(step) as f32 / steps.saturating_sub(warmup).max(1) as f32,
        }
    }
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

/// Whether the span model has an embedding of word shapes (capitals, digits, punctuation).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum WordShapes {
    /// Only if the encoder ignores case
    Auto,
    /// Always
    On,
    /// Never
    Off,
}

impl WordShapes {
    /// Returns whether the embedding is used with an encoder that ignores case, or with one that does not.
    pub fn are_used(self, is_blind_to_case: bool) -> bool {
        match self {
            Self::Auto => is_blind_to_case,
            Self::On => true,
            Self::Off => false,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_then_stay_or_fall() {
        let at = |schedule: Schedule| [0, 3, 4, 9].map(|step| schedule.factor(step, 10, 4));
        assert_eq!(at(Schedule::Constant), [0.25, 1.0, 1.0, 1.0]);
        assert_eq!(at(Schedule::Linear), [0.25, 1.0, 1.0, 1.0 / 6.0]);
        assert_eq!(Schedule::Constant.factor(0, 10, 0), 1.0);
    }
}
