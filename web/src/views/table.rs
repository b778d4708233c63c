//! The most suspicious spans. Only the rows in sight exist: lists may have millions.

use leptos::html::Div;
use leptos::prelude::*;
use shared::judge::Decision;
use shared::labels::LabelId;
use shared::span::SpanId;

use super::filters::{filters, of_all};
use crate::format;
use crate::link;
use crate::plots::{size_of, sparkline};
use crate::protocol::{List, Row, RowQuery};
use crate::state::App;

/// Height of a row in CSS pixels; also in the stylesheet (`--row`).
const ROW: f64 = 32.0;
/// Height of the head, which stays in sight.
const HEAD: f64 = 24.0;
/// Rows kept ready above and below those in sight.
const SPARE: usize = 12;
/// Browsers end an element at some 30 million pixels.
const MOST: usize = 900_000;

pub fn table(app: App) -> impl IntoView {
    let viewport = NodeRef::<Div>::new();
    let size = size_of(viewport);
    let top = RwSignal::new(0usize);
    Effect::new(move |_| {
        let limit = (size.get().1 / ROW).ceil() as usize + 2 * SPARE;
        let query = RowQuery { list: app.list.get(), offset: top.get().saturating_sub(SPARE), limit };
        if size.get().1 > 0.0 && app.file.with(Option::is_some) {
            link::look(|look| look.rows = Some(query));
        }
    });
    // Another list begins at its beginning.
    Effect::new(move |before: Option<()>| {
        let _ = (app.list.get(), app.filter.with(|_| ()));
        if before.is_some() {
            top.set(0);
            if let Some(viewport) = viewport.get_untracked() {
                viewport.set_scroll_top(0);
            }
        }
    });
    Effect::new(move |_| {
        if let Some(number) = app.in_sight.get() {
            scroll_to(viewport, number);
        }
    });
    let on_scroll = move |_| {
        if let Some(viewport) = viewport.get_untracked() {
            let row = (f64::from(viewport.scroll_top()) / ROW) as usize;
            if row != top.get_untracked() {
                top.set(row);
            }
        }
    };
    let total = move || app.rows.with(|rows| rows.total);
    let height = move || format!("{}px", total().min(MOST) as f64 * ROW);
    let shift = move || format!("translateY({}px)", app.rows.with(|rows| rows.offset) as f64 * ROW);
    view! {
        <section class="panel spans" aria-label="Spans">
            <div class="heading">
                <h2>"Spans"</h2>
                {filters(app)}
                <p class="legend share" data-testid="listed">{move || {
                    let cut = (total() > MOST).then(|| format!(" (the first {} are shown)", format::count(MOST as u64)));
                    format!("{}{}", of_all(app, total()), cut.unwrap_or_default())
                }}</p>
            </div>
            <div class="grid" class:with-gold=move || app.file.with(|f| f.as_ref().is_some_and(|f| f.has_gold))>
                <div class="viewport" role="grid" tabindex="0" data-testid="rows" node_ref=viewport
                    aria-label="Spans: arrow keys select, K keeps, X removes, a digit relabels, U leaves it to the rules"
                    aria-rowcount=move || (total() + 1).to_string()
                    aria-activedescendant=move || {
                        let selected = app.selected.get()?;
                        // Only while its row is there.
                        app.rows.with(|rows| rows.rows.iter().any(|row| row.id == selected)).then(|| row_name(selected))
                    }
                    on:scroll=on_scroll>
                    // Inside what scrolls, so that its columns are those of the rows.
                    <div class="row head" role="row" aria-rowindex="1">
                        <span role="columnheader">"decision"</span>
                        <span role="columnheader">"span in its sentence"</span>
                        <span role="columnheader">"distant"</span>
                        <span role="columnheader">"predicted"</span>
                        <span role="columnheader" class="gold">"gold"</span>
                        <span role="columnheader" class="end" title="Lists are sorted by it, lowest first; those judged differently by the largest difference">
                            {move || app.metric().name()} {move || (app.list.get() != List::Flips).then_some(" ↑")}
                        </span>
                        <span role="columnheader">"margins"</span>
                    </div>
                    <div class="sizer" role="presentation" style:height=height>
                        <div class="window" role="presentation" style:transform=shift>
                            <For each=move || app.rows.with(numbered) key=|(number, row)| row_key(*number, row) let((number, row))>
                                {row_view(app, number, row)}
                            </For>
                        </div>
                    </div>
                    <Show when=move || app.figures.with(Option::is_some) && total() == 0>
                        <p class="empty">{move || if app.filter.with(|filter| filter.is_empty()) {
                            "No span is listed: raise a threshold, or list all spans."
                        } else {
                            "No span of this list passes the filter: list spans judged or not, or clear the filter (Esc)."
                        }}</p>
                    </Show>
                </div>
            </div>
        </section>
    }
}

/// The id of a row's element.
fn row_name(span: SpanId) -> String {
    format!("span-{span}")
}

fn numbered(rows: &crate::protocol::Rows) -> Vec<(usize, Row)> {
    (rows.offset..).zip(rows.rows.iter().cloned()).collect()
}

/// Everything that a row shows and that may change.
fn row_key(number: usize, row: &Row) -> (usize, SpanId, Decision, Option<&'static str>, u32, Option<LabelId>) {
    (number, row.id, row.decision, reason(row), row.value.to_bits(), row.predicted)
}

/// What decided, where it was not a threshold.
fn reason(row: &Row) -> Option<&'static str> {
    match row {
        Row { by_hand: true, .. } => Some("by hand"),
        Row { contradicted: true, .. } => Some("by dev"),
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
            <span role="gridcell" class=decision_class(row.decision)>
                {format::decision(row.decision, &labels)}
                {reason(&row).map(|reason| view! { <small>{reason}</small> })}
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

/// The style of a decision.
pub fn decision_class(decision: Decision) -> &'static str {
    match decision {
        Decision::Keep => "decision keep",
        Decision::Remove => "decision remove",
        Decision::Relabel(_) => "decision relabel",
    }
}

/// Scrolls as little as brings a row into sight.
fn scroll_to(viewport: NodeRef<Div>, number: usize) {
    let Some(viewport) = viewport.get_untracked() else { return };
    let (top, height) = (f64::from(viewport.scroll_top()), f64::from(viewport.client_height()));
    let row_top = number as f64 * ROW;
    if row_top < top {
        viewport.set_scroll_top(row_top as i32);
    } else if HEAD + row_top + ROW > top + height {
        viewport.set_scroll_top((HEAD + row_top + ROW - height).ceil() as i32);
    }
}
