//! Changes the page by the worker's answers.

use std::collections::BTreeMap;

use explorer::axis::{Axes, Axis};
use explorer::filter::Decided;
use js_sys::{ArrayBuffer, Uint8ClampedArray};
use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::ImageData;

use crate::client::{self, Destination, Event, Waiting};
use crate::protocol::{DecidedAlike, Look, Map, Reply, Seen};
use crate::state::{App, name_in_address, review_address};
use crate::{address, download, format, review, work};

/// Shows what has happened in the connection to the worker.
pub fn take(app: App, event: Event) {
    match event {
        Event::Busy(doing) => app.busy.set(doing),
        Event::Trouble(text) => app.tell(true, text),
        Event::Closed => app.close(),
        Event::Reply(reply, attachment, waited) => answer(app, reply, attachment, waited),
    }
}

fn answer(app: App, reply: Reply, attachment: JsValue, waited: Option<Waiting>) {
    match (reply, waited) {
        (Reply::Picture(map), _) => show_map(app, map, &attachment),
        (Reply::Opened(opened), Some(Waiting::Opened(source, then))) => {
            app.busy.set(None);
            let mut look = Look::default();
            look.change.settings = Some(opened.automatic.clone());
            work::keep_if_due(app);
            let (mut settings, review) = (app.settings.get_untracked(), app.review());
            if then.follows
                && app.file.with_untracked(|file| file.as_ref().is_some_and(|file| file.automatic == settings))
            {
                // The settings are the automatic ones of the state before. This state has its own.
                settings = opened.automatic.clone();
            }
            let reviewing = app.reviewing.get_untracked();
            app.review.set(review_address(&source));
            // While this state was read, the person may have decided about the state before.
            let restores = then.restores || then.follows && !work::is_untouched(app);
            if app.review.with_untracked(Option::is_some) {
                // If the browser refuses, a reload opens the file that was there before.
                let _ = name_in_address(&source.name());
                tell_of_other_decisions(app);
            }
            app.show(*opened);
            if let Some(trouble) = then.trouble {
                app.tell(true, trouble);
            }
            if restores {
                app.settings.set(settings.clone());
                look.change.settings = Some(settings);
                look.change.by_hand = review.by_hand.iter().map(|(&span, &decision)| (span, Some(decision))).collect();
                look.change.notes = Some(review.notes.clone());
                look.change.sampled.clone_from(&review.sampled);
                app.by_hand.set(review.by_hand);
                app.notes.set(review.notes);
                app.checked.set(review.sampled);
                app.reviewing.set(reviewing);
                look.query.decided_alike = then.decided_alike;
            }
            look.change.reviewing = Some(app.reviewing.get_untracked());
            if client::turn_to(source, look, restores) {
                app.tell(true, "Another file was opened before your last request was done.".to_owned());
            }
            if !restores {
                work::bring_back(app);
            } else if then.follows {
                app.keep_soon();
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
            client::look(|_| {});
        }
        (Reply::Linked { fragment, complete }, _) => address::share(app, &fragment, complete),
        (Reply::Decided(settings, review), Some(Waiting::Taken)) => {
            app.replace(*settings, *review);
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
        (Reply::Decided(settings, review), Some(Waiting::Opened(source, _))) => {
            app.busy.set(None);
            let decisions = format::decisions(review.by_hand.len());
            app.tell(false, format!("The settings and {decisions} of {} hold now.", source.name()));
            work::load_file(app, *settings, *review);
        }
        (Reply::Refused(reason), Some(Waiting::Opened(source, _))) => {
            app.busy.set(None);
            app.tell(true, format!("{} was not opened: {reason}.", source.name()));
        }
        (Reply::Seen(seen), _) => show(app, *seen, attachment),
        (Reply::Exported { .. }, Some(Waiting::Exported(Destination::Run(address)))) => {
            spawn_local(async move {
                let saved = review::save(&address, &attachment).await;
                app.busy.set(None);
                match saved {
                    Ok(saved) => app.tell_saved(saved),
                    Err(reason) => app.tell(
                        true,
                        format!(
                            "Your decisions were not saved in the folder of the run ({reason}). They are kept in this browser. \
                             \"Share …\" saves them as a file."
                        ),
                    ),
                }
            });
        }
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
}

/// Tells the user about decisions in the folder of the served run, if there are too many of them for an address.
fn tell_of_other_decisions(app: App) {
    let Some(address) = app.review.get_untracked() else { return };
    spawn_local(async move {
        let by_hand = review::now(&address).await.map_or(0.0, |now| now.by_hand) as usize;
        if by_hand > 0 && app.by_hand.with_untracked(BTreeMap::is_empty) {
            let n = format::decisions(by_hand);
            app.tell(
                false,
                format!("The run was cleaned with {n} by hand. To see them, open decisions.json in its folder here."),
            );
        }
    });
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
        app.hover.set(hover.filter(|_| client::is_pointed()));
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
    if let Some(groups) = seen.groups {
        app.groups.set(groups);
    }
    if let Some((reason, settings)) = seen.refused {
        app.tell(true, format!("These settings are not possible ({reason}). The settings before are back."));
        // If newer settings have been requested since, the reply to them decides.
        if !client::has_newer_settings() {
            app.settings.set(*settings);
            app.keep_soon();
        }
    }
    for DecidedAlike { words, spans, decision } in seen.decided_alike {
        let is_next = decision.is_some() && spans.iter().any(|&span| app.is_next(span));
        app.note_pace(spans.len());
        app.decide_by_hand(spans.into_iter().map(|span| (span, decision)).collect(), Some(words));
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
        let has_skipped = next.is_none() && client::forget_skipped();
        app.set_next(next, has_skipped);
    }
    if let Some(sampled) = seen.sampled {
        app.set_sampled(sampled);
    }
    if let Some(settled) = seen.settled {
        app.take_settled(settled);
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
