//! One training: from fresh weights over all epochs, with logits of all spans after each.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use candle_core::Tensor;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use shared::corpus::{Corpus, Entity};
use shared::dynamics::{EpochScore, Negatives};
use shared::labels::{LabelSet, O};
use shared::score::{NerScore, score_entities};
use shared::span::SpanIndex;

use crate::batch::{Batch, SentenceInput};
use crate::config::{Config, Record};
use crate::encoder::EncoderSpec;
use crate::negatives::most_similar_negatives;
use crate::ops::cross_entropy;
use crate::parameters::{Parameters, Rates};
use crate::progress::Progress;
use crate::random::{Masks, stream};
use crate::span_model::{Found, SpanModel, span_rows, without_overlaps};

/// Sentences per batch where nothing is trained.
const EVALUATION_BATCH: usize = 32;

/// A corpus, prepared for one encoder.
pub struct Prepared {
    /// Text and labels.
    pub corpus: Corpus,
    /// Its candidate spans.
    pub index: SpanIndex,
    inputs: Vec<SentenceInput>,
}

impl Prepared {
    /// Prepares a corpus.
    ///
    /// # Errors
    /// When there are too many spans, or the tokenizer fails.
    pub fn new(corpus: Corpus, spec: &EncoderSpec, max_width: u32) -> Result<Self> {
        let index = corpus.span_index(max_width)?;
        let inputs = spec.prepare(&corpus.tokens, max_width)?;
        Ok(Self { corpus, index, inputs })
    }

    fn input(&self, sentence: u32) -> &SentenceInput {
        &self.inputs[sentence as usize]
    }
}

/// What one training learns from.
pub struct Stage<'a> {
    /// Shown beside the progress bar.
    pub name: &'a str,
    /// Settings.
    pub config: &'a Config,
    /// The encoder to start from.
    pub spec: &'a EncoderSpec,
    /// Training sentences.
    pub train: &'a Prepared,
    /// Label of every training span; `None` for spans that are left out of the loss.
    pub targets: Vec<Option<u32>>,
    /// Number of labels of the model: the label set's, `O`, and the extra class where there is one.
    pub n_labels: usize,
    /// Held-out sentences with gold labels.
    pub dev: &'a Prepared,
}

/// After an epoch.
pub struct EpochEnd<'a> {
    /// The model as it is now.
    pub model: &'a SpanModel,
    /// Loss and dev scores.
    pub score: EpochScore,
    /// To count the sentences passed over.
    pub progress: &'a Progress,
    /// Logits of all training spans from the training passes, where those are recorded: one row per
    /// span; NaN for spans of sentences that no batch trained on.
    pub training_logits: Option<Vec<f32>>,
}

/// A finished training.
pub struct Trained {
    /// The model, with the weights of its best epoch on dev.
    pub model: SpanModel,
    /// That epoch, from 1.
    pub best_epoch: u32,
    /// All epochs.
    pub scores: Vec<EpochScore>,
}

