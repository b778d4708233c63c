//! The span classifier on top of an encoder (DynClean §3.1).
//!
//! The vector of a span is `[h(first piece of first word); h(last piece of last word); width embedding]`. Two
//! hidden layers with ReLU and dropout follow, and an output layer with one logit per label. The first layer is
//! linear in the three parts, so each part is projected once per token or width.

use std::sync::Arc;

use anyhow::Result;
use candle_core::Tensor;
use clap::ValueEnum;
use nn::batch::{Batch, N_SHAPES, SentenceInput, SpanRows};
use nn::{Builder, Group, Init, Linear, Loss, Masks, Parameters, Pass, Tape, Weight};
use serde::{Deserialize, Serialize};
use shared::corpus::span::Span;

use crate::model::encoder::{Encoder, EncoderSpec};

/// Upper limit for the width of candidate spans, in tokens. No entity is wider.
pub const WIDEST_SPAN: u32 = 10_000;

const WIDTH_EMBEDDING: usize = 150;
const SHAPE_EMBEDDING: usize = 32;
const HIDDEN: usize = 150;
const DROPOUT: f32 = 0.2;

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

/// Encoder, span classifier and their parameters.
pub struct SpanModel {
    /// All trainable parameters.
    pub parameters: Parameters,
    encoder: Encoder,
    head: Head,
}

struct Head {
    /// Present if the settings ask for it, or by default if the encoder ignores case.
    shapes: Option<Weight>,
    widths: Weight,
    /// Indices of all rows of `widths`: 0, 1, …
    all_widths: Arc<[u32]>,
    /// The first layer, in three parts. Its bias belongs to the width part.
    start: Linear,
    end: Linear,
    width: Linear,
    second: Linear,
    output: Linear,
}

/// Output of the model for the spans of a batch.
pub struct SpanOutput<'a> {
    /// `[spans, labels]`
    pub logits: Tensor,
    /// Last hidden layer, `[spans, 150]`.
    pub hidden: Tensor,
    pass: Pass<'a>,
}

impl SpanOutput<'_> {
    /// Returns for each hidden vector, `[spans, 150]`, the sum of its cosines to those with `chosen[i]`.
    ///
    /// # Errors
    /// When the number of choices is not the number of spans.
    pub fn sums_of_cosines(&self, hidden: &Tensor, chosen: &[bool]) -> Result<Vec<f32>> {
        self.pass.sums_of_cosines(hidden, chosen)
    }

    /// Returns the cross entropy, summed over the spans with a target.
    ///
    /// # Errors
    /// When the number of targets is not the number of spans, or a target has no logit.
    pub fn loss(self, targets: Vec<Option<u32>>) -> Result<Loss> {
        self.pass.cross_entropy(&self.logits, targets)
    }
}

impl SpanModel {
    /// Builds the model. Weights that no checkpoint provides start from the random stream of `builder`.
    ///
    /// # Errors
    /// When weights of the encoder are missing or do not fit.
    pub fn new(
        spec: &EncoderSpec,
        mut builder: Builder,
        n_labels: usize,
        max_width: u32,
        train_embeddings: bool,
        word_shapes: WordShapes,
    ) -> Result<Self> {
        let encoder = spec.build(&mut builder, train_embeddings)?;
        let with_shapes = word_shapes.are_used(spec.is_blind_to_case());
        let head = Head::new(&mut builder, spec.hidden_size(), with_shapes, n_labels, max_width as usize)?;
        Ok(Self { parameters: builder.finish()?, encoder, head })
    }

    /// Combines sentences to one input, packed or padded as this model needs.
    pub fn batch(&self, sentences: &[&SentenceInput]) -> Batch {
        let packed = Batch::pack(sentences);
        if self.parameters.engine().pads() { packed.padded() } else { packed }
    }

    /// Computes logits and hidden vectors of the candidate spans of a [`batch`](Self::batch), ready for a loss.
    /// Spans are in the order of the sentences and, in a sentence, of their ids.
    ///
    /// # Errors
    /// When the batch does not fit the model.
    pub fn forward<'a>(&'a self, batch: &'a Batch, spans: Arc<SpanRows>, masks: Masks) -> Result<SpanOutput<'a>> {
        let mut pass = Pass::new(self.parameters.engine(), batch, masks, Tape::recording())?;
        let (logits, hidden) = self.pass_through(&mut pass, spans)?;
        Ok(SpanOutput { logits, hidden, pass })
    }

    /// Computes only the logits, without dropout, in the same order: one list with `n_labels` values per span.
    ///
    /// # Errors
    /// The same as [`forward`](Self::forward).
    pub fn logits(&self, batch: &Batch, spans: Arc<SpanRows>) -> Result<Vec<f32>> {
        let mut pass = Pass::new(self.parameters.engine(), batch, Masks::evaluation(), Tape::silent())?;
        Ok(self.pass_through(&mut pass, spans)?.0.flatten_all()?.to_vec1()?)
    }

    fn pass_through(&self, pass: &mut Pass, spans: Arc<SpanRows>) -> Result<(Tensor, Tensor)> {
        let tokens = self.encoder.forward(pass)?;
        self.head.forward(&tokens, spans, pass)
    }
}

