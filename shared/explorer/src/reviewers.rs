//! Several people's decisions about one recording: what they agree on, how far, and what is in dispute.

use std::collections::{BTreeMap, HashMap};

use crate::review::Notes;
use serde::{Deserialize, Serialize};
use shared::corpus::decision::Decision;
use shared::corpus::span::SpanId;

/// The decisions of one person. "This label is right" and "it gets the label that it has" are the same decision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reviewer {
    /// Name of the person.
    pub name: String,
    /// Their decisions, by span.
    pub decisions: BTreeMap<SpanId, Decision>,
    /// Their notes, by span.
    #[serde(default)]
    pub notes: Notes,
}

/// The agreement of two people.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// Their names.
    pub names: [String; 2],
    /// Number of spans that both have decided about.
    pub both: usize,
    /// Number of these with the same decision.
    pub alike: usize,
    /// Cohen's κ: agreement beyond chance, at most 1. NaN if chance alone would always agree.
    pub kappa: f64,
}

/// Gives every reviewer a name of their own: the second *ada* becomes *ada 2*.
pub fn rename(reviewers: &mut [Reviewer]) {
    let mut times: HashMap<String, u32> = HashMap::new();
    for reviewer in reviewers {
        let n = times.entry(reviewer.name.clone()).or_default();
        *n += 1;
        if *n > 1 {
            reviewer.name = format!("{} {n}", reviewer.name);
        }
    }
}

/// Everyone's decision about a span, in the order of the reviewers.
pub fn opinions(reviewers: &[Reviewer], span: SpanId) -> Vec<(String, Decision)> {
    let opinion = |reviewer: &Reviewer| Some((reviewer.name.clone(), *reviewer.decisions.get(&span)?));
    reviewers.iter().filter_map(opinion).collect()
}

/// The decision about every span that somebody has decided about; `None` if the reviewers do not agree.
pub fn merged(reviewers: &[Reviewer]) -> BTreeMap<SpanId, Option<Decision>> {
    let mut merged: BTreeMap<SpanId, Option<Decision>> = BTreeMap::new();
    for (&span, &decision) in reviewers.iter().flat_map(|reviewer| &reviewer.decisions) {
        let so_far = merged.entry(span).or_insert(Some(decision));
        if *so_far != Some(decision) {
            *so_far = None;
        }
    }
    merged
}

/// Returns the `own` notes, followed by the notes of others with their names. A text that a note already has is not
/// added again.
pub fn notes(own: &Notes, reviewers: &[Reviewer]) -> Notes {
    let mut all = own.clone();
    for Reviewer { name, notes, .. } in reviewers.iter().filter(|reviewer| reviewer.notes != *own) {
        for (span, text) in notes.iter() {
            let named = if text.is_empty() { format!("{name} is unsure") } else { format!("{name}: {text}") };
            let so_far = all.get(span).unwrap_or_default();
            if !so_far.contains(if text.is_empty() { &named } else { text }) {
                let between = if so_far.is_empty() { "" } else { "; " };
                let joined = format!("{so_far}{between}{named}");
                all.set(span, Some(joined));
            }
        }
    }
    all
}

/// The spans that reviewers disagree about, in order.
pub fn disputed(reviewers: &[Reviewer]) -> Vec<SpanId> {
    merged(reviewers).into_iter().filter(|(_, decision)| decision.is_none()).map(|(span, _)| span).collect()
}

/// The agreement of every two reviewers.
pub fn pairs(reviewers: &[Reviewer]) -> Vec<Pair> {
    let with = |(at, a): (usize, &Reviewer)| {
        let others = reviewers.get(at + 1..).unwrap_or_default();
        others.iter().map(|b| Pair::new(a, b)).collect::<Vec<_>>()
    };
    reviewers.iter().enumerate().flat_map(with).collect()
}

