//! The first stage: trainings on the distant labels and with threshold samples. Their logits become
//! `dynamics.dyn`.
//!
//! Every training records into its own file, which grows by one epoch at a time. When all trainings have ended,
//! `dynamics.dyn` is built from these files and written whole. The file of the first training is
//! `dynamics.dyn.partial`. It is a dynamics file that was cut off, so people can look at it before the stage ends.

use std::fs::File;
use std::io::{self, Read, Write};
use std::iter;
use std::path::PathBuf;

use anyhow::{Context, Result};
use nn::random::{derived_seed, stream};
use shared::detection::threshold::Settings;
use shared::recording::dyn_file::{self, RunKind};
use shared::recording::dynamics::{Dynamics, EpochLogits, Precision, RunInfo};
use shared::recording::ensemble;

use super::epoch_columns::EpochColumns;
use super::folder::RunDir;
use super::job::{CHECKPOINTS, DYNAMICS, Job, JobKind, ModelResult, RAW, checkpoint_file};
use super::side_by_side::side_by_side;
use crate::console;
use crate::data::recording::Recording;
use crate::files::{GrowingFile, Written, write_whole_by};
use crate::interrupt;
use crate::training::config::{Config, Record};
use crate::training::threshold_samples::draw;
use crate::training::{EpochEnd, Stage, Trained};

/// Spans whose logits are averaged at a time.
const BLOCK: usize = 1 << 16;

/// Returns the last epoch in which threshold samples are needed, given the automatic settings for the dynamics on the
/// distant labels.
pub(super) type LastEpoch<'a> = &'a dyn Fn(Settings) -> u32;

/// A member of the ensemble: one training on the distant labels and one with threshold samples.
struct Member {
    /// Number from 1. The first member has the run's own seed.
    number: u32,
    config: Config,
}

/// One training of a member.
struct MemberTraining<'a> {
    /// Name used for its checkpoint and its files.
    name: String,
    stage: Stage<'a>,
    /// Bytes at the beginning of the file, before the first epoch.
    opening: Vec<u8>,
}

impl Member {
    fn all(config: &Config) -> Vec<Self> {
        let member = |number| {
            let seed = match number {
                1 => config.seed,
                _ => derived_seed(config.seed, &format!("member {number}")),
            };
            Self { number, config: config.with_seed(seed) }
        };
        (1..=config.ensemble.max(1)).map(member).collect()
    }

    /// Returns the name of its training of this kind.
    fn name(&self, kind: RunKind) -> String {
        training_name(kind, self.number)
    }

    /// Returns the title for the progress bar.
    fn title(&self, kind: RunKind) -> String {
        let kind = match kind {
            RunKind::Main => "raw labels",
            RunKind::Threshold => "threshold run",
        };
        if self.number == 1 { kind.to_owned() } else { format!("{kind} {}", self.number) }
    }
}

/// Returns the name of the training of this kind of the member with this number, from 1.
pub(super) fn training_name(kind: RunKind, member: u32) -> String {
    let kind = match kind {
        RunKind::Main => "raw",
        RunKind::Threshold => "threshold",
    };
    if member == 1 { kind.to_owned() } else { format!("{kind}-{member}") }
}

