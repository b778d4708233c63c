//! Runs our benchmarks and those of peers, on the same machine.

mod growth;
mod threads;
mod train;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    layout::Layout,
    page,
    process::{cargo, find, inherited, output},
    setup::{self, browser, wasm_std},
    steps::Steps,
};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Measure metrics, a new window and a change of threshold on 1.27 million spans: native, wasm, numpy
    Shared {
        /// Leave out wasm, which needs Node and wasm-bindgen
        #[arg(long)]
        native_only: bool,
    },
    /// Measure time and memory of judging and cleaning as recordings grow
    Growth(growth::Args),
    /// Measure how training and dynamics gain from more threads of the CPU
    Threads(threads::Args),
    /// Measure training and dynamics on one CPU thread or a GPU, against PyTorch with the same weights and batches
    Train(train::Args),
    /// Measure the page in headless Chromium on generated files of 1.27 and 10 million spans
    Web {
        /// Use only a file larger than a tab can hold: 20 million spans, 20 types, 6 epochs, about 5 GB of disk
        #[arg(long)]
        huge: bool,
    },
}

pub fn run(layout: &Layout, args: &Args) -> Result<()> {
    match &args.what {
        What::Shared { native_only } => shared(layout, *native_only),
        What::Growth(args) => growth::run(layout, args),
        What::Threads(args) => threads::run(layout, args),
        What::Train(args) => train::run(layout, args),
        What::Web { huge } => web(layout, *huge),
    }
}

fn shared(layout: &Layout, native_only: bool) -> Result<()> {
    let mut steps = Steps::new(layout, if native_only { 2 } else { 5 })?;
    steps.step("native", |_| {
        inherited(figures().current_dir(&layout.root))?;
        Ok(((), "done".to_owned()))
    })?;
    steps.step("numpy", |_| Ok(((), against_numpy(layout)?)))?;
    if native_only {
        return Ok(());
    }
    wasm_std::ensure(layout, &mut steps)?;
    setup::wasm_bindgen(layout, &mut steps)?;
    steps.step("wasm", |_| {
        let mut command = figures();
        command
            // Uses the profile of the page.
            .args(["--profile", "web", "--target", wasm_std::TARGET])
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", "wasm-bindgen-test-runner")
            .env("PATH", layout.search_path()?);
        inherited(command.current_dir(&layout.root)).context("the figures in wasm need Node on PATH")?;
        Ok(((), "done".to_owned()))
    })
}

fn web(layout: &Layout, huge: bool) -> Result<()> {
    // Two steps for std and the browser, three for the page, the trainer and the figures.
    let mut steps = Steps::new(layout, setup::PAGE_TOOL_STEPS + 5)?;
    wasm_std::ensure(layout, &mut steps)?;
    setup::page_tools(layout, &mut steps)?;
    let browser = browser::ensure(&mut steps)?;
    page::build(layout, &mut steps)?;
    steps.step("trainer", |step| {
        step.run(cargo().args(["build", "--release", "--package", "trainer"]).current_dir(&layout.root))?;
        Ok(((), "built".to_owned()))
    })?;
    steps.step("figures of the page", |_| {
        let mut command = cargo();
        command
            .args(["test", "--release", "--package", "tests", "--test", "page", "--"])
            // Runs one test at a time, because generating one file would slow down the other test.
            .args(["--test-threads", "1", "--ignored", "--nocapture"])
            .args(if huge { &["speed::more_than"][..] } else { &["speed::", "--skip", "more_than"] })
            .current_dir(&layout.root)
            .env("DYNCLEAN_TRAINER", layout.trainer())
            .env("DYNCLEAN_DIST", layout.dist())
            .env("CHROMIUM", &browser.chromium)
            .env("CHROMEDRIVER", &browser.driver);
        inherited(&mut command)?;
        Ok(((), "done".to_owned()))
    })
}

fn figures() -> Command {
    let mut command = cargo();
    command.args(["bench", "--package", "explorer", "--bench", "figures"]);
    command
}

/// Compares our median with the median of vectorised numpy.
fn against_numpy(layout: &Layout) -> Result<String> {
    let Some(python) = python_with("numpy") else {
        return Ok("skipped: no python3 with numpy (Debian: apt-get install python3-numpy)".to_owned());
    };
    let script = layout.root.join("tests/peers/metrics_speed.py");
    let numpy: f64 = output(Command::new(python).arg(script))?.parse().context("the script printed no time")?;
    let ours = median_ms(&layout.criterion().join("metrics/new/estimates.json"))?;
    Ok(format!("all metrics: ours {ours:.1} ms, numpy {numpy:.1} ms of CPU time, {:.1} times as long", numpy / ours))
}

/// Returns a Python that has this module.
fn python_with(module: &str) -> Option<PathBuf> {
    // Debian's package is for Debian's own Python, which may not be the first one on PATH.
    let candidates = find("python3").into_iter().chain([PathBuf::from("/usr/bin/python3")]);
    candidates.into_iter().find(|python| output(Command::new(python).args(["-c", &format!("import {module}")])).is_ok())
}

/// Returns criterion's median of one benchmark, in milliseconds.
fn median_ms(estimates: &Path) -> Result<f64> {
    let text = fs::read_to_string(estimates).with_context(|| format!("cannot read {}", estimates.display()))?;
    let json: serde_json::Value = serde_json::from_str(&text)?;
    let nanoseconds = json["median"]["point_estimate"].as_f64();
    Ok(nanoseconds.with_context(|| format!("no median in {}", estimates.display()))? / 1e6)
}
