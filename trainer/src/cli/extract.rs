//! `trainer extract`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use trainer::data::parts;
use trainer::data::recording::Recording;
use trainer::files::write_whole;
use trainer::interrupt;

use super::failure::input;
use super::output::{Output, check_distinct};

/// Take the most suspicious sentences out of a recording that is too large for
/// the page.
///
/// The extract is a dynamics file. Its labels have the same trust, the same
/// reasons and the same decisions as in the whole recording. Look at it on the
/// page, and save your decisions. Then use --decisions: it writes them again,
/// as decisions about the whole recording, for `trainer clean` or `trainer run`.
///
/// Examples:
///   trainer extract run/dynamics.dyn --suspicious 1000000 --out look.dyn
///   trainer extract look.dyn --decisions decisions.json --out whole.json
///   trainer clean run/dynamics.dyn --corpus train.json \
///       --decisions whole.json --out cleaned.json
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Extract {
    /// The recording: a dynamics file, or a folder with its parts. With --decisions: the extract
    #[arg(value_name = "RUN.dyn")]
    dynamics: PathBuf,
    /// Take sentences with at most N candidate spans together, the most suspicious ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), required_unless_present = "decisions")]
    suspicious: Option<u32>,
    /// Decisions about the extract, from the page. Written to --out as decisions about the whole recording
    #[arg(long, value_name = "FILE", conflicts_with = "suspicious")]
    decisions: Option<PathBuf>,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    output: Output,
}

pub fn carry_out(args: &Extract) -> Result<()> {
    check_distinct([&args.dynamics].into_iter().chain(&args.decisions), [&args.out])?;
    interrupt::listen_without_checkpoints()?;
    let out = args.out.display();
    if let Some(decisions) = &args.decisions {
        let about = input(parts::decisions_about_the_whole(&args.dynamics, decisions))?;
        write_whole(&args.out, about.to_json())?;
        let n = about.overrides.len();
        return args.output.done(
            &json!({ "out": args.out, "decisions": n }),
            format_args!("{out}: {n} decisions by hand, about the whole recording"),
        );
    }
    let whole = input(Recording::open(&args.dynamics))?;
    let (sentences, spans) = parts::extract(&whole, args.suspicious.unwrap_or(u32::MAX) as usize, &args.out)?;
    args.output.done(
        &json!({ "out": args.out, "sentences": sentences, "spans": spans }),
        format_args!("{out}: the {sentences} most suspicious sentences, {spans} candidate spans"),
    )
}
