//! The help: how to read the plots, what the terms mean, and the keys.

use leptos::html::Dialog;
use leptos::prelude::*;

use super::guide;
use crate::keys::KEYS;
use crate::state::App;

/// Terms and their meanings.
const WORDS: &[(&str, &str)] = &[
    ("span", "one to eight neighbouring words of a sentence; every one is a candidate for an entity"),
    ("distant label", "what the dictionary says about the span; O: no entity. Positives have a type, negatives are O"),
    ("margin", "the logit of the distant label minus the largest other one, after one epoch"),
    ("trust", "the probability that the distant label is right, from the model's dynamics and the text together"),
    (
        "AUM",
        "area under the margin: the mean margin over the epochs looked at, in logits; below 0 the model prefers another label",
    ),
    ("confidence", "the mean probability of the distant label over these epochs"),
    ("variability", "the standard deviation of that probability"),
    ("threshold samples", "spans that got a wrong label on purpose, in a second run: how wrong labels are learned"),
    ("threshold", "spans with less trust (or AUM) than this are judged wrong: removed from training, or relabelled"),
    ("removed", "neither an entity nor O: the span is left out of the loss"),
];

pub fn help(app: App) -> impl IntoView {
    let dialog = NodeRef::<Dialog>::new();
    Effect::new(move |_| {
        let Some(dialog) = dialog.get() else { return };
        match (app.help.get(), dialog.open()) {
            (true, false) => {
                if let Err(error) = dialog.show_modal() {
                    leptos::logging::warn!("help: {error:?}");
                }
            }
            (false, true) => dialog.close(),
            _ => {}
        }
    });
    let row = |(term, meaning): &(&'static str, &'static str)| {
        view! { <tr><th scope="row">{*term}</th><td>{*meaning}</td></tr> }
    };
    let key = |(keys, meaning): &(&'static str, &'static str)| {
        view! { <tr><th scope="row"><kbd>{*keys}</kbd></th><td>{*meaning}</td></tr> }
    };
    let close = move || app.help.set(false);
    view! {
        <dialog node_ref=dialog class="help" aria-labelledby="help-title" data-testid="help-dialog" on:close=move |_| close()>
            <div class="heading">
                <h2 id="help-title">"How to use this page"</h2>
                <button class="button small" data-testid="help-close" on:click=move |_| close()>"close"</button>
            </div>
            <p>
                "Look at the spans judged wrong, decide about those that matter, save the cleaned corpus. Nothing leaves this \
                 machine; your work is kept in this browser until you start afresh. "
                <a class="book" href="book/" target="_blank">"Read the documentation"</a>
            </p>
            {move || app.file.with(Option::is_some).then(|| view! {
                <p>
                    <button class="button small" data-testid="help-guide" on:click=move |_| { close(); guide::begin(app) }>
                        "Show how to read the picture"
                    </button>
                </p>
            })}
            <h3>"Keys"</h3>
            <p>
                <label class="row check">
                    <input type="checkbox" data-testid="letters" prop:checked=move || app.letters.get()
                        on:change=move |e| app.set_letters(event_target_checked(&e)) />
                    "Single letters, digits and signs are keys. Without them use the buttons, arrows, Ctrl + Z and Esc"
                </label>
            </p>
            <table>{KEYS.iter().map(key).collect_view()}</table>
            <h3>"On the plots"</h3>
            <p>
                "Map: click a dot to see its span; drag to draw around an area, with Shift a box, or with “move” to move the \
                 map; the wheel and two fingers zoom, a double-click shows all. Distributions: drag the line to move the threshold, drag over bars to look at their \
                 spans. Whatever is selected holds for every view; each says how many spans it shows of how many."
            </p>
            <h3>"Words"</h3>
            <table>{WORDS.iter().map(row).collect_view()}</table>
        </dialog>
    }
}
