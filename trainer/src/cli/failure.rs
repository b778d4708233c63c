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

/// Why a command failed, where that is more than just "failed".
#[derive(Debug)]
pub enum Failure {
    /// Data, a model or another input cannot be used.
    Input(anyhow::Error),
    /// What the options ask for does not exist or contradicts itself.
    Usage(anyhow::Error),
    /// Who read our standard output has gone: `trainer inspect ... | head`.
    ReaderGone,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            // With its causes: they are not given once more as a source.
            Self::Input(error) | Self::Usage(error) => write!(f, "{error:#}"),
            Self::ReaderGone => f.write_str("standard output is closed"),
        }
    }
}

impl std::error::Error for Failure {}

/// Marks an error as one of the input.
pub fn input<T>(result: Result<T>) -> Result<T> {
    result.map_err(|error| Failure::Input(error).into())
}

/// Marks an error as one of usage.
pub fn usage<T>(result: Result<T>) -> Result<T> {
    result.map_err(|error| Failure::Usage(error).into())
}

/// Tells the error, if any, and gives the exit code.
pub fn exit_code(done: Result<()>) -> ExitCode {
    let Err(error) = done else { return ExitCode::SUCCESS };
    let failure = error.chain().find_map(|cause| cause.downcast_ref::<Failure>());
    if let Some(Failure::ReaderGone) = failure {
        // Its reader has seen enough.
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
