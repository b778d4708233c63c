//! The data map: one point for every span. At first it shows the confidence in the label over its variability.
//! Other metrics can be chosen, such as the AUM in two recordings.

use std::cell::Cell;

use explorer::axis::{Axes, Axis};
use explorer::colour::{Ground, Rgb};
use explorer::density::Extent;
use explorer::plots::chart::Chart;
use explorer::plots::picture::{Entry, Picture};
use explorer::plots::{MARGINS, Size, scatter_axes};
use leptos::html::{Canvas, Div};
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d, KeyboardEvent, PointerEvent, WheelEvent};

use super::filters::{of_all, side_choice};
use super::picture::{save_menu, title};
use crate::client;
use crate::format;
use crate::plots::{pixel_ratio, size_of};
use crate::protocol::{Colouring, Hover, MapQuery};
use crate::state::App;

const TITLE: &str = "Map of all labels";
/// A press that moves farther than this, in pixels, is a drag.
const SLACK: f64 = 4.0;
/// Factor by which a turn of the wheel shrinks the visible part.
const NEARER: f32 = 0.8;
/// Share of the visible part by which an arrow key moves the map.
const STEP: f32 = 0.1;

pub fn map(app: App) -> impl IntoView {
    let cloud = NodeRef::<Canvas>::new();
    let frame = NodeRef::<Div>::new();
    let size = size_of(frame);
    let tool = Tool { is_chosen: RwSignal::new(!is_scrolled_by_finger()), moves: RwSignal::new(false) };
    let axes = move || (size.get().0 > 0.0).then(|| scatter_axes::draw(size.get(), extent(app), ground(app)));
    let picture = move || {
        let mut chart = axes()?;
        chart.picture(&cloud.get()?.to_data_url_with_type("image/png").ok()?);
        let Axes { x, y } = app.axes.get();
        let axes = [x, y].map(|axis| caption(app, axis));
        Some((
            Picture { title: title(app, TITLE), legend: entries(app)?, axes, ground: ground(app) },
            chart,
            size.get(),
        ))
    };
    // Requests a new picture when anything changes that the picture depends on.
    Effect::new(move |_| {
        let (width, height) = inner(size.get());
        let query = MapQuery {
            width: (width * pixel_ratio()).round() as u32,
            height: (height * pixel_ratio()).round() as u32,
            scale: pixel_ratio().round() as u32,
            axes: app.axes.get(),
            extent: extent(app),
            colouring: app.map_colouring.get(),
            ground: ground(app),
        };
        if size.get().0 > 0.0 && app.file.with(Option::is_some) {
            client::look(|look| look.query.map = Some(query));
        }
    });
    Effect::new(move |_| {
        let Some(canvas) = cloud.get() else { return };
        app.map_pixels.with(|pixels| {
            let Some(pixels) = pixels else { return };
            canvas.set_width(pixels.width());
            canvas.set_height(pixels.height());
            let context = canvas.get_context("2d").ok().flatten();
            if let Some(context) = context.and_then(|c| c.dyn_into::<CanvasRenderingContext2d>().ok())
                && let Err(error) = context.put_image_data(pixels, 0.0, 0.0)
            {
                leptos::logging::warn!("data map: {error:?}");
            }
        });
    });
    let shown = move || app.map.with(|map| map.as_ref().map_or(0, |map| map.shown));
    view! {
        <section class="panel plot map" aria-label="Map of all labels">
            <div class="heading">
                <h2>{TITLE}</h2>
                {side_choice(app, "map-side")}
                {colour_choice(app)}
                {legend(app)}
                {save_menu(app, "save-map", "map", picture)}
                <p class="share" data-testid="map-count" title="Spans in the picture, and all spans">
                    {move || of_all(app, shown())}
                </p>
            </div>
            <div class="frame" node_ref=frame>
                <svg class="drawn" aria-hidden="true" inner_html=move || axes().map(Chart::into_svg).unwrap_or_default()></svg>
                {tools(app, tool)}
                {cloud_view(app, cloud, size, tool)}
                // The element always exists. A live region that appears together with its text may not be read
                // aloud.
                <p class="hint" role="status" data-testid="map-unknown">
                    {move || (app.file.with(|f| f.as_ref().is_some_and(|f| !f.has_probabilities)) && needs_probabilities(app.axes.get()))
                        .then_some("This file has margins only, so there are no probabilities to show. Choose AUM, correctness or forgetting events.")}
                </p>
                {move || (app.axes.get() == Axes::default() && app.zoom.get().is_none()).then(|| view! {
                    <span class="reading easy" aria-hidden="true">"easy to learn, mostly right"</span>
                    <span class="reading ambiguous" aria-hidden="true">"unsure"</span>
                    <span class="reading hard" aria-hidden="true">"hard to learn, often wrong"</span>
                })}
                <span class="axis y" aria-hidden="true">{move || caption(app, app.axes.get().y)}</span>
                <span class="axis x" aria-hidden="true">{move || caption(app, app.axes.get().x)}</span>
                {axes_choice(app)}
                {move || app.hover.get().map(|hover| tooltip(app, hover, size.get_untracked()))}
            </div>
        </section>
    }
}

