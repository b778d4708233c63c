//! Opens files that are dropped anywhere on the page.

use leptos::ev;
use leptos::prelude::*;
use web_sys::DragEvent;

use crate::state::App;

/// Accepts files that are dropped anywhere in the window.
pub fn accept_anywhere(app: App) {
    // Enter and leave events come in pairs for every element that the pointer crosses.
    let depth = RwSignal::new(0i32);
    provide_context(Depth(depth));
    let has_files = |event: &DragEvent| {
        event
            .data_transfer()
            .is_some_and(|data| data.types().iter().any(|kind| kind.as_string().as_deref() == Some("Files")))
    };
    let handles = [
        window_event_listener(ev::dragenter, move |event| {
            if has_files(&event) {
                event.prevent_default();
                depth.update(|d| *d += 1);
            }
        }),
        window_event_listener(ev::dragleave, move |event| {
            if has_files(&event) {
                depth.update(|d| *d = (*d - 1).max(0));
            }
        }),
    ];
    let over = window_event_listener(ev::dragover, move |event| {
        if has_files(&event) {
            event.prevent_default();
            if let Some(data) = event.data_transfer() {
                data.set_drop_effect("copy");
            }
        }
    });
    let drop = window_event_listener(ev::drop, move |event| {
        // Otherwise the browser would leave the page and open the file.
        event.prevent_default();
        depth.set(0);
        let files = event.data_transfer().and_then(|data| data.files());
        let Some(files) = files else { return };
        if files.length() == 0 {
            app.tell(true, "That is not a file. Drop a .dyn file from a folder on this machine.".to_owned());
        }
        app.open_all((0..files.length()).filter_map(|at| files.get(at)).collect());
    });
    // The page exists as long as its window.
    std::mem::forget((handles, over, drop));
}

#[derive(Clone, Copy)]
struct Depth(RwSignal<i32>);

/// Shows that a file may be dropped.
pub fn overlay() -> impl IntoView {
    let is_over = move || use_context::<Depth>().is_some_and(|depth| depth.0.get() > 0);
    view! {
        <div class="drop-overlay" class:visible=is_over aria-hidden="true">
            <p>"Drop the file to open it"</p>
        </div>
    }
}
