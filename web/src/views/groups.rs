//! The list of groups of like errors. A group is opened as a list of its spans, about which one decision can be made.

use std::time::Duration;

use explorer::beside::Beside;
use explorer::groups::{Common, Group, GroupBy, MOST};
use explorer::listing::Listing;
use explorer::reasons::in_words;
use leptos::prelude::*;
use shared::corpus::labels::LabelId;

use crate::client;
use crate::format;
use crate::protocol::{InContext, List};
use crate::state::{App, Listed};

/// After decisions, groups are counted again with this delay. Dragging a threshold stays smooth.
const PAUSE: Duration = Duration::from_millis(200);

/// Ways to group, with the text of each.
const WAYS: [(&str, GroupBy, &str); 3] = [
    ("reason", GroupBy::Reason, "by reason"),
    ("before", GroupBy::Before, "by the word before"),
    ("after", GroupBy::After, "by the word after"),
];

/// Writes how many groups there are: "31 groups".
pub fn share(app: App) -> String {
    app.groups.with(|groups| {
        let cut = if groups.total > MOST { format!(" (the first {MOST} are shown)") } else { String::new() };
        format!("{} group{}{cut}", format::count(groups.total as u64), if groups.total == 1 { "" } else { "s" })
    })
}

/// Says which word stands beside spans.
pub fn beside_in_words(is_after: bool, word: &str) -> String {
    match (is_after, word) {
        (false, "") => "at the beginning of the sentence".to_owned(),
        (true, "") => "at the end of the sentence".to_owned(),
        (false, word) => format!("after “{word}”"),
        (true, word) => format!("before “{word}”"),
    }
}

/// Offers the ways to group.
pub fn choice(app: App, now: GroupBy) -> impl IntoView {
    let name = WAYS.iter().find(|way| way.1 == now).map_or("", |way| way.0);
    view! {
        <select aria-label="Grouped" data-testid="group-by" prop:value=name title="What the labels of a group have in common"
            on:change=move |event| {
                let name = event_target_value(&event);
                let by = WAYS.iter().find(|way| way.0 == name).map_or(GroupBy::default(), |way| way.1);
                app.listed.set(Listed::Groups(by));
            }>
            {WAYS.map(|(name, by, text)| view! { <option value=name selected=by == now>{text}</option> }).into_iter().collect_view()}
        </select>
    }
}

/// Shows the groups, the largest first.
pub fn groups(app: App) -> impl IntoView {
    let ask = move || {
        if let (Listed::Groups(by), true) = (app.listed.get(), app.file.with(Option::is_some)) {
            client::look(|look| look.query.groups = Some(Some(by)));
        }
    };
    Effect::new(move |_| ask());
    let is_due = StoredValue::new(false);
    Effect::new(move |_| {
        app.figures.track();
        if is_due.get_value() {
            return;
        }
        is_due.set_value(true);
        set_timeout(
            move || {
                // The list may no longer be shown.
                if is_due.try_update_value(|is_due| *is_due = false).is_some() {
                    untrack(ask);
                }
            },
            PAUSE,
        );
    });
    on_cleanup(|| client::look(|look| look.query.groups = Some(None)));
    view! {
        <div class="grid groups">
            <div class="viewport" role="grid" tabindex="0" aria-label="Groups of like errors: Enter on a group lists its spans" data-testid="groups">
                <div class="row head" role="row">
                    <span role="columnheader" class="end">"spans"</span>
                    <span role="columnheader" title="The label in your corpus">"your label"</span>
                    <span role="columnheader" title="The label that the model prefers">"model says"</span>
                    <span role="columnheader">"what they have in common"</span>
                    <span role="columnheader" title="The least trusted of them">"the first of them"</span>
                </div>
                {move || {
                    let rows = app.groups.with(|groups| groups.rows.clone());
                    rows.into_iter().map(|(group, text)| row(app, group, text)).collect_view()
                }}
            </div>
            <p class="empty" role="status" data-testid="groups-empty">
                {move || (app.figures.with(Option::is_some) && app.groups.with(|groups| groups.total == 0)).then_some(
                    "No likely wrong label here. Raise a threshold, or clear the filter (Esc).",
                )}
            </p>
        </div>
    }
}

fn row(app: App, group: Group, text: InContext) -> impl IntoView {
    let labels = app.file.with_untracked(|f| f.as_ref().map(|f| f.labels.clone()).unwrap_or_default());
    let name = |label: LabelId| labels.get(usize::from(label)).cloned().unwrap_or_default();
    let common = match &group.common {
        Common::Reason(reason) => in_words(*reason).to_owned(),
        Common::Beside(Beside { is_after, word }) => beside_in_words(*is_after, word),
    };
    let count = |n: u32| format::count(u64::from(n));
    let by_hand = (group.by_hand > 0).then(|| view! { <small>{count(group.by_hand)} " by hand"</small> });
    let (label, predicted) = (name(group.label), group.predicted.map_or("–".to_owned(), name));
    let n = count(group.spans);
    // The whole row can be clicked; the button is for the keyboard.
    let open = move |_| {
        let mut filter = app.filter.get_untracked();
        group.narrow(&mut filter);
        let list = List::Ranked(Listing { judged_only: matches!(group.common, Common::Beside(_)) });
        app.replace_filter(filter, Some(list));
        app.listed.set(Listed::Spans);
    };
    view! {
        <div class="row" role="row" data-testid="group-row" on:click=open title="List these spans">
            <span role="gridcell" class="end"><button class="plain" data-testid="group-open">{n}</button></span>
            <span role="gridcell" class="label">{label}</span>
            <span role="gridcell" class="label">{predicted}</span>
            <span role="gridcell">{common} " " {by_hand}</span>
            <span role="gridcell" class="text">
                <span class="before"><bdi>{text.before}</bdi></span>
                <mark>{text.marked}</mark>
                <span class="after">{text.after}</span>
            </span>
        </div>
    }
}
