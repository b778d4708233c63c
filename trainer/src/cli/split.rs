//! `trainer split`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use trainer::data::parts;
use trainer::data::recording::Recording;
use trainer::files::part_paths;
use trainer::interrupt;

use super::failure::{input, usage};
use super::output::{Output, check_distinct};

/// Divide a dynamics file into parts, each with some of its sentences.
///
/// Each part is a dynamics file of its own. The folder with all of them is as
/// good as the whole file for `clean`, `inspect` and `report`. The parts have
/// about the same number of candidate spans.
///
/// Examples:
///   trainer split run/dynamics.dyn --parts 8 --out parts
///   trainer inspect parts
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Split {
    /// The dynamics file, or a folder with its parts
    #[arg(value_name = "RUN.dyn")]
    dynamics: PathBuf,
    /// Number of parts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    parts: u32,
    /// The folder to write them to. It must have no other .dyn files
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    output: Output,
}

pub fn carry_out(args: &Split) -> Result<()> {
    check_distinct([&args.dynamics], [&args.out])?;
    let whole = input(Recording::open(&args.dynamics))?;
    let sentences = parts::divide(&whole, args.parts)?;
    let out = usage(part_paths(&args.out, sentences.len(), "dyn", "dynamics file"))?;
    interrupt::listen_without_checkpoints()?;
    for (out, sentences) in out.iter().zip(sentences) {
        parts::write(&whole, &sentences.collect::<Vec<_>>(), out)?;
    }
    args.output.done(
        &json!({ "out": args.out, "parts": out }),
        format_args!("{}: {} in {} parts", args.out.display(), args.dynamics.display(), out.len()),
    )
}
