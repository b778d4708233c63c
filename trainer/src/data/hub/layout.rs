//! The files of a model in Hugging Face layout.

use std::path::Path;

/// File with the settings of the model.
pub const CONFIG: &str = "config.json";
/// Files that may hold the weights; the first that exists counts.
pub const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
/// File with a complete tokenizer.
pub const TOKENIZER: &str = "tokenizer.json";
/// Settings of the tokenizer.
pub const SETTINGS: &str = "tokenizer_config.json";
/// WordPiece vocabulary, one piece per line.
pub const WORD_PIECES: &str = "vocab.txt";
/// Byte-level BPE: the pieces with their numbers, and the merges.
pub const BYTE_PAIRS: [&str; 2] = ["vocab.json", "merges.txt"];

/// Returns whether a folder has a tokenizer, in one file or in the files of older checkpoints.
pub fn has_tokenizer(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).is_file();
    has(TOKENIZER) || has(WORD_PIECES) || BYTE_PAIRS.into_iter().all(has)
}

/// Returns whether a folder has everything that an encoder needs.
pub fn is_whole(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).is_file();
    has(CONFIG) && has_tokenizer(folder) && WEIGHTS.into_iter().any(has)
}