impl Pair {
    fn new(a: &Reviewer, b: &Reviewer) -> Self {
        let mut by_decision: HashMap<Decision, [usize; 2]> = HashMap::new();
        let (mut both, mut alike) = (0, 0);
        for (span, &of_a) in &a.decisions {
            let Some(&of_b) = b.decisions.get(span) else { continue };
            both += 1;
            alike += usize::from(of_a == of_b);
            by_decision.entry(of_a).or_default()[0] += 1;
            by_decision.entry(of_b).or_default()[1] += 1;
        }
        // Cohen 1960. The products are whole numbers, so their sum does not depend on the order.
        let chance: usize = by_decision.values().map(|[a, b]| a * b).sum();
        let (n, chance) = (both as f64, chance as f64 / (both * both) as f64);
        let kappa = (alike as f64 / n - chance) / (1.0 - chance);
        Self { names: [a.name.clone(), b.name.clone()], both, alike, kappa }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Decision = Decision::Keep;
    const REMOVE: Decision = Decision::Remove;
    const LOC: Decision = Decision::Relabel(1);

    fn reviewer(name: &str, decisions: &[(SpanId, Decision)]) -> Reviewer {
        let decisions = decisions.iter().copied().collect();
        Reviewer { name: name.to_owned(), decisions, notes: Notes::none() }
    }

    fn two() -> [Reviewer; 2] {
        [
            reviewer("ada", &[(1, KEEP), (2, KEEP), (3, REMOVE), (4, LOC), (9, LOC)]),
            reviewer("bo", &[(1, KEEP), (2, REMOVE), (3, REMOVE), (4, LOC), (7, KEEP)]),
        ]
    }

    #[test]
    fn agreed_decisions_are_joined_and_others_are_in_dispute() {
        let all = two();
        let expected = [(1, Some(KEEP)), (2, None), (3, Some(REMOVE)), (4, Some(LOC)), (7, Some(KEEP)), (9, Some(LOC))];
        assert_eq!(merged(&all), expected.into());
        assert_eq!(disputed(&all), [2]);
        assert_eq!(opinions(&all, 2), [("ada".to_owned(), KEEP), ("bo".to_owned(), REMOVE)]);
        assert_eq!(opinions(&all, 7), [("bo".to_owned(), KEEP)]);
        // A third person does not outvote: a dispute is settled by a decision.
        let three = [&all[..], &[reviewer("cy", &[(2, KEEP), (9, LOC)])]].concat();
        assert_eq!(disputed(&three), [2]);
    }

    #[test]
    fn agreement_by_hand() {
        let all = two();
        let [pair] = &pairs(&all)[..] else { panic!() };
        // Three of four alike. By chance: keep 2·1, remove 1·2, LOC 1·1 of 16, that is 5/16.
        assert_eq!((pair.both, pair.alike), (4, 3));
        assert!((pair.kappa - (0.75 - 5.0 / 16.0) / (1.0 - 5.0 / 16.0)).abs() < 1e-12);
        let alone = pairs(&[reviewer("ada", &[(1, KEEP)]), reviewer("bo", &[(2, KEEP)])]);
        assert!(alone[0].both == 0 && alone[0].kappa.is_nan());
        assert!(pairs(&[reviewer("ada", &[(1, KEEP)]), reviewer("bo", &[(1, KEEP)])])[0].kappa.is_nan());
        assert_eq!(pairs(&[&all[..], &all[..1]].concat()).len(), 3);
    }

    #[test]
    fn notes_of_others_get_their_names() {
        let of =
            |notes: &[(SpanId, &str)]| notes.iter().map(|&(span, text)| (span, text.to_owned())).collect::<Notes>();
        let noted = |name: &str, notes: &[(SpanId, &str)]| Reviewer { notes: of(notes), ..reviewer(name, &[]) };
        let own = of(&[(1, "a river?"), (4, "both")]);
        let all =
            [noted("me", &[(1, "a river?"), (4, "both")]), noted("bo", &[(1, "no, a town"), (2, ""), (4, "old")])];
        let merged = of(&[(1, "a river?; bo: no, a town"), (2, "bo is unsure"), (4, "both; bo: old")]);
        assert_eq!(notes(&own, &all), merged);
        // The same files once more, and a file that has the merged notes.
        assert_eq!(notes(&merged, &all), merged);
        assert_eq!(notes(&merged, &[noted("cy", &[(1, "a river?; bo: no, a town")])]), merged);
    }

    #[test]
    fn names_are_told_apart() {
        let mut all = ["ada", "bo", "ada", "ada"].map(|name| reviewer(name, &[]));
        rename(&mut all);
        assert_eq!(all.map(|reviewer| reviewer.name), ["ada", "bo", "ada 2", "ada 3"]);
    }
}
