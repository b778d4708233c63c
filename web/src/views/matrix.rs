//! Which labels are taken for which: your labels against those that the model prefers, or against gold.

use explorer::filter::Filter;
use leptos::prelude::*;
use shared::corpus::labels::LabelId;

use crate::format;
use crate::state::App;

/// Shows the table. A click on a number filters every view by this pair of labels.
pub fn matrix(app: App) -> impl IntoView {
    let by_gold = RwSignal::new(false);
    let shown = move || {
        let [predicted, gold] = app.matrices.get();
        if (by_gold.get() || predicted.is_none()) && gold.is_some() { (gold, true) } else { (predicted, false) }
    };
    let has_both = move || app.matrices.with(|[predicted, gold]| predicted.is_some() && gold.is_some());
    move || {
        let (matrix, is_gold) = shown();
        let matrix = matrix?;
        let labels = app.file.with(|f| f.as_ref().map(|f| f.labels.clone()).unwrap_or_default());
        let columns = labels.iter().map(|name| view! { <th scope="col">{name.clone()}</th> }).collect_view();
        let rows = matrix.rows().zip(&labels).enumerate().map(|(row, (counts, name))| {
            let cells = counts.iter().enumerate().map(|(column, &count)| cell(app, (row, column), count, is_gold));
            view! { <tr><th scope="row">{name.clone()}</th>{cells.collect_view()}</tr> }
        });
        Some(view! {
            <div data-testid="matrix-panel">
                <div class="heading">
                    <h2>"Mixed-up labels"</h2>
                    {has_both().then(|| view! {
                        <button class="button small" data-testid="matrix-gold" aria-pressed=is_gold.to_string()
                            title="Against the gold labels, in place of the labels that the model prefers"
                            on:click=move |_| by_gold.update(|on| *on = !*on)>"gold"</button>
                    })}
                </div>
                <div class="wide">
                    <table class="figures matrix" data-testid="matrix">
                        <thead>
                            <tr><th scope="col" title="Rows: your label. Columns: the other label">
                                {if is_gold { "yours \\ gold" } else { "yours \\ model" }}
                            </th>{columns}</tr>
                        </thead>
                        <tbody>{rows.collect_view()}</tbody>
                    </table>
                </div>
            </div>
        })
    }
}

fn cell(app: App, (row, column): (usize, usize), count: u32, is_gold: bool) -> AnyView {
    if count == 0 {
        return view! { <td class="muted">"·"</td> }.into_any();
    }
    let (label, other) = (Some(row as LabelId), Some(column as LabelId));
    let is_on =
        move |filter: &Filter| filter.label == label && other == if is_gold { filter.gold } else { filter.predicted };
    let choose = move |_| {
        let off = app.filter.with_untracked(|filter| is_on(filter));
        app.filter_by(|filter| {
            (filter.label, filter.predicted, filter.gold) = (None, None, None);
            if !off {
                filter.label = label;
                *(if is_gold { &mut filter.gold } else { &mut filter.predicted }) = other;
            }
        });
    };
    view! {
        <td class:differs=row != column>
            <button class="plain" data-testid=format!("cell-{row}-{column}") title="Show only these spans"
                aria-pressed=move || app.filter.with(|filter| is_on(filter)).to_string() on:click=choose>
                {format::count(u64::from(count))}
            </button>
        </td>
    }
    .into_any()
}
