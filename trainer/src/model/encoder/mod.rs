//! Encoders: they turn words into one vector per row.

pub mod architecture;
mod builtin;
pub mod checkpoint;
mod fetch;
mod pieces;
pub mod tokenizer_files;
mod torch_zip;
mod transformer;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use candle_core::Tensor;
use rayon::prelude::*;
use shared::corpus::TokenTable;

use crate::console;
use crate::data::hub::layout::{BYTE_PAIRS, CONFIG, SETTINGS, TOKENIZER, WEIGHTS, WORD_PIECES};
use crate::data::hub::{Hub, ModelId};
use crate::files::{copy_whole, write_whole_at};
use crate::interrupt;
use architecture::Architecture;
use nn::Schedule;
use nn::batch::SentenceInput;
use nn::random::stream;
use nn::{Builder, Compute, Pass};
use pieces::{Pieces, Reading};

pub use builtin::Vocabulary;
pub use fetch::fetch;

/// Name of the built-in encoder, which needs no download.
pub const BUILTIN: &str = "builtin";

/// An encoder without its weights. It is enough to prepare text and to choose learning rates.
pub enum EncoderSpec {
    /// A checkpoint in Hugging Face layout.
    Pretrained(Box<Pretrained>),
    /// An encoder that is trained from scratch.
    Builtin(Vocabulary),
}

/// A model folder in Hugging Face layout.
pub struct Pretrained {
    architecture: Architecture,
    pieces: Pieces,
    weights: PathBuf,
    folder: PathBuf,
}

impl Pretrained {
    /// Reads configuration and tokenizer. It checks that the weights file exists, but does not read it.
    ///
    /// # Errors
    /// When a file is missing or damaged, or the model is not supported.
    pub fn open(folder: &Path) -> Result<Self> {
        let architecture = Architecture::open(folder)?;
        let pieces = Pieces::open(folder, &architecture)?;
        Ok(Self { architecture, pieces, weights: checkpoint::find(folder)?, folder: folder.to_owned() })
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the files that, together with the program, determine the encoder's result.
    fn files(&self) -> Vec<PathBuf> {
        let tokenizer = [&[TOKENIZER, SETTINGS, WORD_PIECES], BYTE_PAIRS.as_slice()];
        let names = [CONFIG].into_iter().chain(tokenizer.concat());
        let paths = names.map(|name| self.folder.join(name)).filter(|path| path.is_file());
        paths.chain([self.weights.clone()]).collect()
    }

    fn prepare(&self, tokens: &TokenTable, max_width: u32, name: &str) -> Result<Vec<SentenceInput>> {
        let n_sentences = tokens.n_sentences();
        let known = self.pieces.of_words((0..n_sentences as u32).flat_map(|sentence| tokens.sentence(sentence)));
        let read = |sentence: u32| {
            interrupt::check()?;
            let words: Vec<&str> = tokens.sentence(sentence).collect();
            let reading = self.pieces.read(&words, &known, max_width as usize);
            reading.with_context(|| format!("{name}, sentence {} (from 1)", sentence + 1))
        };
        let readings: Vec<Result<Reading>> = (0..n_sentences as u32).into_par_iter().map(read).collect();
        let (mut inputs, mut split, mut shortened) = (Vec::with_capacity(n_sentences), Vec::new(), 0);
        for (number, reading) in (1..).zip(readings) {
            let reading = reading?;
            if !reading.input.windows.is_empty() {
                split.push(number);
            }
            shortened += reading.shortened;
            inputs.push(reading.input);
        }
        if let Some(first) = split.first() {
            console::warning(format_args!(
                "{name}: {} of {n_sentences} sentences, the first of them sentence {first}, have more pieces than the {} that \
                 the encoder reads at once; they are read in overlapping parts",
                split.len(),
                self.pieces.limit()
            ));
        }
        if shortened > 0 {
            console::warning(format_args!("{name}: of {shortened} very long words only the beginning is read"));
        }
        Ok(inputs)
    }

    /// Writes config.json, tokenizer.json and the other files that a model folder needs besides the weights.
    fn save(&self, folder: &Path) -> Result<()> {
        for name in [CONFIG, SETTINGS] {
            let (from, to) = (self.folder.join(name), folder.join(name));
            if from.is_file() {
                copy_whole(&from, &to)?;
            }
        }
        let (from, to) = (self.folder.join(TOKENIZER), folder.join(TOKENIZER));
        if from.is_file() {
            return copy_whole(&from, &to);
        }
        write_whole_at(&to, |_, temporary| self.pieces.tokenizer().save(temporary, false).map_err(|e| anyhow!(e)))
    }
}

/// Default learning rates, batch size and epochs for an encoder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Defaults {
    /// Learning rate of the encoder.
    pub encoder_rate: f32,
    /// Learning rate of the head.
    pub head_rate: f32,
    /// Sentences per batch.
    pub batch: usize,
    /// Steps in which the learning rates rise from 0.
    pub warmup: usize,
    /// Course of the learning rates after the warm-up.
    pub schedule: Schedule,
    /// Number of epochs.
    pub epochs: u32,
}

impl EncoderSpec {
    /// Opens an encoder. `name` is `builtin` (with the vocabulary of `train`), a folder in Hugging Face layout, or
    /// the id of a model on the hub. Environment variables configure the hub.
    ///
    /// # Errors
    /// When there is no such encoder, it is not supported, or a file is missing.
    pub fn open(name: &str, train: &TokenTable) -> Result<Self> {
        Self::open_by(name, train, Hub::from_env)
    }

