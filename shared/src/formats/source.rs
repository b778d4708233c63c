//! From the bytes of a file to its text.

use super::FormatError;

/// A file's text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    /// Without the byte order mark.
    pub text: &'a str,
    /// Whether there was one.
    pub bom: bool,
}

const BOM: &str = "\u{feff}";

/// The text of a file in UTF-8, with or without a byte order mark.
pub(super) fn decode(bytes: &[u8]) -> Result<Source<'_>, FormatError> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(FormatError { line: 1, message: "this is UTF-16; save the file as UTF-8".into() });
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

/// The byte order mark, where the file had one.
pub(super) fn bom(had: bool) -> &'static str {
    if had { BOM } else { "" }
}

/// Line (from 1) at which `part`, a slice of `text`, begins. Counts anew each time: for errors only.
pub(super) fn line_of(text: &str, part: &str) -> usize {
    let offset = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len());
    text.as_bytes().iter().take(offset).filter(|&&b| b == b'\n').count() + 1
}
