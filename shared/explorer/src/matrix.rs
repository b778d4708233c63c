//! Two labels of every span against each other: the distant label, and the one that the model prefers or gold.

use serde::{Deserialize, Serialize};
use shared::corpus::labels::LabelId;

/// Number of spans by distant label (row) and other label (column), `O` first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matrix {
    n_labels: usize,
    /// Row after row.
    counts: Vec<u32>,
}

impl Matrix {
    /// Counts the pairs. Both lists have one label per span; labels from `n_labels` on are left out. O(spans).
    pub fn new(distant: &[LabelId], others: impl Iterator<Item = LabelId>, n_labels: usize) -> Self {
        let mut counts = vec![0; n_labels * n_labels];
        for (&row, column) in distant.iter().zip(others) {
            let (row, column) = (usize::from(row), usize::from(column));
            if let Some(count) = counts.get_mut(row * n_labels + column).filter(|_| column < n_labels) {
                *count += 1;
            }
        }
        Self { n_labels, counts }
    }

    /// The rows, from the distant label `O` on.
    pub fn rows(&self) -> impl Iterator<Item = &[u32]> {
        self.counts.chunks(self.n_labels.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_counted() {
        let matrix = Matrix::new(&[0, 0, 1, 1, 1, 2, 3], [0, 1, 1, 1, 0, 2, 0].into_iter(), 3);
        let rows: Vec<&[u32]> = matrix.rows().collect();
        // The last span has a label that does not exist.
        assert_eq!(rows, [[1, 1, 0], [1, 2, 0], [0, 0, 1]]);
        assert_eq!(Matrix::new(&[1], [5].into_iter(), 3).rows().flatten().sum::<u32>(), 0);
        assert_eq!(Matrix::default().rows().count(), 0);
    }
}
