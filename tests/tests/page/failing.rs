//! Tests what a mistake in the program means for the user: the page reports it, keeps the decisions, and goes on
//! or begins again.
//!
//! A test cannot cause a real mistake from outside. So each side gets a message that the other side never sends.
//! It announces more bytes than can exist. The attempt to make room for them panics, also in the released page.

use serde_json::json;

use crate::browser::{Page, Places, with_page};
use crate::made;

const AGAIN: &str = "has begun again with the file that was open";

/// Makes the worker that serves the page available to scripts, as `worker`.
async fn reach_worker(page: &Page) {
    let source = "Worker = class extends Worker { constructor(...given) { super(...given); window.worker = this; } }";
    page.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": source })).await;
    page.reload().await;
    page.until_open().await;
}

/// Sends a request to open a file by its address. The address is said to have 2³² − 1 bytes.
async fn fail_in_worker(page: &Page) {
    page.script("worker.postMessage([new Uint8Array([0, 1, 252, 255, 255, 255, 255]), null])").await;
}

/// Sends a reply with a false length.
async fn fail_in_window(page: &Page) {
    let script = "const data = [Object.defineProperty(new Uint8Array(4), 'length', { value: 2 ** 32 - 1 }), null];
                  worker.dispatchEvent(new MessageEvent('message', { data }))";
    page.script(script).await;
}

async fn remove_first(page: &Page) {
    page.press(&[], 'j').await;
    page.until("sentence", "shows a span", |text| !text.is_empty()).await;
    page.press(&[], 'x').await;
    page.until("counts-panel", "has the decision", |text| text.contains("1 decided by hand")).await;
}

#[test]
fn a_mistake_in_the_worker_is_told_and_the_page_goes_on() {
    let Some(places) = Places::find("a_mistake_in_the_worker_is_told_and_the_page_goes_on") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        reach_worker(&page).await;
        remove_first(&page).await;
        page.type_into("slider-negatives", "\u{e00e}").await;
        let corpus = page.cleaned_corpus(crate::CLEANED).await;

        fail_in_worker(&page).await;
        let told = page.until("banner", "tells of it", |text| text.contains(AGAIN)).await;
        assert!(told.contains("capacity overflow"), "{told}");
        // The decision and the threshold apply in the new worker, and the page goes on.
        crate::assert_same(&page.cleaned_corpus(crate::CLEANED).await, &corpus, "in the new worker");
        page.until("row", "is there again, decided by hand", |text| text.contains("by hand")).await;
        page.press(&[], 'j').await;
        let first = page.until("sentence", "shows the first span", |text| !text.is_empty()).await;
        page.press(&[], 'j').await;
        page.until("sentence", "shows the next span", |text| *text != first).await;
        page.press(&[], 'x').await;
        page.until("counts-panel", "has one more", |text| text.contains("2 decided by hand")).await;

        // When the file is opened again, it has its decisions.
        page.reload().await;
        page.until("banner", "brings the work back", |text| text.contains("2 decisions by hand")).await;
        page.forgive().await;
    });
}

#[test]
fn a_mistake_in_the_page_is_told_and_nothing_is_lost() {
    let Some(places) = Places::find("a_mistake_in_the_page_is_told_and_nothing_is_lost") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        reach_worker(&page).await;
        remove_first(&page).await;
        fail_in_window(&page).await;
        let told = page.text_of(".stopped").await;
        assert!(told.contains("capacity overflow") && told.contains("your decisions are kept"), "{told}");

        // Reloads the page, as the message says.
        page.reload().await;
        page.until("banner", "brings the work back", |text| text.contains("1 decision by hand")).await;
        page.until("row", "is decided by hand", |text| text.starts_with("remove") && text.contains("by hand")).await;
        page.forgive().await;
    });
}

#[test]
fn what_was_decided_about_words_when_the_worker_failed_is_done() {
    let Some(places) = Places::find("what_was_decided_about_words_when_the_worker_failed_is_done") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        reach_worker(&page).await;
        page.press(&[], 'w').await;
        page.click("form-row").await;
        page.find("chip-form").await;
        let script = "return document.querySelector('[data-testid=form-row].selected').children[3].textContent";
        let n = page.script(script).await.as_str().unwrap().trim().to_owned();
        // Requests are sent with the next frame. Frames are held back until the worker has failed.
        page.script(
            "window.frames_due = []; window.next_frame = window.requestAnimationFrame;
             window.requestAnimationFrame = (work) => frames_due.push(work)",
        )
        .await;
        page.press(&[], 'x').await;
        fail_in_worker(&page).await;
        page.until("banner", "tells of it", |text| text.contains(AGAIN)).await;
        page.script(
            "window.requestAnimationFrame = window.next_frame; frames_due.forEach((work) => requestAnimationFrame(work))",
        )
        .await;
        let line = format!("{n} decided by hand");
        page.until("counts-panel", "has the decisions", |text| text.lines().any(|is| is == line)).await;
        page.forgive().await;
    });
}
