//! The last resort: a panic in the window leaves its views unusable, so the message is put into the
//! document by hand.

use wasm_bindgen::JsValue;

/// Shows panics of the window's program to the user.
pub fn show_panics() {
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        // In a panic nothing can be done about an error.
        let _ = show(&info.to_string());
    }));
}

fn show(cause: &str) -> Result<(), JsValue> {
    let Some(document) = web_sys::window().and_then(|w| w.document()) else { return Ok(()) };
    let Some(body) = document.body() else { return Ok(()) };
    let message = document.create_element("p")?;
    message.set_attribute("role", "alert")?;
    message.set_class_name("stopped");
    message.set_text_content(Some(&format!(
        "The page has stopped because of a mistake in DynClean ({cause}). Reload it, then open the file again: \
         your decisions are kept in this browser and come back, and your file was not changed."
    )));
    body.prepend_with_node_1(&message)
}
