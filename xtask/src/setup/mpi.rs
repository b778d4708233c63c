//! Installs what the package trainer-mpi needs: an MPI library, and libclang, by which the library's header is read.
//! If they cannot be installed, the tasks go on without this package, and only its tests fail.

use std::{env, fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use super::apt;
use crate::{
    process::{find, output},
    steps::{Step, Steps},
};

/// Names the program that the tests start.
pub const VARIABLE: &str = "DYNCLEAN_TRAINER_MPI";
/// Names of the packages in Debian.
const PACKAGES: [&str; 3] = ["libopenmpi-dev", "openmpi-bin", "libclang-dev"];

/// Returns whether the package can be built. One step.
pub fn ensure(steps: &mut Steps) -> Result<bool> {
    steps.step("MPI", |step| {
        Ok(match look() {
            Some(version) => (true, format!("already there: {version}")),
            None => match install(step) {
                Ok(version) => (true, format!("installed: {version}")),
                Err(error) => (
                    false,
                    format!(
                        "{error:#}\nthe tests of trainer-mpi will FAIL; install an MPI library and libclang (Debian: {}), \
                         or leave the tests out: --without mpi",
                        PACKAGES.join(", ")
                    ),
                ),
            },
        })
    })
}

fn install(step: &Step) -> Result<String> {
    apt::install(step, &PACKAGES)?;
    look().context("installed, but MPI or libclang is not found")
}

/// Returns the version of MPI, if it and libclang are there.
fn look() -> Option<String> {
    let names = |folder: PathBuf, start: &str| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let entries = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(start));
        entries.map(|entry| entry.path()).collect()
    };
    // Debian has a folder for each version. Elsewhere, a variable of bindgen says where it is.
    let of_debian =
        || names("/usr/lib".into(), "llvm-").into_iter().any(|llvm| !names(llvm.join("lib"), "libclang").is_empty());
    let has_libclang = env::var_os("LIBCLANG_PATH").is_some() || of_debian();
    find("mpicc").filter(|_| has_libclang)?;
    let said = output(Command::new(find("mpirun")?).arg("--version")).ok()?;
    said.lines().next().map(str::to_owned)
}
