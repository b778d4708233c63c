//! Firefox and its driver, for the test of the page's main path there. Found, not installed: the driver is in no
//! package of Debian's, and Chromium already runs every test. Its test is skipped where they are not, so this never
//! fails.

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

/// The two programs: as the environment says, or on PATH; none where the test is to be skipped. One step.
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