impl Head {
    fn new(
        builder: &mut Builder,
        encoder_width: usize,
        with_shapes: bool,
        n_labels: usize,
        max_width: usize,
    ) -> Result<Self> {
        let token = encoder_width + if with_shapes { SHAPE_EMBEDDING } else { 0 };
        let inputs = 2 * token + WIDTH_EMBEDDING;
        let mut table = |name: &str, rows: usize, columns: usize| {
            builder.table(&format!("span_head.{name}"), &[rows, columns], Init::Uniform(1.0), Group::Head)
        };
        let shapes = with_shapes.then(|| table("shapes.weight", N_SHAPES, SHAPE_EMBEDDING)).transpose()?;
        let widths = table("widths.weight", max_width, WIDTH_EMBEDDING)?;
        let mut get =
            |name: &str, shape: &[usize], init| builder.get(&format!("span_head.{name}"), shape, init, Group::Head);
        Ok(Self {
            shapes,
            widths,
            all_widths: (0..max_width as u32).collect(),
            start: Linear { weight: get("first.start.weight", &[HIDDEN, token], Init::FanIn(inputs))?, bias: None },
            end: Linear { weight: get("first.end.weight", &[HIDDEN, token], Init::FanIn(inputs))?, bias: None },
            width: Linear {
                weight: get("first.width.weight", &[HIDDEN, WIDTH_EMBEDDING], Init::FanIn(inputs))?,
                bias: Some(get("first.bias", &[HIDDEN], Init::FanIn(inputs))?),
            },
            second: Linear {
                weight: get("second.weight", &[HIDDEN, HIDDEN], Init::FanIn(HIDDEN))?,
                bias: Some(get("second.bias", &[HIDDEN], Init::FanIn(HIDDEN))?),
            },
            output: Linear {
                weight: get("output.weight", &[n_labels, HIDDEN], Init::FanIn(HIDDEN))?,
                bias: Some(get("output.bias", &[n_labels], Init::FanIn(HIDDEN))?),
            },
        })
    }

    /// Returns the logits and the last hidden layer.
    fn forward(&self, tokens: &Tensor, spans: Arc<SpanRows>, pass: &mut Pass) -> Result<(Tensor, Tensor)> {
        let tokens = match self.shapes {
            Some(shapes) => {
                let shapes = pass.embedding(shapes, pass.batch().shapes.clone())?;
                pass.beside(tokens, &shapes)?
            }
            None => tokens.clone(),
        };
        let tokens = pass.dropout(&tokens, Some(DROPOUT))?;
        let (starts, ends) = (pass.linear(&tokens, self.start)?, pass.linear(&tokens, self.end)?);
        let widths = pass.embedding(self.widths, self.all_widths.clone())?;
        let widths = pass.linear(&widths, self.width)?;
        let first = pass.span_sum(&starts, &ends, &widths, spans)?;
        let first = pass.relu(&first, Some(DROPOUT))?;
        let second = pass.linear(&first, self.second)?;
        let hidden = pass.relu(&second, Some(DROPOUT))?;
        // Margins are small differences of logits, so logits are not rounded.
        let logits = pass.precise_linear(&hidden, self.output)?;
        Ok((logits, hidden))
    }
}

/// Returns the rows of the candidate spans of a batch's sentences, in the order of their ids.
pub fn span_rows(sentences: &[&SentenceInput], batch: &Batch, max_width: u32) -> SpanRows {
    let mut rows = SpanRows::default();
    for (sentence, &offset) in sentences.iter().zip(&batch.offsets) {
        let n = sentence.first.len();
        for start in 0..n {
            for end in start..n.min(start + max_width as usize) {
                let (first, last) = sentence.span_rows(start, end);
                rows.start.push(batch.row(offset + first));
                rows.end.push(batch.row(offset + last));
                rows.width.push((end - start) as u32);
            }
        }
    }
    rows
}

/// A span that a model found, with its margin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// The span.
    pub span: Span,
    /// Its entity type.
    pub label: u16,
    /// Margin of the label over the next best.
    pub margin: f32,
}

/// Keeps among overlapping entities only the one with the largest margin. With equal margins it keeps the first.
pub fn without_overlaps(mut found: Vec<Found>) -> Vec<Found> {
    found.sort_by(|a, b| b.margin.total_cmp(&a.margin).then(a.span.cmp(&b.span)));
    let mut kept: Vec<Found> = Vec::new();
    for candidate in found {
        if kept.iter().all(|k| !k.span.overlaps(&candidate.span)) {
            kept.push(candidate);
        }
    }
    kept.sort_by_key(|k| k.span);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_margin_wins_among_overlapping_finds() {
        let found = |start, end, margin| Found { span: Span { sentence: 0, start, end }, label: 1, margin };
        let kept = without_overlaps(vec![found(0, 1, 1.0), found(1, 2, 3.0), found(2, 3, 2.0), found(4, 4, 0.5)]);
        assert_eq!(kept.iter().map(|k| k.span.start).collect::<Vec<_>>(), [1, 4]);
    }

    #[test]
    fn span_rows_follow_the_enumeration() {
        // Two words of two pieces each after a begin row; then one word.
        let a = SentenceInput {
            first: vec![1, 3],
            last: vec![2, 4],
            lengths: vec![6],
            shapes: vec![0; 6],
            ..SentenceInput::default()
        };
        let b = SentenceInput { first: vec![1], last: vec![1], lengths: vec![3], shapes: vec![0; 3], ..a.clone() };
        let sentences = [&a, &b];
        let rows = span_rows(&sentences, &Batch::pack(&sentences), 8);
        assert_eq!(rows.start, [1, 1, 3, 7]);
        assert_eq!(rows.end, [2, 4, 4, 7]);
        assert_eq!(rows.width, [0, 1, 0, 0]);
    }
}
