//! Finds suspicious labels: rankings, thresholds, and the check against annotated sentences.

pub mod dictionary_check;
pub mod estimate;
pub mod explanation;
mod extract;
pub mod judge;
pub mod judgement;
pub mod noise_model;
pub mod ranking;
pub mod threshold;
