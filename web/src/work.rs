//! Work in progress, kept in the browser's database under the file's digest: nothing is lost when the
//! page is reloaded.

use std::cell::Cell;
use std::time::Duration;

use idb::{Database, DatabaseEvent, Factory, ObjectStoreParams, TransactionMode};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use shared::judge::Decision;
use shared::span::SpanId;
use shared::threshold::Settings;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;

use crate::format;
use crate::state::{Act, App};
use crate::{address, link};

const DATABASE: &str = "dynclean";
const STORE: &str = "work";
/// Dragging a line is stored once.
const PAUSE: Duration = Duration::from_millis(200);

/// What a person has set and decided about one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// When, in milliseconds since 1970.
    pub saved_at: f64,
    /// Thresholds and all that.
    pub settings: Settings,
    /// Decisions by hand, by span id: the digest says of which enumeration.
    pub by_hand: Vec<(SpanId, Decision)>,
}

impl Work {
    fn of(app: App) -> Self {
        let by_hand = app.by_hand.with_untracked(|by_hand| by_hand.iter().map(|(&span, &d)| (span, d)).collect());
        Self { saved_at: js_sys::Date::now(), settings: app.settings.get_untracked(), by_hand }
    }

    /// In words: "12 decisions by hand, of 3 May 2026, 14:05".
    fn described(&self) -> String {
        let date = js_sys::Date::new(&JsValue::from_f64(self.saved_at));
        let when = String::from(date.to_locale_string("en-GB", &JsValue::UNDEFINED));
        let n = format::count(self.by_hand.len() as u64);
        format!("settings and {n} decisions by hand, last changed {when}")
    }
}

thread_local! {
    /// While an offer waits for its answer, what was stored is not overwritten.
    static HELD: Cell<bool> = const { Cell::new(false) };
    /// Whether a change is still to be stored.
    static DUE: Cell<bool> = const { Cell::new(false) };
    /// Writes to the database that have not ended.
    static UNDER_WAY: Cell<u32> = const { Cell::new(0) };
}

/// Answers the offer of stored work.
pub fn release() {
    HELD.set(false);
}

/// Brings back what was done on the file that was just opened: what its address says, or what is stored.
pub fn bring_back(app: App) {
    HELD.set(true);
    let Some((digest, automatic)) =
        app.file.with_untracked(|f| f.as_ref().map(|f| (f.digest.clone(), f.automatic.clone())))
    else {
        return;
    };
    spawn_local(async move {
        let stored = match load(&digest).await {
            Ok(stored) => stored,
            Err(error) => {
                leptos::logging::warn!("work in progress: {error}");
                None
            }
        };
        let stored = match take_note(&digest) {
            Some(note) if stored.as_ref().is_none_or(|stored| stored.saved_at < note.saved_at) => {
                store(digest.clone(), note.clone(), &automatic);
                Some(note)
            }
            _ => stored,
        };
        let is_open = app.file.with_untracked(|f| f.as_ref().is_some_and(|f| f.digest == digest));
        if !is_open {
            return;
        }
        HELD.set(false);
        let linked = address::decisions(app, &digest);
        // The address of a page that is reloaded says what is stored, less the decisions by hand, and less what
        // was changed in the last moment.
        let reloaded = linked
            .as_ref()
            .zip(stored.as_ref())
            .is_some_and(|(linked, work)| address::was_reloaded() || linked.is_of(work));
        match (linked, stored) {
            (Some(linked), stored) if !reloaded => {
                link::take(linked.json);
                if let Some(work) = stored {
                    HELD.set(true);
                    let text = format!(
                        "The address brought its own settings. You have work of your own on this file: {}.",
                        work.described()
                    );
                    app.offer(text, "Take up mine", Act::TakeUp(Box::new(work)));
                }
            }
            (_, Some(work)) if work.settings != automatic || !work.by_hand.is_empty() => {
                let text = format!("Your work on this file is back: {}.", work.described());
                take_up(app, &work);
                app.offer(text, "Start afresh", Act::StartAfresh);
            }
            _ => {}
        }
        address::restore_view(app, &digest);
    });
}

