//! Shows panics of the window. A panic makes the views unusable, so the message is added to the document directly.

use wasm_bindgen::JsValue;

/// Makes panics in the window visible to the user.
pub fn show_panics() {
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        // An error during a panic cannot be handled.
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
