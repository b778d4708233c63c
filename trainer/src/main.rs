//! `trainer`: the command line over the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    trainer::cli::main()
}
