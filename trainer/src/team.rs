//! Several processes that train one model together. The first one leads: it reads and writes all files, and tells the
//! others what to do. The messages may be carried by MPI or by something else; this module does not know.
//!
//! Every process holds the whole model, computes a part of each batch, and adds the gradients of the others to its own.
//! So all hold the same weights after every step.

use std::fmt;
use std::ops::Range;

use anyhow::{Context, Result, ensure};
use nn::Parameters;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::console;

/// Carries messages between the processes. Each method must be called by all processes, in the same order.
pub trait Messages: Send + Sync {
    /// Returns the number of this process, from 0. Process 0 leads.
    fn rank(&self) -> usize;

    /// Returns the number of processes.
    fn size(&self) -> usize;

    /// Returns, in every process, the bytes that process 0 gives.
    ///
    /// # Errors
    /// When a message cannot be carried.
    fn broadcast(&self, of_leader: Vec<u8>) -> Result<Vec<u8>>;

    /// Returns the bytes that each process gives, in the order of the processes.
    ///
    /// # Errors
    /// When a message cannot be carried.
    fn gather(&self, own: Vec<u8>) -> Result<Vec<Vec<u8>>>;

    /// Returns the sums of the numbers of all processes. Each process must give equally many numbers, and all get the
    /// same bits.
    ///
    /// # Errors
    /// When a message cannot be carried.
    fn sum(&self, own: Vec<f32>) -> Result<Vec<f32>>;

    /// Waits for all processes, and lets the CPU rest meanwhile.
    ///
    /// # Errors
    /// When a message cannot be carried.
    fn meet(&self) -> Result<()>;

    /// Ends all processes at once, because this one cannot go on and the others would wait for it.
    fn abort(&self) -> !;
}

/// The processes of this training. By default there is only this one.
#[derive(Clone, Copy, Default)]
pub struct Team(Option<&'static dyn Messages>);

impl fmt::Debug for Team {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "process {} of {} (from 0)", self.rank(), self.size())
    }
}

impl Team {
    /// Returns the team of the processes that these messages connect.
    pub fn of(messages: &'static dyn Messages) -> Self {
        // A single process needs no messages. It then works as if no messages were given.
        Self(Some(messages).filter(|messages| messages.size() > 1))
    }

    /// Returns the number of this process, from 0.
    pub fn rank(self) -> usize {
        self.0.map_or(0, Messages::rank)
    }

    /// Returns the number of processes.
    pub fn size(self) -> usize {
        self.0.map_or(1, Messages::size)
    }

    /// Returns whether there is only this process.
    pub fn is_alone(self) -> bool {
        self.0.is_none()
    }

    /// Returns whether this process tells the others what to do.
    pub fn leads(self) -> bool {
        self.rank() == 0
    }

    fn messages(self) -> Result<&'static dyn Messages> {
        self.0.context("there is only one process")
    }

    /// Sends an order to all other processes.
    pub(crate) fn tell(self, order: &impl Serialize) -> Result<()> {
        self.messages()?.broadcast(encode(order)?).map(drop)
    }

    /// Waits for the next order.
    pub(crate) fn listen<T: DeserializeOwned>(self) -> Result<T> {
        decode(&self.messages()?.broadcast(Vec::new())?)
    }

    /// Waits until all processes are here.
    pub(crate) fn meet(self) -> Result<()> {
        self.0.map_or(Ok(()), Messages::meet)
    }

    /// Returns the values that all processes give, in the order of the processes.
    pub(crate) fn gather<T: Serialize + DeserializeOwned>(self, own: &T) -> Result<Vec<T>> {
        self.messages()?.gather(encode(own)?)?.iter().map(|bytes| decode(bytes)).collect()
    }

    /// Returns the numbers of all processes, one after the other.
    pub(crate) fn gather_numbers(self, own: &[f32]) -> Result<Vec<f32>> {
        let all = self.messages()?.gather(bytes_of(own))?;
        Ok(all.iter().flat_map(|bytes| numbers_in(bytes)).collect())
    }

    /// Returns the numbers that the leader gives.
    pub(crate) fn numbers_of_leader(self, own: &[f32]) -> Result<Vec<f32>> {
        Ok(numbers_in(&self.messages()?.broadcast(bytes_of(own))?).collect())
    }

    /// Returns the result of something that all processes do together. If it failed here, the whole program ends,
    /// because the others would wait for ever.
    pub fn or_abort<T>(self, result: Result<T>) -> Result<T> {
        if let (Err(error), Some(messages)) = (&result, self.0) {
            console::error(format_args!("{self:?}: {error:#}"));
            messages.abort();
        }
        result
    }

    /// Adds the gradients of the other processes.
    pub(crate) fn add_up(self, parameters: &Parameters) -> Result<()> {
        let Some(messages) = self.0 else { return Ok(()) };
        parameters.sum_dense(|own| messages.sum(own))?;
        parameters.set_table_gradients(&self.gather(&parameters.table_gradients()?)?)
    }

    /// Divides pieces of work between the processes, in the order of the pieces. Returns the pieces of this process.
    /// `costs` has the cost of each piece. The leader gets at least one piece, if there is one.
    pub(crate) fn own_part(self, costs: &[usize]) -> Range<usize> {
        part(costs, self.rank(), self.size())
    }
}

