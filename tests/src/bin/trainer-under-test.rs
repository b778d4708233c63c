//! The `trainer`, built together with the tests, so that the tests never run an older program.

use std::process::ExitCode;

fn main() -> ExitCode {
    trainer::cli::main()
}
