//! Lints as the first part of a build.
//!
//! `cargo clippy` checks every dependency, and a build then compiles all of them: twice the work for four hundred
//! packages of other projects. Here cargo *builds*. It compiles the dependencies, and the real build then finds them
//! compiled. For our own packages it calls this program in place of the compiler. This program has clippy look at them,
//! and compiles nothing.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};

use crate::process::{cargo, output};

/// Is set if cargo calls this program as the compiler.
const VARIABLE: &str = "DYNCLEAN_LINTS";

/// Returns a build that only shows what clippy says about our packages. Warnings are errors. The caller adds the names
/// of the packages.
pub fn build() -> Result<Command> {
    let mut command = cargo();
    command.arg("build").env("RUSTC_WORKSPACE_WRAPPER", env::current_exe()?).env(VARIABLE, "1");
    // `cargo clippy -- -D warnings` tells clippy the same in these words.
    command.env("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__");
    Ok(command)
}

/// Does the work of the compiler if cargo calls this program as such; `None` if a person calls it.
pub fn as_compiler() -> Option<Result<ExitCode>> {
    env::var_os(VARIABLE)?;
    let mut arguments = env::args_os().skip(1);
    let rustc = PathBuf::from(arguments.next()?);
    Some(compile(&rustc, arguments.collect()))
}

fn compile(rustc: &Path, arguments: Vec<OsString>) -> Result<ExitCode> {
    let task = task(&arguments);
    let mut command = match task {
        Task::Answer => Command::new(rustc),
        Task::Compile | Task::Check => {
            let sysroot = output(Command::new(rustc).args(["--print", "sysroot"]))?;
            let clippy = Path::new(&sysroot).join("bin").join(format!("clippy-driver{}", env::consts::EXE_SUFFIX));
            let mut command = Command::new(clippy);
            command.arg(rustc);
            command
        }
    };
    let is_check = task == Task::Check;
    command
        .args(arguments.into_iter().map(|argument| if is_check { checked(argument, Path::exists) } else { argument }));
    let status = command.status().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}

/// The purpose of a call of the compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    /// cargo asks for facts, such as the version.
    Answer,
    /// A build script is compiled, because cargo runs it.
    Compile,
    /// Everything else is only checked.
    Check,
}

fn task(arguments: &[OsString]) -> Task {
    let starts = |argument: &OsStr, text: &str| argument.to_str().is_some_and(|argument| argument.starts_with(text));
    if !arguments.iter().any(|argument| starts(argument, "--emit=")) {
        return Task::Answer;
    }
    let names = arguments.iter().skip_while(|argument| *argument != "--crate-name").nth(1);
    if names.is_some_and(|name| starts(name, "build_script_")) { Task::Compile } else { Task::Check }
}

/// Changes an argument of the compiler so that nothing is compiled. Only the description of a package (`.rmeta`) is
/// written. Other packages use it if there is no compiled package.
fn checked(argument: OsString, exists: impl Fn(&Path) -> bool) -> OsString {
    let Some(text) = argument.to_str() else { return argument };
    if text.starts_with("--emit=") {
        return "--emit=dep-info,metadata".into();
    }
    match text.strip_suffix(".rlib") {
        Some(stem) if !exists(Path::new(text.split_once('=').map_or(text, |(_, path)| path))) => {
            format!("{stem}.rmeta").into()
        }
        _ => argument,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn only_what_cargo_runs_is_compiled() {
        assert_eq!(task(&arguments("-vV")), Task::Answer);
        assert_eq!(task(&arguments("- --crate-name ___ --print=file-names")), Task::Answer);
        let build = "--crate-name build_script_build --edition=2024 build.rs --crate-type bin --emit=dep-info,link";
        assert_eq!(task(&arguments(build)), Task::Compile);
        let library =
            "--crate-name shared --crate-type lib --emit=dep-info,metadata,link --extern serde=/d/libserde-1.rlib";
        assert_eq!(task(&arguments(library)), Task::Check);
    }

    #[test]
    fn descriptions_stand_for_what_was_not_compiled() {
        let check = |argument: &str| checked(argument.into(), |path| path == Path::new("/d/libserde-1.rlib"));
        assert_eq!(check("--emit=dep-info,metadata,link"), "--emit=dep-info,metadata");
        assert_eq!(check("serde=/d/libserde-1.rlib"), "serde=/d/libserde-1.rlib");
        assert_eq!(check("shared=/d/libshared-2.rlib"), "shared=/d/libshared-2.rmeta");
        assert_eq!(check("--crate-type"), "--crate-type");
    }
}
