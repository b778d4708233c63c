//! The training side of DynClean as a library; the `trainer` binary is a thin command line over it.

#![warn(missing_docs)]

pub mod batch;
pub mod checkpoint;
pub mod config;
pub mod convert;
pub mod convert_corpus;
pub mod corpus_file;
pub mod encoder;
mod first_stage;
pub mod inspect;
pub mod interrupt;
mod negatives;
pub mod ops;
pub mod parameters;
pub mod pipeline;
mod progress;
pub mod random;
pub mod run_dir;
#[allow(missing_docs)]
pub mod sample;
pub mod sample_corpus;
pub mod serve;
pub mod span_model;
mod span_parquet;
pub mod span_table;
pub mod sweep;
pub mod threads;
mod threshold_samples;
pub mod train;
