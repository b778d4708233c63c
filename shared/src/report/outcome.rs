//! What a run adds to a report: test scores, the settings that were tried, and the courses of the trainings.

use serde::{Deserialize, Serialize};

use crate::evaluation::score::NerScore;
use crate::recording::dynamics::{Dynamics, EpochScore};

/// Scores on test of the models of a run, as `metrics.json` has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestScores {
    /// Model trained on the unchanged distant labels.
    pub raw: NerScore,
    /// Model trained on the cleaned labels.
    pub cleaned: NerScore,
    /// Model trained on the cleaned labels and on dev.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with_dev: Option<NerScore>,
    /// Model trained on the unchanged distant labels and on dev, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_with_dev: Option<NerScore>,
    /// Model trained on the annotators' labels, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gold: Option<NerScore>,
    /// Model trained on the distant labels without those that gold contradicts, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oracle: Option<NerScore>,
}

impl TestScores {
    /// Returns the scores of the two models that every run has.
    pub fn new(raw: NerScore, cleaned: NerScore) -> Self {
        Self { raw, cleaned, with_dev: None, raw_with_dev: None, gold: None, oracle: None }
    }

    /// By how many points of F1 a model is better than the one trained on the unchanged distant labels.
    pub fn gain(&self, score: &NerScore) -> f64 {
        100.0 * (score.overall.f1 - self.raw.overall.f1)
    }
}

/// Test scores before and after cleaning, and how the cleaning was chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The test scores.
    pub test: TestScores,
    /// The settings that a sweep tried; empty if there was no sweep.
    pub tried: Vec<Tried>,
    /// The courses of the trainings.
    pub courses: Vec<Course>,
}

/// The course of one training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// What the model learned from.
    pub title: String,
    /// Its epochs, in order.
    pub epochs: Vec<CourseEpoch>,
}

/// One epoch of a training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CourseEpoch {
    /// Number of the epoch, from 1.
    pub epoch: u32,
    /// Mean loss per span in the loss.
    pub train_loss: f64,
    /// F1 on dev, if it was scored.
    pub dev_f1: Option<f64>,
}

/// Cleaning settings that a sweep tried, and the dev score of a model trained on the cleaned labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// The settings in one line.
    pub settings: String,
    /// Number of positives removed or relabelled.
    pub positives: u64,
    /// Number of negatives removed or relabelled.
    pub negatives: u64,
    /// Mean dev F1 over the sweep's seeds; `None` if the cleaning left no entity to learn from.
    pub dev_f1: Option<f64>,
    /// Whether the sweep chose these settings, the best on dev.
    pub chosen: bool,
}

impl Course {
    /// Returns the course of the recorded training. With an ensemble, it is the mean of the members.
    pub fn recorded(dynamics: &Dynamics) -> Self {
        let epoch = |score: &EpochScore| {
            let (epoch, train_loss) = (score.epoch, score.train_loss);
            // Where dev was not scored, all its counts are 0.
            let dev_f1 = (score.dev.actual > 0).then_some(score.dev.f1);
            CourseEpoch { epoch, train_loss, dev_f1 }
        };
        Self { title: "your labels".to_owned(), epochs: dynamics.run.scores.iter().map(epoch).collect() }
    }
}
