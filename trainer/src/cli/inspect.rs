//! `trainer inspect`.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::Value;
use shared::cleaning::CleaningSummary;
use shared::judge::Side;
use shared::quality::Estimate;
use trainer::inspect;
use trainer::span_table::{SpanTable, TableFormat};

use super::cleaning::{CleaningOptions, Opened, open};
use super::failure::usage;
use super::output::{Output, check_distinct};

/// Show what a dynamics file holds.
///
/// Examples:
///   trainer inspect run/dynamics.dyn
///   trainer inspect run/dynamics.dyn --json
///   trainer inspect run/dynamics.dyn --spans spans.csv
///   trainer inspect run/dynamics.dyn --spans spans.parquet
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Inspect {
    /// The dynamics file
    #[arg(value_name = "RUN.dyn")]
    dynamics: PathBuf,
    #[command(flatten)]
    output: Output,
    /// Also write one row per span (labels, metrics, decision), as CSV or Parquet by the name's ending
    #[arg(long, value_name = "OUT.csv|OUT.parquet")]
    spans: Option<PathBuf>,
    #[command(flatten)]
    cleaning: CleaningOptions,
}

pub fn carry_out(args: &Inspect) -> Result<()> {
    check_distinct(&[&args.dynamics], args.spans.as_deref())?;
    let table = args.spans.as_deref().map(|out| usage(TableFormat::of(out).map(|format| (out, format)))).transpose()?;
    let opened = open(&args.dynamics, &args.cleaning, None)?;
    let Opened { file, judge, decisions } = &opened;
    let decided = decisions.resolve(judge, &file.dynamics.corpus.labels)?;
    let summary = CleaningSummary::new(judge, &decisions.settings, &decided, &file.dynamics.corpus.labels);
    let description = inspect::describe(file, judge, &decisions.settings, &decided, &summary);
    if let Some((out, format)) = table {
        SpanTable::new(&file.dynamics, judge, &decided).write(out, format)?;
    }
    args.output.result(&description, || text(args, &opened, &description, &summary))
}

fn text(args: &Inspect, opened: &Opened, description: &Value, summary: &CleaningSummary) -> String {
    let Opened { file, judge, decisions } = opened;
    let info = &file.dynamics.info;
    let figure = |name: &str| description.get(name).map_or(String::new(), Value::to_string);
    let mut text = format!("{}  (digest {})\n", args.dynamics.display(), file.digest);
    let _ = writeln!(text, "  {} · encoder {} · seed {}", info.name, info.encoder, info.seed);
    let _ = writeln!(
        text,
        "  {} sentences · {} tokens · {} candidate spans · {} epochs · gold: {}",
        figure("sentences"),
        figure("tokens"),
        figure("spans"),
        figure("epochs"),
        if file.dynamics.gold.is_some() { "yes" } else { "no" }
    );
    for (name, value) in &info.settings {
        let _ = writeln!(text, "  {name}: {value}");
    }
    let window = judge.window;
    let _ = writeln!(text, "  judged by {} over epochs {}–{}", judge.metric.name(), window.first, window.last);
    let judgement = judge.under(&decisions.settings);
    for (name, side) in [("positives", Side::Positives), ("negatives", Side::Negatives)] {
        let _ = writeln!(text, "  {}", inspect::threshold_line(name, judgement.thresholds().of(side)));
        if let Some(estimate) = Estimate::new(&judgement, side) {
            let _ = writeln!(text, "  {}", inspect::estimate_line(&estimate));
        }
    }
    for (name, threshold) in &judgement.thresholds().classes {
        let _ = writeln!(text, "  {}", inspect::threshold_line(name, *threshold));
    }
    for c in &summary.counts {
        let _ = writeln!(
            text,
            "  {:<8} {:>9} spans, {:>6} removed, {:>6} relabelled",
            c.label, c.total, c.removed, c.relabelled
        );
    }
    text
}
