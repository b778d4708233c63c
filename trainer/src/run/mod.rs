//! The main job: train, threshold run, thresholds, clean, retrain, evaluate, report.
//!
//! Every step writes its result as its last action, and writes it whole. A step whose result exists is skipped. A
//! training that was interrupted continues from its checkpoint. docs/RUNS.md describes the files in the folder.

mod epoch_columns;
mod first_stage;
pub mod folder;
mod job;
pub mod model_card;
pub mod results;
mod rounding;
mod side_by_side;
pub mod steps;
pub mod sweep;
mod trials;

use std::path::Path;

use anyhow::{Result, ensure};
use shared::cleaning::Decisions;
use shared::detection::threshold::Settings;
use shared::report::TestScores;

use self::folder::RunDir;
use self::job::{CHECKPOINTS, CONFIG, Cleaning, Job, METRICS, ModelResult, RAW};
use self::results::{Metrics, TrainMetrics};
use self::steps::Work;
use self::sweep::SweepResult;
use crate::console;
use crate::data::corpus_file::{Corpora, CorpusFiles};
use crate::data::inspect::check_classes;
use crate::data::recording::Recording;
use crate::model::encoder::EncoderSpec;
use crate::training::config::Config;

pub use job::{COMMAND, DECISIONS, DYNAMICS, DYNAMICS_SO_FAR, JobKind, Options, REVIEWED, Reference};

/// Result of a job.
#[derive(Debug)]
pub struct Done {
    /// The content of `metrics.json`.
    pub metrics: Metrics,
    /// The content of `sweep.json`, if there was a sweep.
    pub sweep: Option<SweepResult>,
}

/// Does the whole job in the folder `out`.
///
/// Parts that an earlier, interrupted call finished are kept. A training that it began continues from its last
/// checkpoint.
///
/// # Errors
/// When a file cannot be read or written, a training fails, or the job is interrupted
/// ([`crate::interrupt::Interrupted`]).
pub fn run(
    files: &CorpusFiles,
    corpora: Corpora,
    config: &Config,
    spec: &EncoderSpec,
    adjust: impl Fn(&mut Settings),
    options: &Options,
    out: &Path,
) -> Result<Done> {
    let dir = RunDir::open(out)?;
    let _lock = dir.lock(CONFIG)?;
    let job = Job::new(JobKind::Run, &dir, files, corpora, config, spec, options)?;
    // Decisions are read before any training, so that a mistake shows at once.
    let given = match &options.decisions {
        Some(file) => {
            ensure!(
                dir.path(DYNAMICS).is_file() && dir.path(RAW).is_file(),
                "{} is about dynamics, and those in {} are not there or not whole: give the same command without \
                 --decisions first",
                file.display(),
                out.display()
            );
            let recorded = job.open_recorded()?;
            let decisions = recorded.read_decisions(file)?;
            let n = decisions.overrides.len();
            console::status(format_args!(
                "cleaning as {} says: its settings, and {n} decisions by hand",
                file.display()
            ));
            Some((recorded, decisions))
        }
        None => None,
    };
    dir.write(COMMAND, format!("{}\n", options.command_here))?;
    job.announce(if given.is_some() { 1 } else { options.sweep.most_trainings(&adjust) });
    let last_epoch = last_of_window(&adjust);
    let raw = job.record((!options.sweep.varies_windows()).then_some(&last_epoch))?;
    let (recorded, decisions) = match given {
        Some(given) => given,
        None => {
            let recorded = job.open_recorded()?;
            let decisions = automatic(&recorded, &adjust);
            (recorded, decisions)
        }
    };
    let (cleaning, sweep) = clean(&job, &recorded, decisions, &raw)?;
    job.publish(&recorded.dynamics, &cleaning)?;
    let cleaned = job.retrain(&cleaning, &raw)?;
    let with_dev = match options.learns_dev {
        true => Some(job.train_with_dev(&cleaning)?.test),
        false => job.forget_with_dev().map(|()| None)?,
    };
    let mut test = TestScores { with_dev, ..TestScores::new(raw.test.clone(), cleaned.test.clone()) };
    for &reference in &options.references {
        let result = job.train_reference(reference, Some(&cleaning.judge))?;
        let score = result.map(|result| result.test);
        match reference {
            Reference::Gold => test.gold = score,
            Reference::Oracle => test.oracle = score,
            Reference::RawWithDev => test.raw_with_dev = score,
        }
    }
    let tried = sweep.as_ref().map_or(Vec::new(), SweepResult::tried);
    let metrics = job.report(&raw, &cleaned, test, tried, &recorded.dynamics, &cleaning)?;
    job.write_cards(&metrics, &cleaning)?;
    if options.decisions.is_none() {
        job.forget_other_sweeps(sweep.as_ref())?;
    }
    // The checkpoints that are left belong to trainings that are not needed any more, on labels cleaned with other
    // thresholds.
    let _ = std::fs::remove_dir_all(dir.path(CHECKPOINTS));
    dir.remove_locks_of_steps();
    Ok(Done { metrics, sweep })
}

