//! What becomes of a label, and the two sides that are decided apart.

use serde::{Deserialize, Serialize};

use super::labels::{LabelId, O};

/// What is done with a span's label.
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
    /// Whether a span with this label keeps it.
    pub fn keeps(self, label: LabelId) -> bool {
        match self {
            Self::Keep => true,
            Self::Remove => false,
            Self::Relabel(new) => new == label,
        }
    }
}

/// The two sides that have thresholds of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// Distant label `O`.
    Negatives,
    /// Distant label an entity type.
    Positives,
}

impl Side {
    /// Both, negatives first.
    pub const BOTH: [Self; 2] = [Self::Negatives, Self::Positives];

    /// The side of a distant label.
    pub fn of(label: LabelId) -> Self {
        if label == O { Self::Negatives } else { Self::Positives }
    }
}
