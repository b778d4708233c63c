//! Runs of capitalised words.
//!
//! A name is usually a whole run of capitalised words, such as *United States*. Two things follow, both yes or no:
//!
//! - **An entity that is part of a longer run** (*States*) has wrong boundaries: on WikiGold 95 % of such entities are
//!   wrong, on CoNLL03 86 % (DESIGN section 11). Another entity bounds the run.
//! - **A whole run without a label** is often a missed entity: such runs are 1 % of the candidate spans, and hold 80 % of
//!   the missed entities of both corpora. Joining words (*of*, *the*) may stand inside.
//!
//! The first word of a sentence belongs to a run only if it is seldom in lower case elsewhere. Sentences in capitals have
//! no runs.

use std::ops::BitOrAssign;

use crate::corpus::span::Span;

/// What a token is to a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Words(u8);

impl Words {
    /// It begins with a capital letter, in a sentence where that says something.
    pub(super) const CAPITALISED: Self = Self(1);
    /// It may be part of a name: capitalised, and not just because it begins the sentence.
    pub(super) const NAME: Self = Self(2);
    /// It may join the parts of a name.
    pub(super) const JOINING: Self = Self(4);
    /// It belongs to a labelled entity.
    pub(super) const COVERED: Self = Self(8);

    pub(super) fn has(self, what: Self) -> bool {
        self.0 & what.0 != 0
    }
}

impl BitOrAssign for Words {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// The run that the entity `span` is part of, up to other entities; `None` where the entity is the whole run, or not
/// capitalised.
pub(super) fn longer_run(sentence: &[Words], span: Span) -> Option<Span> {
    let (mut start, mut end) = (span.start as usize, span.end as usize);
    if !sentence.get(start..=end)?.iter().all(|word| word.has(Words::CAPITALISED)) {
        return None;
    }
    let goes_on = |at: Option<usize>| {
        at.and_then(|at| sentence.get(at)).is_some_and(|word| word.has(Words::NAME) && !word.has(Words::COVERED))
    };
    while goes_on(start.checked_sub(1)) {
        start -= 1;
    }
    while goes_on(Some(end + 1)) {
        end += 1;
    }
    let run = Span { sentence: span.sentence, start: start as u32, end: end as u32 };
    (run != span).then_some(run)
}

/// Whether the tokens from `start` to `end` (inclusive) are a run that goes on neither to the left nor to the right, with
/// joining words only inside.
pub(super) fn is_whole_run(sentence: &[Words], start: usize, end: usize) -> bool {
    let is_name = |at: usize| sentence.get(at).is_some_and(|word| word.has(Words::NAME));
    let is_inside = |word: &Words| word.has(Words::NAME) || word.has(Words::JOINING);
    is_name(start)
        && is_name(end)
        && !start.checked_sub(1).is_some_and(is_name)
        && !is_name(end + 1)
        && sentence.get(start..=end).is_some_and(|words| words.iter().all(is_inside))
}
