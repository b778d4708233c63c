//! Changes of settings and decisions, as steps that can be undone.

use explorer::filter::Filter;
use explorer::history;
use explorer::review::{Notes, Review, add};
use leptos::prelude::*;
use shared::corpus::decision::Decision;
use shared::corpus::span::{SpanId, by_span};
use shared::detection::threshold::Settings;

use super::{App, Kept};
use crate::protocol::List;
use crate::{client, format};

/// The filter, and the list that the table shows.
pub type View = (Filter, List);
pub(super) type Step = history::Step<View>;
pub(super) type Values = history::Values<View>;

impl App {
    /// Changes the settings.
    pub fn change(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.settings.get_untracked();
        change(&mut settings);
        self.apply(Values { settings: Some(settings), ..Values::default() }, None);
    }

    /// Changes decisions by hand, as one step that can be undone. `words` are the words that all decisions are about,
    /// if there are such words. Returns how many decisions changed.
    pub fn decide_by_hand(&self, by_hand: Vec<(SpanId, Option<Decision>)>, words: Option<String>) -> usize {
        self.apply(Values { by_hand, ..Values::default() }, words)
    }

    /// Changes the notes, as a step that can be undone.
    pub fn note(&self, notes: Notes) {
        self.apply(Values { notes: Some(notes), ..Values::default() }, None);
    }

    /// Changes settings, decisions by hand and notes, as one step that can be undone. Returns how many decisions
    /// changed.
    pub(super) fn apply(&self, Values { settings, by_hand, notes, .. }: Values, words: Option<String>) -> usize {
        let now = self.settings.get_untracked();
        let settings = settings.filter(|settings| *settings != now).map(|settings| Box::new((now, settings)));
        let by_hand = self.by_hand.with_untracked(|before| {
            let steps = by_hand.into_iter().map(|(span, after)| (span, before.get(&span).copied(), after));
            steps.filter(|(_, before, after)| before != after).collect()
        });
        // Most changes are about settings, in every frame while a line is dragged: they copy no notes.
        let notes = notes.filter(|notes| self.notes.with_untracked(|before| before != notes));
        let notes = notes.map(|notes| Box::new((self.notes.get_untracked(), notes)));
        let step = Step { settings, by_hand, notes, words, view: None };
        let n = step.by_hand.len();
        if step.is_empty() {
            return n;
        }
        self.said.set(None);
        let values = step.after();
        self.history.update(|history| history.push(step, js_sys::Date::now()));
        self.enact(values);
        n
    }

    /// Replaces all settings, decisions by hand and notes, as one step that can be undone.
    pub fn replace(&self, settings: Settings, Review { by_hand, notes, sampled }: Review) {
        let mut new =
            by_span(self.by_hand.with_untracked(|now| now.keys().map(|&span| (span, None)).collect::<Vec<_>>()));
        new.extend(by_hand.into_iter().map(|(span, decision)| (span, Some(decision))));
        // Suggestions that were chosen at random before still count as such.
        self.checked.update(|checked| add(checked, &sampled));
        client::look(|look| look.change.sampled.extend(sampled));
        let values =
            Values { settings: Some(settings), by_hand: new.into_iter().collect(), notes: Some(notes), view: None };
        self.watch_metric(|| {
            self.apply(values, None);
        });
    }

    /// Returns what the person has decided and noted.
    pub fn review(&self) -> Review {
        Review {
            by_hand: self.by_hand.get_untracked(),
            notes: self.notes.get_untracked(),
            sampled: self.checked.get_untracked(),
        }
    }

    /// Undoes the last change. Returns whether there was one.
    pub fn undo(&self) -> bool {
        let step = self.history.try_update(|history| history.undo()).flatten();
        step.map(|step| self.go(&step, step.before(), "Undone")).is_some()
    }

    /// Redoes the change that was undone last. Returns whether there was one.
    pub fn redo(&self) -> bool {
        let step = self.history.try_update(|history| history.redo()).flatten();
        step.map(|step| self.go(&step, step.after(), "Done again")).is_some()
    }

    /// Applies the values before or after a change. Tells the user what the change was, and shows its span.
    pub(super) fn go(&self, step: &Step, values: Values, how: &str) {
        self.watch_metric(|| self.enact(values));
        let labels = self.file.with_untracked(|f| f.as_ref().map(|f| f.labels.clone()).unwrap_or_default());
        let mut parts = Vec::new();
        if step.settings.is_some() {
            parts.push("settings".to_owned());
        }
        if step.view.is_some() {
            parts.push("filters".to_owned());
        }
        if step.notes.is_some() {
            parts.push("note".to_owned());
        }
        if let [(span, _, first), others @ ..] = step.by_hand.as_slice() {
            let times = format::count(others.len() as u64 + 1);
            parts.extend(step.words.as_ref().map(|words| match others {
                [] => format!("“{words}”"),
                _ => format!("{times} times “{words}”"),
            }));
            parts.push(match first {
                _ if others.iter().any(|(_, _, other)| other != first) => format::decisions(others.len() + 1),
                Some(decision) => format::decision(*decision, &labels),
                None => "decision taken back".to_owned(),
            });
            // Two spans: an entity with its old and new boundaries.
            if others.len() < 2 {
                self.show_span(*span);
            } else if step.words.is_none() {
                parts.push(format!("of {times} spans"));
            }
        }
        self.said.set(Some(format!("{how}: {}", parts.join(" "))));
    }

    pub(super) fn enact(&self, Values { settings, by_hand, notes, view }: Values) {
        if let Some((mut filter, list)) = view {
            // The other recording may have been closed in the meantime.
            let is_compared = self.compared.with_untracked(Option::is_some);
            if !is_compared {
                filter.forget_other();
            }
            self.set_filter(filter);
            if is_compared || list != List::Flips {
                self.list.set(list);
            }
        }
        if settings.is_none() && by_hand.is_empty() && notes.is_none() {
            return;
        }
        if let Some(settings) = &settings {
            self.settings.set(settings.clone());
        }
        if !by_hand.is_empty() {
            self.by_hand.update(|all| {
                for &(span, decision) in &by_hand {
                    match decision {
                        Some(decision) => all.insert(span, decision),
                        None => all.remove(&span),
                    };
                }
            });
        }
        if let Some(notes) = &notes {
            self.notes.set(notes.clone());
        }
        client::look(|look| {
            if settings.is_some() {
                look.change.settings = settings;
            }
            if notes.is_some() {
                look.change.notes = notes;
            }
            look.change.by_hand.extend(by_hand);
        });
        self.keep_soon();
    }

    /// Has settings and decisions stored soon.
    pub fn keep_soon(&self) {
        self.kept.set(Kept::Soon);
    }
}
