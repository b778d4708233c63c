//! One job: its data, its settings and its folder, and the steps that work on them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nn::Place;
use serde::{Deserialize, Serialize};
use shared::cleaning::{CleaningSummary, Decisions, clean, provenance};
use shared::corpus::Corpus;
use shared::corpus::decision::{Decision, Side};
use shared::corpus::span::SpanId;
use shared::detection::dictionary_check::{self, Contradicted};
use shared::detection::estimate::Estimate;
use shared::detection::judge::Judge;
use shared::evaluation::quality::{NoiseDetection, detect};
use shared::evaluation::score::{NerScore, score_entities};
use shared::formats::{WriteOptions, dynclean_json};
use shared::recording::dictionary::Entry;
use shared::recording::dyn_file;
use shared::recording::dynamics::Dynamics;
use shared::recording::prf::Prf;
use shared::report::{Course, CourseEpoch, Findings, Outcome, TestScores, Tried};

use super::folder::RunDir;
use super::model_card::{self, Card};
use super::results::{Metrics, Pair, Sides, of_labels_on_dev};
use super::rounding::Rounding;
use super::sweep::Sweep;
use crate::console;
use crate::data::corpus_file::{self, Corpora, CorpusFiles};
use crate::data::recording::Recording;
use crate::files::{Written, copy_whole, in_turn, write_whole_at};
use crate::model::encoder::EncoderSpec;
use crate::model::inference::{Prepared, evaluate};
use crate::model::saved_model::{self, MODEL, MODEL_CLEANED, MODEL_RAW, MODEL_WITH_DEV};
use crate::progress::Progress;
use crate::team::Team;
use crate::training::checkpoint::{Checkpoint, Checkpoints, Policy};
use crate::training::config::Config;
use crate::training::history::{Epoch, HISTORY, History};
use crate::training::{Stage, Trained};

/// Folder for the scores of the trainings, one file per cleaned corpus.
pub(super) const SCORES: &str = "sweep";
/// File name of a run's dynamics.
pub const DYNAMICS: &str = "dynamics.dyn";
/// File name of the dynamics as long as they are being recorded.
pub const DYNAMICS_SO_FAR: &str = "dynamics.dyn.partial";
/// Folder, inside a run, for the checkpoints of unfinished trainings.
pub(super) const CHECKPOINTS: &str = "checkpoint";
pub(super) const CONFIG: &str = "config.json";
/// File with the command that made the run.
pub const COMMAND: &str = "command.txt";
/// File with the decisions that were saved from the page, in the folder of the run that the page shows.
pub const REVIEWED: &str = "reviewed.json";
/// Scores of the model trained on the unchanged distant labels.
pub(super) const RAW: &str = "raw.json";
pub(super) const CLEANED_SCORES: &str = "cleaned-scores.json";
pub(super) const WITH_DEV_SCORES: &str = "with-dev-scores.json";
/// The decisions of a run: its settings, and decisions by hand if it was given any.
pub const DECISIONS: &str = "decisions.json";
const PROVENANCE: &str = "provenance.json";
pub(super) const METRICS: &str = "metrics.json";
const REPORT: &str = "report.html";

/// Options of a job that are not settings of its trainings. They do not change the dynamics, except for rounding
/// on another place.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// When checkpoints are written.
    pub checkpoints: Policy,
    /// Models on other labels to compare the cleaning with.
    pub references: Vec<Reference>,
    /// Train a last model on the cleaned labels and on dev together.
    pub learns_dev: bool,
    /// Run the training with threshold samples at the same time as the training on the distant labels.
    pub parallel_runs: bool,
    /// Where to compute.
    pub place: Place,
    /// The processes that train together.
    pub team: Team,
    /// Settings of the cleaning to try. The one whose model is best on dev is used.
    pub sweep: Sweep,
    /// The only step to do, if the other steps are for other processes.
    pub step: Option<String>,
    /// File with decisions about the run's dynamics. It takes the place of all settings of the cleaning.
    pub decisions: Option<PathBuf>,
    /// The command that does the job again, for the cards of the models. It names no folders.
    pub command: String,
    /// The same with whole paths and without `decisions`, for this machine.
    pub command_here: String,
}

/// A model to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    /// Trained on the annotators' labels: the best result that can be expected. Needs `--train-gold`.
    Gold,
    /// Trained on the distant labels without those that gold contradicts: a cleaning by removal without mistakes. Needs
    /// `--train-gold`.
    Oracle,
    /// Trained on the unchanged distant labels and on dev: what dev brings without any cleaning.
    RawWithDev,
}

