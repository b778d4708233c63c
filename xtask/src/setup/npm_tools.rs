//! Installs from npm the tools that make the page small: wasm-opt (`binaryen`) and terser. They are scripts for
//! Node.js, so every platform uses the same download.

use std::{path::PathBuf, process::Command};

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
        if let Some(there) = there(layout)? {
            let paths: Vec<String> = there.iter().map(|path| layout.shown(path).to_string()).collect();
            return Ok(((), format!("already there: {}", paths.join(", "))));
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
        ensure!(there(layout)?.is_some(), "{by_hand}");
        Ok(((), "installed".to_owned()))
    })
}

/// The paths of the tools; `None` unless all are there in the right version.
fn there(layout: &Layout) -> Result<Option<Vec<PathBuf>>> {
    let path = layout.search_path()?;
    let right =
        |tool: &Tool| find_in(&path, tool.program).filter(|found| version_of(found).as_deref() == Some(tool.version));
    Ok(TOOLS.iter().map(right).collect())
}
