//! Everything of DynClean that decides about a label, without I/O, clock or platform: the trainer and
//! the page run the same code and get the same bits.
//!
//! A folder uses only folders that stand above it: [`corpus`], [`formats`], [`recording`], [`metrics`], [`evidence`],
//! [`detection`], [`cleaning`], [`evaluation`], [`report`]. `tests/tests/modules` checks that.

#![warn(missing_docs)]

pub use lanes::{exp, ln, ranked};

pub mod cleaning;
pub mod corpus;
pub mod detection;
pub mod evaluation;
pub mod evidence;
pub mod formats;
pub mod metrics;
pub mod recording;
pub mod report;
