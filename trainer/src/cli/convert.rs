//! `trainer convert`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{ArgGroup, Args, ValueEnum};
use serde_json::json;
use shared::formats::{Format, WriteOptions};
use shared::recording::dynamics::Precision;
use trainer::console;
use trainer::data::convert::{self, Conversion};
use trainer::data::corpus_file;
use trainer::model::span_model::WIDEST_SPAN;

use super::corpora::{CorpusArgs, format};
use super::failure::input;
use super::output::{Output, check_distinct, check_files};
use super::training::NegativesArg;

/// Convert recorded dynamics to a .dyn file, or a corpus to another format.
///
/// Dynamics may come from these Python programs: the DynClean paper's code and
/// allenai/cartography (dynamics_epoch_K.jsonl), and the aum package
/// (full_aum_records.csv or aum_values.csv, margins only). With --corpus, each
/// guid is the id of a candidate span of that corpus. Without it, each guid
/// becomes a sentence of its own. docs/IMPORT.md describes the files.
///
/// Examples:
///   trainer convert --dynamics logs/dynamics_epoch_*.jsonl \
///       --corpus train.json --out run.dyn
///   trainer convert --dynamics training_dynamics/*.jsonl \
///       --labels neutral,entailment --out run.dyn
///   trainer convert --dynamics full_aum_records.csv --out run.dyn
///   trainer convert --corpus train.conll --to dynclean --out train.json
#[derive(Args)]
#[command(verbatim_doc_comment, group = ArgGroup::new("source").required(true))]
pub struct Convert {
    /// Files with recorded dynamics: all epochs, in any order
    #[arg(long, value_name = "FILE", num_args = 1.., group = "source")]
    dynamics: Vec<PathBuf>,
    /// The corpus that was trained on, with its distant labels
    #[arg(long, value_name = "FILE")]
    corpus: Option<PathBuf>,
    /// The same sentences with gold labels
    #[arg(long, value_name = "FILE", requires = "corpus")]
    gold: Option<PathBuf>,
    /// Write the corpus in this format, instead of converting dynamics
    #[arg(long, value_name = "FORMAT", value_parser = format(), requires = "corpus", group = "source")]
    to: Option<Format>,
    /// The file to write; a folder for brat
    #[arg(long, value_name = "RUN.dyn|FILE")]
    out: PathBuf,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    corpora: CorpusArgs,
    /// Names of the labels after O, in the order of their logits [default: found by comparing with the corpus;
    /// without a corpus 1, 2, ...]
    #[arg(long, value_name = "A,B,C", value_delimiter = ',')]
    labels: Option<Vec<String>>,
    /// Widest candidate span of the recording program, in tokens
    #[arg(long, default_value_t = shared::corpus::span::DEFAULT_MAX_WIDTH, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(WIDEST_SPAN)))]
    max_span_width: u32,
    /// How logits are stored: f32 loses nothing, f16 takes half the space
    #[arg(long, value_enum, default_value_t = PrecisionArg::F32)]
    precision: PrecisionArg,
    /// Which negatives were in the loss of the recorded training. After `top`, judging by AUM with --keep-overlaps only
    /// removes negatives, and never relabels them
    #[arg(long, value_enum, default_value_t = NegativesArg::Top)]
    negatives: NegativesArg,
}

#[derive(Clone, Copy, ValueEnum)]
enum PrecisionArg {
    F16,
    F32,
}

impl From<PrecisionArg> for Precision {
    fn from(arg: PrecisionArg) -> Self {
        match arg {
            PrecisionArg::F16 => Self::F16,
            PrecisionArg::F32 => Self::F32,
        }
    }
}

pub fn carry_out(args: Convert) -> Result<()> {
    check_files([&args.out])?;
    let read = args.dynamics.iter().chain(&args.corpus).chain(&args.gold).chain(&args.corpora.tags);
    check_distinct(read, [&args.out])?;
    match args.to {
        Some(format) => convert_corpus(&args, format),
        None => convert_dynamics(args),
    }
}

fn convert_corpus(args: &Convert, format: Format) -> Result<()> {
    // This cannot happen: clap requires `--corpus` beside `--to`.
    let Some(corpus) = &args.corpus else { return Ok(()) };
    let options = args.corpora.options()?;
    let layers = input(corpus_file::read(corpus, &options.read))?;
    let write = WriteOptions { format: Some(format), unknown: options.unknown };
    let written = corpus_file::write(&args.out, &layers.corpus, &write)?;
    for (path, notes) in [(corpus, &layers.notes), (&args.out, &written)] {
        notes.iter().for_each(|note| console::note(format_args!("{}: {note}", path.display())));
    }
    let notes: Vec<&String> = layers.notes.iter().chain(&written).collect();
    args.output.done(
        &json!({ "out": args.out, "format": format.name(), "sentences": layers.corpus.n_sentences(), "notes": notes }),
        format_args!("{}: {} as {}", args.out.display(), corpus.display(), format.name()),
    )
}

fn convert_dynamics(args: Convert) -> Result<()> {
    let conversion = Conversion {
        dynamics: args.dynamics,
        corpus: args.corpus,
        gold: args.gold,
        corpora: args.corpora.options()?,
        labels: args.labels,
        max_span_width: args.max_span_width,
        precision: args.precision.into(),
        negatives: args.negatives.into(),
    };
    let done = convert::write(input(convert::read(&conversion))?, &args.out)?;
    let mut text = format!("{}: {} spans, {} epochs", args.out.display(), done.n_spans, done.n_epochs);
    if done.n_incomplete > 0 {
        text += &format!(
            "\n{} spans have no record at one or more epochs. They are flagged: nothing is decided about them if the \
             window includes such an epoch",
            done.n_incomplete
        );
    }
    if done.n_not_finite > 0 {
        text += &format!(
            "\n{} spans have a value that is null or not a finite number at one or more epochs. They are flagged, \
             too",
            done.n_not_finite
        );
    }
    if done.is_margins {
        text += "\nThe source has margins only: confidence, variability and predicted labels are not known";
    }
    args.output.done(
        &json!({
            "out": args.out,
            "spans": done.n_spans,
            "epochs": done.n_epochs,
            "incomplete": done.n_incomplete,
            "not_finite": done.n_not_finite,
            "recorded": if done.is_margins { "margins" } else { "logits" },
        }),
        text,
    )
}
