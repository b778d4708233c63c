//! The window's connection to the worker. It sends one request at a time, and combines the changes made meanwhile
//! into the next request. If a worker dies, it starts a new one.

use std::cell::RefCell;
use std::collections::VecDeque;

use explorer::axis::{Axes, Axis};
use explorer::filter::Decided;
use js_sys::{Array, ArrayBuffer, Uint8ClampedArray};
use leptos::prelude::*;
use shared::corpus::decision::Decision;
use shared::corpus::span::SpanId;
use wasm_bindgen::prelude::*;
use web_sys::{File, ImageData, MessageEvent, Worker, WorkerOptions, WorkerType};

use crate::protocol::{Alike, DecidedAlike, Export, Look, Map, Place, Reply, Request, Seen, pack, unpack};
use crate::state::App;
use crate::worker::file_name;
use crate::{address, download, format, work};

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
    fn name(&self) -> String {
        match self {
            Self::File(file) => file.name(),
            Self::Url(url) => file_name(url).to_owned(),
        }
    }
}

impl Source {
    /// Returns the place as the worker reads it, and the value to attach to the message.
    fn place(&self) -> (Place, JsValue) {
        match self {
            Self::File(file) => (Place::File { name: file.name() }, file.into()),
            Self::Url(url) => (Place::Url(url.clone()), JsValue::NULL),
        }
    }
}

/// What the page does once a file is open.
struct Then {
    /// A notice to show: whether it is an error, and its text.
    notice: Option<(bool, String)>,
    /// Whether to restore the settings and decisions, because a worker has died.
    restores: bool,
    /// Decisions about words that the dead worker had not received yet.
    decided_alike: Vec<(Alike, Option<Decision>)>,
}

enum Job {
    Open(Source, Then),
    Compare(Source),
    Take(String),
    Merge(Vec<File>),
    Export(Export),
    Link,
}

/// The reply that the window waits for.
enum Waiting {
    Opened(Source, Then),
    Compared(Source),
    Taken,
    Merged,
    Exported,
    Linked,
    /// Whether the reply lists spans for decisions about words.
    Seen {
        decides: bool,
    },
}

