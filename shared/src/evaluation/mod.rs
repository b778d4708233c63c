//! How good it is, measured with gold labels: of the model, and of the cleaning.

pub mod quality;
pub mod score;
