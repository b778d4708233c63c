//! Converts dynamics that other programs recorded to a `.dyn` file.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use shared::recording::dyn_file::{self, RunKind};
use shared::recording::dynamics::{Dynamics, Negatives, Precision, RunInfo};
use shared::recording::import::{self, Imported, Layout, Recording, Text};

use crate::data::corpus_file::CorpusOptions;
use crate::files::write_whole_by;

/// Number of bytes to read at once.
const BUFFER: usize = 1 << 20;

/// The setting that is stored if a recording came without its text.
const TEXT: &str = "text";
const GUIDS: &str = "not given; guids stand for sentences";

/// Returns whether the sentences of these dynamics are only guids, because the recording came without its text.
pub fn has_guids(info: &RunInfo) -> bool {
    info.settings.iter().any(|(name, value)| name == TEXT && value == GUIDS)
}

/// Input files and options of a conversion.
#[derive(Debug, Clone)]
pub struct Conversion {
    /// Files with the recorded dynamics: all epochs, in any order.
    pub dynamics: Vec<PathBuf>,
    /// The corpus whose candidate spans are numbered by the guids.
    pub corpus: Option<PathBuf>,
    /// The same text with gold labels.
    pub gold: Option<PathBuf>,
    /// How both corpora are read.
    pub corpora: CorpusOptions,
    /// Names of the logits after the one of `O`.
    pub labels: Option<Vec<String>>,
    /// Widest candidate span of the recording program, in tokens.
    pub max_span_width: u32,
    /// Precision in which logits are stored.
    pub precision: Precision,
    /// Negatives that were in the loss of the recorded run.
    pub negatives: Negatives,
}

/// Statistics of a conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// Number of spans.
    pub n_spans: usize,
    /// Number of epochs.
    pub n_epochs: usize,
    /// Number of spans that lack a record in at least one epoch.
    pub n_incomplete: usize,
    /// Number of spans with a value that is `null` or not finite.
    pub n_not_finite: usize,
    /// Whether only margins are known, and no logits.
    pub is_margins: bool,
}

/// Reads all files in one pass.
///
/// # Errors
/// When a file cannot be read, is malformed (the error names file and line), or does not fit the others or the
/// corpus.
pub fn read(conversion: &Conversion) -> Result<Imported> {
    ensure!(conversion.max_span_width > 0, "--max-span-width must be at least 1");
    let text = match &conversion.corpus {
        None => None,
        Some(path) => {
            let (corpus, gold) = conversion.corpora.read_both(path, conversion.gold.as_deref())?;
            Some(Text { corpus, gold })
        }
    };
    let mut recording = match &text {
        None => Recording::of_guids(),
        Some(Text { corpus, .. }) => Recording::of_spans(&corpus.span_index(conversion.max_span_width)?),
    };
    let mut layout = None;
    for path in &conversion.dynamics {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let reader = BufReader::with_capacity(BUFFER, file);
        let read = import::read(reader, &path.display().to_string(), &mut recording)?;
        layout.get_or_insert(read);
    }
    let layout = layout.ok_or_else(|| anyhow!("--dynamics names no file"))?;
    let info = info(conversion, layout, recording.epochs());
    Ok(Imported::new(recording, text, conversion.labels.as_deref(), info, conversion.precision)?)
}

fn info(conversion: &Conversion, layout: Layout, epochs: Option<(u32, u32)>) -> RunInfo {
    let source = conversion.corpus.as_ref().or(conversion.dynamics.first());
    let name = source.and_then(|p| p.file_stem()).map_or(String::new(), |n| n.to_string_lossy().into_owned());
    let mut settings = vec![("converted from".to_owned(), layout.describe().to_owned())];
    if let Some((first, last)) = epochs {
        settings.push(("epochs in the source".to_owned(), format!("{first}–{last}")));
    }
    if conversion.corpus.is_none() {
        settings.push((TEXT.to_owned(), GUIDS.to_owned()));
    }
    RunInfo {
        name,
        written_by: concat!("DynClean ", env!("CARGO_PKG_VERSION"), " (convert)").to_owned(),
        encoder: "not recorded".to_owned(),
        seed: 0,
        negatives: conversion.negatives,
        max_span_width: conversion.max_span_width,
        settings,
    }
}

/// Writes a dynamics file, epoch by epoch.
///
/// # Errors
/// When it cannot be written.
pub fn write(imported: Imported, out: &Path) -> Result<Converted> {
    let Imported { mut dynamics, n_incomplete, n_not_finite } = imported;
    for (fact, n) in [
        ("spans without a record at every epoch", n_incomplete),
        ("spans with a value that is no number", n_not_finite),
    ] {
        if n > 0 {
            dynamics.info.settings.push((fact.to_owned(), n.to_string()));
        }
    }
    let Dynamics { info, corpus, gold, run, .. } = dynamics;
    let is_margins = run.is_margins();
    let begin = if is_margins { dyn_file::begin_margins } else { dyn_file::begin };
    let n_epochs = run.epochs.len();
    let n_spans = run.epochs.first().map_or(0, |e| e.n_spans());
    write_whole_by(out, |file| {
        file.write_all(&begin(&info, &corpus, gold.as_deref()))?;
        for (number, logits) in (1..).zip(run.epochs) {
            // Each epoch is freed as soon as it is written.
            file.write_all(&dyn_file::epoch(RunKind::Main, number, &logits))?;
        }
        Ok(file.write_all(&dyn_file::end())?)
    })?;
    Ok(Converted { n_spans, n_epochs, n_incomplete, n_not_finite, is_margins })
}
