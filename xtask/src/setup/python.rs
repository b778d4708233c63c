//! Makes a Python environment for the project, from PyPI. It has what the tests of the Python package and the
//! wheel need. If it cannot be made, its step says so.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    layout::Layout,
    process::{find, output},
    steps::{Step, Steps},
};

const PACKAGES: [&str; 7] =
    ["duckdb", "maturin>=1.7,<2", "mypy>=2,<3", "numpy", "pytest", "ruff>=0.17,<0.18", "xxhash"];

/// Returns the environment's Python.
pub fn ensure(layout: &Layout, steps: &mut Steps) -> Result<PathBuf> {
    steps.step("Python environment", |step| {
        let folder = layout.tools().join("python");
        // The file is written last: an environment without it is not complete.
        let mark = folder.join("packages.txt");
        let python = program(&folder, "python");
        if fs::read_to_string(&mark).is_ok_and(|there| there == PACKAGES.join("\n"))
            && output(Command::new(&python).arg("--version")).is_ok()
        {
            return Ok((python, format!("already there: {}", layout.shown(&folder))));
        }
        install(step, &folder, &python).context(
            "the tests of the Python package and the wheel need python3 (3.9 or newer) with venv and pip; Debian: apt-get \
             install python3-venv",
        )?;
        fs::write(&mark, PACKAGES.join("\n")).with_context(|| format!("cannot write {}", mark.display()))?;
        Ok((python, "installed".to_owned()))
    })
}

fn install(step: &Step, folder: &Path, python: &Path) -> Result<()> {
    step.say("installing with pip");
    environment(step, folder)?;
    step.run(Command::new(python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))
}

/// Makes a new environment without packages.
pub fn environment(step: &Step, folder: &Path) -> Result<()> {
    let python = find("python3").context("python3 is missing")?;
    step.run(Command::new(python).args(["-m", "venv", "--clear"]).arg(folder))
}

/// Returns the path of a program in an environment.
pub fn program(folder: &Path, name: &str) -> PathBuf {
    let programs = if cfg!(windows) { "Scripts" } else { "bin" };
    folder.join(programs).join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}
