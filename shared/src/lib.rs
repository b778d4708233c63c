//! The code of DynClean that decides about labels. It uses no I/O, clock or platform function, so the trainer and
//! the page run the same code and get the same bits.
//!
//! A module uses only itself and the modules before it in this list: [`corpus`], [`formats`], [`recording`],
//! [`metrics`], [`evidence`], [`detection`], [`cleaning`], [`evaluation`], [`report`]. `tests/tests/modules`
//! checks this.

#![warn(missing_docs)]

pub use lanes::{exp, ln, random, ranked};

pub mod cleaning;
pub mod corpus;
pub mod detection;
pub mod evaluation;
pub mod evidence;
pub mod formats;
pub mod metrics;
pub mod recording;
pub mod report;
