//! Runs `trainer demo` with a page built from here.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::{
    layout::Layout,
    page,
    process::{cargo, logged},
    setup::{self, wasm_std},
    steps::Steps,
};

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
    let mut steps = Steps::new(layout, 1 + setup::PAGE_TOOL_STEPS + 2)?;
    let folder = layout.root.join("runs/demo");
    let run = folder.join(format!("seed-{}", args.seed));
    if args.fresh && run.exists() {
        // Otherwise the trainer would resume the run.
        fs::remove_dir_all(&run).with_context(|| format!("cannot clear {}", run.display()))?;
    }
    let demo = || {
        let mut demo = Command::new(layout.trainer());
        demo.args(["demo", "--seed", &args.seed.to_string(), "--port", &args.port.to_string(), "--page"]);
        demo.arg(layout.dist()).arg("--out").arg(layout.shown(&folder).to_string()).current_dir(&layout.root);
        demo
    };
    // Both builds end with a part that uses one core only. They end together if the page gets fewer of the cores,
    // because the trainer has twice as much to compile.
    let build_and_train = |log: &Path| {
        let mut build = cargo();
        build.args(["build", "--release", "--package", "trainer"]).current_dir(&layout.root);
        logged(&mut build, log, |_| ())?;
        logged(demo().arg("--train-only"), log, |_| ())
    };
    steps.beside("trainer and run", "built, and trained on the sample", build_and_train, |steps| {
        wasm_std::ensure(layout, steps)?;
        setup::page_tools(layout, steps)?;
        page::build_in_background(layout, steps)
    })?;
    steps.summary();
    // It prints the result, and serves until Ctrl-C.
    become_child(&mut demo())
}

/// Replaces this process by the trainer, so that a signal to this process ends the trainer.
#[cfg(unix)]
fn become_child(command: &mut Command) -> Result<()> {
    use std::os::unix::process::CommandExt;
    Err(command.exec()).context("cannot start the trainer")
}

#[cfg(not(unix))]
fn become_child(command: &mut Command) -> Result<()> {
    crate::process::inherited(command)
}