impl Stage<'_> {
    /// Trains. `recorded` is the number of sentences that `on_epoch` passes over, for the estimate
    /// of the remaining time.
    ///
    /// # Errors
    /// When the loss is not finite, or `on_epoch` fails.
    pub fn train(&self, recorded: usize, mut on_epoch: impl FnMut(EpochEnd) -> Result<()>) -> Result<Trained> {
        let config = self.config;
        ensure!(config.epochs > 0, "at least one epoch is needed");
        let parameters = Parameters::new(stream(config.seed, "weights"));
        let model =
            SpanModel::new(self.spec, parameters, self.n_labels, config.max_span_width, config.train_embeddings)?;
        let n_train = self.train.inputs.len();
        let per_epoch = n_train + recorded + self.dev.inputs.len();
        let mut progress = Progress::new(self.name, per_epoch as u64 * u64::from(config.epochs), config.epochs);
        let mut scores: Vec<EpochScore> = Vec::new();
        let mut best: Option<(f64, u32, Vec<Tensor>)> = None;
        let mut step = 0;
        for epoch in 1..=config.epochs {
            progress.begin_epoch(epoch);
            let mut recorder = match config.record {
                Record::Evaluation => None,
                Record::Training => Some(vec![f32::NAN; self.train.index.len() * self.n_labels]),
            };
            let train_loss = self.epoch(&model, epoch, &mut step, recorder.as_deref_mut(), &progress)?;
            let dev = evaluate(&model, self.dev, &progress)?.overall;
            if best.as_ref().is_none_or(|(f1, ..)| dev.f1 > *f1) {
                best = Some((dev.f1, epoch, model.parameters.snapshot()?));
            }
            let score = EpochScore { epoch, train_loss, dev };
            scores.push(score);
            on_epoch(EpochEnd { model: &model, score, progress: &progress, training_logits: recorder })?;
            progress.end_epoch(train_loss, dev.f1);
        }
        let (_, best_epoch, weights) = best.context("no epoch was trained")?;
        model.parameters.restore(&weights)?;
        Ok(Trained { model, best_epoch, scores })
    }

    /// One pass over the shuffled sentences; returns the mean loss per span in the loss.
    fn epoch(
        &self,
        model: &SpanModel,
        epoch: u32,
        step: &mut usize,
        mut recorder: Option<&mut [f32]>,
        progress: &Progress,
    ) -> Result<f64> {
        let config = self.config;
        let mut order: Vec<u32> = (0..self.train.inputs.len() as u32).collect();
        order.shuffle(&mut stream(config.seed, &format!("order {epoch}")));
        let (mut loss_sum, mut spans_in_loss) = (0f64, 0usize);
        for sentences in order.chunks(config.batch.max(1)) {
            let mut rng = stream(config.seed, &format!("step {step}"));
            if let Some((loss, spans)) = self.step(model, sentences, *step, recorder.as_deref_mut(), &mut rng)? {
                ensure!(
                    loss.is_finite(),
                    "the loss became {loss} at epoch {epoch}, step {step}, in the batch of sentences {sentences:?} \
                     (from 0). Lower --encoder-rate or --head-rate"
                );
                loss_sum += loss;
                spans_in_loss += spans;
                *step += 1;
            }
            progress.advance(sentences.len(), Some(loss_sum / spans_in_loss.max(1) as f64));
        }
        Ok(loss_sum / spans_in_loss.max(1) as f64)
    }

    /// One batch; the summed loss and the number of spans in it, or nothing where none counts.
    fn step(
        &self,
        model: &SpanModel,
        sentences: &[u32],
        step: usize,
        recorder: Option<&mut [f32]>,
        rng: &mut ChaCha8Rng,
    ) -> Result<Option<(f64, usize)>> {
        let config = self.config;
        let ids = sentences.iter().flat_map(|&s| self.train.index.of_sentence(s));
        let mut targets: Vec<Option<u32>> = ids.map(|id| self.targets[id as usize]).collect();
        if targets.iter().all(Option::is_none) {
            return Ok(None);
        }
        let inputs: Vec<&SentenceInput> = sentences.iter().map(|&s| self.train.input(s)).collect();
        let batch = Batch::pack(&inputs);
        let rows = Arc::new(span_rows(&inputs, &batch, config.max_span_width));
        let output = model.forward(&batch, rows, &mut Masks::training(rng.clone()))?;
        if let Some(recorder) = recorder {
            self.note(recorder, sentences, &output.logits)?;
        }
        if config.negatives == Negatives::Top {
            let hidden = output.hidden.flatten_all()?.to_vec1::<f32>()?;
            most_similar_negatives(&hidden, &mut targets, config.negative_rate, rng);
        }
        let spans = targets.iter().flatten().count();
        if spans == 0 {
            return Ok(None);
        }
        let loss = cross_entropy(&output.logits, targets.into())?;
        let value = f64::from(loss.to_scalar::<f32>()?);
        if value.is_finite() {
            let steps = self.train.inputs.len().div_ceil(config.batch.max(1)) * config.epochs as usize;
            let factor = config.schedule.factor(step, steps, config.warmup);
            let rates = Rates {
                encoder: config.encoder_rate * factor,
                head: config.head_rate * factor,
                weight_decay: config.weight_decay,
                clip_norm: config.clip_norm,
            };
            model.parameters.backward(&loss)?;
            model.parameters.step(rates)?;
        }
        Ok(Some((value, spans)))
    }

    /// Copies a batch's logits to the rows of their spans.
    fn note(&self, recorder: &mut [f32], sentences: &[u32], logits: &Tensor) -> Result<()> {
        let logits = logits.flatten_all()?.to_vec1::<f32>()?;
        let mut rest = logits.as_slice();
        for &sentence in sentences {
            let ids = self.train.index.of_sentence(sentence);
            let to = ids.start as usize * self.n_labels..ids.end as usize * self.n_labels;
            let (rows, after) = rest.split_at(to.len());
            recorder[to].copy_from_slice(rows);
            rest = after;
        }
        Ok(())
    }
}

/// Logits of all candidate spans of these sentences, in evaluation mode, `n_labels` per span.
///
/// # Errors
/// When the model does not fit the corpus.
pub fn logits(model: &SpanModel, data: &Prepared, sentences: &[u32], progress: &Progress) -> Result<Vec<f32>> {
    let mut all = Vec::new();
    for chunk in sentences.chunks(EVALUATION_BATCH) {
        let inputs: Vec<&SentenceInput> = chunk.iter().map(|&s| data.input(s)).collect();
        let batch = Batch::pack(&inputs);
        let rows = span_rows(&inputs, &batch, data.index.max_width());
        if !rows.start.is_empty() {
            let output = model.forward(&batch, Arc::new(rows), &mut Masks::evaluation())?;
            all.extend(output.logits.flatten_all()?.to_vec1::<f32>()?);
        }
        progress.advance(chunk.len(), None);
    }
    Ok(all)
}

/// What the model finds: spans whose best label is a type, without overlaps, in the order of the text.
///
/// # Errors
/// As [`logits`].
pub fn find(model: &SpanModel, data: &Prepared, progress: &Progress) -> Result<Vec<Found>> {
    let n_labels = data.corpus.labels.n_types() + 1;
    let sentences: Vec<u32> = (0..data.inputs.len() as u32).collect();
    let mut all = Vec::new();
    // A part at a time: the logits of a large text would not fit in memory.
    for part in sentences.chunks(EVALUATION_BATCH) {
        let logits = logits(model, data, part, progress)?;
        let ids = |sentence: &u32| data.index.of_sentence(*sentence);
        // A model of a threshold run has one label more: it is not an answer.
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

/// What the model finds, as entities.
///
/// # Errors
/// As [`logits`].
pub fn predict(model: &SpanModel, data: &Prepared, progress: &Progress) -> Result<Vec<Entity>> {
    let found = find(model, data, progress)?;
    Ok(found.iter().map(|f| Entity { span: f.span, label: f.label }).collect())
}

/// Scores the model's entities against the corpus's.
///
/// # Errors
/// As [`logits`].
pub fn evaluate(model: &SpanModel, data: &Prepared, progress: &Progress) -> Result<NerScore> {
    let predicted = predict(model, data, progress)?;
    let labels: &LabelSet = &data.corpus.labels;
    Ok(score_entities(&data.corpus.entities, &predicted, labels))
}