/// Returns the visible part of the plane.
fn extent(app: App) -> Extent {
    app.zoom.get().unwrap_or_else(|| whole(app))
}

fn whole(app: App) -> Extent {
    let other = app.compared.with(|c| c.as_ref().map_or((-1.0, 1.0), |c| c.aum));
    let n_epochs = app.settings.with(|s| s.window.last.saturating_sub(s.window.first) + 1);
    let (axes, aum) = (app.axes.get(), [app.aum.get(), other]);
    Extent { x: axes.x.range(n_epochs, aum), y: axes.y.range(n_epochs, aum) }
}

/// Returns the width and height of the plot's area.
fn inner((width, height): Size) -> Size {
    let less = |outer: f64, margins: u32| (outer - f64::from(margins)).max(1.0);
    (less(width, MARGINS.left + MARGINS.right), less(height, MARGINS.top + MARGINS.bottom))
}

/// Converts a position in the plot's area to a point of the plane.
fn to_plane(extent: Extent, size: Size, (x, y): Size) -> (f32, f32) {
    let (width, height) = inner(size);
    let between = |(low, high): (f32, f32), share: f64| low + (high - low) * share as f32;
    (between(extent.x, x / width), between(extent.y, 1.0 - y / height))
}

fn to_pixels(extent: Extent, size: Size, (x, y): (f32, f32)) -> Size {
    let (width, height) = inner(size);
    let share = |(low, high): (f32, f32), value: f32| f64::from((value - low) / (high - low));
    (share(extent.x, x) * width, (1.0 - share(extent.y, y)) * height)
}

/// The effect of a drag on the map. (Its signals have types that other code uses too: every further type makes the
/// page larger.)
#[derive(Clone, Copy)]
struct Tool {
    /// Whether a tool is chosen. Without a tool, a finger scrolls the page.
    is_chosen: RwSignal<bool>,
    /// Whether a drag moves the map instead of selecting.
    moves: RwSignal<bool>,
}

/// Returns whether a finger scrolls the page (see the stylesheet). It does so until the user chooses a tool.
fn is_scrolled_by_finger() -> bool {
    let query = window().match_media("(any-pointer: coarse) and (max-width: 1023px)");
    query.ok().flatten().is_some_and(|query| query.matches())
}

/// The pointers that are down, with their positions: one pointer, or two fingers.
type Held = [Option<(i32, Size)>; 2];

thread_local! {
    /// The pointers on the map. There is only one map.
    static HELD: Cell<Held> = const { Cell::new([None; 2]) };
}

/// Returns the point at which the map is held, and the distance between two fingers.
fn grip(held: Held) -> (Size, f64) {
    match held {
        [Some((_, a)), Some((_, b))] => ((0.5 * (a.0 + b.0), 0.5 * (a.1 + b.1)), (a.0 - b.0).hypot(a.1 - b.1)),
        [a, b] => (a.or(b).unwrap_or_default().1, 0.0),
    }
}

/// Returns the entry of this pointer, or a free entry for `None`.
fn hand(held: &mut Held, pointer: Option<i32>) -> Option<&mut Option<(i32, Size)>> {
    held.iter_mut().find(|hand| hand.map(|hand| hand.0) == pointer)
}

