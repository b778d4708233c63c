//! Settings of the page itself that the browser remembers, whatever file is open.

use leptos::prelude::window;

/// Returns the value that is stored under this name.
pub fn recall(name: &str) -> Option<String> {
    window().local_storage().ok().flatten()?.get_item(name).ok().flatten()
}

/// Stores a value under this name, or deletes it for `None`. If the browser forbids storage, nothing is stored.
pub fn remember(name: &str, value: Option<&str>) {
    if let Ok(Some(store)) = window().local_storage() {
        let _ = match value {
            Some(value) => store.set_item(name, value),
            None => store.remove_item(name),
        };
    }
}
