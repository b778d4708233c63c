//! `trainer inspect`.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::Value;
use shared::cleaning::CleaningSummary;
use shared::corpus::decision::Side;
use shared::detection::estimate::Estimate;
use shared::evaluation::quality::{NoiseDetection, detect};
use shared::metrics::Window;
use shared::recording::dynamics::{Negatives, SampleScheme};
use trainer::data::inspect;
use trainer::data::span_table::{SpanTable, TableFormat};

use super::cleaning::{CleaningOptions, Detail, Opened, open};
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
    /// The dynamics file, or a folder with its parts
    #[arg(value_name = "RUN.dyn")]
    dynamics: PathBuf,
    #[command(flatten)]
    output: Output,
    /// Also write a table with one row per span (labels, metrics, decision). The name's ending chooses CSV or Parquet; a
    /// name that ends with / is a folder of Parquet files
    #[arg(long, value_name = "OUT.csv|OUT.parquet|DIR/")]
    spans: Option<PathBuf>,
    #[command(flatten)]
    cleaning: CleaningOptions,
}

pub fn carry_out(args: &Inspect) -> Result<()> {
    check_distinct([&args.dynamics], &args.spans)?;
    let table = args.spans.as_deref().map(|out| usage(TableFormat::of(out).map(|format| (out, format)))).transpose()?;
    let detail = if table.is_some() { Detail::All } else { Detail::Decisions };
    let opened = open(&args.dynamics, &args.cleaning, None, detail)?;
    let Opened { file, judge, decisions } = &opened;
    let decided = decisions.resolve(judge, &file.dynamics.corpus.labels)?;
    let summary = CleaningSummary::new(judge, &decisions.settings, &decided, &file.dynamics.corpus.labels);
    let judgement = judge.under(&decisions.settings);
    let noise = file.dynamics.dense_gold(&judge.index).map(|gold| detect(&judgement, &decided, &gold));
    let description = inspect::describe(file, judge, &decisions.settings, &summary, noise);
    if let Some((out, format)) = table {
        SpanTable::new(file, judge, &decided).write(out, format)?;
    }
    args.output.result(&description, || text(args, &opened, &description, &summary, noise))
}

fn text(
    args: &Inspect,
    opened: &Opened,
    description: &Value,
    summary: &CleaningSummary,
    noise: Option<NoiseDetection>,
) -> String {
    let Opened { file, judge, decisions } = opened;
    let info = &file.dynamics.info;
    let figure = |name: &str| description.get(name).map_or(String::new(), Value::to_string);
    let mut text = format!("{}  (digest {})\n", args.dynamics.display(), file.digest);
    let _ = writeln!(text, "  {} · encoder {} · seed {}", info.name, info.encoder, info.seed);
    let _ = writeln!(
        text,
        "  {} sentences · {} tokens · {} candidate spans of up to {} tokens · epochs: {} · gold: {}",
        figure("sentences"),
        figure("tokens"),
        figure("spans"),
        info.max_span_width,
        figure("epochs"),
        if file.dynamics.gold.is_some() { "yes" } else { "no" }
    );
    let negatives = match info.negatives {
        Negatives::All => "all",
        Negatives::Top => "those most like the positives",
    };
    let _ = writeln!(text, "  negatives in the loss: {negatives}");
    if let Some(run) = &file.dynamics.threshold_run {
        let scheme = match run.scheme {
            SampleScheme::FakeClass => "all with an extra class",
            SampleScheme::FakeClassPositives => "positives with an extra class, negatives with a random type",
            SampleScheme::RandomOther => "with a random label other than their own",
        };
        let _ = writeln!(text, "  threshold samples: {}, {scheme}", run.spans.len());
    }
    let dev: Vec<String> = file.dynamics.run.scores.iter().map(|s| format!("{:.1}", 100.0 * s.dev.f1)).collect();
    if !dev.is_empty() {
        let _ = writeln!(text, "  dev F1 by epoch: {}", dev.join(", "));
    }
    for (name, value) in &info.settings {
        let _ = writeln!(text, "  {name}: {value}");
    }
    let Window { first, last } = judge.window;
    // A window may end after the last recorded epoch.
    let last = last.min(file.dynamics.run.epochs.len() as u32);
    let _ = writeln!(text, "  judged by {} over epochs {first}–{last}", judge.metric.name());
    if let Some(capitals) = judge.capitals() {
        let _ = writeln!(text, "  {capitals}");
    }
    let judgement = judge.under(&decisions.settings);
    for (name, side) in [("positives", Side::Positives), ("negatives", Side::Negatives)] {
        let _ = writeln!(text, "  {}", inspect::threshold_line(name, judgement.thresholds().of(side)));
        if let Some(estimate) = Estimate::new(&judgement, side) {
            let _ = writeln!(text, "  {}", inspect::estimate_line(&estimate));
        }
    }
    let judged = judgement.judged_wrong(Side::Positives).len();
    let by_dev = judgement.changed(Side::Positives).len().saturating_sub(judged);
    if by_dev > 0 {
        let _ = writeln!(text, "  other positives that dev contradicts: {by_dev}");
    }
    for (name, threshold) in &judgement.thresholds().classes {
        let _ = writeln!(text, "  {}", inspect::threshold_line(name, *threshold));
    }
    if let Some(noise) = noise {
        for (name, found) in [("wrong entities", noise.false_positives), ("missed entities", noise.false_negatives)] {
            let (prf, ap) = (found.prf, found.average_precision);
            let _ = writeln!(
                text,
                "  against gold, {name}: P {:.3}  R {:.3}  F1 {:.3}  average precision {ap:.3}",
                prf.precision, prf.recall, prf.f1
            );
        }
    }
    let width = summary.counts.iter().map(|c| c.label.chars().count()).max().unwrap_or(0);
    for c in &summary.counts {
        let _ = writeln!(
            text,
            "  {:<width$} {:>9} spans, {:>6} removed, {:>6} relabelled",
            c.label, c.total, c.removed, c.relabelled
        );
    }
    text
}
