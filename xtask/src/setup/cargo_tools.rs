//! Installs wasm-bindgen, trunk, cargo-fuzz, geckodriver and mdBook. If PATH does not have them in the right version,
//! `cargo install` builds them into the user's cache folder.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{
    layout::Layout,
    process::{cargo, find_in, version_of},
    steps::{Step, Steps},
};

pub struct CargoTool {
    program: &'static str,
    package: &'static str,
    /// Trunk.toml asks for the same versions.
    version: &'static str,
    locked: bool,
    /// More options for `cargo install`.
    options: &'static [&'static str],
    about: &'static str,
}

/// Includes the runner of tests and benchmarks in wasm.
pub const WASM_BINDGEN: CargoTool = CargoTool {
    program: "wasm-bindgen",
    package: "wasm-bindgen-cli",
    version: "0.2.130",
    // Its lock file asks for a version that registries no longer have.
    locked: false,
    options: &[],
    about: "about 4 minutes on 2 cores",
};

pub const CARGO_FUZZ: CargoTool = CargoTool {
    program: "cargo-fuzz",
    package: "cargo-fuzz",
    version: "0.13.2",
    locked: false,
    options: &[],
    about: "about 2 minutes on 2 cores",
};

pub const GECKODRIVER: CargoTool = CargoTool {
    program: "geckodriver",
    package: "geckodriver",
    version: "0.37.1",
    locked: true,
    options: &[],
    about: "about 10 minutes on 2 busy cores",
};

pub const MDBOOK: CargoTool = CargoTool {
    program: "mdbook",
    package: "mdbook",
    version: "0.5.4",
    locked: true,
    // Without its own web server, because the trainer serves the book.
    options: &["--no-default-features", "--features", "search"],
    about: "about 10 minutes on 2 busy cores",
};

/// The tools that build the page.
pub const TOOLS: &[CargoTool] = &[
    WASM_BINDGEN,
    CargoTool {
        program: "trunk",
        package: "trunk",
        version: "0.21.14",
        locked: true,
        options: &[],
        about: "about 12 minutes on 2 cores",
    },
];

pub fn ensure(layout: &Layout, steps: &mut Steps, tool: &CargoTool) -> Result<()> {
    let name = format!("{} {}", tool.program, tool.version);
    steps.step(&name, |step| {
        if let Some(path) = find(layout, tool)? {
            return Ok(((), format!("already there: {}", layout.shown(&path))));
        }
        install(layout, step, tool)?;
        Ok(((), "installed".to_owned()))
    })
}

/// Builds a tool, and returns its path.
pub fn install(layout: &Layout, step: &Step, tool: &CargoTool) -> Result<PathBuf> {
    step.say(&format!("building {} with cargo install, {}", tool.program, tool.about));
    let build = layout.tools().join("build").join(tool.program);
    step.run(command(layout, tool).env("CARGO_TARGET_DIR", &build)).with_context(|| by_hand(tool))?;
    let path = find(layout, tool)?
        .with_context(|| format!("installed, but not in version {}; {}", tool.version, by_hand(tool)))?;
    // Only an interrupted build needs these files again. They take up to a gigabyte.
    fs::remove_dir_all(&build).with_context(|| format!("cannot clear {}", build.display()))?;
    Ok(path)
}

/// Returns the first program on the path that trunk will search, if it has the right version.
pub fn find(layout: &Layout, tool: &CargoTool) -> Result<Option<PathBuf>> {
    Ok(find_in(&layout.search_path()?, tool.program).filter(|path| version_of(path).as_deref() == Some(tool.version)))
}

fn command(layout: &Layout, tool: &CargoTool) -> Command {
    let mut command = cargo();
    command
        // `--force` is for a tool that is installed in this version but does not run.
        .args(["install", tool.package, "--version", tool.version, "--force"])
        .args(tool.locked.then_some("--locked"))
        .args(tool.options)
        .arg("--root")
        .arg(layout.tools())
        // This halves the build time. The speed of the tools hardly matters here.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    command
}

fn by_hand(tool: &CargoTool) -> String {
    let locked = if tool.locked { " --locked" } else { "" };
    format!(
        "{} could not be built; it needs a connection to the crates registry and a C compiler. \
         By hand: cargo install {} --version {}{locked}",
        tool.program, tool.package, tool.version
    )
}
