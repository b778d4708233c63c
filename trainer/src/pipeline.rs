//! The main job: train, threshold run, thresholds, clean, retrain, evaluate, report.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use shared::cleaning::{CleaningSummary, Decisions, clean};
use shared::corpus::Corpus;
use shared::dyn_file::{self, RunKind};
use shared::dynamics::{Dynamics, EpochLogits, Precision, RunInfo};
use shared::formats::{WriteOptions, dynclean_json};
use shared::judge::{Judge, Side};
use shared::provenance;
use shared::quality::{NoiseDetection, detect};
use shared::report::{self, Outcome};
use shared::score::NerScore;
use shared::threshold::{Basis, Settings};

use crate::config::{Config, Record};
use crate::console;
use crate::corpus_file::{self, Corpora, CorpusFiles};
use crate::encoder::EncoderSpec;
use crate::inspect::check_classes;
use crate::progress::Progress;
use crate::random::stream;
use crate::run_dir::{GrowingFile, RunDir};
use crate::saved_model;
use crate::threshold_samples::draw;
use crate::train::{Prepared, Stage, Trained, evaluate, logits};

/// Dynamics of the run.
pub const DYNAMICS: &str = "dynamics.dyn";
/// Folder of the model trained on the raw labels, in a run.
pub const MODEL_RAW: &str = "model-raw";
/// Folder of the model trained on the cleaned labels, in a run.
pub const MODEL_CLEANED: &str = "model-cleaned";
/// Folder of the model of a training alone.
pub const MODEL: &str = "model";
const CONFIG: &str = "config.json";
const RAW: &str = "raw.json";
const CLEANED_SCORES: &str = "cleaned-scores.json";
const GOLD: &str = "gold.json";
const DECISIONS: &str = "decisions.json";
const PROVENANCE: &str = "provenance.json";
const METRICS: &str = "metrics.json";
const REPORT: &str = "report.html";

/// How one trained model does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ModelResult {
    best_epoch: u32,
    dev_f1: f64,
    test: NerScore,
    seconds: f64,
}

/// What determines a run: it cannot go on with anything else.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Bound {
    version: String,
    config: Config,
    corpora: Vec<String>,
    /// Digest of the encoder's files.
    encoder: String,
    #[serde(default)]
    job: JobKind,
}

impl PartialEq for Bound {
    fn eq(&self, other: &Self) -> bool {
        // What is in the encoder's files counts, not the name under which they were found.
        let config = Config { encoder: other.config.encoder.clone(), ..self.config.clone() };
        self.version == other.version
            && config == other.config
            && self.corpora == other.corpora
            && self.encoder == other.encoder
            && self.job == other.job
    }
}

/// What is done with the data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// Everything, from distant labels to the report.
    #[default]
    Run,
    /// One training that records dynamics, and the threshold run.
    Train,
    /// One training that records dynamics.
    TrainWithoutThresholds,
    /// One training.
    TrainPlain,
}

impl JobKind {
    /// Folder of the model trained on the labels as they came.
    fn first_model(self) -> &'static str {
        if self == Self::Run { MODEL_RAW } else { MODEL }
    }
}

/// `metrics.json` of a training alone.
#[derive(Debug, Serialize)]
pub struct TrainMetrics {
    /// Test scores, where there is a test corpus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<NerScore>,
    /// Epoch that was best on dev.
    pub best_epoch: u32,
    /// Its dev F1.
    pub dev_f1: f64,
    /// Wall-clock seconds of the training.
    pub seconds: f64,
    /// Folder of the model.
    pub model: PathBuf,
    /// The dynamics, where they were recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamics: Option<PathBuf>,
}

/// `metrics.json`.
#[derive(Debug, Serialize)]
pub struct Metrics {
    /// Test scores of the model trained on the raw distant labels, on the cleaned ones, and on gold.
    pub test: TestScores,
    /// Cleaned minus raw test F1, in points.
    pub gain_f1_points: f64,
    /// Spans that left the training data.
    pub removed: Sides,
    /// Spans that got another label.
    pub relabelled: Sides,
    /// Thresholds and counts.
    pub cleaning: CleaningSummary,
    /// Settings of the cleaning.
    pub settings: Settings,
    /// Noise detection against gold, where gold is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseDetection>,
    /// Epoch that was best on dev.
    pub best_epoch: Pair<u32>,
    /// Its dev F1.
    pub dev_f1: Pair<f64>,
    /// Wall-clock seconds of the two trainings that give the test scores.
    pub seconds: Pair<f64>,
}

