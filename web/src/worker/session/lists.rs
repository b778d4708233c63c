//! Rows of the lists: spans, words, groups, and the next labels to decide about.

use explorer::alphabet;
use explorer::bulk;
use explorer::groups::{GroupBy, groups};
use explorer::listing::{Column, Order};
use explorer::queue::Next;
use explorer::same_form::{form_of, spans_of};
use explorer::sort::{ascending, by_key};
use shared::corpus::decision::Decision;
use shared::corpus::span::{Span, SpanId};
use shared::detection::judgement::Judgement;

use super::super::form_cache::FormCache;
use super::Session;
use crate::protocol::{
    Alike, Bulk, BulkQuery, DecidedAlike, FormQuery, FormRows, Groups, InContext, List, Row, RowQuery, Rows,
};

/// Tokens shown before and after a span in the table.
const CONTEXT: (usize, usize) = (7, 24);
/// Tokens shown before and after a span under the pointer, and in a sample.
pub(super) const SHORT: (usize, usize) = (5, 5);
/// Spans in a sample.
const SAMPLE: usize = 10;

/// A list in another order than the usual one.
pub(super) struct Sorted {
    list: List,
    order: Order,
    spans: Vec<SpanId>,
}

impl Session {
    pub(super) fn spans_like(&self, alike: Alike, decision: Option<Decision>) -> Option<DecidedAlike> {
        let corpus = &self.recording.dynamics.corpus;
        let form = match alike {
            Alike::Form(form) => form,
            Alike::Span(span) => form_of(corpus, &self.judge, span)?,
        };
        Some(DecidedAlike { spans: spans_of(corpus, &self.judge, &form), words: form.words.join(" "), decision })
    }

    /// Takes the surface forms out, and makes them if there are none. The caller must put them back.
    pub(super) fn take_forms(&mut self) -> FormCache {
        self.forms.take().unwrap_or_else(|| FormCache::new(&self.recording.dynamics.corpus, &self.judge))
    }

    pub(super) fn form_rows(&mut self, query: FormQuery) -> FormRows {
        let mut forms = self.take_forms();
        let (corpus, judgement) = (&self.recording.dynamics.corpus, self.judge.under(&self.settings));
        let rows =
            forms.rows(query, corpus, &judgement, &self.review.by_hand, &self.filter, |filter| self.select(filter));
        self.forms = Some(forms);
        rows
    }

    pub(super) fn groups(&self, by: GroupBy) -> Groups {
        let (corpus, judgement) = (&self.recording.dynamics.corpus, self.judge.under(&self.settings));
        let (total, groups) = groups(&judgement, corpus, &self.review.by_hand, self.selection.as_ref(), by);
        let rows = groups.into_iter().filter_map(|group| {
            let first = self.judge.index.span(group.first)?;
            Some((group, self.in_context(first, CONTEXT)))
        });
        Groups { total, rows: rows.collect() }
    }

    /// Returns the next undecided spans.
    pub(super) fn next(&mut self, skipped: &[SpanId]) -> Option<Next> {
        let forms = self.take_forms();
        let next = forms.next(&self.judge.under(&self.settings), &self.review, skipped);
        self.forms = Some(forms);
        next
    }

    pub(super) fn rows(&mut self, query: RowQuery) -> Rows {
        let RowQuery { list, order, offset, limit } = query;
        // Only lists that no decision changes are kept sorted.
        let is_sorted = matches!(list, List::Ranked(_))
            && self.sorted.as_ref().is_some_and(|sorted| (sorted.list, sorted.order) == (list, order));
        if order != Order::default() && !is_sorted {
            let (_, spans) = self.listed(&self.judge.under(&self.settings), list, 0, usize::MAX);
            let ranks = || alphabet::ranks(&self.recording.dynamics.corpus.tokens, &self.judge.index);
            let spans = order.sort(&self.judge, || self.alphabet.get_or_init(ranks), spans.into_iter());
            self.sorted = Some(Sorted { list, order, spans });
        }
        let judgement = self.judge.under(&self.settings);
        let (total, spans) = match &self.sorted {
            Some(sorted) if order != Order::default() => {
                (sorted.spans.len(), sorted.spans.iter().skip(offset).take(limit).copied().collect())
            }
            _ => self.listed(&judgement, list, offset, limit),
        };
        let rows = spans.into_iter().filter_map(|id| self.row(&judgement, id, CONTEXT, order.column)).collect();
        Rows { total, offset, rows }
    }

    /// Returns all spans of a list, and rows of some of them.
    pub(super) fn bulk(&self, BulkQuery { list, seed }: BulkQuery) -> Bulk {
        let judgement = self.judge.under(&self.settings);
        let (total, spans) = self.listed(&judgement, list, 0, bulk::MOST);
        if total > spans.len() {
            return Bulk { total, ..Bulk::default() };
        }
        let some = bulk::some_of(&spans, SAMPLE, seed);
        let rows = some.into_iter().filter_map(|id| self.row(&judgement, id, SHORT, Column::Metric)).collect();
        Bulk { total, spans, rows }
    }

    /// Returns the length of a list, and the spans at `offset..offset + limit`.
    pub(super) fn listed(
        &self,
        judgement: &Judgement,
        list: List,
        offset: usize,
        limit: usize,
    ) -> (usize, Vec<SpanId>) {
        let passes = |span: &SpanId| self.selection.as_ref().is_none_or(|selection| selection.contains(*span));
        let few = |spans: &mut dyn Iterator<Item = SpanId>| {
            let all: Vec<SpanId> = spans.filter(|span| passes(span)).collect();
            (all.len(), all.into_iter().skip(offset).take(limit).collect())
        };
        match list {
            List::Ranked(listing) => {
                let page = listing.page(judgement, self.selection.as_ref(), offset, limit);
                (page.total, page.spans)
            }
            List::ByHand => {
                let spans = by_key(self.review.by_hand.keys().map(|&span| (ascending(self.judge.value(span)), span)));
                few(&mut spans.into_iter())
            }
            List::Flips => few(&mut self.flips.iter().copied()),
        }
    }

    pub(super) fn row(
        &self,
        judgement: &Judgement,
        id: SpanId,
        context: (usize, usize),
        column: Column,
    ) -> Option<Row> {
        let span = self.judge.index.span(id)?;
        let at = id as usize;
        let distant = *self.judge.assigned.get(at)?;
        let by_hand = self.review.by_hand.get(&id).copied();
        Some(Row {
            id,
            text: self.in_context(span, context),
            distant,
            predicted: self.judge.predicted(id),
            gold: self.gold.as_ref().and_then(|gold| gold.get(at)).copied(),
            value: column.value(&self.judge, id),
            margins: self.recording.margins.of(id),
            decision: by_hand.unwrap_or_else(|| judgement.decide(id)),
            by_hand: by_hand.is_some(),
            contradicted: judgement.contradicted().contains_key(&id),
        })
    }

    pub(super) fn in_context(&self, span: Span, (before, after): (usize, usize)) -> InContext {
        let tokens: Vec<&str> = self.recording.dynamics.corpus.tokens.sentence(span.sentence).collect();
        let (start, end) = (span.start as usize, span.end as usize + 1);
        let (first, last) = (start.saturating_sub(before), end.saturating_add(after).min(tokens.len()));
        let join = |range: std::ops::Range<usize>| tokens.get(range).unwrap_or_default().join(" ");
        InContext {
            before: format!("{}{}", if first > 0 { "… " } else { "" }, join(first..start)),
            marked: join(start..end),
            after: format!("{}{}", join(end..last), if last < tokens.len() { " …" } else { "" }),
        }
    }
}
