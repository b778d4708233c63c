//! Converts the bytes of a file to text.

use super::FormatError;

/// The text of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    /// The text without the byte order mark.
    pub text: &'a str,
    /// Whether there was a byte order mark.
    pub bom: bool,
}

const BOM: &str = "\u{feff}";

/// Decodes a UTF-8 file, with or without a byte order mark.
pub(super) fn decode(bytes: &[u8]) -> Result<Source<'_>, FormatError> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(FormatError { line: 1, message: "this is UTF-16; save the file as UTF-8".into() });
    }
    if let Some(message) = other_kind(bytes) {
        return Err(FormatError { line: 1, message: message.into() });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let (before, rest) = bytes.split_at(error.valid_up_to());
        let byte = rest.first().copied().unwrap_or_default();
        FormatError {
            line: before.iter().filter(|&&b| b == b'\n').count() + 1,
            message: format!("byte 0x{byte:02X} is not UTF-8 text; save the file as UTF-8"),
        }
    })?;
    let (text, bom) = match text.strip_prefix(BOM) {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    if text.trim().is_empty() {
        return Err(FormatError { line: 1, message: "the file is empty; expected sentences with labels".into() });
    }
    Ok(Source { text, bom })
}

/// First bytes of files that are not text, each with advice on how to get text.
const OTHER_KINDS: [(&[u8], &str); 12] = [
    (b"PAR1", PARQUET),
    (b"ARROW1", ARROW),
    (b"FEA1", ARROW),
    // Arrow streams, as in the cache of `datasets`.
    (b"\xff\xff\xff\xff", ARROW),
    (b"x\x01", DOC_BIN),
    (b"x\x5e", DOC_BIN),
    (b"x\x9c", DOC_BIN),
    (b"x\xda", DOC_BIN),
    (b"\x1f\x8b", "this is compressed by gzip: unpack it (gunzip FILE) and give what is in it"),
    (b"PK\x03\x04", "this is a zip archive (or a document of an office program): unpack it, or save it as text"),
    (b"\x28\xb5\x2f\xfd", "this is compressed by zstd: unpack it (zstd -d FILE) and give what is in it"),
    (b"\x80\x04\x95", "this is a pickled object of Python: write it as JSON, json.dump(sentences, file)"),
];
const PARQUET: &str = "this is Parquet, which only the program `trainer` reads: give it the file";
const ARROW: &str = "this is Arrow, as `datasets` saves it: write it as Parquet with\n  python3 -c 'import datasets; \
                     datasets.Dataset.from_file(\"FILE\").to_parquet(\"train.parquet\")'\nand give train.parquet; in a \
                     Python program, dynclean.from_hf(dataset) gives its sentences";
const DOC_BIN: &str = "this is compressed by zlib, as spaCy's DocBin (.spacy) is: convert it with\n  python3 -c 'import \
                       dynclean, json, spacy; docs = spacy.tokens.DocBin().from_disk(\"FILE\"); \
                       json.dump(dynclean.from_spacy(docs), open(\"train.json\", \"w\"))'\nand give train.json";

fn other_kind(bytes: &[u8]) -> Option<&'static str> {
    let kind = OTHER_KINDS.iter().find(|(first, _)| bytes.starts_with(first));
    // A text may also begin with `x^`, or with `x` and a control character.
    kind.filter(|(first, _)| !first.starts_with(b"x") || std::str::from_utf8(bytes).is_err())
        .map(|(_, message)| *message)
}

/// The byte order mark, if the file had one; otherwise an empty text.
pub(super) fn bom(had: bool) -> &'static str {
    if had { BOM } else { "" }
}

/// The line (from 1) at which `part`, a slice of `text`, begins. It counts from the start each time, so use it for
/// errors only.
pub(super) fn line_of(text: &str, part: &str) -> usize {
    let offset = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len());
    text.as_bytes().iter().take(offset).filter(|&&b| b == b'\n').count() + 1
}
