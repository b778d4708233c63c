//! Decisions by hand: read from files, told to the page, and put into files and links.

use explorer::review::Review;
use explorer::reviewers::Reviewer;
use shared::cleaning::{Decisions, Override, share};
use shared::corpus::decision::Decision;
use shared::corpus::span::{Span, SpanId, by_span};
use shared::detection::judge::JudgeError;
use shared::detection::threshold::{Metric, Settings};
use shared::metrics::Window;

use super::Session;
use crate::protocol::Reviewing;

impl Session {
    /// Returns the part of a link after `#`, and whether it includes the decisions by hand.
    pub fn link(&self) -> (String, bool) {
        share::fragment(&self.decisions())
    }

    /// Reads a `decisions.json` about this file. Returns its settings, and its decisions by hand and notes.
    pub fn read_decisions(&self, json: &[u8]) -> Result<(Settings, Review), String> {
        let (decisions, review) = self.parse_decisions(json)?;
        Ok((decisions.settings, review))
    }

    /// Reads one person's `decisions.json`. Without a name inside, the person has the name of the file.
    pub fn reviewer(&self, file: &str, json: &[u8]) -> Result<Reviewer, String> {
        let (decisions, Review { by_hand, notes, .. }) = self.parse_decisions(json)?;
        let stem = file.strip_suffix(".json").unwrap_or(file);
        let name = decisions.reviewer.unwrap_or_else(|| stem.to_owned());
        Ok(Reviewer {
            name,
            decisions: by_span(by_hand.into_iter().map(|(span, decision)| self.plain(span, decision))),
            notes,
        })
    }

    /// Returns the person at this page as a reviewer, if there are decisions.
    pub fn own(&self) -> Option<Reviewer> {
        let name = if self.reviewing.name.is_empty() { "you" } else { &self.reviewing.name };
        let decisions = by_span(self.review.by_hand.iter().map(|(&span, &decision)| self.plain(span, decision)));
        (!self.review.by_hand.is_empty()).then(|| Reviewer {
            name: name.to_owned(),
            decisions,
            notes: self.review.notes.clone(),
        })
    }

    /// Returns the decision in its plain form: giving a span its distant label means keeping the label.
    pub(super) fn plain(&self, span: SpanId, decision: Decision) -> (SpanId, Decision) {
        let label = self.judge.assigned.get(span as usize);
        (span, if label.is_some_and(|&label| decision.keeps(label)) { Decision::Keep } else { decision })
    }

    pub(super) fn parse_decisions(&self, json: &[u8]) -> Result<(Decisions, Review), String> {
        let labels = &self.recording.dynamics.corpus.labels;
        let decisions = Decisions::read(json, &self.recording.digest).map_err(|e| e.to_string())?;
        // Refuses spans, labels, epochs and probabilities that do not exist.
        decisions.resolve(&self.judge, labels).map_err(|e| e.to_string())?;
        let (Window { first, last }, n_epochs) = (decisions.settings.window, self.recording.dynamics.run.epochs.len());
        if first as usize > n_epochs {
            return Err(format!("it judges by epochs {first} to {last}, and there are {n_epochs}"));
        }
        if decisions.settings.metric == Metric::Confidence && !self.judge.metrics.has_probabilities() {
            return Err(JudgeError::NoProbabilities.to_string());
        }
        let ids = labels.ids();
        let by_hand = decisions.overrides.iter().filter_map(|(span, by_hand)| {
            let decision = match by_hand {
                Override::Keep => Decision::Keep,
                Override::Remove => Decision::Remove,
                Override::Relabel(name) => Decision::Relabel(*ids.get(name.as_str())?),
            };
            Some((self.judge.index.id(*span)?, decision))
        });
        let id = |span: &Span| self.judge.index.id(*span);
        let notes = decisions.notes.iter().filter_map(|(span, note)| Some((id(span)?, note.clone())));
        let review = Review {
            by_hand: by_span(by_hand),
            notes: notes.collect(),
            sampled: decisions.sampled.iter().filter_map(id).collect(),
        };
        Ok((decisions, review))
    }

    /// Returns the settings and the decisions by hand.
    pub(super) fn decisions(&self) -> Decisions {
        let labels = &self.recording.dynamics.corpus.labels;
        let mut decisions = Decisions::new(self.recording.digest.clone(), self.settings.clone());
        for (&id, &decision) in &self.review.by_hand {
            let Some(span) = self.judge.index.span(id) else { continue };
            let by_hand = match decision {
                Decision::Keep => Override::Keep,
                Decision::Remove => Override::Remove,
                Decision::Relabel(label) => Override::Relabel(labels.name(label).to_owned()),
            };
            decisions.overrides.push((span, by_hand));
        }
        let span = |id: &SpanId| self.judge.index.span(*id);
        let Review { notes, sampled, .. } = &self.review;
        decisions.notes = notes.iter().filter_map(|(id, note)| Some((span(&id)?, note.to_owned()))).collect();
        decisions.sampled = sampled.iter().filter_map(span).collect();
        let Reviewing { name, reviewers } = &self.reviewing;
        decisions.reviewer = (!name.is_empty()).then(|| name.clone());
        for reviewer in reviewers {
            let is_theirs = |&(&span, &decision): &(&SpanId, &Decision)| {
                self.review.by_hand.get(&span).is_some_and(|&by_hand| self.plain(span, by_hand) == (span, decision))
            };
            let spans =
                reviewer.decisions.iter().filter(is_theirs).filter_map(|(&span, _)| self.judge.index.span(span));
            decisions.reviewers.insert(reviewer.name.clone(), spans.collect());
        }
        decisions
    }
}
