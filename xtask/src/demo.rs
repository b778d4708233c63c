//! The whole method on the bundled sample, then the page with the run opened.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    layout::Layout,
    page,
    process::{cargo, inherited},
    setup::{self, wasm_std},
    steps::Steps,
};

/// The sample is the same for every run; `--seed` varies the training.
const SAMPLE_SEED: &str = "1";
const TRAIN: &str = "train-distant.json";
const GOLD: &str = "train-gold.json";
const DEV: &str = "dev.json";
const TEST: &str = "test.json";
/// What the trainer writes last: with these, a run is complete.
const RUN_FILES: [&str; 3] = ["dynamics.dyn", "metrics.json", "report.html"];

#[derive(clap::Args)]
pub struct Args {
    /// Port of the served page
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Seed of the training
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Train again even if this seed's run is complete
    #[arg(long)]
    fresh: bool,
}

pub fn run(layout: &Layout, args: &Args) -> Result<()> {
    let mut steps = Steps::new(layout, 1 + setup::PAGE_TOOL_STEPS + 4)?;
    wasm_std::ensure(layout, &mut steps)?;
    setup::page_tools(layout, &mut steps)?;
    page::build(layout, &mut steps)?;
    steps.step("trainer", |step| {
        step.say("building");
        step.run(cargo().args(["build", "--release", "--package", "trainer"]).current_dir(&layout.root))?;
        Ok(((), "built".to_owned()))
    })?;
    let folders = Folders::new(layout, args.seed);
    sample(layout, &mut steps, &folders)?;
    train(layout, &mut steps, &folders, args)?;
    steps.summary();
    serve(layout, &folders, args.port)
}

struct Folders {
    data: PathBuf,
    run: PathBuf,
}

impl Folders {
    fn new(layout: &Layout, seed: u64) -> Self {
        let demo = layout.root.join("runs/demo");
        Self { data: demo.join("sample"), run: demo.join(format!("seed-{seed}")) }
    }
}

fn sample(layout: &Layout, steps: &mut Steps, folders: &Folders) -> Result<()> {
    steps.step("sample corpus", |step| {
        let sample = &folders.data;
        step.run(
            Command::new(layout.trainer())
                .args(["sample", "--seed", SAMPLE_SEED, "--out"])
                .arg(sample)
                .current_dir(&layout.root),
        )?;
        Ok(((), format!("in {}", layout.shown(sample))))
    })
}

fn train(layout: &Layout, steps: &mut Steps, folders: &Folders, args: &Args) -> Result<()> {
    steps.step("train, clean, retrain", |step| {
        let run = &folders.run;
        if !args.fresh && has_all(run, &RUN_FILES) {
            let news = format!("already there: {}; --fresh trains again", layout.shown(run));
            return Ok(((), news));
        }
        if args.fresh && run.exists() {
            // Else the trainer would resume it.
            std::fs::remove_dir_all(run).with_context(|| format!("cannot clear {}", run.display()))?;
        }
        step.say(&format!("in {}", layout.shown(run)));
        let data = |name: &str| folders.data.join(name);
        // On our terminal: the trainer has progress bars of its own.
        inherited(
            Command::new(layout.trainer())
                .arg("run")
                .arg("--train")
                .arg(data(TRAIN))
                .arg("--train-gold")
                .arg(data(GOLD))
                .arg("--dev")
                .arg(data(DEV))
                .arg("--test")
                .arg(data(TEST))
                .args(["--encoder", "builtin", "--seed", &args.seed.to_string(), "--out"])
                .arg(run)
                .current_dir(&layout.root),
        )?;
        Ok(((), format!("done, in {}", layout.shown(run))))
    })
}

fn has_all(folder: &Path, files: &[&str]) -> bool {
    files.iter().all(|file| folder.join(file).is_file())
}

/// Serves until Ctrl-C; the trainer prints the address.
fn serve(layout: &Layout, folders: &Folders, port: u16) -> Result<()> {
    let mut server = Command::new(layout.trainer());
    server
        .args(["serve", "--port", &port.to_string(), "--page"])
        .arg(layout.dist())
        .arg("--run")
        .arg(&folders.run)
        .current_dir(&layout.root);
    become_child(&mut server)
}

/// The server takes our place, so that whoever ends us ends it.
#[cfg(unix)]
fn become_child(command: &mut Command) -> Result<()> {
    use std::os::unix::process::CommandExt;
    Err(command.exec()).context("cannot start the trainer's server")
}

#[cfg(not(unix))]
fn become_child(command: &mut Command) -> Result<()> {
    inherited(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_complete_with_all_its_files() {
        let run = tempfile::tempdir().unwrap();
        for file in RUN_FILES {
            assert!(!has_all(run.path(), &RUN_FILES));
            std::fs::write(run.path().join(file), "").unwrap();
        }
        assert!(has_all(run.path(), &RUN_FILES));
    }
}
