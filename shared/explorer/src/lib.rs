//! What only the page asks of a recording and of what is decided about it: maps, filters, listings, words, comparison,
//! live figures. As `shared`, without I/O, clock or platform.

#![warn(missing_docs)]

pub mod axis;
pub mod colour;
pub mod compare;
pub mod density;
pub mod filter;
pub mod format;
pub mod history;
pub mod listing;
#[cfg(test)]
mod one_epoch;
pub mod same_form;
pub mod surface_forms;
pub mod tally;