/// Scores of one trained model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ModelResult {
    pub(super) best_epoch: u32,
    pub(super) dev_f1: f64,
    pub(super) test: NerScore,
    pub(super) seconds: f64,
}

/// Everything that determines a run. A run can only go on with the same values.
#[derive(Debug, Serialize)]
struct Bound<'a> {
    version: &'a str,
    config: &'a Config,
    corpora: BTreeMap<&'static str, String>,
    /// Digest of the encoder's files.
    encoder: String,
    job: JobKind,
    computed_by: Rounding,
}

/// Settings that may change. Two folders with the same encoder files are the same encoder, whatever their path.
const NOT_BINDING: &[&str] = &["config.encoder"];

/// Kind of job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// Everything, from distant labels to the report.
    Run,
    /// One training that records dynamics, and the threshold run.
    Train,
    /// One training that records dynamics.
    TrainWithoutThresholds,
    /// One training that records no dynamics.
    TrainPlain,
}

impl JobKind {
    /// Returns the folder of the model trained on the unchanged labels.
    pub(super) fn first_model(self) -> &'static str {
        if self == Self::Run { MODEL_RAW } else { MODEL }
    }
}

impl Reference {
    /// Returns the name that is used in file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gold => "gold",
            Self::Oracle => "oracle",
            Self::RawWithDev => "raw-with-dev",
        }
    }

    /// Returns whether it needs gold labels of the training sentences.
    pub fn needs_gold(self) -> bool {
        self != Self::RawWithDev
    }

    /// Returns the folder of the model.
    fn model(self) -> String {
        format!("model-{}", self.name())
    }

    /// Returns the file with the scores of the model.
    pub(super) fn scores(self) -> String {
        format!("{}.json", self.name())
    }
}

/// Data and settings of the job.
pub(super) struct Job<'a> {
    pub(super) kind: JobKind,
    pub(super) dir: &'a RunDir,
    files: &'a CorpusFiles,
    pub(super) config: &'a Config,
    pub(super) options: &'a Options,
    spec: &'a EncoderSpec,
    pub(super) train: Prepared,
    pub(super) gold: Option<Corpus>,
    dev: Prepared,
    test: Prepared,
    /// Entries of the distant labels that dev contradicts.
    pub(super) contradicted: Vec<Entry>,
    /// How good the distant labels are, measured on dev.
    labels_on_dev: Option<Prf>,
    pub(super) history: History,
}

/// Result of cleaning with certain settings.
pub(super) struct Cleaning {
    pub(super) judge: Judge,
    pub(super) decisions: Decisions,
    decided: BTreeMap<SpanId, Decision>,
    pub(super) summary: CleaningSummary,
    pub(super) noise: Option<NoiseDetection>,
    pub(super) corpus: Corpus,
    /// Digest of the cleaned corpus.
    pub(super) digest: String,
}

impl Cleaning {
    /// Returns whether the cleaning changes no label.
    pub(super) fn changes_nothing(&self) -> bool {
        self.summary.changed(Side::Positives) + self.summary.changed(Side::Negatives) == 0
    }
}

