//! `trainer serve`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use trainer::{console, interrupt, serve};

use super::output::Output;

/// Serve the page on this machine, with a run opened.
///
/// Example:
///   trainer serve --run run
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Serve {
    /// Folder of the built page
    #[arg(long, value_name = "DIR", default_value = "dist")]
    page: PathBuf,
    /// Folder of a run to open
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Port on the loopback address; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    #[command(flatten)]
    output: Output,
}

pub fn carry_out(args: Serve) -> Result<()> {
    interrupt::end_on_signal()?;
    let site = serve::Site { page: args.page, run: args.run };
    serve::serve(&site, args.port, |address| {
        let told = args.output.result(&json!({ "address": address }), || {
            format!("DynClean is at {address}\nNothing leaves this machine. Ctrl-C ends it.\n")
        });
        if let Err(error) = told {
            // It serves all the same.
            console::warning(error);
        }
    })
}
