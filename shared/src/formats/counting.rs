//! Finds out how a file counts the characters of its text, from labels that contain their own text.
//!
//! Offsets should count characters (code points). Some programs count UTF-16 units or bytes, or have counted on a
//! copy of the text with other line ends. If labels contain their text, the right way can be found: it is the only
//! way of counting with which **all** labels of the file have their text at their offsets.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::count;
pub use crate::corpus::counting::{Counting, LineEnds, Unit};

/// A text measured with one way of counting.
pub(super) enum Ruler {
    /// Each character is a unit. There are so many.
    Characters(usize),
    /// The number of units before each character; the last element is the number of all units.
    Units(Vec<usize>),
}

impl Ruler {
    pub fn new(text: &str, counting: Counting) -> Self {
        if counting.is_usual() {
            return Self::Characters(text.chars().count());
        }
        let mut units = Vec::with_capacity(text.len() + 1);
        let (mut at, mut previous) = (0, None);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            units.push(at);
            let width = match counting.unit {
                Unit::Character => 1,
                Unit::Utf16 => c.len_utf16(),
                Unit::Byte => c.len_utf8(),
            };
            let is_pair = c == '\r' && chars.peek() == Some(&'\n');
            at += match (counting.line_ends, c) {
                (LineEnds::CrLfAsOne, '\r') if is_pair => 0,
                (LineEnds::LfAsTwo, '\n') if previous != Some('\r') => 2,
                (LineEnds::NotCounted, '\r' | '\n') => 0,
                (_, '\u{feff}') if counting.without_mark && previous.is_none() => 0,
                _ => width,
            };
            previous = Some(c);
        }
        units.push(at);
        Self::Units(units)
    }

    /// The characters from `start` to `end` (exclusive). `None` if these units are not in the text or cut a
    /// character.
    pub fn characters(&self, start: usize, end: usize) -> Option<(usize, usize)> {
        let units = match self {
            Self::Characters(n) => return (start <= end && end <= *n).then_some((start, end)),
            Self::Units(units) => units,
        };
        // A character of width 0 belongs to neither side.
        let first = units.partition_point(|&unit| unit <= start).checked_sub(1)?;
        let last = units.partition_point(|&unit| unit < end);
        let is = |at: usize, unit: usize| units.get(at) == Some(&unit);
        match start == end {
            true => is(first, start).then_some((first, first)),
            false => (is(first, start) && is(last, end) && first <= last).then_some((first, last)),
        }
    }

    /// The units of these characters.
    pub fn units(&self, (start, end): (usize, usize)) -> Option<(usize, usize)> {
        match self {
            Self::Characters(n) => (start <= *n && end <= *n).then_some((start, end)),
            Self::Units(units) => Some((*units.get(start)?, *units.get(end)?)),
        }
    }
}

/// The offsets of a label, and the text that the label contains.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub start: usize,
    pub end: usize,
    pub text: String,
}

/// Whether a label's text is the text at its offsets, apart from white space.
pub(super) fn is_said(there: &str, said: &str) -> bool {
    there.split_whitespace().eq(said.split_whitespace())
}

/// Takes a text and those of its labels that contain their text.
pub(super) type Evidence<'e> = dyn FnMut(&str, &[Said]) + 'e;

/// The way of counting of a file. `each` must show all its texts; it is called once or twice. The result is
/// counting characters if this fits, or if there is not exactly one other way that fits.
pub(super) fn of_file(mut each: impl FnMut(&mut Evidence)) -> Counting {
    let is_right = |text: &str, ruler: &Ruler, said: &Said| {
        let (start, end) = ruler.characters(said.start, said.end)?;
        let there: String = text.chars().skip(start).take(end - start).collect();
        is_said(&there, &said.text).then_some((start, end))
    };
    let mut all_right = true;
    each(&mut |text, said| {
        if said.is_empty() || !all_right {
            return;
        }
        let ruler = Ruler::new(text, Counting::default());
        all_right = said.iter().all(|said| is_right(text, &ruler, said).is_some());
    });
    if all_right {
        return Counting::default();
    }
    let others = Counting::all().filter(|counting| !counting.is_usual());
    let mut left: Vec<(Counting, DefaultHasher)> = others.map(|counting| (counting, DefaultHasher::new())).collect();
    each(&mut |text, said| {
        if said.is_empty() {
            return;
        }
        left.retain_mut(|(counting, hasher)| {
            let ruler = Ruler::new(text, *counting);
            said.iter().all(|said| match is_right(text, &ruler, said) {
                Some(place) => {
                    place.hash(hasher);
                    true
                }
                None => false,
            })
        });
    });
    // Ways of counting that give the same places count as one.
    let places = left.iter().map(|(_, hasher)| hasher.finish());
    match left.first() {
        Some((first, hasher)) if places.clone().all(|other| other == hasher.finish()) => *first,
        _ => Counting::default(),
    }
}

/// Tells the user that offsets count something other than characters.
pub(super) fn note(counting: Counting) -> String {
    format!(
        "offsets count {}: the text that the labels give is found there, and not by counting characters",
        counting.describe()
    )
}

/// Labels whose text is not at their offsets.
#[derive(Debug, Default)]
pub(super) struct Misfits {
    n: usize,
    first: Vec<String>,
}

impl Misfits {
    /// Adds a label with the text `said`, while the text at its offsets is `there`. `place` names the label.
    pub fn add(&mut self, place: &str, said: &str, there: &str) {
        self.n += 1;
        if self.first.len() < 3 {
            let short = |text: &str| text.chars().take(40).collect::<String>();
            self.first.push(format!("{place} says {:?} where {:?} stands", short(said), short(there)));
        }
    }

    /// Tells the user about these labels.
    pub fn note(&self) -> Option<String> {
        (self.n > 0).then(|| {
            format!(
                "{} left out, whose text is not at the offsets: {}{}",
                count(self.n, "label"),
                self.first.join("; "),
                if self.n > self.first.len() { "; …" } else { "" }
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text without line ends and beyond ASCII, where other ways of counting characters give the same numbers.
    #[test]
    fn the_usual_way_is_what_the_units_of_characters_say() {
        let text = "aé😀 b";
        let usual = Ruler::new(text, Counting::default());
        let by_units = Ruler::new(text, Counting { line_ends: LineEnds::CrLfAsOne, ..Counting::default() });
        assert!(matches!((&usual, &by_units), (Ruler::Characters(5), Ruler::Units(_))));
        for (start, end) in (0..8).flat_map(|start| (0..8).map(move |end| (start, end))) {
            assert_eq!(usual.characters(start, end), by_units.characters(start, end), "{start} {end}");
            assert_eq!(usual.units((start, end)), by_units.units((start, end)), "{start} {end}");
        }
    }
}