impl<'a> Job<'a> {
    /// Binds the folder to this job and prepares the corpora.
    pub(super) fn new(
        kind: JobKind,
        dir: &'a RunDir,
        files: &'a CorpusFiles,
        corpora: Corpora,
        config: &'a Config,
        spec: &'a EncoderSpec,
        options: &'a Options,
    ) -> Result<Self> {
        let max_width = config.max_span_width;
        let n_wide = corpora.train.entities.iter().filter(|entity| entity.span.width() > max_width).count();
        ensure!(
            n_wide < corpora.train.entities.len(),
            "all entities of {} are wider than {max_width} tokens: raise --max-span-width",
            files.train.display()
        );
        if n_wide > 0 {
            console::note(format_args!(
                "{}: {n_wide} entities are wider than {max_width} tokens (--max-span-width); nothing is learned from them",
                files.train.display()
            ));
        }
        let prepare = |corpus, path: Option<&PathBuf>| {
            Prepared::new(corpus, spec, max_width, &path.map_or_else(String::new, |path| path.display().to_string()))
        };
        let labels_on_dev = corpora
            .dev_distant
            .as_ref()
            .map(|labelled| score_entities(&corpora.dev.entities, &labelled.entities, &corpora.dev.labels).overall);
        if let Some(scores) = &labels_on_dev {
            console::note(format_args!("{}", of_labels_on_dev(scores)));
        }
        let contradicted = dictionary_check::contradicted(&corpora.train, &corpora.dev, corpora.dev_distant.as_ref());
        let (train, dev) = (prepare(corpora.train, Some(&files.train))?, prepare(corpora.dev, Some(&files.dev))?);
        let test = prepare(corpora.test, files.test.as_ref())?;
        // Bind the folder only now, after all checks that can fail early.
        let version = env!("CARGO_PKG_VERSION");
        let computed_by = Rounding::here(options.place, options.team);
        let bound =
            Bound { version, config, corpora: files.digests()?, encoder: spec.digest()?, job: kind, computed_by };
        let turns = options.step.as_ref().map(|_| dir.turns()).transpose()?;
        in_turn(turns.as_ref(), || dir.bind(CONFIG, &bound, NOT_BINDING))?;
        // A process that does one step leaves temporary files alone, because processes with other steps may be using
        // them.
        if options.step.is_none() {
            let references = [Reference::Gold, Reference::Oracle, Reference::RawWithDev].map(Reference::model);
            let models = [MODEL, MODEL_RAW, MODEL_CLEANED, MODEL_WITH_DEV].into_iter();
            let models = models.chain(references.iter().map(String::as_str));
            dir.remove_temporary_files(&models.chain([CHECKPOINTS, SCORES]).collect::<Vec<_>>());
        }
        let history = match turns {
            None => History::open(dir.path(HISTORY))?,
            Some(turns) => History::open_beside_others(dir.path(HISTORY), turns)?,
        };
        Ok(Self {
            kind,
            dir,
            files,
            config,
            options,
            spec,
            train,
            gold: corpora.train_gold,
            dev,
            test,
            contradicted,
            labels_on_dev,
            history,
        })
    }

    /// Opens the dynamics of the run.
    ///
    /// # Errors
    /// When they cannot be read, are cut off, or belong to another job.
    pub(super) fn open_recorded(&self) -> Result<Recording> {
        let recorded = Recording::open(&self.dir.path(DYNAMICS));
        let checked = recorded.and_then(|recorded| self.check(&recorded).map(|()| recorded));
        checked.context("the run's dynamics cannot be used; delete the file to do its trainings again")
    }

    /// Checks that dynamics are complete and belong to this job.
    fn check(&self, recorded: &Recording) -> Result<()> {
        let path = self.dir.path(DYNAMICS);
        let (there, own) = (&recorded.dynamics.corpus, &self.train.corpus);
        ensure!(recorded.dynamics.complete, "{} was cut off", path.display());
        ensure!(
            there.tokens == own.tokens && there.entities == own.entities && there.labels == own.labels,
            "{} was recorded on other data",
            path.display()
        );
        Ok(())
    }

    /// Tells the user how many trainings there are. `cleaned` is the largest number of trainings on cleaned
    /// labels.
    pub(super) fn announce(&self, cleaned: u32) {
        let first = 2 * self.config.ensemble.max(1);
        let is_possible = |reference: &&Reference| self.gold.is_some() || !reference.needs_gold();
        let compared = self.options.references.iter().filter(is_possible).count() as u32;
        let with_dev = u32::from(self.options.learns_dev);
        let with_dev_too = if with_dev > 0 { ", 1 on cleaned labels and dev" } else { "" };
        let compared_too = if compared > 0 { format!(", {compared} to compare with") } else { String::new() };
        console::status(format_args!(
            "up to {} trainings: {first} on your labels, {cleaned} on cleaned labels{with_dev_too}{compared_too}",
            first + cleaned + with_dev + compared
        ));
    }

