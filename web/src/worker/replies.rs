//! What the worker sends to the page.

use js_sys::{Array, ArrayBuffer, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::DedicatedWorkerGlobalScope;

use crate::protocol::{Reply, pack};

/// The worker, seen from inside.
pub fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// Bytes as an attachment.
pub fn attached(bytes: &[u8]) -> ArrayBuffer {
    Uint8Array::from(bytes).buffer()
}

/// Sends a reply to the page, with bytes that move there.
pub fn post(reply: &Reply, buffer: Option<ArrayBuffer>) {
    let message = pack(reply, &buffer.as_ref().map_or(JsValue::NULL, JsValue::from));
    let head = Uint8Array::from(message.get(0)).buffer();
    let transfer = Array::of1(&head);
    if let Some(buffer) = buffer {
        transfer.push(&buffer);
    }
    // Posting fails only for values that cannot be cloned. Byte arrays can be cloned.
    let _ = scope().post_message_with_transfer(&message, &transfer);
}

/// Tells the page how much of the current request is done.
pub fn tell(share: f32) {
    post(&Reply::Progress(share), None);
}
