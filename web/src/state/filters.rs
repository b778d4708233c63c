//! The filter on spans.

use explorer::filter::{Decided, Filter};
use explorer::listing::Listing;
use leptos::prelude::*;

use super::App;
use super::changes::Step;
use crate::client;
use crate::protocol::List;

impl App {
    /// Sets the filter.
    pub fn set_filter(&self, filter: Filter) {
        let before = self.filter.get_untracked();
        if filter != before {
            if filter.decided != before.decided {
                // A filter by decision also chooses the list.
                if before.decided.is_none() {
                    self.list_before.set(self.list.get_untracked());
                }
                self.list.set(match filter.decided {
                    None => self.list_before.get_untracked(),
                    Some(Decided::ByHand) => List::ByHand,
                    Some(Decided::Differently) => List::Flips,
                    Some(_) => List::Ranked(Listing { judged_only: false }),
                });
            }
            self.filter.set(filter.clone());
            client::look(|look| look.change.filter = Some(filter));
        }
    }

    /// Sets the filter and the list, as one step that can be undone.
    pub fn replace_filter(&self, filter: Filter, list: Option<List>) {
        let view = || (self.filter.get_untracked(), self.list.get_untracked());
        let before = view();
        self.set_filter(filter);
        if let Some(list) = list {
            self.list.set(list);
        }
        if view() != before {
            let step = Step { view: Some(Box::new((before, view()))), ..Step::default() };
            self.history.update(|history| history.push(step, 0.0));
        }
    }

    /// Clears the filter, as one step that can be undone.
    pub fn clear_filter(&self) {
        if self.filter.with_untracked(|filter| !filter.is_empty()) {
            self.replace_filter(Filter::default(), None);
            self.said.set(Some("All filters are cleared; undo brings them back.".to_owned()));
        }
    }

    /// Changes a part of the filter.
    pub fn filter_by(&self, change: impl FnOnce(&mut Filter)) {
        let mut filter = self.filter.get_untracked();
        change(&mut filter);
        self.set_filter(filter);
    }
}
