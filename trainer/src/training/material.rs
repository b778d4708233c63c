//! The sentences and labels of a training, and how a model learns from one batch of them.

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::{DType, Tensor};
use nn::batch::SentenceInput;
use nn::random::stream;
use nn::{Arithmetic, Before, Masks};
use shared::recording::dynamics::Negatives;

use super::batch_order;
use super::config::{Config, Record};
use super::negatives::most_similar_negatives;
use crate::model::inference::Inputs;
use crate::model::span_model::{SpanModel, SpanOutput, span_rows};
use crate::team::Team;

/// Sentences with labels, and the settings by which a model learns from them.
#[derive(Clone, Copy)]
pub(super) struct Material<'a> {
    pub(super) config: &'a Config,
    pub(super) train: &'a Inputs,
    /// Label of every training span; `None` for spans that are left out of the loss.
    pub(super) targets: &'a [Option<u32>],
    pub(super) n_labels: usize,
    pub(super) team: Team,
}

/// The sentences of a batch that this process computes.
struct Part {
    /// Places in the batch.
    sentences: Range<usize>,
    /// Places among the spans of the batch.
    spans: Range<usize>,
    before: Before,
}

impl Material<'_> {
    /// Returns the batches of an epoch.
    pub(super) fn order(&self, epoch: u32) -> Vec<Vec<u32>> {
        let lengths: Vec<usize> = self.train.sentences.iter().map(SentenceInput::longest).collect();
        let Config { batch, seed, arithmetic, .. } = *self.config;
        // Sentences of similar length need less padding.
        let of_like_length = arithmetic != Arithmetic::Kernels;
        batch_order::batches(&lengths, batch, of_like_length, &mut stream(seed, &format!("order {epoch}")))
    }

    /// Computes the gradients of one batch. They are added to the gradients of the batches before, unless `is_first`.
    /// Each process computes the gradients of its own sentences.
    ///
    /// Returns the summed loss and the number of spans in it, or `None` if no span counts. `step` is the number of the
    /// batch over all epochs. If the logits of training passes are recorded, they are copied to `recorder`, if there is
    /// one.
    ///
    /// # Errors
    /// When the model does not fit the batch, or a process is gone.
    pub(super) fn learn_from(
        &self,
        model: &SpanModel,
        sentences: &[u32],
        step: usize,
        is_first: bool,
        recorder: Option<&mut [f32]>,
    ) -> Result<Option<(f64, usize)>> {
        let (config, team) = (self.config, self.team);
        let mut rng = stream(config.seed, &format!("step {step}"));
        let ids = sentences.iter().flat_map(|&s| self.train.index.of_sentence(s));
        let mut targets: Vec<Option<u32>> = ids.map(|id| self.targets[id as usize]).collect();
        if targets.iter().all(Option::is_none) {
            return Ok(None);
        }
        let part = self.own_part(sentences);
        let own: Vec<&SentenceInput> = sentences[part.sentences].iter().map(|&s| self.train.sentence(s)).collect();
        let batch = model.batch(&own);
        let output = match own.is_empty() {
            true => None,
            false => {
                let rows = Arc::new(span_rows(&own, &batch, config.max_span_width));
                Some(model.forward(&batch, rows, Masks::training(rng.clone()).after(part.before))?)
            }
        };
        if config.record == Record::Training {
            let logits = output.as_ref().map_or(Ok(Vec::new()), |output| flat(&output.logits))?;
            let logits = if team.is_alone() { logits } else { team.gather_numbers(&logits)? };
            if let Some(recorder) = recorder {
                self.note(recorder, sentences, &logits);
            }
        }
        if config.negatives == Negatives::Top {
            let cosines = |positives: &[bool]| sums_of_cosines(output.as_ref(), positives, team);
            most_similar_negatives(cosines, &mut targets, config.negative_rate, &mut rng)?;
        }
        let spans = targets.iter().flatten().count();
        if spans == 0 {
            return Ok(None);
        }
        let loss = output.map(|output| output.loss(targets[part.spans].to_vec())).transpose()?;
        let own_value = loss.as_ref().map_or(Ok(0.0), |loss| loss.value.to_scalar::<f32>())?;
        let value = match team.is_alone() {
            true => f64::from(own_value),
            false => team.gather_numbers(&[own_value])?.into_iter().map(f64::from).sum(),
        };
        if value.is_finite() {
            match loss {
                Some(loss) if is_first => model.parameters.backward(loss)?,
                Some(loss) => model.parameters.backward_more(loss)?,
                None if is_first => model.parameters.clear_gradients(),
                None => {}
            }
        }
        Ok(Some((value, spans)))
    }

    /// Returns the part of a batch that this process computes.
    fn own_part(&self, sentences: &[u32]) -> Part {
        let rows = |&s: &u32| self.train.sentence(s).rows();
        let spans = |&s: &u32| self.train.index.of_sentence(s).len();
        let pairs = |&s: &u32| self.train.sentence(s).lengths.iter().map(|n| n * n).sum::<usize>();
        let own = self.team.own_part(&sentences.iter().map(rows).collect::<Vec<_>>());
        let (before, until) = (&sentences[..own.start], &sentences[..own.end]);
        let before = Before {
            rows: before.iter().map(rows).sum(),
            spans: before.iter().map(spans).sum(),
            pairs: before.iter().map(pairs).sum(),
        };
        Part { sentences: own, spans: before.spans..until.iter().map(spans).sum(), before }
    }

    /// Copies a batch's logits to the rows of its spans.
    fn note(&self, recorder: &mut [f32], sentences: &[u32], logits: &[f32]) {
        let mut rest = logits;
        for &sentence in sentences {
            let ids = self.train.index.of_sentence(sentence);
            let to = ids.start as usize * self.n_labels..ids.end as usize * self.n_labels;
            let (rows, after) = rest.split_at(to.len());
            recorder[to].copy_from_slice(rows);
            rest = after;
        }
    }
}

/// Returns for each span of a batch the sum of the cosines between its hidden vector and the hidden vectors of the
/// chosen spans. With several processes, the leader computes the sums for all.
fn sums_of_cosines(output: Option<&SpanOutput>, chosen: &[bool], team: Team) -> Result<Vec<f32>> {
    let first = || output.context("the leader has no sentence");
    if team.is_alone() {
        let output = first()?;
        return output.sums_of_cosines(&output.hidden, chosen);
    }
    let own = output.map_or(Ok(Vec::new()), |output| flat(&output.hidden))?;
    let all = team.gather_numbers(&own)?;
    let sums = match team.leads() {
        true => {
            let output = first()?;
            let (_, width) = output.hidden.dims2()?;
            let all = Tensor::from_vec(all, (chosen.len(), width), output.hidden.device())?;
            output.sums_of_cosines(&all.to_dtype(output.hidden.dtype())?, chosen)?
        }
        false => Vec::new(),
    };
    team.numbers_of_leader(&sums)
}

fn flat(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?)
}
