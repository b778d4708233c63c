//! The data map: every span by how sure the model is of its label, and how that varies.

use leptos::html::{Canvas, Div};
use leptos::prelude::*;
use shared::colour::{Ground, Rgb};
use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d, MouseEvent};

use crate::format;
use crate::link;
use crate::plots::{MARGINS, pixel_ratio, scatter_axes, size_of};
use crate::protocol::{Colouring, MapQuery};
use crate::state::App;

pub fn map(app: App) -> impl IntoView {
    let axes = NodeRef::<Canvas>::new();
    let cloud = NodeRef::<Canvas>::new();
    let frame = NodeRef::<Div>::new();
    let size = size_of(frame);
    Effect::new(move |_| {
        let (size, dark) = (size.get(), app.dark.get());
        if let Some(canvas) = axes.get()
            && size.0 > 0.0
        {
            scatter_axes::draw(&canvas, size, dark);
        }
    });
    // Whatever the picture depends on asks for a new one.
    Effect::new(move |_| {
        let (width, height) = size.get();
        let inner = |outer: f64, margins: u32| (outer - f64::from(margins)).max(1.0) * pixel_ratio();
        let query = MapQuery {
            width: inner(width, MARGINS.left + MARGINS.right).round() as u32,
            height: inner(height, MARGINS.top + MARGINS.bottom).round() as u32,
            scale: pixel_ratio().round() as u32,
            side: app.map_side.get(),
            colouring: app.map_colouring.get(),
            ground: ground(app),
        };
        if width > 0.0 && app.file.with(Option::is_some) {
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
    let pick = move |event: MouseEvent| {
        let ratio = pixel_ratio();
        let at = |offset: i32| (f64::from(offset.max(0)) * ratio) as u32;
        link::look(|look| look.pick = Some((at(event.offset_x()), at(event.offset_y()))));
    };
    view! {
        <section class="panel plot map" aria-label="Data map">
            <div class="heading">
                <h2>"Data map"</h2>
                <label>
                    <span class="sr">"Sides shown"</span>
                    <select data-testid="map-side" on:change=move |e| app.map_side.set(format::side_named(&event_target_value(&e)))
                        prop:value=move || app.map_side.get().map_or("both", format::side)>
                        <option value="both">"both sides"</option>
                        <option value="negatives">"negatives"</option>
                        <option value="positives">"positives"</option>
                    </select>
                </label>
                <label>
                    "colour "
                    <select data-testid="map-colour" on:change=move |e| app.map_colouring.set(colouring_named(&event_target_value(&e)))
                        prop:value=move || name(app.map_colouring.get())>
                        <option value="density">"density"</option>
                        <option value="aum">"AUM"</option>
                        <option value="correctness">"correctness"</option>
                        <option value="decision">"decision"</option>
                        {move || app.file.with(|f| f.as_ref().is_some_and(|f| f.has_gold)).then(|| view! {
                            <option value="gold">"gold error"</option>
                        })}
                    </select>
                </label>
                {legend(app)}
            </div>
            <div class="frame" node_ref=frame>
                <canvas node_ref=axes aria-hidden="true"></canvas>
                <canvas class="cloud" node_ref=cloud role="img" data-testid="map-canvas" on:click=pick
                    title="Click to see the nearest span"
                    aria-label="Density of all spans by variability and confidence; the spans table lists them"></canvas>
                {move || app.file.with(|f| f.as_ref().is_some_and(|f| !f.has_probabilities)).then(|| view! {
                    <p class="hint" data-testid="map-unknown">
                        "The file has margins only: without the logits there is no confidence and no variability to map."
                    </p>
                })}
                <span class="axis y" aria-hidden="true">"confidence"</span>
                <span class="axis x" aria-hidden="true">"variability"</span>
            </div>
        </section>
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
        Colouring::Decision => "decision",
        Colouring::Gold => "gold",
    }
}

fn colouring_named(name: &str) -> Colouring {
    match name {
        "aum" => Colouring::Aum,
        "correctness" => Colouring::Correctness,
        "decision" => Colouring::Decision,
        "gold" => Colouring::Gold,
        _ => Colouring::Density,
    }
}

fn css([r, g, b]: Rgb) -> String {
    format!("rgb({r} {g} {b})")
}

fn legend(app: App) -> impl IntoView {
    let swatch = |colour: Rgb, text: &'static str| {
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
                    {swatch(ground.plain(0.5), "kept")} {swatch(ground.removed(), "removed")}
                    {swatch(ground.relabelled(), "relabelled")}
                </p>
            }
            .into_any(),
            Colouring::Gold => view! {
                <p class="legend">{swatch(ground.plain(0.5), "as gold")} {swatch(ground.removed(), "wrong by gold")}</p>
            }
            .into_any(),
            _ => view! {
                <p class="legend">
                    {end(weak)} <i class="ramp" style:background=ramp></i>
                    {if map.query.colouring == Colouring::Density { "≥ " } else { "" }} {end(strong)}
                    {(map.query.colouring == Colouring::Density).then_some(" spans, log")}
                </p>
            }
            .into_any(),
        })
    }
}