/// Returns the last epoch of the window, from the automatic settings. Threshold samples are used only within the
/// window, so the threshold run can stop after this epoch.
fn last_of_window(adjust: &impl Fn(&mut Settings)) -> impl Fn(Settings) -> u32 {
    move |mut settings| {
        adjust(&mut settings);
        settings.window.last
    }
}

/// Does one step of the job ([`Options::step`]) in the folder `out`, beside other processes that do other steps.
///
/// # Errors
/// The same as [`run`]. Also when there is no such step, another process does it, or a step that must be done before it
/// is not done.
pub fn do_step(
    files: &CorpusFiles,
    corpora: Corpora,
    config: &Config,
    spec: &EncoderSpec,
    adjust: impl Fn(&mut Settings),
    options: &Options,
    out: &Path,
) -> Result<()> {
    let all = steps::plan(config.ensemble, options, corpora.train_gold.is_some(), &adjust);
    let step = steps::find(&all, options.step.as_deref().unwrap_or_default())?;
    let dir = RunDir::open(out)?;
    let _locks = dir.lock_step(CONFIG, &step.name)?;
    let job = Job::new(JobKind::Run, &dir, files, corpora, config, spec, options)?;
    // When the result of the first stage exists, the files of its steps are removed, so they cannot be checked.
    let is_over = matches!(step.work, Work::First(..) | Work::Join) && dir.path(DYNAMICS).is_file();
    if !is_over {
        step.check_needs(&all, |output| dir.path(output).is_file())?;
    }
    let last_epoch = last_of_window(&adjust);
    let last_epoch = (!steps::does_all_epochs(options)).then_some(&last_epoch as first_stage::LastEpoch);
    match step.work {
        Work::First(kind, number) => job.record_one(kind, number, last_epoch),
        Work::Join => job.record(last_epoch).map(drop),
        Work::Trial(number) => {
            let recorded = job.open_recorded()?;
            let base = automatic(&recorded, &adjust).settings;
            job.try_one(&options.sweep, &recorded, &base, number)?;
            dir.write_json(&step.output, &()).map(drop)
        }
        Work::Cleaned | Work::WithDev => {
            let (recorded, raw) = (job.open_recorded()?, job.record(last_epoch)?);
            let (cleaning, _) = clean(&job, &recorded, automatic(&recorded, &adjust), &raw)?;
            match step.work {
                Work::Cleaned => job.retrain(&cleaning, &raw).map(drop),
                _ => job.train_with_dev(&cleaning).map(drop),
            }
        }
        Work::Reference(Reference::Oracle) => {
            let recorded = job.open_recorded()?;
            let Settings { window, metric, .. } = automatic(&recorded, &adjust).settings;
            job.train_reference(Reference::Oracle, Some(&recorded.judge(window, metric)?)).map(drop)
        }
        Work::Reference(reference) => job.train_reference(reference, None).map(drop),
    }
}

/// Returns the decisions by the automatic settings, changed by `adjust`.
fn automatic(recorded: &Recording, adjust: impl Fn(&mut Settings)) -> Decisions {
    let mut settings = recorded.settings();
    adjust(&mut settings);
    Decisions::new(recorded.digest.clone(), settings)
}

/// Cleans by these decisions, or by the best of the settings that are to be tried.
fn clean(
    job: &Job,
    recorded: &Recording,
    decisions: Decisions,
    raw: &ModelResult,
) -> Result<(Cleaning, Option<SweepResult>)> {
    let (settings, options) = (&decisions.settings, job.options);
    check_classes(settings, &recorded.dynamics.corpus.labels)?;
    if options.decisions.is_none() && options.sweep.is_choice(settings) {
        let (cleaning, result) = job.sweep(&options.sweep, recorded, settings, raw.dev_f1)?;
        return Ok((cleaning, Some(result)));
    }
    let judge = recorded.judge(settings.window, settings.metric)?;
    Ok((job.decide(recorded, judge, decisions)?, None))
}

/// Does one training on the unchanged labels, in the folder `out`.
///
/// A result that an earlier call finished is kept. A training that it began continues from its last checkpoint.
///
/// # Errors
/// The same as [`run`].
pub fn train(
    kind: JobKind,
    files: &CorpusFiles,
    corpora: Corpora,
    config: &Config,
    spec: &EncoderSpec,
    options: &Options,
    out: &Path,
) -> Result<TrainMetrics> {
    let dir = RunDir::open(out)?;
    let _lock = dir.lock(CONFIG)?;
    let job = Job::new(kind, &dir, files, corpora, config, spec, options)?;
    let records = kind != JobKind::TrainPlain;
    let result = if records { job.record(None)? } else { job.train_only()? };
    let metrics = TrainMetrics {
        test: files.test.as_ref().map(|_| result.test),
        best_epoch: result.best_epoch,
        dev_f1: result.dev_f1,
        seconds: result.seconds,
        model: dir.path(kind.first_model()),
        dynamics: records.then(|| dir.path(DYNAMICS)),
    };
    dir.write_json(METRICS, &metrics)?;
    let _ = std::fs::remove_dir_all(dir.path(CHECKPOINTS));
    Ok(metrics)
}
