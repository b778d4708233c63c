//! Decisions by a person, or by several.

use explorer::filter::Decided;
use explorer::history::History;
use explorer::queue::Next;
use explorer::review::add;
use explorer::reviewers::{self, Reviewer};
use leptos::prelude::*;
use shared::corpus::decision::Decision;
use shared::corpus::span::SpanId;

use super::changes::Values;
use super::{App, Listed, NAME};
use crate::protocol::{Alike, Bulk, BulkQuery};
use crate::{client, format, memory};

/// Said when no suggestion is left to decide about.
const NOTHING_OPEN: &str = "Every suspicious label is reviewed or has a note.";

/// A number that no one can foresee.
fn seed() -> u64 {
    (js_sys::Math::random() * 2f64.powi(52)) as u64
}

impl App {
    /// Decides about a span by hand; `None` leaves it to the rules again. If the span is the next undecided one, or was
    /// chosen at random, goes on.
    pub fn decide(&self, span: SpanId, decision: Option<Decision>) {
        self.decide_by_hand(vec![(span, decision)], None);
        self.note_pace(1);
        if decision.is_some() {
            self.go_on_after(span);
        }
    }

    /// Goes on if this span is the next undecided one, or was chosen at random. Returns whether it is one of them.
    fn go_on_after(&self, span: SpanId) -> bool {
        if self.is_next(span) {
            self.go_on();
        } else if self.is_sampled(span) {
            self.check_one();
        } else {
            return false;
        }
        true
    }

    /// Asks for a note about the selected span.
    pub fn ask_for_note(&self) {
        let Some(span) = self.selected.get_untracked() else { return };
        self.draft.set(self.notes.with_untracked(|notes| notes.get(span).unwrap_or_default().to_owned()));
        self.noting.set(Some(span));
    }

    /// Leaves a note about the span that was asked about; `None` takes it back. A person who is unsure goes on to the
    /// next label.
    pub fn leave_note(&self, note: Option<String>) {
        let Some(span) = self.noting.get_untracked() else { return };
        self.noting.set(None);
        let goes_on = note.is_some() && self.is_open(span);
        let mut notes = self.notes.get_untracked();
        notes.set(span, note);
        self.note(notes);
        if goes_on && !self.go_on_after(span) && !self.is_aside.get_untracked() {
            self.step(1);
        }
    }

    /// Returns whether there is neither a decision about a span nor a note.
    fn is_open(&self, span: SpanId) -> bool {
        !self.by_hand.with_untracked(|by_hand| by_hand.contains_key(&span))
            && !self.notes.with_untracked(|notes| notes.get(span).is_some())
    }

    /// Whether a dialog is open, so that keys do not act on the spans behind it.
    pub fn is_in_dialog(&self) -> bool {
        self.help.get_untracked()
            || self.saved_views.get_untracked()
            || self.bulk.with_untracked(Option::is_some)
            || self.noting.with_untracked(Option::is_some)
    }

    /// Asks for all spans of the list, with ten of them as a sample. The answer opens a dialog.
    pub fn ask_about_all(&self) {
        let query = BulkQuery { list: self.list.get_untracked(), seed: seed() };
        client::look(|look| look.query.bulk = Some(query));
    }

    /// Decides about all spans of the dialog as one step, and closes it.
    pub fn decide_about_all(&self, decision: Option<Decision>) {
        let Some(Bulk { spans, .. }) = self.bulk.get_untracked() else { return };
        self.bulk.set(None);
        let n = self.decide_by_hand(spans.into_iter().map(|span| (span, decision)).collect(), None);
        self.said.set(Some(match n {
            0 => "Nothing changed.".to_owned(),
            n => format!("{} at once. Undo takes them back.", format::decisions(n)),
        }));
    }

    /// Returns whether this span is shown as the next undecided one.
    pub fn is_next(&self, span: SpanId) -> bool {
        self.next.with_untracked(|next| next.is_some_and(|next| next.span == span))
    }

    /// Shows the next undecided span. If it is shown already and still undecided, skips it.
    pub fn go_on(&self) {
        let skipped = self.next.get_untracked().map(|next| next.span).filter(|&span| self.is_open(span));
        self.listed.set(Listed::Spans);
        client::next(skipped);
    }

    /// Shows a suggestion that is not decided yet, chosen at random.
    pub fn check_one(&self) {
        self.listed.set(Listed::Spans);
        client::look(|look| look.query.sample = Some(seed()));
    }

    /// Takes the worker's answer about a suggestion chosen at random.
    pub fn set_sampled(&self, sampled: Option<SpanId>) {
        match sampled {
            Some(span) => self.checked.update(|checked| add(checked, &[span])),
            None => self.said.set(Some(NOTHING_OPEN.to_owned())),
        }
        self.sampled.set(sampled);
        self.next.set(None);
        self.is_aside.set(true);
    }

