//! Corpora from the sentences of the sample.

use anyhow::Result;
use shared::corpus::labels::LabelSet;
use shared::corpus::span::Span;
use shared::corpus::{Corpus, Entity};

use crate::{KINDS, SampleSentence};

/// Builds a corpus of sentences with their distant or their gold labels.
///
/// # Errors
/// If the text does not fit the corpus columns.
pub(crate) fn corpus(sentences: &[SampleSentence], distant: bool) -> Result<Corpus> {
    let mut corpus = Corpus { labels: LabelSet::from_types(KINDS), ..Corpus::default() };
    for (i, sentence) in (0u32..).zip(sentences) {
        corpus.tokens.push(&sentence.tokens)?;
        for entity in if distant { &sentence.distant } else { &sentence.gold } {
            let span = Span { sentence: i, start: entity.start as u32, end: entity.end as u32 };
            if let Some(label) = corpus.labels.id(entity.kind) {
                corpus.entities.push(Entity { span, label });
            }
        }
    }
    Ok(corpus)
}
