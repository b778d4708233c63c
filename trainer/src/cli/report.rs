//! `trainer report`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde::Deserialize;
use serde_json::json;
use shared::report::{self, Outcome, Tried};
use trainer::results::TestScores;
use trainer::run_dir::write_whole;
use trainer::text_input::is_standard;

use super::cleaning::{CleaningOptions, Opened, open};
use super::failure::input;
use super::output::{self, Output, check_distinct};

/// Write the report about a dynamics file: one HTML file, no network needed.
///
/// Without --decisions, thresholds are automatic, or as the options say. It is
/// the report that `trainer run` writes and the page exports.
///
/// Examples:
///   trainer report run/dynamics.dyn --out report.html
///   trainer report run/dynamics.dyn --decisions decisions.json \
///       --metrics run/metrics.json --out report.html
///   trainer report run/dynamics.dyn --threshold paper --out paper.html
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Report {
    /// The dynamics file
    #[arg(value_name = "RUN.dyn")]
    dynamics: PathBuf,
    /// The HTML file to write, or - for standard output
    #[arg(long, value_name = "FILE|-")]
    out: PathBuf,
    /// Decisions exported from the page
    #[arg(long, value_name = "FILE", conflicts_with = "CleaningOptions")]
    decisions: Option<PathBuf>,
    /// metrics.json of the run: adds the test scores before and after cleaning
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    cleaning: CleaningOptions,
}

pub fn carry_out(args: &Report) -> Result<()> {
    args.output.check(&args.out)?;
    check_distinct([&args.dynamics].into_iter().chain(&args.decisions).chain(&args.metrics), [&args.out])?;
    let Opened { file, judge, decisions } = open(&args.dynamics, &args.cleaning, args.decisions.as_deref())?;
    let outcome = args.metrics.as_deref().map(|metrics| input(outcome(metrics))).transpose()?;
    let about =
        report::Input { dynamics: &file.dynamics, judge: &judge, decisions: &decisions, outcome: outcome.as_ref() };
    let html = report::html(&about)?;
    if is_standard(&args.out) {
        return output::write(html);
    }
    write_whole(&args.out, html)?;
    let out = args.out.display();
    args.output.done(&json!({ "out": args.out }), format_args!("{out}: open it in a browser"))
}

/// The test scores of a run.
fn outcome(metrics: &Path) -> Result<Outcome> {
    #[derive(Deserialize)]
    struct Metrics {
        test: TestScores,
        #[serde(default)]
        sweep: Vec<Tried>,
    }
    let json = std::fs::read(metrics).with_context(|| format!("cannot read {}", metrics.display()))?;
    let Metrics { test, sweep } = serde_json::from_slice(&json)
        .with_context(|| format!("{} is not the metrics.json of a `trainer run`", metrics.display()))?;
    Ok(Outcome { raw: test.raw, cleaned: test.cleaned, gold: test.gold, oracle: test.oracle, tried: sweep })
}
