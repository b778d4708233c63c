//! `trainer sample`.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::Args;
use serde_json::json;
use trainer::data::sample;
use trainer::files::write_whole;

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
    #[command(flatten)]
    output: Output,
}

pub fn carry_out(args: &Sample) -> Result<()> {
    let files = sample::files()?;
    for (name, text) in &files {
        let path = args.out.join(name);
        match std::fs::read(&path) {
            Ok(there) if there == text.as_bytes() => {}
            Ok(_) => usage(Err(anyhow!("{} already exists with other content: choose another --out", path.display())))?,
            Err(_) => write_whole(&path, text)?,
        }
    }
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    args.output.done(
        &json!({ "out": args.out, "files": names }),
        format_args!(
            "{}: 1000 training, 200 dev and 300 test sentences, and the dictionary that made the distant labels",
            args.out.display()
        ),
    )
}