/// Shows the picture and handles the pointer and the keyboard. A click shows the nearest span. A drag draws a
/// lasso (with Shift a box) or moves the map. Two fingers and the wheel zoom. Keys move and zoom the map.
fn cloud_view(app: App, cloud: NodeRef<Canvas>, size: ReadSignal<Size>, tool: Tool) -> impl IntoView {
    // The path of the pointer, as long as it may become a click or a lasso.
    let drawn = RwSignal::new(Vec::<Size>::new());
    let place = |event: &PointerEvent| (f64::from(event.offset_x()), f64::from(event.offset_y()));
    let pixel = |(x, y): Size| {
        let at = |offset: f64| (offset.max(0.0) * pixel_ratio()) as u32;
        (at(x), at(y))
    };
    let is_for_page = move |event: &PointerEvent| event.pointer_type() == "touch" && !tool.is_chosen.get_untracked();
    let down = move |event: PointerEvent| {
        if event.button() != 0 {
            return;
        }
        if !is_for_page(&event) {
            event.prevent_default();
            let canvas: web_sys::HtmlElement = event_target(&event);
            let _ = canvas.set_pointer_capture(event.pointer_id());
        }
        // The end of an earlier pointer may have been missed.
        let mut held = if event.is_primary() { [None; 2] } else { HELD.get() };
        if let Some(hand) = hand(&mut held, None) {
            *hand = Some((event.pointer_id(), place(&event)));
        }
        HELD.set(held);
        drawn.set(if event.is_primary() { vec![place(&event)] } else { Vec::new() });
        app.hover.set(None);
    };
    let moved = move |event: PointerEvent| {
        let at = place(&event);
        let before = HELD.get();
        let mut held = before;
        let Some(hand) = hand(&mut held, Some(event.pointer_id())) else {
            client::point(pixel(at));
            return;
        };
        *hand = Some((event.pointer_id(), at));
        HELD.set(held);
        if is_for_page(&event) {
            return;
        }
        match drawn.with_untracked(|drawn| drawn.first().copied()) {
            Some(start) if tool.moves.get_untracked() => {
                if is_drag(&event, start, at) {
                    drawn.set(Vec::new());
                    pull(app, size.get_untracked(), (start, 0.0), (at, 0.0));
                }
            }
            Some(start) => drawn.update(|drawn| {
                if event.shift_key() {
                    *drawn = vec![start, (at.0, start.1), at, (start.0, at.1)];
                } else if drawn.last().is_some_and(|last| (last.0 - at.0).hypot(last.1 - at.1) >= 2.0) {
                    drawn.push(at);
                }
            }),
            // The finger that is left after a pinch draws nothing.
            None if before.contains(&None) && !tool.moves.get_untracked() => {}
            None => pull(app, size.get_untracked(), grip(before), grip(held)),
        }
    };
    let end = move |event: &PointerEvent| {
        let mut held = HELD.get();
        if let Some(hand) = hand(&mut held, Some(event.pointer_id())) {
            *hand = None;
        }
        HELD.set(held);
        let line = drawn.get_untracked();
        drawn.set(Vec::new());
        line
    };
    let up = move |event: PointerEvent| {
        let line = end(&event);
        let Some(&start) = line.first() else { return };
        let at = place(&event);
        if !line.iter().chain([&at]).any(|&at| is_drag(&event, start, at)) {
            client::look(|look| look.query.pick = Some(pixel(at)));
        } else if line.len() > 2 {
            let (extent, size) = (untrack(|| extent(app)), size.get_untracked());
            let corners = line.into_iter().map(|at| to_plane(extent, size, at));
            let corners = corners.map(|(x, y)| (rounded(x, extent.x), rounded(y, extent.y)));
            let region = corners.collect();
            app.filter_by(|filter| (filter.region, filter.axes) = (region, app.axes.get_untracked()));
        }
    };
    let key = move |event: KeyboardEvent| {
        if event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        let (right, up, factor) = match event.key().as_str() {
            "ArrowLeft" => (-STEP, 0.0, 1.0),
            "ArrowRight" => (STEP, 0.0, 1.0),
            "ArrowDown" => (0.0, -STEP, 1.0),
            "ArrowUp" => (0.0, STEP, 1.0),
            "+" => (0.0, 0.0, NEARER * NEARER),
            "-" => (0.0, 0.0, 1.0 / NEARER / NEARER),
            "0" => (0.0, 0.0, f32::INFINITY),
            _ => return,
        };
        show_part(app, |now, whole| {
            let ((left, to), (low, high)) = (now.x, now.y);
            let middle = (0.5 * (left + to), 0.5 * (low + high));
            now.moved((right * (to - left), up * (high - low)), whole).zoomed(factor, middle, whole)
        });
        // Elsewhere these keys act on the spans.
        event.prevent_default();
    };
    let leave = move || {
        client::point_away();
        app.hover.set(None);
    };
    let wheel = move |event: WheelEvent| {
        // In a narrow window, the wheel scrolls the page (see the stylesheet). With Ctrl it zooms the map.
        let width = window().inner_width().ok().and_then(|width| width.as_f64());
        if width.is_some_and(|width| width < 1024.0) && !event.ctrl_key() {
            return;
        }
        event.prevent_default();
        let at = to_plane(
            untrack(|| extent(app)),
            size.get_untracked(),
            (f64::from(event.offset_x()), f64::from(event.offset_y())),
        );
        zoom(app, if event.delta_y() < 0.0 { NEARER } else { 1.0 / NEARER }, Some(at));
    };
    let points = |line: &[Size]| line.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ");
    let region = move || {
        let (extent, size) = (extent(app), size.get());
        app.filter.with(|filter| {
            let of_map = filter.axes == app.axes.get();
            let line: Vec<Size> = filter.region.iter().map(|&at| to_pixels(extent, size, at)).collect();
            if of_map { points(&line) } else { String::new() }
        })
    };
    view! {
        <canvas class="cloud" node_ref=cloud role="application" tabindex="0" data-testid="map-canvas"
            aria-label=move || {
                let Axes { x, y } = app.axes.get();
                format!(
                    "Map of all spans: {} up, {} to the right; the spans table lists them. Arrow keys move it, + and − zoom, 0 shows all",
                    caption(app, y),
                    caption(app, x)
                )
            }
            on:pointerdown=down on:pointermove=moved on:pointerup=up on:wheel=wheel on:keydown=key
            on:pointercancel=move |event| drop(end(&event)) on:pointerleave=move |_| leave()
            on:dblclick=move |_| app.zoom.set(None)></canvas>
        <svg class="lasso" aria-hidden="true">
            <polygon class="region" points=region />
            <polygon points=move || drawn.with(|drawn| points(drawn)) />
        </svg>
    }
}

