//! `trainer run`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{ArgMatches, Args};
use trainer::corpus_file::CorpusFiles;
use trainer::pipeline;

use super::cleaning::CleaningOptions;
use super::config_file::{self, ConfigArgs};
use super::corpora::CorpusArgs;
use super::failure::{input, usage};
use super::interrupt;
use super::output::Output;
use super::training::TrainingArgs;

/// The whole job: train, threshold run, clean, retrain, evaluate, report.
///
/// Corpora are recognised by their content: DynClean JSON, an array of
/// {"tokens": [...], "entities": [[start, end, "TYPE"], ...]} with token indices from 0 and the end
/// inclusive; CoNLL columns; BOND JSON; JSON Lines with tokens and tags, or with text and offsets;
/// Label Studio's JSON; a folder of brat standoff. The cleaned corpus has the format of --train.
/// Interrupted, the same command goes on where it stopped.
///
/// Every option can stand in a TOML file, under its long name: `encoder-rate = 1e-4`. Options on the
/// command line go before those of the file.
///
/// Examples:
///   trainer run --train d/train.json --dev d/dev.json --test d/test.json --encoder builtin --out run
///   trainer run --train t.conll --label-column 2 --gold-column 3 --dev d.conll --test e.conll --encoder ./bert --out run
///   trainer run --config run.toml --seed 2 --out run-2
///   trainer run --config run.toml --threshold paper --out run-paper
///   trainer run --config run.toml --print-config
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Run {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    output: Output,

    /// Distantly labelled training sentences
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    train: PathBuf,
    /// Sentences with gold labels, to choose the best epoch
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    dev: PathBuf,
    /// Sentences with gold labels, to measure the gain
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    test: PathBuf,
    /// The training sentences with gold labels: only to evaluate the cleaning, never to train or decide
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    train_gold: Option<PathBuf>,
    /// Folder of the run: dynamics.dyn, the cleaned corpus, decisions.json, metrics.json, report.html, models
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    out: PathBuf,
    /// Labels of --dev, --test and --train-gold [default: --gold-column if given, else --label-column]
    #[arg(long, value_name = "N|FIELD", help_heading = "Corpus files")]
    eval_column: Option<String>,
    #[command(flatten)]
    corpora: CorpusArgs,

    #[command(flatten)]
    training: TrainingArgs,
    /// With --train-gold: do not also train on gold, which shows what annotators' labels would give
    #[arg(long, help_heading = "Training")]
    no_gold_model: bool,

    #[command(flatten)]
    cleaning: CleaningOptions,
}

/// Carries it out; `matches` are what the arguments were read from.
pub fn carry_out(args: Run, matches: &ArgMatches) -> Result<()> {
    if args.config.print_config {
        return config_file::print("run", matches, &args.training);
    }
    interrupt::leaves_a_run_to_go_on();
    usage(args.training.check_device())?;
    let mut options = args.corpora.options()?;
    options.eval_label = args.eval_column;
    let files =
        CorpusFiles { train: args.train, train_gold: args.train_gold, dev: args.dev, test: Some(args.test), options };
    let corpora = input(files.read())?;
    let spec = input(args.training.open_encoder(&corpora.train.tokens))?;
    let config = args.training.config(spec.defaults());
    let adjust = |settings: &mut _| args.cleaning.adjust(settings);
    let metrics = pipeline::run(&files, corpora, &config, &spec, adjust, !args.no_gold_model, &args.out)?;
    args.output.result(&metrics, || {
        let out = args.out.display();
        format!("{}Everything is in {out}: open report.html there, or `trainer serve --run {out}`\n", metrics.summary())
    })
}
