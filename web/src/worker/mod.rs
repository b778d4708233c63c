//! The worker's side: takes requests and answers them.

mod exporter;
mod form_cache;
mod recording;
mod replies;
mod session;
mod source;

use std::cell::RefCell;

use js_sys::{Array, ArrayBuffer};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Blob, MessageEvent, RequestInit, RequestMode, Response};

use self::exporter::Made;
use self::replies::{attached, post, scope};
use self::session::{Exported, Session, Unjudged};
use self::source::Source;
use crate::error::in_words;
use crate::protocol::{Export, Look, Place, Reply, Request, file_name, unpack};

const NOTHING_OPEN: &str = "no file is open";
/// A JSON file has a character other than white space within this many bytes.
const JSON_BEGINS: u64 = 4096;
/// Largest length of a `decisions.json` in bytes. It is read as a whole.
const JSON_ENDS: u64 = 1 << 30;

thread_local! {
    static SESSION: RefCell<Option<Session>> = const { RefCell::new(None) };
    /// The opened file, until the first question about its spans. Then it is judged.
    static UNJUDGED: RefCell<Option<Unjudged>> = const { RefCell::new(None) };
}

/// Answers requests until the page is closed.
pub fn serve() {
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        post(&Reply::Died(info.to_string()), None);
    }));
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(|event: MessageEvent| {
        if let Some((request, attachment)) = unpack::<Request>(event.data()) {
            spawn_local(answer(request, attachment));
        }
    });
    scope().set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    on_message.forget();
    post(&Reply::Ready, None);
}

async fn answer(request: Request, attachment: JsValue) {
    match request {
        Request::Open(place) => match open(place, attachment).await {
            Ok(reply) => post(&reply, None),
            Err(reason) => post(&Reply::Refused(reason), None),
        },
        Request::Compare(place) => match compare(place, attachment).await {
            Ok(reply) => post(&reply, None),
            Err(reason) => post(&Reply::Refused(reason), None),
        },
        Request::Take(json) => match with_session(|session| session.read_decisions(json.as_bytes())) {
            Ok((settings, review)) => post(&Reply::Decided(Box::new(settings), Box::new(review)), None),
            Err(reason) => post(&Reply::Refused(reason), None),
        },
        Request::Merge(names) => match merge(names, attachment).await {
            Ok(reply) => post(&reply, None),
            Err(reason) => post(&Reply::Refused(reason), None),
        },
        Request::Link => match with_session(|session| Ok(session.link())) {
            Ok((fragment, complete)) => post(&Reply::Linked { fragment, complete }, None),
            Err(reason) => post(&Reply::Failed(reason), None),
        },
        Request::Look(mut look) => {
            show_picture(&mut look);
            match with_session_async(async |session| session.look(*look).await).await {
                Ok((seen, pixels)) => {
                    post(&Reply::Seen(Box::new(seen)), pixels.as_deref().map(attached));
                    exporter::load_early();
                }
                Err(reason) => post(&Reply::Failed(reason), None),
            }
        }
        Request::Export(what) => match export(what).await {
            Ok((reply, bytes)) => post(&reply, Some(bytes)),
            Err(reason) => post(&Reply::Failed(reason), None),
        },
    }
}

/// Sends the data map of a file that was just opened, before its spans are ranked and judged.
fn show_picture(look: &mut Look) {
    UNJUDGED.with_borrow_mut(|unjudged| {
        if let (Some(unjudged), Some(query)) = (unjudged, look.query.map)
            && let Some((map, pixels)) = unjudged.picture(query)
        {
            look.query.map = None;
            post(&Reply::Picture(map), Some(attached(&pixels)));
        }
    });
}

/// Judges the opened file, if that was not done yet.
fn judge() -> Result<(), String> {
    if let Some(unjudged) = UNJUDGED.take() {
        SESSION.set(Some(unjudged.judge()?));
    }
    Ok(())
}

fn with_session<T>(work: impl FnOnce(&mut Session) -> Result<T, String>) -> Result<T, String> {
    judge()?;
    SESSION.with_borrow_mut(|session| match session {
        Some(session) => work(session),
        None => Err(NOTHING_OPEN.to_owned()),
    })
}

