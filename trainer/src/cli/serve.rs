//! `trainer serve`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use trainer::{console, interrupt, serve};

use super::output::Output;

/// Serve the page on this machine, and show a run on it.
///
/// Example:
///   trainer serve --run run
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Serve {
    #[command(flatten)]
    server: ServerArgs,
    /// Folder of the run to show
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

/// How the page is served.
#[derive(Args)]
pub struct ServerArgs {
    /// Folder of a built page [default: the page inside this program, or `dist` if it has none]
    #[arg(long, value_name = "DIR")]
    page: Option<PathBuf>,
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

impl ServerArgs {
    /// Serves until the process ends; `announce` gets the address.
    pub fn serve(self, run: Option<PathBuf>, announce: impl FnOnce(&str)) -> Result<()> {
        let page = self.page.or_else(|| (!serve::page::is_there()).then(|| PathBuf::from("dist")));
        serve::serve(&serve::Site { page, run }, self.port, announce)
    }
}

pub fn carry_out(args: Serve) -> Result<()> {
    interrupt::end_on_signal()?;
    args.server.serve(args.run, |address| announce(&args.output, address))
}

/// Prints the address of the page.
pub fn announce(output: &Output, address: &str) {
    let told = output.result(&json!({ "address": address }), || {
        format!("DynClean is at {address}\nNothing leaves this machine. Press Ctrl-C to stop.\n")
    });
    if let Err(error) = told {
        // The server works even if its address cannot be printed.
        console::warning(error);
    }
}
