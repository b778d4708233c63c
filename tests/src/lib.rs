//! What the tests share: where things are, when a test cannot run, and what parsers must keep.

pub mod parsers;

use std::io::Write;
use std::path::PathBuf;

/// The path in this environment variable; where it is not set, says on standard error that `test`
/// is skipped, and why.
pub fn path_from_env(variable: &str, what: &str, test: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from).filter(|p| p.exists());
    if path.is_none() {
        // Not by `eprintln!`, which the test harness swallows when a test passes.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {test}: {variable} does not name {what}; `cargo xtask test` sets it where it can"
        );
    }
    path
}

/// The real corpora, which are not part of the project.
pub fn corpora(test: &str) -> Option<PathBuf> {
    path_from_env("DYNCLEAN_DATA", "a folder with the corpora wikigold, wnut16 and conll03", test)
}

/// The trainer binary.
pub fn trainer(test: &str) -> Option<PathBuf> {
    path_from_env("DYNCLEAN_TRAINER", "the built trainer", test)
}

/// The folder of all-MiniLM-L6-v2.
pub fn minilm(test: &str) -> Option<PathBuf> {
    path_from_env("DYNCLEAN_MINILM", "a folder with all-MiniLM-L6-v2", test)
}