    /// Returns a name of the run for people.
    pub(super) fn name(&self) -> String {
        let train = &self.files.train;
        let name = train.parent().and_then(Path::file_name).unwrap_or(train.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// Trains on the unchanged labels without recording dynamics.
    pub(super) fn train_only(&self) -> Result<ModelResult> {
        let name = self.kind.first_model();
        if let Some(done) = self.dir.read_json(RAW)? {
            console::status("the model is already there: it is not trained again");
            self.note_if_gone(name, RAW);
            return Ok(done);
        }
        let trained = self.train(name, self.stage("training", &self.train.corpus, self.config))?;
        let result = self.result(&trained, name)?;
        self.dir.write_json(RAW, &result)?;
        self.forget(name)?;
        Ok(result)
    }

    /// Cleans the distant labels by these decisions. It uses only the content of the dynamics file, so that
    /// everyone who opens the file gets the same result.
    pub(super) fn decide(&self, recorded: &Recording, judge: Judge, decisions: Decisions) -> Result<Cleaning> {
        let dynamics = &recorded.dynamics;
        let labels = &dynamics.corpus.labels;
        let decided = decisions.resolve(&judge, labels)?;
        let corpus = clean(dynamics.corpus.clone(), &judge, &decided);
        // The digest is of the labels, so it does not depend on the corpus format.
        let digest = dyn_file::digest(dynclean_json::write(&corpus).as_bytes());
        let summary = CleaningSummary::new(&judge, &decisions.settings, &decided, labels);
        let noise =
            dynamics.dense_gold(&judge.index).map(|gold| detect(&judge.under(&decisions.settings), &decided, &gold));
        Ok(Cleaning { judge, decisions, decided, summary, noise, corpus, digest })
    }

    /// Writes the decisions, their provenance, and the cleaned corpus.
    pub(super) fn publish(&self, dynamics: &Dynamics, cleaning: &Cleaning) -> Result<()> {
        let Cleaning { judge, decisions, decided, corpus, .. } = cleaning;
        ensure!(!corpus.entities.is_empty(), "the cleaning removed every entity; choose other thresholds");
        let json = decisions.to_json();
        if std::fs::read(self.dir.path(DECISIONS)).is_ok_and(|earlier| earlier != json.as_bytes()) {
            // The earlier metrics and report are about other decisions.
            self.dir.remove(METRICS)?;
            self.dir.remove(REPORT)?;
        }
        self.dir.write(DECISIONS, json)?;
        self.dir.write(PROVENANCE, provenance::json(&dynamics.corpus, judge, decisions, decided))?;
        let cleaned = self.dir.path(&corpus_file::cleaned_name(&self.files.train, &corpus.layout));
        let options = WriteOptions { unknown: self.files.options.unknown.clone(), ..WriteOptions::default() };
        for note in corpus_file::write(&cleaned, corpus, &options)? {
            console::note(format_args!("{}: {note}", cleaned.display()));
        }
        Ok(())
    }

    /// Tells the user if a model's files are gone. Somebody may have removed them to save space.
    pub(super) fn note_if_gone(&self, model: &str, scores: &str) {
        if !self.dir.path(model).join(saved_model::WEIGHTS).is_file() {
            let (model, scores) = (self.dir.path(model), self.dir.path(scores));
            console::note(format_args!(
                "{} is gone, but its scores are there. To train it again, delete {} too",
                model.display(),
                scores.display()
            ));
        }
    }

    /// Trains on the cleaned labels, unless that is done already. If the cleaning changed no label, the model on
    /// the unchanged labels is copied.
    pub(super) fn retrain(&self, cleaning: &Cleaning, raw: &ModelResult) -> Result<ModelResult> {
        if let Some(done) = self.done_on(cleaning, "these cleaned labels", MODEL_CLEANED, CLEANED_SCORES)? {
            return Ok(done);
        }
        let first = self.kind.first_model();
        if cleaning.changes_nothing() && self.dir.path(first).join(saved_model::WEIGHTS).is_file() {
            console::status("no label was changed: the model on the cleaned labels is a copy of the raw model");
            self.dir.remove(CLEANED_SCORES)?;
            self.copy_model(first, MODEL_CLEANED)?;
            self.dir.write_json(CLEANED_SCORES, &(&cleaning.digest, raw))?;
            return Ok(raw.clone());
        }
        let name = cleaned_name(&cleaning.digest);
        let trained = self.train(&name, self.stage("cleaned labels", &cleaning.corpus, self.config))?;
        self.keep_on(cleaning, &name, &trained, MODEL_CLEANED, CLEANED_SCORES)
    }

    /// Trains on the cleaned labels and on dev, unless that is done already. Dev cannot choose an epoch here: the last
    /// one counts.
    pub(super) fn train_with_dev(&self, cleaning: &Cleaning) -> Result<ModelResult> {
        if let Some(done) = self.done_on(cleaning, "these cleaned labels and dev", MODEL_WITH_DEV, WITH_DEV_SCORES)? {
            return Ok(done);
        }
        let name = with_dev_name(&cleaning.digest);
        let trained = self.train_followed_by_dev(&name, "cleaned labels and dev", &cleaning.corpus)?;
        self.keep_on(cleaning, &name, &trained, MODEL_WITH_DEV, WITH_DEV_SCORES)
    }

    /// Removes the model that an earlier start trained on cleaned labels and dev. Else it would count as the run's best
    /// model, although this start did not ask for it and may have cleaned otherwise.
    pub(super) fn forget_with_dev(&self) -> Result<()> {
        self.dir.remove(WITH_DEV_SCORES)?;
        let model = self.dir.path(MODEL_WITH_DEV);
        match std::fs::remove_dir_all(&model) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", model.display()))
            }
            _ => Ok(()),
        }
    }

