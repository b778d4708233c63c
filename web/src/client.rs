//! The window's connection to the worker. It sends one request at a time, and combines the changes made meanwhile
//! into the next request. If a worker dies, it starts a new one. It knows nothing of the page: what happens is told to
//! the listener as an [`Event`].

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use js_sys::Array;
use leptos::prelude::{queue_microtask, request_animation_frame};
use shared::corpus::decision::Decision;
use shared::corpus::span::SpanId;
use wasm_bindgen::prelude::*;
use web_sys::{File, MessageEvent, Worker, WorkerOptions, WorkerType};

use crate::protocol::{Alike, Export, Look, Place, Reply, Request, file_name, pack, unpack};

/// An event of the connection.
pub enum Event {
    /// Long work has begun, with its name in words, or has ended.
    Busy(Option<String>),
    /// The worker has sent a reply, with an attachment. The last field says which reply the window waited for.
    Reply(Reply, JsValue, Option<Waiting>),
    /// Something went wrong, in words.
    Trouble(String),
    /// The open file is closed, because it makes the worker die.
    Closed,
}

/// Addresses of the scripts that a worker needs.
pub struct Scripts {
    /// Address of the script that wasm-bindgen generates.
    pub glue: String,
    /// Address of our worker script.
    pub worker: String,
    /// Address of the script of the program that writes files.
    pub exporter: String,
}

/// Where a dynamics file comes from.
#[derive(Clone)]
pub enum Source {
    /// From the user's disk.
    File(File),
    /// From the page's server.
    Url(String),
}

impl Source {
    /// Name of the file.
    pub fn name(&self) -> String {
        match self {
            Self::File(file) => file.name(),
            Self::Url(url) => file_name(url).to_owned(),
        }
    }

    /// Returns the place as the worker reads it, and the value to attach to the message.
    fn place(&self) -> (Place, JsValue) {
        match self {
            Self::File(file) => (Place::File { name: file.name() }, file.into()),
            Self::Url(url) => (Place::Url(url.clone()), JsValue::NULL),
        }
    }
}

/// What the page does once a file is open.
pub struct Then {
    /// A message about an earlier failure, to be shown when the file is open.
    pub trouble: Option<String>,
    /// Whether to restore the settings and decisions, because a worker has died.
    pub restores: bool,
    /// Whether this is another state of the same run. If it is, decisions made while it was read are carried over.
    pub follows: bool,
    /// Decisions about words that the dead worker had not received yet.
    pub decided_alike: Vec<(Alike, Option<Decision>)>,
}

enum Job {
    Open(Source, Then),
    Compare(Source),
    Take(String),
    Merge(Vec<File>),
    Export(Export, Destination),
    Link,
}

/// Where a file goes.
pub enum Destination {
    /// To the person's disk.
    Download,
    /// To the server that shows a run, by this address.
    Run(String),
}

/// The reply that the window waits for.
pub enum Waiting {
    /// To [`Request::Open`].
    Opened(Source, Then),
    /// To [`Request::Compare`].
    Compared(Source),
    /// To [`Request::Take`].
    Taken,
    /// To [`Request::Merge`].
    Merged,
    /// To [`Request::Export`].
    Exported(Destination),
    /// To [`Request::Link`].
    Linked,
    /// To [`Request::Look`].
    Seen {
        /// Whether the reply lists spans for decisions about words.
        decides: bool,
    },
}

struct Client {
    listener: Listener,
    scripts: Scripts,
    worker: Option<Worker>,
    /// Number of the current worker. Late messages from an earlier worker are ignored.
    generation: u32,
    ready: bool,
    waiting: Option<Waiting>,
    jobs: VecDeque<Job>,
    look: Option<Look>,
    frame_asked: bool,
    /// Number of frames that the first look after opening a file may still wait for the size of the map.
    patience: u8,
    open: Option<Source>,
    /// Whether the page says that the open file is being read again.
    reads_again: bool,
    /// Whether the pointer is on the data map.
    is_pointed: bool,
    /// Undecided spans that the user has skipped.
    skipped: Vec<SpanId>,
}

/// Largest number of frames to wait: a view knows its size only a frame after it appears.
const PATIENCE: u8 = 4;