/// See [`Metrics::test`].
#[derive(Debug, Serialize, Deserialize)]
pub struct TestScores {
    /// On the distant labels as they came.
    pub raw: NerScore,
    /// On the cleaned labels.
    pub cleaned: NerScore,
    /// On annotators' labels, where they are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gold: Option<NerScore>,
}

/// One value for the raw and one for the cleaned labels.
#[derive(Debug, Serialize)]
pub struct Pair<T> {
    /// On the distant labels as they came.
    pub raw: T,
    /// On the cleaned labels.
    pub cleaned: T,
}

/// Numbers of spans by side.
#[derive(Debug, Serialize)]
pub struct Sides {
    /// Labelled with an entity type.
    pub positives: u64,
    /// Labelled `O`.
    pub negatives: u64,
}

struct Job<'a> {
    kind: JobKind,
    dir: &'a RunDir,
    files: &'a CorpusFiles,
    config: &'a Config,
    spec: &'a EncoderSpec,
    train: Prepared,
    gold: Option<Corpus>,
    dev: Prepared,
    test: Prepared,
}

/// Does the whole job in the folder `out`; what an earlier, interrupted call finished is kept.
///
/// # Errors
/// When a file cannot be read or written, or a training fails.
pub fn run(
    files: &CorpusFiles,
    corpora: Corpora,
    config: &Config,
    spec: &EncoderSpec,
    adjust: impl FnOnce(&mut Settings),
    with_gold_model: bool,
    out: &Path,
) -> Result<Metrics> {
    let dir = RunDir::open(out)?;
    let job = Job::new(JobKind::Run, &dir, files, corpora, config, spec)?;
    let raw = job.record()?;
    let cleaning = job.clean(adjust)?;
    let cleaned = job.retrain(&cleaning)?;
    let gold = if with_gold_model { job.train_on_gold()? } else { None };
    job.report(raw, cleaned, gold, &cleaning)
}

/// One training on the labels as they came, into the folder `out`; what an earlier, interrupted call
/// finished is kept.
///
/// # Errors
/// When a file cannot be read or written, or the training fails.
pub fn train(
    kind: JobKind,
    files: &CorpusFiles,
    corpora: Corpora,
    config: &Config,
    spec: &EncoderSpec,
    out: &Path,
) -> Result<TrainMetrics> {
    let dir = RunDir::open(out)?;
    let job = Job::new(kind, &dir, files, corpora, config, spec)?;
    let records = kind != JobKind::TrainPlain;
    let result = if records { job.record()? } else { job.train_only()? };
    let metrics = TrainMetrics {
        test: files.test.as_ref().map(|_| result.test),
        best_epoch: result.best_epoch,
        dev_f1: result.dev_f1,
        seconds: result.seconds,
        model: dir.path(kind.first_model()),
        dynamics: records.then(|| dir.path(DYNAMICS)),
    };
    dir.write_json(METRICS, &metrics)?;
    Ok(metrics)
}

struct Cleaning {
    dynamics: Dynamics,
    judge: Judge,
    decisions: Decisions,
    summary: CleaningSummary,
    noise: Option<NoiseDetection>,
    corpus: Corpus,
    /// Digest of the cleaned corpus.
    digest: String,
}

