//! Installs axe-core from npm. It checks the page's accessibility in the browser tests. If it cannot be installed,
//! the tasks go on without it, and only its test fails.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{layout::Layout, process::find, steps::Steps};

pub const VARIABLE: &str = "DYNCLEAN_AXE";
const PACKAGE: &str = "axe-core@4.14.1";

/// Returns the path of the script; `None` if it cannot be installed.
pub fn ensure(layout: &Layout, steps: &mut Steps) -> Result<Option<PathBuf>> {
    steps.step("axe-core", |step| {
        if let Some(given) = env::var_os(VARIABLE) {
            let given = PathBuf::from(given);
            let news = format!("given: {}", given.display());
            return Ok((Some(given), news));
        }
        // axe-core has its own folder, because npm removes packages from a folder that it is not asked for.
        let folder = layout.tools().join("axe");
        let script = folder.join("node_modules/axe-core/axe.min.js");
        if script.is_file() {
            let news = format!("already there: {}", layout.shown(&script));
            return Ok((Some(script), news));
        }
        let installed = find("npm").context("npm is missing").and_then(|npm| {
            step.say("installing with npm");
            let options = ["install", "--no-save", "--no-audit", "--no-fund", "--prefix"];
            step.run(Command::new(npm).args(options).arg(&folder).arg(PACKAGE))
        });
        Ok(match installed {
            Ok(()) => (Some(script), "installed".to_owned()),
            Err(error) => (
                None,
                format!(
                    "{error:#}\nthe test that needs it will FAIL; set {VARIABLE} to axe.min.js, or leave the test out: \
                     --without axe"
                ),
            ),
        })
    })
}
