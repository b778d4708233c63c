//! Keeps work in progress in the browser's database, under the file's digest. So a reload loses nothing.
//!
//! An address, a file or another tab can replace the work. The replaced work is then set aside in the same record.
//! It is offered each time the file is opened, until the user answers.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use explorer::history::History;
use explorer::review::{Notes, Review};
use explorer::reviewers::Reviewer;
use idb::{Database, DatabaseEvent, Factory, ObjectStore, ObjectStoreParams, TransactionMode};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use shared::corpus::decision::Decision;
use shared::corpus::span::{SpanId, by_span};
use shared::detection::threshold::Settings;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;

use crate::error::in_words;
use crate::format;
use crate::state::{App, Kept};
use crate::{address, client};

const DATABASE: &str = "dynclean";
const STORE: &str = "work";
const TAKE_UP: &str = "Use my work";
/// Delay before changes are stored, so that dragging a line is stored only once.
const PAUSE: Duration = Duration::from_millis(200);

/// The settings and decisions of a person for one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Time of saving, in milliseconds since 1970.
    pub saved_at: f64,
    /// Settings: thresholds, metric, window and the rest.
    pub settings: Settings,
    /// Decisions by hand, by span id. The digest of the record says which enumeration the ids belong to.
    pub by_hand: Vec<(SpanId, Decision)>,
    /// Notes by span.
    #[serde(default)]
    pub notes: Notes,
    /// Suggestions that were chosen at random.
    #[serde(default)]
    pub sampled: Vec<SpanId>,
    /// The people whose decisions were merged.
    #[serde(default)]
    pub reviewers: Vec<Reviewer>,
    /// Identifies the load of the page in which the work was done.
    #[serde(default)]
    pub session: f64,
}

impl Work {
    fn of(app: App) -> Self {
        let Review { by_hand, notes, sampled } = app.review();
        Self {
            saved_at: js_sys::Date::now(),
            settings: app.settings.get_untracked(),
            by_hand: by_hand.into_iter().collect(),
            notes,
            sampled,
            reviewers: app.reviewing.with_untracked(|reviewing| reviewing.reviewers.clone()),
            session: SESSION.with(|&session| session),
        }
    }

    /// Returns whether both have the same settings, decisions, notes and reviewers.
    fn is_like(&self, other: &Self) -> bool {
        (&self.settings, &self.by_hand, &self.notes, &self.reviewers)
            == (&other.settings, &other.by_hand, &other.notes, &other.reviewers)
    }

    /// Returns whether nothing was changed.
    fn is_new(&self, automatic: &Settings) -> bool {
        self.settings == *automatic && self.by_hand.is_empty() && self.notes.is_empty() && self.reviewers.is_empty()
    }

    /// Describes the work: "settings and 12 decisions by hand, 2 notes, last changed 03/05/2026, 14:05:00".
    fn described(&self) -> String {
        let date = js_sys::Date::new(&JsValue::from_f64(self.saved_at));
        let when = String::from(date.to_locale_string("en-GB", &JsValue::UNDEFINED));
        let decisions = format::decisions(self.by_hand.len());
        let notes = match self.notes.iter().count() {
            0 => String::new(),
            1 => ", 1 note".to_owned(),
            n => format!(", {} notes", format::count(n as u64)),
        };
        format!("settings and {decisions} by hand{notes}, last changed {when}")
    }
}

/// Work that an address or a file has brought, while the user has own work on the file.
struct Linked {
    own: Work,
    /// The brought work; `None` until it is applied. As long as the page shows exactly this work, nothing is
    /// stored. Work from a file must be stored at once, so for a file this is the user's own work.
    brought: Option<Work>,
}

thread_local! {
    /// Identifies this load of the page.
    static SESSION: f64 = js_sys::Math::random();
    /// Whether the work on the open file is still being loaded. Nothing is stored until then.
    static IS_LOADING: Cell<bool> = const { Cell::new(false) };
    /// Brought and own work on the open file. Until something is changed, own work stays where it is stored.
    static LINKED: RefCell<Option<Linked>> = const { RefCell::new(None) };
    /// The work from the last `decisions.json`. As long as it is unchanged, it does not count as own work.
    static OF_FILE: RefCell<Option<Work>> = const { RefCell::new(None) };
    /// Times of saving of the work that was loaded: from the database, and from the note.
    static LOADED: RefCell<Vec<f64>> = const { RefCell::new(Vec::new()) };
    /// Whether a change waits to be stored.
    static DUE: Cell<bool> = const { Cell::new(false) };
    /// Number of writes to the database that have not ended.
    static UNDER_WAY: Cell<u32> = const { Cell::new(0) };
}

