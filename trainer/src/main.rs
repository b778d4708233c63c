//! `trainer`: the command line over the library.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    let call = cli::Call::parse(std::env::args_os()).unwrap_or_else(|error| error.exit());
    trainer::threads::settle();
    trainer::memory::keep_freed_memory();
    // Inside the thread pool, so that the caller of a parallel operation is one of its workers
    // instead of waiting for them.
    rayon::scope(|_| call.carry_out())
}
