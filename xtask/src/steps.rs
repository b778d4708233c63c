//! Numbered steps: what is being done, how long it takes, and a summary at the end.
//!
//! Everything here goes to stderr, as cargo's own progress does; stdout is for test results.

use std::{
    cell::Cell,
    fs,
    io::{IsTerminal, Write, stderr},
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{layout::Layout, process};

/// Where there is no terminal to draw on, a long step still gives a sign of life this often.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// Room for the live line on a terminal of 80 columns.
const LIVE_WIDTH: usize = 60;

pub struct Steps {
    total: usize,
    done: Vec<Done>,
    logs: PathBuf,
    started: Instant,
}

struct Done {
    name: String,
    took: Duration,
    failed: bool,
}

impl Steps {
    pub fn new(layout: &Layout, total: usize) -> Result<Self> {
        let logs = layout.logs();
        fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        Ok(Self { total, done: Vec::new(), logs, started: Instant::now() })
    }

    /// Does one step. `work` returns what is to be said of it at the end.
    pub fn step<T>(&mut self, name: &str, work: impl FnOnce(&Step) -> Result<(T, String)>) -> Result<T> {
        debug_assert!(self.done.len() < self.total, "more steps than announced");
        let step = Step {
            heading: format!("[{}/{}] {name}", self.done.len() + 1, self.total),
            log: self.logs.join(format!("{}.log", slug(name))),
            started: Instant::now(),
            last_sign: Cell::new(Instant::now()),
        };
        // The log holds the latest attempt only; that none was there is no error.
        let _ = fs::remove_file(&step.log);
        let outcome = work(&step);
        let took = step.started.elapsed();
        match &outcome {
            Ok((_, news)) => step.say(&format!("{news} ({})", human(took))),
            Err(_) => step.say(&format!("FAILED ({})", human(took))),
        }
        self.done.push(Done { name: name.to_owned(), took, failed: outcome.is_err() });
        outcome.map(|(value, _)| value).with_context(|| format!("step {} of {}, {name}", self.done.len(), self.total))
    }

    /// All steps with their times, the failed one marked.
    pub fn summary(&self) {
        eprintln!("\nsummary");
        for done in &self.done {
            let mark = if done.failed { "FAILED" } else { "ok" };
            eprintln!("  {mark:<6}  {:>9}  {}", human(done.took), done.name);
        }
        eprintln!("          {:>9}  in all", human(self.started.elapsed()));
    }
}

/// The step in hand.
pub struct Step {
    heading: String,
    log: PathBuf,
    started: Instant,
    last_sign: Cell<Instant>,
}

impl Step {
    pub fn say(&self, text: &str) {
        eprintln!("{}: {text}", self.heading);
    }

    /// Runs a command, its output going to the step's log and its last line, live, to the terminal.
    pub fn run(&self, command: &mut Command) -> Result<()> {
        let terminal = stderr().is_terminal();
        let result = process::logged(command, &self.log, |line| self.sign(line, terminal));
        if terminal {
            eprint!("\r\u{1b}[K");
        }
        result
    }

    /// Shows that the step is alive: a line rewritten in place, or one every half minute.
    fn sign(&self, line: &str, terminal: bool) {
        let text: String = line.trim().chars().take(LIVE_WIDTH).collect();
        let elapsed = human(self.started.elapsed());
        if terminal {
            eprint!("\r\u{1b}[K  {elapsed:>9}  {text}");
            // Not flushed, the line only comes late.
            let _ = stderr().flush();
        } else if self.last_sign.get().elapsed() >= HEARTBEAT {
            self.last_sign.set(Instant::now());
            eprintln!("  {elapsed:>9}  {text}");
        }
    }
}

/// A file name: `wasm-bindgen 0.2.130` becomes `wasm-bindgen`.
fn slug(name: &str) -> String {
    name.split(' ').take_while(|word| !word.starts_with(|c: char| c.is_ascii_digit())).collect::<Vec<_>>().join("-")
}

fn human(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        s @ 10..60 => format!("{s} s"),
        s => format!("{} m {:02} s", s / 60, s % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short_to_read() {
        for (ms, shown) in [
            (40, "0.0 s"),
            (9_940, "9.9 s"),
            (10_000, "10 s"),
            (59_999, "59 s"),
            (192_000, "3 m 12 s"),
            (3_605_000, "60 m 05 s"),
        ] {
            assert_eq!(human(Duration::from_millis(ms)), shown);
        }
    }

    #[test]
    fn logs_are_named_by_what_was_done() {
        assert_eq!(slug("wasm-bindgen 0.2.130"), "wasm-bindgen");
        assert_eq!(slug("lints of the page"), "lints-of-the-page");
    }
}
