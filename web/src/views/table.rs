//! The table of spans, most suspicious first. Only the visible rows exist, because a list may have millions of
//! rows.

use explorer::groups::GroupBy;
use explorer::listing::{Column, Order};
use leptos::prelude::*;
use shared::corpus::decision::Decision;
use shared::corpus::labels::LabelId;
use shared::corpus::span::SpanId;

use super::bulk;
use super::filters::{filters, of_all};
use super::scroller::{MOST, Scroller, height_of, shift_of};
use super::{groups, words};
use crate::client;
use crate::format;
use crate::plots::sparkline;
use crate::protocol::{Row, RowQuery};
use crate::state::{App, Listed};

/// Shows the list below the plots: spans or words.
pub fn table(app: App) -> impl IntoView {
    // The kind of rows. All ways to group count as the same kind.
    let kind = Memo::new(move |_| match app.listed.get() {
        Listed::Groups(_) => Listed::Groups(GroupBy::default()),
        other => other,
    });
    let is_shown = move |listed: Listed| kind.get() == listed;
    let tab = move |listed: Listed, text: &'static str, title: &'static str, test_id: &'static str| {
        view! {
            <button title=title data-testid=test_id aria-pressed=move || is_shown(listed).to_string()
                on:click=move |_| app.listed.set(listed)>{text}</button>
        }
    };
    let listed = move || {
        match app.listed.get() {
            Listed::Words => return words::share(app),
            Listed::Groups(_) => return groups::share(app),
            Listed::Spans => {}
        }
        let total = app.rows.with(|rows| rows.total);
        let cut = (total > MOST).then(|| format!(" (the first {} are shown)", format::count(MOST as u64)));
        format!("{}{}", of_all(app, total), cut.unwrap_or_default())
    };
    view! {
        <section class="panel spans" aria-label="Spans">
            <div class="heading">
                <h2 class="sr">"Spans and words"</h2>
                <div class="segments" role="group" aria-label="What is listed">
                    {tab(Listed::Spans, "Spans", "One row for each span (W)", "tab-spans")}
                    {tab(Listed::Words, "Words", "One row for all spans with the same words and label. Decide about all of them at once (W)", "tab-words")}
                    {tab(Listed::Groups(GroupBy::default()), "Groups", "One row for labels that are likely wrong in the same way", "tab-groups")}
                </div>
                {filters(app)}
                {move || match app.listed.get() {
                    Listed::Spans => bulk::button(app).into_any(),
                    Listed::Words => ().into_any(),
                    Listed::Groups(by) => groups::choice(app, by).into_any(),
                }}
                <p class="legend share" data-testid="listed">{listed}</p>
            </div>
            {move || match kind.get() {
                Listed::Spans => spans(app).into_any(),
                Listed::Words => words::words(app).into_any(),
                Listed::Groups(_) => groups::groups(app).into_any(),
            }}
        </section>
    }
}

