//! Installs Chromium and its driver, for the tests of the page.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    process::{find, output, version_of},
    steps::{Step, Steps},
};

const CHROMIUM: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const DRIVER: [&str; 1] = ["chromedriver"];
/// Names of the packages in Debian. A headless browser without fonts draws no text.
const PACKAGES: [&str; 3] = ["chromium", "chromium-driver", "fonts-dejavu-core"];
/// Waits if another apt process is running.
const LOCK_TIMEOUT: &str = "DPkg::Lock::Timeout=300";

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
    let place = |variable: &str, names: &[&str]| {
        env::var_os(variable).map(PathBuf::from).or_else(|| names.iter().find_map(|name| find(name)))
    };
    Some(Browser { chromium: place("CHROMIUM", &CHROMIUM)?, driver: place("CHROMEDRIVER", &DRIVER)? })
}

fn install(step: &Step) -> Result<Browser> {
    let (Some(apt), true) = (find("apt-get"), is_root()) else {
        bail!("Chromium or chromedriver is missing. {}", by_hand());
    };
    step.say(&format!("installing {} with apt-get", PACKAGES.join(", ")));
    // `update` fails if another package source does not answer, although Debian's own lists are fine. `install`
    // decides whether the packages are available. Both are in the log.
    if let Err(error) = step.run(Command::new(&apt).arg("update")) {
        step.say(&format!("{error:#}\ntrying with the package lists there are"));
    }
    step.run(
        Command::new(&apt)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-o", LOCK_TIMEOUT, "install", "-y", "--no-install-recommends"])
            .args(PACKAGES),
    )
    .with_context(by_hand)?;
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

fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0")
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
