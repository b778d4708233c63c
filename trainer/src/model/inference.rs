//! Applies a model to sentences: logits of all candidate spans, entities, and their scores.

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

/// Sentences per batch in evaluation, for packed batches and for padded batches.
const EVALUATION_BATCH: usize = 32;
const PADDED_EVALUATION_BATCH: usize = 128;
/// Number of sentences that are sorted by length before they are put into padded batches for evaluation.
const EVALUATION_WINDOW: usize = 4096;

/// Sentences, prepared for one encoder.
pub struct Inputs {
    /// Their candidate spans.
    pub index: SpanIndex,
    pub(crate) sentences: Vec<SentenceInput>,
}

impl Inputs {
    /// Numbers the candidate spans of prepared sentences.
    ///
    /// # Errors
    /// When there are too many.
    pub fn new(sentences: Vec<SentenceInput>, max_width: u32) -> Result<Self> {
        let index = SpanIndex::new(sentences.iter().map(|sentence| sentence.first.len() as u32), max_width)?;
        Ok(Self { index, sentences })
    }

    pub(crate) fn sentence(&self, sentence: u32) -> &SentenceInput {
        &self.sentences[sentence as usize]
    }
}

/// A corpus, prepared for one encoder.
pub struct Prepared {
    /// Text and labels.
    pub corpus: Corpus,
    /// The text in the form that a model reads.
    pub inputs: Inputs,
}

impl Prepared {
    /// Prepares a corpus. `name` stands for the corpus in messages to the user.
    ///
    /// # Errors
    /// When there are too many spans, or the tokenizer fails.
    pub fn new(corpus: Corpus, spec: &EncoderSpec, max_width: u32, name: &str) -> Result<Self> {
        let index = corpus.span_index(max_width)?;
        let sentences = spec.prepare(&corpus.tokens, max_width, name)?;
        Ok(Self { corpus, inputs: Inputs { index, sentences } })
    }
}

/// Returns the number of sentences that a model looks at in one part. The logits of a part fit in any memory, and a
/// part is large enough to be computed fast.
pub fn sentences_at_once(model: &SpanModel) -> usize {
    if model.parameters.engine().pads() { EVALUATION_WINDOW } else { EVALUATION_BATCH }
}

/// Returns the logits of all candidate spans of these sentences, without dropout, `n_labels` per span.
///
/// # Errors
/// When the model does not fit the corpus. [`Interrupted`] when somebody asked to stop.
pub fn logits(model: &SpanModel, data: &Inputs, sentences: &[u32], progress: &Progress) -> Result<Vec<f32>> {
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
fn padded_logits(model: &SpanModel, data: &Inputs, sentences: &[u32], progress: &Progress) -> Result<Vec<f32>> {
    let mut all = Vec::new();
    for window in sentences.chunks(EVALUATION_WINDOW) {
        let mut order: Vec<usize> = (0..window.len()).collect();
        order.sort_by_key(|&i| data.sentence(window[i]).longest());
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
fn batch_logits(model: &SpanModel, data: &Inputs, sentences: &[u32]) -> Result<Vec<f32>> {
    let inputs: Vec<&SentenceInput> = sentences.iter().map(|&s| data.sentence(s)).collect();
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
    find_by(data, sentences_at_once(model), |part| logits(model, &data.inputs, part, progress))
}

/// Returns the entities that a model finds. `look` returns the logits of up to `at_once` sentences.
fn find_by(data: &Prepared, at_once: usize, look: impl Fn(&[u32]) -> Result<Vec<f32>>) -> Result<Vec<Found>> {
    let n_labels = data.corpus.labels.n_types() + 1;
    let index = &data.inputs.index;
    let sentences: Vec<u32> = (0..index.n_sentences() as u32).collect();
    let mut all = Vec::new();
    for part in sentences.chunks(at_once) {
        let logits = look(part)?;
        let ids = |sentence: &u32| index.of_sentence(*sentence);
        // The model of a threshold run has one more label, the extra class. It is never predicted.
        let width = logits.len().checked_div(part.iter().map(|s| ids(s).len()).sum()).unwrap_or(n_labels);
        let mut rows = logits.chunks_exact(width.max(1));
        for &sentence in part {
            let found = index.spans_of(sentence).zip(rows.by_ref()).filter_map(|(span, row)| {
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

/// Scores the model's entities against those of the corpus.
///
/// # Errors
/// The same as [`logits`].
pub fn evaluate(model: &SpanModel, data: &Prepared, progress: &Progress) -> Result<NerScore> {
    Ok(score(data, &find(model, data, progress)?))
}

/// Scores the entities that a model finds. `look` returns the logits of up to `at_once` sentences.
///
/// # Errors
/// The errors of `look`.
pub fn evaluate_by(data: &Prepared, at_once: usize, look: impl Fn(&[u32]) -> Result<Vec<f32>>) -> Result<NerScore> {
    Ok(score(data, &find_by(data, at_once, look)?))
}

fn score(data: &Prepared, found: &[Found]) -> NerScore {
    let labels: &LabelSet = &data.corpus.labels;
    let predicted: Vec<Entity> = found.iter().map(|f| Entity { span: f.span, label: f.label }).collect();
    score_entities(&data.corpus.entities, &predicted, labels)
}