/// Returns whether there is nothing to lose: no file is open, or it has the automatic settings and nobody has decided
/// anything.
pub fn is_untouched(app: App) -> bool {
    open_file(app).is_none_or(|(_, automatic)| Work::of(app).is_new(&automatic))
}

/// Returns the digest and the automatic settings of the open file.
fn open_file(app: App) -> Option<(String, Settings)> {
    app.file.with_untracked(|f| f.as_ref().map(|f| (f.digest.clone(), f.automatic.clone())))
}

/// Records that the work from the address is applied now.
pub fn is_linked(app: App) {
    let now = Work::of(app);
    let is_own = LINKED.with_borrow_mut(|linked| {
        if let Some(linked) = linked {
            linked.brought = Some(now.clone());
        }
        linked.take_if(|linked| linked.own.is_like(&now)).is_some()
    });
    if is_own {
        // The address has what the person has done: there is nothing to choose between.
        app.notices.update(|notices| notices.retain(|n| n.offer.as_ref().is_none_or(|offer| offer.label != TAKE_UP)));
    }
}

/// Applies the content of a `decisions.json`. Own work is set aside and offered.
pub fn load_file(app: App, settings: Settings, review: Review) {
    let Some((_, automatic)) = open_file(app) else { return };
    // Session 0: such work never replaces work that was set aside before. This may be the second file.
    let own = Work { session: 0.0, ..Work::of(app) };
    let is_own = !own.is_new(&automatic)
        && OF_FILE.with_borrow(|file| file.as_ref().is_none_or(|file| !file.is_like(&own)))
        && LINKED.with_borrow(|linked| linked.is_none());
    app.history.update(History::end_gesture);
    app.replace(settings, review);
    app.set_reviewers(Vec::new());
    let now = Work::of(app);
    if is_own && !own.is_like(&now) {
        offer(app, format!("Your own work was set aside: {}.", own.described()), TAKE_UP, own.clone());
        LINKED.set(Some(Linked { brought: Some(own.clone()), own }));
    }
    OF_FILE.set(Some(now));
}

/// Restores the work on the file that was just opened: from its address, or from the database.
pub fn bring_back(app: App) {
    let Some((digest, automatic)) = open_file(app) else { return };
    IS_LOADING.set(true);
    LINKED.set(None);
    OF_FILE.set(None);
    app.kept.set(Kept::Nothing);
    spawn_local(async move {
        let Stored { work: stored, mut aside } = load(&digest).await.unwrap_or_else(|error| {
            leptos::logging::warn!("work in progress: {}", said_by_database(&error));
            Stored::default()
        });
        if open_file(app).is_none_or(|(open, _)| open != digest) {
            return;
        }
        IS_LOADING.set(false);
        let Stored { work: note, aside: noted_aside } = take_note(&digest);
        LOADED.set([&stored, &note].into_iter().flatten().map(|work| work.saved_at).collect());
        let stored = match note {
            Some(note) if stored.as_ref().is_none_or(|stored| stored.saved_at < note.saved_at) => {
                for own in noted_aside {
                    set_aside(&mut aside, own.clone());
                    write(app, digest.clone(), move |stored| set_aside(&mut stored.aside, own));
                }
                store(app, digest.clone(), note.clone(), &automatic);
                Some(note)
            }
            _ => stored,
        };
        let linked = address::decisions(app, &digest);
        // After a reload, the address has the stored settings, but no decisions by hand and no changes of the last
        // moment.
        let reloaded = linked
            .as_ref()
            .zip(stored.as_ref())
            .is_some_and(|(linked, work)| address::is_own() || linked.is_of(&work.settings));
        match (linked, stored) {
            (Some(linked), stored) if !reloaded => {
                if let Some(own) = stored {
                    let text = format!(
                        "This link has settings of its own. You also have work of your own on this file: {}.",
                        own.described()
                    );
                    offer(app, text, TAKE_UP, own.clone());
                    LINKED.set(Some(Linked { own, brought: None }));
                }
                client::take(linked.json);
            }
            (_, Some(work)) if !work.is_new(&automatic) => {
                let text = format!("Your work on this file is back: {}.", work.described());
                take_up(app, &work);
                app.offer(text, "Start afresh", move |is_wanted| start_afresh(app, is_wanted));
            }
            _ => {}
        }
        let now = Work::of(app);
        for work in aside.into_iter().filter(|aside| !aside.is_like(&now)) {
            let text = format!("Other work of yours on this file was set aside: {}.", work.described());
            offer(app, text, "Use that work", work);
        }
        address::restore_view(app, &digest);
    });
}

