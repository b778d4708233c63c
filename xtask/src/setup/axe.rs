//! axe-core, which checks the page's accessibility in the browser tests, from npm. Where it cannot be had, this goes
//! on without it, and its test fails: the others are run first.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{layout::Layout, process::find, steps::Steps};

pub const VARIABLE: &str = "DYNCLEAN_AXE";
const PACKAGE: &str = "axe-core@4.14.1";

/// Its script, or none where it cannot be had.
pub fn ensure(layout: &Layout, steps: &mut Steps) -> Result<Option<PathBuf>> {
    steps.step("axe-core", |step| {
        if let Some(given) = env::var_os(VARIABLE) {
            let given = PathBuf::from(given);
            let news = format!("given: {}", given.display());
            return Ok((Some(given), news));
        }
        // A folder of its own: npm removes from a folder what it is not asked for.
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
