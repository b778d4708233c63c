//! The sentence of the selected span, with all labels in it. A click selects a span, a drag draws one, and buttons
//! move its ends.

use explorer::sentence::{Layer, Mark, Sentence};
use leptos::html::Div;
use leptos::prelude::*;
use web_sys::{Element, PointerEvent};

use super::map::{css, ground};
use crate::format;
use crate::protocol::Detail;
use crate::state::App;

/// The test ids and the names of the layers, in the order of [`Layer`].
const LAYERS: [(&str, &str); 4] =
    [("layer-distant", "yours"), ("layer-cleaned", "cleaned"), ("layer-predicted", "model"), ("layer-gold", "gold")];
/// No drag.
const NOT_DRAWN: (usize, usize) = (usize::MAX, usize::MAX);

/// The buttons that move an end of the span: test id, name, key, text, and by how many tokens start and end move.
const EDGES: [(&str, &str, &str, &str, i32, i32); 4] = [
    ("start-earlier", "Begin one word earlier", "H", "[←", -1, 0),
    ("start-later", "Begin one word later", "Shift+H", "[→", 1, 0),
    ("end-earlier", "End one word earlier", "Shift+L", "←]", 0, -1),
    ("end-later", "End one word later", "L", "→]", 0, 1),
];

/// Returns the element with this attribute at the pointer, or around it, as the value of the attribute.
fn at_pointer(event: &PointerEvent, attribute: &str) -> Option<String> {
    let element: Element = document().element_from_point(event.client_x() as f32, event.client_y() as f32)?;
    element.closest(&format!("[{attribute}]")).ok().flatten()?.get_attribute(attribute)
}

pub fn sentence(app: App, detail: &Detail) -> impl IntoView + use<> {
    // The first and the last token of a drag.
    let drawn = RwSignal::new(NOT_DRAWN);
    let area = NodeRef::<Div>::new();
    let token = |event: &PointerEvent| at_pointer(event, "data-token")?.parse::<usize>().ok();
    let layers = detail.sentence.layers.iter().map(|(layer, _)| *layer as usize).collect::<Vec<_>>();
    let layer = move |layer: usize| {
        let (id, name) = LAYERS[layer % LAYERS.len()];
        view! {
            <button data-testid=id aria-pressed=move || (app.layer.get() == layer).to_string()
                on:click=move |_| app.layer.set(layer)>{name}</button>
        }
    };
    let edge =
        move |(id, name, key, text, start, end): (&'static str, &'static str, &'static str, &'static str, i32, i32)| {
            view! {
                <button data-testid=id aria-label=name title=format!("{name} ({key})") aria-keyshortcuts=key
                    on:click=move |_| app.move_edge(start, end)>{text}</button>
            }
        };
    let (sentence, chosen) = (detail.sentence.clone(), (detail.start, detail.end));
    view! {
        <div class="sentence" tabindex="0" role="group" aria-label="Sentence with its labels" data-testid="sentence" node_ref=area
            title="Click an entity or a word to select it. Drag over words to select them together"
            on:pointerdown=move |event| {
                if event.button() == 0 && event.is_primary() && let Some(at) = token(&event) {
                    if let Some(area) = area.get_untracked() {
                        let _ = area.set_pointer_capture(event.pointer_id());
                    }
                    drawn.set((at, at));
                }
            }
            on:pointermove=move |event| {
                let (from, to) = drawn.get_untracked();
                if let Some(at) = token(&event).filter(|at| from != usize::MAX && *at != to) {
                    drawn.set((from, at));
                }
            }
            on:pointerup=move |event| {
                match drawn.get_untracked() {
                    NOT_DRAWN => {}
                    (from, to) if from == to => {
                        let mark = at_pointer(&event, "data-span");
                        let mark = mark.as_deref().and_then(|span| span.split_once('-'));
                        match mark.and_then(|(start, end)| Some((start.parse().ok()?, end.parse().ok()?))) {
                            Some((start, end)) => app.choose(start, end),
                            None => app.choose_at(to as u32),
                        }
                    }
                    (from, to) => app.choose(from.min(to) as u32, from.max(to) as u32),
                }
                drawn.set(NOT_DRAWN);
            }
            on:pointercancel=move |_| drawn.set(NOT_DRAWN)>
            {move || tokens(app, &sentence, chosen, drawn)}
        </div>
        <div class="decide">
            <div class="segments" role="group" aria-label="Whose labels the sentence shows">{layers.into_iter().map(layer).collect_view()}</div>
            <div class="segments" role="group" aria-label="Where the span begins and ends">{EDGES.map(edge).collect_view()}</div>
            <button class="button small" data-testid="settle" aria-keyshortcuts="S" title="All labels of this sentence stay as they are now, as “cleaned” shows them"
                on:click=move |_| app.settle_sentence()>"sentence is right " <kbd>"S"</kbd></button>
        </div>
    }
}

fn tokens(app: App, sentence: &Sentence, chosen: (u32, u32), drawn: RwSignal<(usize, usize)>) -> impl IntoView + use<> {
    let labels = app.file.with_untracked(|f| f.as_ref().map(|f| f.labels.clone()).unwrap_or_default());
    let ground = ground(app);
    let marks = sentence.layer(Layer::ALL[app.layer.get() % Layer::ALL.len()]);
    let bar = |at: u32, mark: Option<&Mark>| {
        let Some(mark) = mark else { return view! { <i class="bar none"></i> }.into_any() };
        let (start, end) = (mark.start, mark.end);
        let span = format!("{start}-{end}");
        let colour =
            usize::from(mark.label).checked_sub(1).map_or("currentcolor".to_owned(), |kind| css(ground.class(kind)));
        let class = if mark.is_unknown { "bar unknown" } else { "bar" };
        if at > start {
            return view! { <i class=class data-span=span style=("--type", colour)></i> }.into_any();
        }
        let name = format::label(&labels, mark.label);
        let name = if mark.is_unknown { format!("{name}?") } else { name };
        let words = sentence.tokens.get(start as usize..=end as usize).unwrap_or_default().join(" ");
        view! {
            <button class=class data-span=span style=("--type", colour) data-type=name.clone() aria-label=format!("{words}: {name}")
                aria-pressed=((start, end) == chosen).to_string() on:click=move |_| app.choose(start, end)></button>
        }
        .into_any()
    };
    let token = |(at, token): (u32, &String)| {
        let own = || marks.iter().filter(move |mark| mark.start <= at && at <= mark.end);
        let lanes = own().map(|mark| mark.lane + 1).max().unwrap_or(0);
        let bars = (0..lanes).map(|lane| bar(at, own().find(|mark| mark.lane == lane))).collect_view();
        let class = if chosen.0 <= at && at <= chosen.1 { "token own" } else { "token" };
        let is_drawn = move || {
            let (a, b) = drawn.get();
            a.min(b) <= at as usize && at as usize <= a.max(b) && a != usize::MAX
        };
        view! { <span class=class class:drawn=is_drawn data-token=at.to_string()><span>{format!("{token} ")}</span>{bars}</span> }
    };
    (0..).zip(&sentence.tokens).map(token).collect_view()
}
