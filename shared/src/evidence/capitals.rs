//! Runs of capitalised words.
//!
//! A name is usually a whole run of capitalised words, such as *United States*. Two yes-or-no signals follow from
//! this:
//!
//! - **An entity that is part of a longer run** (*States*) has wrong boundaries: 95 % of such entities are wrong
//!   on WikiGold, and 86 % on CoNLL03 (n = 214 and 2,123). The run ends where another entity begins.
//! - **A whole run without a label** is often a missed entity: such runs are 1 % of the candidate spans, but hold
//!   80 % of the missed entities of both corpora. Joining words (*of*, *the*) may be inside a run.
//!
//! The strength of these signals depends on the corpus. Three counts measure it, without gold:
//!
//! - R: the share of whole runs with a word that is seldom in lower case elsewhere. It is about .9 in news and
//!   encyclopaedias, and .4 in tweets, where people use capitals freely.
//! - L: the share of whole runs that are labelled.
//! - C: the share of labelled entities that are capitalised. It is above .95 in news and encyclopaedias, .87 in
//!   tweets and 0 in text without capitals. If names have capitals, a span without capitals is hardly a missed
//!   name.
//!
//! [`Capitals::weight`] and [`Capitals::missed`] are computed from R and L. Their constants were chosen on
//! WikiGold, CoNLL03 (labels by a knowledge base, and by a language model) and WNUT16.
//!
//! The first word of a sentence belongs to a run only if it is seldom in lower case elsewhere. Sentences in
//! capitals have no runs.

use std::fmt;
use std::ops::BitOrAssign;

use serde::Serialize;

use crate::corpus::span::Span;

/// A word with a lower-case share below this is seldom in lower case.
pub(super) const SELDOM_LOWER: f32 = 0.1;
/// Approximate share of names among the runs of a corpus with R = 1.
const NAMES_AMONG_RUNS: f32 = 0.8;
/// Bounds of [`Capitals::missed`], because counts of a corpus give no certainty.
const MISSED_BOUNDS: (f32, f32) = (0.05, 0.95);
/// Weight of the usual R, L and C, in runs or entities. A corpus with few of them stays near the usual values.
const PRIOR: f32 = 10.0;
const PRIOR_SELDOM_LOWER: f32 = 0.9;
const PRIOR_LABELLED: f32 = 0.5;
const PRIOR_CAPITALISED: f32 = 0.9;

/// How far capitals mark names in a corpus.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Capitals {
    /// Number of whole runs.
    pub runs: u32,
    /// R: share of the runs with a word that is seldom in lower case.
    pub seldom_lower: f32,
    /// L: share of the runs that are labelled.
    pub labelled: f32,
    /// C: share of labelled entities that are capitalised.
    pub entities: f32,
}

/// Counts from a corpus.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    /// Number of whole runs.
    pub(super) runs: u32,
    /// Number of runs with a word that is seldom in lower case.
    pub(super) seldom_lower: u32,
    /// Number of runs that are labelled.
    pub(super) labelled: u32,
    /// Number of labelled entities.
    pub(super) entities: u32,
    /// Number of labelled entities that are capitalised.
    pub(super) capitalised: u32,
}

impl Default for Capitals {
    fn default() -> Self {
        Counts::default().into()
    }
}

impl From<Counts> for Capitals {
    fn from(Counts { runs, seldom_lower, labelled, entities, capitalised }: Counts) -> Self {
        let share = |n: u32, of: u32, usual: f32| (n as f32 + PRIOR * usual) / (of as f32 + PRIOR);
        Self {
            runs,
            seldom_lower: share(seldom_lower, runs, PRIOR_SELDOM_LOWER),
            labelled: share(labelled, runs, PRIOR_LABELLED),
            entities: share(capitalised, entities, PRIOR_CAPITALISED),
        }
    }
}

impl Capitals {
    /// How much capitals say about an entity's label, 0 to 1. It is R, and less if more than half of the runs are
    /// labelled: an annotator that labels most runs sets boundaries on purpose, so a name inside a longer run is
    /// less often a mistake.
    pub fn weight(&self) -> f32 {
        self.seldom_lower * (2.0 * (1.0 - self.labelled)).min(1.0)
    }

