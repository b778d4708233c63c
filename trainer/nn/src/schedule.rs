//! The course of the learning rates.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Course of the learning rates after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// The learning rates stay constant
    Constant,
    /// The learning rates fall linearly, to 0 right after the last step
    Linear,
}

impl Schedule {
    /// Returns the factor on the learning rates at `step` (from 0) of `steps`.
    pub fn factor(self, step: usize, steps: usize, warmup: usize) -> f32 {
        if step < warmup {
            return (step + 1) as f32 / warmup as f32;
        }
        match self {
            Self::Constant => 1.0,
            Self::Linear => steps.saturating_sub(step) as f32 / steps.saturating_sub(warmup).max(1) as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_then_stay_or_fall() {
        let at = |schedule: Schedule| [0, 3, 4, 9].map(|step| schedule.factor(step, 10, 4));
        assert_eq!(at(Schedule::Constant), [0.25, 1.0, 1.0, 1.0]);
        assert_eq!(at(Schedule::Linear), [0.25, 1.0, 1.0, 1.0 / 6.0]);
        assert_eq!(Schedule::Constant.factor(0, 10, 0), 1.0);
    }
}