fn spans(app: App) -> impl IntoView {
    let scroller = Scroller::new(app.sight);
    Effect::new(move |_| {
        if let (Some((offset, limit)), true) = (scroller.wanted(), app.file.with(Option::is_some)) {
            let query = RowQuery { list: app.list.get(), order: app.order.get(), offset, limit };
            client::look(|look| look.query.rows = Some(query));
        }
    });
    scroller.restart_with(move || {
        let _ = (app.list.get(), app.order.get(), app.filter.with(|_| ()));
    });
    scroller.follow(app.scroll_to);
    let total = move || app.rows.with(|rows| rows.total);
    view! {
        <div class="grid" class:with-gold=move || app.file.with(|f| f.as_ref().is_some_and(|f| f.has_gold))>
            <div class="viewport" role="grid" tabindex="0" data-testid="rows" node_ref=scroller.viewport
                aria-label="Spans: arrow keys select, A keeps the label, X removes it, a digit gives another, U takes your decision back"
                aria-rowcount=move || (total() + 1).to_string()
                aria-activedescendant=move || {
                    let selected = app.selected.get()?;
                    // Set only as long as the selected row exists.
                    app.rows.with(|rows| rows.rows.iter().any(|row| row.id == selected)).then(|| row_name(selected))
                }
                on:scroll=move |_| scroller.scrolled()>
                // The head is inside the scrolling element, so that its columns fit those of the rows.
                <div class="row head" role="row" aria-rowindex="1">
                    <span role="columnheader">"decision"</span>
                    <span role="columnheader" aria-sort=move || descending(app, true).map(|is| if is { "descending" } else { "ascending" })>
                        <button class="plain" data-testid="sort-words" title="Sort by the words: A to Z, and at the next click Z to A"
                            on:click=move |_| sort_by(app, true)>
                            "words in their sentence " {move || arrow(app, true)}
                        </button>
                    </span>
                    <span role="columnheader" title="The label in your corpus">"your label"</span>
                    <span role="columnheader" title="The label that the model prefers">"model says"</span>
                    <span role="columnheader" class="gold">"gold"</span>
                    <span role="columnheader" class="end">{order(app)}</span>
                    <span role="columnheader" title="How strongly the model preferred your label, epoch by epoch. Below the dotted line it preferred another">"over time"</span>
                </div>
                <div class="sizer" role="presentation" style:height=move || height_of(total())>
                    <div class="window" role="presentation" style:transform=move || shift_of(app.rows.with(|rows| rows.offset))>
                        <For each=move || app.rows.with(numbered) key=move |(number, row)| row_key(app, *number, row) let((number, row))>
                            {row_view(app, number, row)}
                        </For>
                    </div>
                </div>
            </div>
            <p class="empty" role="status" data-testid="rows-empty">
                {move || (app.figures.with(Option::is_some) && total() == 0).then(|| if app.filter.with(|filter| filter.is_empty()) {
                    "No label is likely wrong at these thresholds. Raise a threshold, or list all spans."
                } else {
                    "No span here passes the filter. List all spans, or clear the filter (Esc)."
                })}
            </p>
        </div>
    }
}

/// Offers the columns by which the list can be sorted, and both directions.
fn order(app: App) -> impl IntoView {
    let name = move |column: Column| match column {
        Column::Metric | Column::Words => app.metric().name(),
        Column::Aum => "AUM",
        Column::Confidence => "confidence",
        Column::Variability => "variability",
        Column::Width => "length",
    };
    let is_known = move |column: &Column| {
        let needs_probabilities = matches!(column, Column::Confidence | Column::Variability);
        let is_metric = *column != Column::Metric && name(*column).eq_ignore_ascii_case(app.metric().name());
        !is_metric && (!needs_probabilities || app.file.with(|f| f.as_ref().is_some_and(|f| f.has_probabilities)))
    };
    let options = move || {
        let known = (0..).zip(Column::NUMBERS).filter(|(_, column)| is_known(column));
        known
            .map(|(at, column): (usize, _)| view! { <option value=at.to_string()>{name(column)}</option> })
            .collect_view()
    };
    let chosen = move || Column::NUMBERS.iter().position(|column| *column == app.order.get().column).unwrap_or(0);
    view! {
        <select aria-label="Number in the list" data-testid="sort" title="The number that the list shows. When you choose one, the list is sorted by it" prop:value=move || chosen().to_string()
            on:change=move |e| {
                let column = event_target_value(&e).parse().ok().and_then(|at: usize| Column::NUMBERS.get(at).copied());
                app.order.update(|order| order.column = column.unwrap_or_default());
            }>{options}</select>
        <button class="plain" data-testid="sort-direction"
            aria-label=move || match descending(app, false) {
                Some(false) => "Lowest first. Sort the highest first",
                Some(true) => "Highest first. Sort the lowest first",
                None => "Sort the lowest first",
            }
            title="Lowest or highest first (a list of differences: the largest difference first)"
            on:click=move |_| sort_by(app, false)>
            {move || arrow(app, false)}
        </button>
    }
}

