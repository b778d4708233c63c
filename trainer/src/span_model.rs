//! The span classifier on top of an encoder (DynClean §3.1, DESIGN §2.1).
//!
//! Span vector `[h(first piece of first word); h(last piece of last word); width embedding]`, two
//! hidden layers with ReLU and dropout, one logit per label. The first layer is linear in the three
//! parts, so each is projected once per token or width (see [`crate::ops::span_sum`]).

use std::sync::Arc;

use anyhow::Result;
use candle_core::{D, Tensor};
use shared::span::Span;

use crate::batch::{Batch, N_SHAPES, SentenceInput};
use crate::config::WordShapes;
use crate::encoder::{Encoder, EncoderSpec};
use crate::ops::{Linear, SpanRows, Weight, dropout, embedding, linear, relu, span_sum};
use crate::parameters::{Group, Init, Parameters};
use crate::random::Masks;

const WIDTH_EMBEDDING: usize = 150;
const SHAPE_EMBEDDING: usize = 32;
const HIDDEN: usize = 150;
const DROPOUT: f32 = 0.2;

/// Encoder, span head and their parameters.
pub struct SpanModel {
    /// Everything that trains.
    pub parameters: Parameters,
    encoder: Encoder,
    head: Head,
}

struct Head {
    /// Present as the settings say; by default when the encoder is blind to case.
    shapes: Option<Weight>,
    widths: Weight,
    /// The rows of `widths`: 0, 1, …
    all_widths: Arc<[u32]>,
    /// The first layer in its three parts; the bias goes with the widths.
    start: Linear,
    end: Linear,
    width: Linear,
    second: Linear,
    output: Linear,
}

/// What the model says about the spans of a batch.
pub struct SpanOutput {
    /// `[spans, labels]`
    pub logits: Tensor,
    /// Last hidden layer, `[spans, 150]`.
    pub hidden: Tensor,
}

impl SpanModel {
    /// Builds the model; what no checkpoint gives starts from `parameters`' random stream.
    ///
    /// # Errors
    /// When the encoder's weights are missing or do not fit.
    pub fn new(
        spec: &EncoderSpec,
        mut parameters: Parameters,
        n_labels: usize,
        max_width: u32,
        train_embeddings: bool,
        word_shapes: WordShapes,
    ) -> Result<Self> {
        let encoder = spec.build(&mut parameters, train_embeddings)?;
        let with_shapes = word_shapes.are_used(spec.is_blind_to_case());
        let head = Head::new(&mut parameters, spec.hidden_size(), with_shapes, n_labels, max_width as usize)?;
        parameters.finish();
        Ok(Self { parameters, encoder, head })
    }

    /// Logits of the candidate spans of a batch, sentence by sentence in the order of their ids.
    ///
    /// # Errors
    /// When the batch does not fit the model.
    pub fn forward(&self, batch: &Batch, spans: Arc<SpanRows>, masks: &mut Masks) -> Result<SpanOutput> {
        let tokens = self.encoder.forward(batch, masks)?;
        self.head.forward(&tokens, batch, spans, masks)
    }
}

impl Head {
    fn new(
        parameters: &mut Parameters,
        encoder_width: usize,
        with_shapes: bool,
        n_labels: usize,
        max_width: usize,
    ) -> Result<Self> {
        let mut get =
            |name: &str, shape: &[usize], init| parameters.get(&format!("span_head.{name}"), shape, init, Group::Head);
        let token = encoder_width + if with_shapes { SHAPE_EMBEDDING } else { 0 };
        let inputs = 2 * token + WIDTH_EMBEDDING;
        let shapes = with_shapes.then(|| get("shapes.weight", &[N_SHAPES, SHAPE_EMBEDDING], Init::Uniform(1.0)));
        Ok(Self {
            shapes: shapes.transpose()?,
            widths: get("widths.weight", &[max_width, WIDTH_EMBEDDING], Init::Uniform(1.0))?,
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

    fn forward(&self, tokens: &Tensor, batch: &Batch, spans: Arc<SpanRows>, masks: &mut Masks) -> Result<SpanOutput> {
        let tokens = match &self.shapes {
            Some(shapes) => Tensor::cat(&[tokens, &embedding(shapes, batch.shapes.clone())?], D::Minus1)?,
            None => tokens.clone(),
        };
        let tokens = dropout(&tokens, masks.next(DROPOUT))?;
        let (starts, ends) = (linear(&tokens, &self.start)?, linear(&tokens, &self.end)?);
        let widths = linear(&embedding(&self.widths, self.all_widths.clone())?, &self.width)?;
        let first = relu(&span_sum(&starts, &ends, &widths, spans)?, masks.next(DROPOUT))?;
        let hidden = relu(&linear(&first, &self.second)?, masks.next(DROPOUT))?;
        let logits = linear(&hidden, &self.output)?;
        Ok(SpanOutput { logits, hidden })
    }
}

/// Rows of the candidate spans of packed sentences, in the order of their ids.
pub fn span_rows(sentences: &[&SentenceInput], batch: &Batch, max_width: u32) -> SpanRows {
    let mut rows = SpanRows::default();
    for (sentence, &offset) in sentences.iter().zip(&batch.offsets) {
        let n = sentence.first.len();
        for start in 0..n {
            for end in start..n.min(start + max_width as usize) {
                let (first, last) = sentence.span_rows(start, end);
                rows.start.push(offset + first);
                rows.end.push(offset + last);
                rows.width.push((end - start) as u32);
            }
        }
    }
    rows
}

/// A span that a model found, with the probability of its label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// Where.
    pub span: Span,
    /// Its type.
    pub label: u16,
    /// Margin of the label over the next best.
    pub margin: f32,
}

/// Of overlapping finds, only the one with the largest margin (ties: the first).
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
        // Two words of two pieces each behind a begin row; then one word.
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
