//! Follows a run that is at work: shows each epoch when it has been recorded, and at the end the whole recording.

use std::cell::RefCell;
use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

use crate::review::{self, Now};
use crate::state::{App, open_beside};
use crate::work;

/// Pause between two questions to the server.
const PAUSE: Duration = Duration::from_secs(3);

thread_local! {
    /// What was offered last, because the person has own decisions about what is shown.
    static OFFERED: RefCell<Option<Now>> = const { RefCell::new(None) };
}

/// Asks again and again, as long as an unfinished recording of the run that `trainer serve` shows is open.
pub fn follow(app: App) {
    set_interval(
        move || {
            if let (Some(address), Some(_)) = (app.review.get_untracked(), unfinished(app)) {
                spawn_local(look(app, address));
            }
        },
        PAUSE,
    );
}

/// Returns the open recording, if it is unfinished and nothing is under way.
fn unfinished(app: App) -> Option<Now> {
    let of = |file: &Option<crate::protocol::Opened>| {
        let file = file.as_ref().filter(|file| !file.complete)?;
        Some(Now { dynamics: file.file.clone(), length: file.size as f64 })
    };
    app.file.with_untracked(of).filter(|_| app.busy.with_untracked(Option::is_none))
}

async fn look(app: App, address: String) {
    let Some(now) = review::now(&address).await else { return };
    if unfinished(app).is_none_or(|shown| shown == now) {
        return;
    }
    if work::is_untouched(app) {
        open_beside(&address, &now.dynamics);
    } else if OFFERED.with_borrow(|offered| offered.as_ref() != Some(&now)) {
        OFFERED.set(Some(now.clone()));
        let text =
            "The run has gone on. Your settings and decisions are about the epochs that you see: save them first.";
        app.offer(text.to_owned(), "Show it", move |is_wanted| {
            if is_wanted {
                open_beside(&address, &now.dynamics);
            }
        });
    }
}
