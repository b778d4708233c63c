//! `trainer train`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{ArgMatches, Args};
use trainer::data::corpus_file::CorpusFiles;
use trainer::interrupt;
use trainer::run::{self, JobKind, Options};
use trainer::team::Team;

use super::config_file::{self, ConfigArgs};
use super::corpora::TrainingCorpusArgs;
use super::failure::{input, usage};
use super::output::Output;
use super::scores;
use super::training::TrainingArgs;

/// Train one model, and record its training dynamics.
///
/// This does the first two steps of `trainer run`. It trains on the labels as
/// they are. Then it trains again with some labels made wrong on purpose
/// (threshold samples); `trainer clean` can find thresholds from them.
///
/// With --no-dynamics it only trains a model, for example on a cleaned corpus.
/// Unknown spans are left out of the loss.
///
/// If the training was interrupted, give the same command again. It goes on
/// where it stopped.
///
/// Examples:
///   trainer train --train train.json --dev dev.json --encoder builtin \
///       --out first
///   trainer train --train cleaned.json --dev dev.json --test test.json \
///       --encoder ./bert --no-dynamics --out final
///   trainer train --config run.toml --no-threshold-run --out first
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Train {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    output: Output,

    /// Training sentences
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    train: PathBuf,
    /// Sentences with gold labels, to choose the best epoch
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    dev: PathBuf,
    /// Sentences with gold labels, to score the model
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    test: Option<PathBuf>,
    /// The training sentences with gold labels. They are stored in dynamics.dyn, and never trained on
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    train_gold: Option<PathBuf>,
    /// Folder for model/, dynamics.dyn and metrics.json
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    out: PathBuf,
    #[command(flatten)]
    corpora: TrainingCorpusArgs,

    #[command(flatten)]
    training: TrainingArgs,
    /// Do not train again with threshold samples. Trust does not need them; by AUM, the automatic threshold is then 0
    #[arg(long, help_heading = "Training")]
    no_threshold_run: bool,
    /// Train only a model, and record nothing
    #[arg(long, help_heading = "Training")]
    no_dynamics: bool,
}

/// Carries out the command. `args` were read from `matches`.
pub fn carry_out(args: Train, matches: &ArgMatches, team: Team) -> Result<()> {
    args.training.heed_offline();
    if args.config.print_config {
        return config_file::print("train", matches, &args.training);
    }
    interrupt::listen()?;
    let place = usage(args.training.place())?;
    let options = args.corpora.options()?;
    let Train { train, train_gold, dev, test, .. } = args;
    let dev_distant = args.corpora.dev_distant;
    let files = CorpusFiles { train, train_gold, dev, dev_distant, test, options };
    let corpora = input(files.read())?;
    let spec = input(args.training.open_encoder(&corpora.train.tokens))?;
    input(spec.check_weights())?;
    let config = usage(args.training.config(spec.defaults(), place))?;
    config_file::tell("train", matches, &config)?;
    let kind = match (args.no_dynamics, args.no_threshold_run) {
        (true, _) => JobKind::TrainPlain,
        (false, true) => JobKind::TrainWithoutThresholds,
        (false, false) => JobKind::Train,
    };
    let options = Options {
        checkpoints: args.training.checkpoints(),
        parallel_runs: usage(args.training.parallel_runs(team))?,
        place,
        team,
        ..Options::default()
    };
    let metrics = run::train(kind, &files, corpora, &config, &spec, &options, &args.out)?;
    args.output.result(&metrics, || {
        let mut text = metrics.test.as_ref().map_or(String::new(), scores::table);
        text += &format!(
            "Best on dev: epoch {} (F1 {:.1}). The model is in {}\n",
            metrics.best_epoch,
            100.0 * metrics.dev_f1,
            metrics.model.display()
        );
        if let Some(dynamics) = &metrics.dynamics {
            let dynamics = dynamics.display();
            text += &format!("The dynamics are in {dynamics}. `trainer clean` and `trainer report` read them\n");
        }
        text
    })
}
