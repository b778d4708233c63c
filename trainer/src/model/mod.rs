//! Encoders, the span model, and trained models on disk.

pub mod encoder;
#[cfg(test)]
mod engine_tests;
pub mod inference;
pub mod saved_model;
pub mod span_model;
