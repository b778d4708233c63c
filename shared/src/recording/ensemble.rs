//! Merges several recordings of the same spans into one. The recordings come from trainings that differ only in
//! their seed.
//!
//! The logits of the members are averaged, per span, label and epoch. The probabilities of the ensemble are then
//! the normalised geometric mean of the members' probabilities. Every metric is computed as for a single run: the
//! "ensemble AUM" is the AUM of the averaged logits. Averaged margins would not give probabilities or predicted
//! labels.

use crate::recording::dynamics::{Dynamics, EpochLogits, EpochScore, Run, WrongLength};
use crate::recording::prf::Prf;

/// Reasons why recordings cannot be averaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnsembleError {
    /// There is no recording.
    #[error("an ensemble needs at least one recording")]
    Empty,
    /// The recordings differ in text, labels, samples or epochs.
    #[error("member {member} (from 1) of the ensemble was recorded on other {what} than the first")]
    Unlike {
        /// Number of the member that differs, from 1.
        member: usize,
        /// The part that differs.
        what: &'static str,
    },
    /// The recordings hold margins, which cannot be averaged to logits.
    #[error("an ensemble needs logits; these recordings hold margins")]
    Margins,
    /// See [`WrongLength`].
    #[error(transparent)]
    WrongLength(#[from] WrongLength),
}

/// Averages the members. Text, labels, samples and settings are those of the first member. The logits are means.
/// The scores come from the summed counts of all members. Where the main runs are too large for memory, the members
/// may have some of their rows only (the same ones), and [`mean_run`] averages the others block by block.
///
/// # Errors
/// When the members do not fit together.
pub fn mean(members: &[&Dynamics]) -> Result<Dynamics, EnsembleError> {
    let &first = members.first().ok_or(EnsembleError::Empty)?;
    for (member, other) in (1..).zip(members) {
        let unlike = |what| EnsembleError::Unlike { member, what };
        if other.corpus != first.corpus || other.info.max_span_width != first.info.max_span_width {
            return Err(unlike("text or labels"));
        }
        let samples = |d: &Dynamics| d.threshold_run.as_ref().map(|t| (t.scheme, t.spans.clone(), t.assigned.clone()));
        if samples(other) != samples(first) {
            return Err(unlike("threshold samples"));
        }
        let shape = |run: &Run| run.epochs.iter().map(|e| (e.n_spans(), e.n_types())).collect::<Vec<_>>();
        let shapes = |d: &Dynamics| (shape(&d.run), d.threshold_run.as_ref().map(|t| shape(&t.run)));
        if shapes(other) != shapes(first) {
            return Err(unlike("epochs"));
        }
    }
    let runs: Vec<&Run> = members.iter().map(|d| &d.run).collect();
    let threshold_runs: Vec<&Run> = members.iter().filter_map(|d| d.threshold_run.as_ref()).map(|t| &t.run).collect();
    let mut mean = first.clone();
    mean.run = mean_run(&runs)?;
    if let Some(threshold_run) = &mut mean.threshold_run {
        threshold_run.run = mean_run(&threshold_runs)?;
    }
    mean.complete = members.iter().all(|d| d.complete);
    Ok(mean)
}

/// Averages runs of the same spans.
///
/// # Errors
/// When they hold margins, or differ in spans or types.
pub fn mean_run(runs: &[&Run]) -> Result<Run, EnsembleError> {
    let n_epochs = runs.first().map_or(0, |run| run.epochs.len());
    let n_scores = runs.iter().map(|run| run.scores.len()).min().unwrap_or(0);
    let epochs = (0..n_epochs).map(|i| mean_logits(&runs.iter().filter_map(|r| r.epochs.get(i)).collect::<Vec<_>>()));
    let scores = (0..n_scores).map(|i| pooled(&runs.iter().filter_map(|r| r.scores.get(i)).collect::<Vec<_>>()));
    Ok(Run { epochs: epochs.collect::<Result<_, _>>()?, scores: scores.collect() })
}

