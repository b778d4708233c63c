//! Installs what makes the page small from npm: wasm-opt (`binaryen`) and terser. They are scripts for Node.js, so one
//! download does for every platform.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::{
    layout::Layout,
    process::{find, find_in, version_of},
    steps::Steps,
};

struct Tool {
    program: &'static str,
    version: &'static str,
    package: &'static str,
}

const TOOLS: [Tool; 2] = [
    // Trunk.toml asks for the same version.
    Tool { program: "wasm-opt", version: "132", package: "binaryen@132.0.0" },
    Tool { program: "terser", version: "5.51.4", package: "terser@5.51.4" },
];

pub fn ensure(layout: &Layout, steps: &mut Steps) -> Result<()> {
    let names = TOOLS.map(|tool| format!("{} {}", tool.program, tool.version)).join(" and ");
    let packages = TOOLS.map(|tool| tool.package);
    steps.step(&names, |step| {
        if are_there(layout)? {
            return Ok(((), "already there".to_owned()));
        }
        let Some(npm) = find("npm").filter(|_| find("node").is_some()) else {
            bail!(
                "{names} are missing, and node and npm to install them. \
                 Install the packages `nodejs` and `npm` (Debian: apt-get install nodejs npm), \
                 or put {names} on PATH"
            );
        };
        step.say("installing with npm");
        let by_hand = format!(
            "{names} could not be installed; this needs a connection to the npm registry. \
             By hand: npm install --global {}",
            packages.join(" ")
        );
        // Both at once: npm removes what an earlier call without a saved list has installed.
        step.run(
            Command::new(npm)
                .args(["install", "--no-save", "--no-audit", "--no-fund", "--prefix"])
                .arg(layout.node())
                .args(packages),
        )
        .with_context(|| by_hand.clone())?;
        ensure!(are_there(layout)?, "{by_hand}");
        Ok(((), "installed".to_owned()))
    })
}

fn are_there(layout: &Layout) -> Result<bool> {
    let path = layout.search_path()?;
    let is_there = |tool: &Tool| {
        find_in(&path, tool.program).is_some_and(|found| version_of(&found).as_deref() == Some(tool.version))
    };
    Ok(TOOLS.iter().all(is_there))
}
