//! Options of the model and of its training.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use nn::{Arithmetic, Place, Schedule, parse_place};
use shared::corpus::TokenTable;
use shared::recording::dynamics::{Negatives, SampleScheme};
use trainer::console;
use trainer::data::hub::{self, Hub};
use trainer::model::encoder::{Defaults, EncoderSpec};
use trainer::model::span_model::{WIDEST_SPAN, WordShapes};
use trainer::team::Team;
use trainer::training::checkpoint::Policy;
use trainer::training::config::{Config, Record};

/// The model and how it is trained.
#[derive(Args)]
pub struct TrainingArgs {
    /// A BERT, RoBERTa, XLM-RoBERTa, CamemBERT or DistilBERT model. Give a folder in Hugging Face layout, an id of the
    /// Hugging Face hub (ORGANISATION/NAME or NAME, optionally with @REVISION), or `builtin` (small, trained from
    /// scratch, no download)
    #[arg(long, value_name = "DIR|HUB-ID|builtin", help_heading = "Model")]
    pub encoder: String,
    /// Download nothing; a model or data set of the hub must be in the cache (the same as HF_HUB_OFFLINE=1)
    #[arg(long, help_heading = "Model")]
    pub offline: bool,
    /// Where to compute: `auto` (the first GPU if this build supports it and one answers, else the CPU), `cpu`, `cuda`,
    /// `cuda:N` (GPU number N, from 0), or `metal`
    #[arg(long, default_value = "auto", value_name = "DEVICE", value_parser = device, help_heading = "Model")]
    pub device: DeviceArg,
    /// Number type of matrix products on a GPU [default: bf16 with CUDA, else f32]
    #[arg(long, value_enum, value_name = "TYPE", help_heading = "Model")]
    pub dtype: Option<DtypeArg>,
    /// Widest candidate span, in tokens
    #[arg(long, default_value_t = shared::corpus::span::DEFAULT_MAX_WIDTH, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(WIDEST_SPAN)), help_heading = "Model")]
    pub max_span_width: u32,
    /// Tell the span model the shape of each word (capitals, digits) [default: only if the encoder ignores case]
    #[arg(long, value_enum, default_value_t = WordShapes::Auto, hide_default_value = true, help_heading = "Model")]
    pub word_shapes: WordShapes,
    /// Also train the pretrained word embeddings
    #[arg(long, help_heading = "Model")]
    pub train_embeddings: bool,

