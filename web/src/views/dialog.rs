//! Dialogs over the page.

use leptos::html::Dialog;
use leptos::prelude::*;

use crate::state::App;

/// Makes a dialog over the page, open as long as `is_open` says so. Esc closes it, and keys act on nothing behind it.
/// `name` begins its test ids, and `closes` is the text of the button that closes it.
// Generic, because views of any type (`AnyView`) would make the page larger.
pub fn dialog(
    app: App,
    name: &'static str,
    title: impl Fn() -> String + Send + 'static,
    closes: &'static str,
    is_open: impl Fn() -> bool + 'static,
    close: fn(&App),
    content: impl IntoView,
) -> impl IntoView {
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
    let heading = format!("{name}-title");
    view! {
        <dialog node_ref=dialog class="help" aria-labelledby=heading.clone() data-testid=format!("{name}-dialog") on:close=move |_| close(&app)>
            <div class="heading">
                <h2 id=heading.clone()>{title}</h2>
                <button class="button small" data-testid=format!("{name}-close") on:click=move |_| close(&app)>{closes}</button>
            </div>
            {content}
        </dialog>
    }
}
