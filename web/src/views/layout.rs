//! Views that change the room of the panels: a menu that folds them away, and the edges between them.

use leptos::html::Main;
use leptos::prelude::*;
use web_sys::{Element, KeyboardEvent, PointerEvent};

use super::menu::menu;
use crate::layout::{FOLDS, Layout, MORE};
use crate::state::App;

/// Steps of the arrow keys, in pixels.
const STEP: f64 = 16.0;

/// An edge between panels that can be moved.
#[derive(Clone, Copy)]
struct Edge {
    class: &'static str,
    name: &'static str,
    /// Index of its size.
    size: usize,
    /// Smallest and usual size in pixels.
    least: u32,
    usual: u32,
    /// Largest size as a share of the window, in the units of the style sheet.
    most: &'static str,
    /// Keys that make it smaller and larger.
    keys: [&'static str; 2],
}

const EDGES: [Edge; 3] = [
    Edge {
        class: "left",
        name: "Width of the settings",
        size: 0,
        least: 232,
        usual: 304,
        most: "33vw",
        keys: ["ArrowLeft", "ArrowRight"],
    },
    Edge {
        class: "right",
        name: "Width of the span",
        size: 1,
        least: 232,
        usual: 272,
        most: "33vw",
        keys: ["ArrowRight", "ArrowLeft"],
    },
    Edge {
        class: "below",
        name: "Height of the list",
        size: 2,
        least: 136,
        usual: 224,
        most: "45vh",
        keys: ["ArrowDown", "ArrowUp"],
    },
];
/// Larger than any window.
const LARGEST: u32 = 8000;

fn change(app: App, layout: Layout) {
    app.layout.set(layout);
    layout.remember();
}

/// A menu that folds panels away, brings them back, and leads to the saved views.
pub fn folds(app: App) -> impl IntoView {
    let mut entries: Vec<_> =
        FOLDS.iter().map(|&(class, name)| (class.to_owned(), format!("Show or hide: {name}"))).collect();
    entries.push(("usual".to_owned(), "All panels, in their usual sizes".to_owned()));
    entries.push(("views".to_owned(), "Saved views …".to_owned()));
    let nothing_open = Signal::derive(move || app.file.with(Option::is_none));
    menu("panels", "button quiet", "Panels, and saved views", "View …", entries, nothing_open, move |number| {
        if number > MORE {
            return app.saved_views.set(true);
        }
        let now = app.layout.get_untracked();
        let usual = Layout { bits: now.bits & 1 << MORE, ..Layout::default() };
        change(app, if number < MORE { Layout { bits: now.bits ^ 1 << number, ..now } } else { usual });
    })
}

/// Brings all panels back.
pub fn unfold(app: App) {
    let now = app.layout.get_untracked();
    change(app, Layout { bits: now.bits & 1 << MORE, ..now });
}

/// Shows or hides the settings that few people need.
pub fn show_more(app: App, is_shown: bool) {
    let now = app.layout.get_untracked();
    if now.has(MORE) != is_shown {
        change(app, Layout { bits: now.bits ^ 1 << MORE, ..now });
    }
}

/// Returns the classes of the workbench, which fold panels away and hide the letters on buttons.
pub fn classes(app: App) -> String {
    let (layout, start) = (app.layout.get(), if app.letters.get() { "workbench" } else { "workbench no-letters" });
    let folded = FOLDS.iter().enumerate().filter(|&(bit, _)| layout.has(bit));
    folded.fold(start.to_owned(), |all, (_, (class, _))| all + " " + class)
}

/// Returns the place of the workbench, whose style sheet gets the sizes.
pub fn workbench(app: App) -> NodeRef<Main> {
    let workbench = NodeRef::<Main>::new();
    Effect::new(move |_| {
        let sizes = app.layout.get().sizes;
        let Some(main) = workbench.get() else { return };
        for (Edge { class, most, .. }, size) in EDGES.iter().zip(sizes) {
            let value = if size > 0 { format!("min({size}px, {most})") } else { String::new() };
            // An empty value removes the property, and the usual size counts.
            let _ = main.style().set_property(&format!("--{class}"), &value);
        }
    });
    workbench
}

/// The edges between panels. A drag or the arrow keys move them.
pub fn edges(app: App, workbench: NodeRef<Main>) -> impl IntoView {
    EDGES.map(|edge| self::edge(app, workbench, edge)).into_iter().collect_view()
}

fn edge(app: App, workbench: NodeRef<Main>, edge: Edge) -> impl IntoView {
    let Edge { class, name, size, least, usual, keys, .. } = edge;
    // Makes the panel reach from its outer side to a point, and `more` beyond it.
    let reach = move |x: f64, y: f64, more: f64| {
        let Some(room) = workbench.get_untracked().map(|main| main.get_bounding_client_rect()) else { return };
        let to = [x - room.left(), room.right() - x, room.bottom() - y].get(size).map_or(0.0, |to| to - 12.0 + more);
        let mut layout = app.layout.get_untracked();
        if let Some(size) = layout.sizes.get_mut(size) {
            *size = (to as u32).clamp(least, LARGEST);
        }
        change(app, layout);
    };
    let on_key = move |event: KeyboardEvent| {
        if let Some(way) = keys.iter().position(|key| *key == event.key()) {
            event.prevent_default();
            let at = event_target::<Element>(&event).get_bounding_client_rect();
            let by = if way == 0 { -STEP } else { STEP };
            reach(at.left() + at.width() / 2.0, at.top() + at.height() / 2.0, by);
        }
    };
    view! {
        <div class=format!("edge {class}") role="separator" tabindex="0" aria-label=name title=format!("{name}: drag, or use the arrow keys")
            aria-orientation=if size < 2 { "vertical" } else { "horizontal" } data-testid=format!("edge-{class}")
            aria-valuemin=least aria-valuemax=LARGEST
            aria-valuenow=move || app.layout.get().sizes.get(size).copied().filter(|&size| size > 0).unwrap_or(usual)
            on:pointerdown=move |event: PointerEvent| {
                if event.button() == 0 {
                    let _ = event_target::<Element>(&event).set_pointer_capture(event.pointer_id());
                }
            }
            on:pointermove=move |event: PointerEvent| {
                // A drag that began elsewhere may pass over the edge.
                if event_target::<Element>(&event).has_pointer_capture(event.pointer_id()) {
                    reach(event.client_x().into(), event.client_y().into(), 0.0);
                }
            }
            on:keydown=on_key></div>
    }
}