    /// Seed of all random choices
    #[arg(long, default_value_t = 1, value_name = "N", help_heading = "Training")]
    pub seed: u64,
    /// Epochs of every training [default: 5; builtin: 6]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_535), help_heading = "Training")]
    pub epochs: Option<u32>,
    /// End a training if dev F1 has not risen for N epochs; trainings whose logits are recorded do all epochs
    /// [default: never]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_535), help_heading = "Training")]
    pub patience: Option<u32>,
    /// Sentences per batch [default: 16 for base-sized encoders and builtin, 8 for smaller ones; on a GPU 32]
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Training")]
    pub batch: Option<usize>,
    /// Add up the gradients of N batches before each step. This acts like batches that are N times as large, but needs
    /// the memory of one
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = at_least_one, help_heading = "Training")]
    pub accumulate: usize,
    /// Learning rate of the encoder [default: 1e-5 base-sized, 1e-4 smaller, 5e-4 builtin]
    #[arg(long, value_name = "RATE", value_parser = rate, help_heading = "Training")]
    pub encoder_rate: Option<f32>,
    /// Learning rate of the span classifier [default: 5e-4 base-sized and builtin, 1e-3 smaller]
    #[arg(long, value_name = "RATE", value_parser = rate, help_heading = "Training")]
    pub head_rate: Option<f32>,
    /// Steps over which the learning rates rise from 0 [default: 0 base-sized, 50 smaller and
    /// builtin]
    #[arg(long, value_name = "STEPS", help_heading = "Training")]
    pub warmup: Option<usize>,
    /// What the learning rates do after the warm-up [default: linear; builtin: constant]
    #[arg(long, value_enum, value_name = "SHAPE", help_heading = "Training")]
    pub schedule: Option<Schedule>,
    /// Scale gradients down to this norm if they are longer [default: never]
    #[arg(long, value_name = "NORM", value_parser = positive, help_heading = "Training")]
    pub clip_norm: Option<f32>,
    /// Decoupled weight decay of matrices; biases and layer norms do not decay
    #[arg(long, default_value_t = 0.0, value_name = "X", value_parser = rate, help_heading = "Training")]
    pub weight_decay: f32,
    /// Which negatives enter the loss: `top` (the ones most like the positives) or `all`
    #[arg(long, value_enum, default_value_t = NegativesArg::Top, help_heading = "Training")]
    pub negatives: NegativesArg,
    /// With `--negatives top`: share of the negatives that is left out of the loss
    #[arg(long, default_value_t = 0.95, value_name = "SHARE", value_parser = share, help_heading = "Training")]
    pub negative_rate: f32,
    /// Which wrong labels the threshold samples get
    #[arg(long, value_enum, default_value_t = SchemeArg::FakeClass, help_heading = "Training")]
    pub scheme: SchemeArg,
    /// Which logits are recorded
    #[arg(long, value_enum, default_value_t = Record::Evaluation, help_heading = "Training")]
    pub record: Record,
    /// Train the first stage K times, each time with another seed, and judge by the mean of the logits
    #[arg(long, default_value_t = 1, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=100),
        help_heading = "Training")]
    pub ensemble: u32,
    /// Do the main run and the threshold run at the same time. Faster on a GPU or many cores, twice the memory
    #[arg(long, help_heading = "Training")]
    pub parallel_runs: bool,
    /// Write a checkpoint every N minutes, and after every epoch; 0: only after every epoch
    #[arg(long, default_value_t = 10, value_name = "N", help_heading = "Training")]
    pub checkpoint_minutes: u64,
    /// Write a checkpoint every N steps (for tests)
    #[arg(long, value_name = "N", hide = true, value_parser = clap::value_parser!(u64).range(1..))]
    pub checkpoint_steps: Option<u64>,
}

impl TrainingArgs {
    /// Returns the settings in force. An option that is not given gets a value that suits the encoder and the place.
    ///
    /// # Errors
    /// When the place cannot compute with the requested number type.
    pub fn config(&self, defaults: Defaults, place: Place) -> Result<Config> {
        let batch = if place.is_gpu() { GPU_BATCH } else { defaults.batch };
        let config = Config {
            encoder: self.encoder.clone(),
            seed: self.seed,
            epochs: self.epochs.unwrap_or(defaults.epochs),
            patience: self.patience,
            batch: self.batch.unwrap_or(batch),
            accumulate: self.accumulate,
            encoder_rate: self.encoder_rate.unwrap_or(defaults.encoder_rate),
            head_rate: self.head_rate.unwrap_or(defaults.head_rate),
            warmup: self.warmup.unwrap_or(defaults.warmup),
            weight_decay: self.weight_decay,
            schedule: self.schedule.unwrap_or(defaults.schedule),
            clip_norm: self.clip_norm,
            record: self.record,
            negatives: self.negatives.into(),
            negative_rate: self.negative_rate,
            train_embeddings: self.train_embeddings,
            max_span_width: self.max_span_width,
            scheme: self.scheme.into(),
            word_shapes: self.word_shapes,
            ensemble: self.ensemble,
            arithmetic: self.arithmetic(place)?,
        };
        Ok(config)
    }

    /// Returns when to write checkpoints.
    pub fn checkpoints(&self) -> Policy {
        Policy {
            every: (self.checkpoint_minutes > 0)
                .then(|| Duration::from_secs(self.checkpoint_minutes.saturating_mul(60))),
            steps: self.checkpoint_steps.map(|n| n as usize),
        }
    }

