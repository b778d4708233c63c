//! Child processes: finds programs, runs them with a log, and reads their output.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;

/// Time between two looks at a running child.
const POLL: Duration = Duration::from_millis(100);
/// Number of lines of the log that an error shows.
const TAIL_LINES: usize = 25;
/// Bytes at the end of a log that are enough for `TAIL_LINES` long lines.
const TAIL_BYTES: u64 = 16 * 1024;

/// Returns the cargo that runs this program (from the pinned toolchain), or the one on PATH.
pub fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A package as `cargo metadata` describes it.
#[derive(Deserialize)]
pub struct Package {
    pub name: String,
    pub version: String,
    pub license: Option<String>,
    pub repository: Option<String>,
    pub manifest_path: PathBuf,
    /// `None` for our own packages.
    pub source: Option<String>,
}

/// Returns all packages of the workspace in this folder and their dependencies. `options` are passed to cargo. It
/// downloads the packages if needed.
pub fn packages(root: &Path, options: &[&str]) -> Result<Vec<Package>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    let mut command = cargo();
    command.args(["metadata", "--format-version=1", "--locked"]).args(options).current_dir(root);
    let metadata: Metadata = serde_json::from_str(&output(&mut command)?).context("cargo's metadata")?;
    Ok(metadata.packages)
}

/// Returns the first executable `name` in a list like PATH.
pub fn find_in(search_path: &OsStr, name: &str) -> Option<PathBuf> {
    let file = format!("{name}{}", env::consts::EXE_SUFFIX);
    env::split_paths(search_path).map(|folder| folder.join(&file)).find(|path| is_executable(path))
}

pub fn find(name: &str) -> Option<PathBuf> {
    find_in(&env::var_os("PATH")?, name)
}

/// Returns the program that this environment variable names, or the first of `names` that is on PATH.
pub fn place(variable: &str, names: &[&str]) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).or_else(|| names.iter().find_map(|name| find(name)))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

/// Returns a command for `program` that leaves most of the cores to whatever else is at work. Where there is no
/// `nice`, it is an ordinary command.
pub fn in_background(program: &OsStr) -> Command {
    match find("nice") {
        Some(nice) => {
            let mut command = Command::new(nice);
            command.args(["-n", "5"]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// Returns what the child prints on stdout, trimmed.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("`{shown}` ended with {}: {}", output.status, errors.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Returns the version that a program prints for `--version`; `None` if the program does not run.
pub fn version_of(program: &Path) -> Option<String> {
    let answer = output(Command::new(program).arg("--version")).ok()?;
    version_in(&answer).map(str::to_owned)
}

/// Returns the first word that starts with a digit: `trunk 0.21.14`, `wasm-opt version 132 (…)`. A `v` before the
/// digit is left out: `mdbook v0.5.4`.
pub fn version_in(answer: &str) -> Option<&str> {
    let words = answer.split_whitespace().map(|word| word.strip_prefix('v').unwrap_or(word));
    words.into_iter().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
}

/// Runs the child on our own terminal.
pub fn inherited(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}; see its output above");
    }
    Ok(())
}

/// Runs the child and appends everything it prints to `log`. While it runs, `watch` is called with the last line
/// of the log. An error shows the end of the log.
pub fn logged(command: &mut Command, log: &Path, mut watch: impl FnMut(&str)) -> Result<()> {
    let shown = shown(command);
    let file = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot write the log {}", log.display()))?;
    let started_at = file.metadata().map_or(0, |meta| meta.len());
    let errors = file.try_clone().context("cannot share the log")?;
    let mut child = command.stdout(file).stderr(errors).spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if let Some(line) = tail(log, started_at).pop() {
            watch(&line);
        }
        thread::sleep(POLL);
    };
    if status.success() {
        return Ok(());
    }
    let mut message = format!("`{shown}` ended with {status}");
    for line in tail(log, started_at) {
        message += &format!("\n  | {line}");
    }
    Err(anyhow!("{message}\nfull log: {}", log.display()))
}

/// Returns the last lines of a log from byte `from` on, cleaned for display. A log that cannot be read has no
/// lines, because the caller's own message is more important.
fn tail(log: &Path, from: u64) -> Vec<String> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(end.saturating_sub(TAIL_BYTES))))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    last_lines(&String::from_utf8_lossy(&read().unwrap_or_default()))
}

fn last_lines(text: &str) -> Vec<String> {
    // Progress bars rewrite their line after a carriage return, so each state counts as a line.
    let mut lines: Vec<String> =
        text.split(['\n', '\r']).map(without_escapes).filter(|line| !line.trim().is_empty()).collect();
    lines.drain(..lines.len().saturating_sub(TAIL_LINES));
    lines
}

/// Removes colours (`ESC [ … letter`) and other control characters.
fn without_escapes(line: &str) -> String {
    let mut shown = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            chars.by_ref().find(|c| c.is_ascii_alphabetic());
        } else if !c.is_control() || c == '\t' {
            shown.push(c);
        }
    }
    shown
}

/// Returns the command as a person would type it.
fn shown(command: &Command) -> String {
    let name = Path::new(command.get_program());
    let mut shown = name.file_name().unwrap_or(name.as_os_str()).to_string_lossy().into_owned();
    for arg in command.get_args() {
        shown += " ";
        shown += &arg.to_string_lossy();
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_the_tools_print() {
        for (answer, version) in [
            ("trunk 0.21.14", Some("0.21.14")),
            ("wasm-bindgen 0.2.130\n", Some("0.2.130")),
            ("wasm-opt version 132 (version_132)", Some("132")),
            ("mdbook v0.5.4", Some("0.5.4")),
            ("Chromium 156.0.1.2 built on Debian", Some("156.0.1.2")),
            ("ChromeDriver 156.0.1.2 (abc-refs/heads/1)", Some("156.0.1.2")),
            ("no such option", None),
        ] {
            assert_eq!(version_in(answer), version, "{answer}");
        }
    }

    #[test]
    fn last_lines_drop_colours_blank_lines_and_old_lines() {
        assert_eq!(last_lines("a\u{1b}[1;31mb\u{1b}[0m\n\n10 %\r20 %\n"), ["ab", "10 %", "20 %"]);
        let many = "line\n".repeat(TAIL_LINES + 5) + "last";
        let lines = last_lines(&many);
        assert_eq!(lines.len(), TAIL_LINES);
        assert_eq!(lines.last().map(String::as_str), Some("last"));
        assert!(last_lines("").is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn the_first_executable_on_the_path_is_found() {
        use std::os::unix::fs::PermissionsExt;
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(first.path().join("tool"), "not executable").unwrap();
        let right = second.path().join("tool");
        fs::write(&right, "#!/bin/sh\necho tool 1.2\n").unwrap();
        fs::set_permissions(&right, fs::Permissions::from_mode(0o755)).unwrap();
        let path = env::join_paths([first.path(), second.path()]).unwrap();
        assert_eq!(find_in(&path, "tool"), Some(right));
        assert_eq!(find_in(&path, "other"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_failure_shows_its_own_part_of_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("step.log");
        fs::write(&log, "from an earlier command\n").unwrap();
        let mut script = Command::new("sh");
        script.args(["-c", "echo out; echo err >&2; exit 3"]);
        let error = logged(&mut script, &log, |_| ()).unwrap_err().to_string();
        assert!(error.contains("| out\n  | err"), "{error}");
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(!error.contains("earlier"), "{error}");
        assert!(error.contains("step.log"), "{error}");
    }
}