/// Takes the session out while the work waits for bytes. The page sends no other request in the meantime.
async fn with_session_async<T>(work: impl AsyncFnOnce(&mut Session) -> Result<T, String>) -> Result<T, String> {
    judge()?;
    let Some(mut session) = SESSION.take() else { return Err(NOTHING_OPEN.to_owned()) };
    let done = work(&mut session).await;
    SESSION.set(Some(session));
    done
}

async fn export(what: Export) -> Result<(Reply, ArrayBuffer), String> {
    let (name, bytes, notes) = match with_session(|session| session.export(what))? {
        Exported::Text { name, text } => (name.to_owned(), attached(text.as_bytes()), Vec::new()),
        Exported::Job { stem, job } => {
            let Made { bytes, extension, notes } = exporter::carry_out(job).await?;
            (format!("{stem}.{extension}"), bytes, notes)
        }
    };
    Ok((Reply::Exported { name, notes }, bytes))
}

/// Returns the name and the content of the file at a place.
async fn source_of(place: Place, attachment: JsValue) -> Result<(String, Source), String> {
    match place {
        Place::File { name } => {
            let file: Blob = attachment.dyn_into().map_err(|_| "the browser did not hand over the file".to_owned())?;
            Ok((name, Source::new(file)))
        }
        Place::Url(url) => Ok((file_name(&url).to_owned(), Source::new(fetch(&url).await?))),
    }
}

async fn compare(place: Place, attachment: JsValue) -> Result<Reply, String> {
    let (name, source) = source_of(place, attachment).await?;
    let compared = with_session_async(async |session| session.compare(name, source).await).await?;
    Ok(Reply::Compared(Box::new(compared)))
}

/// Reads the decisions of several people.
async fn merge(names: Vec<String>, files: JsValue) -> Result<Reply, String> {
    let files: Array = files.dyn_into().unwrap_or_default();
    let mut reviewers = Vec::new();
    for (name, file) in names.iter().zip(files) {
        let file: Blob = file.dyn_into().map_err(|_| "the browser did not hand over the file".to_owned())?;
        let json = Source::new(file).first(JSON_ENDS).await?;
        let read = with_session(|session| session.reviewer(name, &json));
        reviewers.push(read.map_err(|reason| format!("{name}: {reason}"))?);
    }
    with_session(|session| {
        // Whoever is at this page may have saved one of the files.
        let own = session.own().filter(|own| reviewers.iter().all(|reviewer| reviewer.decisions != own.decisions));
        Ok(Reply::Read(own.into_iter().chain(reviewers).collect()))
    })
}

async fn open(place: Place, attachment: JsValue) -> Result<Reply, String> {
    let (name, source) = source_of(place, attachment).await?;
    // A dynamics file begins with its signature, a `decisions.json` with a brace.
    if source.first(JSON_BEGINS).await?.trim_ascii_start().starts_with(b"{") {
        let bytes = source.first(JSON_ENDS).await?;
        let (settings, review) = with_session(|session| session.read_decisions(&bytes)).map_err(|e| {
            if e == NOTHING_OPEN { "open the dynamics file that it is about first".to_owned() } else { e }
        })?;
        return Ok(Reply::Decided(Box::new(settings), Box::new(review)));
    }
    let unjudged = Unjudged::open(name, source).await?;
    let opened = unjudged.opened();
    // Frees the memory of the previous file.
    SESSION.set(None);
    UNJUDGED.set(Some(unjudged));
    Ok(Reply::Opened(Box::new(opened)))
}

/// Fetches a file from the page's own server only.
async fn fetch(url: &str) -> Result<Blob, String> {
    let init = RequestInit::new();
    init.set_mode(RequestMode::SameOrigin);
    let failed = |e: JsValue| {
        format!("{url} cannot be fetched from this page's server ({}): choose a file instead", in_words(&e))
    };
    let response = JsFuture::from(scope().fetch_with_str_and_init(url, &init)).await.map_err(failed)?;
    let response: Response = response.dyn_into().map_err(failed)?;
    if !response.ok() {
        let status = response.status();
        return Err(format!("the server answered {status} for {url}: check the address after ?run=, or choose a file"));
    }
    // The browser may keep the file on disk.
    JsFuture::from(response.blob().map_err(failed)?).await.map_err(failed)?.dyn_into().map_err(failed)
}
