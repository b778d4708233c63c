//! Results on standard output, as text or as one JSON document.

use std::fmt::Display;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use serde::Serialize;
use trainer::console::{self, Verbosity};
use trainer::data::text_input::is_standard;

use super::failure::{Failure, usage};

/// The choice between text for people and JSON for programs.
#[derive(Args)]
pub struct Output {
    /// Print the result as one JSON document; everything else goes to standard error
    #[arg(long)]
    pub json: bool,
}

impl Output {
    /// Checks that not both the JSON document and the file `out` go to standard output.
    ///
    /// # Errors
    /// Says what to give instead.
    pub fn check(&self, out: &Path) -> Result<()> {
        match self.json && is_standard(out) {
            true => usage(Err(anyhow!("--json and `--out -` would both write to standard output: give --out a file"))),
            false => Ok(()),
        }
    }

    /// Prints the result that the user asked for, even with `--quiet`.
    ///
    /// # Errors
    /// When standard output cannot be written to.
    pub fn result(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        match self.json {
            true => write(serde_json::to_string_pretty(value)? + "\n"),
            false => write(text()),
        }
    }

    /// Prints what the command has done, if its result is a file. With `--quiet` it prints nothing, unless the output
    /// is JSON.
    ///
    /// # Errors
    /// When standard output cannot be written to.
    pub fn done(&self, value: &impl Serialize, text: impl Display) -> Result<()> {
        match self.json || console::verbosity() > Verbosity::Quiet {
            true => self.result(value, || format!("{text}\n")),
            false => Ok(()),
        }
    }
}

/// Checks that no output is an input or another output. An output must also not be a folder that holds one of these,
/// and must not lie in a folder that is an input.
///
/// # Errors
/// The error names the file.
pub fn check_distinct<'a>(
    read: impl IntoIterator<Item = &'a PathBuf>,
    written: impl IntoIterator<Item = &'a PathBuf>,
) -> Result<()> {
    let is_in = |file: &Path, out: &Path| {
        file == out
            || fs::canonicalize(file).is_ok_and(|file| fs::canonicalize(out).is_ok_and(|out| file.starts_with(out)))
    };
    let mut taken: Vec<&Path> = read.into_iter().map(PathBuf::as_path).collect();
    let folders: Vec<PathBuf> = taken.iter().filter(|f| f.is_dir()).filter_map(|f| fs::canonicalize(f).ok()).collect();
    for out in written.into_iter().filter(|out| !is_standard(out)) {
        let here = |path: &Path| fs::canonicalize(if path.as_os_str().is_empty() { Path::new(".") } else { path }).ok();
        let there = out.ancestors().find_map(here);
        let holds_it = |folder: &&PathBuf| there.as_ref().is_some_and(|there| there.starts_with(folder));
        if let Some(folder) = folders.iter().find(holds_it) {
            let (out, folder) = (out.display(), folder.display());
            return usage(Err(anyhow!("{out} lies in {folder}, which is an input: choose a place outside it")));
        }
        if taken.iter().any(|other| is_in(other, out)) {
            let out = out.display();
            return usage(Err(anyhow!(
                "{out} is an input or another output, and would be overwritten: choose another name"
            )));
        }
        taken.push(out);
    }
    Ok(())
}

/// Checks that none of these outputs is `-`, because they can only go to files.
///
/// # Errors
/// The error says what to give instead.
pub fn check_files<'a>(written: impl IntoIterator<Item = &'a PathBuf>) -> Result<()> {
    match written.into_iter().any(|out| is_standard(out)) {
        true => usage(Err(anyhow!("this cannot go to standard output: give the name of a file (./- for one named -)"))),
        false => Ok(()),
    }
}

/// Writes to standard output.
///
/// # Errors
/// [`Failure::ReaderGone`] if the reader of standard output has closed it.
pub fn write(bytes: impl AsRef<[u8]>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::ReaderGone.into()),
        done => done.context("cannot write to standard output"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a.json", "b.json"].map(|name| folder.path().join(name));
        fs::write(&a, "").unwrap();
        let a_by_another_way = folder.path().join(".").join("a.json");
        let check = |written: &[&PathBuf]| check_distinct([&a], written.iter().copied());
        assert!(check(&[&b]).is_ok());
        assert!(check(&[&a_by_another_way]).unwrap_err().to_string().contains("a.json"));
        assert!(check(&[&b, &b]).unwrap_err().to_string().contains("b.json"));
        assert!(check(&[&folder.path().to_owned()]).is_err(), "a folder of documents");
        assert!(check(&[&folder.path().join("documents")]).is_ok());
        let inside = folder.path().join("new").join("documents");
        let error = check_distinct([&folder.path().to_owned()], [&inside]).unwrap_err().to_string();
        assert!(error.contains("lies in"), "{error}");
        assert!(check(&[&inside]).is_ok(), "beside a file that is read");
        let standard = PathBuf::from("-");
        assert!(check_distinct([&standard], [&standard, &standard]).is_ok());
    }
}
