//! Looks for Firefox and its driver, for the test of the page's main path. They are not installed, because Debian
//! has no package of the driver, and because Chromium already runs every test. If they are missing, the test is
//! skipped, so this never fails.

use std::{env, path::PathBuf};

use anyhow::Result;

use crate::{
    process::{find, version_of},
    steps::Steps,
};

const FIREFOX: [&str; 2] = ["firefox-esr", "firefox"];
const DRIVER: [&str; 1] = ["geckodriver"];

pub struct Firefox {
    pub program: PathBuf,
    pub driver: PathBuf,
}

/// Returns the two programs: those that the environment names, or those on PATH. Returns `None` if the test must
/// be skipped. One step.
pub fn look(steps: &mut Steps) -> Result<Option<Firefox>> {
    steps.step("Firefox and its driver", |_| {
        let place = |variable: &str, names: &[&str]| {
            env::var_os(variable).map(PathBuf::from).or_else(|| names.iter().find_map(|name| find(name)))
        };
        let both = place("FIREFOX", &FIREFOX).zip(place("GECKODRIVER", &DRIVER));
        let found = both.map(|(program, driver)| Firefox { program, driver });
        let news = match &found {
            Some(firefox) => {
                format!(
                    "already there: {}",
                    version_of(&firefox.program).unwrap_or_else(|| "of unknown version".into())
                )
            }
            None => "not there: the test that needs them will be SKIPPED; to run it, install Debian's firefox-esr and \
                     `cargo install geckodriver`, or set FIREFOX and GECKODRIVER to the two programs"
                .to_owned(),
        };
        Ok((found, news))
    })
}
