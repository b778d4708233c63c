//! Dialogs over the page.

use leptos::html::Dialog;
use leptos::prelude::*;

/// Returns the reference of a `<dialog>` that is open as long as `is_open` says so.
pub fn modal(is_open: impl Fn() -> bool + 'static) -> NodeRef<Dialog> {
    let dialog = NodeRef::<Dialog>::new();
    Effect::new(move |_| {
        let Some(dialog) = dialog.get() else { return };
        match (is_open(), dialog.open()) {
            (true, false) => {
                if let Err(error) = dialog.show_modal() {
                    leptos::logging::warn!("dialog: {error:?}");
                }
            }
            (false, true) => dialog.close(),
            _ => {}
        }
    });
    dialog
}
