//! Plots on canvases. They are drawn by own code: plotters, which draws the report, would add 5 kB to the page.

mod chart;
pub mod distribution;
pub mod scatter_axes;
pub mod sparkline;

use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use web_sys::ResizeObserver;

/// Space around a plot's area, in CSS pixels. The stylesheet repeats these numbers (`--plot-…`).
pub struct Margins {
    pub top: u32,
    pub right: u32,
    pub bottom: u32,
    pub left: u32,
}

/// The margins of all plots. They are equal, so that the plots line up.
pub const MARGINS: Margins = Margins { top: 8, right: 16, bottom: 36, left: 48 };

/// Colours of lines, areas and text.
pub struct Ink {
    pub text: &'static str,
    pub axis: &'static str,
    pub grid: &'static str,
    pub fill: &'static str,
    pub outline: &'static str,
    pub samples: &'static str,
    pub passing: &'static str,
}

impl Ink {
    pub fn new(dark: bool) -> Self {
        if dark {
            Self {
                text: "rgb(170 174 182)",
                axis: "rgb(90 94 102)",
                grid: "rgb(44 47 53)",
                fill: "rgb(78 83 92)",
                outline: "rgb(150 155 165)",
                samples: "rgb(129 168 255)",
                passing: "rgb(76 190 162)",
            }
        } else {
            Self {
                text: "rgb(84 88 96)",
                axis: "rgb(150 154 162)",
                grid: "rgb(234 236 240)",
                fill: "rgb(206 210 217)",
                outline: "rgb(112 117 127)",
                samples: "rgb(47 90 190)",
                passing: "rgb(0 158 115)",
            }
        }
    }
}

/// A size in CSS pixels.
pub type Size = (f64, f64);

/// Returns the number of device pixels per CSS pixel, between 1 and 2. More than 2 would not look better.
pub fn pixel_ratio() -> f64 {
    window().device_pixel_ratio().clamp(1.0, 2.0)
}

/// Returns the size of an element, updated as it changes; (0, 0) until it is known.
pub fn size_of<E>(element: NodeRef<E>) -> ReadSignal<Size>
where
    E: leptos::html::ElementType,
    E::Output: JsCast + Clone + AsRef<web_sys::Element> + 'static,
{
    let (size, set_size) = signal((0.0, 0.0));
    Effect::new(move |_| {
        let Some(element) = element.get() else { return };
        let target = AsRef::<web_sys::Element>::as_ref(&element).clone();
        let measured = target.clone();
        let on_resize = Closure::<dyn FnMut()>::new(move || {
            let bounds = measured.get_bounding_client_rect();
            let now = (bounds.width().round(), bounds.height().round());
            if size.get_untracked() != now {
                set_size.set(now);
            }
        });
        // Only browsers that are about ten years old have no resize observers.
        if let Ok(observer) = ResizeObserver::new(on_resize.as_ref().unchecked_ref()) {
            observer.observe(&target);
            on_cleanup_local(observer, on_resize);
        }
    });
    size
}

/// Stops observing when the view is removed.
fn on_cleanup_local(observer: ResizeObserver, closure: Closure<dyn FnMut()>) {
    let kept = StoredValue::new_local((observer, closure));
    on_cleanup(move || {
        kept.try_with_value(|(observer, _)| observer.disconnect());
    });
}
