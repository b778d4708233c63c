//! The training side of DynClean. The `trainer` binary only calls [`cli::main`].

#![warn(missing_docs)]

// Lets the command line refer to the library as `trainer`, like any other program.
extern crate self as trainer;

pub mod annotate;
pub mod batch;
mod batch_order;
pub mod checkpoint;
#[allow(missing_docs)]
pub mod cli;
pub mod config;
pub mod console;
pub mod convert;
pub mod corpus_file;
pub mod dictionary;
pub mod encoder;
mod first_stage;
pub mod hub;
pub mod inspect;
pub mod interrupt;
pub mod memory;
pub mod model_card;
mod negatives;
pub mod nn;
mod parquet_corpus;
pub mod pipeline;
mod progress;
pub mod random;
pub mod results;
pub mod run_dir;
#[allow(missing_docs)]
pub mod sample;
pub mod saved_model;
pub mod serve;
pub mod span_model;
mod span_parquet;
pub mod span_table;
pub mod sweep;
pub mod text_input;
pub mod threads;
mod threshold_samples;
pub mod train;
pub mod windows;
