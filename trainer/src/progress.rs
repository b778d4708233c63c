//! What a person sees while a run works: a bar on a terminal, plain lines elsewhere.

use std::sync::LazyLock;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::console::{self, Verbosity};

/// The bars of this process, one below the other: two where runs go side by side.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Progress of one stage, counted in sentences.
pub struct Progress {
    bar: ProgressBar,
    stage: String,
    epochs: u32,
    epoch: u32,
    dev: Option<f64>,
}

impl Progress {
    /// A bar for a stage that passes over `sentences` sentences in all.
    pub fn new(stage: &str, sentences: u64, epochs: u32) -> Self {
        let bar = BARS.add(ProgressBar::new(sentences));
        if console::verbosity() == Verbosity::Quiet {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let rate = |state: &ProgressState, w: &mut dyn std::fmt::Write| {
            let _ = write!(w, "{:.0} sent/s", state.per_sec());
        };
        let template = "{prefix:>14} {wide_bar} {percent:>3} % · {msg} · {rate} · ETA {eta}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.with_key("rate", rate));
        bar.set_prefix(stage.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, stage: stage.to_owned(), epochs, epoch: 0, dev: None }
    }

    /// So many sentences were done before: they count for the bar, not for the rate.
    pub fn skip(&mut self, sentences: u64) {
        self.bar.set_position(sentences);
        self.bar.reset_eta();
        self.bar.reset_elapsed();
    }

    /// Begins an epoch, from 1.
    pub fn begin_epoch(&mut self, epoch: u32) {
        self.epoch = epoch;
    }

    /// So many more sentences are done; `loss` is the running mean per span in the loss.
    pub fn advance(&self, sentences: usize, loss: Option<f64>) {
        let mut message = match self.epoch {
            // Only a pass over held-out sentences.
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
        self.bar.inc(sentences as u64);
    }

    /// An epoch is over.
    pub fn end_epoch(&mut self, loss: f64, dev: f64) {
        self.dev = Some(dev);
        self.line(&format!(
            "{:>14} epoch {}/{} · loss {loss:.3} · dev F1 {:.1} · {:.0} sentences/s · ETA {} s",
            self.stage,
            self.epoch,
            self.epochs,
            100.0 * dev,
            self.bar.per_sec(),
            self.bar.eta().as_secs()
        ));
    }

    fn line(&self, text: &str) {
        if self.bar.is_hidden() {
            console::status(text);
        } else if console::verbosity() == Verbosity::Verbose {
            // Else the bar tells enough.
            self.bar.println(text);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // A training that had ended before has nothing to show.
        match self.bar.message().is_empty() {
            true => self.bar.finish_and_clear(),
            false => self.bar.abandon(),
        }
    }
}