impl<'a> Job<'a> {
    /// Binds the folder to this job and prepares the corpora.
    fn new(
        kind: JobKind,
        dir: &'a RunDir,
        files: &'a CorpusFiles,
        corpora: Corpora,
        config: &'a Config,
        spec: &'a EncoderSpec,
    ) -> Result<Self> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        dir.bind(
            CONFIG,
            &Bound { version, config: config.clone(), corpora: files.digests()?, encoder: spec.digest()?, job: kind },
        )?;
        let prepare = |corpus| Prepared::new(corpus, spec, config.max_span_width);
        Ok(Self {
            kind,
            dir,
            files,
            config,
            spec,
            train: prepare(corpora.train)?,
            gold: corpora.train_gold,
            dev: prepare(corpora.dev)?,
            test: prepare(corpora.test)?,
        })
    }

    /// Trains on the labels as they came, and records nothing.
    fn train_only(&self) -> Result<ModelResult> {
        if let Some(done) = self.dir.read_json(RAW)? {
            console::status("the model is there already: it is not trained again");
            return Ok(done);
        }
        let started = Instant::now();
        let trained = self.stage("training", &self.train.corpus).train(0, |_| Ok(()))?;
        let result = self.result(&trained, self.kind.first_model(), started)?;
        self.dir.write_json(RAW, &result)?;
        Ok(result)
    }

    /// Trains on the distant labels, then with threshold samples; writes `dynamics.dyn`.
    fn record(&self) -> Result<ModelResult> {
        let train = &self.files.train;
        let name = train.parent().and_then(Path::file_name).unwrap_or(train.as_os_str());
        let path = self.dir.path(DYNAMICS);
        if let (Some(done), true) = (self.dir.read_json(RAW)?, path.is_file()) {
            console::status(format_args!("{DYNAMICS} is there already: its runs are not repeated"));
            return Ok(done);
        }
        let info = RunInfo {
            name: name.to_string_lossy().into_owned(),
            written_by: concat!("DynClean trainer ", env!("CARGO_PKG_VERSION")).to_owned(),
            encoder: self.config.encoder.clone(),
            seed: self.config.seed,
            negatives: self.config.negatives,
            max_span_width: self.config.max_span_width,
            settings: self.config.describe(),
        };
        let mut file = GrowingFile::create(&path)?;
        let gold = self.gold.as_ref().map(|gold| gold.entities.as_slice());
        file.append(&dyn_file::begin(&info, &self.train.corpus, gold))?;
        let raw = self.main_run(&mut file)?;
        if self.kind != JobKind::TrainWithoutThresholds {
            self.threshold_run(&mut file)?;
        }
        file.append(&dyn_file::end())?;
        self.dir.write_json(RAW, &raw)?;
        file.finish()?;
        Ok(raw)
    }

    fn main_run(&self, file: &mut GrowingFile) -> Result<ModelResult> {
        let started = Instant::now();
        let stage = self.stage("raw labels", &self.train.corpus);
        let n_types = stage.n_labels - 1;
        let all: Vec<u32> = (0..self.train.corpus.n_sentences() as u32).collect();
        let trained = stage.train(self.passed_over(all.len()), |end| {
            let rows = match end.training_logits {
                Some(rows) => rows,
                None => logits(end.model, &self.train, &all, end.progress)?,
            };
            let logits = EpochLogits::from_rows(&rows, n_types, Precision::F16)?;
            file.append(&dyn_file::epoch(RunKind::Main, end.score.epoch, &logits))?;
            file.append(&dyn_file::score(RunKind::Main, end.score))
        })?;
        self.result(&trained, self.kind.first_model(), started)
    }

    fn threshold_run(&self, file: &mut GrowingFile) -> Result<()> {
        let mut stage = self.stage("threshold run", &self.train.corpus);
        let n_types = stage.n_labels - 1;
        let labels: Vec<Option<u16>> = stage.targets.iter().map(|t| t.map(|t| t as u16)).collect();
        let samples = draw(&labels, n_types, self.config.scheme, &mut stream(self.config.seed, "threshold samples"));
        for (&span, &label) in samples.spans.iter().zip(&samples.assigned) {
            stage.targets[span as usize] = Some(u32::from(label));
        }
        // One label more: the extra class.
        stage.n_labels += 1;
        file.append(&dyn_file::samples(self.config.scheme, &samples.spans, &samples.assigned))?;
        let mut sentences: Vec<u32> =
            samples.spans.iter().filter_map(|&s| self.train.index.span(s)).map(|s| s.sentence).collect();
        sentences.dedup();
        let n_labels = stage.n_labels;
        stage.train(self.passed_over(sentences.len()), |end| {
            let (spans, rows): (Vec<u32>, Vec<f32>) = match end.training_logits {
                Some(rows) => ((0..self.train.index.len() as u32).collect(), rows),
                None => (
                    sentences.iter().flat_map(|&s| self.train.index.of_sentence(s)).collect(),
                    logits(end.model, &self.train, &sentences, end.progress)?,
                ),
            };
            let of_samples: Vec<f32> = spans
                .iter()
                .zip(rows.chunks_exact(n_labels))
                .filter(|(span, _)| samples.spans.binary_search(span).is_ok())
                .flat_map(|(_, row)| row.iter().copied())
                .collect();
            let logits = EpochLogits::from_rows(&of_samples, n_labels - 1, Precision::F16)?;
            file.append(&dyn_file::epoch(RunKind::Threshold, end.score.epoch, &logits))?;
            file.append(&dyn_file::score(RunKind::Threshold, end.score))
        })?;
        Ok(())
    }

    /// Sentences that recording passes over after an epoch.
    fn passed_over(&self, sentences: usize) -> usize {
        match self.config.record {
            Record::Evaluation => sentences,
            Record::Training => 0,
        }
    }

    /// Decides from what the dynamics file holds, so that whoever opens it decides the same.
    fn clean(&self, adjust: impl FnOnce(&mut Settings)) -> Result<Cleaning> {
        let path = self.dir.path(DYNAMICS);
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let dynamics = dyn_file::read(&bytes).with_context(|| path.display().to_string())?;
        let (judge, settings) = Judge::automatic(&dynamics, adjust)?;
        check_classes(&settings, &dynamics.corpus.labels)?;
        let decisions = Decisions::new(dyn_file::digest(&bytes), settings);
        let labels = &dynamics.corpus.labels;
        let decided = decisions.resolve(&judge, labels)?;
        let corpus = clean(&dynamics.corpus, &judge, &decided);
        ensure!(!corpus.entities.is_empty(), "the cleaning removed every entity; choose other thresholds");
        self.dir.write(DECISIONS, decisions.to_json())?;
        self.dir.write(PROVENANCE, provenance::json(&dynamics.corpus, &judge, &decisions, &decided))?;
        // Whatever the format: it is about the labels.
        let digest = dyn_file::digest(dynclean_json::write(&corpus).as_bytes());
        let cleaned = self.dir.path(&corpus_file::cleaned_name(&self.files.train, &corpus.layout));
        let options = WriteOptions { unknown: self.files.options.unknown.clone(), ..WriteOptions::default() };
        for note in corpus_file::write(&cleaned, &corpus, &options)? {
            console::note(format_args!("{}: {note}", cleaned.display()));
        }
        let summary = CleaningSummary::new(&judge, &decisions.settings, &decided, labels);
        let noise = dynamics.dense_gold(&judge.index).map(|gold| detect(&judge, &decided, &gold));
        Ok(Cleaning { dynamics, judge, decisions, summary, noise, corpus, digest })
    }

    fn retrain(&self, cleaning: &Cleaning) -> Result<ModelResult> {
        // Other thresholds give another cleaned corpus, which needs another training.
        if let Some((of, done)) = self.dir.read_json::<(String, ModelResult)>(CLEANED_SCORES)?
            && of == cleaning.digest
        {
            console::status("the model on these cleaned labels is there already: it is not trained again");
            return Ok(done);
        }
        let started = Instant::now();
        let trained = self.stage("cleaned labels", &cleaning.corpus).train(0, |_| Ok(()))?;
        let result = self.result(&trained, MODEL_CLEANED, started)?;
        self.dir.write_json(CLEANED_SCORES, &(&cleaning.digest, &result))?;
        Ok(result)
    }

    /// What the labels of annotators would give: the mark to measure the gain against.
    fn train_on_gold(&self) -> Result<Option<ModelResult>> {
        let Some(gold) = &self.gold else { return Ok(None) };
        if let Some(done) = self.dir.read_json(GOLD)? {
            return Ok(Some(done));
        }
        let started = Instant::now();
        let trained = self.stage("gold labels", gold).train(0, |_| Ok(()))?;
        let result = self.result(&trained, "model-gold", started)?;
        self.dir.write_json(GOLD, &result)?;
        Ok(Some(result))
    }

    fn report(
        &self,
        raw: ModelResult,
        cleaned: ModelResult,
        gold: Option<ModelResult>,
        cleaning: &Cleaning,
    ) -> Result<Metrics> {
        let gold = gold.map(|g| g.test);
        let outcome = Outcome { raw: raw.test.clone(), cleaned: cleaned.test.clone(), gold: gold.clone() };
        let html = report::html(&report::Input {
            dynamics: &cleaning.dynamics,
            judge: &cleaning.judge,
            decisions: &cleaning.decisions,
            outcome: Some(&outcome),
        })?;
        self.dir.write(REPORT, html)?;
        let counts = &cleaning.summary.counts;
        let sides = |of: fn(&shared::cleaning::LabelCount) -> u64| Sides {
            negatives: counts.first().map_or(0, of),
            positives: counts.iter().skip(1).map(of).sum(),
        };
        let metrics = Metrics {
            gain_f1_points: 100.0 * (cleaned.test.overall.f1 - raw.test.overall.f1),
            test: TestScores { raw: raw.test, cleaned: cleaned.test, gold },
            removed: sides(|c| c.removed),
            relabelled: sides(|c| c.relabelled),
            cleaning: cleaning.summary.clone(),
            settings: cleaning.decisions.settings.clone(),
            noise: cleaning.noise,
            best_epoch: Pair { raw: raw.best_epoch, cleaned: cleaned.best_epoch },
            dev_f1: Pair { raw: raw.dev_f1, cleaned: cleaned.dev_f1 },
            seconds: Pair { raw: raw.seconds, cleaned: cleaned.seconds },
        };
        self.dir.write_json(METRICS, &metrics)?;
        Ok(metrics)
    }

    fn stage<'s>(&'s self, name: &'s str, corpus: &Corpus) -> Stage<'s> {
        let index = &self.train.index;
        let mut targets: Vec<Option<u32>> =
            corpus.dense_labels(index).iter().map(|&label| Some(u32::from(label))).collect();
        for id in corpus.unknown.iter().filter_map(|&span| index.id(span)) {
            targets[id as usize] = None;
        }
        let n_labels = corpus.labels.n_types() + 1;
        Stage { name, config: self.config, spec: self.spec, train: &self.train, targets, n_labels, dev: &self.dev }
    }

    /// Scores a trained model on test and saves it.
    fn result(&self, trained: &Trained, folder: &str, started: Instant) -> Result<ModelResult> {
        let progress = Progress::new("test", self.test.corpus.n_sentences() as u64, 1);
        let test = evaluate(&trained.model, &self.test, &progress)?;
        drop(progress);
        let model = RunDir::open(&self.dir.path(folder))?;
        trained.model.parameters.save(&model.path(saved_model::WEIGHTS))?;
        self.spec.save(&model.path(""))?;
        model.write_json(saved_model::SETTINGS, &(self.config, &self.train.corpus.labels))?;
        let best = trained.scores.iter().find(|s| s.epoch == trained.best_epoch);
        let dev_f1 = best.map_or(0.0, |s| s.dev.f1);
        Ok(ModelResult { best_epoch: trained.best_epoch, dev_f1, test, seconds: started.elapsed().as_secs_f64() })
    }
}

