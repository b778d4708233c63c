//! Stores the settings and the view in the page's address: `#decisions=…&view=…`.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use explorer::axis::{Axes, Axis};
use explorer::density::Extent;
use explorer::filter::{Decided, Filter};
use explorer::listing::Listing;
use explorer::surface_forms::FormOrder;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use shared::cleaning::{Decisions, share};
use shared::corpus::span::SpanId;
use shared::detection::threshold::Settings;

use crate::protocol::{Colouring, List};
use crate::state::{App, Listed};

/// Delay before the address follows a change. Browsers refuse addresses that change too often.
const PAUSE: Duration = Duration::from_millis(400);

/// The view that an address stores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct View {
    filter: Filter,
    list: List,
    listed: Listed,
    form_order: FormOrder,
    colouring: Colouring,
    log_counts: bool,
    /// Axes of the data map.
    axes: Axes,
    /// The visible part of the data map; `None` shows all of it.
    zoom: Option<Extent>,
    span: Option<SpanId>,
}

impl Default for View {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            list: List::Ranked(Listing { judged_only: true }),
            listed: Listed::Spans,
            form_order: FormOrder::default(),
            colouring: Colouring::Density,
            log_counts: true,
            axes: Axes::default(),
            zoom: None,
            span: None,
        }
    }
}

/// The decisions that an address carries.
pub struct Linked {
    /// The decisions as the text of a `decisions.json`.
    pub json: String,
    decisions: Decisions,
}

impl Linked {
    /// Returns whether the address has no decisions by hand, and these settings.
    pub fn is_of(&self, settings: &Settings) -> bool {
        self.decisions.overrides.is_empty() && self.decisions.settings == *settings
    }
}

thread_local! {
    /// The address (from `#` on) when the page was loaded or when the user changed it. It is removed when its file
    /// is open. From then on, the address only follows the view.
    static GIVEN: RefCell<Option<String>> = const { RefCell::new(None) };
    /// The address (from `#` on) that the page read or wrote last.
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
    /// Whether the page itself had written that address, so that the page was only reloaded.
    static IS_OWN: Cell<bool> = const { Cell::new(false) };
}

/// The history state that marks an address as written by the page. It survives a reload.
const OWN: &str = "dynclean";

/// Largest number of corners of an area on the data map. More would take too long, and nobody draws so many.
const MOST_CORNERS: usize = 4096;

fn given() -> Option<String> {
    GIVEN.with_borrow(Clone::clone)
}

fn hash() -> Option<String> {
    window().location().hash().ok().filter(|hash| !hash.is_empty())
}

/// Reads the address now and whenever the user changes it, and then calls `on_change`.
pub fn read(on_change: impl Fn() + 'static) {
    let take = || {
        GIVEN.set(hash());
        LAST.set(hash());
        let state = window().history().and_then(|history| history.state());
        IS_OWN.set(state.is_ok_and(|state| state.as_string().as_deref() == Some(OWN)));
    };
    take();
    let handle = window_event_listener(leptos::ev::hashchange, move |_| {
        take();
        on_change();
    });
    std::mem::forget(handle);
}

/// Returns whether the page wrote the address itself before a reload. Otherwise the address is a link.
pub fn is_own() -> bool {
    IS_OWN.get()
}

/// Returns the decisions in the address. If they are about a file with another digest or cannot be read, tells the
/// user and returns `None`.
pub fn decisions(app: App, digest: &str) -> Option<Linked> {
    let json = share::decisions_of(&given()?)?;
    match Decisions::read(json.as_bytes(), digest) {
        Ok(decisions) => Some(Linked { json, decisions }),
        Err(error) => {
            app.tell(false, format!("The settings in the page's address were not used: {error}."));
            None
        }
    }
}

/// Returns the digest of the file that the address is about.
pub fn digest() -> Option<String> {
    let json = share::decisions_of(&given()?)?;
    serde_json::from_str::<Decisions>(&json).ok().map(|decisions| decisions.dynamics)
}

/// Shows the view that the address stores, if the address is about the file with the digest `of`.
pub fn restore_view(app: App, of: &str) {
    if digest().as_deref() != Some(of) {
        return;
    }
    let given = GIVEN.take().unwrap_or_default();
    if let Some(json) = share::part(&given, "view=") {
        show_view(app, &json);
    }
}