    /// Does the same as [`open`](Self::open) with another hub. `hub` is called only if a hub is needed.
    ///
    /// # Errors
    /// The same as [`open`](Self::open).
    pub fn open_by(name: &str, train: &TokenTable, hub: impl FnOnce() -> Result<Hub>) -> Result<Self> {
        if name == BUILTIN {
            return Ok(Self::Builtin(Vocabulary::of(train)));
        }
        let opened = folder_of(name, hub).and_then(|folder| Pretrained::open(&folder));
        opened.map(|spec| Self::Pretrained(Box::new(spec))).with_context(|| format!("encoder {name}"))
    }

    /// Returns default settings for this encoder: those of the paper for base-sized encoders, and higher rates and
    /// smaller batches for small ones.
    pub fn defaults(&self) -> Defaults {
        let (linear, constant) = (Schedule::Linear, Schedule::Constant);
        match self {
            Self::Pretrained(spec) if spec.architecture.hidden_size >= 768 => {
                Defaults { encoder_rate: 1e-5, head_rate: 5e-4, batch: 16, warmup: 0, schedule: linear, epochs: 5 }
            }
            Self::Pretrained(_) => {
                Defaults { encoder_rate: 1e-4, head_rate: 1e-3, batch: 8, warmup: 50, schedule: linear, epochs: 5 }
            }
            Self::Builtin(_) => {
                Defaults { encoder_rate: 5e-4, head_rate: 5e-4, batch: 16, warmup: 50, schedule: constant, epochs: 6 }
            }
        }
    }

    /// Returns the width of the vectors.
    pub fn hidden_size(&self) -> usize {
        match self {
            Self::Pretrained(spec) => spec.architecture.hidden_size,
            Self::Builtin(_) => builtin::HIDDEN,
        }
    }

    /// Returns whether the encoder ignores case, so that the span model needs word shapes.
    pub fn is_blind_to_case(&self) -> bool {
        match self {
            Self::Pretrained(spec) => spec.pieces.is_lower_casing(),
            Self::Builtin(_) => false,
        }
    }

    /// Prepares the sentences of a corpus for candidate spans of up to `max_width` words. If sentences are too
    /// long to be read at once, a warning says how many. `name` stands for the corpus in messages.
    ///
    /// # Errors
    /// When the tokenizer fails on a word.
    pub fn prepare(&self, tokens: &TokenTable, max_width: u32, name: &str) -> Result<Vec<SentenceInput>> {
        let sentences = 0..tokens.n_sentences() as u32;
        match self {
            Self::Pretrained(spec) => spec.prepare(tokens, max_width, name),
            Self::Builtin(vocabulary) => {
                Ok(sentences.map(|s| vocabulary.input(&tokens.sentence(s).collect::<Vec<_>>())).collect())
            }
        }
    }

    /// Returns a digest of the content of the encoder's files, which does not depend on their path. Together with
    /// the program, this content determines the encoder's result. The built-in encoder depends only on the
    /// training text.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn digest(&self) -> Result<String> {
        match self {
            Self::Pretrained(spec) => checkpoint::digest(&spec.files()),
            Self::Builtin(_) => Ok(BUILTIN.to_owned()),
        }
    }

    /// Builds the encoder. Pretrained weights are read here.
    ///
    /// # Errors
    /// When weights are missing or do not fit the configuration.
    pub fn build(&self, builder: &mut Builder, train_embeddings: bool) -> Result<Encoder> {
        match self {
            Self::Pretrained(spec) => {
                builder.start_from(checkpoint::read(&spec.weights)?);
                let built = transformer::Transformer::new(&spec.architecture, builder, train_embeddings);
                Ok(Encoder::Transformer(built.with_context(|| spec.weights.display().to_string())?))
            }
            Self::Builtin(vocabulary) => Ok(Encoder::Builtin(builtin::Builtin::new(vocabulary, builder)?)),
        }
    }

    /// Reads the weights as a training does, to find out early whether they can be used.
    ///
    /// # Errors
    /// The same as [`build`](Self::build).
    pub fn check_weights(&self) -> Result<()> {
        self.build(&mut Builder::new(stream(0, "weights"), Compute::default()), false).map(drop)
    }

    /// Writes the files that a model folder needs besides the weights: config.json with tokenizer.json or the
    /// vocabulary.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        match self {
            Self::Pretrained(spec) => spec.save(folder),
            Self::Builtin(vocabulary) => vocabulary.save(folder),
        }
    }
}

/// Returns the folder of an encoder, given by a folder or a hub id.
fn folder_of(name: &str, hub: impl FnOnce() -> Result<Hub>) -> Result<PathBuf> {
    let folder = Path::new(name);
    if folder.is_dir() {
        return Ok(folder.to_owned());
    }
    let Some(id) = ModelId::parse(name) else {
        bail!(
            "there is no such folder, and it cannot be a model id of the hub (NAME or ORGANISATION/NAME, with \
             @REVISION if need be). Give a folder with {CONFIG}, {TOKENIZER} and {} (as Hugging Face models have), a \
             model id, or `{BUILTIN}`",
            WEIGHTS[0]
        );
    };
    hub()?.folder(&id, |folder| Architecture::open(folder).map(drop))
}

/// An encoder with its weights.
pub enum Encoder {
    /// A transformer.
    Transformer(transformer::Transformer),
    /// The built-in encoder: convolutions over word features.
    Builtin(builtin::Builtin),
}

impl Encoder {
    /// Returns one vector per row of the pass's batch, `[rows, hidden]`.
    ///
    /// # Errors
    /// When an index of the batch is outside the encoder's tables.
    pub fn forward(&self, pass: &mut Pass) -> Result<Tensor> {
        match self {
            Self::Transformer(transformer) => transformer.forward(pass),
            Self::Builtin(builtin) => builtin.forward(pass),
        }
    }
}
