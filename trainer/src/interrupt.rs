//! Ending on request: Ctrl-C or a termination signal lets the batch at hand finish, so that a checkpoint can be
//! written.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use crate::console;

static REQUESTED: AtomicBool = AtomicBool::new(false);
/// Whether a signal is how the process is meant to end.
static ENDS: AtomicBool = AtomicBool::new(false);

/// Exit status of a command that was interrupted: 128 + SIGINT, as shells have it.
pub const EXIT_STATUS: u8 = 130;

/// The work was ended before its time, on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted; give the same command again to go on from here")
    }
}

impl std::error::Error for Interrupted {}

/// From now on a signal only asks to end; a second one ends at once.
///
/// # Errors
/// When the system does not let signals be handled.
pub fn listen() -> Result<()> {
    ENDS.store(false, Ordering::Relaxed);
    handle()
}

/// From now on a signal is how the process is meant to end.
///
/// # Errors
/// As [`listen`].
pub fn end_on_signal() -> Result<()> {
    ENDS.store(true, Ordering::Relaxed);
    handle()
}

/// A process has one handler: what it does may change.
fn handle() -> Result<()> {
    static HANDLED: AtomicBool = AtomicBool::new(false);
    if HANDLED.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    ctrlc::set_handler(|| {
        if ENDS.load(Ordering::Relaxed) {
            std::process::exit(0);
        }
        if REQUESTED.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(EXIT_STATUS));
        }
        console::warning(
            "ending after this batch; once more ends at once, and the next start goes back to the last checkpoint",
        );
    })
    .context("cannot listen for Ctrl-C")
}

/// Asks all trainings of this process to end, as a signal does.
pub fn request() {
    REQUESTED.store(true, Ordering::Relaxed);
}

/// Fails once the end was asked for.
///
/// # Errors
/// [`Interrupted`].
pub fn check() -> Result<(), Interrupted> {
    if REQUESTED.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
}
