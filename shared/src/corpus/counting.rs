//! What the offsets of a corpus file count.

use serde::{Deserialize, Serialize};

/// What offsets count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Code points.
    #[default]
    Character,
    /// UTF-16 units, as JavaScript and Java count.
    Utf16,
    /// Bytes of UTF-8.
    Byte,
}

/// How line ends count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineEnds {
    /// By their characters.
    #[default]
    AsTheyAre,
    /// CR LF as one.
    CrLfAsOne,
    /// LF as if it were CR LF.
    LfAsTwo,
    /// Not at all.
    NotCounted,
}

/// A way of counting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counting {
    /// What is counted.
    pub unit: Unit,
    /// How line ends count.
    pub line_ends: LineEnds,
    /// Whether a byte order mark at the beginning does not count.
    pub without_mark: bool,
}

impl Counting {
    /// Counting characters, as offsets should.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Every way of counting.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let units = [Unit::Character, Unit::Utf16, Unit::Byte];
        let ends = [LineEnds::AsTheyAre, LineEnds::CrLfAsOne, LineEnds::LfAsTwo, LineEnds::NotCounted];
        units.into_iter().flat_map(move |unit| {
            ends.into_iter()
                .flat_map(move |line_ends| [false, true].map(|without_mark| Self { unit, line_ends, without_mark }))
        })
    }

    /// In words.
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