type Listener = Rc<dyn Fn(Event)>;

thread_local! {
    static CLIENT: RefCell<Option<Client>> = const { RefCell::new(None) };
}

fn with<T>(work: impl FnOnce(&mut Client) -> T) -> Option<T> {
    CLIENT.with_borrow_mut(|client| client.as_mut().map(work))
}

/// Tells the listener. It may call functions of this module, so nothing is borrowed meanwhile.
fn tell(event: Event) {
    if let Some(listener) = with(|client| client.listener.clone()) {
        listener(event);
    }
}

/// Starts the first worker.
pub fn start(scripts: Scripts, listener: impl Fn(Event) + 'static) {
    CLIENT.set(Some(Client {
        listener: Rc::new(listener),
        scripts,
        worker: None,
        generation: 0,
        ready: false,
        waiting: None,
        jobs: VecDeque::new(),
        look: None,
        frame_asked: false,
        patience: 0,
        open: None,
        reads_again: false,
        is_pointed: false,
        skipped: Vec::new(),
    }));
    start_worker();
}

/// Opens a file. The view changes when the file is open.
pub fn open(source: Source) {
    open_then(source, Then { trouble: None, restores: false, follows: false, decided_alike: Vec::new() });
}

/// Opens another state of the run that is open.
pub fn follow(source: Source) {
    open_then(source, Then { trouble: None, restores: false, follows: true, decided_alike: Vec::new() });
}

fn open_then(source: Source, then: Then) {
    tell(Event::Busy(Some(format!("Opening {} …", source.name()))));
    with(|client| {
        // Only the file chosen last is opened.
        client.jobs.retain(|job| !matches!(job, Job::Open(..)));
        client.jobs.push_back(Job::Open(source, then));
    });
    advance();
}

/// Returns whether another file is about to replace the open one.
pub fn is_opening() -> bool {
    let opens = |client: &mut Client| {
        matches!(client.waiting, Some(Waiting::Opened(..)))
            || client.jobs.iter().any(|job| matches!(job, Job::Open(..)))
    };
    with(opens).unwrap_or(false)
}

/// Asks for the span at this pixel of the data map.
pub fn point(at: (u32, u32)) {
    with(|client| client.is_pointed = true);
    look(|look| look.query.hover = Some(at));
}

/// Asks for the next undecided span, and skips this one if it is given.
pub fn next(skipped: Option<SpanId>) {
    let skipped = with(|client| {
        client.skipped.extend(skipped);
        client.skipped.clone()
    });
    look(|look| look.query.next = skipped);
}

/// Returns whether the pointer is on the data map.
pub fn is_pointed() -> bool {
    with(|client| client.is_pointed) == Some(true)
}

/// Returns whether newer settings wait to be sent.
pub fn has_newer_settings() -> bool {
    with(|client| client.look.as_ref().is_some_and(|look| look.change.settings.is_some())) == Some(true)
}

/// Forgets the spans that the user has skipped. Returns whether there were any.
pub fn forget_skipped() -> bool {
    with(|client| !std::mem::take(&mut client.skipped).is_empty()) == Some(true)
}

/// Turns to a file that the worker has opened, with this first look. Requests made before are about the previous file:
/// unless `keeps_requests` is set, they are dropped. Returns whether any was.
pub fn turn_to(source: Source, look: Look, keeps_requests: bool) -> bool {
    let turn = |client: &mut Client| {
        let n_jobs = client.jobs.len();
        client.jobs.retain(|job| keeps_requests || matches!(job, Job::Open(..)));
        client.open = Some(source);
        client.patience = PATIENCE;
        client.skipped.clear();
        // The views add their own queries.
        client.look = Some(look);
        client.jobs.len() < n_jobs
    };
    with(turn) == Some(true)
}

/// Tells that the pointer has left the data map.
pub fn point_away() {
    with(|client| {
        client.is_pointed = false;
        client.look.iter_mut().for_each(|look| look.query.hover = None);
    });
}

/// Compares the open file with another.
pub fn compare(source: Source) {
    tell(Event::Busy(Some(format!("Comparing with {} …", source.name()))));
    with(|client| client.jobs.push_back(Job::Compare(source)));
    advance();
}

