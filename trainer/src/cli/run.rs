//! `trainer run`.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::{ArgMatches, Args, ValueEnum};
use serde_json::json;
use trainer::data::corpus_file::CorpusFiles;
use trainer::run::sweep::{Sweep, SweepResult, Trials};
use trainer::run::{self, Options, Reference, steps};
use trainer::team::Team;
use trainer::{console, interrupt};

use super::cleaning::{CleaningOptions, DevFor};
use super::config_file::{self, ConfigArgs};
use super::corpora::TrainingCorpusArgs;
use super::failure::{input, usage};
use super::output::{self, Output};
use super::plan::{self, PlanFormat};
use super::training::TrainingArgs;

/// Do the whole job: train, clean the labels, train again, report the gain.
///
/// A corpus file may have any of these formats. DynClean recognises the format
/// by the content (docs/CORPORA.md):
///
/// - DynClean JSON: an array of objects such as
///   {"tokens": [...], "entities": [[start, end, "TYPE"], ...]}.
///   Token indices count from 0, and the end is inclusive.
/// - CoNLL columns, BOND JSON, Label Studio JSON
/// - JSON Lines with tokens and tags, or with text and offsets
/// - Parquet with such rows, as Hugging Face datasets have
/// - a folder of brat standoff
///
/// The cleaned corpus has the format of --train.
///
/// If the run was interrupted or killed, give the same command again. It goes
/// on from the last checkpoint, with the same result.
///
/// All options but --json, --quiet and --verbose can stand in a TOML file
/// (--config), under their long names, as in `encoder-rate = 1e-4`. Options on
/// the command line override the file.
///
/// Examples:
///   trainer run --train train.json --dev dev.json --test test.json \
///       --encoder builtin --out run
///   trainer run --train t.conll --label-column 2 --gold-column 3 \
///       --dev d.conll --test e.conll --encoder ./bert --out run
///   trainer run --config run.toml --seed 2 --out run-2
///   trainer run --config run.toml --threshold paper --out run-paper
///   trainer run --config run.toml --trials none
///   trainer run --config run.toml --sweep sweep.toml
///   trainer run --config run.toml --decisions decisions.json
///   trainer run --config run.toml --print-config
///   trainer run --config run.toml --ensemble 4 --print-plan snakefile
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Run {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    output: Output,
    /// Do only this step of the run, beside other processes that do other steps in the same folder. --print-plan lists
    /// the steps. Without --step, the same command does whatever is left
    #[arg(long, value_name = "STEP", conflicts_with = "decisions")]
    step: Option<String>,
    /// Print the steps that processes of their own can do, with their commands, and do nothing else
    #[arg(long, value_enum, value_name = "json|snakefile", conflicts_with_all = ["decisions", "step"])]
    print_plan: Option<PlanFormat>,

    /// Training sentences with your cheap (distant) labels. As for all corpora: a file, or a data set of the Hugging Face
    /// hub, hf://OWNER/NAME, with /CONFIG and @SPLIT if need be
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    train: PathBuf,
    /// Sentences with gold labels. They choose the best epoch, and help to clean (see --dev-for)
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    dev: PathBuf,
    /// Sentences with gold labels, to measure the gain
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    test: PathBuf,
    /// The training sentences with gold labels. They only measure the cleaning, and decide nothing
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    train_gold: Option<PathBuf>,
    /// Folder of the run: dynamics.dyn, the cleaned corpus, decisions.json, metrics.json, report.html, models
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    out: PathBuf,
    #[command(flatten)]
    corpora: TrainingCorpusArgs,

    #[command(flatten)]
    training: TrainingArgs,
    /// Models to compare with. `gold` is trained on the gold labels of the training sentences. `oracle` is trained on
    /// your labels without the ones that gold contradicts. `raw-with-dev` is trained on your labels and dev
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "gold",
        value_name = "gold,oracle,raw-with-dev|none",
        help_heading = "Training"
    )]
    reference: Vec<ReferenceArg>,
    /// Try several settings of the cleaning, and take the ones whose model is best on dev. The [sweep] table of this
    /// TOML file lists them (docs/RUNS.md)
    #[arg(long, value_name = "FILE", help_heading = "Cleaning")]
    sweep: Option<PathBuf>,
    /// Ways to clean that are tried. The one whose model is best on dev is taken. A setting that another option fixes
    /// (such as --on-wrong) is not tried [default: usual; with `--dev-for epoch`: none]
    #[arg(long, value_enum, conflicts_with = "sweep", help_heading = "Cleaning")]
    trials: Option<Trials>,
    /// Clean by the decisions that you saved on the page. They take the place of all other options about cleaning,
    /// except --dev-for. The dynamics must be there: give the command that made the run, and add this option
    #[arg(long, value_name = "FILE", help_heading = "Cleaning")]
    decisions: Option<PathBuf>,

    #[command(flatten)]
    cleaning: CleaningOptions,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReferenceArg {
    Gold,
    Oracle,
    RawWithDev,
    None,
}

