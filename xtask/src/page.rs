//! The page, built by trunk into `dist/`.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{
    layout::Layout,
    process::cargo,
    setup::{self, wasm_std},
    steps::Steps,
};

pub fn run(layout: &Layout) -> Result<()> {
    let mut steps = Steps::new(layout, 1 + setup::PAGE_TOOL_STEPS + 1)?;
    wasm_std::ensure(layout, &mut steps)?;
    setup::page_tools(layout, &mut steps)?;
    build(layout, &mut steps)
}

/// Builds the page; the tools must be there.
pub fn build(layout: &Layout, steps: &mut Steps) -> Result<()> {
    steps.step("page", |step| {
        step.say("building with trunk");
        // Trunk builds offline (Trunk.toml), so what it needs is fetched before.
        let mut fetch = cargo();
        fetch.args(["fetch", "--target", "wasm32-unknown-unknown"]);
        // Macros and build scripts run here.
        fetch.args(["--target", "host-tuple"]);
        step.run(fetch.current_dir(&layout.root))?;
        step.run(
            Command::new("trunk")
                .args(["build", "--skip-version-check", "--color", "never"])
                .current_dir(&layout.root)
                .env("PATH", layout.search_path()?)
                // Trunk takes the usual NO_COLOR=1 for an invalid value.
                .env_remove("NO_COLOR")
                // Its own call stack would push the cause out of the lines shown.
                .env("RUST_BACKTRACE", "0"),
        )?;
        let dist = layout.dist();
        ensure!(dist.join("index.html").is_file(), "trunk left no index.html in {}", dist.display());
        let kilobytes = size(&dist)? / 1000;
        Ok(((), format!("{kilobytes} kB in {}", layout.shown(&dist))))
    })
}

/// Bytes of all files in a folder and below.
fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let meta = entry.metadata()?;
        bytes += if meta.is_dir() { size(&entry.path())? } else { meta.len() };
    }
    Ok(bytes)
}