/// Lets stored work hold.
pub fn take_up(app: App, work: &Work) {
    let kept: std::collections::BTreeMap<SpanId, Decision> = work.by_hand.iter().copied().collect();
    let gone = app.by_hand.with_untracked(|now| {
        now.keys().filter(|span| !kept.contains_key(span)).map(|&span| (span, None)).collect::<Vec<_>>()
    });
    let by_hand = gone.into_iter().chain(kept.into_iter().map(|(span, decision)| (span, Some(decision))));
    app.apply(Some(work.settings.clone()), by_hand.collect());
}

/// Stores what is set and decided now, changes that come close together at once.
pub fn keep_soon(app: App) {
    if !DUE.replace(true) {
        set_timeout(move || keep_if_due(app), PAUSE);
    }
}

/// Stores at once what is still due: before another file takes the place of this one.
pub fn keep_if_due(app: App) {
    if DUE.replace(false) {
        keep(app);
    }
}

/// Notes what has not reached the database when the page is left.
pub fn keep_on_leaving(app: App) {
    let handle = window_event_listener(leptos::ev::pagehide, move |_| {
        if (DUE.get() || UNDER_WAY.get() > 0) && !HELD.get() {
            note(app);
        }
    });
    std::mem::forget(handle);
}

/// The database answers later, when the page is gone; this storage answers at once, but has room for a few
/// megabytes only.
fn notes() -> Option<web_sys::Storage> {
    window().local_storage().ok().flatten()
}

fn name_of_note(digest: &str) -> String {
    format!("{DATABASE} {STORE} {digest}")
}

fn note(app: App) {
    let Some(digest) = app.file.with_untracked(|f| f.as_ref().map(|f| f.digest.clone())) else { return };
    if let (Some(notes), Ok(json)) = (notes(), serde_json::to_string(&Work::of(app))) {
        // Where there is no room, what is in the database is what remains.
        let _ = notes.set_item(&name_of_note(&digest), &json);
    }
}

fn take_note(digest: &str) -> Option<Work> {
    let (notes, name) = (notes()?, name_of_note(digest));
    let json = notes.get_item(&name).ok().flatten()?;
    let _ = notes.remove_item(&name);
    serde_json::from_str(&json).ok()
}

/// Stores what is set and decided now.
pub fn keep(app: App) {
    if HELD.get() {
        return;
    }
    let Some((digest, automatic)) =
        app.file.with_untracked(|f| f.as_ref().map(|f| (f.digest.clone(), f.automatic.clone())))
    else {
        return;
    };
    store(digest, Work::of(app), &automatic);
}

fn store(digest: String, work: Work, automatic: &Settings) {
    let is_new = work.settings == *automatic && work.by_hand.is_empty();
    UNDER_WAY.set(UNDER_WAY.get() + 1);
    spawn_local(async move {
        if let Err(error) = save(&digest, (!is_new).then_some(&work)).await {
            // Private windows may have no database: the work then lasts as long as the page.
            leptos::logging::warn!("work in progress: {error}");
        }
        UNDER_WAY.set(UNDER_WAY.get().saturating_sub(1));
    });
}

async fn database() -> Result<Database, idb::Error> {
    let mut request = Factory::new()?.open(DATABASE, Some(1))?;
    request.on_upgrade_needed(|event| {
        // The error, if there is one, comes with the request.
        if let Ok(database) = event.database() {
            let _ = database.create_object_store(STORE, ObjectStoreParams::new());
        }
    });
    request.await
}

async fn load(digest: &str) -> Result<Option<Work>, idb::Error> {
    let transaction = database().await?.transaction(&[STORE], TransactionMode::ReadOnly)?;
    let stored = transaction.object_store(STORE)?.get(JsValue::from_str(digest))?.await?;
    // What an older page stored and this one cannot read is as good as nothing.
    Ok(stored.and_then(|json| json.as_string()).and_then(|json| serde_json::from_str(&json).ok()))
}

async fn save(digest: &str, work: Option<&Work>) -> Result<(), idb::Error> {
    let transaction = database().await?.transaction(&[STORE], TransactionMode::ReadWrite)?;
    let store = transaction.object_store(STORE)?;
    let key = JsValue::from_str(digest);
    match work {
        Some(work) => {
            let json = serde_json::to_string(work).unwrap_or_default();
            store.put(&JsValue::from_str(&json), Some(&key))?.await?;
        }
        None => store.delete(key)?.await?,
    }
    transaction.commit()?.await?;
    Ok(())
}
