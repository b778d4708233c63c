//! One training: from fresh weights over all epochs, with a callback after each epoch.

mod batch_order;
pub mod checkpoint;
pub mod config;
mod helper;
pub mod history;
mod material;
mod negatives;
pub(crate) mod threshold_samples;

use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use candle_core::{Device, Tensor};
use nn::random::stream;
use nn::{Builder, Place, Rates};
use shared::recording::dynamics::EpochScore;
use shared::recording::prf::Prf;
use xxhash_rust::xxh3::Xxh3;

use self::checkpoint::{Checkpoint, Checkpoints, Position};
use self::config::{Config, Record};
use self::helper::{Begun, Order, Which, compare};
use self::history::History;
use self::material::Material;
use crate::console;
use crate::files::Written;
use crate::interrupt::{self, Interrupted};
use crate::memory;
use crate::model::encoder::EncoderSpec;
use crate::model::inference::{NoNumbers, Prepared, evaluate_by};
use crate::model::span_model::SpanModel;
use crate::progress::{Progress, TRAINED};
use crate::team::Team;

pub use helper::{Look, dismiss, help};

/// Everything that one training needs.
pub struct Stage<'a> {
    /// Name that is shown beside the progress bar.
    pub name: &'a str,
    /// Settings.
    pub config: &'a Config,
    /// The encoder to start from.
    pub spec: &'a EncoderSpec,
    /// Training sentences.
    pub train: &'a Prepared,
    /// Label of every training span; `None` for spans that are left out of the loss.
    pub targets: Vec<Option<u32>>,
    /// Number of labels of the model: the entity types, `O`, and the extra class if there is one.
    pub n_labels: usize,
    /// Held-out sentences with gold labels, which choose the best epoch. Without them the last epoch counts.
    pub dev: Option<&'a Prepared>,
    /// Epoch after which to stop, at most `config.epochs`. The learning rates follow `config.epochs`.
    pub last_epoch: u32,
    /// Number of epochs without a better dev F1 after which to stop; `None`: do all epochs.
    pub patience: Option<u32>,
    /// Where to compute.
    pub place: Place,
    /// The history in which every epoch is noted, and the name of the training there.
    pub history: Option<(&'a History, &'a str)>,
    /// The processes that train together. The others must be in [`help`].
    pub team: Team,
}

/// State at the end of an epoch.
pub struct EpochEnd<'a> {
    /// Looks at the training sentences with the model as it is now.
    pub look: Look<'a>,
    /// Loss, and dev scores if there is a dev corpus.
    pub score: EpochScore,
    /// Counts the sentences that the callback passes over.
    pub progress: &'a Progress,
    /// Logits of all training spans from the training passes, if those are recorded: one row per span. Rows are
    /// NaN for spans of sentences that no batch trained on.
    pub training_logits: Option<&'a [f32]>,
}

/// A finished training.
pub struct Trained {
    /// The model, with the weights of its best epoch on dev, or of the last epoch without dev.
    pub model: SpanModel,
    /// That epoch, counted from 1.
    pub best_epoch: u32,
    /// Scores of all epochs.
    pub scores: Vec<EpochScore>,
    /// Wall-clock seconds of the training, over all starts.
    pub seconds: f64,
}

impl Trained {
    /// Returns the dev F1 of the best epoch.
    pub fn dev_f1(&self) -> f64 {
        self.scores.iter().find(|s| s.epoch == self.best_epoch).map_or(0.0, |s| s.dev.f1)
    }
}

/// A training that is in progress, between two batches.
struct Underway {
    position: Position,
    /// Weights of the best epoch so far.
    best: Option<Vec<Tensor>>,
    /// Logits of this epoch's training passes, if those are recorded.
    training_logits: Option<Vec<f32>>,
    /// Time at which this process started or resumed it, and the seconds spent before.
    started: (Instant, f64),
}

/// Names of a checkpoint's tensors in addition to [`Parameters::state`](nn::Parameters::state).
const BEST: &str = "best/";
const TRAINING_LOGITS: &str = "training_logits";

/// Builds the model of a training, with its first weights.
fn new_model(config: &Config, spec: &EncoderSpec, n_labels: usize, place: Place) -> Result<SpanModel> {
    let builder = Builder::new(stream(config.seed, "weights"), place.compute(config.arithmetic)?);
    let Config { max_span_width, train_embeddings, word_shapes, .. } = *config;
    SpanModel::new(spec, builder, n_labels, max_span_width, train_embeddings, word_shapes)
}

impl Underway {
    fn seconds(&self) -> f64 {
        let (started, before) = self.started;
        before + started.elapsed().as_secs_f64()
    }
}