    /// Expected share of missed entities among unlabelled runs. Of all runs, .8·R are names and L are labelled, so
    /// it is (.8·R − L) / (1 − L).
    pub fn missed(&self) -> f32 {
        let missed = (NAMES_AMONG_RUNS * self.seldom_lower - self.labelled) / (1.0 - self.labelled).max(f32::EPSILON);
        missed.clamp(MISSED_BOUNDS.0, MISSED_BOUNDS.1)
    }
}

/// Describes in words what capitals say in this corpus, and how much it counts.
impl fmt::Display for Capitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f32| (100.0 * share).round();
        if self.runs == 0 {
            return f.write_str("the text has no capitalised names, so that the dynamics alone count");
        }
        write!(
            f,
            "capitals count {:.2} of 1: {}% of {} capitalised runs have a word that is seldom in lower case, {}% are labelled; \
             of the others about {}% are missed entities. {}% of the labelled entities are capitalised",
            self.weight(),
            percent(self.seldom_lower),
            self.runs,
            percent(self.labelled),
            percent(self.missed()),
            percent(self.entities),
        )
    }
}

/// The roles of a token in runs, as bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Words(u8);

impl Words {
    /// It begins with a capital letter, and the sentence is not one where capitals say nothing.
    pub(super) const CAPITALISED: Self = Self(1);
    /// It may be part of a name: it is capitalised, and not only because it begins the sentence.
    pub(super) const NAME: Self = Self(2);
    /// It may join the parts of a name.
    pub(super) const JOINING: Self = Self(4);
    /// It belongs to a labelled entity.
    pub(super) const COVERED: Self = Self(8);

    /// All roles as a number, and back.
    pub(super) fn bits(self) -> u8 {
        self.0
    }

    pub(super) fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    pub(super) fn has(self, what: Self) -> bool {
        self.0 & what.0 != 0
    }
}

impl BitOrAssign for Words {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// The run that the entity `span` is part of, up to other entities. `None` if the entity is the whole run or is
/// not capitalised.
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

/// Whether the tokens from `start` to `end` (inclusive) are a whole run: it cannot be longer on either side, and
/// has joining words only inside.
pub(super) fn is_whole_run(sentence: &[Words], start: usize, end: usize) -> bool {
    let is_name = |at: usize| sentence.get(at).is_some_and(|word| word.has(Words::NAME));
    let is_inside = |word: &Words| word.has(Words::NAME) || word.has(Words::JOINING);
    is_name(start)
        && is_name(end)
        && !start.checked_sub(1).is_some_and(is_name)
        && !is_name(end + 1)
        && sentence.get(start..=end).is_some_and(|words| words.iter().all(is_inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_say_how_far_capitals_are_to_be_trusted() {
        // (900 + 9) / 1010 = .9 and (500 + 5) / 1010 = .5; (0 + 9) / (890 + 10) = .01.
        let counts = |runs, seldom_lower, labelled| Counts { runs, seldom_lower, labelled, ..Counts::default() };
        let news = Capitals::from(Counts { entities: 890, capitalised: 0, ..counts(1000, 900, 500) });
        assert!((news.entities - 0.01).abs() < 1e-6, "{news:?}");
        assert!((news.weight() - 0.9).abs() < 1e-6 && (news.missed() - 0.44).abs() < 1e-6, "{news:?}");
        // Three quarters of all runs are labelled: (.72 − .75) / .25 is below 0.
        let by_model = Capitals::from(counts(100_000, 90_000, 75_000));
        assert!((by_model.weight() - 0.45).abs() < 1e-3 && by_model.missed() == 0.05, "{by_model:?}");
        let none = Capitals::default();
        assert!((none.weight() - 0.9).abs() < 1e-6 && (none.missed() - 0.44).abs() < 1e-6, "{none:?}");
        assert_eq!(none.entities, 0.9);
        assert!(none.to_string().contains("dynamics alone"));
        let expected = "capitals count 0.90 of 1: 90% of 1000 capitalised runs have a word that is seldom in lower case, \
                        50% are labelled; of the others about 44% are missed entities. 1% of the labelled entities are \
                        capitalised";
        assert_eq!(news.to_string(), expected);
        let all = Capitals::from(counts(u32::MAX, u32::MAX, u32::MAX));
        assert!(all.weight().is_finite() && all.missed() == 0.05, "{all:?}");
    }
}
