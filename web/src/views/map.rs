//! The data map: every span by how sure the model is of its label, and how that varies; or by its AUM in
//! two recordings.

use explorer::axis::{Axes, Axis};
use explorer::colour::{Ground, Rgb};
use explorer::density::Extent;
use leptos::html::{Canvas, Div};
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d, PointerEvent, WheelEvent};

use super::filters::{of_all, side_choice};
use crate::format;
use crate::link;
use crate::plots::{MARGINS, Size, pixel_ratio, scatter_axes, size_of};
use crate::protocol::{Colouring, Hover, MapQuery};
use crate::state::App;

/// Farther than this, in pixels, a press is a drag.
const SLACK: f64 = 4.0;
/// How much nearer a turn of the wheel brings.
const NEARER: f32 = 0.8;

pub fn map(app: App) -> impl IntoView {
    let axes = NodeRef::<Canvas>::new();
    let cloud = NodeRef::<Canvas>::new();
    let frame = NodeRef::<Div>::new();
    let size = size_of(frame);
    Effect::new(move |_| {
        let (size, dark, extent) = (size.get(), app.dark.get(), extent(app));
        if let Some(canvas) = axes.get()
            && size.0 > 0.0
        {
            scatter_axes::draw(&canvas, size, extent, dark);
        }
    });
    // Whatever the picture depends on asks for a new one.
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
            link::look(|look| look.map = Some(query));
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
        <section class="panel plot map" aria-label="Data map">
            <div class="heading">
                <h2>"Data map"</h2>
                {side_choice(app, "map-side")}
                {colour_choice(app)}
                {legend(app)}
                <p class="share" data-testid="map-count" title="Spans in the picture, of all candidate spans">
                    {move || of_all(app, shown())}
                </p>
            </div>
            <div class="frame" node_ref=frame>
                <canvas node_ref=axes aria-hidden="true"></canvas>
                {tools(app, tool)}
                {cloud_view(app, cloud, size, tool)}
                // Always there: a live region that comes with its text may go unread.
                <p class="hint" role="status" data-testid="map-unknown">
                    {move || (app.file.with(|f| f.as_ref().is_some_and(|f| !f.has_probabilities)) && needs_probabilities(app.axes.get()))
                        .then_some("The file has margins only: without the logits there are no probabilities to map. Choose AUM, correctness or forgetting events.")}
                </p>
                {move || (app.axes.get() == Axes::default() && app.zoom.get().is_none()).then(|| view! {
                    <span class="reading easy" aria-hidden="true">"easy to learn"</span>
                    <span class="reading ambiguous" aria-hidden="true">"ambiguous"</span>
                    <span class="reading hard" aria-hidden="true">"hard to learn, often wrong"</span>
                </Show>
                <span class="axis y" aria-hidden="true">{move || caption(app, app.axes.get().y)}</span>
                <span class="axis x" aria-hidden="true">{move || caption(app, app.axes.get().x)}</span>
                {axes_choice(app)}
                {move || app.hover.get().map(|hover| tooltip(app, hover, size.get_untracked()))}
            </div>
        </section>
    }
}

/// The part of the plane that is shown.
fn extent(app: App) -> Extent {
    app.zoom.get().unwrap_or_else(|| whole(app))
}

fn whole(app: App) -> Extent {
    let other = app.compared.with(|c| c.as_ref().map_or((-1.0, 1.0), |c| c.aum));
    let n_epochs = app.settings.with(|s| s.window.last.saturating_sub(s.window.first) + 1);
    let (axes, aum) = (app.axes.get(), [app.aum.get(), other]);
    Extent { x: axes.x.range(n_epochs, aum), y: axes.y.range(n_epochs, aum) }
}

/// Width and height of the plot's area.
fn inner((width, height): Size) -> Size {
    let less = |outer: f64, margins: u32| (outer - f64::from(margins)).max(1.0);
    (less(width, MARGINS.left + MARGINS.right), less(height, MARGINS.top + MARGINS.bottom))
}

/// Between pixels of the plot's area and the plane.
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

/// The picture, and what the pointer does on it: a click shows the nearest span, a drag draws a lasso (with
/// Shift a box), the wheel zooms.
fn cloud_view(app: App, cloud: NodeRef<Canvas>, size: ReadSignal<Size>) -> impl IntoView {
    let drawn = RwSignal::new(Vec::<Size>::new());
    let place = |event: &PointerEvent| (f64::from(event.offset_x()), f64::from(event.offset_y()));
    let pixel = |(x, y): Size| {
        let at = |offset: f64| (offset.max(0.0) * pixel_ratio()) as u32;
        (at(x), at(y))
    };
    let down = move |event: PointerEvent| {
        if event.button() != 0 {
            return;
        }
        // On a touch screen a drag scrolls the page.
        if event.pointer_type() != "touch" {
            event.prevent_default();
            let canvas: web_sys::HtmlElement = event_target(&event);
            let _ = canvas.set_pointer_capture(event.pointer_id());
        }
        drawn.set(vec![place(&event)]);
        app.hover.set(None);
    };
    let moved = move |event: PointerEvent| {
        let at = place(&event);
        let Some(start) = drawn.with_untracked(|drawn| drawn.first().copied()) else {
            link::point(pixel(at));
            return;
        };
        if app.axes.get_untracked().compare() || event.pointer_type() == "touch" {
            return;
        }
        drawn.update(|drawn| {
            if event.shift_key() {
                *drawn = vec![start, (at.0, start.1), at, (start.0, at.1)];
            } else if drawn.last().is_some_and(|last| (last.0 - at.0).hypot(last.1 - at.1) >= 2.0) {
                drawn.push(at);
            }
        });
    };
    let up = move |event: PointerEvent| {
        let line = drawn.get_untracked();
        drawn.set(Vec::new());
        let Some(&start) = line.first() else { return };
        let is_drag = line.iter().any(|at| (at.0 - start.0).hypot(at.1 - start.1) > SLACK);
        if !is_drag {
            link::look(|look| look.pick = Some(pixel(place(&event))));
        } else if line.len() > 2 {
            let (extent, size) = (untrack(|| extent(app)), size.get_untracked());
            let corners = line.into_iter().map(|at| to_plane(extent, size, at));
            let corners = corners.map(|(x, y)| (rounded(x, extent.x), rounded(y, extent.y)));
            let region = corners.collect();
            app.filter_by(|filter| (filter.region, filter.axes) = (region, app.axes.get_untracked()));
        }
    };
    let leave = move || {
        link::point_away();
        app.hover.set(None);
    };
    let wheel = move |event: WheelEvent| {
        // Where the page scrolls (see the stylesheet), the wheel is for that, and with Ctrl for the map.
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
        <canvas class="cloud" node_ref=cloud role="img" data-testid="map-canvas"
            aria-label=move || {
                let Axes { x, y } = app.axes.get();
                format!("Map of all spans, {} up, {} to the right; the spans table lists them", caption(app, y), caption(app, x))
            }
            on:pointerdown=down on:pointermove=moved on:pointerup=up on:wheel=wheel
            on:pointercancel=move |_| drawn.set(Vec::new()) on:pointerleave=move |_| leave()
            on:dblclick=move |_| app.zoom.set(None)></canvas>
        <svg class="lasso" aria-hidden="true">
            <polygon class="region" points=region />
            <polygon points=move || drawn.with(|drawn| points(drawn)) />
        </svg>
    }
}

/// A coordinate with no more digits than it takes to tell pixels apart, so that the address stays short.
fn rounded(value: f32, (low, high): (f32, f32)) -> f32 {
    // To a ten-thousandth or less of what is shown. No logarithm, which the page would have to carry.
    let mut unit = 1.0f64;
    while unit * f64::from(high - low) < 1e4 && unit < 1e30 {
        unit *= 10.0;
    }
    ((f64::from(value) * unit).round() / unit) as f32
}

/// Shows a part of the plane around a point (its middle if none): `factor` of its width and height.
fn zoom(app: App, factor: f32, around: Option<(f32, f32)>) {
    let (now, whole) = untrack(|| (extent(app), whole(app)));
    let middle = |(low, high): (f32, f32)| 0.5 * (low + high);
    let (x, y) = around.unwrap_or((middle(now.x), middle(now.y)));
    let scaled = |(low, high): (f32, f32), at: f32, (least, most): (f32, f32)| {
        // Nearer than a thousandth there are only single points.
        let width = ((high - low) * factor).clamp((most - least) * 1e-3, most - least);
        // Where the plane is very large `most - width` may be rounded to less than `least`.
        let start = (at - (at - low) / (high - low) * width).min(most - width).max(least);
        (start, start + width)
    };
    let new = Extent { x: scaled(now.x, x, whole.x), y: scaled(now.y, y, whole.y) };
    app.hover.set(None);
    app.zoom.set((new != whole).then_some(new));
}

fn zoom_buttons(app: App) -> impl IntoView {
    view! {
        <div class="segments inlay" role="group" aria-label="Zoom of the data map">
            <button aria-label="Nearer" title="Nearer (or turn the wheel on the map)" data-testid="zoom-in"
                on:click=move |_| zoom(app, NEARER * NEARER, None)>"+"</button>
            <button aria-label="Farther" title="Farther" on:click=move |_| zoom(app, 1.0 / NEARER / NEARER, None)>"−"</button>
            <button title="Show all (or double-click the map)" data-testid="zoom-all" disabled=move || app.zoom.get().is_none()
                on:click=move |_| app.zoom.set(None)>"all"</button>
        </div>
    }
}

/// Whether margins alone do not give them.
fn needs_probabilities(axes: Axes) -> bool {
    let needs = |axis| matches!(axis, Axis::Variability | Axis::Confidence | Axis::PredictedProbability);
    needs(axes.x) || needs(axes.y)
}

fn caption(app: App, axis: Axis) -> String {
    match (axis, app.compared.get()) {
        (Axis::Variability, _) => "variability (of the confidence)".to_owned(),
        (Axis::OtherAum, Some(other)) => format!("AUM in {}", other.file),
        _ => axis.name().to_owned(),
    }
}

/// What is up, and what is to the right.
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
                    <option value="gold">"gold error"</option>
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
    // On the side where there is room.
    let side = |at: f64, extent: f64| if at > extent / 2.0 { "-100%" } else { "0" };
    view! {
        <div class="tooltip" data-testid="hover" aria-hidden="true" style:left=format!("{x:.0}px") style:top=format!("{y:.0}px")
            style:translate=format!("{} {}", side(x, size.0), side(y, size.1))>
            <p>{hover.text.before} " " <mark>{hover.text.marked}</mark> " " {hover.text.after}</p>
            <p class="muted">
                {name(hover.distant)} {hover.predicted.map(|label| format!(", predicted {}", name(label)))}
                ", AUM " {format::signed(hover.aum, 2)} ", " {format::decision(hover.decision, &labels)}
            </p>
        </div>
    }
}

fn ground(app: App) -> Ground {
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

fn css([r, g, b]: Rgb) -> String {
    format!("rgb({r} {g} {b})")
}

fn legend(app: App) -> impl IntoView {
    let swatch = |colour: Rgb, text: String| {
        view! { <span class="swatch"><i style:background=css(colour)></i>{text}</span> }
    };
    let ramp = move || {
        let ground = ground(app);
        let stops: Vec<String> = (0..=8).map(|i| css(ground.emphasis(i as f32 / 8.0))).collect();
        format!("linear-gradient(to right, {})", stops.join(", "))
    };
    move || {
        let map = app.map.get()?;
        let ground = ground(app);
        let (weak, strong) = map.ramp;
        let end = |value: f32| match map.query.colouring {
            Colouring::Density => format::count(value as u64),
            Colouring::Correctness => format::signed(value, 0),
            _ => format::signed(value, 1),
        };
        Some(match map.query.colouring {
            Colouring::Decision => view! {
                <p class="legend">
                    {swatch(ground.plain(0.5), "kept".to_owned())} {swatch(ground.removed(), "removed".to_owned())}
                    {swatch(ground.relabelled(), "relabelled".to_owned())}
                </p>
            }
            .into_any(),
            Colouring::Gold => view! {
                <p class="legend">
                    {swatch(ground.plain(0.5), "as gold".to_owned())} {swatch(ground.removed(), "wrong by gold".to_owned())}
                </p>
            }
            .into_any(),
            Colouring::Class => {
                let labels = app.file.with(|f| f.as_ref().map(|f| f.labels.clone()).unwrap_or_default());
                let types = labels.iter().skip(1).enumerate();
                let swatches: Vec<_> = types.map(|(i, label)| swatch(ground.class(i), label.clone())).collect();
                // Many have lines of their own, and scroll where those are too many, too.
                let is_long = labels.iter().map(|label| label.len() + 3).sum::<usize>() > 30;
                let (class, tab) = if is_long { ("legend many", "0") } else { ("legend", "-1") };
                view! {
                    <p class=class tabindex=tab role="group" aria-label="Colours of the entity types" data-testid="map-types">
                        {swatch(ground.plain(0.2), "O".to_owned())} {swatches}
                    </p>
                }
                .into_any()
            }
            _ => view! {
                <p class="legend">
                    {end(weak)} <i class="ramp" style:background=ramp></i>
                    {if map.query.colouring == Colouring::Density { "≥ " } else { "" }} {end(strong)}
                    {match map.query.colouring {
                        Colouring::Density => " spans, log",
                        Colouring::Correctness => " epochs",
                        _ => " logits",
                    }}
                </p>
            }
            .into_any(),
        })
    }
}
