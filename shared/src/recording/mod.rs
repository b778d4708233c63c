//! What was recorded while a model was trained: dynamics, their file, several of them as one, and those of other programs.

pub mod dictionary;
pub mod dyn_file;
pub mod dynamics;
pub mod ensemble;
pub mod import;
pub mod prf;
