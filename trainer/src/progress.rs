//! Progress display of a run: a bar on a terminal, plain lines elsewhere.

use std::sync::LazyLock;
use std::time::Duration;

use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::console::{self, Verbosity};

/// The bars of this process, one below the other. There are two when two runs work side by side.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Cost of training on one sentence, in units of one sentence that is only scored. The backward pass costs twice
/// as much as the forward pass.
pub const TRAINED: u64 = 3;

/// Progress of one stage. It counts sentences that a model scores; a sentence trained on counts [`TRAINED`] times.
pub struct Progress {
    bar: ProgressBar,
    stage: String,
    epochs: u32,
    epoch: u32,
    dev: Option<f64>,
    /// Work done by an earlier start.
    before: u64,
}

impl Progress {
    /// Creates a bar for a stage of `sentences` units in all, of which an earlier start did `before`.
    pub fn new(stage: &str, sentences: u64, before: u64, epochs: u32) -> Self {
        let bar = BARS.add(ProgressBar::new(sentences).with_position(before));
        if console::verbosity() == Verbosity::Quiet {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        // The bar's own estimate extrapolates from the last seconds. A pass over dev is three times as fast, so
        // that estimate would jump.
        let eta = move |state: &ProgressState, w: &mut dyn std::fmt::Write| {
            let _ = write!(w, "{}", left(state.elapsed(), before, state.pos(), state.len().unwrap_or(0)));
        };
        let template = "{prefix:>14} {wide_bar} {percent:>3} % · {msg} · {left}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.with_key("left", eta));
        bar.set_prefix(stage.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, stage: stage.to_owned(), epochs, epoch: 0, dev: None, before }
    }

    /// Creates a progress that nobody sees, for parts of a stage that has a bar of its own.
    pub fn hidden() -> Self {
        let bar = ProgressBar::hidden();
        Self { bar, stage: String::new(), epochs: 1, epoch: 0, dev: None, before: 0 }
    }

    /// Begins an epoch, counted from 1.
    pub fn begin_epoch(&mut self, epoch: u32) {
        self.epoch = epoch;
    }

    /// Counts this many more units of work, usually sentences. `loss` is the running mean loss per span, or `None` if
    /// the sentences are only scored.
    pub fn advance(&self, sentences: usize, loss: Option<f64>) {
        let mut message = match self.epoch {
            // Epoch 0: a pass over held-out sentences without training.
            0 => "scoring".to_owned(),
            epoch => format!("epoch {epoch}/{}", self.epochs),
        };
        if let Some(loss) = loss {
            message += &format!(" · loss {loss:.3}");
        }
        if let Some(dev) = self.dev {
            message += &format!(" · dev F1 {:.1}", 100.0 * dev);
        }
        self.bar.set_message(message);
        self.bar.inc(sentences as u64 * if loss.is_some() { TRAINED } else { 1 });
    }

    /// Ends an epoch. `dev` is its F1 on dev, if that was scored.
    pub fn end_epoch(&mut self, loss: f64, dev: Option<f64>) {
        self.dev = dev;
        self.line(&format!(
            "{:>14} epoch {}/{} · loss {loss:.3}{} · {}",
            self.stage,
            self.epoch,
            self.epochs,
            dev.map_or_else(String::new, |dev| format!(" · dev F1 {:.1}", 100.0 * dev)),
            left(self.bar.elapsed(), self.before, self.bar.position(), self.bar.length().unwrap_or(0)),
        ));
    }

    fn line(&self, text: &str) {
        if self.bar.is_hidden() {
            console::status(text);
        } else if console::verbosity() == Verbosity::Verbose {
            // At normal verbosity the bar says enough.
            self.bar.println(text);
        }
    }
}

/// Returns the remaining time in words, estimated from the mean speed of this start.
fn left(elapsed: Duration, before: u64, done: u64, all: u64) -> String {
    match (done.saturating_sub(before), all.saturating_sub(done)) {
        (_, 0) => format!("took {}", HumanDuration(elapsed)),
        (0, _) => "ETA unknown".to_owned(),
        (since, rest) => format!("ETA {}", HumanDuration(elapsed.mul_f64(rest as f64 / since as f64))),
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // A training that an earlier start had finished has nothing to show.
        match self.bar.message().is_empty() {
            true => self.bar.finish_and_clear(),
            false => self.bar.abandon(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_reckoned_by_what_this_start_did() {
        // In 40 s, 10 more were done than before. 80 are left, so they take 8 times as long.
        assert_eq!(left(Duration::from_secs(40), 10, 20, 100), "ETA 5 minutes");
        assert_eq!(left(Duration::from_secs(40), 0, 20, 30), "ETA 20 seconds");
        assert_eq!(left(Duration::from_secs(1), 10, 10, 100), "ETA unknown");
        assert_eq!(left(Duration::from_secs(61), 0, 9, 9), "took 61 seconds");
    }
}
