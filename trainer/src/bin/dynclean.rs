//! The command `dynclean`, as the Python wheel is called: it is the program `trainer` beside it. A file of its own, and not
//! a second copy of that.

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

/// It takes our place, so that signals reach it; returns why it cannot.
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
