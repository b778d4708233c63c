//! The command `dynclean`, named like the Python wheel. It only starts the program `trainer` in the same folder.
//! It is a small program of its own, not a second copy of `trainer`.

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let own = std::env::current_exe().unwrap_or_default();
    let trainer = own.with_file_name(format!("trainer{}", std::env::consts::EXE_SUFFIX));
    let mut command = Command::new(&trainer);
    command.args(std::env::args_os().skip(1));
    let error = become_child(&mut command);
    eprintln!("error: cannot start {}: {error}", trainer.display());
    ExitCode::FAILURE
}

/// Replaces this process with the child, so that signals reach it. Returns the error if that fails.
#[cfg(unix)]
fn become_child(command: &mut Command) -> std::io::Error {
    use std::os::unix::process::CommandExt;
    command.exec()
}

#[cfg(not(unix))]
fn become_child(command: &mut Command) -> std::io::Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}
