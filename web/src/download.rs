//! Saves bytes as a file on the user's disk.

use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, BlobPropertyBag, HtmlAnchorElement, Url};

/// Makes the browser save `bytes` (a buffer or an array of bytes) under this name.
pub fn save(name: &str, bytes: &JsValue) -> Result<(), JsValue> {
    let kind = BlobPropertyBag::new();
    kind.set_type(match name.rsplit('.').next() {
        Some("json") => "application/json",
        Some("jsonl") => "application/jsonl",
        Some("html") => "text/html",
        Some("zip") => "application/zip",
        Some("svg") => "image/svg+xml",
        _ => "text/plain",
    });
    let blob = Blob::new_with_buffer_source_sequence_and_options(&Array::of1(bytes), &kind)?;
    let url = Url::create_object_url_with_blob(&blob)?;
    save_from(name, &url)?;
    // The click holds its own reference to the bytes. The browser keeps them until they are saved.
    Url::revoke_object_url(&url)
}

/// Makes the browser save what is at this address under this name.
pub fn save_from(name: &str, url: &str) -> Result<(), JsValue> {
    let document = web_sys::window().and_then(|w| w.document()).ok_or("no document")?;
    let anchor: HtmlAnchorElement = document.create_element("a")?.unchecked_into();
    anchor.set_href(url);
    anchor.set_download(name);
    anchor.click();
    Ok(())
}
