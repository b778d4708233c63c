//! The help: how to read the plots, what the terms mean, and the keys.

use leptos::prelude::*;

use super::dialog;
use super::guide;
use crate::keys::KEYS;
use crate::state::App;

/// Terms and their meanings.
const WORDS: &[(&str, &str)] = &[
    ("span", "one to eight neighbouring words of a sentence. Each span is a possible entity"),
    ("your label", "the label in your corpus, from a dictionary or a person: an entity type, or O for no entity"),
    ("model says", "the label that the model prefers"),
    ("gold", "the correct label, if your file has it. It only measures, and decides nothing"),
    ("likely wrong", "a label with less trust than the threshold"),
    ("trust", "the chance that your label is right, from how the model learned it and from the text"),
    (
        "margin",
        "how strongly the model prefers your label to the best other label, after one epoch. Below 0 it prefers another",
    ),
    ("AUM", "area under the margin: the mean of the margins over the epochs"),
    ("confidence", "the probability that the model gives your label, on average over the epochs"),
    ("variability", "how much this probability changes from epoch to epoch"),
    ("epoch", "one pass of the model over your corpus"),
    (
        "made wrong on purpose",
        "a second training got some wrong labels on purpose. They show what the numbers of wrong labels look like",
    ),
    ("removed", "neither an entity nor O. A model that is trained on the cleaned corpus does not learn from this span"),
];

pub fn help(app: App) -> impl IntoView {
    let row = |(term, meaning): &(&'static str, &'static str)| {
        view! { <tr><th scope="row">{*term}</th><td>{*meaning}</td></tr> }
    };
    let key = |(keys, meaning): &(&'static str, &'static str)| {
        view! { <tr><th scope="row"><kbd>{*keys}</kbd></th><td>{*meaning}</td></tr> }
    };
    let close = move || app.help.set(false);
    let content = view! {
            <p>
                "Look at the labels that are likely wrong, decide about them, and save the cleaned corpus. Nothing leaves this \
                 machine. This browser keeps your work. "
                <a class="book" href="book/" target="_blank">"Read the documentation"</a>
            </p>
            {move || app.file.with(Option::is_some).then(|| view! {
                <p>
                    <button class="button small" data-testid="help-guide" on:click=move |_| { close(); guide::begin(app) }>
                        "Show how to read this page"
                    </button>
                </p>
            })}
            <h3>"Reviewing with others"</h3>
            <p>
                <label class="row">
                    "Your name: "
                    <input type="text" data-testid="name" maxlength="40" autocomplete="off" prop:value=move || app.reviewing.with(|reviewing| reviewing.name.clone())
                        on:change=move |e| app.set_name(&event_target_value(&e)) />
                </label>
                " It goes into decisions.json. To merge the decisions of several people, open their files together. You see \
                 how far they agree, and which labels are in dispute."
            </p>
            <h3>"Keys"</h3>
            <p>
                <label class="row check">
                    <input type="checkbox" data-testid="letters" prop:checked=move || app.letters.get()
                        on:change=move |e| app.set_letters(event_target_checked(&e)) />
                    "Use single letters, digits and signs as keys. Without them, use the buttons, arrows, Ctrl + Z and Esc"
                </label>
            </p>
            <table>{KEYS.iter().map(key).collect_view()}</table>
            <h3>"Map and bars"</h3>
            <p>
                "Map: click a dot to see its span. Drag to draw around dots, with Shift to draw a box. Press “move” to move the \
                 map. The wheel and two fingers zoom, a double-click shows all. Bars: drag the line to move the threshold, \
                 drag over bars to see only their spans. A selection holds everywhere on the page, and every part says how \
                 many spans it shows."
            </p>
            <h3>"What the words mean"</h3>
            <table>{WORDS.iter().map(row).collect_view()}</table>
    };
    dialog::dialog(
        app,
        "help",
        || "How to use this page".to_owned(),
        "close",
        move || app.help.get(),
        |app| app.help.set(false),
        content,
    )
}
