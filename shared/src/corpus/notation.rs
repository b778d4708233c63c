//! How tags, one per token, are spelled.

use serde::{Deserialize, Serialize};

/// How tags mark where an entity begins and ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// `I-` inside; `B-` only where an entity follows another of its type.
    Iob1,
    /// `B-` begins every entity (BIO).
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
    /// `(PER*` begins, `*)` ends, `*` is any other token (OntoNotes).
    Brackets,
    /// The type alone, without a prefix.
    Plain,
}

impl Scheme {
    /// All schemes.
    pub const ALL: [Self; 8] =
        [Self::Iob1, Self::Iob2, Self::Iobes, Self::Bilou, Self::Bmes, Self::Bmewo, Self::Brackets, Self::Plain];

    /// Its name on the command line.
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
    /// Between the letter and the type.
    pub separator: char,
    /// Whether the letter comes after the type.
    pub is_suffix: bool,
    /// Whether the letters are small.
    pub is_small: bool,
    /// Whether `o` stands for `O`.
    pub has_small_o: bool,
    /// Whether a letter without a type stands for an entity of type [`ENTITY`].
    pub is_untyped: bool,
}

impl Default for Spelling {
    fn default() -> Self {
        Self { separator: '-', is_suffix: false, is_small: false, has_small_o: false, is_untyped: false }
    }
}

/// The type of entities whose tags name none.
pub const ENTITY: &str = "ENTITY";

/// The letters that begin a tag, in all schemes.
pub(crate) const LETTERS: &str = "BIESLUMW";

/// How the tags of a file are to be understood.
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
    /// The tag of a token that is in no entity.
    pub fn outside(self) -> &'static str {
        match (self.scheme, self.spelling.has_small_o) {
            (Scheme::Brackets, _) => "*",
            (_, true) => "o",
            (_, false) => "O",
        }
    }

    /// The tag of a letter and a type.
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
    /// Letter (a capital) and type of a tag.
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

    /// The letter of a tag as a capital, if it is one.
    pub(crate) fn capital(self, letter: char) -> Option<char> {
        let is_spelled_so = letter.is_ascii_lowercase() == self.is_small;
        let capital = letter.to_ascii_uppercase();
        (is_spelled_so && LETTERS.contains(capital)).then_some(capital)
    }
}
