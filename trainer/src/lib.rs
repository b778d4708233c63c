//! The training side of DynClean. The `trainer` binary only calls [`cli::main`].
//!
//! Each folder uses only the folders before it in this list: `data`, `model`, `training`, `run`, `serve`, `cli`. The
//! neural networks are a package of their own, `nn`.

#![warn(missing_docs)]

// Lets the command line refer to the library as `trainer`, like any other program.
extern crate self as trainer;

#[allow(missing_docs)]
pub mod cli;
pub mod console;
pub mod data;
pub mod files;
pub mod interrupt;
pub mod memory;
pub mod model;
mod progress;
pub mod run;
pub mod serve;
pub mod team;
pub mod threads;
pub mod training;