/// Offers work that was set aside.
fn offer(app: App, text: String, label: &'static str, work: Work) {
    app.offer(text, label, move |is_wanted| answer(app, &work, is_wanted));
}

/// Returns to the automatic settings, without decisions by hand, if that is wanted.
fn start_afresh(app: App, is_wanted: bool) {
    let automatic = open_file(app).filter(|_| is_wanted).map(|(_, automatic)| automatic);
    if let Some(automatic) = automatic {
        app.replace(automatic, Review::default());
        app.set_reviewers(Vec::new());
    }
}

/// Answers an offer. Accepted work is applied. Refused work can still be reached by undo.
fn answer(app: App, work: &Work, is_wanted: bool) {
    LINKED.with_borrow_mut(|linked| {
        linked.take_if(|linked| linked.own.is_like(work));
    });
    if let Some((digest, _)) = open_file(app) {
        let work = work.clone();
        write(app, digest, move |stored| stored.aside.retain(|other| !other.is_like(&work)));
    }
    let now = Work::of(app);
    take_up(app, work);
    if !is_wanted {
        app.history.update(History::end_gesture);
        take_up(app, &now);
    }
}

/// Applies stored work.
pub fn take_up(app: App, work: &Work) {
    let Work { settings, by_hand, notes, sampled, .. } = work.clone();
    app.replace(settings, Review { by_hand: by_span(by_hand), notes, sampled });
    app.set_reviewers(work.reviewers.clone());
}

/// Stores settings and decisions soon after they have changed. Changes that come close together are stored as one.
pub fn follow(app: App) {
    Effect::new(move |_| {
        if app.kept.get() == Kept::Soon && !DUE.replace(true) {
            set_timeout(move || keep_if_due(app), PAUSE);
        }
    });
}

/// Stores waiting changes now. Called before another file replaces this one.
pub fn keep_if_due(app: App) {
    if DUE.replace(false) {
        keep(app);
    }
}

/// Writes a note when the page is left, if the database does not have everything yet.
pub fn keep_on_leaving(app: App) {
    let handle = window_event_listener(leptos::ev::pagehide, move |_| {
        if (DUE.get() || UNDER_WAY.get() > 0) && may_be_stored(app) {
            note(app);
        }
    });
    std::mem::forget(handle);
}

/// Returns the storage for notes. The database answers too late when the page is left. This storage answers at
/// once, but has room for only a few megabytes.
fn notes() -> Option<web_sys::Storage> {
    window().local_storage().ok().flatten()
}

fn name_of_note(digest: &str) -> String {
    format!("{DATABASE} {STORE} {digest}")
}

fn note(app: App) {
    let Some((digest, _)) = open_file(app) else { return };
    let own = LINKED.with_borrow(|linked| linked.as_ref().map(|linked| linked.own.clone()));
    let stored = Stored { work: Some(Work::of(app)), aside: own.into_iter().collect() };
    if let Some(notes) = notes() {
        // If there is no room, only the content of the database remains.
        let _ = notes.set_item(&name_of_note(&digest), &stored.to_json());
    }
}

fn take_note(digest: &str) -> Stored {
    let name = name_of_note(digest);
    let taken = notes().and_then(|notes| {
        let json = notes.get_item(&name).ok().flatten()?;
        let _ = notes.remove_item(&name);
        Some(Stored::of_json(json))
    });
    taken.unwrap_or_default()
}

/// Stores settings and decisions now.
fn keep(app: App) {
    let Some((digest, automatic)) = open_file(app).filter(|_| may_be_stored(app)) else {
        app.kept.set(Kept::Nothing);
        return;
    };
    if let Some(Linked { own, .. }) = LINKED.take() {
        write(app, digest.clone(), move |stored| set_aside(&mut stored.aside, own));
    }
    store(app, digest, Work::of(app), &automatic);
}

/// Returns whether the current work may replace the stored work.
fn may_be_stored(app: App) -> bool {
    let is_changed = |linked: &Linked| linked.brought.as_ref().is_some_and(|brought| !brought.is_like(&Work::of(app)));
    !IS_LOADING.get() && LINKED.with_borrow(|linked| linked.as_ref().is_none_or(is_changed))
}