/// Rounds a coordinate to the digits that tell pixels apart, so that the address stays short.
fn rounded(value: f32, (low, high): (f32, f32)) -> f32 {
    // Rounds to a ten-thousandth of the visible part, or finer. A logarithm would make the page larger.
    let mut unit = 1.0f64;
    while unit * f64::from(high - low) < 1e4 && unit < 1e30 {
        unit *= 10.0;
    }
    ((f64::from(value) * unit).round() / unit) as f32
}

/// Zooms around a point, or around the middle for `None`. The width and height of the visible part are multiplied
/// by `factor`.
fn zoom(app: App, factor: f32, around: Option<(f32, f32)>) {
    show_part(app, |now, whole| {
        let middle = |(low, high): (f32, f32)| 0.5 * (low + high);
        now.zoomed(factor, around.unwrap_or((middle(now.x), middle(now.y))), whole)
    });
}

/// Moves and scales the map together with the pointers, from one grip to the next.
fn pull(app: App, size: Size, (from, apart): (Size, f64), (to, apart_now): (Size, f64)) {
    let factor = if apart > 0.0 && apart_now > 0.0 { apart / apart_now } else { 1.0 };
    show_part(app, |now, whole| {
        let nearer = now.zoomed(factor as f32, to_plane(now, size, from), whole);
        let (held, there) = (to_plane(nearer, size, from), to_plane(nearer, size, to));
        nearer.moved((held.0 - there.0, held.1 - there.1), whole)
    });
}

/// Changes the visible part. `make` computes the new part from the visible part and the whole plane.
fn show_part(app: App, make: impl FnOnce(Extent, Extent) -> Extent) {
    let (now, whole) = untrack(|| (extent(app), whole(app)));
    let part = make(now, whole);
    app.hover.set(None);
    app.zoom.set((part != whole).then_some(part));
}

/// Returns whether the pointer has moved so far that a press is a drag.
fn is_drag(event: &PointerEvent, start: Size, at: Size) -> bool {
    let slack = if event.pointer_type() == "touch" { 3.0 * SLACK } else { SLACK };
    (at.0 - start.0).hypot(at.1 - start.1) > slack
}

