//! The light or dark theme. It follows the system until the user chooses.

use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use web_sys::MediaQueryListEvent;

use crate::memory;

const KEY: &str = "dynclean-theme";

/// Returns whether the page is dark. The signal follows the system until the user changes the theme.
pub fn watch() -> RwSignal<bool> {
    let window = window();
    let system = window.match_media("(prefers-color-scheme: dark)").ok().flatten();
    let dark = RwSignal::new(system.as_ref().is_some_and(|query| query.matches()));
    match memory::recall(KEY).as_deref() {
        Some(choice) => apply(dark, choice == "dark"),
        None => {
            if let Some(query) = system {
                let follow = Closure::<dyn FnMut(MediaQueryListEvent)>::new(move |event: MediaQueryListEvent| {
                    let root = document().document_element();
                    if !root.is_some_and(|root| root.has_attribute("data-theme")) {
                        dark.set(event.matches());
                    }
                });
                query.set_onchange(Some(follow.as_ref().unchecked_ref()));
                follow.forget();
            }
        }
    }
    dark
}

/// Changes the theme and remembers it.
pub fn toggle(dark: RwSignal<bool>) {
    let now = !dark.get_untracked();
    apply(dark, now);
    memory::remember(KEY, Some(name(now)));
}

fn apply(dark: RwSignal<bool>, now: bool) {
    if let Some(root) = document().document_element() {
        // Setting an attribute with a valid name does not fail.
        let _ = root.set_attribute("data-theme", name(now));
    }
    dark.set(now);
}

fn name(dark: bool) -> &'static str {
    if dark { "dark" } else { "light" }
}
