//! Splits raw text into tokens.
//!
//! Tokens begin and end at the word boundaries of Unicode (UAX #29). Segments of white space are not tokens.
//! Inside a segment, a token also begins
//! - before an apostrophe (`'` or `’`) that follows something: `John's` is `John` `'s`;
//! - before and after a colon, and before and after an underscore between letters or digits:
//!   `EU:s` is `EU` `:` `s`;
//! - before and after a full stop between a lower-case and an upper-case letter, where a space is
//!   missing: `London.The` is `London` `.` `The`.
//!
//! The rule uses only the text, never labels, so the same text always has the same tokens. Scripts without spaces
//! follow UAX #29: one token per ideograph, but long runs in Thai, Lao, Khmer and Burmese.

use unicode_segmentation::UnicodeSegmentation;

/// The tokens of a text: (first byte, end in bytes).
pub fn tokenise(text: &str) -> impl Iterator<Item = (usize, usize)> + '_ {
    text.split_word_bound_indices()
        .filter(|(_, segment)| !segment.chars().all(char::is_whitespace))
        .flat_map(|(start, segment)| Pieces { segment, at: 0 }.map(move |(a, b)| (start + a, start + b)))
}

/// The tokens inside a segment of UAX #29.
struct Pieces<'a> {
    segment: &'a str,
    at: usize,
}

impl Iterator for Pieces<'_> {
    type Item = (usize, usize);
    fn next(&mut self) -> Option<(usize, usize)> {
        let rest = self.segment.get(self.at..).filter(|rest| !rest.is_empty())?;
        let mut previous = self.segment.get(..self.at).and_then(|before| before.chars().next_back());
        let mut chars = rest.char_indices().peekable();
        let mut end = rest.len();
        while let Some((at, c)) = chars.next() {
            let next = chars.peek().map(|&(_, c)| c);
            if at > 0 && (is_apostrophe(c) || stands_alone(previous, c, next)) {
                end = at;
                break;
            }
            if stands_alone(previous, c, next) {
                end = c.len_utf8();
                break;
            }
            previous = Some(c);
        }
        let start = self.at;
        self.at += end;
        Some((start, self.at))
    }
}

fn is_apostrophe(c: char) -> bool {
    c == '\'' || c == '\u{2019}'
}

/// Whether a character between these two is a token by itself.
fn stands_alone(previous: Option<char>, c: char, next: Option<char>) -> bool {
    let (Some(previous), Some(next)) = (previous, next) else { return false };
    match c {
        ':' => true,
        '_' => previous != '_' && next != '_',
        '.' => previous.is_lowercase() && next.is_uppercase(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_on_text_of_many_kinds() {
        let tokens = |text: &'static str| -> Vec<&str> { tokenise(text).map(|(a, b)| &text[a..b]).collect() };
        assert_eq!(tokens("John's dog can't."), ["John", "'s", "dog", "can", "'t", "."]);
        assert_eq!(tokens("’Tis O’Brien’s"), ["’", "Tis", "O", "’Brien", "’s"]);
        assert_eq!(
            tokens("U.S. costs $3.50, see example.com"),
            ["U.S", ".", "costs", "$", "3.50", ",", "see", "example.com"]
        );
        assert_eq!(
            tokens("in London.The EU:s a_b __x__"),
            ["in", "London", ".", "The", "EU", ":", "s", "a", "_", "b", "__x__"]
        );
        assert_eq!(tokens("techno-based\u{a0}\r\n\tx"), ["techno", "-", "based", "x"]);
        assert_eq!(tokens("東京は 👩‍👩‍👧 𝒳é"), ["東", "京", "は", "👩‍👩‍👧", "𝒳é"]);
        assert_eq!(tokens(" \n "), [""; 0]);
    }
}
