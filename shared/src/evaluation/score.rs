//! Precision, recall and F1 of entities.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::corpus::Entity;
use crate::corpus::labels::LabelSet;
pub use crate::recording::prf::Prf;

/// Scores over entities: a prediction is right if both its boundaries and its type are right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NerScore {
    /// Over all entities (micro average).
    #[serde(flatten)]
    pub overall: Prf,
    /// Per type, in the order of the label set.
    pub per_type: Vec<(String, Prf)>,
}

/// Scores predicted entities against gold entities. All gold entities count, also those wider than any candidate.
pub fn score_entities(gold: &[Entity], predicted: &[Entity], labels: &LabelSet) -> NerScore {
    let truth: HashSet<&Entity> = gold.iter().collect();
    let found: HashSet<&Entity> = predicted.iter().collect();
    let mut per_type = vec![(0u64, 0u64, 0u64); labels.n_types() + 1];
    for &entity in &found {
        if let Some(counts) = per_type.get_mut(usize::from(entity.label)) {
            counts.1 += 1;
            counts.0 += u64::from(truth.contains(entity));
        }
    }
    for &entity in &truth {
        if let Some(counts) = per_type.get_mut(usize::from(entity.label)) {
            counts.2 += 1;
        }
    }
    let total = per_type.iter().fold((0, 0, 0), |t, c| (t.0 + c.0, t.1 + c.1, t.2 + c.2));
    NerScore {
        overall: Prf::from_counts(total.0, total.1, total.2),
        per_type: labels
            .types()
            .iter()
            .zip(per_type.iter().skip(1))
            .map(|(name, c)| (name.clone(), Prf::from_counts(c.0, c.1, c.2)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::span::Span;

    fn entity(start: u32, end: u32, label: u16) -> Entity {
        Entity { span: Span { sentence: 0, start, end }, label }
    }

    #[test]
    fn boundaries_and_type_must_match() {
        let labels = LabelSet::from_types(["A", "B"]);
        let gold = [entity(0, 1, 1), entity(3, 3, 2), entity(5, 20, 2)];
        let predicted = [entity(0, 1, 1), entity(3, 3, 1), entity(5, 6, 2), entity(0, 1, 1)];
        let score = score_entities(&gold, &predicted, &labels);
        assert_eq!((score.overall.correct, score.overall.predicted, score.overall.actual), (1, 3, 3));
        assert!((score.overall.f1 - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(score.per_type[0].1, Prf::from_counts(1, 2, 1));
        assert_eq!(score.per_type[1].1, Prf::from_counts(0, 1, 2));
    }

    #[test]
    fn nothing_predicted_is_zero_not_nan() {
        assert_eq!(Prf::from_counts(0, 0, 0).f1, 0.0);
        assert_eq!(Prf::from_counts(0, 0, 5).precision, 0.0);
    }
}
