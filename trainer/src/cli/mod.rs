//! The command line. Each command is a module with its options and the function that carries it out.

mod annotate;
mod clean;
mod cleaning;
mod completions;
mod config_file;
mod convert;
mod corpora;
mod demo;
mod evaluate;
mod extract;
mod failure;
mod fetch;
mod inspect;
mod man;
mod merge;
mod output;
mod plan;
mod predict;
mod report;
mod run;
mod sample;
mod scores;
mod serve;
mod split;
mod text;
mod train;
mod training;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use trainer::console::{self, Verbosity};
use trainer::team::Team;
use trainer::{memory, threads};

/// Runs the whole program in one process.
pub fn main() -> ExitCode {
    lead(Team::default())
}

/// Runs the whole program in the first of several processes. All processes do the trainings together. The others run
/// [`help`].
pub fn lead(team: Team) -> ExitCode {
    let call = match Call::parse(std::env::args_os()) {
        Ok(call) => call,
        Err(error) => {
            // If the message cannot be printed, there is no other way to tell the user.
            let _ = error.print();
            return end(team, ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(u8::MAX)));
        }
    };
    call.settle_verbosity();
    threads::settle();
    // Kept memory helps only if the same sizes are allocated again and again, as in every step of a model. Elsewhere it
    // costs: `clean` would need a third more memory, and the threads of `annotate` would wait for each other.
    let has_model = matches!(
        call.cli.command,
        Command::Run(_) | Command::Train(_) | Command::Evaluate(_) | Command::Predict(_) | Command::Demo(_)
    );
    if has_model && !memory::keep_freed_memory() {
        console::note("the system's memory allocator does not keep freed memory: training will be slower");
    }
    // Inside the thread pool, so that the caller of a parallel operation is one of its workers
    // instead of waiting for them.
    let code = rayon::scope(|_| call.carry_out(team));
    end(team, code)
}

/// Ends the other processes, too.
fn end(team: Team, code: ExitCode) -> ExitCode {
    match trainer::training::dismiss(team) {
        Ok(()) => code,
        Err(error) => failure::exit_code(Err(error)),
    }
}

/// Runs the program of all processes but the first: computes what the first process asks for.
///
/// # Errors
/// The same as [`trainer::training::help`].
pub fn help(team: Team) -> anyhow::Result<()> {
    console::set_verbosity(Verbosity::Quiet);
    threads::settle();
    // The leader tells the user if this does not help.
    let _ = memory::keep_freed_memory();
    rayon::scope(|_| trainer::training::help(team))
}

/// Finds and fixes wrong NER labels by watching how a model learns them.
///
/// One command does the whole job:
///
///   trainer run --train train.json --dev dev.json --test test.json \
///       --encoder ./all-MiniLM-L6-v2 --out run
///
/// It trains a model on your labels. It trains again with some labels made
/// wrong on purpose (threshold samples). It changes or removes the labels that
/// it judges wrong, and trains on the cleaned labels. At the end it reports the
/// gain on the test sentences.
#[derive(Parser)]
#[command(name = "trainer", version, verbatim_doc_comment, after_long_help = failure::EXIT_CODES)]
#[command(after_help = "`trainer help COMMAND` shows examples. `trainer --help` lists the exit codes.")]
pub struct Cli {
    #[command(flatten)]
    talk: Talk,
    #[command(subcommand)]
    command: Command,
}

/// How much is told on standard error.
#[derive(Args)]
struct Talk {
    /// Print errors only
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Also print the settings in force, and a line for each epoch even beside a progress bar
    #[arg(long, short, global = true)]
    verbose: bool,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Run),
    Train(train::Train),
    Clean(clean::Clean),
    Evaluate(evaluate::Evaluate),
    Predict(predict::Predict),
    Report(report::Report),
    Convert(convert::Convert),
    Inspect(inspect::Inspect),
    Split(split::Split),
    Extract(extract::Extract),
    Merge(merge::Merge),
    Annotate(annotate::Annotate),
    Demo(demo::Demo),
    Sample(sample::Sample),
    Fetch(fetch::Fetch),
    Serve(serve::Serve),
    Completions(completions::Completions),
    #[command(name = "man")]
    ManPages(man::ManPages),
}