impl Metrics {
    /// The result in a few lines, for a terminal.
    pub fn summary(&self) -> String {
        let row = |name: &str, s: &NerScore| {
            let percent = |v: f64| 100.0 * v;
            let o = s.overall;
            format!(
                "  {name:<8} P {:5.1}  R {:5.1}  F1 {:5.1}\n",
                percent(o.precision),
                percent(o.recall),
                percent(o.f1)
            )
        };
        let mut text = String::from("Test scores of the model trained on\n");
        text += &row("raw", &self.test.raw);
        text += &row("cleaned", &self.test.cleaned);
        if let Some(gold) = &self.test.gold {
            text += &row("gold", gold);
        }
        text += &format!("  gain {:+.1} F1 points (one seed; expect 2 to 3 points of noise)\n", self.gain_f1_points);
        let t = &self.cleaning.thresholds;
        for (name, side, threshold) in
            [("positives", Side::Positives, t.positives), ("negatives", Side::Negatives, t.negatives)]
        {
            text += &if threshold.basis == Basis::None {
                format!("No {name} are judged: the model had not learned them. Train longer, or set a threshold\n")
            } else {
                format!(
                    "Judged wrong: {} of the {name} ({} < {:.2})\n",
                    self.cleaning.changed(side),
                    self.settings.metric.name(),
                    threshold.value
                )
            };
        }
        if let Some(noise) = &self.noise {
            for (name, d) in [("false positives", noise.false_positives), ("false negatives", noise.false_negatives)] {
                text += &format!(
                    "  against gold, {name}: P {:.1}  R {:.1}  average precision {:.3}\n",
                    100.0 * d.prf.precision,
                    100.0 * d.prf.recall,
                    d.average_precision
                );
            }
        }
        text
    }
}
