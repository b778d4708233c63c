//! Saving a plot as a picture.

use explorer::plots::Size;
use explorer::plots::chart::Chart;
use explorer::plots::picture::Picture;
use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, HtmlImageElement};

use super::menu::menu;
use crate::download;
use crate::state::App;

/// Pixels of a PNG for each pixel on the page.
const SCALE: f64 = 2.0;

/// A menu that saves a plot as SVG or PNG. `name` is the name of the file without its extension. `make` returns the
/// plot with its size, or `None` if there is none yet.
pub fn save_menu(
    app: App,
    test_id: &'static str,
    name: &'static str,
    make: impl Fn() -> Option<(Picture, Chart, Size)> + Copy + Send + Sync + 'static,
) -> impl IntoView {
    let entry = |id: &str, text: &str| (id.to_owned(), text.to_owned());
    let entries = vec![entry("svg", "Picture as SVG (sharp at any size)"), entry("png", "Picture as PNG")];
    let choose = move |number: usize| {
        let Some((picture, chart, size)) = untrack(make) else { return };
        let (svg, size) = picture.svg(chart, size);
        spawn_local(async move {
            let saved = match number {
                0 => download::save(&format!("{name}.svg"), &js_sys::Uint8Array::from(svg.as_bytes())),
                _ => save_png(&format!("{name}.png"), &svg, size).await,
            };
            if let Err(error) = saved {
                app.tell(true, format!("The browser does not save the picture ({error:?})."));
            }
        });
    };
    menu(test_id, "button small quiet", "Save this picture", "↓", entries, Signal::from(false), choose)
}

/// Has the browser draw the SVG, and saves the pixels.
async fn save_png(name: &str, svg: &str, (width, height): Size) -> Result<(), JsValue> {
    let image = HtmlImageElement::new()?;
    let content: String = js_sys::encode_uri_component(svg).into();
    image.set_src(&format!("data:image/svg+xml;charset=utf-8,{content}"));
    JsFuture::from(image.decode()).await?;
    let canvas: HtmlCanvasElement = document().create_element("canvas")?.unchecked_into();
    canvas.set_width((width * SCALE) as u32);
    canvas.set_height((height * SCALE) as u32);
    let context = canvas.get_context("2d")?.ok_or("no context to draw with")?;
    let context: CanvasRenderingContext2d = context.dyn_into()?;
    context.draw_image_with_html_image_element_and_dw_and_dh(&image, 0.0, 0.0, width * SCALE, height * SCALE)?;
    download::save_from(name, &canvas.to_data_url_with_type("image/png")?)
}

/// Returns the title of a picture: what it shows, and of which corpus.
pub fn title(app: App, what: &str) -> String {
    let name = app.file.with_untracked(|file| {
        let file = file.as_ref()?;
        Some(if file.name.is_empty() { file.file.clone() } else { file.name.clone() })
    });
    format!("{what}: {}", name.unwrap_or_default())
}
