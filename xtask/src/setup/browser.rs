//! Installs Chromium and its driver, for the tests of the page.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::apt;
use crate::{
    process::{place, version_of},
    steps::{Step, Steps},
};

const CHROMIUM: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const DRIVER: [&str; 1] = ["chromedriver"];
/// Names of the packages in Debian. A headless browser without fonts draws no text.
const PACKAGES: [&str; 3] = ["chromium", "chromium-driver", "fonts-dejavu-core"];

pub struct Browser {
    pub chromium: PathBuf,
    pub driver: PathBuf,
}

pub fn ensure(steps: &mut Steps) -> Result<Browser> {
    steps.step("Chromium and its driver", |step| {
        let (browser, news) = match look() {
            Some(browser) => (browser, "already there"),
            None => (install(step)?, "installed"),
        };
        let version = same_version(&browser)?;
        Ok((browser, format!("{news}: {version}")))
    })
}

/// Returns the two programs: those that the environment names, or those on PATH.
fn look() -> Option<Browser> {
    Some(Browser { chromium: place("CHROMIUM", &CHROMIUM)?, driver: place("CHROMEDRIVER", &DRIVER)? })
}

fn install(step: &Step) -> Result<Browser> {
    apt::install(step, &PACKAGES).with_context(|| format!("Chromium or chromedriver is missing. {}", by_hand()))?;
    look().with_context(|| format!("installed, but not on PATH. {}", by_hand()))
}

/// Checks that browser and driver have the same major version. Otherwise they do not work together.
fn same_version(browser: &Browser) -> Result<String> {
    let version = |program: &PathBuf| {
        version_of(program).with_context(|| format!("{} does not run. {}", program.display(), by_hand()))
    };
    let (chromium, driver) = (version(&browser.chromium)?, version(&browser.driver)?);
    ensure!(
        major(&chromium) == major(&driver),
        "{} is of version {chromium}, but {} of {driver}: they must match. {}",
        browser.chromium.display(),
        browser.driver.display(),
        by_hand()
    );
    Ok(chromium)
}

fn major(version: &str) -> &str {
    version.split('.').next().unwrap_or(version)
}

fn by_hand() -> String {
    format!(
        "Install both (Debian, as root: apt-get install {}), \
         or set CHROMIUM and CHROMEDRIVER to the two programs",
        PACKAGES.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_major_version_counts() {
        assert_eq!(major("156.0.7.1"), major("156.0.9"));
        assert_ne!(major("156.0"), major("15.6"));
    }
}