/// Carries out the command. `args` were read from `matches`. `arguments` is the whole command line.
pub fn carry_out(args: Run, matches: &ArgMatches, arguments: &[OsString], team: Team) -> Result<()> {
    args.training.heed_offline();
    if args.config.print_config {
        return config_file::print("run", matches, &args.training);
    }
    interrupt::listen()?;
    let place = usage(args.training.place())?;
    let options = args.corpora.options()?;
    let Run { train, train_gold, dev, test, .. } = args;
    let dev_distant = args.corpora.dev_distant;
    let files = CorpusFiles { train, train_gold, dev, dev_distant, test: Some(test), options };
    let corpora = input(files.read())?;
    let spec = input(args.training.open_encoder(&corpora.train.tokens))?;
    input(spec.check_weights())?;
    let config = usage(args.training.config(spec.defaults(), place))?;
    config_file::tell("run", matches, &config)?;
    let adjust = |settings: &mut _| args.cleaning.adjust(settings);
    let sweep = match args.sweep.as_deref() {
        Some(file) => {
            let mut sweep = usage(Sweep::read(file))?;
            // The command line overrides the lists of a config file, as it overrides the options there.
            let is_config = args.config.config.as_deref() == Some(file);
            if is_config {
                for (option, list) in overruled(&mut sweep, config_file::given_after("sweep", matches)) {
                    console::note(format_args!("--{option} overrides `{list}` in the [sweep] table"));
                }
            } else {
                for (option, list) in overruled(&mut sweep.clone(), config_file::given(matches)) {
                    let file = file.display();
                    console::note(format_args!("`{list}` in {file} overrides --{option}"));
                }
            }
            if args.cleaning.keep_overlaps {
                sweep.keep_overlaps();
            }
            sweep
        }
        None => {
            let usual = if args.cleaning.dev_for == Some(DevFor::Epoch) { Trials::None } else { Trials::Usual };
            Sweep::of_trials(args.trials.unwrap_or(usual), args.cleaning.action_is_open())
        }
    };
    usage(sweep.check(adjust, &corpora.train.labels, config.epochs))?;
    usage(if corpora.train_gold.is_none() && args.reference.contains(&ReferenceArg::Oracle) {
        Err(anyhow!("--reference oracle needs gold labels: give --train-gold or --gold-column"))
    } else {
        Ok(())
    })?;
    let references = args.reference.iter().filter_map(|reference| match reference {
        ReferenceArg::Gold => Some(Reference::Gold),
        ReferenceArg::Oracle => Some(Reference::Oracle),
        ReferenceArg::RawWithDev => Some(Reference::RawWithDev),
        ReferenceArg::None => None,
    });
    let options = Options {
        checkpoints: args.training.checkpoints(),
        references: references.collect(),
        learns_dev: args.cleaning.dev_for.unwrap_or(DevFor::Training) == DevFor::Training,
        parallel_runs: usage(args.training.parallel_runs(team))?,
        place,
        team,
        sweep,
        step: args.step,
        decisions: args.decisions,
        command: config_file::to_repeat("run", matches)?,
        command_here: as_given(arguments),
    };
    let all = steps::plan(config.ensemble, &options, corpora.train_gold.is_some(), adjust);
    if let Some(format) = args.print_plan {
        return output::write(usage(plan::text(format, &all, &args.out, &options.command_here))?);
    }
    if let Some(step) = &options.step {
        usage(steps::find(&all, step))?;
        run::do_step(&files, corpora, &config, &spec, adjust, &options, &args.out)?;
        let out = args.out.display();
        return args.output.done(
            &json!({ "out": args.out, "step": step }),
            format_args!(
                "{step}: done. When all steps are done, the same command without --step does the rest in {out}"
            ),
        );
    }
    let done = run::run(&files, corpora, &config, &spec, adjust, &options, &args.out)?;
    args.output.result(&done.metrics, || {
        let out = args.out.display();
        let sweep = done.sweep.as_ref().map_or(String::new(), SweepResult::summary);
        let metrics = done.metrics.summary();
        format!(
            "{sweep}{metrics}Everything is in {out}. Open report.html there to read the result. \
             `trainer serve --run {out}` shows the run on the page, where you can overrule single decisions\n"
        )
    })
}

