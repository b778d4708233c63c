//! The span that is selected, in the table, in the sentence and among the words.

use explorer::same_form::Form;
use explorer::sentence::{Chosen, Layer};
use explorer::surface_forms::FormRow;
use leptos::prelude::*;
use shared::corpus::span::SpanId;

use super::App;
use crate::client;
use crate::protocol::Detail;

impl App {
    /// Shows a span in detail.
    pub fn select(&self, span: SpanId) {
        self.selected.set(Some(span));
        self.is_aside.set(false);
        client::look(|look| {
            look.query.detail = Some(span);
            look.query.pick = None;
        });
    }

    /// Selects a span. Scrolls to its row if the row is loaded.
    pub(super) fn show_span(&self, span: SpanId) {
        self.select(span);
        if let Some(at) = self.rows.with_untracked(|rows| rows.rows.iter().position(|row| row.id == span)) {
            self.scroll_to.set(Some(self.rows.with_untracked(|rows| rows.offset) + at));
        }
    }

    /// Selects the next (1) or previous (−1) span of the table. If no visible span is selected, selects the first
    /// visible one.
    pub fn step(&self, by: isize) {
        let (is_to_come, target) = self.rows.with_untracked(|rows| {
            let selected = self.selected.get_untracked();
            let now = rows.rows.iter().position(|row| Some(row.id) == selected).map(|at| rows.offset + at);
            let now = self.in_sight(now);
            let number = self.beside(now, by);
            let row = number.and_then(|number| rows.rows.get(number.checked_sub(rows.offset)?));
            let is_to_come = now.is_none() && number.is_some_and(|number| number < rows.total);
            (is_to_come, row.map(|row| row.id).zip(number))
        });
        match target {
            Some((span, number)) => {
                self.select(span);
                self.scroll_to.set(Some(number));
            }
            // The visible rows are not loaded yet. Nothing is selected, so that the next key does not act on a
            // span out of sight.
            None if is_to_come => self.selected.set(None),
            None => {}
        }
    }

    /// Selects a span of the sentence that is shown.
    pub fn choose(&self, start: u32, end: u32) {
        match self.detail.with_untracked(|detail| detail.as_ref().and_then(|detail| detail.sentence.id(start, end))) {
            Some(span) => {
                self.select(span);
                self.is_aside.set(true);
            }
            None => self.said.set(Some("This span is too long to decide about it.".to_owned())),
        }
    }

    /// Selects the entity at a token of the sentence, or the token alone.
    pub fn choose_at(&self, token: u32) {
        let layer = Layer::ALL[self.layer.get_untracked() % Layer::ALL.len()];
        let span = self.detail.with_untracked(|detail| detail.as_ref().map(|detail| detail.sentence.at(layer, token)));
        if let Some((start, end)) = span {
            self.choose(start, end);
        }
    }

    /// Moves the start and the end of the selected span by so many tokens. An entity takes its type along.
    pub fn move_edge(&self, start_by: i32, end_by: i32) {
        let moved = self.detail.with_untracked(|detail| {
            let detail = detail.as_ref().filter(|detail| self.selected.get_untracked() == Some(detail.row.id))?;
            let Detail { start, end, by_rule, .. } = *detail;
            detail.sentence.moved(Chosen { start, end, decision: detail.row.decision, by_rule }, start_by, end_by)
        });
        if let Some((span, decisions)) = moved {
            if !decisions.is_empty() {
                self.layer.set(Layer::Cleaned as usize);
                self.decide_by_hand(decisions, None);
            }
            self.select(span);
            self.is_aside.set(true);
        }
    }

    /// Returns the chosen surface form and its number, if it is loaded.
    pub fn chosen_form(&self) -> Option<(usize, FormRow)> {
        let chosen = self.filter.with_untracked(|filter| filter.form.clone())?;
        self.forms.with_untracked(|forms| {
            let mut rows = (forms.offset..).zip(&forms.rows);
            rows.find(|(_, row)| is_of(row, &chosen)).map(|(number, row)| (number, row.clone()))
        })
    }

    /// Chooses a surface form, and shows its most suspicious span in detail.
    pub fn choose_form(&self, row: &FormRow) {
        self.filter_by(|filter| filter.form = Some(Form { words: row.words.clone(), label: row.label }));
        self.select(row.lowest.0);
    }

    /// Chooses the next (1) or previous (−1) surface form of the list. If no visible form is chosen, chooses the
    /// first visible one.
    pub fn step_form(&self, by: isize) {
        let next = self.beside(self.in_sight(self.chosen_form().map(|(number, _)| number)), by);
        let row = self.forms.with_untracked(|forms| {
            let at = next?.checked_sub(forms.offset)?;
            forms.rows.get(at).cloned()
        });
        if let (Some(number), Some(row)) = (next, row) {
            self.choose_form(&row);
            self.scroll_to.set(Some(number));
        }
    }

    /// Returns this row if it is visible.
    pub(super) fn in_sight(&self, row: Option<usize>) -> Option<usize> {
        let (first, n) = self.sight.get_untracked();
        row.filter(|row| (first..first + n).contains(row))
    }

    /// Returns the number of the row after (1) or before (−1) this one. Without a row, returns the first visible
    /// one.
    pub(super) fn beside(&self, row: Option<usize>, by: isize) -> Option<usize> {
        row.map_or(Some(self.sight.get_untracked().0), |row| row.checked_add_signed(by))
    }
}

/// Returns whether a row is about this form.
pub fn is_of(row: &FormRow, form: &Form) -> bool {
    row.label == form.label && row.words == form.words
}
