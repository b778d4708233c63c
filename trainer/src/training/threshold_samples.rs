//! Choice and mislabelling of threshold samples (DynClean §3.3).

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use shared::corpus::labels::{LabelId, O};
use shared::corpus::span::SpanId;
use shared::recording::dynamics::SampleScheme;

/// Spans with their wrong labels, in ascending order of the spans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ThresholdSamples {
    /// The spans.
    pub spans: Vec<SpanId>,
    /// The wrong label of each span. The extra class has the number C + 1.
    pub assigned: Vec<LabelId>,
}

/// Draws threshold samples: of each type 1 / C of its spans, rounded up, and as many negatives as positives. C is
/// the number of types.
///
/// With a single type only half of the positives are drawn. With all of them the threshold run would never see the
/// type. `labels` has one element per span, `None` if the label is unknown.
pub fn draw(
    labels: &[Option<LabelId>],
    n_types: usize,
    scheme: SampleScheme,
    rng: &mut ChaCha8Rng,
) -> ThresholdSamples {
    let with_label = |wanted: LabelId| -> Vec<SpanId> {
        (0..).zip(labels).filter(|&(_, &label)| label == Some(wanted)).map(|(span, _)| span).collect()
    };
    let mut chosen: Vec<(SpanId, LabelId)> = Vec::new();
    for label in 1..=n_types as LabelId {
        let mut spans = with_label(label);
        spans.shuffle(rng);
        // A type with few spans still gives at least one.
        let share = spans.len().div_ceil(n_types.max(2));
        chosen.extend(spans.into_iter().take(share).map(|span| (span, label)));
    }
    let mut negatives = with_label(O);
    negatives.shuffle(rng);
    let n_positives = chosen.len();
    chosen.extend(negatives.into_iter().take(n_positives).map(|span| (span, O)));
    chosen.sort_unstable();
    let (spans, assigned) =
        chosen.into_iter().map(|(span, label)| (span, wrong_label(label, n_types, scheme, rng))).unzip();
    ThresholdSamples { spans, assigned }
}

fn wrong_label(label: LabelId, n_types: usize, scheme: SampleScheme, rng: &mut ChaCha8Rng) -> LabelId {
    let extra = n_types as LabelId + 1;
    match scheme {
        SampleScheme::FakeClass => extra,
        SampleScheme::FakeClassPositives if label != O => extra,
        SampleScheme::FakeClassPositives => rng.random_range(1..extra),
        SampleScheme::RandomOther => {
            let other = rng.random_range(0..n_types as LabelId);
            if other >= label { other + 1 } else { other }
        }
    }
}

#[cfg(test)]
mod tests {
    use nn::random::stream;

    use super::*;

    fn labels() -> Vec<Option<LabelId>> {
        (0..1000)
            .map(|i| match i % 50 {
                0 => Some(1),
                1 | 2 => Some(2),
                3 => None,
                _ => Some(0),
            })
            .collect()
    }

    #[test]
    fn numbers_are_the_papers() {
        let labels = labels();
        let samples = draw(&labels, 2, SampleScheme::FakeClass, &mut stream(1, "samples"));
        let of = |wanted: Option<LabelId>| samples.spans.iter().filter(|&&s| labels[s as usize] == wanted).count();
        // 20 and 40 positives of two types: half of each, and as many negatives as positives.
        assert_eq!([of(Some(1)), of(Some(2)), of(Some(0)), of(None)], [10, 20, 30, 0]);
        assert!(samples.spans.is_sorted_by(|a, b| a < b));
        assert!(samples.assigned.iter().all(|&l| l == 3));
    }

    #[test]
    fn a_single_type_is_still_seen() {
        let labels: Vec<Option<LabelId>> = (0..100).map(|i| Some(u16::from(i % 5 == 0))).collect();
        let samples = draw(&labels, 1, SampleScheme::FakeClass, &mut stream(1, "samples"));
        let positives = samples.spans.iter().filter(|&&span| labels[span as usize] == Some(1)).count();
        // 20 positives: half of them, and as many negatives.
        assert_eq!((positives, samples.spans.len()), (10, 20));
    }

    #[test]
    fn wrong_labels_are_wrong() {
        let labels = labels();
        for scheme in [SampleScheme::FakeClassPositives, SampleScheme::RandomOther] {
            let samples = draw(&labels, 2, scheme, &mut stream(2, "samples"));
            for (&span, &assigned) in samples.spans.iter().zip(&samples.assigned) {
                assert_ne!(labels[span as usize], Some(assigned));
                let limit = if scheme == SampleScheme::RandomOther { 2 } else { 3 };
                assert!(assigned <= limit);
            }
        }
    }

    #[test]
    fn another_seed_draws_others() {
        let draw = |seed| draw(&labels(), 2, SampleScheme::FakeClass, &mut stream(seed, "samples"));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1).spans, draw(2).spans);
    }
}
