//! The `trainer`, built with the tests: what they run is never older than the code.

use std::process::ExitCode;

fn main() -> ExitCode {
    trainer::cli::main()
}
