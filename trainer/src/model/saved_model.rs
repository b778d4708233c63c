//! Trained models on disk: the files of a model, and how to open it.
//!
//! A model is a folder. It contains `model.safetensors` (encoder and span classifier), the encoder's `config.json`
//! and `tokenizer.json` (or vocabulary), and `dynclean.json` (settings and label set). `dynclean.json` is written
//! last, so a folder that has it is complete.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use nn::random::stream;
use nn::{Builder, Compute};
use serde::Deserialize;
use shared::corpus::labels::LabelSet;
use shared::corpus::{Corpus, Entity};
use shared::evaluation::score::{NerScore, score_entities};

use super::encoder::{EncoderSpec, Vocabulary, checkpoint};
use super::inference::{Prepared, find};
use super::span_model::{Found, SpanModel, WIDEST_SPAN, WordShapes};
use crate::progress::Progress;

/// Folder, inside a run, of the model trained on the unchanged distant labels.
pub const MODEL_RAW: &str = "model-raw";
/// Folder, inside a run, of the model trained on the cleaned labels.
pub const MODEL_CLEANED: &str = "model-cleaned";
/// Folder, inside a run, of the model trained on the cleaned labels and on dev.
pub const MODEL_WITH_DEV: &str = "model-with-dev";
/// Folder of the model of a single training.
pub const MODEL: &str = "model";
/// File with the settings and the label set.
pub const SETTINGS: &str = "dynclean.json";
/// File with the weights.
pub const WEIGHTS: &str = "model.safetensors";

/// The settings of its training that a model needs.
#[derive(Deserialize)]
struct Saved {
    max_span_width: u32,
    word_shapes: WordShapes,
}

/// A trained model that can label text.
pub struct SavedModel {
    /// The folder that contains the model.
    pub folder: PathBuf,
    /// The entity types of the model.
    pub labels: LabelSet,
    max_span_width: u32,
    spec: EncoderSpec,
    model: SpanModel,
}

impl SavedModel {
    /// Opens a model folder. In the folder of a run, it opens the model trained on the cleaned labels.
    ///
    /// # Errors
    /// When there is no model, or its files are damaged or do not belong together.
    pub fn open(folder: &Path) -> Result<Self> {
        let folder = model_folder(folder)?;
        let file = folder.join(SETTINGS);
        let json = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let (saved, labels): (Saved, LabelSet) =
            serde_json::from_slice(&json).with_context(|| format!("{} is damaged", file.display()))?;
        let max_span_width = saved.max_span_width;
        ensure!(
            (1..=WIDEST_SPAN).contains(&max_span_width) && labels.n_types() < usize::from(u16::MAX),
            "{} is damaged: spans of {max_span_width} tokens, {} types",
            file.display(),
            labels.n_types()
        );
        let mut builder = Builder::new(stream(0, "weights"), Compute::default()).without_training();
        let spec = match Vocabulary::open(&folder)? {
            Some(vocabulary) => {
                // Other encoders read their weights themselves.
                builder.start_from(checkpoint::read(&folder.join(WEIGHTS))?);
                EncoderSpec::Builtin(vocabulary)
            }
            None => {
                let name = folder.to_str().with_context(|| format!("{} is not UTF-8; rename it", folder.display()))?;
                EncoderSpec::open(name, &Default::default())?
            }
        };
        let model = SpanModel::new(&spec, builder, labels.n_types() + 1, max_span_width, false, saved.word_shapes)
            .with_context(|| format!("the model in {}", folder.display()))?;
        if let Some(name) = model.parameters.fresh().first() {
            bail!("{} lacks {name}: it is not a model that `trainer` saved", folder.join(WEIGHTS).display());
        }
        Ok(Self { folder, labels, max_span_width, spec, model })
    }

    /// Returns the model's files.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let about = || format!("cannot read {}", self.folder.display());
        let entries = std::fs::read_dir(&self.folder).with_context(about)?;
        entries.map(|entry| Ok(entry.with_context(about)?.path())).collect()
    }

    /// Labels a text. Returns the text with the entities that the model finds, and these entities with their
    /// margins. Earlier entities are dropped. `name` stands for the text in messages.
    ///
    /// # Errors
    /// When the tokenizer fails, or there are too many spans.
    pub fn label(&self, text: Corpus, name: &str, progress: &Progress) -> Result<(Corpus, Vec<Found>)> {
        let unlabelled = Corpus { entities: Vec::new(), unknown: Vec::new(), labels: self.labels.clone(), ..text };
        let data = Prepared::new(unlabelled, &self.spec, self.max_span_width, name)?;
        let found = find(&self.model, &data, progress)?;
        let entities = found.iter().map(|f| Entity { span: f.span, label: f.label }).collect();
        Ok((Corpus { entities, ..data.corpus }, found))
    }
}

/// Returns the folder itself if it holds a model, or else the folder in it with the final model of the run or
/// training.
fn model_folder(folder: &Path) -> Result<PathBuf> {
    let is_model = |folder: &PathBuf| folder.join(SETTINGS).is_file();
    let inside = [MODEL_WITH_DEV, MODEL_CLEANED, MODEL].map(|name| folder.join(name));
    let found = std::iter::once(folder.to_owned()).chain(inside).find(is_model);
    ensure!(
        found.is_some() || !is_model(&folder.join(MODEL_RAW)),
        "the run in {} has no {MODEL_CLEANED} yet: let it end first, or name {} for the model on the labels as they came",
        folder.display(),
        folder.join(MODEL_RAW).display()
    );
    found.with_context(|| {
        format!(
            "there is no trained model in {}: give the folder of a run, or one in it such as {MODEL_CLEANED}",
            folder.display()
        )
    })
}

/// Scores the labels of one corpus against those of another corpus with the same text. Types of both corpora
/// count.
///
/// # Errors
/// When there are too many types.
pub fn score(gold: Corpus, predicted: Corpus) -> Result<NerScore> {
    let types = gold.labels.types().iter().chain(predicted.labels.types());
    let labels = LabelSet::from_types(types.cloned());
    let (gold, predicted) = (gold.with_labels(&labels)?, predicted.with_labels(&labels)?);
    Ok(score_entities(&gold.entities, &predicted.entities, &labels))
}
