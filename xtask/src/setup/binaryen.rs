//! Installs wasm-opt from npm's `binaryen`. This is one download for every platform that has Node.js.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    layout::Layout,
    process::{find, find_in, version_of},
    steps::Steps,
};

/// Trunk.toml asks for the same version.
const VERSION: &str = "132";
const PACKAGE: &str = "binaryen@132.0.0";

pub fn ensure(layout: &Layout, steps: &mut Steps) -> Result<()> {
    steps.step(&format!("wasm-opt {VERSION}"), |step| {
        if let Some(path) = find_right(layout)? {
            return Ok(((), format!("already there: {}", layout.shown(&path))));
        }
        // The program from npm is a script for node, so node is needed, too.
        let Some(npm) = find("npm").filter(|_| find("node").is_some()) else {
            bail!(
                "wasm-opt {VERSION} is missing, and node and npm to install it. \
                 Install the packages `nodejs` and `npm` (Debian: apt-get install nodejs npm), \
                 or put wasm-opt {VERSION} on PATH"
            );
        };
        step.say("installing with npm");
        let by_hand = format!(
            "wasm-opt could not be installed; it needs a connection to the npm registry. \
             By hand: npm install --global {PACKAGE}"
        );
        step.run(
            Command::new(npm)
                .args(["install", "--no-save", "--no-audit", "--no-fund", "--prefix"])
                .arg(layout.node())
                .arg(PACKAGE),
        )
        .with_context(|| by_hand.clone())?;
        ensure!(find_right(layout)?.is_some(), "{by_hand}");
        Ok(((), "installed".to_owned()))
    })
}

fn find_right(layout: &Layout) -> Result<Option<PathBuf>> {
    Ok(find_in(&layout.search_path()?, "wasm-opt").filter(|path| version_of(path).as_deref() == Some(VERSION)))
}
