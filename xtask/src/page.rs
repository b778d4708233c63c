//! The page, built by trunk into `dist/`.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{
    layout::Layout,
    process::{cargo, output},
    setup::{self, wasm_std},
    steps::Steps,
};

/// What the page may take to load, in bytes.
const MOST_BYTES: u64 = 527_500;

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
        let bytes = compressed(&dist)?;
        ensure!(
            bytes <= MOST_BYTES,
            "the page is {bytes} bytes compressed, at most {MOST_BYTES} are allowed: find what has grown \
             (docs/BENCHMARKS.md says how), or raise the limit in xtask/src/page.rs"
        );
        Ok(((), format!("{} kB compressed, in {}", bytes / 1000, layout.shown(&dist))))
    })
}

/// Bytes of what a browser loads at first, compressed as servers do (brotli): all files but the sample.
fn compressed(dist: &Path) -> Result<u64> {
    // Node is there, wasm-opt runs in it; a compressor of our own would be a large dependency for one number.
    const SCRIPT: &str = "
        const { readFileSync } = require('fs'), { brotliCompressSync } = require('zlib');
        let bytes = 0;
        for (const file of process.argv.slice(1)) bytes += brotliCompressSync(readFileSync(file)).length;
        console.log(bytes);";
    let mut command = Command::new("node");
    command.args(["-e", SCRIPT]);
    for entry in fs::read_dir(dist).with_context(|| format!("cannot read {}", dist.display()))? {
        let path = entry?.path();
        if path.is_file() && path.extension().is_none_or(|extension| extension != "dyn") {
            command.arg(path);
        }
    }
    output(&mut command)?.parse().context("node printed no size")
}
