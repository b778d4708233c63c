//! Views on a recording and its decisions that only the page needs: maps, filters, listings, surface forms,
//! comparison, live figures. Like `shared`, it uses no I/O, clock or platform function.

#![warn(missing_docs)]

pub mod alphabet;
pub mod axis;
pub mod beside;
pub mod bulk;
pub mod colour;
pub mod compare;
pub mod density;
pub mod export;
pub mod filter;
pub mod format;
pub mod groups;
pub mod history;
pub mod listing;
pub mod matrix;
#[cfg(test)]
mod one_epoch;
pub mod plots;
pub mod queue;
pub mod reasons;
pub mod review;
pub mod reviewers;
pub mod same_form;
pub mod sentence;
pub mod sort;
pub mod sources;
pub mod surface_forms;
pub mod tally;
