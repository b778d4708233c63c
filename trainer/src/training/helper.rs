//! The work of the processes that do not lead a training: they wait for orders, and carry them out.

use std::borrow::Cow;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use candle_core::Device;
use nn::batch::SentenceInput;
use nn::{Place, Rates};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::config::Config;
use super::material::Material;
use super::{Stage, new_model};
use crate::interrupt;
use crate::model::encoder::{EncoderSpec, Pretrained, Vocabulary};
use crate::model::inference::{self, Inputs, NoNumbers, sentences_at_once};
use crate::model::span_model::SpanModel;
use crate::progress::Progress;
use crate::team::{Team, bytes_of};

/// An order of the leader to the other processes. All carry it out together, including the leader.
#[derive(Serialize, Deserialize)]
pub(super) enum Order<'a> {
    /// Begin a training.
    Train(Box<Assignment<'a>>),
    /// Compute the gradients of a batch.
    Learn { epoch: u32, batch: usize, step: usize, is_first: bool },
    /// Make one step of the optimizer.
    Step(Rates),
    /// Compute the logits of sentences.
    Look { at: Which, sentences: Cow<'a, [u32]> },
    /// Compare the weights.
    Compare,
    /// The training ends.
    Done,
    /// The program ends.
    End,
}

/// The corpora that a training looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Which {
    Train,
    Dev,
}

/// Everything that a process needs to take part in a training.
#[derive(Serialize, Deserialize)]
pub(super) struct Assignment<'a> {
    /// The settings as JSON. Settings leave out defaults, and the format of messages cannot leave out fields.
    config: String,
    place: Place,
    encoder: Source<'a>,
    n_labels: usize,
    train: Cow<'a, [SentenceInput]>,
    dev: Cow<'a, [SentenceInput]>,
    targets: Cow<'a, [Option<u32>]>,
    /// The state to go on from, as safetensors.
    state: Option<Vec<u8>>,
}

/// Where the encoder comes from.
#[derive(Serialize, Deserialize)]
enum Source<'a> {
    /// A folder, which must be the same on all machines.
    Folder(PathBuf),
    /// The words of the built-in encoder.
    Words(Cow<'a, [String]>),
}

impl<'a> Assignment<'a> {
    /// Describes a training that is about to begin, or to go on with `model` as it is now.
    pub(super) fn new(stage: &'a Stage, model: &SpanModel, goes_on: bool) -> Result<Self> {
        let encoder = match stage.spec {
            EncoderSpec::Pretrained(spec) => Source::Folder(std::path::absolute(spec.folder())?),
            EncoderSpec::Builtin(vocabulary) => Source::Words(vocabulary.words().into()),
        };
        let state = match goes_on {
            true => Some(safetensors::serialize(model.parameters.state()?, None)?),
            false => None,
        };
        Ok(Self {
            config: serde_json::to_string(stage.config)?,
            place: stage.place,
            encoder,
            n_labels: stage.n_labels,
            train: stage.train.inputs.sentences.as_slice().into(),
            dev: stage.dev.map_or(Cow::default(), |dev| dev.inputs.sentences.as_slice().into()),
            targets: stage.targets.as_slice().into(),
            state,
        })
    }
}

/// Computes logits, with the other processes if there are any.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    pub(super) model: &'a SpanModel,
    pub(super) inputs: &'a Inputs,
    pub(super) at: Which,
    pub(super) team: Team,
}

impl Look<'_> {
    /// Returns the number of sentences to look at together.
    pub fn sentences_at_once(&self) -> usize {
        sentences_at_once(self.model) * self.team.size()
    }

    /// Returns the logits of all candidate spans of these sentences, without dropout, `n_labels` per span.
    ///
    /// # Errors
    /// When the model does not fit the corpus, or a process is gone. [`NoNumbers`], and
    /// [`Interrupted`](interrupt::Interrupted) when somebody asked to stop.
    pub fn logits(&self, sentences: &[u32], progress: &Progress) -> Result<Vec<f32>> {
        if self.team.is_alone() {
            return inference::logits(self.model, self.inputs, sentences, progress);
        }
        interrupt::check()?;
        self.team.tell(&Order::Look { at: self.at, sentences: sentences.into() })?;
        let logits = self.with_the_others(sentences)?;
        progress.advance(sentences.len(), None);
        Ok(logits)
    }

    /// Computes the logits of this process's part of the sentences. Returns the logits of all sentences.
    fn with_the_others(&self, sentences: &[u32]) -> Result<Vec<f32>> {
        let rows = |&s: &u32| self.inputs.sentence(s).rows();
        let own = self.team.own_part(&sentences.iter().map(rows).collect::<Vec<_>>());
        let own = inference::logits(self.model, self.inputs, &sentences[own], &Progress::hidden());
        // Every process must send something. Otherwise the others would wait for ever.
        let own = match own {
            Err(error) if error.is::<NoNumbers>() => vec![f32::NAN],
            own => self.team.or_abort(own)?,
        };
        let all = self.team.gather_numbers(&own)?;
        if all.iter().any(|logit| logit.is_nan()) { bail!(NoNumbers) } else { Ok(all) }
    }
}

