//! Groups of like errors: labels that are likely wrong for the same reason, or beside the same word.

use std::collections::BTreeMap;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
use shared::corpus::Corpus;
use shared::corpus::decision::{Decision, Side};
use shared::corpus::labels::LabelId;
use shared::corpus::span::SpanId;
use shared::detection::judgement::Judgement;
use shared::detection::noise_model::Signal;
use xxhash_rust::xxh3::xxh3_64;

use crate::beside::Beside;
use crate::filter::{Decided, Filter, Selection};
use crate::sort::by_key;

/// Largest number of groups in a list. Smaller groups are left out.
pub const MOST: usize = 100;

/// What the labels of a group have in common, besides their label and the one that the model prefers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupBy {
    /// The strongest reason against them.
    #[default]
    Reason,
    /// The word before them.
    Before,
    /// The word after them.
    After,
}

/// What one group has in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Common {
    /// The strongest reason.
    Reason(Signal),
    /// A word beside them.
    Beside(Beside),
}

/// Labels that are likely wrong in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// What they have in common.
    pub common: Common,
    /// Their label.
    pub label: LabelId,
    /// The label that the model prefers, where logits are known.
    pub predicted: Option<LabelId>,
    /// Their number.
    pub spans: u32,
    /// How many of them are decided by hand.
    pub by_hand: u32,
    /// The least trusted of them.
    pub first: SpanId,
}

impl Group {
    /// Makes a filter pass only spans of this group. With [`Common::Beside`], it also passes spans like them that are
    /// not likely wrong.
    pub fn narrow(&self, filter: &mut Filter) {
        filter.label = Some(self.label);
        filter.predicted = self.predicted;
        match &self.common {
            Common::Reason(reason) => filter.decided = Some(Decided::Doubted(*reason)),
            Common::Beside(beside) => filter.beside = Some(beside.clone()),
        }
    }
}

/// Groups the labels that are likely wrong, the largest group first. Of groups of the same size, those of `O` spans
/// come first. With `selection`, only spans that pass its filter are grouped. If spans are grouped by reason, labels
/// without a reason in words are in no group. Returns the number of groups, and the first [`MOST`] groups.
pub fn groups(
    judgement: &Judgement,
    corpus: &Corpus,
    by_hand: &BTreeMap<SpanId, Decision>,
    selection: Option<&Selection>,
    by: GroupBy,
) -> (usize, Vec<Group>) {
    let judge = judgement.judge();
    let common = |span: SpanId| match by {
        GroupBy::Reason => judge.main_reason(span).map(Common::Reason),
        GroupBy::Before | GroupBy::After => {
            let span = judge.index.span(span)?;
            Some(Common::Beside(Beside::of(corpus, span, by == GroupBy::After)))
        }
    };
    let mut groups: Vec<Group> = Vec::new();
    let mut by_hash: HashTable<u32> = HashTable::new();
    let hash = |common: &Common, label: LabelId, predicted: Option<LabelId>| match common {
        Common::Reason(reason) => xxh3_64(&[*reason as u8]),
        Common::Beside(beside) => xxh3_64(beside.word.as_bytes()),
    } ^ (u64::from(label) << 16 | predicted.map_or(0xffff, u64::from));
    for side in Side::BOTH {
        let spans = match by {
            // Like the filter by reason, this leaves out labels that only dev contradicts.
            GroupBy::Reason => judgement.judged_wrong(side),
            GroupBy::Before | GroupBy::After => judgement.changed(side),
        };
        for &span in spans.iter().filter(|&&span| selection.is_none_or(|only| only.contains(span))) {
            let Some((common, &label)) = common(span).zip(judge.assigned.get(span as usize)) else { continue };
            let predicted = judge.predicted(span);
            let of = hash(&common, label, predicted);
            let is_same = |group: &Group| (&group.common, group.label, group.predicted) == (&common, label, predicted);
            let known = by_hash.find(of, |&at| groups.get(at as usize).is_some_and(is_same)).copied();
            let at = known.unwrap_or_else(|| {
                let at = groups.len() as u32;
                let of_known = |&at: &u32| groups.get(at as usize).map_or(0, |g| hash(&g.common, g.label, g.predicted));
                by_hash.insert_unique(of, at, of_known);
                groups.push(Group { common, label, predicted, spans: 0, by_hand: 0, first: span });
                at
            });
            if let Some(group) = groups.get_mut(at as usize) {
                group.spans += 1;
                group.by_hand += u32::from(by_hand.contains_key(&span));
            }
        }
    }
    let largest = by_key(groups.iter().map(|group| u32::MAX - group.spans).zip(0..));
    let rows = largest.into_iter().take(MOST).filter_map(|at| groups.get(at as usize).cloned()).collect();
    (groups.len(), rows)
}

