//! Compares training with PyTorch: the same weights and sentences in the same batches, in turns. It runs on one
//! CPU thread or on a GPU.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::python_with;
use crate::{
    layout::Layout,
    process::{cargo, output},
    steps::Steps,
};

#[derive(clap::Args)]
pub struct Args {
    /// Model folder in Hugging Face layout
    #[arg(long, value_name = "DIR")]
    encoder: PathBuf,
    /// Sentences with distant labels [default: the bundled sample]
    #[arg(long, value_name = "FILE")]
    corpus: Option<PathBuf>,
    /// Number of sentences to take from it
    #[arg(long, default_value_t = 320, value_name = "N")]
    sentences: usize,
    /// Sentences per batch [default: 16; on a GPU 32]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Device for both sides: cpu, or cuda (then the wall-clock time counts)
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    device: String,
    /// Number of turns; the best turn of each side counts
    #[arg(long, default_value_t = 3, value_name = "N")]
    rounds: usize,
    /// A Python with torch (2.3 or later) and safetensors [default: python3]
    #[arg(long, value_name = "PROGRAM")]
    python: Option<PathBuf>,
    /// Also measure PyTorch with bf16 autocast; the trainer computes in bf16 on a GPU
    #[arg(long)]
    bf16: bool,
}

/// What one turn of a program printed.
#[derive(Deserialize)]
pub struct Measured {
    pub training: Times,
    pub dynamics: Times,
    peak_mib: f64,
    /// Printed by our side only.
    #[serde(default)]
    sentences: usize,
    #[serde(default)]
    steps_per_epoch: usize,
}

#[derive(Deserialize, Clone, Copy)]
pub struct Times {
    cpu_s_per_epoch: f64,
    pub wall_s_per_epoch: f64,
}

impl Args {
    fn is_on_gpu(&self) -> bool {
        self.device != "cpu"
    }

    /// Returns the time that counts.
    fn seconds(&self, times: Times) -> f64 {
        if self.is_on_gpu() { times.wall_s_per_epoch } else { times.cpu_s_per_epoch }
    }

    fn bench(&self, layout: &Layout) -> Command {
        let mut command = cargo();
        command.args(["bench", "--quiet", "--package", "trainer", "--bench", "train"]).current_dir(&layout.root);
        if self.is_on_gpu() {
            command.args(["--profile=published", "--features=cuda"]);
        } else {
            command.env("RAYON_NUM_THREADS", "1");
        }
        command
    }
}

/// The best figures of several turns.
#[derive(Clone, Copy)]
struct Best {
    training: f64,
    epoch: f64,
    peak_mib: f64,
}

impl Best {
    const NONE: Self = Self { training: f64::INFINITY, epoch: f64::INFINITY, peak_mib: f64::INFINITY };

    fn with(self, turn: &Measured, args: &Args) -> Self {
        let training = args.seconds(turn.training);
        Self {
            training: self.training.min(training),
            epoch: self.epoch.min(training + args.seconds(turn.dynamics)),
            peak_mib: self.peak_mib.min(turn.peak_mib),
        }
    }
}

pub fn run(layout: &Layout, args: &Args) -> Result<()> {
    let python = args.python.clone().or_else(|| python_with("torch, safetensors"));
    let python = python.context("no python3 with torch and safetensors; name one by --python")?;
    let folder = layout.logs().join("bench-train");
    let mut steps = Steps::new(layout, 3)?;
    steps.step("build", |_| {
        output(args.bench(layout).args(["--", "--help"]))?;
        Ok(((), "done".to_owned()))
    })?;
    let equal: Vec<OsString> = vec!["--equal".into(), "32".into()];
    steps
        .step("sentences of 32 pieces", |_| Ok(((), compare(layout, args, &python, &folder.join("equal"), &equal)?)))?;
    let mut natural: Vec<OsString> = Vec::new();
    if let Some(corpus) = &args.corpus {
        natural.extend(["--corpus".into(), corpus.into()]);
    }
    steps.step("natural text", |_| Ok(((), compare(layout, args, &python, &folder.join("natural"), &natural)?)))
}

/// Runs both sides in turns, and returns the results as text.
fn compare(layout: &Layout, args: &Args, python: &Path, folder: &Path, work: &[OsString]) -> Result<String> {
    let (mut ours, mut torch, mut bf16) = (Best::NONE, Best::NONE, Best::NONE);
    let (mut sentences, mut n_steps) = (0, 0);
    let script = layout.root.join("tests/peers/train_speed.py");
    for _ in 0..args.rounds.max(1) {
        let mut command = args.bench(layout);
        command.arg("--").args(work).arg("--encoder").arg(&args.encoder).arg("--export").arg(folder);
        let batch = args.batch.unwrap_or(if args.is_on_gpu() { 32 } else { 16 });
        command.arg("--sentences").arg(args.sentences.to_string()).arg("--batch").arg(batch.to_string());
        let turn = measured(command.arg("--device").arg(&args.device))?;
        (sentences, n_steps) = (turn.sentences, turn.steps_per_epoch);
        ours = ours.with(&turn, args);
        let peer = || {
            let mut command = Command::new(python);
            command.arg(&script).arg(folder).arg("--device").arg(&args.device);
            command
        };
        torch = torch.with(&measured(&mut peer())?, args);
        if args.bf16 {
            bf16 = bf16.with(&measured(peer().arg("--bf16"))?, args);
        }
    }
    let line = |name: &str, side: Best| {
        format!(
            "\n  {name:<13} {:7.1} ms a step ({:.2}), {:6.1} sentences/s; epoch with dynamics {:6.2} s ({:.2}); {:5.0} MiB",
            1e3 * side.training / n_steps as f64,
            side.training / torch.training,
            sentences as f64 / side.training,
            side.epoch,
            side.epoch / torch.epoch,
            side.peak_mib,
        )
    };
    let kind = if args.is_on_gpu() { "time on the wall" } else { "CPU time" };
    let mut text =
        format!("{kind} (as a share of that of PyTorch in f32)") + &line("trainer", ours) + &line("PyTorch f32", torch);
    if args.bf16 {
        text += &line("PyTorch bf16", bf16);
    }
    Ok(text)
}

/// Runs a program that prints its figures in the last line.
pub fn measured(command: &mut Command) -> Result<Measured> {
    let text = output(command)?;
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).with_context(|| format!("the benchmark printed {last:?} instead of figures"))
}
