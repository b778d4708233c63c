//! A recording for tests.

use shared::corpus::Corpus;
use shared::recording::dynamics::{Dynamics, EpochLogits, Precision, Run, RunInfo};

/// A run of one epoch on `corpus`, without a threshold run. `rows` has the logits of each span, `O` first.
pub(crate) fn of_one_epoch(corpus: Corpus, rows: &[f32]) -> Dynamics {
    let logits = EpochLogits::from_rows(rows, corpus.labels.n_types(), Precision::F32).unwrap();
    Dynamics {
        info: RunInfo { max_span_width: 8, ..RunInfo::default() },
        corpus,
        gold: None,
        contradicted: Vec::new(),
        run: Run { epochs: vec![logits], scores: vec![] },
        threshold_run: None,
        complete: true,
        whole: None,
    }
}