/// Applies the settings and decisions in the text of a `decisions.json`.
pub fn take(json: String) {
    with(|client| client.jobs.push_back(Job::Take(json)));
    advance();
}

/// Reads the `decisions.json` of several people, to merge them.
pub fn merge(files: Vec<File>) {
    with(|client| client.jobs.push_back(Job::Merge(files)));
    advance();
}

/// Makes the complete link.
pub fn share() {
    with(|client| client.jobs.push_back(Job::Link));
    advance();
}

/// Makes a file, with all changes so far.
pub fn export(what: Export, destination: Destination) {
    tell(Event::Busy(Some("Preparing the file …".to_owned())));
    with(|client| client.jobs.push_back(Job::Export(what, destination)));
    advance();
}

/// Adds a change to the next look.
pub fn look(change: impl FnOnce(&mut Look)) {
    with(|client| change(client.look.get_or_insert_default()));
    advance();
}

fn start_worker() {
    let started = with(|client| {
        client.generation += 1;
        client.ready = false;
        client.waiting = None;
        let generation = client.generation;
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = Worker::new_with_options(&client.scripts.worker, &options)?;
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            if with(|client| client.generation) == Some(generation)
                && let Some((reply, attachment)) = unpack::<Reply>(event.data())
            {
                on_reply(reply, attachment);
            }
        });
        let on_error = Closure::<dyn FnMut(JsValue)>::new(move |event: JsValue| {
            if with(|client| client.generation) == Some(generation) {
                let cause = js_sys::Reflect::get(&event, &"message".into()).ok().and_then(|m| m.as_string());
                on_death(&cause.unwrap_or_else(|| "its script could not be loaded".to_owned()));
            }
        });
        worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        on_message.forget();
        on_error.forget();
        let Scripts { glue, exporter, .. } = &client.scripts;
        worker.post_message(&Array::of3(&glue.as_str().into(), &wasm_bindgen::module(), &exporter.as_str().into()))?;
        client.worker = Some(worker);
        Ok::<(), JsValue>(())
    });
    if let Some(Err(error)) = started {
        tell(Event::Trouble(format!("The browser refuses to start a worker ({error:?}).")));
    }
}

/// Sends the next request if the worker is free.
fn advance() {
    let ask_for_frame = with(|client| {
        if !client.ready || client.waiting.is_some() {
            return false;
        }
        match client.jobs.front() {
            Some(Job::Open(..)) if client.look.as_ref().is_none_or(|look| look.query.decided_alike.is_empty()) => {
                client.send_job()
            }
            // Pending changes go first: an export must contain what the user sees, and a decision about words is
            // about the file that is still open.
            Some(_) if client.look.is_some() => client.send_look(),
            Some(_) => client.send_job(),
            None if client.look.is_some() && !client.frame_asked => {
                client.frame_asked = true;
                return true;
            }
            None => {}
        }
        false
    });
    if ask_for_frame == Some(true) {
        request_animation_frame(|| {
            with(|client| {
                client.frame_asked = false;
                if client.patience > 0 && client.look.as_ref().is_some_and(|look| look.query.map.is_none()) {
                    // Waits for the map's query, so that the map is drawn first.
                    client.patience -= 1;
                } else if client.ready && client.waiting.is_none() && client.jobs.is_empty() {
                    client.patience = 0;
                    client.send_look();
                }
            });
            advance();
        });
    }
}

impl Client {
    fn send(&mut self, request: &Request, attachment: &JsValue, waiting: Waiting) {
        let Some(worker) = &self.worker else { return };
        match worker.post_message(&pack(request, attachment)) {
            Ok(()) => self.waiting = Some(waiting),
            Err(error) => {
                let trouble = format!("The worker does not take requests ({error:?}).");
                queue_microtask(move || tell(Event::Trouble(trouble)));
            }
        }
    }

