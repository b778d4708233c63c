//! Settings of a training run, as they are kept with its results.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use shared::recording::dynamics::{Negatives, SampleScheme};

/// No entity has more tokens, so no candidate span needs more.
pub const WIDEST_SPAN: u32 = 10_000;

/// Everything that, with the data, determines a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// `builtin`, a model folder, or a model of the hub.
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
    /// Steps over which the rates rise from 0.
    pub warmup: usize,
    /// What the rates do afterwards.
    pub schedule: Schedule,
    /// Largest norm of a step's gradient; none where absent.
    pub clip_norm: Option<f32>,
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
    /// Which logits are recorded.
    pub record: Record,
    /// Whether the span model is told the shape of words.
    pub word_shapes: WordShapes,
    /// Trainings of the first stage, alike but for their seeds, whose logits are averaged.
    pub ensemble: u32,
    /// In which numbers, and by which operations. Left out where it is as it always was.
    #[serde(default, skip_serializing_if = "Arithmetic::is_default")]
    pub arithmetic: Arithmetic,
}

/// In which numbers a training computes, and by which operations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arithmetic {
    /// f32, by the kernels of the CPU, on packed batches in random order.
    #[default]
    Kernels,
    /// f32, by the tensor operations of a GPU, on padded batches of sentences of like length.
    TensorsF32,
    /// The same with matrix products in bf16.
    TensorsBf16,
}

impl Arithmetic {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernels => "kernels of the CPU",
            Self::TensorsF32 => "tensor operations, f32",
            Self::TensorsBf16 => "tensor operations, bf16",
        }
    }
}

/// Learning rates after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// They stay
    Constant,
    /// They fall evenly, and would be 0 at the step after the last
    Linear,
}

impl Schedule {
    /// Factor on the rates at `step` (from 0) of `steps`.
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

/// Which logits training dynamics consist of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// Those of a pass without dropout after each epoch
    #[value(name = "eval")]
    Evaluation,
    /// Those of the training passes themselves: no extra pass, but noisier
    #[value(name = "train")]
    Training,
}

/// Whether the span model has an embedding of word shapes (capitals, digits, punctuation).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum WordShapes {
    /// Where the encoder is blind to case
    Auto,
    /// Always
    On,
    /// Never
    Off,
}

impl WordShapes {
    /// Whether there is one, with an encoder that is or is not blind to case.
    pub fn are_used(self, is_blind_to_case: bool) -> bool {
        match self {
            Self::Auto => is_blind_to_case,
            Self::On => true,
            Self::Off => false,
        }
    }
}

impl Config {
    /// The same under another seed.
    pub fn with_seed(&self, seed: u64) -> Self {
        Self { seed, ..self.clone() }
    }

    /// As (name, value) pairs for people.
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