/// Shows buttons for the effect of a drag, and for zooming.
fn tools(app: App, tool: Tool) -> impl IntoView {
    let choice = move |moves: bool, text: &'static str, title: &'static str| {
        let is_on = move || tool.is_chosen.get() && tool.moves.get() == moves;
        let choose = move |_| {
            let is_off = untrack(is_on) && is_scrolled_by_finger();
            tool.is_chosen.set(!is_off);
            tool.moves.set(moves && !is_off);
        };
        view! {
            <button title=title data-testid=format!("tool-{text}") aria-pressed=move || is_on().to_string() on:click=choose>{text}</button>
        }
    };
    view! {
        <div class="inlay tools">
            <div class="segments" role="group" aria-label="What a drag on the data map does">
                {choice(false, "select", "Drag to draw around dots; with Shift to draw a box. If neither button is pressed, a finger scrolls the page")}
                {choice(true, "move", "Drag to move the zoomed map; two fingers zoom. If neither button is pressed, a finger scrolls the page")}
            </div>
            <div class="segments" role="group" aria-label="Zoom of the data map">
                <button aria-label="Nearer" title="Nearer (or turn the wheel on the map)" data-testid="zoom-in"
                    on:click=move |_| zoom(app, NEARER * NEARER, None)>"+"</button>
                <button aria-label="Farther" title="Farther" on:click=move |_| zoom(app, 1.0 / NEARER / NEARER, None)>"−"</button>
                <button title="Show all (or double-click the map)" data-testid="zoom-all" disabled=move || app.zoom.get().is_none()
                    on:click=move |_| app.zoom.set(None)>"all"</button>
            </div>
        </div>
    }
}

/// Returns whether the axes need probabilities, which margins alone do not give.
fn needs_probabilities(axes: Axes) -> bool {
    let needs = |axis| matches!(axis, Axis::Variability | Axis::Confidence | Axis::PredictedProbability);
    needs(axes.x) || needs(axes.y)
}

fn caption(app: App, axis: Axis) -> String {
    match (axis, app.compared.get()) {
        (Axis::Variability, _) => "variability (of the confidence)".to_owned(),
        (Axis::Confidence, _) => "confidence in your label".to_owned(),
        (Axis::Aum, _) => "AUM (area under the margin)".to_owned(),
        (Axis::OtherAum, Some(other)) => format!("AUM in {}", other.file),
        _ => axis.name().to_owned(),
    }
}

/// Offers the metrics for the vertical and the horizontal axis.
fn axes_choice(app: App) -> impl IntoView {
    let choice = move |label: &'static str, id: &'static str, axis: fn(&mut Axes) -> &mut Axis| {
        let set = move |event: web_sys::Event| {
            let name = event_target_value(&event);
            if let Some(chosen) = Axis::ALL.into_iter().find(|axis| axis.name() == name) {
                app.zoom.set(None);
                app.axes.update(|axes| *axis(axes) = chosen);
            }
        };
        view! {
            <select aria-label=label title=label data-testid=id on:change=set
                prop:value=move || axis(&mut app.axes.get()).name()>
                {Axis::ALL.iter().map(|&axis| view! {
                    <option value=axis.name() disabled=move || axis == Axis::OtherAum && app.compared.with(Option::is_none)>{axis.name()}</option>
                }).collect::<Vec<_>>()}
            </select>
        }
    };
    view! {
        <span class="axes">
            {choice("Up", "map-y", |axes| &mut axes.y)} " by " {choice("To the right", "map-x", |axes| &mut axes.x)}
        </span>
    }
}

fn colour_choice(app: App) -> impl IntoView {
    view! {
        <label title="Dark blue to yellow is readable without colour vision and in print">
            <span class="word">"colour "</span>
            <select data-testid="map-colour" on:change=move |e| app.map_colouring.set(colouring_named(&event_target_value(&e)))
                prop:value=move || name(app.map_colouring.get())>
                <option value="density">"density"</option>
                <option value="aum">"AUM"</option>
                <option value="correctness">"correctness"</option>
                <option value="class">"entity types"</option>
                <option value="decision">"decision"</option>
                {move || app.file.with(|f| f.as_ref().is_some_and(|f| f.has_gold)).then(|| view! {
                    <option value="gold">"wrong by gold"</option>
                })}
            </select>
        </label>
    }
}

fn tooltip(app: App, hover: Hover, size: Size) -> impl IntoView {
    let labels = app.file.with_untracked(|f| f.as_ref().map(|f| f.labels.clone()).unwrap_or_default());
    let name = |label: u16| labels.get(usize::from(label)).cloned().unwrap_or_default();
    let ratio = pixel_ratio();
    let at = |pixel: u32, margin: u32| f64::from(pixel) / ratio + f64::from(margin);
    let (x, y) = (at(hover.at.0, MARGINS.left), at(hover.at.1, MARGINS.top));
    // Places the tooltip on the side that has room.
    let side = |at: f64, extent: f64| if at > extent / 2.0 { "-100%" } else { "0" };
    view! {
        <div class="tooltip" data-testid="hover" aria-hidden="true" style:left=format!("{x:.0}px") style:top=format!("{y:.0}px")
            style:translate=format!("{} {}", side(x, size.0), side(y, size.1))>
            <p>{hover.text.before} " " <mark>{hover.text.marked}</mark> " " {hover.text.after}</p>
            <p class="muted">
                {name(hover.distant)} {hover.predicted.map(|label| format!(", model says {}", name(label)))}
                ", AUM " {format::signed(hover.aum, 2)} ", " {format::decision(hover.decision, &labels)}
            </p>
        </div>
    }
}