    fn send_job(&mut self) {
        match self.jobs.pop_front() {
            Some(Job::Open(source, then)) => {
                let (place, attachment) = source.place();
                self.send(&Request::Open(place), &attachment, Waiting::Opened(source, then));
            }
            Some(Job::Compare(source)) => {
                let (place, attachment) = source.place();
                self.send(&Request::Compare(place), &attachment, Waiting::Compared(source));
            }
            Some(Job::Take(json)) => self.send(&Request::Take(json), &JsValue::NULL, Waiting::Taken),
            Some(Job::Merge(files)) => {
                let names = files.iter().map(File::name).collect();
                let files: Array = files.into_iter().collect();
                self.send(&Request::Merge(names), &files, Waiting::Merged);
            }
            Some(Job::Link) => self.send(&Request::Link, &JsValue::NULL, Waiting::Linked),
            Some(Job::Export(what, destination)) => {
                self.send(&Request::Export(what), &JsValue::NULL, Waiting::Exported(destination));
            }
            None => {}
        }
    }

    /// Names the work of which this share is done.
    fn progress(&mut self, share: f32) -> String {
        let doing = match &self.waiting {
            Some(Waiting::Opened(source, _)) => format!("Opening {} …", source.name()),
            Some(Waiting::Compared(source)) => format!("Comparing with {} …", source.name()),
            _ => {
                self.reads_again = true;
                "Reading the file again …".to_owned()
            }
        };
        format!("{doing} {:.0} %", share * 100.0)
    }

    fn send_look(&mut self) {
        let Some(look) = self.look.take() else { return };
        if self.open.is_some() {
            let decides = !look.query.decided_alike.is_empty();
            self.send(&Request::Look(Box::new(look)), &JsValue::NULL, Waiting::Seen { decides });
        }
    }
}

fn on_reply(reply: Reply, attachment: JsValue) {
    let waited = match &reply {
        Reply::Died(cause) => return on_death(cause),
        Reply::Progress(share) => {
            if let Some(doing) = with(|client| client.progress(*share)) {
                tell(Event::Busy(Some(doing)));
            }
            return;
        }
        // The actual reply comes later.
        Reply::Picture(_) => return tell(Event::Reply(reply, attachment, None)),
        _ => with(|client| {
            client.ready = true;
            (std::mem::take(&mut client.reads_again), client.waiting.take())
        }),
    };
    let Some((has_read_again, waited)) = waited else { return };
    if has_read_again {
        tell(Event::Busy(None));
    }
    tell(Event::Reply(reply, attachment, waited));
    advance();
}

/// Starts a new worker and opens the same file in it, unless that file made the worker die.
fn on_death(cause: &str) {
    let dead = with(|client| {
        if let Some(worker) = client.worker.take() {
            worker.terminate();
        }
        client.jobs.clear();
        let decided_alike = client.look.take().map(|look| look.query.decided_alike).unwrap_or_default();
        // Decisions that were already sent are not repeated: they may have made the worker die.
        let is_lost = matches!(client.waiting, Some(Waiting::Seen { decides: true }));
        if !client.ready {
            // Another worker would fail in the same way.
            return (
                Event::Trouble(format!("DynClean's worker does not start ({cause}): reload the page.")),
                false,
                false,
            );
        }
        let mut closes = false;
        let (mut notice, open) = match (client.waiting.take(), client.open.take()) {
            (Some(Waiting::Opened(source, Then { restores: true, .. })), _) => {
                closes = true;
                (format!("{} was closed: DynClean failed on it twice ({cause}).", source.name()), None)
            }
            (Some(Waiting::Opened(source, _)), open) => {
                (format!("{} was not opened: DynClean failed while reading it ({cause}).", source.name()), open)
            }
            (Some(Waiting::Compared(source)), open) => {
                (format!("{} was not compared: DynClean failed while reading it ({cause}).", source.name()), open)
            }
            (_, open) => (format!("DynClean failed ({cause}), and has begun again with the file that was open."), open),
        };
        if is_lost {
            notice.push_str(" What you decided last about spans with the same words was not done.");
        }
        if let Some(source) = open {
            let trouble = Some(notice.clone());
            client.jobs.push_back(Job::Open(source, Then { trouble, restores: true, follows: false, decided_alike }));
        }
        (Event::Trouble(notice), closes, true)
    });
    let Some((trouble, closes, again)) = dead else { return };
    tell(Event::Busy(None));
    if closes {
        tell(Event::Closed);
    }
    tell(trouble);
    if again {
        start_worker();
    }
}