/// Means in double precision, rounded once. Sums of half-precision logits are exact in double precision.
fn mean_logits(members: &[&EpochLogits]) -> Result<EpochLogits, EnsembleError> {
    let first = members.first().ok_or(EnsembleError::Empty)?;
    if members.iter().any(|m| m.is_margins()) {
        return Err(EnsembleError::Margins);
    }
    let n_spans = first.n_spans();
    let mut column = vec![0f32; n_spans];
    let columns = (0..first.n_types()).map(|kind| {
        let mut sums = vec![0f64; n_spans];
        for member in members {
            member.read(kind, &mut column);
            for (sum, &logit) in sums.iter_mut().zip(&column) {
                *sum += f64::from(logit);
            }
        }
        sums.iter().map(|sum| (sum / members.len() as f64) as f32).collect()
    });
    Ok(EpochLogits::from_columns(columns, n_spans, first.precision())?)
}

fn pooled(members: &[&EpochScore]) -> EpochScore {
    let count = |of: fn(&Prf) -> u64| members.iter().map(|s| of(&s.dev)).sum();
    EpochScore {
        epoch: members.first().map_or(0, |s| s.epoch),
        train_loss: members.iter().map(|s| s.train_loss).sum::<f64>() / members.len().max(1) as f64,
        dev: Prf::from_counts(count(|d| d.correct), count(|d| d.predicted), count(|d| d.actual)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::dynclean_json;
    use crate::recording::dynamics::{Precision, RunInfo, SampleScheme, ThresholdRun};

    /// One sentence of two tokens, so three spans; one entity type.
    fn member(logits: [f32; 3], sample: f32, correct: u64) -> Dynamics {
        let rows: Vec<f32> = logits.iter().flat_map(|&z| [1.0, 1.0 + z]).collect();
        let epoch = EpochLogits::from_rows(&rows, 1, Precision::F16).unwrap();
        let score = EpochScore { epoch: 1, train_loss: correct as f64, dev: Prf::from_counts(correct, 10, 20) };
        let samples = EpochLogits::from_rows(&[0.0, 1.0, sample], 2, Precision::F16).unwrap();
        Dynamics {
            info: RunInfo { max_span_width: 8, ..RunInfo::default() },
            corpus: dynclean_json::read(br#"[{"tokens": ["a", "b"], "entities": [[0, 0, "X"]]}]"#).unwrap(),
            gold: None,
            contradicted: Vec::new(),
            run: Run { epochs: vec![epoch], scores: vec![score] },
            threshold_run: Some(ThresholdRun {
                scheme: SampleScheme::FakeClass,
                spans: vec![1],
                assigned: vec![2],
                run: Run { epochs: vec![samples], scores: vec![] },
            }),
            complete: true,
            whole: None,
        }
    }

    #[test]
    fn logits_are_averaged_and_predictions_pooled() {
        let mean = mean(&[&member([1.0, -2.0, 4.0], 3.0, 2), &member([2.0, f32::NAN, -1.0], 0.0, 6)]).unwrap();
        let epoch = &mean.run.epochs[0];
        assert_eq!([epoch.margin(0, 1), epoch.margin(2, 0)], [1.5, -1.5]);
        assert!(epoch.margin(1, 1).is_nan(), "what one member did not record is not known");
        assert_eq!(mean.threshold_run.unwrap().run.epochs[0].row(0), [0.0, 1.0, 1.5]);
        // 8 of 20 predictions are right, and there are 40 entities to find.
        let score = mean.run.scores[0];
        assert_eq!((score.dev.precision, score.dev.recall, score.train_loss), (0.4, 0.2, 4.0));
    }

    #[test]
    fn one_member_is_itself_and_strangers_are_refused() {
        let single = member([1.0, -2.0, 4.0], 3.0, 2);
        assert_eq!(mean(&[&single]).unwrap(), single);
        let mut other = single.clone();
        other.threshold_run.as_mut().unwrap().spans = vec![2];
        let error = mean(&[&single, &other]).unwrap_err();
        assert_eq!(error, EnsembleError::Unlike { member: 2, what: "threshold samples" });
        let mut shorter = single.clone();
        shorter.run.epochs.clear();
        assert!(mean(&[&single, &shorter]).is_err());
        assert_eq!(mean(&[]), Err(EnsembleError::Empty));
        let mut margins = single;
        margins.run.epochs = vec![EpochLogits::from_margins(vec![0.0; 3])];
        assert_eq!(mean(&[&margins]), Err(EnsembleError::Margins));
    }
}
