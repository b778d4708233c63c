//! How a command ends: exit codes, and the kinds of errors behind them.

use std::fmt;
use std::process::ExitCode;

use anyhow::Result;
use trainer::console;
use trainer::interrupt::{EXIT_STATUS, Interrupted};

/// The exit codes, for `--help`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed
  2    the command line or the config file is wrong
  3    an input file cannot be read or understood
  130  interrupted; give the same run or train command again to go on";

const USAGE: u8 = 2;
const INPUT: u8 = 3;

/// Reason of a failure, if it has an exit code or a treatment of its own.
#[derive(Debug)]
pub enum Failure {
    /// Data, a model or another input cannot be used.
    Input(anyhow::Error),
    /// What the options ask for does not exist or contradicts itself.
    Usage(anyhow::Error),
    /// The reader of our standard output has closed it, as in `trainer inspect ... | head`.
    ReaderGone,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            // Show the error with all its causes, because `source` does not return them.
            Self::Input(error) | Self::Usage(error) => write!(f, "{error:#}"),
            Self::ReaderGone => f.write_str("standard output is closed"),
        }
    }
}

impl std::error::Error for Failure {}

/// Marks an error as [`Failure::Input`].
pub fn input<T>(result: Result<T>) -> Result<T> {
    result.map_err(|error| Failure::Input(error).into())
}

/// Marks an error as [`Failure::Usage`].
pub fn usage<T>(result: Result<T>) -> Result<T> {
    result.map_err(|error| Failure::Usage(error).into())
}

/// Prints the error, if there is one, and returns the exit code.
pub fn exit_code(done: Result<()>) -> ExitCode {
    let Err(error) = done else { return ExitCode::SUCCESS };
    let failure = error.chain().find_map(|cause| cause.downcast_ref::<Failure>());
    if let Some(Failure::ReaderGone) = failure {
        // The reader has seen enough, so this is no failure.
        return ExitCode::SUCCESS;
    }
    if error.is::<Interrupted>() {
        console::warning(&error);
        return ExitCode::from(EXIT_STATUS);
    }
    console::error(format_args!("{error:#}"));
    match failure {
        Some(Failure::Input(_)) => ExitCode::from(INPUT),
        Some(Failure::Usage(_)) => ExitCode::from(USAGE),
        _ => ExitCode::FAILURE,
    }
}
