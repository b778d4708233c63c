//! Raw text to be labelled: one sentence per line, tokens by the rule of [`super::tokenise`].
//!
//! Raw text has no labels, so it is not a [`super::Format`]. A corpus made from it is written as JSON with text
//! and offsets, which keeps the text unchanged, unless the user asks for another format.

use std::borrow::Cow;

use super::builder::{Builder, Sentence};
use super::json;
use super::layout::{Layout, TextJson};
use super::source::decode;
use super::{FormatError, scheme, tags, tokenise};
use crate::corpus::Corpus;

/// Reads raw text. Lines without a token are not sentences.
///
/// # Errors
/// When the text is empty, not UTF-8, or larger than 4 GiB.
pub fn read(bytes: &[u8]) -> Result<Corpus, FormatError> {
    let source = decode(bytes)?;
    let layout = TextJson::default();
    let mut builder = Builder::new(false);
    for (number, line) in source.text.lines().enumerate() {
        let tokens: Vec<_> =
            tokenise(line).filter_map(|(start, end)| line.get(start..end)).map(Cow::Borrowed).collect();
        if tokens.is_empty() {
            continue;
        }
        let fields = [(layout.text.as_str(), json::string(line)), (layout.spans.as_str(), "[]".to_owned())];
        let sentence = Sentence { tokens, extra: Some(json::object(fields)), ..Sentence::default() };
        builder.push(sentence).map_err(|message| FormatError { line: number + 1, message })?;
    }
    Ok(builder.finish(Layout::TextJsonl(layout))?.corpus)
}

/// Whether a file is raw text and not a labelled corpus. It is raw text if it is not JSON and not every line has a
/// column with a tag (`O`, `B-PER`).
pub fn is_plain(bytes: &[u8]) -> bool {
    let Ok(source) = decode(bytes) else { return false };
    !json::looks_like_json(source.text) && !has_columns_of_tags(source.text)
}

fn has_columns_of_tags(text: &str) -> bool {
    // With two columns, a tag may have any spelling.
    let is_row = |line: &str| {
        let mut columns = line.split_whitespace().skip(1).peekable();
        let first = columns.peek().copied();
        columns.any(tags::is_tag) || line.split_whitespace().count() == 2 && first.is_some_and(scheme::may_be_tag)
    };
    let is_aside = |line: &str| line.trim().is_empty() || line.starts_with('#') || line.starts_with("-DOCSTART-");
    text.lines().all(|line| is_aside(line) || is_row(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Entity;
    use crate::corpus::labels::LabelSet;
    use crate::corpus::span::Span;
    use crate::formats::{Content, WriteOptions, write};

    #[test]
    fn a_line_is_a_sentence_and_the_text_stays() {
        let mut corpus = read("\u{feff}Ada's  letter.\r\n \n\t\nIn Zürich.".as_bytes()).unwrap();
        assert_eq!(corpus.n_sentences(), 2);
        assert_eq!(corpus.tokens.sentence(0).collect::<Vec<_>>(), ["Ada", "'s", "letter", "."]);
        corpus.labels = LabelSet::from_types(["LOC"]);
        corpus.entities = vec![Entity { span: Span { sentence: 1, start: 1, end: 1 }, label: 1 }];
        let Content::Text(text) = write(&corpus, &WriteOptions::default()).content else { panic!("one file") };
        let expected = "{\"text\": \"Ada's  letter.\", \"spans\": []}\n\
                        {\"text\": \"In Zürich.\", \"spans\": [{\"start\": 3, \"end\": 9, \"label\": \"LOC\"}]}\n";
        assert_eq!(text, expected);
        assert!(read(b"\n \n").is_err() && read(&[b'a', 0xff]).unwrap_err().line == 1);
    }

    #[test]
    fn text_is_told_from_columns_and_json() {
        for plain in ["Ada wrote .\nO yes", "O", "B-PER", "Vitamin B-12\nis here"] {
            assert!(is_plain(plain.as_bytes()), "{plain}");
        }
        for columns in ["Ada PER-B\nwrote O", "Ada b-per\nwrote o", "Ada (PER)\nwrote *", "Ada\tB\nL.\tI\nwrote\tO"] {
            assert!(!is_plain(columns.as_bytes()), "{columns}");
        }
        for labelled in ["# id\nAda B-PER\n\nwrote O", "-DOCSTART- O\n\nAda NNP I-PER 0", "[{\"text\": \"a\"}]", "{}"] {
            assert!(!is_plain(labelled.as_bytes()), "{labelled}");
        }
    }
}
