//! Joins a recording with its text.

use super::ImportError;
use super::label_order::{Comparison, check_names};
use super::recording::Recording;
use crate::corpus::labels::{LabelId, LabelSet, O};
use crate::corpus::span::{Span, SpanIndex};
use crate::corpus::{Corpus, Entity, TokenTable};
use crate::recording::dynamics::{Dynamics, Precision, Run, RunInfo};

/// Name of the only type, if a recording has no labels.
const UNLABELLED: &str = "sample";

/// The text of a recording. The guids of the recording are the numbers of its candidate spans.
#[derive(Debug)]
pub struct Text {
    /// The text with distant labels.
    pub corpus: Corpus,
    /// The same text with gold labels.
    pub gold: Option<Corpus>,
}

/// Imported dynamics, ready to be written to a file.
#[derive(Debug)]
pub struct Imported {
    /// The dynamics.
    pub dynamics: Dynamics,
    /// Number of spans without a record at one epoch or more. They are flagged, and nothing is decided about them,
    /// if such an epoch is inside the window.
    pub n_incomplete: usize,
    /// Number of spans with a logit or margin that is `null`, infinite or NaN at one epoch or more. They are
    /// flagged likewise.
    pub n_not_finite: usize,
}

impl Imported {
    /// Joins a recording with its text. With text, the recording must come from [`Recording::of_spans`]. Without
    /// text, it must come from [`Recording::of_guids`], and each guid becomes a sentence. `labels` names the
    /// logits after that of `O`, in their order. Without `labels`, the order is found by comparing the recorded
    /// labels with those of the corpus. Without a corpus, the names are then `1`, `2`, ….
    ///
    /// # Errors
    /// When epochs are missing, or when labels or text do not fit together.
    pub fn new(
        recording: Recording,
        text: Option<Text>,
        labels: Option<&[String]>,
        mut info: RunInfo,
        precision: Precision,
    ) -> Result<Self, ImportError> {
        recording.check_epochs()?;
        let (n_incomplete, n_not_finite) = (recording.n_incomplete(), recording.n_not_finite());
        if let Some(names) = labels {
            check_names(names)?;
            check_number(&recording, names)?;
        }
        let dynamics = match text {
            Some(Text { corpus, gold }) => {
                let index = corpus.span_index(info.max_span_width).map_err(misfit)?;
                let (corpus, gold, order) = join(&recording, corpus, gold, &index, labels)?;
                let (epochs, _) = recording.into_epochs(&order, precision)?;
                let gold = gold.map(|gold| gold.entities);
                let run = Run { epochs, scores: Vec::new() };
                Dynamics {
                    info,
                    corpus,
                    gold,
                    contradicted: Vec::new(),
                    run,
                    threshold_run: None,
                    complete: true,
                    whole: None,
                }
            }
            None => {
                info.max_span_width = 1;
                let (labels, entities) = labels_of_guids(&recording, labels);
                let order: Vec<LabelId> = (0..).take(recording.n_labels().unwrap_or(0)).collect();
                let (epochs, guids) = recording.into_epochs(&order, precision)?;
                let tokens = guids.map_or(Ok(TokenTable::default()), |g| g.into_tokens()).map_err(misfit)?;
                let corpus = Corpus { tokens, labels, entities, ..Corpus::default() };
                let run = Run { epochs, scores: Vec::new() };
                Dynamics {
                    info,
                    corpus,
                    gold: None,
                    contradicted: Vec::new(),
                    run,
                    threshold_run: None,
                    complete: true,
                    whole: None,
                }
            }
        };
        Ok(Self { dynamics, n_incomplete, n_not_finite })
    }
}

fn misfit(error: impl ToString) -> ImportError {
    ImportError::Misfit(error.to_string())
}

/// The highest label index in the recording.
fn highest_label(recording: &Recording) -> Option<LabelId> {
    (0..recording.n_spans()).filter_map(|span| recording.label(span)).max()
}

