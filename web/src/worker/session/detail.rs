//! Everything that is known about one span.

use explorer::listing::Column;
use explorer::reviewers;
use explorer::same_form::SameForm;
use explorer::sentence::Sentence;
use shared::corpus::decision::Decision;
use shared::corpus::span::SpanId;
use shared::metrics::Metrics;

use super::Session;
use crate::protocol::{Detail, Probabilities};

impl Session {
    pub(super) fn detail(&self, id: SpanId) -> Option<Detail> {
        let span = self.judge.index.span(id)?;
        let (metrics, at) = (&self.judge.metrics, id as usize);
        let (corpus, judgement) = (&self.recording.dynamics.corpus, self.judge.under(&self.settings));
        let by_rule = judgement.decide(id);
        Some(Detail {
            row: self.row(&judgement, id, (0, 0), Column::Metric)?,
            aum: *metrics.aum.get(at)?,
            sentence: Sentence::new(
                corpus,
                self.recording.dynamics.gold.as_deref(),
                &judgement,
                &self.review.by_hand,
                span.sentence,
            ),
            number: span.sentence,
            start: span.start,
            end: span.end,
            by_rule,
            wrong: metrics.trust.get(at).map(|trust| 1.0 - trust).filter(|wrong| wrong.is_finite()),
            because: self.judge.explain(&corpus.tokens, id),
            doubted: self.judge.main_reason(id).filter(|_| judgement.by_threshold(id) != Decision::Keep),
            probabilities: probabilities(metrics, at),
            correctness: *metrics.correctness.get(at)?,
            forgetting: *metrics.forgetting.get(at)?,
            same_form: SameForm::new(corpus, &judgement, &self.review.by_hand, id)?,
            opinions: reviewers::opinions(&self.reviewing.reviewers, id),
            other_aum: self.other_aum().get(at).copied(),
        })
    }
}

fn probabilities(metrics: &Metrics, at: usize) -> Option<Probabilities> {
    Some(Probabilities {
        predicted: metrics.prediction(at)?.probability(),
        confidence: *metrics.confidence.get(at)?,
        variability: *metrics.variability.get(at)?,
    })
}
