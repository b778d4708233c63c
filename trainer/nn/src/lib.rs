//! Neural networks: operations with their backward pass, weights, and the optimizer.
//!
//! A model is written once, with the operations of a [`Pass`]. An [`Engine`] holds the weights and computes: on the
//! CPU with [`kernels`] on packed sentences, on a GPU with [`tensors`] on padded sentences. Both record their
//! operations on a [`Tape`], which runs the backward pass. In evaluation nothing is recorded.
//!
//! This is a package of its own so that it can be compiled for speed and the rest of the trainer fast.

#![warn(missing_docs)]

pub mod batch;
mod device;
mod engine;
#[cfg(test)]
mod gradient_check;
pub mod kernels;
mod masks;
mod parameters;
mod pass;
pub mod random;
mod schedule;
mod tape;
pub mod tensors;
mod weight;
pub mod windows;

pub use device::{Arithmetic, Compute, Place, parse_place};
pub use engine::{Engine, Moments, Operations, TableRows};
pub use masks::{Before, Dropout, Masks};
pub use parameters::{Builder, Init, Parameters};
pub use pass::{Loss, Pass};
pub use schedule::Schedule;
pub use tape::{Gradients, Tape};
pub use weight::{Group, Linear, Norm, Rates, StartingValues, Weight};
