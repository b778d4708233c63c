//! What is told on standard error: notes, warnings and the course of a job; results go to standard output.
//!
//! Colour only where a terminal wants it (`NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE` are respected). A
//! closed standard error is no reason to stop: what cannot be told is dropped.

use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::{AtomicU8, Ordering};

use anstyle::{AnsiColor, Style};

/// How much is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// Notes, warnings and progress.
    #[default]
    Normal,
    /// Also the settings in force, and a line per epoch beside a progress bar.
    Verbose,
}

/// One for the whole process, as its standard error is.
static VERBOSITY: AtomicU8 = AtomicU8::new(Verbosity::Normal as u8);

/// Sets how much is told from now on.
pub fn set_verbosity(verbosity: Verbosity) {
    VERBOSITY.store(verbosity as u8, Ordering::Relaxed);
}

/// How much is told.
pub fn verbosity() -> Verbosity {
    match VERBOSITY.load(Ordering::Relaxed) {
        0 => Verbosity::Quiet,
        1 => Verbosity::Normal,
        _ => Verbosity::Verbose,
    }
}

/// Something that the user should know and may want to change.
pub fn warning(text: impl Display) {
    tell(Verbosity::Normal, "warning", AnsiColor::Yellow, text);
}

/// Something that was left out or done differently.
pub fn note(text: impl Display) {
    tell(Verbosity::Normal, "note", AnsiColor::Cyan, text);
}

/// Why the command failed: told however quiet it is to be.
pub fn error(text: impl Display) {
    tell(Verbosity::Quiet, "error", AnsiColor::Red, text);
}

/// A step of the job.
pub fn status(text: impl Display) {
    line(Verbosity::Normal, text);
}

/// What only those want to know who asked for it.
pub fn detail(text: impl Display) {
    line(Verbosity::Verbose, text);
}

fn tell(from: Verbosity, mark: &str, colour: AnsiColor, text: impl Display) {
    let style = Style::new().bold().fg_color(Some(colour.into()));
    line(from, format_args!("{style}{mark}:{style:#} {text}"));
}

fn line(from: Verbosity, text: impl Display) {
    if verbosity() >= from {
        // Nobody is left to tell that standard error is closed.
        let _ = writeln!(anstream::stderr(), "{text}");
    }
}
