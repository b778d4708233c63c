//! Corpora, dictionaries and recordings on disk and from the hub.

pub mod annotate;
pub mod convert;
pub mod corpus_file;
pub mod dictionary;
pub mod hub;
pub mod inspect;
pub mod parquet_corpus;
pub mod parts;
pub mod recording;
#[allow(missing_docs)]
pub mod sample;
pub mod span_table;
pub mod text_input;
