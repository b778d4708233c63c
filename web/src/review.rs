//! Uses what `trainer serve` offers for the run that it shows. The page can save decisions into the folder of the run,
//! and follow the run while it is at work.

use js_sys::Reflect;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{RequestInit, Response};

use crate::error::in_words;

/// Header with the token of the server, which only this page can read.
const TOKEN: &str = "x-dynclean-token";

/// Decisions that were saved.
pub struct Saved {
    /// The file on the server's machine.
    pub file: String,
    /// The command that trains on it, if the folder says how the run was made.
    pub command: Option<String>,
}

/// The dynamics of a run now.
#[derive(Debug)]
pub struct Now {
    /// Name of the file.
    pub dynamics: String,
    /// Its length in bytes.
    pub length: f64,
    /// Decisions by hand in the run's `decisions.json`, if they are too many for an address; else 0.
    pub by_hand: f64,
}

/// Asks for the dynamics of the run now. Returns `None` if the server is gone.
pub async fn now(address: &str) -> Option<Now> {
    let offer = offer(address).await.ok()?;
    let field = |name: &str| Reflect::get(&offer, &name.into()).ok();
    Some(Now {
        dynamics: field("dynamics")?.as_string()?,
        length: field("length")?.as_f64()?,
        by_hand: field("by_hand")?.as_f64()?,
    })
}

async fn offer(address: &str) -> Result<JsValue, String> {
    let offer = fetch(address, &RequestInit::new()).await?.json().map_err(|e| in_words(&e))?;
    JsFuture::from(offer).await.map_err(|e| in_words(&e))
}

/// Saves the content of a `decisions.json` by the server's address for it.
///
/// # Errors
/// With the reason in words, when the server is gone or refuses.
pub async fn save(address: &str, json: &JsValue) -> Result<Saved, String> {
    // The token is asked for each time, because the server may have been started again.
    let offer = offer(address).await?;
    let field = |name: &str| Reflect::get(&offer, &name.into()).ok().and_then(|value| value.as_string());
    let headers = js_sys::Object::new();
    Reflect::set(&headers, &TOKEN.into(), &field("token").unwrap_or_default().into()).map_err(|e| in_words(&e))?;
    let request = RequestInit::new();
    request.set_method("POST");
    request.set_headers(&headers);
    request.set_body(json);
    fetch(address, &request).await?;
    Ok(Saved { file: field("file").unwrap_or_default(), command: field("command") })
}

/// Sends a request. An answer that is no success is an error with the server's words.
async fn fetch(address: &str, request: &RequestInit) -> Result<Response, String> {
    let answer = leptos::prelude::window().fetch_with_str_and_init(address, request);
    let answer: Response = JsFuture::from(answer).await.map_err(|e| in_words(&e))?.unchecked_into();
    if answer.ok() {
        return Ok(answer);
    }
    let text = JsFuture::from(answer.text().map_err(|e| in_words(&e))?).await.map_err(|e| in_words(&e))?;
    Err(text.as_string().unwrap_or_default().trim().trim_end_matches('.').to_owned())
}
