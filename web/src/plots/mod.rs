//! Sizes of plots on the page, and small lines. `explorer::plots` draws the plots.

pub mod sparkline;

use explorer::plots::Size;
use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use web_sys::ResizeObserver;

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
