//! What a model says about sentences: logits of all candidate spans, entities, and their scores.

use std::fmt;
use std::sync::Arc;

use anyhow::{Result, bail};
use nn::batch::SentenceInput;
use shared::corpus::labels::{LabelSet, O};
use shared::corpus::span::SpanIndex;
use shared::corpus::{Corpus, Entity};
use shared::evaluation::score::{NerScore, score_entities};

use super::encoder::EncoderSpec;
use super::span_model::{Found, SpanModel, span_rows, without_overlaps};
use crate::interrupt;
use crate::progress::Progress;

/// Sentences per batch without training: packed, and padded.
const EVALUATION_BATCH: usize = 32;
const PADDED_EVALUATION_BATCH: usize = 128;
/// Number of sentences that are sorted by length before they are put into padded batches for evaluation.
const EVALUATION_WINDOW: usize = 4096;

/// A corpus, prepared for one encoder.
pub struct Prepared {
    /// Text and labels.
    pub corpus: Corpus,
    /// Candidate spans of the corpus.
    pub index: SpanIndex,
    pub(crate) inputs: Vec<SentenceInput>,
}

impl Prepared {
    /// Prepares a corpus. `name` stands for the corpus in messages to the user.
    ///
    /// # Errors
    /// When there are too many spans, or the tokenizer fails.
    pub fn new(corpus: Corpus, spec: &EncoderSpec, max_width: u32, name: &str) -> Result<Self> {
        let index = corpus.span_index(max_width)?;
        let inputs = spec.prepare(&corpus.tokens, max_width, name)?;
        Ok(Self { corpus, index, inputs })
    }

    pub(crate) fn input(&self, sentence: u32) -> &SentenceInput {
        &self.inputs[sentence as usize]
    }
}

/// Divides sentences into parts: the logits of one part are few enough for any memory, and many enough to be
/// computed fast.
pub fn parts<'a>(model: &SpanModel, sentences: &'a [u32]) -> impl Iterator<Item = &'a [u32]> + use<'a> {
    sentences.chunks(if model.parameters.engine().pads() { EVALUATION_WINDOW } else { EVALUATION_BATCH })
}

/// Returns the logits of all candidate spans of these sentences, without dropout, `n_labels` per span.
///
/// # Errors
/// When the model does not fit the corpus. [`Interrupted`] when somebody asked to stop.
pub fn logits(model: &SpanModel, data: &Prepared, sentences: &[u32], progress: &Progress) -> Result<Vec<f32>> {
    if model.parameters.engine().pads() {
        return padded_logits(model, data, sentences, progress);
    }
    let mut all = Vec::new();
    for chunk in sentences.chunks(EVALUATION_BATCH) {
        interrupt::check()?;
        all.extend(batch_logits(model, data, chunk)?);
        progress.advance(chunk.len(), None);
    }
    Ok(all)
}

/// Does the same as [`logits`] with padded batches. Sentences of similar length are put together.
fn padded_logits(model: &SpanModel, data: &Prepared, sentences: &[u32], progress: &Progress) -> Result<Vec<f32>> {
    let mut all = Vec::new();
    for window in sentences.chunks(EVALUATION_WINDOW) {
        let mut order: Vec<usize> = (0..window.len()).collect();
        order.sort_by_key(|&i| data.input(window[i]).longest());
        let mut of_sentences = vec![Vec::new(); window.len()];
        for places in order.chunks(PADDED_EVALUATION_BATCH) {
            interrupt::check()?;
            let chunk: Vec<u32> = places.iter().map(|&i| window[i]).collect();
            let logits = batch_logits(model, data, &chunk)?;
            let spans = |sentence: u32| data.index.of_sentence(sentence).len();
            let n_labels = logits.len() / chunk.iter().map(|&s| spans(s)).sum::<usize>().max(1);
            let mut rest = logits.as_slice();
            for (&i, &sentence) in places.iter().zip(&chunk) {
                let (own, after) = rest.split_at(spans(sentence) * n_labels);
                of_sentences[i] = own.to_vec();
                rest = after;
            }
            progress.advance(chunk.len(), None);
        }
        all.extend(of_sentences.concat());
    }
    Ok(all)
}

/// Returns the logits of one batch.
fn batch_logits(model: &SpanModel, data: &Prepared, sentences: &[u32]) -> Result<Vec<f32>> {
    let inputs: Vec<&SentenceInput> = sentences.iter().map(|&s| data.input(s)).collect();
    let batch = model.batch(&inputs);
    let rows = span_rows(&inputs, &batch, data.index.max_width());
    if rows.start.is_empty() {
        return Ok(Vec::new());
    }
    let logits = model.logits(&batch, Arc::new(rows))?;
    if logits.iter().all(|logit| logit.is_finite()) { Ok(logits) } else { bail!(NoNumbers) }
}

/// Error: the model's logits are not finite numbers.
#[derive(Debug)]
pub struct NoNumbers;

impl fmt::Display for NoNumbers {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the model's logits are no numbers")
    }
}

impl std::error::Error for NoNumbers {}

/// Returns the entities that the model finds: spans whose best label is a type, without overlaps, in text order.
///
/// # Errors
/// The same as [`logits`].
pub fn find(model: &SpanModel, data: &Prepared, progress: &Progress) -> Result<Vec<Found>> {
    let n_labels = data.corpus.labels.n_types() + 1;
    let sentences: Vec<u32> = (0..data.inputs.len() as u32).collect();
    let mut all = Vec::new();
    for part in parts(model, &sentences) {
        let logits = logits(model, data, part, progress)?;
        let ids = |sentence: &u32| data.index.of_sentence(*sentence);
        // The model of a threshold run has one more label, the extra class. It is never predicted.
        let width = logits.len().checked_div(part.iter().map(|s| ids(s).len()).sum()).unwrap_or(n_labels);
        let mut rows = logits.chunks_exact(width.max(1));
        for &sentence in part {
            let found = data.index.spans_of(sentence).zip(rows.by_ref()).filter_map(|(span, row)| {
                let row = &row[..n_labels];
                let best = (0..n_labels).fold(0, |best, l| if row[l] > row[best] { l } else { best });
                let second = (0..n_labels).filter(|&l| l != best).map(|l| row[l]).fold(f32::NEG_INFINITY, f32::max);
                (best != usize::from(O)).then(|| Found { span, label: best as u16, margin: row[best] - second })
            });
            all.extend(without_overlaps(found.collect()));
        }
    }
    Ok(all)
}

/// Returns the entities that the model finds.
///
/// # Errors
/// The same as [`logits`].
pub fn predict(model: &SpanModel, data: &Prepared, progress: &Progress) -> Result<Vec<Entity>> {
    let found = find(model, data, progress)?;
    Ok(found.iter().map(|f| Entity { span: f.span, label: f.label }).collect())
}

/// Scores the model's entities against those of the corpus.
///
/// # Errors
/// The same as [`logits`].
pub fn evaluate(model: &SpanModel, data: &Prepared, progress: &Progress) -> Result<NerScore> {
    let predicted = predict(model, data, progress)?;
    let labels: &LabelSet = &data.corpus.labels;
    Ok(score_entities(&data.corpus.entities, &predicted, labels))
}
