//! Numbered steps: show what is done and how long it takes, and a summary at the end.
//!
//! All output goes to stderr, like cargo's own progress. stdout is for test results.

use std::{
    cell::Cell,
    fs,
    io::{IsTerminal, Write, stderr},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};

use crate::{layout::Layout, process};

/// Time between signs of life of a long step, if there is no terminal.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// Width of the live line. It fits a terminal of 80 columns.
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

    /// Does one step. `work` returns a value, and a text about the result.
    pub fn step<T>(&mut self, name: &str, work: impl FnOnce(&Step) -> Result<(T, String)>) -> Result<T> {
        debug_assert!(self.done.len() < self.total, "more steps than announced");
        let step = Step {
            heading: format!("[{}/{}] {name}", self.done.len() + 1, self.total),
            log: self.logs.join(format!("{}.log", slug(name))),
            started: Instant::now(),
            last_sign: Cell::new(Instant::now()),
        };
        // The log contains only the latest attempt. It is no error if there was no log.
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

    /// Does `work` in a thread of its own while `meanwhile` does steps. A last step waits for `work`, and shows how it went.
    /// `work` writes to the log whose path it gets.
    pub fn beside(
        &mut self,
        name: &str,
        news: &str,
        work: impl FnOnce(&Path) -> Result<()> + Send,
        meanwhile: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        // Not the log of the last step: that step removes it when it begins.
        let log = self.logs.join(format!("{}-beside.log", slug(name)));
        let _ = fs::remove_file(&log);
        thread::scope(|scope| {
            let work = scope.spawn(|| work(&log));
            meanwhile(self)?;
            self.step(name, |step| {
                step.say("at work beside the steps before");
                work.join().map_err(|_| anyhow!("{name} panicked"))??;
                Ok(((), news.to_owned()))
            })
        })
    }

    /// Prints all steps with their times, and marks the one that failed.
    pub fn summary(&self) {
        eprintln!("\nsummary");
        for done in &self.done {
            let mark = if done.failed { "FAILED" } else { "ok" };
            eprintln!("  {mark:<6}  {:>9}  {}", human(done.took), done.name);
        }
        eprintln!("          {:>9}  in all", human(self.started.elapsed()));
    }
}

/// The current step.
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

    /// Runs a command. Its output goes to the step's log, and the last line is shown live on the terminal.
    pub fn run(&self, command: &mut Command) -> Result<()> {
        let terminal = stderr().is_terminal();
        let result = process::logged(command, &self.log, |line| self.sign(line, terminal));
        if terminal {
            eprint!("\r\u{1b}[K");
        }
        result
    }

    /// Shows that the step is still working: with a line that is rewritten in place, or with a new line every half
    /// minute.
    fn sign(&self, line: &str, terminal: bool) {
        let text: String = line.trim().chars().take(LIVE_WIDTH).collect();
        let elapsed = human(self.started.elapsed());
        if terminal {
            eprint!("\r\u{1b}[K  {elapsed:>9}  {text}");
            // If this fails, the line only appears later.
            let _ = stderr().flush();
        } else if self.last_sign.get().elapsed() >= HEARTBEAT {
            self.last_sign.set(Instant::now());
            eprintln!("  {elapsed:>9}  {text}");
        }
    }
}

/// Returns a file name for a step: `wasm-bindgen 0.2.130` becomes `wasm-bindgen`.
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
    fn work_beside_the_steps_keeps_its_log_and_its_error() {
        let logs = tempfile::tempdir().unwrap();
        let mut steps = Steps { total: 2, done: Vec::new(), logs: logs.path().to_owned(), started: Instant::now() };
        let work = |log: &Path| {
            fs::write(log, "what the compiler said").unwrap();
            Err(anyhow!("see {}", log.display()))
        };
        let meanwhile = |steps: &mut Steps| steps.step("page", |_| Ok(((), "ok".to_owned())));
        let error = format!("{:#}", steps.beside("trainer and tests", "ok", work, meanwhile).unwrap_err());
        let log = logs.path().join("trainer-and-tests-beside.log");
        assert!(error.contains(&log.display().to_string()) && error.contains("step 2 of 2"), "{error}");
        assert_eq!(fs::read_to_string(log).unwrap(), "what the compiler said");
    }

    #[test]
    fn logs_are_named_by_what_was_done() {
        assert_eq!(slug("wasm-bindgen 0.2.130"), "wasm-bindgen");
        assert_eq!(slug("lints of the page"), "lints-of-the-page");
    }
}
