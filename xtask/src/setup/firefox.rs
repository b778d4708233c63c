//! Installs Firefox and its driver, for the test of the page's main path. If they cannot be installed, the tasks go
//! on without them, and only that test fails.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::{apt, cargo_tools};
use crate::{
    layout::Layout,
    process::{place, version_of},
    steps::{Step, Steps},
};

pub const VARIABLE: &str = "FIREFOX";
pub const DRIVER_VARIABLE: &str = "GECKODRIVER";
const FIREFOX: [&str; 2] = ["firefox-esr", "firefox"];
const DRIVER: [&str; 1] = ["geckodriver"];
/// Name of the package in Debian.
const PACKAGE: &str = "firefox-esr";

pub struct Firefox {
    pub program: PathBuf,
    pub driver: PathBuf,
}

/// Returns the two programs; `None` if they cannot be installed. One step.
pub fn ensure(layout: &Layout, steps: &mut Steps) -> Result<Option<Firefox>> {
    steps.step("Firefox and its driver", |step| {
        Ok(match both(layout, step) {
            Ok((firefox, news)) => (Some(firefox), news),
            Err(error) => (
                None,
                format!(
                    "{error:#}\nthe test that needs them will FAIL; set {VARIABLE} and {DRIVER_VARIABLE} to the two \
                     programs, or leave the test out: --without firefox"
                ),
            ),
        })
    })
}

fn both(layout: &Layout, step: &Step) -> Result<(Firefox, String)> {
    let (program, mut news) = match place(VARIABLE, &FIREFOX) {
        Some(program) => (program, "already there"),
        None => {
            apt::install(step, &[PACKAGE])?;
            (place(VARIABLE, &FIREFOX).context("installed, but Firefox is not on PATH")?, "installed")
        }
    };
    // Debian has no package of the driver.
    let driver = match place(DRIVER_VARIABLE, &DRIVER) {
        Some(driver) => driver,
        None => match cargo_tools::find(layout, &cargo_tools::GECKODRIVER)? {
            Some(driver) => driver,
            None => {
                news = "installed";
                cargo_tools::install(layout, step, &cargo_tools::GECKODRIVER)?
            }
        },
    };
    let Some(version) = version_of(&program) else { bail!("{} does not run", program.display()) };
    Ok((Firefox { program, driver }, format!("{news}: {version}")))
}