/// Shows a view, given as the JSON of [`view_json`]. A text that is not a view changes nothing.
pub fn show_view(app: App, json: &str) {
    let Ok(view) = serde_json::from_str::<View>(json) else { return };
    let mut filter = view.filter;
    if filter.forget_other() {
        app.tell(
            false,
            "The link is about a comparison, and the other file is not open. Filters that need it are left out."
                .to_owned(),
        );
    }
    if app.reviewing.with_untracked(|reviewing| reviewing.reviewers.is_empty()) {
        // Without merged decisions, nothing is in dispute.
        filter.decided.take_if(|decided| *decided == Decided::Disputed);
    }
    if filter.region.len() > MOST_CORNERS {
        filter.region.clear();
    }
    app.set_filter(filter);
    app.listed.set(view.listed);
    app.form_order.set(view.form_order);
    if view.list != List::Flips {
        app.list.set(view.list);
    }
    app.map_colouring.set(view.colouring);
    app.log_counts.set(view.log_counts);
    // Axes of a comparison are left out, because the other recording is not open.
    if !view.axes.compare() {
        app.axes.set(view.axes);
        app.zoom.set(view.zoom.filter(|part| is_shown(part, view.axes)));
    }
    if let Some(span) = view.span {
        app.select(span);
    }
}

/// Returns whether this part of a map with these axes can be drawn. An address may contain any numbers.
fn is_shown(part: &Extent, axes: Axes) -> bool {
    // The real ranges of AUMs and epochs are not known yet, so wide ones are used.
    let whole = |axis: Axis| axis.range(u32::from(u16::MAX), [(-1e5, 1e5); 2]);
    let inside = |(low, high): (f32, f32), (least, most): (f32, f32)| {
        low >= least && high <= most && high - low >= 0.9e-3 * (most - least).min(1.0)
    };
    inside(part.x, whole(axes.x)) && inside(part.y, whole(axes.y))
}

thread_local! {
    /// Whether the address is going to be updated.
    static DUE: Cell<bool> = const { Cell::new(false) };
    /// Whether the address is a complete link that was made after the last change. Such an address stays.
    static SHARED: Cell<bool> = const { Cell::new(false) };
}

/// Updates the address when the view or the settings change.
pub fn follow(app: App) {
    Effect::new(move |_| {
        // Reads both, so that the effect runs when either of them changes.
        let (_, _) = (view(app), app.settings.get());
        SHARED.set(false);
        if app.file.with(Option::is_none) || DUE.replace(true) {
            return;
        }
        set_timeout(
            move || {
                DUE.set(false);
                // Another address than the last one: the user has just changed it, and the browser is about to say so.
                if SHARED.get() || LAST.with_borrow(|last| *last != hash()) {
                    return;
                }
                if let Some(decisions) = app.file.with_untracked(|f| f.as_ref().map(|f| f.digest.clone())) {
                    let decisions = Decisions::new(decisions, app.settings.get_untracked());
                    replace(&with_view(app, &share::fragment(&decisions).0));
                }
            },
            PAUSE,
        );
    });
}

fn view(app: App) -> View {
    View {
        filter: app.filter.get(),
        list: app.list.get(),
        listed: app.listed.get(),
        form_order: app.form_order.get(),
        colouring: app.map_colouring.get(),
        log_counts: app.log_counts.get(),
        axes: app.axes.get(),
        zoom: app.zoom.get().filter(|part| is_shown(part, app.axes.get())),
        span: app.selected.get(),
    }
}

/// Returns the view as JSON.
pub fn view_json(app: App) -> String {
    serde_json::to_string(&untrack(|| view(app))).unwrap_or_default()
}

fn with_view(app: App, fragment: &str) -> String {
    format!("#{fragment}&view={}", share::escape(&view_json(app)))
}

fn replace(address: &str) {
    // The browser refuses this if addresses change too often. The next change writes the address again.
    let _ = window().history().and_then(|history| history.replace_state_with_url(&OWN.into(), "", Some(address)));
    LAST.set(hash());
}

/// Puts the complete link into the address bar and on the clipboard.
pub fn share(app: App, fragment: &str, complete: bool) {
    replace(&with_view(app, fragment));
    SHARED.set(true);
    if !complete {
        app.tell(
            false,
            "A link has room for 200 decisions, and you made more. So it has the settings only: send decisions.json along."
                .to_owned(),
        );
    }
    let address = window().location().href().unwrap_or_default();
    let same = if app.filter.get_untracked().forget_other() {
        " Filters that need the other file are not in it."
    } else if complete {
        " Whoever opens the same file with it sees the same numbers."
    } else {
        ""
    };
    wasm_bindgen_futures::spawn_local(async move {
        let clipboard = window().navigator().clipboard();
        // A page that came by plain http from another machine has no clipboard.
        let is_written = !clipboard.is_undefined()
            && wasm_bindgen_futures::JsFuture::from(clipboard.write_text(&address)).await.is_ok();
        if is_written {
            app.tell(false, format!("The link is on the clipboard.{same}"));
        } else {
            app.tell_link(format!("The browser does not allow copying. Copy the link by hand.{same}"), address);
        }
    });
}
