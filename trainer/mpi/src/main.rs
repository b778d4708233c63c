//! `trainer-mpi`: the trainer in several processes. Start it by `mpirun -n 4 trainer-mpi run …`.
//!
//! This is a package of its own, because building it needs an MPI library and libclang. Nothing of the trainer is
//! compiled again for it.

mod channel;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use mpi::Threading;
use mpi::traits::Communicator;
use trainer::team::Team;
use trainer::{cli, console};

use channel::{Channel, Request, serve};

/// Stack size of the thread that runs the program: the same as the main thread of a program has.
const STACK: usize = 8 << 20;

fn main() -> ExitCode {
    let Some((universe, _)) = mpi::initialize_with_threading(Threading::Funneled) else {
        console::error("MPI cannot be started");
        return ExitCode::FAILURE;
    };
    let world = universe.world();
    let (ask, requests) = mpsc::channel();
    let channel: &'static Channel = Box::leak(Box::new(Channel::new(&world, ask.clone())));
    // This thread talks to the other processes, because MPI must always be called by the same thread.
    let program = move || {
        let done = catch_unwind(AssertUnwindSafe(|| work(Team::of(channel))));
        // A panic has already been reported. Without the abort, the other processes would wait for ever.
        let _ = ask.send(done.map_or(Request::Abort, Request::End));
    };
    match thread::Builder::new().stack_size(STACK).spawn(program) {
        Ok(_) => serve(&world, &requests),
        Err(error) => {
            console::error(format_args!("cannot start a thread: {error}"));
            world.abort(1)
        }
    }
}

/// Runs this process's part of the program.
fn work(team: Team) -> ExitCode {
    if team.leads() {
        return cli::lead(team);
    }
    match team.or_abort(cli::help(team)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
