//! Everything of DynClean that decides about a label, without I/O, clock or platform: the trainer and
//! the page run the same code and get the same bits.
//!
//! corpus → [`dynamics`] → [`metrics`] → [`threshold`] → [`judge`] → [`cleaning`] → corpus

#![warn(missing_docs)]

pub use lanes::{exp, ln, ranked};

pub mod axis;
pub mod block_wise;
pub mod cleaning;
pub mod colour;
pub mod compare;
pub mod corpus;
pub mod density;
pub mod dictionary_check;
pub mod dyn_file;
pub mod dynamics;
pub mod ensemble;
pub mod filter;
pub mod formats;
pub mod histogram;
pub mod import;
pub mod judge;
pub mod labels;
pub mod listing;
mod margin_metrics;
pub mod metrics;
pub mod provenance;
pub mod quality;
pub mod report;
pub mod same_form;
pub mod score;
pub mod share;
pub mod span;
pub mod surface_forms;
pub mod tally;
pub mod threshold;
