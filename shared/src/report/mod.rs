//! The report: one self-contained HTML file. It needs neither JavaScript nor a network.

mod charts;
mod findings;
pub mod histogram;
mod html;
mod outcome;
mod paper;
#[cfg(test)]
mod tests;

pub use charts::ChartError;
pub use findings::Findings;
pub use html::last_part;
pub use outcome::{Course, CourseEpoch, Outcome, TestScores, Tried};
