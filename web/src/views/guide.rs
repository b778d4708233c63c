//! A short guide to the screen for new users.

use leptos::prelude::*;

use super::layout;
use crate::memory;
use crate::state::App;

/// Name of the entry in the browser's storage that says that the guide has been seen.
const KEY: &str = "dynclean-guide-seen";

/// The steps: the panel that a step is about, and its text.
const STEPS: &[(&str, &str)] = &[
    (
        "spans",
        "This list has the labels that are likely wrong, the most suspicious first. J goes to the next one. A: the label is \
         right. X: not sure, remove it. 0: no entity. 1 to 9: another type. Ctrl+Z takes back. “Words” lists each word \
         once, with all its labels: one key decides about all of them.",
    ),
    (
        "detail",
        "Here is the selected label in its sentence: how likely it is wrong, why, and where else these words occur. The \
         buttons do the same as the keys.",
    ),
    (
        "distributions",
        "Trust is the chance that a label is right. Labels left of the orange line are likely wrong. Blue: labels that the \
         program made wrong on purpose, to see what wrong labels look like. Drag the line to doubt more labels or fewer.",
    ),
    (
        "map",
        "Every dot is a label. Top: the model agreed with it. Right: the model was unsure. Bottom left: the model never \
         agreed, so the label is often wrong. Draw around dots to see only these.",
    ),
    (
        "controls",
        "The automatic thresholds are a good start. When you are done, save the cleaned corpus. This browser keeps your \
         work until then.",
    ),
];

/// Returns the panel that the current step is about.
pub fn target(app: App) -> Option<&'static str> {
    app.guide.get().and_then(|step| STEPS.get(step)).map(|step| step.0)
}

/// Starts the guide.
pub fn begin(app: App) {
    layout::unfold(app);
    app.guide.set(Some(0));
}

fn end(app: App) {
    app.guide.set(None);
    memory::remember(KEY, Some("yes"));
}

/// Shows the current step. Before the guide has been seen, offers it.
pub fn guide(app: App) -> impl IntoView {
    let seen = RwSignal::new(memory::recall(KEY).is_some());
    let close = move || {
        end(app);
        seen.set(true);
    };
    let is_open = move || app.file.with(Option::is_some);
    let step_view = move |number: usize, text: &'static str| {
        let last = STEPS.len() - 1;
        view! {
            <section class="guide" aria-label="How to read this page" data-testid="guide">
                <p><strong>{number + 1} " of " {STEPS.len()} " "</strong> {text}</p>
                <div class="decide">
                    {(number > 0).then(|| view! {
                        <button class="button small" on:click=move |_| app.guide.set(Some(number - 1))>"back"</button>
                    })}
                    {(number < last).then(|| view! {
                        <button class="button small primary" data-testid="guide-next" on:click=move |_| app.guide.set(Some(number + 1))>"next"</button>
                    })}
                    <button class="button small" data-testid="guide-end" on:click=move |_| close()>
                        {if number == last { "done" } else { "end" }}
                    </button>
                </div>
            </section>
        }
    };
    let now = move || {
        if !is_open() {
            return None;
        }
        match app.guide.get() {
            Some(number) => STEPS.get(number).map(|step| step_view(number, step.1).into_any()),
            None if !seen.get() => Some(
                view! {
                    <section class="guide" aria-label="Offer of a guide" data-testid="guide-offer">
                        <p>"New here? Five short steps show how to use this page."</p>
                        <div class="decide">
                            <button class="button small primary" data-testid="guide-begin" on:click=move |_| begin(app)>"show me"</button>
                            <button class="button small" data-testid="guide-decline" on:click=move |_| close()>"no, thanks"</button>
                        </div>
                    </section>
                }
                .into_any(),
            ),
            None => None,
        }
    };
    view! { <div role="status">{now}</div> }
}