    /// Returns the scores of a model on this cleaned corpus if it is trained already. Other thresholds give another
    /// cleaned corpus, which needs another training. `labels` names what the model learned from.
    fn done_on(&self, cleaning: &Cleaning, labels: &str, model: &str, scores: &str) -> Result<Option<ModelResult>> {
        let done = self.dir.read_json::<(String, ModelResult)>(scores)?.filter(|(of, _)| *of == cleaning.digest);
        if done.is_some() {
            console::status(format_args!("the model on {labels} is already there: it is not trained again"));
            self.note_if_gone(model, scores);
        }
        Ok(done.map(|(_, done)| done))
    }

    /// Saves a model that was trained on this cleaned corpus, and its scores.
    fn keep_on(
        &self,
        cleaning: &Cleaning,
        name: &str,
        trained: &Trained,
        model: &str,
        scores: &str,
    ) -> Result<ModelResult> {
        // Remove the old scores first: the next step replaces the model that they belong to.
        self.dir.remove(scores)?;
        let result = self.result(trained, model)?;
        self.dir.write_json(scores, &(&cleaning.digest, &result))?;
        self.forget(name)?;
        Ok(result)
    }

    /// Trains on a corpus with the text of the training corpus, and on dev.
    fn train_followed_by_dev(&self, name: &str, title: &str, corpus: &Corpus) -> Result<Trained> {
        let mut both = corpus.clone();
        both.append(self.dev.corpus.clone())?;
        // A training needs no other fields of the records.
        both.extra = Vec::new();
        let both = Prepared::new(both, self.spec, self.config.max_span_width, "the training corpus and dev")?;
        let stage = self.stage_of(title, &both, &both.corpus, self.config);
        self.train(name, Stage { dev: None, ..stage })
    }

    fn copy_model(&self, from: &str, to: &str) -> Result<()> {
        let from = self.dir.path(from);
        let about = || format!("cannot read {}", from.display());
        let names = std::fs::read_dir(&from).with_context(about)?.map(|file| Ok(file?.file_name()));
        let mut names = names.collect::<std::io::Result<Vec<_>>>().with_context(about)?;
        // Copy the settings last, because a folder that has them counts as complete.
        names.sort_by_key(|name| name == saved_model::SETTINGS);
        names.iter().try_for_each(|name| copy_whole(&from.join(name), &self.dir.path(to).join(name)))
    }

    /// Trains a model to compare with, see [`Reference`]. Returns `None` if it needs gold labels or the judge, but they
    /// are not there.
    pub(super) fn train_reference(&self, reference: Reference, judge: Option<&Judge>) -> Result<Option<ModelResult>> {
        let (name, file) = (reference.name(), reference.scores());
        if let Some(done) = self.dir.read_json(&file)? {
            self.note_if_gone(&reference.model(), &file);
            return Ok(Some(done));
        }
        let trained = match (reference, &self.gold, judge) {
            (Reference::Gold, Some(gold), _) => self.train(name, self.stage("gold labels", gold, self.config))?,
            (Reference::Oracle, Some(gold), Some(judge)) => {
                let labels = without_contradicted(&self.train.corpus, gold, judge);
                self.train(name, self.stage("oracle", &labels, self.config))?
            }
            (Reference::Gold | Reference::Oracle, ..) => return Ok(None),
            (Reference::RawWithDev, ..) => {
                self.train_followed_by_dev(name, "your labels and dev", &self.train.corpus)?
            }
        };
        let result = self.result(&trained, &reference.model())?;
        self.dir.write_json(&file, &result)?;
        self.forget(name)?;
        Ok(Some(result))
    }

