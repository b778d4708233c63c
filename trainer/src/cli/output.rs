//! Results on standard output, as text or as one JSON document.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use trainer::console::{self, Verbosity};

use super::failure::Failure;

/// The choice between text for people and JSON for programs.
#[derive(Args)]
pub struct Output {
    /// Print the result as one JSON document; everything else goes to standard error
    #[arg(long)]
    pub json: bool,
}

impl Output {
    /// What the command was asked for: printed however quiet it is to be.
    ///
    /// # Errors
    /// When standard output cannot be written to.
    pub fn result(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        match self.json {
            true => write(serde_json::to_string_pretty(value)? + "\n"),
            false => write(text()),
        }
    }

    /// What the command has done, where its result is a file; nothing with `--quiet`, but for JSON.
    ///
    /// # Errors
    /// When standard output cannot be written to.
    pub fn done(&self, value: &impl Serialize, text: impl Display) -> Result<()> {
        match self.json || console::verbosity() > Verbosity::Quiet {
            true => self.result(value, || format!("{text}\n")),
            false => Ok(()),
        }
    }
}

/// Writes to standard output.
///
/// # Errors
/// [`Failure::ReaderGone`] where its reader has closed it.
pub fn write(bytes: impl AsRef<[u8]>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::ReaderGone.into()),
        done => done.context("cannot write to standard output"),
    }
}