/// Checks that all processes have the same weights.
pub(super) fn compare(model: &SpanModel, team: Team) -> Result<()> {
    let mut hash = Xxh3::new();
    for values in model.parameters.snapshot()? {
        hash.update(&bytes_of(&values.flatten_all()?.to_vec1()?));
    }
    let all = team.gather(&hash.digest128())?;
    let other = all.iter().position(|digest| Some(digest) != all.first());
    ensure!(
        other.is_none(),
        "process {} (from 0) has other weights than process 0: all must run the same build on the same kind of CPU or GPU",
        other.unwrap_or_default()
    );
    Ok(())
}

/// A training of which this process computes a part.
struct Helper {
    config: Config,
    model: SpanModel,
    train: Inputs,
    dev: Inputs,
    targets: Vec<Option<u32>>,
    n_labels: usize,
    team: Team,
    /// The number of an epoch, and its batches.
    order: (u32, Vec<Vec<u32>>),
}

/// A training that all processes have begun. When it is dropped, the others are told that it ends.
pub(super) struct Begun(Team);

impl Begun {
    pub(super) fn new(stage: &Stage, model: &SpanModel, goes_on: bool) -> Result<Self> {
        let team = stage.team;
        if !team.is_alone() {
            team.meet()?;
            team.tell(&Order::Train(Box::new(Assignment::new(stage, model, goes_on)?)))?;
        }
        Ok(Self(team))
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if !self.0.is_alone() && !std::thread::panicking() {
            // If it cannot be told, the whole program is ending.
            let _ = self.0.tell(&Order::Done);
        }
    }
}

/// Tells the other processes that the program ends.
///
/// # Errors
/// When a message cannot be carried.
pub fn dismiss(team: Team) -> Result<()> {
    if team.is_alone() {
        return Ok(());
    }
    team.meet()?;
    team.tell(&Order::End)
}

/// Carries out the orders of the leader until the program ends.
///
/// # Errors
/// When an order cannot be carried out. The other processes then wait for this one, so the whole program must end.
pub fn help(team: Team) -> Result<()> {
    // The leader decides when to stop.
    interrupt::ignore()?;
    let mut helper: Option<Helper> = None;
    loop {
        // Between two trainings the leader reads and judges, which may take long. `meet` lets the CPU rest meanwhile.
        if helper.is_none() {
            team.meet()?;
        }
        let order: Order = team.listen()?;
        match (order, &mut helper) {
            (Order::End, _) => return Ok(()),
            (Order::Done, _) => helper = None,
            (Order::Train(assignment), _) => helper = Some(Helper::new(*assignment, team)?),
            (order, Some(helper)) => helper.carry_out(order)?,
            (_, None) => bail!("an order without a training"),
        }
    }
}

impl Helper {
    fn new(assignment: Assignment, team: Team) -> Result<Self> {
        let Assignment { config, place, encoder, n_labels, train, dev, targets, state } = assignment;
        let config: Config = serde_json::from_str(&config)?;
        let spec = match encoder {
            Source::Words(words) => EncoderSpec::Builtin(Vocabulary::from_words(words.into_owned())),
            Source::Folder(folder) => {
                let spec = Pretrained::open(&folder);
                EncoderSpec::Pretrained(Box::new(spec.with_context(|| {
                    format!("the encoder must be in the same folder on all machines: {}", folder.display())
                })?))
            }
        };
        let model = new_model(&config, &spec, n_labels, place)?;
        if let Some(state) = state {
            model.parameters.set_state(&candle_core::safetensors::load_buffer(&state, &Device::Cpu)?)?;
        }
        let inputs = |sentences: Cow<[SentenceInput]>| Inputs::new(sentences.into_owned(), config.max_span_width);
        let (train, dev) = (inputs(train)?, inputs(dev)?);
        Ok(Self { config, model, train, dev, targets: targets.into_owned(), n_labels, team, order: (0, Vec::new()) })
    }

    fn material(&self) -> Material<'_> {
        let Self { config, train, targets, n_labels, team, .. } = self;
        Material { config, train, targets, n_labels: *n_labels, team: *team }
    }

    fn carry_out(&mut self, order: Order) -> Result<()> {
        if let Order::Learn { epoch, .. } = order
            && self.order.0 != epoch
        {
            self.order = (epoch, self.material().order(epoch));
        }
        let Self { model, train, team, .. } = &*self;
        match order {
            Order::Learn { batch, step, is_first, .. } => {
                let sentences = self.order.1.get(batch).context("there is no such batch")?;
                self.material().learn_from(model, sentences, step, is_first, None).map(drop)
            }
            Order::Step(rates) => {
                team.add_up(&model.parameters)?;
                model.parameters.step(rates)
            }
            Order::Look { at, sentences } => {
                let inputs = if at == Which::Train { train } else { &self.dev };
                match (Look { model, inputs, at, team: *team }).with_the_others(&sentences) {
                    // The leader tells the user.
                    Err(error) if error.is::<NoNumbers>() => Ok(()),
                    looked => looked.map(drop),
                }
            }
            Order::Compare => match compare(model, *team) {
                // The leader tells the user.
                Err(_) => Ok(()),
                same => same,
            },
            Order::Train(_) | Order::Done | Order::End => bail!("an order for another time"),
        }
    }
}
