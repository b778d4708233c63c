//! Ctrl-C.

use trainer::console;

use super::failure::INTERRUPTED;

/// From now on, Ctrl-C says that the command can go on later, and ends it.
///
/// Nothing needs cleaning up: files appear whole, and what grows (dynamics, checkpoints) is readable
/// at any moment.
pub fn leaves_a_run_to_go_on() {
    handle(|| {
        console::warning("interrupted; the same command goes on where it stopped");
        std::process::exit(INTERRUPTED)
    });
}

/// From now on, Ctrl-C is how the command is meant to end.
pub fn is_the_end() {
    handle(|| std::process::exit(0));
}

fn handle(on_interrupt: impl FnMut() + 'static + Send) {
    if let Err(error) = ctrlc::set_handler(on_interrupt) {
        // Ctrl-C still ends the process, just without a word.
        console::detail(format_args!("Ctrl-C is not handled: {error}"));
    }
}
