//! Finds the corpus label of each label index in a recording.

use super::ImportError;
use super::recording::Recording;
use crate::corpus::Corpus;
use crate::corpus::labels::{LabelId, O};
use crate::corpus::span::{Span, SpanIndex};

/// Checks names that a person gave for the labels after `O`: none empty, none `O`, none twice.
pub fn check_names(names: &[String]) -> Result<(), ImportError> {
    for (i, name) in names.iter().enumerate() {
        let wrong = if name.trim().is_empty() {
            "an empty name"
        } else if name == "O" {
            "O, which is index 0 already: name the labels after it"
        } else if names[..i].contains(name) {
            "a name twice"
        } else {
            continue;
        };
        return Err(ImportError::Misfit(format!("the list of labels has {wrong} ({name:?} at place {})", i + 1)));
    }
    Ok(())
}

/// Compares the labels of a corpus with those of a recording.
pub struct Comparison<'a> {
    pub recording: &'a Recording,
    pub corpus: &'a Corpus,
    pub index: &'a SpanIndex,
    /// The label of every span in the corpus.
    pub distant: &'a [LabelId],
    /// Ids of spans whose label is unknown in the corpus, in ascending order.
    pub unknown: &'a [u32],
}

impl Comparison<'_> {
    /// All triples (span, index in the recording, label in the corpus) where both labels are known.
    fn pairs(&self) -> impl Iterator<Item = (u32, LabelId, LabelId)> + '_ {
        let known = |span: &u32| self.unknown.is_empty() || self.unknown.binary_search(span).is_err();
        (0..).zip(self.distant).filter(move |(span, _)| known(span)).filter_map(|(span, &label)| {
            let index = self.recording.label(span as usize)?;
            Some((span, index, label))
        })
    }

    /// Finds the corpus label of each of `n` indices: the type that occurs with the index most often. `None` if no
    /// span has this index and a type.
    ///
    /// # Errors
    /// When a span contradicts the others, or when two indices get the same label.
    pub fn derive(&self, n: usize) -> Result<Vec<Option<LabelId>>, ImportError> {
        let n_labels = self.corpus.labels.n_types() + 1;
        let mut together = vec![0u32; n * n_labels];
        for (_, index, label) in self.pairs() {
            if let Some(count) = together.get_mut(usize::from(index) * n_labels + usize::from(label)) {
                *count += 1;
            }
        }
        // An index after 0 belongs to a type, never to `O`.
        let most_often = |counts: &[u32]| {
            let types = counts.iter().enumerate().skip(1);
            let (label, &count) = types.max_by_key(|&(label, &n)| (n, usize::MAX - label))?;
            LabelId::try_from(label).ok().filter(|_| count > 0)
        };
        let mut order: Vec<_> = together.chunks_exact(n_labels).map(most_often).collect();
        // Index 0 is `O` by convention, whatever the counts.
        if let Some(first) = order.first_mut() {
            *first = Some(O);
        }
        self.check(&order)?;
        for (index, label) in order.iter().enumerate() {
            let twin = order[..index].iter().position(|other| other.is_some() && other == label);
            if let (Some(twin), Some(label)) = (twin, label) {
                return Err(ImportError::Misfit(format!(
                    "labels {twin} and {index} of the recording are both {} in the corpus: {}",
                    self.corpus.labels.name(*label),
                    REMEDY
                )));
            }
        }
        Ok(order)
    }

    /// Checks that every span has the label of its index.
    ///
    /// # Errors
    /// When a span has another label. The message has the first such span and their number.
    pub fn check(&self, order: &[Option<LabelId>]) -> Result<(), ImportError> {
        let expected = |index: LabelId| order.get(usize::from(index)).copied().flatten();
        let mut misfits = self.pairs().filter(|&(_, index, label)| expected(index) != Some(label));
        let Some((span, index, label)) = misfits.next() else { return Ok(()) };
        let labels = &self.corpus.labels;
        let at = self.index.span(span).unwrap_or(Span { sentence: 0, start: 0, end: 0 });
        Err(ImportError::Misfit(format!(
            "span {span} (sentence {}, tokens {} to {}: {:?}) has label {index} in the recording, which stands for {}, but \
             is {} in the corpus; {} spans differ: {REMEDY}",
            at.sentence,
            at.start,
            at.end,
            self.corpus.tokens.surface(at),
            expected(index).map_or("nothing", |l| labels.name(l)),
            labels.name(label),
            misfits.count() + 1,
        )))
    }
}

const REMEDY: &str = "give the corpus with the labels that were trained on, its --max-span-width, and --labels if the \
                      logits are in an order of their own";
