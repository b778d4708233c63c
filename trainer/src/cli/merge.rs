//! `trainer merge`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use trainer::data::parts;
use trainer::data::recording::Recording;
use trainer::interrupt;

use super::failure::input;
use super::output::{Output, check_distinct, check_files};

/// Make one dynamics file of the parts in a folder.
///
/// The parts are the .dyn files of the folder, in the order of the numbers in
/// their names. They must be recordings of different sentences in the same
/// training.
///
/// Examples:
///   trainer merge parts --out run.dyn
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Merge {
    /// The folder with the parts
    #[arg(value_name = "DIR")]
    parts: PathBuf,
    /// The file to write
    #[arg(long, value_name = "RUN.dyn")]
    out: PathBuf,
    #[command(flatten)]
    output: Output,
}

pub fn carry_out(args: &Merge) -> Result<()> {
    check_files([&args.out])?;
    check_distinct([&args.parts], [&args.out])?;
    let whole = input(Recording::open(&args.parts))?;
    interrupt::listen_without_checkpoints()?;
    let sentences = 0..whole.dynamics.corpus.n_sentences() as u32;
    parts::write(&whole, &sentences.collect::<Vec<_>>(), &args.out)?;
    args.output.done(
        &json!({ "out": args.out, "sentences": whole.dynamics.corpus.n_sentences() }),
        format_args!("{}: the parts in {} as one file", args.out.display(), args.parts.display()),
    )
}
