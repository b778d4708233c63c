//! The units in which the offsets of a corpus file count.

use serde::{Deserialize, Serialize};

/// The unit of offsets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Code points.
    #[default]
    Character,
    /// UTF-16 code units, as in JavaScript and Java.
    Utf16,
    /// Bytes of the UTF-8 text.
    Byte,
}

/// How offsets count line ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineEnds {
    /// Every character of a line end counts.
    #[default]
    AsTheyAre,
    /// CR LF counts as one character.
    CrLfAsOne,
    /// LF counts as two characters, as if it were CR LF.
    LfAsTwo,
    /// Line ends do not count.
    NotCounted,
}

/// A way to count offsets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counting {
    /// The unit of offsets.
    pub unit: Unit,
    /// How line ends count.
    pub line_ends: LineEnds,
    /// Whether a byte order mark at the beginning of the text is left out of the count.
    pub without_mark: bool,
}

impl Counting {
    /// Whether this is the usual way: all characters count.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Iterates over all ways of counting.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let units = [Unit::Character, Unit::Utf16, Unit::Byte];
        let ends = [LineEnds::AsTheyAre, LineEnds::CrLfAsOne, LineEnds::LfAsTwo, LineEnds::NotCounted];
        units.into_iter().flat_map(move |unit| {
            ends.into_iter()
                .flat_map(move |line_ends| [false, true].map(|without_mark| Self { unit, line_ends, without_mark }))
        })
    }

    /// Describes this way of counting in words.
    pub(crate) fn describe(self) -> String {
        let unit = match self.unit {
            Unit::Character => "characters",
            Unit::Utf16 => "UTF-16 units",
            Unit::Byte => "bytes",
        };
        let ends = match self.line_ends {
            LineEnds::AsTheyAre => "",
            LineEnds::CrLfAsOne => ", CR LF as one",
            LineEnds::LfAsTwo => ", line ends as two",
            LineEnds::NotCounted => ", without line ends",
        };
        format!("{unit}{ends}{}", if self.without_mark { ", without the byte order mark" } else { "" })
    }
}
