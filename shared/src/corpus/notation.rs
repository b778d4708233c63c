//! How tags are spelled (one tag per token).

use serde::{Deserialize, Serialize};

/// How tags mark where an entity begins and ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// `I-` inside an entity; `B-` only if an entity directly follows another one of the same type.
    Iob1,
    /// `B-` at the first token of every entity (BIO).
    #[default]
    Iob2,
    /// `B- I- E-`, and `S-` for entities of one token (BIOES).
    Iobes,
    /// `B- I- L-`, and `U-` for entities of one token (BILOU).
    Bilou,
    /// `B- M- E-`, and `S-` for entities of one token.
    Bmes,
    /// `B- M- E-`, and `W-` for entities of one token.
    Bmewo,
    /// `(PER*` at the first token, `*)` at the last, `*` at every other token (OntoNotes).
    Brackets,
    /// The type alone, without a prefix.
    Plain,
}

impl Scheme {
    /// All schemes.
    pub const ALL: [Self; 8] =
        [Self::Iob1, Self::Iob2, Self::Iobes, Self::Bilou, Self::Bmes, Self::Bmewo, Self::Brackets, Self::Plain];

    /// The scheme's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iob1 => "iob1",
            Self::Iob2 => "bio",
            Self::Iobes => "bioes",
            Self::Bilou => "bilou",
            Self::Bmes => "bmes",
            Self::Bmewo => "bmewo",
            Self::Brackets => "brackets",
            Self::Plain => "plain",
        }
    }
}

/// How the tags of a scheme are spelled: `B-PER`, `PER-B`, `b_per`, `B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spelling {
    /// The character between the letter and the type.
    pub separator: char,
    /// Whether the letter comes after the type.
    pub is_suffix: bool,
    /// Whether the letters are lower case.
    pub is_small: bool,
    /// Whether the outside tag is `o` instead of `O`.
    pub has_small_o: bool,
    /// Whether a letter without a type stands for an entity of type [`ENTITY`].
    pub is_untyped: bool,
}

impl Default for Spelling {
    fn default() -> Self {
        Self { separator: '-', is_suffix: false, is_small: false, has_small_o: false, is_untyped: false }
    }
}

/// The type of entities whose tags have no type.
pub const ENTITY: &str = "ENTITY";

/// All letters that can begin a tag, in any scheme.
pub(crate) const LETTERS: &str = "BIESLUMW";

/// How to read the tags of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Notation {
    pub scheme: Scheme,
    pub spelling: Spelling,
}

impl From<Scheme> for Notation {
    fn from(scheme: Scheme) -> Self {
        Self { scheme, spelling: Spelling::default() }
    }
}

impl Notation {
    /// The tag of a token outside all entities.
    pub fn outside(self) -> &'static str {
        match (self.scheme, self.spelling.has_small_o) {
            (Scheme::Brackets, _) => "*",
            (_, true) => "o",
            (_, false) => "O",
        }
    }

    /// Builds the tag from a letter and a type.
    pub(crate) fn tag(self, letter: char, kind: &str) -> String {
        let Spelling { separator, is_suffix, is_small, is_untyped, .. } = self.spelling;
        let letter = if is_small { letter.to_ascii_lowercase() } else { letter };
        match (is_untyped && kind == ENTITY, is_suffix) {
            (true, _) => letter.to_string(),
            (false, true) => format!("{kind}{separator}{letter}"),
            (false, false) => format!("{letter}{separator}{kind}"),
        }
    }
}

impl Spelling {
    /// Splits a tag into its letter (as a capital) and its type.
    pub(crate) fn split(self, tag: &str) -> Option<(char, &str)> {
        let (letter, kind) = if self.is_suffix {
            let letter = tag.chars().next_back()?;
            let rest = tag.get(..tag.len() - letter.len_utf8())?;
            (letter, rest.strip_suffix(self.separator)?)
        } else {
            let mut chars = tag.chars();
            (chars.next()?, chars.as_str().strip_prefix(self.separator)?)
        };
        Some((self.capital(letter)?, kind)).filter(|(_, kind)| !kind.is_empty())
    }

    /// Returns the letter of a tag as a capital, or `None` if it is not a tag letter in this spelling.
    pub(crate) fn capital(self, letter: char) -> Option<char> {
        let is_spelled_so = letter.is_ascii_lowercase() == self.is_small;
        let capital = letter.to_ascii_uppercase();
        (is_spelled_so && LETTERS.contains(capital)).then_some(capital)
    }
}