/// Options that concern a single call, and not the run.
const OF_ONE_CALL: [&str; 3] = ["--decisions", "--step", "--print-plan"];

/// Returns the command as the user gave it, in the form that a shell reads, without [`OF_ONE_CALL`]. The first of
/// `arguments` is the program.
fn as_given(arguments: &[OsString]) -> String {
    let mut parts: Vec<String> = arguments.iter().skip(1).map(|part| part.to_string_lossy().into_owned()).collect();
    // Options that all commands have may stand before the command's name.
    if let Some(at) = parts.iter().position(|part| part == "run") {
        parts.remove(at);
    }
    let mut command = "trainer run".to_owned();
    let mut parts = parts.iter();
    while let Some(part) = parts.next() {
        let (name, value) = part.split_once('=').map_or((part.as_str(), None), |(name, value)| (name, Some(value)));
        if !OF_ONE_CALL.contains(&name) {
            command = format!("{command} {}", console::quoted(part));
        } else if value.is_none() {
            parts.next();
        }
    }
    command
}

/// Empties the lists that these options override. Returns each overriding option with the name of its list.
fn overruled(sweep: &mut Sweep, options: Vec<String>) -> Vec<(String, &'static str)> {
    let of = |option: String| {
        let name = option.replace('_', "-");
        sweep.leave_out(&option).into_iter().map(move |list| (name.clone(), list)).collect::<Vec<_>>()
    };
    options.into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_kept_as_it_was_given() {
        let given = |parts: &[&str]| as_given(&parts.iter().map(OsString::from).collect::<Vec<_>>());
        let own = ["/opt/bin/trainer", "run", "--config", "run.toml", "--train", "/home/ada/my data.json"];
        let here =
            ["--encoder", "/home/ada/models/bert", "--device", "cpu", "--epochs", "3", "--out", "/home/ada/a run"];
        let expected = "trainer run --config run.toml --train '/home/ada/my data.json' --encoder /home/ada/models/bert \
                        --device cpu --epochs 3 --out '/home/ada/a run'";
        assert_eq!(given(&[&own[..], &here].concat()), expected);
        assert_eq!(given(&[&own[..], &["--decisions", "d.json"], &here].concat()), expected);
        assert_eq!(given(&[&own[..], &["--decisions=d.json"], &here].concat()), expected);
        assert_eq!(given(&[&own[..], &["--step", "raw-2"], &here].concat()), expected);
        assert_eq!(given(&[&own[..], &here, &["--print-plan=json"]].concat()), expected);
        assert_eq!(given(&["trainer", "-q", "run", "--out", "run"]), "trainer run -q --out run");
    }
}