struct Link {
    app: App,
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

thread_local! {
    static LINK: RefCell<Option<Link>> = const { RefCell::new(None) };
}

fn with<T>(work: impl FnOnce(&mut Link) -> T) -> Option<T> {
    LINK.with_borrow_mut(|link| link.as_mut().map(work))
}

/// Starts the first worker.
pub fn start(app: App, scripts: Scripts) {
    LINK.set(Some(Link {
        app,
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

/// Opens a file. The view changes when the file is open, and then `notice` is shown.
pub fn open(source: Source, notice: Option<String>) {
    with(|link| {
        link.app.busy.set(Some(format!("Opening {} …", source.name())));
        // Only the file chosen last is opened.
        link.jobs.retain(|job| !matches!(job, Job::Open(..)));
        link.jobs.push_back(Job::Open(
            source,
            Then { notice: notice.map(|text| (false, text)), restores: false, decided_alike: Vec::new() },
        ));
    });
    advance();
}

/// Returns whether another file is about to replace the open one.
pub fn is_opening() -> bool {
    let opens = |link: &mut Link| {
        matches!(link.waiting, Some(Waiting::Opened(..))) || link.jobs.iter().any(|job| matches!(job, Job::Open(..)))
    };
    with(opens).unwrap_or(false)
}

/// Asks for the span at this pixel of the data map.
pub fn point(at: (u32, u32)) {
    with(|link| link.is_pointed = true);
    look(|look| look.hover = Some(at));
}

/// Asks for the next undecided span, and skips this one if it is given.
pub fn next(skipped: Option<SpanId>) {
    let skipped = with(|link| {
        link.skipped.extend(skipped);
        link.skipped.clone()
    });
    look(|look| look.next = skipped);
}

/// Tells that the pointer has left the data map.
pub fn point_away() {
    with(|link| {
        link.is_pointed = false;
        link.look.iter_mut().for_each(|look| look.hover = None);
    });
}

/// Compares the open file with another.
pub fn compare(source: Source) {
    with(|link| {
        link.app.busy.set(Some(format!("Comparing with {} …", source.name())));
        link.jobs.push_back(Job::Compare(source));
    });
    advance();
}

/// Applies the settings and decisions in the text of a `decisions.json`.
pub fn take(json: String) {
    with(|link| link.jobs.push_back(Job::Take(json)));
    advance();
}

/// Reads the `decisions.json` of several people, to merge them.
pub fn merge(files: Vec<File>) {
    with(|link| link.jobs.push_back(Job::Merge(files)));
    advance();
}

/// Makes the complete link.
pub fn share() {
    with(|link| link.jobs.push_back(Job::Link));
    advance();
}

/// Makes a file for download, with all changes so far.
pub fn export(what: Export) {
    with(|link| {
        link.app.busy.set(Some("Preparing the download …".to_owned()));
        link.jobs.push_back(Job::Export(what));
    });
    advance();
}

/// Adds a change to the next look.
pub fn look(change: impl FnOnce(&mut Look)) {
    with(|link| change(link.look.get_or_insert_default()));
    advance();
}

fn start_worker() {
    let started = with(|link| {
        link.generation += 1;
        link.ready = false;
        link.waiting = None;
        let generation = link.generation;
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = Worker::new_with_options(&link.scripts.worker, &options)?;
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            if with(|link| link.generation) == Some(generation)
                && let Some((reply, attachment)) = unpack::<Reply>(event.data())
            {
                on_reply(reply, attachment);
            }
        });
        let on_error = Closure::<dyn FnMut(JsValue)>::new(move |event: JsValue| {
            if with(|link| link.generation) == Some(generation) {
                let cause = js_sys::Reflect::get(&event, &"message".into()).ok().and_then(|m| m.as_string());
                on_death(&cause.unwrap_or_else(|| "its script could not be loaded".to_owned()));
            }
        });
        worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        on_message.forget();
        on_error.forget();
        let Scripts { glue, exporter, .. } = &link.scripts;
        worker.post_message(&Array::of3(&glue.as_str().into(), &wasm_bindgen::module(), &exporter.as_str().into()))?;
        link.worker = Some(worker);
        Ok::<(), JsValue>(())
    });
    if let Some(Err(error)) = started {
        with(|link| link.app.tell(true, format!("The browser refuses to start a worker ({error:?}).")));
    }
}

/// Sends the next request if the worker is free.
fn advance() {
    let ask_for_frame = with(|link| {
        if !link.ready || link.waiting.is_some() {
            return false;
        }
        match link.jobs.front() {
            Some(Job::Open(..)) if link.look.as_ref().is_none_or(|look| look.decided_alike.is_empty()) => {
                link.send_job()
            }
            // Pending changes go first: an export must contain what the user sees, and a decision about words is
            // about the file that is still open.
            Some(_) if link.look.is_some() => link.send_look(),
            Some(_) => link.send_job(),
            None if link.look.is_some() && !link.frame_asked => {
                link.frame_asked = true;
                return true;
            }
            None => {}
        }
        false
    });
    if ask_for_frame == Some(true) {
        request_animation_frame(|| {
            with(|link| {
                link.frame_asked = false;
                if link.patience > 0 && link.look.as_ref().is_some_and(|look| look.map.is_none()) {
                    // Waits for the map's query, so that the map is drawn first.
                    link.patience -= 1;
                } else if link.ready && link.waiting.is_none() && link.jobs.is_empty() {
                    link.patience = 0;
                    link.send_look();
                }
            });
            advance();
        });
    }
}

impl Link {
    fn send(&mut self, request: &Request, attachment: &JsValue, waiting: Waiting) {
        let Some(worker) = &self.worker else { return };
        match worker.post_message(&pack(request, attachment)) {
            Ok(()) => self.waiting = Some(waiting),
            Err(error) => self.app.tell(true, format!("The worker does not take requests ({error:?}).")),
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
            Some(Job::Export(what)) => self.send(&Request::Export(what), &JsValue::NULL, Waiting::Exported),
            None => {}
        }
    }

    fn show_progress(&mut self, share: f32) {
        let doing = match &self.waiting {
            Some(Waiting::Opened(source, _)) => format!("Opening {} …", source.name()),
            Some(Waiting::Compared(source)) => format!("Comparing with {} …", source.name()),
            _ => {
                self.reads_again = true;
                "Reading the file again …".to_owned()
            }
        };
        self.app.busy.set(Some(format!("{doing} {:.0} %", share * 100.0)));
    }

    fn send_look(&mut self) {
        let Some(look) = self.look.take() else { return };
        if self.open.is_some() {
            let decides = !look.decided_alike.is_empty();
            self.send(&Request::Look(Box::new(look)), &JsValue::NULL, Waiting::Seen { decides });
        }
    }
}

fn on_reply(reply: Reply, attachment: JsValue) {
    if let Reply::Died(cause) = reply {
        return on_death(&cause);
    }
    if let Reply::Progress(share) = reply {
        with(|link| link.show_progress(share));
        return;
    }
    if let Reply::Picture(map) = reply {
        if let Some(app) = with(|link| link.app) {
            show_map(app, map, &attachment);
        }
        return;
    }
    let Some((app, waiting)) = with(|link| {
        link.ready = true;
        if std::mem::take(&mut link.reads_again) {
            link.app.busy.set(None);
        }
        (link.app, link.waiting.take())
    }) else {
        return;
    };
    match (reply, waiting) {
        (Reply::Opened(opened), Some(Waiting::Opened(source, then))) => {
            app.busy.set(None);
            let mut look = Look { settings: Some(opened.automatic.clone()), ..Look::default() };
            work::keep_if_due(app);
            let (settings, by_hand) = (app.settings.get_untracked(), app.by_hand.get_untracked());
            let reviewing = app.reviewing.get_untracked();
            app.show(*opened);
            if let Some((is_error, notice)) = then.notice {
                app.tell(is_error, notice);
            }
            if then.restores {
                app.settings.set(settings.clone());
                look.settings = Some(settings);
                look.by_hand = by_hand.iter().map(|(&span, &decision)| (span, Some(decision))).collect();
                app.by_hand.set(by_hand);
                app.reviewing.set(reviewing);
                look.decided_alike = then.decided_alike;
            }
            look.reviewing = Some(app.reviewing.get_untracked());
            with(|link| {
                if !then.restores {
                    // Requests made before are about the previous file.
                    let n_jobs = link.jobs.len();
                    link.jobs.retain(|job| matches!(job, Job::Open(..)));
                    if link.jobs.len() < n_jobs {
                        app.tell(true, "Another file was opened before your last request was done.".to_owned());
                    }
                }
                link.open = Some(source);
                link.patience = PATIENCE;
                link.skipped.clear();
                // The views add their own queries.
                link.look = Some(look);
            });
            if !then.restores {
                work::bring_back(app);
            }
        }
        (Reply::Compared(compared), _) => {
            app.busy.set(None);
            app.zoom.set(None);
            app.compared.set(Some(*compared));
            app.axes.set(Axes { x: Axis::Aum, y: Axis::OtherAum });
            app.filter_by(|filter| {
                // An area drawn over the AUMs of an earlier comparison means nothing for this file.
                filter.forget_other();
                filter.decided = Some(Decided::Differently);
            });
            app.said.set(Some("Compared".to_owned()));
            // Sends a look even if no view asks for anything, so that the agreement arrives.
            look(|_| {});
        }
        (Reply::Linked { fragment, complete }, _) => address::share(app, &fragment, complete),
        (Reply::Decided(settings, by_hand), Some(Waiting::Taken)) => {
            app.replace(*settings, by_hand);
            app.set_reviewers(Vec::new());
            work::is_linked(app);
        }
        (Reply::Read(reviewers), _) => app.merge(reviewers),
        (Reply::Refused(reason), Some(Waiting::Merged)) => {
            app.tell(true, format!("Nothing was merged. {reason}."));
        }
        (Reply::Refused(reason), Some(Waiting::Taken)) => {
            app.tell(true, format!("The settings in the page's address were not used: {reason}."));
        }
        (Reply::Refused(reason), Some(Waiting::Compared(source))) => {
            app.busy.set(None);
            app.tell(true, format!("{} cannot be compared: {reason}.", source.name()));
        }
        (Reply::Decided(settings, by_hand), Some(Waiting::Opened(source, _))) => {
            app.busy.set(None);
            let decisions = format::decisions(by_hand.len());
            app.tell(false, format!("The settings and {decisions} of {} hold now.", source.name()));
            work::load_file(app, *settings, by_hand);
        }
        (Reply::Refused(reason), Some(Waiting::Opened(source, _))) => {
            app.busy.set(None);
            app.tell(true, format!("{} was not opened: {reason}.", source.name()));
        }
        (Reply::Seen(seen), _) => show(app, *seen, attachment),
        (Reply::Exported { name, notes }, _) => {
            app.busy.set(None);
            for note in notes {
                app.tell(false, format!("{name}: {note}."));
            }
            if let Err(error) = download::save(&name, &attachment) {
                app.tell(true, format!("The browser does not save {name} ({error:?})."));
            }
        }
        (Reply::Failed(reason), _) => {
            app.busy.set(None);
            app.tell(true, format!("That could not be done: {reason}."));
        }
        _ => {}
    }
    advance();
}

fn show(app: App, seen: Seen, attachment: JsValue) {
    if let Some(passing) = seen.passing {
        app.passing.set(passing);
    }
    if seen.curves.is_some() {
        app.curves.set(seen.curves);
    }
    if seen.agreement.is_some() && app.compared.with_untracked(Option::is_some) {
        app.agreement.set(seen.agreement);
    }
    if let Some(hover) = seen.hover {
        app.hover.set(hover.filter(|_| with(|link| link.is_pointed) == Some(true)));
    }
    if let Some(figures) = seen.figures {
        app.figures.set(Some(figures));
    }
    if let Some(histograms) = seen.histograms {
        app.histograms.set(histograms);
    }
    if let Some(aum) = seen.aum {
        app.aum.set(aum);
    }
    if let Some(rows) = seen.rows {
        app.rows.set(rows);
    }
    if let Some(forms) = seen.forms {
        app.forms.set(forms);
    }
    if let Some((reason, settings)) = seen.refused {
        app.tell(true, format!("These settings are not possible ({reason}). The settings before are back."));
        // If newer settings have been requested since, the reply to them decides.
        if with(|link| link.look.as_ref().is_none_or(|look| look.settings.is_none())) == Some(true) {
            app.settings.set(*settings);
            work::keep_soon(app);
        }
    }
    for DecidedAlike { words, spans, decision } in seen.decided_alike {
        let is_next = decision.is_some() && spans.iter().any(|&span| app.is_next(span));
        app.apply(None, spans.into_iter().map(|span| (span, decision)).collect(), Some(words));
        if is_next {
            app.go_on();
        }
    }
    if let Some(matrices) = seen.matrices {
        app.matrices.set(matrices);
    }
    if seen.bulk.is_some() {
        app.bulk.set(seen.bulk);
    }
    if let Some(next) = seen.next {
        let skipped = with(|link| if next.is_none() { std::mem::take(&mut link.skipped) } else { Vec::new() });
        app.set_next(next, skipped.is_some_and(|skipped| !skipped.is_empty()));
    }
    if let Some(detail) = seen.detail.flatten() {
        app.selected.set(Some(detail.row.id));
        app.detail.set(Some(detail));
    }
    if let Some(map) = seen.map {
        show_map(app, map, &attachment);
    }
}

fn show_map(app: App, map: Map, pixels: &JsValue) {
    let pixels = Uint8ClampedArray::new(pixels.unchecked_ref::<ArrayBuffer>());
    if let Ok(image) = ImageData::new_with_js_u8_clamped_array(&pixels, map.query.width) {
        app.map_pixels.set(Some(image));
    }
    app.map.set(Some(map));
}

/// Starts a new worker and opens the same file in it, unless that file made the worker die.
fn on_death(cause: &str) {
    let again = with(|link| {
        if let Some(worker) = link.worker.take() {
            worker.terminate();
        }
        link.jobs.clear();
        let decided_alike = link.look.take().map(|look| look.decided_alike).unwrap_or_default();
        // Decisions that were already sent are not repeated: they may have made the worker die.
        let is_lost = matches!(link.waiting, Some(Waiting::Seen { decides: true }));
        let app = link.app;
        app.busy.set(None);
        if !link.ready {
            // Another worker would fail in the same way.
            app.tell(true, format!("DynClean's worker does not start ({cause}): reload the page."));
            return false;
        }
        let (mut notice, open) = match (link.waiting.take(), link.open.take()) {
            (Some(Waiting::Opened(source, Then { restores: true, .. })), _) => {
                app.close();
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
        app.tell(true, notice.clone());
        if let Some(source) = open {
            link.jobs
                .push_back(Job::Open(source, Then { notice: Some((true, notice)), restores: true, decided_alike }));
        }
        true
    });
    if again == Some(true) {
        start_worker();
    }
}