/// Returns the pieces of one of `size` processes. A piece belongs to the process in whose share of all costs its middle
/// lies.
fn part(costs: &[usize], rank: usize, size: usize) -> Range<usize> {
    let all: usize = costs.iter().sum();
    // Number of pieces that come before the share of this process.
    let before = |rank: usize| {
        let mut so_far = 0;
        let is_before = |cost: &&usize| {
            let middle = 2 * so_far + **cost;
            so_far += **cost;
            middle * size < 2 * all * rank
        };
        let n = costs.iter().take_while(is_before).count();
        if rank == 0 { 0 } else { n.max(1).min(costs.len()) }
    };
    before(rank)..if rank + 1 == size { costs.len() } else { before(rank + 1) }
}

pub(crate) fn bytes_of(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn numbers_in(bytes: &[u8]) -> impl Iterator<Item = f32> {
    let (numbers, _) = bytes.as_chunks::<4>();
    numbers.iter().map(|&bytes| f32::from_le_bytes(bytes))
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    bincode::serde::encode_to_vec(value, bincode::config::standard()).context("cannot write a message")
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let decoded = bincode::serde::decode_from_slice(bytes, bincode::config::standard());
    let (value, n) = decoded.context("cannot read a message of another process; do all run the same build?")?;
    ensure!(n == bytes.len(), "a message of another process is too long; do all run the same build?");
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_divided_in_order_and_evenly() {
        let parts = |costs: &[usize], size| (0..size).map(|rank| part(costs, rank, size)).collect::<Vec<_>>();
        assert_eq!(parts(&[5, 5, 5, 5], 2), [0..2, 2..4]);
        assert_eq!(parts(&[1, 1, 1, 9, 3], 2), [0..3, 3..5]);
        // The leader always has a piece, however small the others are; some have none.
        assert_eq!(parts(&[90, 1, 1], 3), [0..1, 1..1, 1..3]);
        assert_eq!(parts(&[0, 90], 2), [0..1, 1..2]);
        assert_eq!(parts(&[7], 3), [0..1, 1..1, 1..1]);
        assert_eq!(parts(&[0, 0], 2), [0..1, 1..2]);
        assert_eq!(parts(&[], 2), [0..0, 0..0]);
        for size in 1..6 {
            let costs: Vec<usize> = (0..17).map(|i| i * 7 % 5).collect();
            let all = parts(&costs, size);
            assert!(all[0].start == 0 && all.windows(2).all(|w| w[0].end == w[1].start));
            assert_eq!(all.last().unwrap().end, 17);
        }
    }

    #[test]
    fn numbers_keep_their_bits() {
        let numbers = [1.5, -0.0, f32::NAN, f32::MIN_POSITIVE / 2.0];
        let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&numbers_in(&bytes_of(&numbers)).collect::<Vec<_>>()), bits(&numbers));
    }
}
