//! The threshold samples in the form that thresholds need.

use crate::corpus::decision::Side;
use crate::corpus::labels::{LabelId, O};
use crate::corpus::span::SpanId;
use crate::detection::threshold::{Metric, Threshold, quantile_threshold};
use crate::exp::exp_nonpositive;
use crate::metrics::{Metrics, Window};
use crate::recording::dynamics::{Dynamics, EpochLogits};

/// A threshold sample with finite logits in both runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// The sample's distant label. The threshold run did not show it to the model.
    pub label: LabelId,
    /// Metric of the wrong label that the sample was given, in the threshold run.
    pub given: f32,
    /// Metric of the distant label in the threshold run, with the given label's logit left out. The model did not
    /// train on this label.
    pub held_out: f32,
    /// Metric of the distant label in the main run, which trained on it.
    pub trained: f32,
}

/// The threshold samples of a run over a window.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    all: Vec<Sample>,
    /// Metric of the given labels of the negatives, descending.
    negatives: Vec<f32>,
    /// Metric of the given labels of the positives, descending.
    positives: Vec<f32>,
}

impl Samples {
    /// Computes the samples of these dynamics. There are none if there was no threshold run or it has no epoch
    /// inside the window. Samples with non-finite logits in either run are left out.
    ///
    /// `trust_with_aum` returns the trust that a span would have with another AUM. By trust, a sample's value is
    /// the trust of its span with the AUM of the wrong label. The trust of held-out labels is not known.
    pub fn compute(
        dynamics: &Dynamics,
        assigned: &[LabelId],
        window: Window,
        metric: Metric,
        main: &Metrics,
        trust_with_aum: impl Fn(SpanId, f32) -> Option<f32>,
    ) -> Self {
        let mut samples = Self::default();
        let Some(threshold_run) = &dynamics.threshold_run else { return samples };
        let Ok(metrics) = Metrics::compute(&threshold_run.run, &threshold_run.assigned, window) else {
            return samples;
        };
        let epochs = window.of(&threshold_run.run.epochs);
        if epochs.len() < window.n_epochs(&dynamics.run) {
            // The threshold run was cut off. Means over fewer epochs cannot be compared with those of the main
            // run.
            return samples;
        }
        let of_given = if metric == Metric::Trust { &metrics.aum } else { metric.column(&metrics) };
        let of_distant = metric.column(main);
        let rows = threshold_run.spans.iter().zip(&threshold_run.assigned).enumerate();
        samples.all = rows
            .filter_map(|(row, (&span, &wrong))| {
                let label = *assigned.get(span as usize)?;
                Some(Sample {
                    label,
                    given: match of_given.get(row).copied().filter(|v| v.is_finite())? {
                        aum if metric == Metric::Trust => trust_with_aum(span, aum)?,
                        given => given,
                    },
                    held_out: held_out(epochs, row, label, wrong, metric),
                    trained: of_distant.get(span as usize).copied().filter(|v| v.is_finite())?,
                })
            })
            .collect();
        let descending = |side: Side| {
            let mut values: Vec<f32> = samples.of_side(side).map(|s| s.given).collect();
            values.sort_by(f32::total_cmp);
            values.reverse();
            values
        };
        (samples.negatives, samples.positives) = (descending(Side::Negatives), descending(Side::Positives));
        samples
    }

    /// The samples whose distant label is on this side.
    pub fn of_side(&self, side: Side) -> impl Iterator<Item = &Sample> {
        self.all.iter().filter(move |s| Side::of(s.label) == side)
    }

    /// The samples with this distant label.
    pub fn of_label(&self, label: LabelId) -> impl Iterator<Item = &Sample> {
        self.all.iter().filter(move |s| s.label == label)
    }

    /// Metric of the given labels on one side, descending.
    pub fn given(&self, side: Side) -> &[f32] {
        match side {
            Side::Negatives => &self.negatives,
            Side::Positives => &self.positives,
        }
    }

    /// The threshold of one side: a quantile of the given labels' metric.
    pub(crate) fn quantile(&self, side: Side, q: f32) -> Threshold {
        quantile_threshold(self.given(side), q)
    }
}

/// Mean metric of `label` over the epochs, with the logit of `wrong` left out.
fn held_out(epochs: &[EpochLogits], row: usize, label: LabelId, wrong: LabelId, metric: Metric) -> f32 {
    let values = epochs.iter().map(|epoch| {
        let logits = epoch.row(row);
        let own = logits.get(usize::from(label)).copied().unwrap_or(f32::NAN);
        let others = logits.iter().zip(O..).filter(|&(_, k)| k != label && k != wrong).map(|(&z, _)| z);
        match metric {
            Metric::Aum => own - others.fold(f32::NEG_INFINITY, f32::max),
            Metric::Confidence => {
                let highest = others.clone().fold(own, f32::max);
                let sum = others.fold(exp_nonpositive(own - highest), |sum, z| sum + exp_nonpositive(z - highest));
                exp_nonpositive(own - highest) / sum
            }
            Metric::Trust => f32::NAN,
        }
    });
    values.sum::<f32>() / epochs.len() as f32
}
