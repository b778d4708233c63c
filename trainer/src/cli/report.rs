//! `trainer report`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde::Deserialize;
use serde_json::json;
use shared::detection::threshold::Settings;
use shared::report::{Course, Findings, Outcome, TestScores, Tried};
use trainer::console;
use trainer::data::text_input::is_standard;
use trainer::files::write_whole;

use super::cleaning::{CleaningOptions, Detail, Opened, open};
use super::failure::input;
use super::output::{self, Output, check_distinct};

/// Write the report about a dynamics file: one HTML file that needs no network.
///
/// With the decisions.json and the metrics.json of a run, this is the report
/// that the run wrote. Without --decisions, thresholds are automatic or as the
/// options say; what the run chose on dev may differ.
///
/// Examples:
///   trainer report run/dynamics.dyn --out report.html
///   trainer report run/dynamics.dyn --decisions run/decisions.json \
///       --metrics run/metrics.json --out report.html
///   trainer report run/dynamics.dyn --threshold paper --out paper.html
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Report {
    /// The dynamics file, or a folder with its parts
    #[arg(value_name = "RUN.dyn")]
    dynamics: PathBuf,
    /// The HTML file to write, or - for standard output
    #[arg(long, value_name = "FILE|-")]
    out: PathBuf,
    /// Decisions of a run, or exported from the page
    #[arg(long, value_name = "FILE", conflicts_with = "CleaningOptions")]
    decisions: Option<PathBuf>,
    /// metrics.json of the run; it adds the test scores before and after cleaning
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
    let Opened { file, judge, decisions } =
        open(&args.dynamics, &args.cleaning, args.decisions.as_deref(), Detail::All)?;
    let outcome = args.metrics.as_deref().map(|metrics| input(outcome(metrics, &decisions.settings))).transpose()?;
    let findings = input(Findings::new(&file.dynamics, &judge, &decisions).map_err(Into::into))?;
    let html = findings.html(outcome.as_ref())?;
    if is_standard(&args.out) {
        return output::write(html);
    }
    write_whole(&args.out, html)?;
    let out = args.out.display();
    args.output.done(&json!({ "out": args.out }), format_args!("{out}: open it in a browser"))
}

/// Reads the test scores of a run. Warns if the run's settings are not the settings in force.
fn outcome(metrics: &Path, in_force: &Settings) -> Result<Outcome> {
    #[derive(Deserialize)]
    struct Metrics {
        settings: Settings,
        test: TestScores,
        #[serde(default)]
        sweep: Vec<Tried>,
        #[serde(default)]
        trainings: Vec<Course>,
    }
    let json = std::fs::read(metrics).with_context(|| format!("cannot read {}", metrics.display()))?;
    let Metrics { settings, test, sweep, trainings } = serde_json::from_slice(&json)
        .with_context(|| format!("{} is not the metrics.json of a `trainer run`", metrics.display()))?;
    if settings != *in_force {
        console::warning(format_args!(
            "the scores in {} belong to labels cleaned with other settings than this report shows: give that run's \
             decisions.json as --decisions",
            metrics.display()
        ));
    }
    Ok(Outcome { test, tried: sweep, courses: trainings })
}
