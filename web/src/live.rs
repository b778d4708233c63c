//! Follows a run that is at work: shows each epoch when it has been recorded, and at the end the whole recording.

use std::cell::RefCell;
use std::time::Duration;

use explorer::filter::Filter;
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

use crate::protocol::Opened;
use crate::review;
use crate::state::{App, Listed, open_beside, review_given};
use crate::work;

/// Pause between two questions to the server.
const PAUSE: Duration = Duration::from_secs(3);

/// A state of the recording: name and length of its file.
type State = (String, f64);

thread_local! {
    /// The state that was shown when a newer one was offered last. One offer is enough.
    static OFFERED: RefCell<Option<State>> = const { RefCell::new(None) };
    /// The state that was tried last while nothing was open. Before the first epoch ends, there is nothing to show.
    static TRIED: RefCell<Option<State>> = const { RefCell::new(None) };
}

/// Asks again and again, as long as the recording of the run that `trainer serve` shows is unfinished.
pub fn follow(app: App) {
    set_interval(
        move || {
            if is_waiting(app)
                && let Some(address) = app.review.get_untracked().or_else(review_given)
            {
                spawn_local(look(app, address));
            }
        },
        PAUSE,
    );
}

/// Returns whether nothing is under way, and nothing finished is open.
fn is_waiting(app: App) -> bool {
    let is_idle = app.busy.with_untracked(Option::is_none);
    is_idle && app.file.with_untracked(|file| file.as_ref().is_none_or(|file| !file.complete))
}

async fn look(app: App, address: String) {
    let Some(now) = review::now(&address).await else { return };
    let now = (now.dynamics, now.length);
    let shown =
        app.file.with_untracked(|file| file.as_ref().map(|Opened { file, size, .. }| (file.clone(), *size as f64)));
    if !is_waiting(app) || shown.as_ref() == Some(&now) {
        return;
    }
    let Some(shown) = shown else {
        if TRIED.replace(Some(now.clone())) != Some(now.clone()) {
            open_beside(&address, &now.0);
        }
        return;
    };
    // A file from elsewhere has nothing to do with the run.
    if app.review.with_untracked(Option::is_none) {
        return;
    }
    if work::is_untouched(app) && is_view_usual(app) {
        open_beside(&address, &now.0);
    } else if OFFERED.replace(Some(shown.clone())) != Some(shown) {
        let text = "The run has gone on. If you show it, your settings and decisions come along.";
        app.offer(text.to_owned(), "Show it", move |is_wanted| {
            if is_wanted {
                spawn_local(show(address.clone()));
            }
        });
    }
}

/// Returns whether the person has not turned to anything in particular.
fn is_view_usual(app: App) -> bool {
    app.filter.with_untracked(Filter::is_empty)
        && app.selected.with_untracked(Option::is_none)
        && app.compared.with_untracked(Option::is_none)
        && app.zoom.with_untracked(Option::is_none)
        && app.listed.get_untracked() == Listed::Spans
}

/// Shows the run as it is now: it may have gone on since it was offered.
async fn show(address: String) {
    if let Some(now) = review::now(&address).await {
        open_beside(&address, &now.dynamics);
    }
}