impl Job<'_> {
    /// Trains on the distant labels and with threshold samples, and writes `dynamics.dyn`.
    ///
    /// Threshold samples are recorded up to the last epoch in which they are needed. Without `last_epoch` they are
    /// recorded after every epoch.
    pub(super) fn record(&self, last_epoch: Option<LastEpoch>) -> Result<ModelResult> {
        let members = Member::all(self.config);
        if let (Some(done), true) = (self.dir.read_json(RAW)?, self.dir.path(DYNAMICS).is_file()) {
            console::status(format_args!("{DYNAMICS} is there already: its runs are not repeated"));
            self.note_if_gone(self.kind.first_model(), RAW);
            self.forget_recordings(&members)?;
            return Ok(done);
        }
        let opening = self.opening();
        let main = || members.iter().map(|m| self.main_run(m, &opening)).collect::<Result<Vec<Written>>>();
        let with_samples = if self.kind == JobKind::TrainWithoutThresholds { &[][..] } else { &members };
        let threshold =
            |last: u32| with_samples.iter().map(|m| self.threshold_run(m, last)).collect::<Result<Vec<_>>>();
        let epochs = self.config.epochs;
        let last_of_use = || match last_epoch.filter(|_| !with_samples.is_empty()) {
            Some(last_epoch) => Ok(last_epoch(self.settings_for(&members)?).clamp(1, epochs)),
            None => Ok::<u32, anyhow::Error>(epochs),
        };
        let (main, threshold, last) = if self.options.parallel_runs {
            // The needed epochs are known only when the main run has ended, so the threshold run does all epochs.
            let (main, threshold) = side_by_side(main, || threshold(epochs), interrupt::request)?;
            let last = last_of_use()?;
            (main, threshold, last)
        } else {
            let main = main()?;
            let last = last_of_use()?;
            let threshold = threshold(last)?;
            (main, threshold, last)
        };
        self.join(&members, &main, &threshold, last)?;
        self.forget_recordings(&members)?;
        self.dir.read_json(RAW)?.with_context(|| format!("{} is gone", self.dir.path(RAW).display()))
    }

    /// Does one training of the first stage, if it is not done yet. The main runs must be done before a threshold run
    /// that ends with the window.
    pub(super) fn record_one(&self, kind: RunKind, number: u32, last_epoch: Option<LastEpoch>) -> Result<()> {
        let members = Member::all(self.config);
        let member = members.iter().find(|member| member.number == number).context("there is no such member")?;
        if self.dir.path(RAW).is_file() && self.dir.path(DYNAMICS).is_file() {
            console::status(format_args!("{DYNAMICS} is there already: its runs are not repeated"));
            return Ok(());
        }
        match kind {
            RunKind::Main => self.main_run(member, &self.opening()).map(drop),
            RunKind::Threshold => {
                let last = match last_epoch {
                    Some(last_epoch) => last_epoch(self.settings_for(&members)?).clamp(1, self.config.epochs),
                    None => self.config.epochs,
                };
                self.threshold_run(member, last).map(drop)
            }
        }
    }

    fn opening(&self) -> Vec<u8> {
        let info = RunInfo {
            name: self.name(),
            written_by: concat!("DynClean trainer ", env!("CARGO_PKG_VERSION")).to_owned(),
            encoder: self.config.encoder.clone(),
            seed: self.config.seed,
            negatives: self.config.negatives,
            max_span_width: self.config.max_span_width,
            settings: self.config.describe(),
        };
        let gold = self.gold.as_ref().map(|gold| gold.entities.as_slice());
        let mut opening = dyn_file::begin(&info, &self.train.corpus, gold);
        opening.extend(dyn_file::contradicted(&self.contradicted));
        opening
    }

    fn main_run(&self, member: &Member, opening: &[u8]) -> Result<Written> {
        let title = member.title(RunKind::Main);
        let stage = self.stage(&title, &self.train.corpus, &member.config);
        let stage = Stage { patience: None, ..stage };
        let n_types = stage.n_labels - 1;
        let all: Vec<u32> = (0..self.train.corpus.n_sentences() as u32).collect();
        let name = member.name(RunKind::Main);
        if member.number == 1 && !self.dir.path(RAW).is_file() {
            self.dir.remove(&done_file(&name))?;
        }
        let training = MemberTraining { name, stage, opening: opening.to_vec() };
        let folder = self.dir.path(CHECKPOINTS);
        let epoch = |end: &EpochEnd, file: &mut GrowingFile| {
            let index = &self.train.inputs.index;
            let mut columns = EpochColumns::create(&folder, index.len(), n_types)?;
            self.each_recorded(end, &all, |part, rows| {
                let first = part.first().map_or(0, |&sentence| index.of_sentence(sentence).start);
                columns.take(first as usize, rows)
            })?;
            let score = dyn_file::score(RunKind::Main, end.score);
            file.append(columns.section(RunKind::Main, end.score.epoch)?.chain(score.as_slice()))
        };
        // With an ensemble, too, the cleaned model is compared with a single model: the first member's.
        self.write_down(training, all.len(), epoch, |trained| match member.number {
            1 => self.dir.write_json(RAW, &self.result(trained, self.kind.first_model())?).map(|_| ()),
            _ => Ok(()),
        })
    }

    /// Forgets a finished run with threshold samples if it has fewer epochs than are needed. An earlier start with
    /// another window may have done it.
    fn forget_if_short(&self, name: &str, last_epoch: u32) -> Result<()> {
        let Some(written) = self.dir.read_json::<Written>(&done_file(name))? else { return Ok(()) };
        if self.threshold_part(name, &written)?.1.len() < last_epoch as usize {
            console::note(format_args!("the run with threshold samples is repeated: the window needs more epochs now"));
            self.dir.remove(&done_file(name))?;
        }
        Ok(())
    }

    /// Trains with threshold samples and records their logits. The model is not kept, so dev is not scored and no
    /// best weights are stored.
    fn threshold_run(&self, member: &Member, last_epoch: u32) -> Result<Written> {
        let title = member.title(RunKind::Threshold);
        self.forget_if_short(&member.name(RunKind::Threshold), last_epoch)?;
        let stage = self.stage(&title, &self.train.corpus, &member.config);
        let mut stage = Stage { dev: None, last_epoch, ..stage };
        let n_types = stage.n_labels - 1;
        let labels: Vec<Option<u16>> = stage.targets.iter().map(|t| t.map(|t| t as u16)).collect();
        // All members get the same samples, because otherwise their logits could not be averaged.
        let samples = draw(&labels, n_types, self.config.scheme, &mut stream(self.config.seed, "threshold samples"));
        for (&span, &label) in samples.spans.iter().zip(&samples.assigned) {
            stage.targets[span as usize] = Some(u32::from(label));
        }
        // One more label: the extra class.
        stage.n_labels += 1;
        let n_labels = stage.n_labels;
        let opening = dyn_file::samples(self.config.scheme, &samples.spans, &samples.assigned);
        let mut sentences: Vec<u32> =
            samples.spans.iter().filter_map(|&s| self.train.inputs.index.span(s)).map(|s| s.sentence).collect();
        sentences.dedup();
        let training = MemberTraining { name: member.name(RunKind::Threshold), stage, opening };
        let epoch = |end: &EpochEnd, file: &mut GrowingFile| {
            let index = &self.train.inputs.index;
            let mut of_samples: Vec<f32> = Vec::new();
            self.each_recorded(end, &sentences, |part, rows| {
                let spans = part.iter().flat_map(|&sentence| index.of_sentence(sentence));
                let rows = spans.zip(rows.chunks_exact(n_labels));
                let of_sample = rows.filter(|(span, _)| samples.spans.binary_search(span).is_ok());
                of_samples.extend(of_sample.flat_map(|(_, row)| row));
                Ok(())
            })?;
            let logits = EpochLogits::from_rows(&of_samples, n_labels - 1, Precision::F16)?;
            file.append(dyn_file::epoch(RunKind::Threshold, end.score.epoch, &logits).as_slice())
        };
        self.write_down(training, sentences.len(), epoch, |_| Ok(()))
    }

    /// Calls `take` with sentences and the rows of their spans in the logits of an epoch. If the logits of training
    /// passes are recorded, there is one call for all sentences. Otherwise the model computes the logits of `sentences`
    /// now, part by part.
    fn each_recorded(
        &self,
        end: &EpochEnd,
        sentences: &[u32],
        mut take: impl FnMut(&[u32], &[f32]) -> Result<()>,
    ) -> Result<()> {
        if let Some(rows) = end.training_logits {
            let all: Vec<u32> = (0..self.train.corpus.n_sentences() as u32).collect();
            return take(&all, rows);
        }
        let mut parts = sentences.chunks(end.look.sentences_at_once());
        parts.try_for_each(|part| take(part, &end.look.logits(part, end.progress)?))
    }

    /// Trains and records. `passed_over` is the number of sentences that a recording pass looks at. `record_epoch`
    /// appends the logits of an epoch to the file. `finish` writes its files before the training counts as done.
    fn write_down(
        &self,
        training: MemberTraining,
        passed_over: usize,
        record_epoch: impl Fn(&EpochEnd, &mut GrowingFile) -> Result<()>,
        finish: impl FnOnce(&Trained) -> Result<()>,
    ) -> Result<Written> {
        let MemberTraining { name, stage, opening } = training;
        let stage = Stage { history: Some((&self.history, &name)), ..stage };
        let path = self.recording_path(&name);
        let done = done_file(&name);
        let damaged = |state: &str| {
            format!(
                "what {} recorded is not what it should be: delete {} and {} to repeat this training",
                stage.name,
                GrowingFile::partial(&path).display(),
                self.dir.path(state).display()
            )
        };
        if let Some(written) = self.dir.read_json::<Written>(&done)? {
            GrowingFile::go_back(&path, &written).with_context(|| damaged(&done))?;
            return Ok(written);
        }
        let (mut checkpoints, from) = self.checkpoints(&name, &stage)?;
        let mut file = match &from {
            Some(checkpoint) if checkpoint.position.recorded.bytes > 0 => {
                GrowingFile::go_back(&path, &checkpoint.position.recorded)
                    .with_context(|| damaged(&checkpoint_file(&name)))?
            }
            _ => {
                RunDir::open(&self.dir.path(CHECKPOINTS))?;
                let mut file = GrowingFile::create(&path)?;
                file.append(opening.as_slice())?;
                file
            }
        };
        let passed_over = match self.config.record {
            Record::Evaluation => passed_over,
            Record::Training => 0,
        };
        let trained = stage.train(&mut checkpoints, from, passed_over, |end| {
            record_epoch(&end, &mut file)?;
            Ok(file.written())
        })?;
        finish(&trained)?;
        let written = file.written();
        self.dir.write_json(&done, &written)?;
        self.forget(&name)?;
        Ok(written)
    }

    /// Returns the automatic settings for the dynamics on the distant labels, before there are threshold samples.
    fn settings_for(&self, members: &[Member]) -> Result<Settings> {
        // The files have no end yet, so they count as cut off. But they have all epochs.
        let all = members.iter().map(|member| Recording::open(&self.partial(&member.name(RunKind::Main))));
        let all = all.collect::<Result<Vec<_>>>()?;
        match all.as_slice() {
            [single] => Ok(single.settings()),
            all => Ok(all.first().context("there is no training")?.settings_of(&mean_of(all)?)),
        }
    }

    /// Joins all recordings to `dynamics.dyn`. The logits of an ensemble are averaged. Epochs of threshold samples
    /// after `last` are left out: an earlier start may have recorded more.
    fn join(&self, members: &[Member], main: &[Written], threshold: &[Written], last: u32) -> Result<()> {
        let mut threshold_parts = Vec::new();
        for (member, written) in members.iter().zip(threshold) {
            let (mut part, ends) = self.threshold_part(&member.name(RunKind::Threshold), written)?;
            part.truncate(ends.get(last.saturating_sub(1) as usize).copied().unwrap_or(part.len()));
            threshold_parts.push(part);
        }
        let partials: Vec<PathBuf> = members.iter().map(|member| self.partial(&member.name(RunKind::Main))).collect();
        let ([partial], [written]) = (partials.as_slice(), main) else {
            return self.join_ensemble(&partials, &threshold_parts);
        };
        write_whole_by(&self.dir.path(DYNAMICS), |file| {
            let part = File::open(partial).with_context(|| format!("cannot read {}", partial.display()))?;
            io::copy(&mut part.take(written.bytes), file)?;
            file.write_all(&threshold_parts.concat())?;
            Ok(file.write_all(&dyn_file::end())?)
        })
    }

    /// Returns the bytes that a training with threshold samples recorded, and where each epoch ends in them. The
    /// samples are few, so they fit in memory.
    fn threshold_part(&self, name: &str, written: &Written) -> Result<(Vec<u8>, Vec<usize>)> {
        let partial = self.partial(name);
        let mut part = std::fs::read(&partial).with_context(|| format!("cannot read {}", partial.display()))?;
        part.truncate(usize::try_from(written.bytes).unwrap_or(usize::MAX));
        let ends = dyn_file::epoch_ends(&part).with_context(|| partial.display().to_string())?;
        Ok((part, ends))
    }

    /// Averages the recordings of an ensemble, block by block.
    fn join_ensemble(&self, main: &[PathBuf], threshold: &[Vec<u8>]) -> Result<()> {
        let threshold = threshold.iter().map(Vec::as_slice).chain(iter::repeat(&[][..]));
        let all = main.iter().zip(threshold).map(|(path, threshold)| Recording::open_with(path, threshold));
        let all = all.collect::<Result<Vec<_>>>()?;
        let mean = mean_of(&all)?;
        let folder = self.dir.path(CHECKPOINTS);
        let (n_spans, n_types) = (self.train.inputs.index.len(), self.train.corpus.labels.n_types());
        let create = |_| EpochColumns::create(&folder, n_spans, n_types);
        let mut epochs = mean.run.epochs.iter().map(create).collect::<Result<Vec<_>>>()?;
        for first in (0..n_spans).step_by(BLOCK) {
            let block = first..(first + BLOCK).min(n_spans);
            let runs = all.iter().map(|recording| recording.run_of(block.clone())).collect::<Result<Vec<_>>>()?;
            let run = ensemble::mean_run(&runs.iter().collect::<Vec<_>>())?;
            for (columns, logits) in epochs.iter_mut().zip(&run.epochs) {
                columns.take_logits(first, logits)?;
            }
        }
        write_whole_by(&self.dir.path(DYNAMICS), |file| {
            file.write_all(&dyn_file::begin(&mean.info, &mean.corpus, mean.gold.as_deref()))?;
            file.write_all(&dyn_file::contradicted(&mean.contradicted))?;
            let mut scores = mean.run.scores.iter();
            for (columns, epoch) in epochs.into_iter().zip(1..) {
                io::copy(&mut columns.section(RunKind::Main, epoch)?, file)?;
                if let Some(&score) = scores.next() {
                    file.write_all(&dyn_file::score(RunKind::Main, score))?;
                }
            }
            if let Some(threshold) = &mean.threshold_run {
                file.write_all(&dyn_file::threshold_run(threshold))?;
            }
            Ok(file.write_all(&dyn_file::end())?)
        })
    }

    /// Returns the path where a training records, without `.partial`.
    fn recording_path(&self, name: &str) -> PathBuf {
        self.dir.path(&if name == "raw" { DYNAMICS.to_owned() } else { format!("{CHECKPOINTS}/{name}.dyn") })
    }

    /// Returns the path of the file into which a training records.
    fn partial(&self, name: &str) -> PathBuf {
        GrowingFile::partial(&self.recording_path(name))
    }

    /// Removes the recordings that `dynamics.dyn` was built from.
    fn forget_recordings(&self, members: &[Member]) -> Result<()> {
        for name in members.iter().flat_map(|m| [RunKind::Main, RunKind::Threshold].map(|kind| m.name(kind))) {
            // First remove the file that says that the recording is whole.
            self.dir.remove(&done_file(&name))?;
            let partial = self.partial(&name);
            if partial.exists() {
                std::fs::remove_file(&partial).with_context(|| format!("cannot remove {}", partial.display()))?;
            }
            self.forget(&name)?;
        }
        Ok(())
    }
}

/// Returns the mean of the recordings of an ensemble. Its main run has the rows of positives only.
fn mean_of(all: &[Recording]) -> Result<Dynamics> {
    Ok(ensemble::mean(&all.iter().map(|recording| &recording.dynamics).collect::<Vec<_>>())?)
}

/// Returns the name of the file that says that a training is done, and what it recorded.
pub(super) fn done_file(name: &str) -> String {
    format!("{CHECKPOINTS}/{name}.json")
}
