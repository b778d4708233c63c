//! Set-up. Every part looks first, and installs only what is missing or has another version. It says what it does.
//! If it cannot install something, it names the package and the command, and stops.

mod apt;
pub mod axe;
pub mod browser;
mod cargo_tools;
pub mod encoder;
pub mod firefox;
pub mod mpi;
mod npm_tools;
pub mod python;
pub mod wasm_std;

use anyhow::Result;

use crate::{layout::Layout, steps::Steps};

/// Number of steps for the tools that build the page. wasm32 std is not counted, because the lints need it
/// earlier.
pub const PAGE_TOOL_STEPS: usize = cargo_tools::TOOLS.len() + 1;
const WASM_STD_STEPS: usize = 1;
/// Number of steps for Chromium, Firefox and axe-core.
pub const BROWSER_TEST_STEPS: usize = 3;
const ENCODER_STEPS: usize = 1;
const PYTHON_STEPS: usize = 1;
const MPI_STEPS: usize = 1;

#[derive(clap::Args)]
pub struct Args {
    /// Install only what is needed to build the page
    #[arg(long, conflicts_with = "browser")]
    page: bool,
    /// Install only what browser tests need
    #[arg(long)]
    browser: bool,
}

pub fn run(layout: &Layout, args: &Args) -> Result<()> {
    if args.page {
        return page(layout, &mut Steps::new(layout, WASM_STD_STEPS + PAGE_TOOL_STEPS)?);
    }
    if args.browser {
        return browsers(layout, &mut Steps::new(layout, BROWSER_TEST_STEPS)?);
    }
    let total = WASM_STD_STEPS + PAGE_TOOL_STEPS + BROWSER_TEST_STEPS + ENCODER_STEPS + PYTHON_STEPS + MPI_STEPS;
    let mut steps = Steps::new(layout, total)?;
    page(layout, &mut steps)?;
    browsers(layout, &mut steps)?;
    encoder::ensure(layout, &mut steps)?;
    python::ensure(layout, &mut steps)?;
    mpi::ensure(&mut steps)?;
    Ok(())
}

fn browsers(layout: &Layout, steps: &mut Steps) -> Result<()> {
    browser::ensure(steps)?;
    firefox::ensure(layout, steps)?;
    axe::ensure(layout, steps)?;
    Ok(())
}

fn page(layout: &Layout, steps: &mut Steps) -> Result<()> {
    wasm_std::ensure(layout, steps)?;
    page_tools(layout, steps)
}

/// Installs wasm-bindgen alone, with its test runner. One step.
pub fn wasm_bindgen(layout: &Layout, steps: &mut Steps) -> Result<()> {
    cargo_tools::ensure(layout, steps, &cargo_tools::WASM_BINDGEN)
}

/// Installs cargo-fuzz. One step.
pub fn cargo_fuzz(layout: &Layout, steps: &mut Steps) -> Result<()> {
    cargo_tools::ensure(layout, steps, &cargo_tools::CARGO_FUZZ)
}

/// Installs mdBook. One step.
pub fn mdbook(layout: &Layout, steps: &mut Steps) -> Result<()> {
    cargo_tools::ensure(layout, steps, &cargo_tools::MDBOOK)
}

pub fn page_tools(layout: &Layout, steps: &mut Steps) -> Result<()> {
    for tool in cargo_tools::TOOLS {
        cargo_tools::ensure(layout, steps, tool)?;
    }
    npm_tools::ensure(layout, steps)
}
