//! How good the labels of each source look, where a field of the corpus names sources.

use explorer::sources::{Source, SourceRow, SourceTable};
use leptos::prelude::*;

use crate::format;
use crate::state::App;

/// Shows a table for a field of the sentences. A click on a value shows only its sentences, in every view.
pub fn sources(app: App) -> impl IntoView {
    let chosen = RwSignal::new(None::<String>);
    let tables =
        move || app.figures.with(|figures| figures.as_ref().map_or(Vec::new(), |figures| figures.sources.clone()));
    let names = Memo::new(move |_| tables().into_iter().map(|table| table.field).collect::<Vec<_>>());
    let shown = move || {
        let name = chosen.get();
        let mut tables = tables();
        let at = tables.iter().position(|table| Some(&table.field) == name.as_ref()).unwrap_or(0);
        (at < tables.len()).then(|| tables.swap_remove(at))
    };
    let choice = move || {
        let names = names.get();
        (names.len() > 1).then(|| view! {
            <select aria-label="Field of the corpus" data-testid="source-field" on:change=move |event| chosen.set(Some(event_target_value(&event)))>
                {names.into_iter().map(|name| view! { <option value=name.clone()>{name.clone()}</option> }).collect_view()}
            </select>
        })
    };
    move || {
        let title = match names.with(|names| (names.len(), names.first().cloned())) {
            (0, _) => return None,
            (1, name) => format!("By {}", name.unwrap_or_default()),
            _ => "By source".to_owned(),
        };
        Some(view! {
            <div class="heading">
                <h2 title="A field of your corpus divides its sentences">{title}</h2>
                {choice}
            </div>
            {move || shown().map(|table| of_field(app, table))}
        })
    }
}

fn of_field(app: App, SourceTable { field, rows }: SourceTable) -> impl IntoView {
    let has_gold = rows.iter().any(|row| row.wrong_by_gold.is_some());
    let row = |row: SourceRow| {
        let source = Source { field: field.clone(), value: row.value.clone() };
        let (shown, test_id) = (Some(source.clone()), format!("source-{}", row.value));
        let is_on = move || app.filter.with(|filter| filter.source == shown);
        let choose = move |_| {
            app.filter_by(|filter| {
                filter.source = if filter.source.as_ref() == Some(&source) { None } else { Some(source.clone()) };
            })
        };
        let share = |n: u32| format::percent(u64::from(n), u64::from(row.entities));
        let count = |n: u32| format::count(u64::from(n));
        view! {
            <tr data-testid=test_id>
                <th scope="row">
                    <button class="plain" title=format!("{} sentences. Show only their spans", count(row.sentences))
                        aria-pressed=move || is_on().to_string() on:click=choose>{row.value.clone()}</button>
                </th>
                <td>{count(row.entities)}</td>
                <td title=count(row.doubted)>{share(row.doubted)}</td>
                {has_gold.then(|| view! { <td title=count(row.wrong_by_gold.unwrap_or(0))>{share(row.wrong_by_gold.unwrap_or(0))}</td> })}
                <td>{count(row.missed)}</td>
            </tr>
        }
    };
    view! {
        <table class="figures" data-testid="sources">
            <thead>
                <tr>
                    <th scope="col"></th>
                    <th scope="col">"entities"</th>
                    <th scope="col"><abbr title="Share of these entities that are likely wrong">"doubted"</abbr></th>
                    {has_gold.then(|| view! { <th scope="col"><abbr title="Share of these entities that gold calls wrong">"by gold"</abbr></th> })}
                    <th scope="col"><abbr title="O spans that are likely missed entities">"missed"</abbr></th>
                </tr>
            </thead>
            <tbody>{rows.into_iter().map(row).collect_view()}</tbody>
        </table>
    }
}
