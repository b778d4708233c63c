//! A short guide to the screen for new users.

use leptos::prelude::*;

use crate::memory;
use crate::state::App;

/// Name of the entry in the browser's storage that says that the guide has been seen.
const KEY: &str = "dynclean-guide-seen";

/// The steps: the panel that a step is about, and its text.
const STEPS: &[(&str, &str)] = &[
    (
        "map",
        "Every dot is a span and the label it was given. High up: the model agreed with the label from the start, easy. \
         Right: it changed its mind, ambiguous. Bottom left: it never agreed, hard, and often the label is wrong. Draw \
         around dots to look at them alone.",
    ),
    (
        "distributions",
        "Trust is the probability that a label is right. Blue: spans that were given a wrong label on purpose. What lies \
         left of the orange line is judged wrong. Drag the line.",
    ),
    (
        "spans",
        "These are the spans judged wrong, the most suspicious first. J or ↓ goes to the next one, K or ↑ back; A accepts \
         the label, X removes it, 1 to 9 relabel, R lists all types. Ctrl+Z takes back. Words lists what was labelled most often: a dictionary's mistake repeats, \
         and there one key decides about all of its spans.",
    ),
    (
        "controls",
        "The automatic thresholds are a good start. Counts, and, where there are gold labels, precision and recall, follow \
         at once. When you are done, save the cleaned corpus, or decisions.json for the trainer. Your work is kept in this \
         browser until then.",
    ),
];

/// Returns the panel that the current step is about.
pub fn target(app: App) -> Option<&'static str> {
    app.guide.get().and_then(|step| STEPS.get(step)).map(|step| step.0)
}

/// Starts the guide.
pub fn begin(app: App) {
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
                        <p>"New here? Four short steps show how to read this page."</p>
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