    /// Trains without recording dynamics. The checkpoint stays until [`Job::forget`].
    pub(super) fn train<'s>(&'s self, name: &'s str, stage: Stage<'s>) -> Result<Trained> {
        let stage = Stage { history: Some((&self.history, name)), ..stage };
        let (mut checkpoints, from) = self.checkpoints(name, &stage)?;
        stage.train(&mut checkpoints, from, 0, |_| Ok(Written::default()))
    }

    /// Opens the checkpoint file of the training with this name. Also returns its last checkpoint, if there is
    /// one.
    pub(super) fn checkpoints(&self, name: &str, stage: &Stage) -> Result<(Checkpoints, Option<Checkpoint>)> {
        let path = self.dir.path(&checkpoint_file(name));
        let (file, found) = Checkpoints::open(&path, stage.identity()?, self.options.checkpoints)?;
        if let Some(Checkpoint { position, .. }) = &found
            && position.epoch <= stage.config.epochs
        {
            let (epoch, batch) = (position.epoch, position.batch + 1);
            console::status(format_args!("{}: goes on at epoch {epoch}, batch {batch}", stage.name));
        }
        Ok((file, found))
    }

    /// Removes the checkpoint of a training whose result has been written.
    pub(super) fn forget(&self, name: &str) -> Result<()> {
        self.dir.remove(&checkpoint_file(name))
    }

    /// Returns the courses of the trainings whose models the report compares.
    fn courses(&self, dynamics: &Dynamics, cleaning: &Cleaning, learned_dev: bool) -> Result<Vec<Course>> {
        let mut courses = vec![Course::recorded(dynamics)];
        let cleaned = ("cleaned labels", cleaned_name(&cleaning.digest));
        let with_dev = learned_dev.then(|| ("cleaned labels and dev", with_dev_name(&cleaning.digest)));
        for (title, name) in [cleaned].into_iter().chain(with_dev) {
            let epoch =
                |e: Epoch| CourseEpoch { epoch: e.epoch, train_loss: e.train_loss, dev_f1: e.dev.map(|p| p.f1) };
            let epochs: Vec<CourseEpoch> = self.history.of(&name)?.into_iter().map(epoch).collect();
            if !epochs.is_empty() {
                courses.push(Course { title: title.to_owned(), epochs });
            }
        }
        Ok(courses)
    }

    pub(super) fn report(
        &self,
        raw: &ModelResult,
        cleaned: &ModelResult,
        test: TestScores,
        tried: Vec<Tried>,
        dynamics: &Dynamics,
        cleaning: &Cleaning,
    ) -> Result<Metrics> {
        let trainings = self.courses(dynamics, cleaning, test.with_dev.is_some())?;
        let outcome = Outcome { test: test.clone(), tried: tried.clone(), courses: trainings.clone() };
        let findings = Findings::new(dynamics, &cleaning.judge, &cleaning.decisions)?;
        self.dir.write(REPORT, findings.html(Some(&outcome))?)?;
        let metrics = Metrics {
            gain_f1_points: test.gain(&test.cleaned),
            gain_with_dev_f1_points: test.with_dev.as_ref().map(|score| test.gain(score)),
            test,
            trainings,
            sweep: tried,
            labels_on_dev: self.labels_on_dev,
            dictionary_check: cleaning
                .decisions
                .settings
                .dictionary_check
                .then(|| Contradicted::of(&dynamics.contradicted)),
            removed: Sides::of(&cleaning.summary, |c| c.removed),
            relabelled: Sides::of(&cleaning.summary, |c| c.relabelled),
            cleaning: cleaning.summary.clone(),
            settings: cleaning.decisions.settings.clone(),
            decided_by_hand: cleaning.decisions.overrides.len() as u64,
            noise: cleaning.noise,
            best_epoch: Pair { raw: raw.best_epoch, cleaned: cleaned.best_epoch },
            dev_f1: Pair { raw: raw.dev_f1, cleaned: cleaned.dev_f1 },
            seconds: Pair { raw: raw.seconds, cleaned: cleaned.seconds },
        };
        self.dir.write_json(METRICS, &metrics)?;
        Ok(metrics)
    }

    /// Writes the cards of the models that learned from cleaned labels.
    pub(super) fn write_cards(&self, metrics: &Metrics, cleaning: &Cleaning) -> Result<()> {
        let judgement = cleaning.judge.under(&cleaning.decisions.settings);
        let CorpusFiles { train, train_gold, dev, dev_distant: _, test, options: _ } = self.files;
        let files = [
            ("your labels", Some(train), Some(&self.train.corpus)),
            ("the same sentences with gold labels", train_gold.as_ref(), self.gold.as_ref()),
            ("dev", Some(dev), Some(&self.dev.corpus)),
            ("test", test.as_ref(), Some(&self.test.corpus)),
        ];
        let given = files.into_iter().filter_map(|(role, path, corpus)| Some((role, path?.as_path(), corpus?)));
        let card = Card {
            data: given.collect(),
            config: self.config,
            metrics,
            estimates: [Side::Positives, Side::Negatives].map(|side| (side, Estimate::new(&judgement, side))),
            command: &self.options.command,
        };
        let learned_dev = metrics.test.with_dev.is_some().then_some((MODEL_WITH_DEV, true));
        for (folder, learned_dev) in [(MODEL_CLEANED, false)].into_iter().chain(learned_dev) {
            let folder = self.dir.path(folder);
            // Somebody may have removed a model to save space.
            if folder.join(saved_model::WEIGHTS).is_file() {
                RunDir::open(&folder)?.write(model_card::FILE, card.markdown(learned_dev))?;
            }
        }
        Ok(())
    }

    /// Prepares a training on the labels of `corpus`, which must have the text of the training corpus.
    pub(super) fn stage<'s>(&'s self, name: &'s str, corpus: &Corpus, config: &'s Config) -> Stage<'s> {
        self.stage_of(name, &self.train, corpus, config)
    }

    /// Prepares a training on the labels of `corpus`, which must have the text of `train`.
    fn stage_of<'s>(&'s self, name: &'s str, train: &'s Prepared, corpus: &Corpus, config: &'s Config) -> Stage<'s> {
        let index = &train.inputs.index;
        let mut targets: Vec<Option<u32>> =
            corpus.dense_labels(index).iter().map(|&label| Some(u32::from(label))).collect();
        for id in corpus.unknown.iter().filter_map(|&span| index.id(span)) {
            targets[id as usize] = None;
        }
        let n_labels = corpus.labels.n_types() + 1;
        Stage {
            name,
            config,
            spec: self.spec,
            train,
            targets,
            n_labels,
            dev: Some(&self.dev),
            last_epoch: config.epochs,
            patience: config.patience,
            place: self.options.place,
            history: None,
            team: self.options.team,
        }
    }

    /// Scores a trained model on test, and saves the model.
    pub(super) fn result(&self, trained: &Trained, folder: &str) -> Result<ModelResult> {
        let progress = Progress::new("test", self.test.corpus.n_sentences() as u64, 0, 1);
        let test = evaluate(&trained.model, &self.test, &progress)?;
        drop(progress);
        let model = RunDir::open(&self.dir.path(folder))?;
        let save = |_: &mut File, temporary: &Path| trained.model.parameters.save(temporary);
        write_whole_at(&model.path(saved_model::WEIGHTS), save)?;
        self.spec.save(&model.path(""))?;
        model.write_json(saved_model::SETTINGS, &(self.config, &self.train.corpus.labels))?;
        let Trained { best_epoch, seconds, .. } = *trained;
        Ok(ModelResult { best_epoch, dev_f1: trained.dev_f1(), test, seconds })
    }
}

pub(super) fn checkpoint_file(name: &str) -> String {
    format!("{CHECKPOINTS}/{name}.safetensors")
}

/// Returns the name of the training on a cleaned corpus.
pub(super) fn cleaned_name(digest: &str) -> String {
    format!("cleaned-{digest}")
}

/// Returns the name of the training on a cleaned corpus and dev.
fn with_dev_name(digest: &str) -> String {
    format!("with-dev-{digest}")
}

/// Returns the distant labels, where every candidate span with a different gold label becomes unknown.
fn without_contradicted(distant: &Corpus, gold: &Corpus, judge: &Judge) -> Corpus {
    let gold = gold.dense_labels(&judge.index);
    let spans = (0..).zip(judge.assigned.iter().zip(&gold));
    let contradicted = spans.filter(|(_, (distant, gold))| distant != gold).map(|(span, _)| (span, Decision::Remove));
    clean(distant.clone(), judge, &contradicted.collect())
}