/// Checks that every logit after that of `O` has a name. With margins, every label that is used needs a name.
fn check_number(recording: &Recording, names: &[String]) -> Result<(), ImportError> {
    let needed = recording.n_labels().map_or_else(|| usize::from(highest_label(recording).unwrap_or(0)), |n| n - 1);
    let fits = if recording.n_labels().is_some() { names.len() == needed } else { names.len() >= needed };
    if fits && names.len() < usize::from(LabelId::MAX) - 1 {
        return Ok(());
    }
    Err(ImportError::Misfit(format!(
        "the list of labels names {}, but the recording has {needed} after index 0, which is O",
        names.len()
    )))
}

/// Labels and positives of a recording without text: row `i` is the only token of sentence `i`.
fn labels_of_guids(recording: &Recording, names: Option<&[String]>) -> (LabelSet, Vec<Entity>) {
    let highest = highest_label(recording);
    let n_types = recording.n_labels().map_or_else(|| highest.map_or(1, usize::from), |n| n - 1);
    let types = match names {
        Some(names) => names.to_vec(),
        None if highest.is_none() => vec![UNLABELLED.to_owned()],
        None => (1..=n_types).map(|n| n.to_string()).collect(),
    };
    // In a recording without labels, all spans are positives of the only type.
    let label = |row: usize| if highest.is_none() { 1 } else { recording.label(row).unwrap_or(O) };
    let rows = (0u32..).take(recording.n_spans()).map(|row| (row, label(row as usize)));
    let positives = rows.filter(|&(_, label)| label != O);
    let entity = |(sentence, label)| Entity { span: Span { sentence, start: 0, end: 0 }, label };
    (LabelSet::in_file_order(types), positives.map(entity).collect())
}

/// Numbers corpus and gold by one label set. Also returns the label of each logit in this set.
fn join(
    recording: &Recording,
    corpus: Corpus,
    gold: Option<Corpus>,
    index: &SpanIndex,
    names: Option<&[String]>,
) -> Result<(Corpus, Option<Corpus>, Vec<LabelId>), ImportError> {
    let set = match (names, recording.n_labels()) {
        // Every type needs its logits.
        (Some(names), Some(_)) => LabelSet::from_types(names.iter().cloned()),
        (None, Some(_)) => corpus.labels.clone(),
        (names, None) => {
            let of_files = [Some(&corpus), gold.as_ref()].into_iter().flatten().flat_map(|c| c.labels.types());
            LabelSet::from_types(of_files.chain(names.unwrap_or_default()).cloned())
        }
    };
    let relabelled = |c: Corpus, what: &str| {
        c.with_labels(&set).map_err(|e| {
            ImportError::Misfit(format!(
                "{what}: {e} of the recording ({}): name all labels of the logits with --labels, or take entities of this \
                 type out",
                set.types().join(", ")
            ))
        })
    };
    let corpus = relabelled(corpus, "the corpus")?;
    let gold = gold.map(|gold| relabelled(gold, "the gold corpus")).transpose()?;
    let distant = corpus.dense_labels(index);
    let mut unknown: Vec<u32> = corpus.unknown.iter().filter_map(|&s| index.id(s)).collect();
    unknown.sort_unstable();
    let comparison = Comparison { recording, corpus: &corpus, index, distant: &distant, unknown: &unknown };
    let n_indices = recording.n_labels().unwrap_or_else(|| highest_label(recording).map_or(0, |l| usize::from(l) + 1));
    let order = match names {
        Some(names) => {
            let order: Vec<_> =
                std::iter::once(Some(O)).chain(names.iter().map(|n| set.id(n))).take(n_indices).collect();
            comparison.check(&order)?;
            order
        }
        None => comparison.derive(n_indices)?,
    };
    let is_complete = order.iter().all(Option::is_some) && order.len() == set.n_types() + 1;
    if recording.n_labels().is_some() && !is_complete {
        return Err(ImportError::Misfit(format!(
            "the recording has logits of {} labels after O, of which {} occur among its spans; the corpus has the types \
             {}: name the logits in their order with --labels",
            n_indices.saturating_sub(1),
            order.iter().skip(1).flatten().count(),
            set.types().join(", ")
        )));
    }
    let order = order.into_iter().map(|label| label.unwrap_or(O)).collect();
    Ok((corpus, gold, order))
}
