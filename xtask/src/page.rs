//! Builds the page with trunk into `dist/`.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{
    layout::Layout,
    process::{cargo, find_in, in_background, output},
    setup::{self, wasm_std},
    steps::{Step, Steps},
};

/// Largest size of what the page loads before its first picture, in bytes.
const MOST_BYTES: u64 = 500_000;

pub fn run(layout: &Layout) -> Result<()> {
    let mut steps = Steps::new(layout, 1 + setup::PAGE_TOOL_STEPS + 1)?;
    wasm_std::ensure(layout, &mut steps)?;
    setup::page_tools(layout, &mut steps)?;
    build(layout, &mut steps)
}

/// Builds the page. The tools must be installed.
pub fn build(layout: &Layout, steps: &mut Steps) -> Result<()> {
    build_by(layout, steps, |program| Command::new(program))
}

/// Builds the page while something else goes first.
pub fn build_in_background(layout: &Layout, steps: &mut Steps) -> Result<()> {
    build_by(layout, steps, in_background)
}

fn build_by(layout: &Layout, steps: &mut Steps, start: impl Fn(&OsStr) -> Command) -> Result<()> {
    steps.step("page", |step| {
        // Trunk builds offline (Trunk.toml), so cargo fetches the packages first.
        let mut fetch = cargo();
        fetch.args(["fetch", "--target", wasm_std::TARGET]);
        // Macros and build scripts run on this machine.
        fetch.args(["--target", "host-tuple"]);
        step.run(fetch.current_dir(&layout.root))?;
        // The page has two programs. Trunk builds one after the other. Built here, they are linked side by side, and
        // trunk finds both.
        step.say("compiling");
        let mut compile = start(cargo().get_program());
        compile.args(["build", "--package", "web", "--profile", "web", "--target", wasm_std::TARGET, "--offline"]);
        step.run(compile.current_dir(&layout.root))?;
        step.say("packing with trunk");
        step.run(
            start(OsStr::new("trunk"))
                .args(["build", "--skip-version-check", "--color", "never"])
                .current_dir(&layout.root)
                .env("PATH", layout.search_path()?)
                // Trunk does not accept the usual value NO_COLOR=1.
                .env_remove("NO_COLOR")
                // Trunk's own call stack would push the cause out of the visible lines.
                .env("RUST_BACKTRACE", "0"),
        )?;
        let dist = layout.dist();
        ensure!(dist.join("index.html").is_file(), "trunk left no index.html in {}", dist.display());
        step.say("making the scripts small");
        minify(layout, step, &dist)?;
        let [bytes, later] = compressed(&dist)?;
        ensure!(
            bytes <= MOST_BYTES,
            "the page is {bytes} bytes compressed, at most {MOST_BYTES} are allowed: find what has grown \
             (docs/BENCHMARKS.md says how), or raise the limit in xtask/src/page.rs"
        );
        let [bytes, later] = [bytes, later].map(|bytes| bytes / 1000);
        let shown = layout.shown(&dist);
        Ok(((), format!("{bytes} kB compressed, and {later} kB after the first picture, in {shown}")))
    })
}

/// Makes the scripts small. Trunk leaves those of wasm-bindgen as they are, because it cannot read `as default`.
fn minify(layout: &Layout, step: &Step, dist: &Path) -> Result<()> {
    let terser = find_in(&layout.search_path()?, "terser").context("terser is missing: cargo xtask setup --page")?;
    for path in files(dist)?.filter(|path| path.extension().is_some_and(|extension| extension == "js")) {
        let options = ["--module", "--compress", "--mangle", "--output"];
        step.run(Command::new(&terser).arg(&path).args(options).arg(&path))?;
    }
    Ok(())
}

/// Returns the files of a folder.
fn files(folder: &Path) -> Result<impl Iterator<Item = PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    Ok(paths.into_iter().filter(|path| path.is_file()))
}

/// Returns the bytes that a browser loads at first, and those that it loads after the first picture: all files except
/// the sample, compressed with brotli as servers do.
fn compressed(dist: &Path) -> Result<[u64; 2]> {
    // Node is installed, because wasm-opt needs it. A compressor of our own would be a large dependency for one
    // number.
    const SCRIPT: &str = "
        const { readFileSync } = require('fs'), { brotliCompressSync } = require('zlib');
        const bytes = [0, 0];
        for (const file of process.argv.slice(1))
            bytes[/exporter[^/\\\\]*$/.test(file) ? 1 : 0] += brotliCompressSync(readFileSync(file)).length;
        console.log(...bytes);";
    let mut command = Command::new("node");
    command.args(["-e", SCRIPT]);
    command.args(files(dist)?.filter(|path| path.extension().is_none_or(|extension| extension != "dyn")));
    let sizes = output(&mut command)?;
    let (first, later) = sizes.split_once(' ').context("node printed no sizes")?;
    Ok([first.parse()?, later.parse()?])
}
