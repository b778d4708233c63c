//! Progress of a download: a bar on a terminal, a line elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console::{self, Verbosity};

/// Size from which a bar is shown. Smaller files arrive before a bar can be drawn.
const SHOWN_FROM: u64 = 1 << 20;

pub struct Bar {
    name: String,
    bar: Option<ProgressBar>,
}

impl Bar {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), bar: None }
    }

    /// Begins with `there` bytes that exist already, of `whole` bytes if that is known. It may be called again
    /// after a failure.
    pub fn begin(&mut self, there: u64, whole: Option<u64>) {
        let Some(whole) = whole.filter(|&whole| whole >= SHOWN_FROM) else { return };
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new(whole);
            if console::verbosity() == Verbosity::Quiet {
                bar.set_draw_target(ProgressDrawTarget::hidden());
            }
            let template = "{prefix:>20} {bar:30} {bytes}/{total_bytes} · {bytes_per_sec} · ETA {eta}";
            bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(self.name.clone());
            if bar.is_hidden() {
                console::status(format_args!("downloading {}, {} MB", self.name, whole / 1_000_000));
            }
            bar
        });
        bar.set_position(there);
    }

    pub fn advance(&self, bytes: usize) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes as u64);
        }
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }
}