    /// Returns whether this span was chosen at random.
    pub fn is_sampled(&self, span: SpanId) -> bool {
        self.sampled.get_untracked() == Some(span)
    }

    /// Decides about all labels of the selected span's sentence as they stand now.
    pub fn settle_sentence(&self) {
        let selected = self.selected.get_untracked();
        client::look(|look| look.query.settle = selected);
    }

    /// Takes the worker's answer about a sentence.
    pub fn take_settled(&self, settled: Vec<(SpanId, Decision)>) {
        let by_hand = settled.into_iter().map(|(span, decision)| (span, Some(decision))).collect();
        let n = self.decide_by_hand(by_hand, None);
        self.note_pace(n);
        self.said.set(Some(match n {
            0 => "All labels of this sentence were decided before.".to_owned(),
            n => format!("This sentence is right as it stands: {}. Undo takes them back.", format::decisions(n)),
        }));
    }

    /// Notes a decision about `n` labels, to know how fast the person decides.
    pub fn note_pace(&self, n: usize) {
        self.pace.update(|pace| pace.decide(js_sys::Date::now(), n));
    }

    /// Takes the worker's answer about the next undecided span.
    pub fn set_next(&self, next: Option<Next>, has_skipped: bool) {
        if next.is_none() {
            let told = if has_skipped { "Only skipped labels are left: Next shows them again." } else { NOTHING_OPEN };
            self.said.set(Some(told.to_owned()));
        }
        self.next.set(next);
        self.is_aside.set(false);
    }

    /// Decides about all spans with the same words and label as this one.
    pub fn decide_alike(&self, span: SpanId, decision: Option<Decision>) {
        self.decide_all(Alike::Span(span), decision);
    }

    /// Decides about all spans of the chosen surface form. Returns whether a form is chosen.
    pub fn decide_form(&self, decision: Option<Decision>) -> bool {
        let Some(form) = self.filter.with_untracked(|filter| filter.form.clone()) else { return false };
        self.decide_all(Alike::Form(form), decision);
        true
    }

    pub(super) fn decide_all(&self, alike: Alike, decision: Option<Decision>) {
        if client::is_opening() {
            self.tell(true, "Nothing was decided, because a file is being opened.".to_owned());
        } else {
            client::look(|look| look.query.decided_alike.push((alike, decision)));
        }
    }

    /// Merges the decisions of several people. If all who decided about a span agree, their decision holds. Otherwise
    /// the span is in dispute.
    pub fn merge(&self, mut reviewers: Vec<Reviewer>) {
        reviewers::rename(&mut reviewers);
        let mut merged = reviewers::merged(&reviewers);
        // Disputes that the person at this page has settled before stay settled.
        let settled = self.reviewing.with_untracked(|reviewing| reviewers::disputed(&reviewing.reviewers));
        self.by_hand.with_untracked(|by_hand| {
            let is_settled = |span: &SpanId| settled.binary_search(span).is_ok() && by_hand.contains_key(span);
            merged.retain(|span, decision| decision.is_some() || !is_settled(span));
        });
        let notes = self.notes.with_untracked(|own| reviewers::notes(own, &reviewers));
        let disputed = merged.values().filter(|decision| decision.is_none()).count();
        let n = format::count((merged.len() - disputed) as u64);
        let names: Vec<&str> = reviewers.iter().map(|reviewer| reviewer.name.as_str()).collect();
        self.tell(
            false,
            format!(
                "The decisions of {} are merged: {n} hold now, {} are in dispute. Your thresholds stay. Undo brings back your decisions.",
                names.join(", "),
                format::count(disputed as u64)
            ),
        );
        self.history.update(History::end_gesture);
        self.apply(Values { by_hand: merged.into_iter().collect(), notes: Some(notes), ..Values::default() }, None);
        self.history.update(History::end_gesture);
        self.set_reviewers(reviewers);
    }

    /// Sets the people whose decisions were merged.
    pub fn set_reviewers(&self, reviewers: Vec<Reviewer>) {
        if reviewers.is_empty() {
            if self.reviewing.with_untracked(|reviewing| reviewing.reviewers.is_empty()) {
                return;
            }
            self.filter_by(|filter| {
                filter.decided.take_if(|decided| *decided == Decided::Disputed);
            });
        }
        self.reviewing.update(|reviewing| reviewing.reviewers = reviewers);
        self.tell_reviewing();
    }

    /// Sets the name of the person, and remembers it.
    pub fn set_name(&self, name: &str) {
        let name = name.trim();
        memory::remember(NAME, (!name.is_empty()).then_some(name));
        self.reviewing.update(|reviewing| reviewing.name = name.to_owned());
        self.tell_reviewing();
    }

    pub(super) fn tell_reviewing(&self) {
        if self.file.with_untracked(Option::is_some) {
            let reviewing = self.reviewing.get_untracked();
            client::look(|look| look.change.reviewing = Some(reviewing));
            self.keep_soon();
        }
    }
}
