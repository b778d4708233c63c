//! Decisions about labels, and the two sides (negatives and positives) that have separate thresholds.

use serde::{Deserialize, Serialize};

use super::labels::{LabelId, O};

/// A decision about a span's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Decision {
    /// The label stays.
    Keep,
    /// The span leaves the training data.
    Remove,
    /// The span takes this label (possibly `O`).
    Relabel(LabelId),
}

impl Decision {
    /// Whether a span with this label keeps it under this decision.
    pub fn keeps(self, label: LabelId) -> bool {
        match self {
            Self::Keep => true,
            Self::Remove => false,
            Self::Relabel(new) => new == label,
        }
    }
}

/// The two sides of the labels. Each side has its own threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// Spans with the distant label `O`.
    Negatives,
    /// Spans with an entity type as distant label.
    Positives,
}

impl Side {
    /// Both sides, negatives first.
    pub const BOTH: [Self; 2] = [Self::Negatives, Self::Positives];

    /// The side of a distant label.
    pub fn of(label: LabelId) -> Self {
        if label == O { Self::Negatives } else { Self::Positives }
    }
}