/// A parsed command line.
pub struct Call {
    cli: Cli,
    /// The parsed arguments. They also tell which options were given and which have their default.
    matches: ArgMatches,
    /// The command line itself.
    arguments: Vec<OsString>,
}

impl Call {
    /// Parses a command line, and the config file that it names.
    ///
    /// # Errors
    /// The error says what is wrong and where. `--help` and `--version` are returned as errors, too.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let matches = config_file::matches(Cli::command(), arguments.clone())?;
        let cli = Cli::from_arg_matches(&matches)?;
        Ok(Self { cli, matches, arguments })
    }

    fn settle_verbosity(&self) {
        console::set_verbosity(match self.cli.talk {
            Talk { quiet: true, .. } => Verbosity::Quiet,
            Talk { verbose: true, .. } => Verbosity::Verbose,
            _ => Verbosity::Normal,
        });
    }

    /// Carries the command out.
    fn carry_out(self, team: Team) -> ExitCode {
        let Self { cli, matches, arguments } = self;
        let of_command = matches.subcommand().map_or(&matches, |(_, of_command)| of_command);
        failure::exit_code(match cli.command {
            Command::Run(args) => run::carry_out(args, of_command, &arguments, team),
            Command::Train(args) => train::carry_out(args, of_command, team),
            Command::Clean(args) => clean::carry_out(&args),
            Command::Evaluate(args) => evaluate::carry_out(&args),
            Command::Predict(args) => predict::carry_out(&args),
            Command::Report(args) => report::carry_out(&args),
            Command::Convert(args) => convert::carry_out(args),
            Command::Inspect(args) => inspect::carry_out(&args),
            Command::Split(args) => split::carry_out(&args),
            Command::Extract(args) => extract::carry_out(&args),
            Command::Merge(args) => merge::carry_out(&args),
            Command::Annotate(args) => annotate::carry_out(&args),
            Command::Demo(args) => demo::carry_out(args),
            Command::Sample(args) => sample::carry_out(&args),
            Command::Fetch(args) => fetch::carry_out(&args),
            Command::Serve(args) => serve::carry_out(args),
            Command::Completions(args) => completions::carry_out(&args),
            Command::ManPages(args) => man::carry_out(&args),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Returns the lines of a help text that are commands.
    fn examples(command: &clap::Command) -> Vec<String> {
        let texts = [command.get_about(), command.get_long_about(), command.get_after_long_help()];
        let text: String = texts.into_iter().flatten().map(|text| format!("{text}\n")).collect();
        // Manual pages indent these lines. Indented lines must fit too, otherwise the page would break a command.
        let fits = |line: &str| line.chars().count() <= if line.starts_with(' ') { 71 } else { 78 };
        assert!(text.lines().all(fits), "too wide for a terminal:\n{text}");
        let text = text.replace("\\\n", "");
        text.lines().map(str::trim).filter(|line| line.starts_with("trainer ")).map(str::to_owned).collect()
    }

    #[test]
    fn every_example_of_the_help_is_understood() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("run.toml");
        std::fs::write(&config, "train = 't'\ndev = 'd'\ntest = 'e'\nencoder = 'builtin'\nout = 'o'\n").unwrap();
        let command = Cli::command();
        for of_command in command.get_subcommands() {
            let examples = examples(of_command);
            assert!(!examples.is_empty(), "`trainer {}` has no example", of_command.get_name());
            for example in examples {
                // Look only at the program's own arguments. The shell handles the rest.
                let own = example.split(['>', '<', '|']).next().unwrap();
                let words = own.split_whitespace().map(|word| match word {
                    "run.toml" => config.clone().into(),
                    word => OsString::from(word),
                });
                if let Err(error) = Call::parse(words) {
                    panic!("{example}\n{error}");
                }
            }
        }
        assert!(!examples(&command).is_empty());
    }
}