/// Sorts the list by its words or by its number. If the list is already sorted in this way, reverses it.
fn sort_by(app: App, words: bool) {
    app.order.update(|order| {
        if words == (order.column == Column::Words) {
            order.descending = !order.descending;
        } else {
            *order = Order { column: if words { Column::Words } else { Column::Metric }, descending: false };
        }
    });
}

/// Returns whether the list, sorted by its words or by its number, shows the highest first. Returns `None` if the list
/// is not sorted in this way.
fn descending(app: App, words: bool) -> Option<bool> {
    let Order { column, descending } = app.order.get();
    (words == (column == Column::Words)).then_some(descending)
}

/// Returns the sign of the direction that [`descending`] returns.
fn arrow(app: App, words: bool) -> &'static str {
    match descending(app, words) {
        Some(true) => "↓",
        Some(false) => "↑",
        None => "↕",
    }
}

/// Returns the id of a row's element.
fn row_name(span: SpanId) -> String {
    format!("span-{span}")
}

fn numbered(rows: &crate::protocol::Rows) -> Vec<(usize, Row)> {
    (rows.offset..).zip(rows.rows.iter().cloned()).collect()
}

/// Returns everything that a row shows and that may change.
fn row_key(
    app: App,
    number: usize,
    row: &Row,
) -> (usize, SpanId, Decision, Option<&'static str>, u32, Option<LabelId>) {
    (number, row.id, row.decision, reason(app, row), row.value.to_bits(), row.predicted)
}

/// Returns what made the decision, if it was not a threshold.
fn reason(app: App, row: &Row) -> Option<&'static str> {
    let is_noted = app.notes.with_untracked(|notes| notes.get(row.id).is_some());
    match row {
        Row { by_hand: true, .. } => Some(if is_noted { "by hand, noted" } else { "by hand" }),
        _ if is_noted => Some("unsure"),
        Row { contradicted: true, .. } => Some("by dev data"),
        _ => None,
    }
}

fn row_view(app: App, number: usize, row: Row) -> impl IntoView {
    let id = row.id;
    let labels = app.file.with_untracked(|f| f.as_ref().map(|f| f.labels.clone()).unwrap_or_default());
    let name = |label: LabelId| labels.get(usize::from(label)).cloned().unwrap_or_default();
    let line = sparkline::line(&row.margins, 72.0, 24.0, 1.0);
    let (zero, path) = (format!("{:.1}", line.zero), line.path);
    let is_selected = move || app.selected.get() == Some(id);
    view! {
        <div class="row" role="row" data-testid="row" id=row_name(id) aria-rowindex=(number + 2).to_string()
            class:selected=is_selected aria-selected=move || is_selected().to_string() on:click=move |_| app.select(id)>
            <span role="gridcell" class=format::decision_class(row.decision)>
                {format::decision(row.decision, &labels)}
                {reason(app, &row).map(|reason| view! { <small>{reason}</small> })}
            </span>
            <span role="gridcell" class="text">
                <span class="before"><bdi>{row.text.before}</bdi></span>
                <mark>{row.text.marked}</mark>
                <span class="after">{row.text.after}</span>
            </span>
            <span role="gridcell" class="label">{name(row.distant)}</span>
            <span role="gridcell" class="label">{row.predicted.map_or("–".to_owned(), name)}</span>
            <span role="gridcell" class="label gold">{row.gold.map(name)}</span>
            <span role="gridcell" class="end">{format::signed(row.value, 2)}</span>
            <span role="gridcell">
                <svg class="spark" width="72" height="24" viewBox="0 0 72 24" aria-hidden="true">
                    <line x1="0" x2="72" y1=zero.clone() y2=zero />
                    <path d=path />
                </svg>
            </span>
        </div>
    }
}
