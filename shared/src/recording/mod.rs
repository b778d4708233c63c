//! Recordings of model training: dynamics, their file format, ensembles, and imports from other programs.

pub mod dictionary;
pub mod dyn_file;
pub mod dynamics;
pub mod ensemble;
pub mod import;
pub mod prf;
pub mod whole;
