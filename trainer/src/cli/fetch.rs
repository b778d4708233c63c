//! `trainer fetch`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use trainer::data::hub::{self, Hub};
use trainer::model::encoder::fetch;

use super::failure::input;
use super::output::Output;

/// Download an encoder from the Hugging Face hub, for use without a network.
///
/// The model goes to the cache that Python's transformers uses, too. With --out
/// it also goes to a folder. Prints the folder to give as --encoder.
/// docs/ENCODERS.md says which models work.
///
/// Examples:
///   trainer fetch roberta-base
///   trainer fetch dmis-lab/biobert-base-cased-v1.2 --out biobert
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Fetch {
    /// Id of the model: ORGANISATION/NAME or NAME, optionally with @REVISION
    #[arg(value_name = "HUB-ID")]
    model: String,
    /// Folder to copy the model to
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Download nothing; only copy from the cache
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    output: Output,
}

pub fn carry_out(args: &Fetch) -> Result<()> {
    if args.offline {
        hub::stay_offline();
    }
    let folder = input(fetch(&Hub::from_env()?, &args.model, args.out.as_deref()))?;
    args.output.done(&json!({ "encoder": folder }), format_args!("{}", folder.display()))
}