/// Returns the background of the theme.
pub fn ground(app: App) -> Ground {
    if app.dark.get() { Ground::Dark } else { Ground::Light }
}

fn name(colouring: Colouring) -> &'static str {
    match colouring {
        Colouring::Density => "density",
        Colouring::Aum => "aum",
        Colouring::Correctness => "correctness",
        Colouring::Class => "class",
        Colouring::Decision => "decision",
        Colouring::Gold => "gold",
    }
}

fn colouring_named(name: &str) -> Colouring {
    match name {
        "aum" => Colouring::Aum,
        "correctness" => Colouring::Correctness,
        "class" => Colouring::Class,
        "decision" => Colouring::Decision,
        "gold" => Colouring::Gold,
        _ => Colouring::Density,
    }
}

/// Writes a colour as a style.
pub fn css([r, g, b]: Rgb) -> String {
    format!("rgb({r},{g},{b})")
}

/// Returns what the colours of the map mean; `None` until there is a map.
fn entries(app: App) -> Option<Vec<Entry>> {
    let map = app.map.get()?;
    let ground = ground(app);
    let entry = |colour: Rgb, text: &str| (vec![css(colour)], text.to_owned());
    let (weak, strong) = map.ramp;
    let end = |value: f32| match map.query.colouring {
        Colouring::Density => format::count(value as u64),
        Colouring::Correctness => format::signed(value, 0),
        _ => format::signed(value, 1),
    };
    let ramp = |least: &str, unit: &str| {
        let colours = (0..=8).map(|i| css(ground.emphasis(i as f32 / 8.0))).collect();
        vec![(Vec::new(), end(weak)), (colours, format!("{least}{} {unit}", end(strong)))]
    };
    Some(match map.query.colouring {
        Colouring::Decision => vec![
            entry(ground.plain(0.5), "kept"),
            entry(ground.removed(), "removed"),
            entry(ground.relabelled(), "relabelled"),
        ],
        Colouring::Gold => vec![entry(ground.plain(0.5), "right"), entry(ground.removed(), "wrong by gold")],
        Colouring::Class => {
            let labels = app.file.with(|f| f.as_ref().map(|f| f.labels.clone()).unwrap_or_default());
            let types = labels.iter().skip(1).enumerate();
            let types = types.map(|(i, label)| entry(ground.class(i), label));
            std::iter::once(entry(ground.plain(0.2), "O")).chain(types).collect()
        }
        Colouring::Density => ramp("≥ ", "spans"),
        Colouring::Correctness => ramp("", "epochs"),
        Colouring::Aum => ramp("", "logits"),
    })
}

fn legend(app: App) -> impl IntoView {
    let shown = |(colours, text): Entry| match colours.as_slice() {
        [] => view! { <span>{text}</span> }.into_any(),
        [colour] => view! { <span class="swatch"><i style:background=colour.clone()></i>{text}</span> }.into_any(),
        ramp => {
            let ramp = format!("linear-gradient(to right, {})", ramp.join(", "));
            view! { <i class="ramp" style:background=ramp></i> <span>{text}</span> }.into_any()
        }
    };
    move || {
        let entries = entries(app)?;
        let is_of_types = app.map.with(|map| map.as_ref().is_some_and(|map| map.query.colouring == Colouring::Class));
        // A long list of types has lines of its own. It scrolls if there are too many lines.
        let is_long = is_of_types && entries.iter().map(|(_, text)| text.len() + 3).sum::<usize>() > 30;
        let class = if is_long { "legend many" } else { "legend" };
        let shown = entries.into_iter().map(shown).collect_view();
        Some(if is_of_types {
            let tab = if is_long { "0" } else { "-1" };
            view! {
                <p class=class tabindex=tab role="group" aria-label="Colours of the entity types" data-testid="map-types">{shown}</p>
            }
            .into_any()
        } else {
            view! { <p class=class>{shown}</p> }.into_any()
        })
    }
}
