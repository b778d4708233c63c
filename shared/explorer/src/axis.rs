//! The metrics that can be the axes of a map.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use shared::metrics::Metrics;

/// One axis of a map: a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Standard deviation of the probability of the assigned label.
    Variability,
    /// Mean probability of the assigned label.
    Confidence,
    /// Area under the margin.
    Aum,
    /// Number of epochs at which the assigned label was predicted.
    Correctness,
    /// Number of changes from right to wrong.
    Forgetting,
    /// Mean probability of the predicted label.
    PredictedProbability,
    /// Area under the margin in another recording.
    OtherAum,
    /// Probability that the assigned label is right.
    Trust,
}

/// The two axes of a map, serialised as one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub struct Axes {
    /// The horizontal axis, to the right.
    pub x: Axis,
    /// The vertical axis, upwards.
    pub y: Axis,
}

/// The axes of the data map of Swayamdipta et al. 2020.
impl Default for Axes {
    fn default() -> Self {
        Self { x: Axis::Variability, y: Axis::Confidence }
    }
}

impl Axes {
    /// Whether the axes need another recording.
    pub fn compare(self) -> bool {
        self.x == Axis::OtherAum || self.y == Axis::OtherAum
    }
}

impl From<Axes> for u8 {
    fn from(axes: Axes) -> Self {
        axes.x as Self * 16 + axes.y as Self
    }
}

impl TryFrom<u8> for Axes {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        let axis = |number: u8| Axis::ALL.get(usize::from(number)).copied().ok_or("no such axis");
        Ok(Self { x: axis(number / 16)?, y: axis(number % 16)? })
    }
}

impl Axis {
    /// All axes, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Variability,
        Self::Confidence,
        Self::Aum,
        Self::Correctness,
        Self::Forgetting,
        Self::PredictedProbability,
        Self::OtherAum,
        Self::Trust,
    ];

    /// The name of the axis in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Variability => "variability",
            Self::Confidence => "confidence",
            Self::Aum => "AUM",
            Self::Correctness => "correctness",
            Self::Forgetting => "forgetting events",
            Self::PredictedProbability => "predicted probability",
            Self::OtherAum => "AUM in the other file",
            Self::Trust => "trust",
        }
    }

    /// The values of all spans; empty if they are not known. `other` is the AUM in the other recording.
    pub fn column<'a>(self, metrics: &'a Metrics, other: &'a [f32]) -> Cow<'a, [f32]> {
        let counts = |column: &[u16]| column.iter().map(|&n| f32::from(n)).collect();
        Cow::Borrowed(match self {
            Self::Variability => &metrics.variability,
            Self::Confidence => &metrics.confidence,
            Self::Aum => &metrics.aum,
            Self::OtherAum => other,
            Self::Trust => &metrics.trust,
            Self::PredictedProbability => {
                let spans = 0..metrics.alternative_probability.len();
                return spans.map(|span| metrics.prediction(span).map_or(f32::NAN, |p| p.probability())).collect();
            }
            Self::Correctness => return Cow::Owned(counts(&metrics.correctness)),
            Self::Forgetting => return Cow::Owned(counts(&metrics.forgetting)),
        })
    }

    /// The range of the axis. `aum` has the ranges of the AUM in the open recording and in the other one.
    pub fn range(self, n_epochs: u32, aum: [(f32, f32); 2]) -> (f32, f32) {
        let [aum, other] = aum;
        match self {
            // The largest possible standard deviation of values in 0..=1.
            Self::Variability => (0.0, 0.5),
            Self::Confidence | Self::PredictedProbability | Self::Trust => (0.0, 1.0),
            Self::Aum => aum,
            // Each count is in the middle of a step.
            Self::Correctness => (-0.5, n_epochs as f32 + 0.5),
            Self::Forgetting => (-0.5, (n_epochs / 2) as f32 + 0.5),
            Self::OtherAum => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_axes() {
        for (x, y) in Axis::ALL.into_iter().flat_map(|x| Axis::ALL.map(|y| (x, y))) {
            assert_eq!(Axes::try_from(u8::from(Axes { x, y })), Ok(Axes { x, y }));
        }
        assert_eq!(u8::from(Axes::default()), 1);
        assert!([8, 0x80, 255].map(Axes::try_from).iter().all(Result::is_err));
    }

    #[test]
    fn columns_are_those_of_the_metrics() {
        let metrics = Metrics {
            aum: vec![1.5],
            correctness: vec![3],
            forgetting: vec![1],
            trust: vec![0.5],
            ..Metrics::default()
        };
        let column = |axis: Axis| axis.column(&metrics, &[-2.0]).into_owned();
        assert_eq!(Axis::ALL.map(column), [&[][..], &[], &[1.5], &[3.0], &[1.0], &[], &[-2.0], &[0.5]]);
        // Of 5 epochs, at most 2 changes are from right to wrong and at most 5 epochs are right: all are inside.
        let ranges = [Axis::Forgetting, Axis::Correctness, Axis::Aum].map(|a| a.range(5, [(-1.0, 2.0), (0.0, 9.0)]));
        assert_eq!(ranges, [(-0.5, 2.5), (-0.5, 5.5), (-1.0, 2.0)]);
    }
}
