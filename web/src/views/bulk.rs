//! One decision about all spans of a list, after a look at ten of them.

use leptos::prelude::*;
use shared::corpus::decision::Decision;
use shared::corpus::labels::LabelId;

use super::dialog;
use super::menu::{menu, of_labels};
use crate::format;
use crate::protocol::{Bulk, Row};
use crate::state::App;

/// The button that asks about all spans of the list.
pub fn button(app: App) -> impl IntoView {
    let n = move || app.rows.with(|rows| rows.total);
    view! {
        <button class="button small" data-testid="bulk" disabled=move || n() == 0
            title="One decision about all spans of this list, with one undo. You see ten of them first"
            on:click=move |_| app.ask_about_all()>"Decide about all …"</button>
    }
}

/// The dialog: ten of the spans, and what can be decided.
pub fn dialog(app: App) -> impl IntoView {
    let title = move || {
        let n = app.bulk.with(|bulk| bulk.as_ref().map_or(0, |bulk| bulk.total as u64));
        format!("Decide about {} spans", format::count(n))
    };
    dialog::dialog(
        app,
        "bulk",
        title,
        "cancel",
        move || app.bulk.with(Option::is_some),
        |app| app.bulk.set(None),
        move || app.bulk.get().map(|bulk| content(app, &bulk)),
    )
}

fn content(app: App, bulk: &Bulk) -> AnyView {
    if bulk.spans.is_empty() {
        let most = format::count(explorer::bulk::MOST as u64);
        return view! {
            <p data-testid="bulk-too-many">{format!("One decision can be about {most} spans at most. Filter the list first: search words, choose a label, or draw around dots on the map.")}</p>
        }
        .into_any();
    }
    let labels = app.file.with_untracked(|f| f.as_ref().map(|f| f.labels.clone()).unwrap_or_default());
    let is_sample = bulk.rows.len() < bulk.spans.len();
    let row = |row: &Row| {
        let name = labels.get(usize::from(row.distant)).cloned().unwrap_or_default();
        view! {
            <li data-testid="bulk-row">
                <span class="label">{name}</span> " "
                <span class="muted">{row.text.before.clone()}</span> " " <mark>{row.text.marked.clone()}</mark> " "
                <span class="muted">{row.text.after.clone()}</span>
            </li>
        }
    };
    let button = move |id: &'static str, text: &'static str, title: &'static str, decision: Option<Decision>| {
        view! {
            <button class="button" data-testid=format!("bulk-{id}") title=title on:click=move |_| app.decide_about_all(decision)>{text}</button>
        }
    };
    let relabel = move |label: usize| app.decide_about_all(Some(Decision::Relabel(label as LabelId)));
    view! {
        <p>
            {if is_sample { "Ten of them, chosen at random. If one of them is different, filter more." } else { "All of them:" }}
        </p>
        <ul class="sample">{bulk.rows.iter().map(row).collect_view()}</ul>
        <div class="decide">
            {button("keep", "keep all", "The labels are right", Some(Decision::Keep))}
            {button("remove", "remove all", "No model learns from these spans", Some(Decision::Remove))}
            {menu("bulk-relabel", "button", "Change all labels to", "change all to …", of_labels(&labels), Signal::from(false), relabel)}
            {button("take-back", "take back", "Leave them to the rules again", None)}
            {is_sample.then(|| view! {
                <button class="button quiet" data-testid="bulk-others" on:click=move |_| app.ask_about_all()>"ten others"</button>
            })}
        </div>
        <p class="hint">"One undo (Ctrl + Z) takes all of it back."</p>
    }
    .into_any()
}
