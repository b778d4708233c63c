//! `cargo xtask wheel`: builds one file for pip. It has the program, with page and book inside, and the Python package.

use std::{env, fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{
    book,
    layout::Layout,
    licences, page,
    setup::{self, python, wasm_std},
    steps::{Step, Steps},
};

/// Largest size of the wheel in bytes.
const MOST_BYTES: u64 = 15_000_000;

pub fn run(layout: &Layout) -> Result<()> {
    let mut steps = Steps::new(layout, 1 + setup::PAGE_TOOL_STEPS + book::STEPS + 5)?;
    wasm_std::ensure(layout, &mut steps)?;
    setup::page_tools(layout, &mut steps)?;
    page::build(layout, &mut steps)?;
    book::add(layout, &mut steps)?;
    steps.step("licences", |_| licences::write(layout, &layout.dist().join("licences.txt")))?;
    let python = python::ensure(layout, &mut steps)?;
    let wheels = layout.root.join("target/wheels");
    steps.step("wheel", |step| {
        step.say("building with maturin");
        // Only the wheel that is built now must be there.
        let _ = fs::remove_dir_all(&wheels);
        let mut maturin = Command::new(&python);
        maturin.args(["-m", "maturin", "build", "--profile=published", "--manifest-path=trainer/Cargo.toml", "--out"]);
        step.run(maturin.arg(&wheels).env("DYNCLEAN_PAGE", layout.dist()).current_dir(&layout.root))?;
        let wheel = only_file(&wheels)?;
        let bytes = wheel.metadata()?.len();
        ensure!(bytes <= MOST_BYTES, "the wheel has {bytes} bytes, at most {MOST_BYTES} are allowed");
        Ok(((), format!("{:.1} MB, {}", bytes as f64 / 1e6, layout.shown(&wheel))))
    })?;
    steps.step("wheel, installed", |step| {
        step.say("into an empty environment, without Rust");
        try_out(layout, step, &only_file(&wheels)?)?;
        Ok(((), "demo, page, book and package work there".to_owned()))
    })
}

fn only_file(folder: &Path) -> Result<std::path::PathBuf> {
    let mut files = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let file = files.next().with_context(|| format!("there is no wheel in {}", folder.display()))??;
    Ok(file.path())
}

/// Installs the wheel as a user does, and runs a Python script that uses what it contains.
fn try_out(layout: &Layout, step: &Step, wheel: &Path) -> Result<()> {
    let folder = layout.root.join("target/wheel-check");
    let _ = fs::remove_dir_all(&folder);
    let environment = folder.join("environment");
    python::environment(step, &environment)?;
    let python = python::program(&environment, "python");
    step.run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).arg(wheel))?;
    // Only the environment's and the system's own programs are on PATH, without cargo.
    let own = python.parent().context("the environment has no folder of programs")?;
    let search_path = env::join_paths([own, Path::new("/usr/bin"), Path::new("/bin")])?;
    let script = layout.root.join("trainer/python/tests/check_wheel.py");
    step.run(Command::new(&python).arg(script).current_dir(&folder).env("PATH", search_path))
}