    /// Returns whether two trainings run at the same time.
    ///
    /// # Errors
    /// When that was asked for, but several processes do one training together.
    pub fn parallel_runs(&self, team: Team) -> Result<bool> {
        ensure!(
            !self.parallel_runs || team.is_alone(),
            "--parallel-runs does two trainings at the same time, and {} processes do one: leave the option out",
            team.size()
        );
        Ok(self.parallel_runs)
    }

    /// Stops all downloads from now on, if `--offline` was given.
    pub fn heed_offline(&self) {
        if self.offline {
            hub::stay_offline();
        }
    }

    /// Opens the encoder. A model of the hub is downloaded, or taken from the cache.
    ///
    /// # Errors
    /// When the encoder does not exist or lacks a file.
    pub fn open_encoder(&self, train: &TokenTable) -> Result<EncoderSpec> {
        EncoderSpec::open_by(&self.encoder, train, Hub::from_env)
    }

    /// Returns the place that `--device` means on this machine. A place that the user named is opened, to check that it
    /// exists.
    ///
    /// # Errors
    /// The error says what is missing, and what can be used instead.
    pub fn place(&self) -> Result<Place> {
        let place = match self.device.0 {
            None => Place::best(),
            Some(place) => {
                place.device().with_context(|| format!("--device {place}"))?;
                place
            }
        };
        // Check this before anything is read.
        let arithmetic = self.arithmetic(place)?;
        if place.is_gpu() {
            console::status(format_args!("computing on --device {place} by {}", arithmetic.name()));
        }
        Ok(place)
    }

    fn arithmetic(&self, place: Place) -> Result<Arithmetic> {
        Ok(match (place, self.dtype) {
            (Place::Cpu, Some(DtypeArg::Bf16)) => {
                bail!("--dtype bf16 is for GPUs: this training computes on the CPU, in f32")
            }
            (Place::Cpu, _) => Arithmetic::Kernels,
            (Place::Cuda(_), None) | (_, Some(DtypeArg::Bf16)) => Arithmetic::TensorsBf16,
            _ => Arithmetic::TensorsF32,
        })
    }
}

/// Default number of sentences per batch on a GPU. Smaller batches would leave the GPU partly idle.
const GPU_BATCH: usize = 32;

/// The value of `--device`; `None` means `auto`.
#[derive(Debug, Clone, Copy)]
pub struct DeviceArg(Option<Place>);

fn device(text: &str) -> Result<DeviceArg, String> {
    parse_place(text).map(DeviceArg)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DtypeArg {
    F32,
    Bf16,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&n| n > 0).ok_or_else(|| "expected a whole number of at least 1".to_owned())
}

fn positive(text: &str) -> Result<f32, String> {
    let value = text.parse().ok().filter(|&x: &f32| x.is_finite() && x > 0.0);
    value.ok_or_else(|| "expected a number greater than 0".to_owned())
}

fn rate(text: &str) -> Result<f32, String> {
    let value = text.parse().ok().filter(|&x: &f32| x.is_finite() && x >= 0.0);
    value.ok_or_else(|| "expected a number of at least 0".to_owned())
}

fn share(text: &str) -> Result<f32, String> {
    let value = text.parse().ok().filter(|x| (0.0..1.0).contains(x));
    value.ok_or_else(|| "expected a number from 0 to below 1".to_owned())
}

#[derive(Clone, Copy, ValueEnum)]
pub enum NegativesArg {
    Top,
    All,
}

impl From<NegativesArg> for Negatives {
    fn from(arg: NegativesArg) -> Self {
        match arg {
            NegativesArg::Top => Self::Top,
            NegativesArg::All => Self::All,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum SchemeArg {
    /// All get an extra class
    FakeClass,
    /// Positives get the extra class, negatives a random type
    FakeClassPositives,
    /// Each gets a random label other than its own
    RandomOther,
}

impl From<SchemeArg> for SampleScheme {
    fn from(arg: SchemeArg) -> Self {
        match arg {
            SchemeArg::FakeClass => Self::FakeClass,
            SchemeArg::FakeClassPositives => Self::FakeClassPositives,
            SchemeArg::RandomOther => Self::RandomOther,
        }
    }
}