#[cfg(test)]
mod tests {
    use shared::detection::judge::Judge;
    use shared::detection::threshold::{Metric, Rule, Settings};
    use shared::formats::dynclean_json;
    use shared::metrics::Window;
    use shared::recording::dynamics::Dynamics;

    use super::*;
    use crate::filter::Facts;
    use crate::one_epoch::of_one_epoch;

    /// Sentence 0: `in` 0, `in Rome` 1, `Rome` 2. Sentence 1: `In` 3, `In Bonn` 4, `Bonn` 5. Sentence 2: `Ulm` 6. The
    /// model prefers `O` for all three entities, and X for the span `in`.
    fn example() -> (Dynamics, Judge) {
        let json = br#"[{"tokens": ["in", "Rome"], "entities": [[1, 1, "X"]]},
                        {"tokens": ["In", "Bonn"], "entities": [[1, 1, "X"]]},
                        {"tokens": ["Ulm"], "entities": [[0, 0, "X"]]}]"#;
        let rows: Vec<f32> = (0..7).flat_map(|span| if span == 0 { [0.0, 1.0] } else { [2.0, 0.0] }).collect();
        let dynamics = of_one_epoch(dynclean_json::read(json).unwrap(), &rows);
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
        (dynamics, judge)
    }

    #[test]
    fn likely_wrong_labels_are_grouped_and_a_filter_finds_each_group() {
        let (dynamics, judge) = example();
        let corpus = &dynamics.corpus;
        let rule = Rule::Fixed(0.0);
        let settings = Settings { positives: rule, negatives: rule, overlap_suppression: false, ..Settings::paper() };
        let judgement = judge.under(&settings);
        let by_hand = BTreeMap::from([(5, Decision::Keep)]);
        let listed = |by, selection: Option<&Selection>| groups(&judgement, corpus, &by_hand, selection, by);
        let beside = |is_after, word: &str| Common::Beside(Beside { is_after, word: word.to_owned() });
        let group = |common, label, spans, by_hand, first| Group {
            common,
            label,
            predicted: Some(1 - label),
            spans,
            by_hand,
            first,
        };
        // `in` and `In` are the same word.
        let (n, before) = listed(GroupBy::Before, None);
        assert_eq!(n, 3);
        assert_eq!(
            before,
            [
                group(beside(false, "in"), 1, 2, 1, 2),
                group(beside(false, ""), 0, 1, 0, 0),
                group(beside(false, ""), 1, 1, 0, 6),
            ]
        );
        let (_, after) = listed(GroupBy::After, None);
        assert_eq!(after, [group(beside(true, ""), 1, 3, 1, 2), group(beside(true, "rome"), 0, 1, 0, 0)]);
        let (_, reasons) = listed(GroupBy::Reason, None);
        // The `O` span has no reason that is strong enough to be told.
        assert!(reasons.iter().all(|group| group.label == 1));
        assert_eq!(reasons.iter().map(|group| group.spans).sum::<u32>(), 3);

        let facts = Facts::alone(&judgement, &by_hand, corpus);
        for group in before.into_iter().chain(after).chain(reasons) {
            let mut filter = Filter::default();
            group.narrow(&mut filter);
            let selection = Selection::new(&filter, &facts);
            let wrong = Side::BOTH.map(|side| judgement.changed(side));
            let passing = wrong.iter().flat_map(|spans| spans.iter()).filter(|&&span| selection.contains(span)).count();
            assert_eq!(passing, group.spans as usize, "{group:?}");
            // Under that filter, the list of groups has only this group.
            let by = match &group.common {
                Common::Reason(_) => GroupBy::Reason,
                Common::Beside(beside) if beside.is_after => GroupBy::After,
                Common::Beside(_) => GroupBy::Before,
            };
            assert_eq!(listed(by, Some(&selection)), (1, vec![group]));
        }
    }
}