fn store(app: App, digest: String, work: Work, automatic: &Settings) {
    let is_new = work.is_new(automatic);
    write(app, digest, move |stored| {
        let is_of_another_tab = |there: &mut Work| {
            there.session != SESSION.with(|&session| session)
                && LOADED.with_borrow(|loaded| !loaded.contains(&there.saved_at))
        };
        if let Some(there) = stored.work.take_if(is_of_another_tab) {
            set_aside(&mut stored.aside, there);
        }
        stored.work = (!is_new).then_some(work);
    });
}

/// Changes the record of a file in the background.
fn write(app: App, digest: String, how: impl FnOnce(&mut Stored) + 'static) {
    UNDER_WAY.set(UNDER_WAY.get() + 1);
    let done = change(digest, Box::new(how));
    spawn_local(async move {
        let is_stored = match done.await {
            Ok(()) => true,
            Err(error) => {
                // Private windows may have no database. The work then lasts as long as the page.
                let what = "This browser does not keep your work. Save your decisions before you leave the page";
                app.tell(true, format!("{what} ({}).", said_by_database(&error)));
                false
            }
        };
        UNDER_WAY.set(UNDER_WAY.get().saturating_sub(1));
        if UNDER_WAY.get() == 0 && !DUE.get() {
            app.kept.set(if is_stored { Kept::Stored } else { Kept::Failed });
        }
    });
}

/// Adds work to the list of work that was set aside.
fn set_aside(aside: &mut Vec<Work>, work: Work) {
    // Keeps only the last work of each session, because another tab may go on working.
    aside.retain(|other| !other.is_like(&work) && (work.session == 0.0 || other.session != work.session));
    aside.push(work);
}

/// Returns what the browser says about an error of its database. All errors that only a fault of this page could cause
/// have the same text. Texts of their own would make the page a third of a percent larger.
fn said_by_database(error: &idb::Error) -> String {
    use idb::Error::{
        DomException, GetFailed, IndexedDbOpenFailed, ObjectStoreNotFound, TransactionCommitError,
        TransactionOpenFailed, UpdateFailed,
    };
    match error {
        DomException(error) => in_words(error),
        GetFailed(error)
        | IndexedDbOpenFailed(error)
        | ObjectStoreNotFound(error)
        | TransactionCommitError(error)
        | TransactionOpenFailed(error)
        | UpdateFailed(error) => in_words(error),
        _ => "its database does not work".to_owned(),
    }
}

async fn database() -> Result<Database, idb::Error> {
    let mut request = Factory::new()?.open(DATABASE, Some(1))?;
    request.on_upgrade_needed(|event| {
        // If there is an error, the request reports it, too.
        if let Ok(database) = event.database() {
            let _ = database.create_object_store(STORE, ObjectStoreParams::new());
        }
    });
    request.await
}

/// The stored record of a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Stored {
    work: Option<Work>,
    aside: Vec<Work>,
}

impl Stored {
    fn of_json(json: String) -> Self {
        // A record that this page cannot read counts as empty.
        serde_json::from_str(&json).unwrap_or_default()
    }

    fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

async fn read(store: &ObjectStore, digest: &JsValue) -> Result<Stored, idb::Error> {
    let json = store.get(digest.clone())?.await?.and_then(|json| json.as_string());
    Ok(json.map_or_else(Stored::default, Stored::of_json))
}

async fn load(digest: &str) -> Result<Stored, idb::Error> {
    let transaction = database().await?.transaction(&[STORE], TransactionMode::ReadOnly)?;
    read(&transaction.object_store(STORE)?, &JsValue::from_str(digest)).await
}

/// Changes the record of a file.
async fn change(digest: String, change: Box<dyn FnOnce(&mut Stored)>) -> Result<(), idb::Error> {
    let transaction = database().await?.transaction(&[STORE], TransactionMode::ReadWrite)?;
    let (store, key) = (transaction.object_store(STORE)?, JsValue::from_str(&digest));
    let mut stored = read(&store, &key).await?;
    change(&mut stored);
    if stored == Stored::default() {
        store.delete(key)?.await?;
    } else {
        store.put(&JsValue::from_str(&stored.to_json()), Some(&key))?.await?;
    }
    transaction.commit()?.await?;
    Ok(())
}
