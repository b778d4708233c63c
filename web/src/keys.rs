//! Keyboard shortcuts. They work wherever the focus is, except where a key has its own meaning.

use leptos::ev;
use leptos::prelude::*;
use shared::corpus::decision::Decision;
use shared::corpus::labels::LabelId;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, KeyboardEvent};

use crate::state::{App, Listed};

/// The keys and their effects, for the help.
pub const KEYS: &[(&str, &str)] = &[
    ("J or ↓, K or ↑", "next, previous row of the list. If the selected row is out of sight: the first row in sight"),
    ("N", "the next undecided label: first those where one decision corrects most. If it is still undecided: skip it"),
    ("C", "check one suggestion chosen at random. After a decision the next one comes"),
    ("S", "the sentence is right as it stands: all its labels stay as they are now"),
    ("H, L", "move the left, the right end of the entity outwards; with Shift inwards"),
    (
        "W",
        "list words instead of spans, and back. In the list of words, a key decides about all spans with the same words",
    ),
    ("A", "the label is right: keep it, and go on to the next row"),
    ("X", "not sure: remove the label, so that no model learns from it, and go on"),
    ("1 … 9", "change the label to this entity type, and go on. 0 is O, no entity"),
    ("R", "show all types. A letter goes to the next type that begins with it, Enter takes it"),
    ("Q", "unsure: leave a note for later, and go on"),
    ("U", "take your decision back"),
    ("Shift + A, X, R, U", "the same for all spans with the same words and label"),
    ("Ctrl + Z, Ctrl + Shift + Z", "undo, redo (on a Mac: ⌘)"),
    ("/", "search"),
    ("Esc", "clear all filters (undo brings them back), or close a menu"),
    ("?", "this help"),
    ("Tab, then ← →", "move a threshold. Shift: small steps. Page up and down: large steps"),
    ("Tab, then arrows", "move the edge between two panels"),
    ("Tab, then ← → ↑ ↓, +, −, 0", "on the map: move it, zoom in, zoom out, show all"),
];

/// Listens to the keyboard for as long as the page exists.
pub fn listen(app: App) {
    let handle = window_event_listener(ev::keydown, move |event: KeyboardEvent| {
        if app.file.with_untracked(Option::is_none) || app.is_in_dialog() || event.default_prevented() {
            return;
        }
        let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
        // In a menu, keys act on its entries.
        if target.as_ref().is_some_and(|target| target.closest("[role=menu]").ok().flatten().is_some()) {
            return;
        }
        if on_key(app, &event, target.as_ref()) {
            event.prevent_default();
        }
    });
    std::mem::forget(handle);
    leave_lists();
}

/// Takes the focus away from a list after a choice with the mouse, so that the next key acts on the spans.
fn leave_lists() {
    let by_mouse = StoredValue::new(false);
    let mouse = window_event_listener(ev::pointerdown, move |_| by_mouse.set_value(true));
    let keys = window_event_listener(ev::keydown, move |_| by_mouse.set_value(false));
    let change = window_event_listener(ev::change, move |event| {
        let list = event.target().and_then(|target| target.dyn_into::<web_sys::HtmlSelectElement>().ok());
        if let Some(list) = list.filter(|_| by_mouse.get_value()) {
            let _ = list.blur();
        }
    });
    std::mem::forget((mouse, keys, change));
}

/// Returns whether keys typed in this element enter text or choose from a list.
fn is_field(target: &Element) -> bool {
    target.matches("input:not([type=checkbox]):not([type=file]), select, textarea").unwrap_or(false)
}

fn on_key(app: App, event: &KeyboardEvent, target: Option<&Element>) -> bool {
    let in_field = target.is_some_and(is_field);
    let key = event.key();
    if event.ctrl_key() || event.meta_key() {
        // A field has its own undo.
        return !in_field
            && match (key.to_lowercase().as_str(), event.shift_key()) {
                ("z", false) => app.undo(),
                ("z", true) | ("y", false) => app.redo(),
                _ => false,
            };
    }
    if event.alt_key() {
        return false;
    }
    if in_field {
        // Esc leaves the search field, so that keys act on the spans again.
        if key == "Escape"
            && let Some(field) = target.and_then(|t| t.dyn_ref::<HtmlElement>())
        {
            let _ = field.blur();
            return true;
        }
        return false;
    }
    // Users who dictate, or who hit keys by accident, can switch these keys off (WCAG 2.1.4).
    if key.chars().count() == 1 && !app.letters.get_untracked() {
        return false;
    }
    let is_slider = target.is_some_and(|t| t.get_attribute("role").as_deref() == Some("slider"));
    match key.as_str() {
        "j" | "J" => step(app, 1),
        "k" | "K" => step(app, -1),
        "ArrowDown" if !is_slider => step(app, 1),
        "ArrowUp" if !is_slider => step(app, -1),
        "n" | "N" => app.go_on(),
        "c" | "C" => app.check_one(),
        "s" | "S" => app.settle_sentence(),
        "q" | "Q" => app.ask_for_note(),
        "h" => app.move_edge(-1, 0),
        "H" => app.move_edge(1, 0),
        "l" => app.move_edge(0, 1),
        "L" => app.move_edge(0, -1),
        "w" | "W" => app.listed.set(if app.lists_words() { Listed::Spans } else { Listed::Words }),
        "/" => {
            if let Some(search) = element("search") {
                let _ = search.focus();
            }
        }
        // In the word list, or with Shift, acts on all spans with the same words if there is more than one.
        "r" | "R" => {
            let is_one = !app.lists_words() && !event.shift_key();
            let all = (!is_one).then(|| element("relabel-all")).flatten();
            // A menu that is folded away would open unseen, and the next letter would decide.
            if let Some(button) = all.or_else(|| element("relabel")).filter(|button| button.offset_width() > 0) {
                button.click();
            }
        }
        "?" => app.help.set(true),
        "Escape" => app.clear_filter(),
        _ => return decide(app, &key, event.shift_key()),
    }
    true
}

fn step(app: App, by: isize) {
    if app.lists_words() { app.step_form(by) } else { app.step(by) }
}

/// Returns the element with this test id.
fn element(id: &str) -> Option<HtmlElement> {
    document().query_selector(&format!("[data-testid='{id}']")).ok().flatten()?.dyn_into().ok()
}

/// Handles a key that decides: A keeps, X removes, a digit relabels, U goes back to the rules. It acts on the
/// selected span or on all spans like it.
fn decide(app: App, key: &str, all_alike: bool) -> bool {
    let n_labels = app.file.with_untracked(|f| f.as_ref().map_or(0, |f| f.labels.len()));
    let decision = match key {
        "a" | "A" => Some(Decision::Keep),
        "x" | "X" => Some(Decision::Remove),
        "u" | "U" => None,
        _ => match key.parse::<LabelId>() {
            Ok(label) if usize::from(label) < n_labels => Some(Decision::Relabel(label)),
            _ => return false,
        },
    };
    if app.lists_words() {
        let is_chosen = app.decide_form(decision);
        if decision.is_some() && app.chosen_form().is_some() {
            app.step_form(1);
        }
        return is_chosen;
    }
    let Some(span) = app.selected.get_untracked() else { return false };
    if all_alike && key.chars().all(char::is_alphabetic) {
        app.decide_alike(span, decision);
    } else {
        let goes_on = decision.is_some() && !app.is_aside.get_untracked() && !app.is_next(span);
        app.decide(span, decision);
        if goes_on {
            app.step(1);
        }
    }
    true
}
