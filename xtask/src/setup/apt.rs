//! Installs Debian packages with apt-get.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{
    process::{find, output},
    steps::Step,
};

/// Waits if another apt process is running.
const LOCK_TIMEOUT: &str = "DPkg::Lock::Timeout=300";

/// Installs these packages. Fails if there is no apt-get, or if the user is not root.
pub fn install(step: &Step, packages: &[&str]) -> Result<()> {
    let Some(apt) = find("apt-get") else { bail!("there is no apt-get to install {}", packages.join(", ")) };
    if !output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0") {
        bail!("only root may install {} with apt-get", packages.join(", "));
    }
    step.say(&format!("installing {} with apt-get", packages.join(", ")));
    // `update` fails if another package source does not answer, although Debian's own lists are fine. `install`
    // decides whether the packages are available. Both are in the log.
    if let Err(error) = step.run(Command::new(&apt).arg("update")) {
        step.say(&format!("{error:#}\ntrying with the package lists there are"));
    }
    step.run(
        Command::new(&apt)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-o", LOCK_TIMEOUT, "install", "-y", "--no-install-recommends"])
            .args(packages),
    )
}
