//! What a browser remembers of the page itself, whatever file is open.

use leptos::prelude::window;

/// What is remembered under this name.
pub fn recall(name: &str) -> Option<String> {
    window().local_storage().ok().flatten()?.get_item(name).ok().flatten()
}

/// Remembers a value, or forgets it. Where storage is forbidden, it lasts as long as the page.
pub fn remember(name: &str, value: Option<&str>) {
    if let Ok(Some(store)) = window().local_storage() {
        let _ = match value {
            Some(value) => store.set_item(name, value),
            None => store.remove_item(name),
        };
    }
}
