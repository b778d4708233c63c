//! The list of surface forms. A form is all spans with the same words and the same distant label. One decision is
//! about all of them.

use explorer::filter::Filter;
use explorer::surface_forms::{FormOrder, FormRow};
use leptos::prelude::*;
use shared::corpus::labels::LabelId;

use super::scroller::{Scroller, height_of, shift_of};
use crate::client;
use crate::format;
use crate::protocol::FormQuery;
use crate::state::{App, is_of};

/// Writes a count of all words: "312 of 4,120 words".
pub fn share(app: App) -> String {
    app.forms
        .with(|forms| format!("{} of {} words", format::count(forms.total as u64), format::count(forms.all as u64)))
}

pub fn words(app: App) -> impl IntoView {
    let scroller = Scroller::new(app.sight);
    Effect::new(move |_| {
        if let (Some((offset, limit)), true) = (scroller.wanted(), app.file.with(Option::is_some)) {
            let query = FormQuery { order: app.form_order.get(), offset, limit };
            client::look(|look| look.query.forms = Some(query));
        }
    });
    on_cleanup(|| {
        client::look(|look| look.query.forms = Some(FormQuery { order: FormOrder::default(), offset: 0, limit: 0 }));
    });
    // The form in the filter does not count, because it is chosen in this list.
    let filter = Memo::new(move |_| Filter { form: None, ..app.filter.get() });
    scroller.restart_with(move || {
        app.form_order.track();
        filter.track();
    });
    scroller.follow(app.scroll_to);
    let chosen = move || {
        let form = app.filter.with(|filter| filter.form.clone())?;
        app.forms.with(|forms| forms.rows.iter().find(|row| is_of(row, &form)).map(|row| row_name(row.form)))
    };
    let sorted = move |order: FormOrder, text: &'static str, title: &'static str, test_id: &'static str| {
        let is_on = move || app.form_order.get() == order;
        view! {
            <span role="columnheader" class="end" aria-sort=move || is_on().then_some(if order == FormOrder::Mean { "ascending" } else { "descending" })>
                <button class="plain" title=title data-testid=test_id aria-pressed=move || is_on().to_string()
                    on:click=move |_| app.form_order.set(order)>{text}</button>
            </span>
        }
    };
    let total = move || app.forms.with(|forms| forms.total);
    view! {
        <div class="grid words">
            <div class="viewport" role="grid" tabindex="0" data-testid="form-rows" node_ref=scroller.viewport
                aria-label="Words: arrow keys select, A keeps the label of all spans with these words, X removes it, a digit gives another, U takes your decision back"
                aria-rowcount=move || (total() + 1).to_string() aria-activedescendant=chosen on:scroll=move |_| scroller.scrolled()>
                <div class="row head" role="row" aria-rowindex="1">
                    <span role="columnheader">"decision"</span>
                    <span role="columnheader">"words"</span>
                    <span role="columnheader" title="The label in your corpus">"your label"</span>
                    {sorted(FormOrder::Labels, "times", "How often these words have this label. Sorts entities by it, then O spans by how many are not kept", "sort-labels")}
                    {sorted(FormOrder::Judged, "not kept", "How many do not keep their label. Sorts by their share, highest first", "sort-judged")}
                    {sorted(FormOrder::Mean, "mean", "Mean over these spans. Sorts by it, lowest first", "sort-mean")}
                    <span role="columnheader" class="end" title="Lowest value of one of these spans">"lowest " {move || app.metric().name()}</span>
                    <span role="columnheader" title="How often these words have other labels in your corpus">"other labels"</span>
                </div>
                <div class="sizer" role="presentation" style:height=move || height_of(total())>
                    <div class="window" role="presentation" style:transform=move || shift_of(app.forms.with(|forms| forms.offset))>
                        <For each=move || app.forms.with(|forms| (forms.offset..).zip(forms.rows.iter().cloned()).collect::<Vec<_>>())
                            key=|(number, row)| row_key(*number, row) let((number, row))>
                            {row_view(app, number, row)}
                        </For>
                    </div>
                </div>
            </div>
            <p class="empty" role="status">
                {move || app.forms.with(|forms| (forms.total == 0 && forms.all > 0).then_some("No words pass the filter. Clear it (Esc)."))}
            </p>
        </div>
    }
}

fn row_name(form: u32) -> String {
    format!("form-{form}")
}

/// Returns everything that a row shows and that may change.
fn row_key(number: usize, row: &FormRow) -> impl Eq + std::hash::Hash + use<> {
    (number, row.form, row.decision, row.judged, row.by_hand, row.mean.to_bits(), row.lowest.1.to_bits())
}

fn row_view(app: App, number: usize, row: FormRow) -> impl IntoView {
    let labels = app.file.with_untracked(|f| f.as_ref().map(|f| f.labels.clone()).unwrap_or_default());
    let name = |label: LabelId| labels.get(usize::from(label)).cloned().unwrap_or_default();
    let count = |n: u32| format::count(u64::from(n));
    let elsewhere: Vec<String> =
        row.elsewhere.iter().map(|&(label, n)| format!("{} {}", name(label), count(n))).collect();
    let (class, decision) = match row.decision {
        Some(decision) => (format::decision_class(decision), format::decision(decision, &labels)),
        None => ("decision mixed", "differs".to_owned()),
    };
    let by_hand = match row.by_hand {
        0 => None,
        n if n == row.n => Some("by hand".to_owned()),
        n => Some(format!("{} by hand", count(n))),
    };
    let judged = format!("{} ({})", count(row.judged), format::percent(u64::from(row.judged), u64::from(row.n)));
    let shown = row.clone();
    let is_chosen =
        Memo::new(move |_| app.filter.with(|filter| filter.form.as_ref().is_some_and(|form| is_of(&shown, form))));
    let chosen = row.clone();
    let choose = move |_| {
        if is_chosen.get_untracked() {
            app.filter_by(|filter| filter.form = None);
        } else {
            app.choose_form(&chosen);
        }
    };
    view! {
        <div class="row" role="row" data-testid="form-row" id=row_name(row.form) aria-rowindex=(number + 2).to_string()
            class:selected=is_chosen aria-selected=move || is_chosen.get().to_string() on:click=choose>
            <span role="gridcell" class=class>{decision} {by_hand.map(|text| view! { <small>{text}</small> })}</span>
            <span role="gridcell" class="text"><mark>{row.words.join(" ")}</mark></span>
            <span role="gridcell" class="label">{name(row.label)}</span>
            <span role="gridcell" class="end">{count(row.n)}</span>
            <span role="gridcell" class="end">{judged}</span>
            <span role="gridcell" class="end">{format::signed(row.mean, 2)}</span>
            <span role="gridcell" class="end">{format::signed(row.lowest.1, 2)}</span>
            <span role="gridcell" class="muted">{elsewhere.join(", ")}</span>
        </div>
    }
}
