//! Messages on standard error: notes, warnings and progress. Results go to standard output instead.
//!
//! Colour is used only if the terminal wants it; `NO_COLOR`, `CLICOLOR` and `CLICOLOR_FORCE` are respected. If
//! standard error is closed, messages are dropped and the program goes on.

use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::{AtomicU8, Ordering};

use anstyle::{AnsiColor, Style};

/// How much is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// Notes, warnings and progress.
    #[default]
    Normal,
    /// Also the settings in force, and a line per epoch even beside a progress bar.
    Verbose,
}

/// The setting of the whole process, because standard error belongs to the whole process.
static VERBOSITY: AtomicU8 = AtomicU8::new(Verbosity::Normal as u8);

/// Sets how much is printed from now on.
pub fn set_verbosity(verbosity: Verbosity) {
    VERBOSITY.store(verbosity as u8, Ordering::Relaxed);
}

/// Returns how much is printed.
pub fn verbosity() -> Verbosity {
    match VERBOSITY.load(Ordering::Relaxed) {
        0 => Verbosity::Quiet,
        1 => Verbosity::Normal,
        _ => Verbosity::Verbose,
    }
}

/// Prints a warning: something that the user should know and may want to change.
pub fn warning(text: impl Display) {
    tell(Verbosity::Normal, "warning", AnsiColor::Yellow, text);
}

/// Prints a note: something was left out or done differently.
pub fn note(text: impl Display) {
    tell(Verbosity::Normal, "note", AnsiColor::Cyan, text);
}

/// Prints why the command failed, even at [`Verbosity::Quiet`].
pub fn error(text: impl Display) {
    tell(Verbosity::Quiet, "error", AnsiColor::Red, text);
}

/// Prints a step of the job.
pub fn status(text: impl Display) {
    line(Verbosity::Normal, text);
}

/// Prints a detail, only at [`Verbosity::Verbose`].
pub fn detail(text: impl Display) {
    line(Verbosity::Verbose, text);
}

fn tell(from: Verbosity, mark: &str, colour: AnsiColor, text: impl Display) {
    let style = Style::new().bold().fg_color(Some(colour.into()));
    line(from, format_args!("{style}{mark}:{style:#} {text}"));
}

fn line(from: Verbosity, text: impl Display) {
    if verbosity() >= from {
        // Ignore a failure: if standard error is closed, nobody can be told.
        let _ = writeln!(anstream::stderr(), "{text}");
    }
}

/// Quotes a value, if needed, so that a shell reads it as one word.
pub fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    match !value.is_empty() && value.chars().all(is_plain) {
        true => value.to_owned(),
        false => format!("'{}'", value.replace('\'', r"'\''")),
    }
}
