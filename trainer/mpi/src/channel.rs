//! Messages between the processes by MPI. Only one thread of a process calls MPI; the others ask it.

use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mpi::Count;
use mpi::collective::SystemOperation;
use mpi::datatype::PartitionMut;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Root};
use trainer::team::Messages;

/// Largest number of elements in one message, and of bytes in the messages of all processes together. MPI counts in 32
/// bits.
const AT_ONCE: usize = 1 << 28;
const MOST: usize = Count::MAX as usize;
/// How long a process sleeps before it looks again whether all others have come.
const NAP: Duration = Duration::from_millis(2);

/// A request to the thread that calls MPI, with the channel for the answer.
pub enum Request {
    Broadcast(Vec<u8>, Sender<Vec<u8>>),
    Gather(Vec<u8>, Sender<Vec<Vec<u8>>>),
    Sum(Vec<f32>, Sender<Vec<f32>>),
    Meet(Sender<()>),
    Abort,
    End(ExitCode),
}

/// The connection to the thread that calls MPI.
pub struct Channel {
    rank: usize,
    size: usize,
    ask: Mutex<Sender<Request>>,
}

impl Channel {
    /// Connects to the thread that gets these requests.
    pub fn new(world: &SimpleCommunicator, ask: Sender<Request>) -> Self {
        // Both are counts, so they are never negative.
        let [rank, size] = [world.rank(), world.size()].map(|n| usize::try_from(n).unwrap_or(0));
        Self { rank, size, ask: Mutex::new(ask) }
    }

    fn send(&self, request: Request) -> Result<()> {
        let ask = self.ask.lock().unwrap_or_else(PoisonError::into_inner);
        ask.send(request).ok().context("this process is ending")
    }

    fn ask<T>(&self, request: impl FnOnce(Sender<T>) -> Request) -> Result<T> {
        let (answer, answered) = channel();
        self.send(request(answer))?;
        answered.recv().context("this process is ending")
    }
}

impl Messages for Channel {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn broadcast(&self, of_leader: Vec<u8>) -> Result<Vec<u8>> {
        self.ask(|answer| Request::Broadcast(of_leader, answer))
    }

    fn gather(&self, own: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        // MPI counts the bytes of all processes together.
        ensure!(own.len() <= MOST / self.size.max(1), "{} bytes are too many for a message of each process", own.len());
        self.ask(|answer| Request::Gather(own, answer))
    }

    fn sum(&self, own: Vec<f32>) -> Result<Vec<f32>> {
        self.ask(|answer| Request::Sum(own, answer))
    }

    fn meet(&self) -> Result<()> {
        self.ask(Request::Meet)
    }

    fn abort(&self) -> ! {
        let _ = self.send(Request::Abort);
        // The other thread ends the process.
        loop {
            thread::park();
        }
    }
}

/// Carries out the requests of the threads of this process, until one of them ends it.
pub fn serve(world: &SimpleCommunicator, requests: &Receiver<Request>) -> ExitCode {
    // Use the memory of one sum again for the next, because gradients are large.
    let mut spare = Vec::new();
    // If an answer cannot be sent, nobody waits for it any more.
    while let Ok(request) = requests.recv() {
        match request {
            Request::Broadcast(bytes, answer) => drop(answer.send(broadcast(world, bytes))),
            Request::Gather(own, answer) => drop(answer.send(gather(world, &own))),
            Request::Sum(own, answer) => {
                let sums = sum(world, &own, spare);
                spare = own;
                let _ = answer.send(sums);
            }
            Request::Meet(answer) => {
                meet(world);
                let _ = answer.send(());
            }
            Request::Abort => world.abort(1),
            Request::End(code) => return code,
        }
    }
    world.abort(1)
}

fn broadcast(world: &SimpleCommunicator, mut bytes: Vec<u8>) -> Vec<u8> {
    let leader = world.process_at_rank(0);
    let mut length = bytes.len() as u64;
    leader.broadcast_into(&mut length);
    bytes.resize(length as usize, 0);
    for part in bytes.chunks_mut(AT_ONCE) {
        leader.broadcast_into(part);
    }
    bytes
}

fn gather(world: &SimpleCommunicator, own: &[u8]) -> Vec<Vec<u8>> {
    let mut counts = vec![0 as Count; world.size() as usize];
    world.all_gather_into(&(own.len() as Count), &mut counts);
    let starts = counts.iter().scan(0, |start, &count| Some(std::mem::replace(start, *start + count)));
    let starts: Vec<Count> = starts.collect();
    let mut all = vec![0u8; counts.iter().map(|&count| count as usize).sum()];
    world.all_gather_varcount_into(own, &mut PartitionMut::new(&mut all, counts.as_slice(), starts.as_slice()));
    let mut rest = all.as_slice();
    let cut = |&count: &Count| {
        let (piece, after) = rest.split_at(count as usize);
        rest = after;
        piece.to_vec()
    };
    counts.iter().map(cut).collect()
}

/// Returns the sums over all processes, in the memory of `sums`.
fn sum(world: &SimpleCommunicator, own: &[f32], mut sums: Vec<f32>) -> Vec<f32> {
    sums.resize(own.len(), 0.0);
    for (own, sums) in own.chunks(AT_ONCE).zip(sums.chunks_mut(AT_ONCE)) {
        world.all_reduce_into(own, sums, SystemOperation::sum());
    }
    sums
}

/// Waits for all processes. MPI's own barrier would keep a core busy.
fn meet(world: &SimpleCommunicator) {
    let mut waiting = world.immediate_barrier();
    while let Err(not_yet) = waiting.test() {
        thread::sleep(NAP);
        waiting = not_yet;
    }
}
