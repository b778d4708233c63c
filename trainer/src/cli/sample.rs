//! `trainer sample`.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::Args;
use serde_json::json;
use shared::formats::dynclean_json;
use trainer::run_dir::write_whole;
use trainer::sample::{self, SampleSentence};
use trainer::sample_corpus;

use super::failure::usage;
use super::output::Output;

/// Write the bundled sample corpus: invented text with gold and distant labels.
///
/// Example:
///   trainer sample --out sample
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Sample {
    /// Folder for train-distant.json, train-gold.json, dev.json, test.json and dictionary.tsv
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Seed of the invented text
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    #[command(flatten)]
    output: Output,
}

pub fn carry_out(args: &Sample) -> Result<()> {
    let sample = sample::generate(args.seed);
    let keep_or_write = |name: &str, text: String| -> Result<()> {
        let path = args.out.join(name);
        match std::fs::read(&path) {
            Ok(there) if there == text.as_bytes() => Ok(()),
            Ok(_) => usage(Err(anyhow!("{} already exists with other content: choose another --out", path.display()))),
            Err(_) => write_whole(&path, text),
        }
    };
    let write = |name: &str, sentences: &[SampleSentence], distant: bool| -> Result<()> {
        keep_or_write(name, dynclean_json::write(&sample_corpus::corpus(sentences, distant)?))
    };
    write("train-distant.json", &sample.train, true)?;
    write("train-gold.json", &sample.train, false)?;
    write("dev.json", &sample.dev, false)?;
    write("test.json", &sample.test, false)?;
    keep_or_write("dictionary.tsv", sample.dictionary.to_tsv())?;
    let (train, dev, test) = (sample.train.len(), sample.dev.len(), sample.test.len());
    args.output.done(
        &json!({ "out": args.out, "sentences": { "train": train, "dev": dev, "test": test } }),
        format_args!(
            "{}: {train} training, {dev} dev and {test} test sentences, and the dictionary that made the distant labels",
            args.out.display()
        ),
    )
}