impl Position {
    /// Returns the mean loss per span in the loss, over the batches of this epoch so far.
    fn mean_loss(&self) -> f64 {
        self.loss_sum / self.spans_in_loss.max(1) as f64
    }

    /// Returns the best epoch on dev so far.
    fn best(&self) -> Option<&EpochScore> {
        self.scores.iter().find(|score| score.epoch == self.best_epoch)
    }
}

impl Stage<'_> {
    /// Returns a hash of the training's settings and labels.
    ///
    /// The encoder's name is not part of it, because the run's folder is bound to the content of the encoder's
    /// files.
    ///
    /// # Errors
    /// When the settings cannot be written down.
    pub fn identity(&self) -> Result<String> {
        let mut hash = Xxh3::new();
        let settings = Config { encoder: String::new(), ..self.config.clone() };
        hash.update(serde_json::to_string(&settings)?.as_bytes());
        hash.update(&(self.n_labels as u64).to_le_bytes());
        for target in &self.targets {
            hash.update(&target.unwrap_or(u32::MAX).to_le_bytes());
        }
        Ok(format!("{:032x}", hash.digest128()))
    }

    /// Trains from the beginning or from a checkpoint.
    ///
    /// `on_epoch` is called after every epoch and returns how much it has recorded so far. `recorded` is the
    /// number of sentences that `on_epoch` passes over. It is needed to estimate the remaining time.
    ///
    /// # Errors
    /// When the loss is not finite, `on_epoch` fails, or a checkpoint cannot be written. [`Interrupted`] when
    /// somebody asked to stop; a checkpoint to continue from is then written.
    pub fn train(
        &self,
        checkpoints: &mut Checkpoints,
        from: Option<Checkpoint>,
        recorded: usize,
        mut on_epoch: impl FnMut(EpochEnd) -> Result<Written>,
    ) -> Result<Trained> {
        let config = self.config;
        ensure!(config.epochs > 0, "at least one epoch is needed");
        let model = new_model(config, self.spec, self.n_labels, self.place)?;
        let n_train = self.n_train();
        let after_batches = recorded + self.dev.map_or(0, |dev| dev.corpus.n_sentences());
        let per_epoch = TRAINED * n_train as u64 + after_batches as u64;
        let goes_on = from.is_some();
        let mut underway = match from {
            Some(checkpoint) => self.take_up(checkpoint, &model)?,
            None => self.begin(),
        };
        let _begun = Begun::new(self, &model, goes_on)?;
        let look_at_train = Look { model: &model, inputs: &self.train.inputs, at: Which::Train, team: self.team };
        // Sentences of the epoch that have been trained on.
        let passed = |position: &Position| (position.batch * config.batch.max(1)).min(n_train);
        let epochs_before = u64::from(underway.position.epoch.saturating_sub(1));
        let before = per_epoch * epochs_before + TRAINED * passed(&underway.position) as u64;
        let mut progress = Progress::new(self.name, per_epoch * u64::from(self.last_epoch), before, self.last_epoch);
        while underway.position.epoch <= self.last_epoch {
            if let Some(since) = self.ends_without_progress(&underway.position) {
                console::status(format_args!(
                    "{}: dev F1 has not risen since epoch {since}, so the training ends",
                    self.name
                ));
                break;
            }
            let epoch = underway.position.epoch;
            progress.begin_epoch(epoch);
            let began = Instant::now();
            let n_to_train = n_train - passed(&underway.position);
            self.batches(&model, &mut underway, checkpoints, &progress)?;
            let training_seconds = began.elapsed().as_secs_f64();
            let train_loss = underway.position.mean_loss();
            if !self.team.is_alone() {
                self.team.tell(&Order::Compare)?;
                compare(&model, self.team)?;
            }
            let score_dev = |dev: &Prepared| {
                let look = Look { inputs: &dev.inputs, at: Which::Dev, ..look_at_train };
                evaluate_by(dev, look.sentences_at_once(), |sentences| look.logits(sentences, &progress))
            };
            let scored = self.dev.map(score_dev).transpose();
            let ended = scored.and_then(|dev| {
                let score = EpochScore { epoch, train_loss, dev: dev.map_or_else(Prf::default, |dev| dev.overall) };
                let training_logits = underway.training_logits.as_deref();
                let recorded = on_epoch(EpochEnd { look: look_at_train, score, progress: &progress, training_logits })?;
                Ok((score, recorded))
            });
            let (score, recorded) = match ended {
                // Nothing has changed since the last batch of the epoch, so this state can be saved.
                Err(error) if error.is::<Interrupted>() => {
                    self.save(&model, &mut underway, checkpoints)?;
                    return Err(error);
                }
                Err(error) if error.is::<NoNumbers>() => {
                    let last = self.batch_before(&underway.position).unwrap_or_default();
                    return Err(self.diverged(&format!(
                        "{error} after epoch {epoch}, whose last batch was of training sentences {last:?} (from 0)"
                    )));
                }
                ended => ended?,
            };
            if let Some((history, training)) = self.history {
                let rates = self.rates(underway.position.step.saturating_sub(1));
                let noted = history.add(history::Epoch {
                    training: training.to_owned(),
                    title: self.name.to_owned(),
                    epoch,
                    train_loss,
                    encoder_rate: rates.encoder,
                    head_rate: rates.head,
                    dev: self.dev.map(|_| score.dev),
                    seconds: began.elapsed().as_secs_f64(),
                    sentences_per_second: (n_to_train > 0 && training_seconds > 0.0)
                        .then(|| n_to_train as f64 / training_seconds),
                    peak_mib: memory::peak_mib(),
                });
                // Nothing else needs the history, so a training does not end for it.
                if let Err(error) = noted {
                    console::warning(format_args!("{error:#}"));
                }
            }
            self.end_epoch(&model, &mut underway, score, recorded)?;
            self.save(&model, &mut underway, checkpoints)?;
            progress.end_epoch(train_loss, self.dev.map(|_| score.dev.f1));
        }
        let Position { mut best_epoch, scores, .. } = underway.position.clone();
        match underway.best.as_deref() {
            Some(best) => model.parameters.restore(best)?,
            None => best_epoch = scores.last().context("no epoch was trained")?.epoch,
        }
        Ok(Trained { model, best_epoch, scores, seconds: underway.seconds() })
    }

    /// Returns the best epoch if the training must end, because dev F1 has not risen for `patience` epochs since then.
    fn ends_without_progress(&self, position: &Position) -> Option<u32> {
        let best = position.best()?.epoch;
        self.patience.is_some_and(|patience| position.epoch - 1 - best >= patience).then_some(best)
    }

    fn n_train(&self) -> usize {
        self.train.corpus.n_sentences()
    }

    fn begin(&self) -> Underway {
        let position = Position { epoch: 1, ..Position::default() };
        Underway { position, best: None, training_logits: self.empty_logits(), started: (Instant::now(), 0.0) }
    }

    /// Sets the model to the state of a checkpoint.
    fn take_up(&self, checkpoint: Checkpoint, model: &SpanModel) -> Result<Underway> {
        let Checkpoint { position, tensors } = checkpoint;
        model.parameters.set_state(&tensors).context("the checkpoint does not fit the model")?;
        let best = (position.best_epoch > 0).then(|| {
            let of = |name: &str| -> Result<Tensor> {
                let best = tensors.get(&format!("{BEST}{name}")).cloned();
                best.with_context(|| format!("the checkpoint lacks {name} of the best epoch"))
            };
            model.parameters.names().map(of).collect::<Result<Vec<Tensor>>>()
        });
        let training_logits = match self.config.record {
            Record::Evaluation => None,
            Record::Training => {
                let logits = tensors.get(TRAINING_LOGITS).context("the checkpoint lacks the recorded logits")?;
                Some(logits.to_vec1()?)
            }
        };
        let started = (Instant::now(), position.seconds);
        Ok(Underway { best: best.transpose()?, training_logits, started, position })
    }

    fn save(&self, model: &SpanModel, underway: &mut Underway, checkpoints: &mut Checkpoints) -> Result<()> {
        if !checkpoints.are_kept() {
            return Ok(());
        }
        underway.position.seconds = underway.seconds();
        let mut tensors = model.parameters.state()?;
        for (name, best) in model.parameters.names().zip(underway.best.iter().flatten()) {
            tensors.push((format!("{BEST}{name}"), best.to_device(&Device::Cpu)?));
        }
        if let Some(logits) = &underway.training_logits {
            tensors.push((TRAINING_LOGITS.to_owned(), Tensor::new(logits.as_slice(), &Device::Cpu)?));
        }
        checkpoints.save(&underway.position, tensors)
    }

    /// Allocates the logits of one epoch's training passes, if those are recorded.
    fn empty_logits(&self) -> Option<Vec<f32>> {
        match self.config.record {
            Record::Evaluation => None,
            Record::Training => Some(vec![f32::NAN; self.train.inputs.index.len() * self.n_labels]),
        }
    }

    fn end_epoch(
        &self,
        model: &SpanModel,
        underway: &mut Underway,
        score: EpochScore,
        recorded: Written,
    ) -> Result<()> {
        let best = underway.position.best();
        if self.dev.is_some() && best.is_none_or(|best| score.dev.f1 > best.dev.f1) {
            underway.best = Some(model.parameters.snapshot()?);
            underway.position.best_epoch = score.epoch;
        }
        underway.training_logits = self.empty_logits();
        let position = &mut underway.position;
        position.scores.push(score);
        position.recorded = recorded;
        (position.epoch, position.batch) = (score.epoch + 1, 0);
        (position.loss_sum, position.spans_in_loss) = (0.0, 0);
        Ok(())
    }

    /// Trains on the remaining batches of an epoch.
    fn batches(
        &self,
        model: &SpanModel,
        underway: &mut Underway,
        checkpoints: &mut Checkpoints,
        progress: &Progress,
    ) -> Result<()> {
        let config = self.config;
        let epoch = underway.position.epoch;
        let (material, order) = (self.material(), self.order(epoch));
        // Number of batches since the last step of the optimizer.
        let mut pending = 0;
        for sentences in order.iter().skip(underway.position.batch) {
            let Position { batch, step, .. } = underway.position;
            let (is_first, recorder) = (pending == 0, underway.training_logits.as_deref_mut());
            self.tell(|| Order::Learn { epoch, batch, step, is_first })?;
            let learned = material.learn_from(model, sentences, step, is_first, recorder);
            if let Some((loss, spans)) = self.team.or_abort(learned)? {
                if !loss.is_finite() {
                    let mut what = format!(
                        "the loss became {loss} at epoch {epoch}, step {step}, in the batch of training sentences \
                         {sentences:?} (from 0)"
                    );
                    if !model.parameters.are_finite()?
                        && let Some(before) = self.batch_before(&underway.position)
                    {
                        what += &format!(
                            "; the weights were no numbers before it, most likely since the batch before, of sentences \
                             {before:?}"
                        );
                    }
                    return Err(self.diverged(&what));
                }
                let position = &mut underway.position;
                position.loss_sum += loss;
                position.spans_in_loss += spans;
                position.step += 1;
                pending += 1;
            }
            underway.position.batch += 1;
            let ends =
                underway.position.batch.is_multiple_of(config.accumulate) || underway.position.batch == order.len();
            if ends && pending > 0 {
                let rates = self.rates(underway.position.step - 1);
                self.tell(|| Order::Step(rates))?;
                let stepped = self.team.add_up(&model.parameters).and_then(|()| model.parameters.step(rates));
                self.team.or_abort(stepped)?;
                pending = 0;
            }
            progress.advance(sentences.len(), Some(underway.position.mean_loss()));
            // A checkpoint has no gradients.
            if pending == 0 && checkpoints.is_due(underway.position.step) {
                self.save(model, underway, checkpoints)?;
                interrupt::check()?;
            }
        }
        Ok(())
    }

    /// Gives an order to the other processes, if there are any.
    fn tell<'o>(&self, order: impl FnOnce() -> Order<'o>) -> Result<()> {
        if self.team.is_alone() { Ok(()) } else { self.team.tell(&order()) }
    }

    /// Returns the batch before this position, if there is one.
    fn batch_before(&self, position: &Position) -> Option<Vec<u32>> {
        match position.batch.checked_sub(1) {
            Some(before) => self.order(position.epoch).get(before).cloned(),
            None if position.epoch > 1 => self.order(position.epoch - 1).pop(),
            None => None,
        }
    }

    /// Returns the error of a training whose numbers are not finite any more.
    fn diverged(&self, what: &str) -> anyhow::Error {
        anyhow!(
            "{}: {what}. Lower --encoder-rate or --head-rate, with another --out: these settings will always end here",
            self.name
        )
    }

    /// Returns the batches of an epoch.
    pub fn order(&self, epoch: u32) -> Vec<Vec<u32>> {
        self.material().order(epoch)
    }

    fn material(&self) -> Material<'_> {
        let Self { config, train, ref targets, n_labels, team, .. } = *self;
        Material { config, train: &train.inputs, targets, n_labels, team }
    }

    /// Returns the learning rates for the batch with this number, from 0, over all epochs.
    fn rates(&self, batch: usize) -> Rates {
        let config = self.config;
        let (n_batches, together) = (self.n_train().div_ceil(config.batch.max(1)), config.accumulate.max(1));
        let steps = (n_batches * config.epochs as usize).div_ceil(together);
        let factor = config.schedule.factor(batch / together, steps, config.warmup);
        Rates {
            encoder: config.encoder_rate * factor,
            head: config.head_rate * factor,
            weight_decay: config.weight_decay,
            clip_norm: config.clip_norm,
        }
    }
}
