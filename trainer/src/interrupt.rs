//! Stops on request. After Ctrl-C or a termination signal the current batch still finishes, so that a checkpoint
//! can be written.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use crate::console;

static REQUESTED: AtomicBool = AtomicBool::new(false);
/// Whether a signal is the normal way to end this process.
static ENDS: AtomicBool = AtomicBool::new(false);
/// Whether the work can go on from a checkpoint.
static HAS_CHECKPOINTS: AtomicBool = AtomicBool::new(true);

/// Exit status of an interrupted command: 128 + SIGINT, as in shells.
pub const EXIT_STATUS: u8 = 130;

/// Error: the work stopped early because somebody asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match HAS_CHECKPOINTS.load(Ordering::Relaxed) {
            true => "interrupted; give the same command again to go on from here",
            false => "interrupted; nothing was written",
        })
    }
}

impl std::error::Error for Interrupted {}

/// Handles signals from now on: the first one only asks the work to stop, the second one ends the process at once.
///
/// # Errors
/// If the system does not allow signal handlers.
pub fn listen() -> Result<()> {
    ENDS.store(false, Ordering::Relaxed);
    handle()
}

/// Does the same as [`listen`] for work that starts anew after it was interrupted.
///
/// # Errors
/// The same as [`listen`].
pub fn listen_without_checkpoints() -> Result<()> {
    HAS_CHECKPOINTS.store(false, Ordering::Relaxed);
    listen()
}

/// From now on, a signal ends the process at once with exit status 0.
///
/// # Errors
/// The same as [`listen`].
pub fn end_on_signal() -> Result<()> {
    ENDS.store(true, Ordering::Relaxed);
    handle()
}

/// From now on, signals do nothing: another process decides when this one ends.
///
/// # Errors
/// The same as [`listen`].
pub fn ignore() -> Result<()> {
    ctrlc::set_handler(|| {}).context("cannot listen for Ctrl-C")
}

/// Installs the one handler of this process. `ENDS` may change later what that handler does.
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
        console::warning(match HAS_CHECKPOINTS.load(Ordering::Relaxed) {
            true => "ending as soon as nothing is lost; once more ends at once, and the next start goes back to the last checkpoint",
            false => "ending; once more ends at once, and leaves a temporary file beside the output",
        });
    })
    .context("cannot listen for Ctrl-C")
}

/// Asks all trainings of this process to stop, like a signal.
pub fn request() {
    REQUESTED.store(true, Ordering::Relaxed);
}

/// Fails if somebody has asked the work to stop.
///
/// # Errors
/// [`Interrupted`].
pub fn check() -> Result<(), Interrupted> {
    if REQUESTED.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
}
