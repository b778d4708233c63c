//! `trainer demo`.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use trainer::team::Team;
use trainer::{console, interrupt};

use super::output::Output;
use super::serve::{self, ServerArgs};
use super::{Call, Command, run, sample};

/// Try it out: train on the bundled sample, clean it, and open the page.
///
/// Nothing is downloaded. It takes a minute or two. Give the same command
/// again to open the finished run.
///
/// Example:
///   trainer demo
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Demo {
    /// Folder for the sample and the run
    #[arg(long, value_name = "DIR", default_value = "dynclean-demo")]
    out: PathBuf,
    /// Seed of the training
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Train, and open nothing: for programs that build the page meanwhile
    #[arg(long, hide = true)]
    train_only: bool,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: Output,
}

pub fn carry_out(args: Demo) -> Result<()> {
    let (data, folder) = (args.out.join("sample"), args.out.join(format!("seed-{}", args.seed)));
    let of_sample = ["trainer", "sample", "--out"].map(OsString::from);
    if let Command::Sample(own) = parse(of_sample.into_iter().chain([data.clone().into()]).collect())?.cli.command {
        sample::carry_out(&own)?;
    }
    let seed = args.seed.to_string();
    let mut of_run: Vec<OsString> = ["trainer", "run", "--encoder", "builtin", "--seed", &seed].map(Into::into).into();
    let file = |name: &str| data.join(name);
    for (option, path) in [
        ("--train", file("train-distant.json")),
        ("--train-gold", file("train-gold.json")),
        ("--dev", file("dev.json")),
        ("--test", file("test.json")),
        ("--out", folder.clone()),
    ] {
        of_run.extend([option.into(), path.into()]);
    }
    let Call { cli, matches, arguments } = parse(of_run)?;
    if let Command::Run(own) = cli.command {
        let of_command = matches.subcommand().map_or(&matches, |(_, of_command)| of_command);
        run::carry_out(own, of_command, &arguments, Team::default())?;
    }
    if args.train_only {
        return Ok(());
    }
    console::status(
        "The same for your labels: trainer run --train … --dev … --test … --encoder … --out …. \
         If a language model made them, add dev with its labels: --dev-distant …",
    );
    interrupt::end_on_signal()?;
    args.server.serve(Some(folder), |address| {
        serve::announce(&args.output, address);
        // Open no window if a program reads this output from a pipe. If no window can be opened, the user still sees
        // the address on the terminal.
        if std::io::stdout().is_terminal() {
            let _ = open::that_detached(address);
        }
    })
}

fn parse(arguments: Vec<OsString>) -> Result<Call> {
    Ok(Call::parse(arguments)?)
}
