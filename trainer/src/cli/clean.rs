//! `trainer clean`.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use shared::cleaning::{CleaningSummary, clean, provenance};
use shared::corpus::Corpus;
use shared::corpus::decision::Side;
use shared::formats::WriteOptions;
use trainer::console;
use trainer::data::corpus_file::{self, CorpusOptions};
use trainer::data::inspect;
use trainer::data::recording::Recording;
use trainer::files::write_whole;

use super::cleaning::{CleaningOptions, Detail, Opened, open};
use super::corpora::CorpusArgs;
use super::failure::input;
use super::output::{Output, check_distinct, check_files};

/// Clean a corpus: change or remove the labels that are judged wrong.
///
/// The corpus must be the one that the dynamics file was recorded on. The
/// cleaned corpus has the same format. A removed span is marked as unknown, that
/// is, neither entity nor O ("unknown" in JSON; for tags see --unknown).
///
/// With --decisions, the decisions in that file hold. Without it, thresholds are
/// automatic or as the options say, and labels that dev contradicts are
/// corrected (--dev-for epoch turns that off).
///
/// Examples:
///   trainer clean run/dynamics.dyn --corpus train.json --out cleaned.json
///   trainer clean run/dynamics.dyn --corpus train.json \
///       --decisions decisions.json --out cleaned.json
///   trainer clean run/dynamics.dyn --corpus train.json \
///       --positives-threshold 0.5 --out cleaned.json
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Clean {
    /// The dynamics file, or a folder with its parts
    #[arg(value_name = "RUN.dyn")]
    dynamics: PathBuf,
    /// The corpus that it was recorded on
    #[arg(long, value_name = "FILE")]
    corpus: PathBuf,
    /// Where to write the cleaned corpus
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Decisions (decisions.json) of a run, or exported from the page
    #[arg(long, value_name = "FILE", conflicts_with = "CleaningOptions")]
    decisions: Option<PathBuf>,
    /// Also write every change and where it comes from: span, old and new label, metric, rule or hand
    #[arg(long, value_name = "FILE")]
    provenance: Option<PathBuf>,
    /// Also write the decisions in force, to edit or repeat them
    #[arg(long, value_name = "FILE")]
    write_decisions: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    corpora: CorpusArgs,
    #[command(flatten)]
    cleaning: CleaningOptions,
}

pub fn carry_out(args: &Clean) -> Result<()> {
    let read = [Some(&args.dynamics), Some(&args.corpus), args.decisions.as_ref()];
    let written = [Some(&args.out), args.provenance.as_ref(), args.write_decisions.as_ref()];
    check_files(written.into_iter().flatten())?;
    check_distinct(read.into_iter().flatten().chain(&args.corpora.tags), written.into_iter().flatten())?;
    let Opened { file, judge, decisions } =
        open(&args.dynamics, &args.cleaning, args.decisions.as_deref(), Detail::Decisions)?;
    let options = args.corpora.options()?;
    let corpus = input(recorded_corpus(args, &file, &options))?;
    let decided = input(decisions.resolve(&judge, &corpus.labels).map_err(Into::into))?;
    if let Some(path) = &args.provenance {
        write_whole(path, provenance::json(&corpus, &judge, &decisions, &decided))?;
    }
    if let Some(path) = &args.write_decisions {
        write_whole(path, decisions.to_json())?;
    }
    let summary = CleaningSummary::new(&judge, &decisions.settings, &decided, &corpus.labels);
    let side = |name: &str, side: Side| {
        let threshold = inspect::threshold_line(name, summary.thresholds.of(side));
        format!("  {} {name} removed or relabelled; {threshold}", summary.changed(side))
    };
    let text = format!(
        "{}, judged by {}:\n{}\n{}",
        args.out.display(),
        judge.metric.name(),
        side("positives", Side::Positives),
        side("negatives", Side::Negatives)
    );
    let cleaned = clean(corpus, &judge, &decided);
    // Free this memory before writing: a large corpus is written as one text, which needs as much memory.
    drop((file, judge, decided));
    let write = WriteOptions { unknown: options.unknown, ..WriteOptions::default() };
    for note in corpus_file::write(&args.out, &cleaned, &write)? {
        console::note(format_args!("{}: {note}", args.out.display()));
    }
    args.output.done(&serde_json::json!({ "out": args.out, "cleaning": summary, "settings": decisions.settings }), text)
}

/// Reads the corpus, and checks that the dynamics were recorded on it.
fn recorded_corpus(args: &Clean, file: &Recording, options: &CorpusOptions) -> Result<Corpus> {
    let recorded = &file.dynamics.corpus;
    let corpus = corpus_file::read(&args.corpus, &options.read)?.corpus;
    corpus_file::same_text(recorded, &args.dynamics, &corpus, &args.corpus)?;
    let corpus = corpus.with_labels(&recorded.labels).with_context(|| args.corpus.display().to_string())?;
    ensure!(
        corpus.entities == recorded.entities,
        "{} has other labels than {} was recorded with; give the corpus that was trained on",
        args.corpus.display(),
        args.dynamics.display()
    );
    Ok(corpus)
}
