//! The bundled sample corpus: invented text with gold labels and distant labels. `xtask/sample` made it.

use std::io::Read;

use anyhow::{Context, Result};
use flate2::read::GzDecoder;

macro_rules! file {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../../sample/", $name, ".gz")).as_slice())
    };
}

const FILES: [(&str, &[u8]); 5] = [
    file!("train-distant.json"),
    file!("train-gold.json"),
    file!("dev.json"),
    file!("test.json"),
    file!("dictionary.tsv"),
];

/// Returns the files of the sample: name and content.
///
/// # Errors
/// If the program is damaged.
pub fn files() -> Result<Vec<(&'static str, String)>> {
    let read = |(name, compressed): (&'static str, &[u8])| {
        let mut text = String::new();
        GzDecoder::new(compressed)
            .read_to_string(&mut text)
            .with_context(|| format!("the bundled {name} is damaged"))?;
        Ok((name, text))
    };
    FILES.into_iter().map(read).collect()
}
