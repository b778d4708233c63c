//! Measures the quality of the model and of the cleaning against gold labels.

pub mod quality;
pub mod score;
