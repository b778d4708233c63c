//! Code that the tests share: paths, skipping of tests, and the invariants of parsers.
//!
//! A test is skipped only if it needs something that set-up does not install, or if someone leaves it out by name.
//! Every skip is reported. It is a failure if something that set-up installs is missing.

pub mod generated;
pub mod parsers;

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Variable with a comma-separated list of things that are left out. Each is named by its variable (see
/// [`installed`]).
pub const WITHOUT: &str = "DYNCLEAN_WITHOUT";
/// Variable that names a file. Every skip adds a line to it.
pub const SKIPPED: &str = "DYNCLEAN_SKIPPED";

/// Returns the path of the trainer: the binary that cargo built with these tests, or the one that DYNCLEAN_TRAINER
/// names.
#[macro_export]
macro_rules! trainer {
    () => {
        $crate::given("DYNCLEAN_TRAINER").unwrap_or_else(|| env!("CARGO_BIN_EXE_trainer-under-test").into())
    };
}

/// Returns the path in an environment variable, if the variable is set.
pub fn given(variable: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os(variable).filter(|value| !value.is_empty())?);
    assert!(path.exists(), "{variable} names {}, which is not there", path.display());
    Some(path)
}

/// Returns the path of something that only some machines have and set-up does not install. If its variable is not
/// set, the test is skipped.
pub fn path_from_env(variable: &str, what: &str, test: &str) -> Option<PathBuf> {
    let path = given(variable);
    if path.is_none() {
        skipped(test, &format!("{variable} does not name {what}"));
    }
    path
}

/// Returns the path of something that set-up installs: the one in its variable, or else `own`. If it is missing,
/// the test fails.
pub fn installed(variable: &str, what: &str, test: &str, own: impl FnOnce() -> Option<PathBuf>) -> Option<PathBuf> {
    let without = env::var(WITHOUT).unwrap_or_default();
    if without.split(',').any(|name| name.trim() == variable) {
        skipped(test, &format!("{WITHOUT} leaves out {what}"));
        return None;
    }
    let path = given(variable).or_else(own);
    assert!(
        path.is_some(),
        "{test} needs {what}. `cargo xtask setup` installs it, and {variable} names another one; {WITHOUT}={variable} \
         leaves out the tests that need it"
    );
    path
}

/// Reports that a test does not run, and why.
pub fn skipped(test: &str, why: &str) {
    let line = format!("SKIPPED {test}: {why}\n");
    // The test harness swallows `eprintln!` output of a test that passes, so this writes directly.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(list) = env::var_os(SKIPPED) {
        OpenOptions::new().create(true).append(true).open(list).unwrap().write_all(line.as_bytes()).unwrap();
    }
}

/// Returns the folder of the real corpora, which are not part of the project.
pub fn corpora(test: &str) -> Option<PathBuf> {
    path_from_env("DYNCLEAN_DATA", "a folder with the corpora wikigold, wnut16 and conll03", test)
}

/// Returns the folder in which `cargo xtask` keeps the tools it installs: the user's cache folder.
fn tools() -> PathBuf {
    let folder = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = folder("XDG_CACHE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".cache")))
        .or_else(|| folder("LOCALAPPDATA"));
    match cache.filter(|cache| cache.is_absolute()) {
        Some(cache) => cache.join("dynclean/tools"),
        None => root().join("target/tools"),
    }
}

/// Returns the folder of the encoder all-MiniLM-L6-v2.
pub fn minilm(test: &str) -> Option<PathBuf> {
    installed("DYNCLEAN_MINILM", "the encoder all-MiniLM-L6-v2", test, || {
        folder_with(&tools().join("minilm/unpacked"), "model.safetensors")
    })
}

/// Returns the path of axe-core's script.
pub fn axe(test: &str) -> Option<PathBuf> {
    let own = tools().join("axe/node_modules/axe-core/axe.min.js");
    installed("DYNCLEAN_AXE", "axe-core's axe.min.js", test, || own.is_file().then_some(own))
}

/// Returns the folder of the built page. Fails if the page is older than its sources.
pub fn page(test: &str) -> Option<PathBuf> {
    let page = installed("DYNCLEAN_DIST", "the built page", test, || {
        let own = root().join("dist");
        own.join("index.html").is_file().then_some(own)
    })?;
    if given("DYNCLEAN_DIST").is_none() {
        let built = modified(&page.join("index.html"));
        let sources = ["web", "shared/src", "shared/lanes/src", "shared/explorer/src", "index.html"]
            .map(|source| newest(&root().join(source)));
        let is_newer = sources.into_iter().max() > Some(built);
        assert!(!is_newer, "{} is older than its sources: run `cargo xtask page`", page.display());
    }
    Some(page)
}

/// Returns a program: the one that the variable names, or one with one of these names on PATH or among the tools of
/// `cargo xtask`.
pub fn program(variable: &str, names: &[&str], test: &str) -> Option<PathBuf> {
    let file = |name: &&str| format!("{name}{}", env::consts::EXE_SUFFIX);
    let search_path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&search_path).chain([tools().join("bin")]).collect();
    let find = |name: &&str| folders.iter().map(|folder| folder.join(file(name))).find(|path| path.is_file());
    installed(variable, names[0], test, || names.iter().find_map(find))
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Returns this folder or a folder below it that holds a file of this name.
fn folder_with(folder: &Path, name: &str) -> Option<PathBuf> {
    if folder.join(name).is_file() {
        return Some(folder.to_owned());
    }
    let entries = fs::read_dir(folder).ok()?.flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).find_map(|path| folder_with(&path, name))
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

/// Returns the time of the last change in a folder.
fn newest(path: &Path) -> SystemTime {
    match fs::read_dir(path) {
        Ok(entries) => entries.map(|entry| newest(&entry.unwrap().path())).max().unwrap_or(SystemTime::UNIX_EPOCH),
        Err(_) => modified(path),
    }
}

/// A server that ends together with its test, even if the test fails.
pub struct Server(pub std::process::Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}
