//! Builds the page with trunk into `dist/`.

use std::{
    collections::BTreeMap,
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

/// Largest size of the files that the page loads before its first picture, in bytes.
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

/// Builds the page while other work is done. The other work gets most of the cores.
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
        without_hashes(&dist)?;
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

/// Beginning of the names that a script of wasm-bindgen and its program use for each other. The names end with a hash.
const IMPORT: &[u8] = b"__wbg_";
const HASH: usize = 16;

/// Puts numbers in place of the hashes in names of wasm-bindgen, because hashes cannot be compressed. The files keep
/// their lengths.
fn without_hashes(dist: &Path) -> Result<()> {
    for script in files(dist)?.filter(|path| path.extension().is_some_and(|extension| extension == "js")) {
        let program = script.with_file_name(format!("{}_bg.wasm", script.file_stem().unwrap_or_default().display()));
        if !program.is_file() {
            continue;
        }
        let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let mut contents = [read(&script)?, read(&program)?];
        let mut numbers = Numbers::default();
        for content in &mut contents {
            numbers.put_into(content);
        }
        for (path, content) in [script, program].iter().zip(contents) {
            fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}

/// The hashes of each name, by the name without its hash. The index of a hash is the number that takes its place.
#[derive(Default)]
struct Numbers(BTreeMap<Vec<u8>, Vec<Vec<u8>>>);

impl Numbers {
    fn put_into(&mut self, content: &mut [u8]) {
        let mut from = 0;
        while let Some(start) = content[from..].windows(IMPORT.len()).position(|bytes| bytes == IMPORT) {
            let start = from + start;
            let is_of_name = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
            let end = start + content[start..].iter().take_while(is_of_name).count();
            from = end;
            let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
            let Some((name, hash)) = content[start..end].split_last_chunk::<HASH>() else { continue };
            if !name.ends_with(b"_") || !hash.iter().all(is_hex) {
                continue;
            }
            let hashes = self.0.entry(name.to_vec()).or_default();
            let number = hashes.iter().position(|known| known == hash).unwrap_or_else(|| {
                hashes.push(hash.to_vec());
                hashes.len() - 1
            });
            content[end - HASH..end].copy_from_slice(format!("{number:0HASH$}").as_bytes());
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_names_become_numbers() {
        let mut numbers = Numbers::default();
        let mut script =
            b"a.__wbg_new_0123456789abcdef=b.__wbg_new_fedcba9876543210;__wbg_cb_unref;__wbg_newer_0123456789abcdef"
                .to_vec();
        let mut program = b"\x1b__wbg_new_fedcba9876543210\0\x1b__wbg_new_0123456789abcdef\0_0123456789abcdef".to_vec();
        numbers.put_into(&mut script);
        numbers.put_into(&mut program);
        let expected =
            "a.__wbg_new_0000000000000000=b.__wbg_new_0000000000000001;__wbg_cb_unref;__wbg_newer_0000000000000000";
        assert_eq!(String::from_utf8(script).unwrap(), expected);
        let expected = b"\x1b__wbg_new_0000000000000001\0\x1b__wbg_new_0000000000000000\0_0123456789abcdef";
        assert_eq!(program, expected);
    }
}
