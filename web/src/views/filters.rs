//! The filter on spans. It is the same for every view.

use explorer::beside::Beside;
use explorer::filter::Decided;
use explorer::listing::Listing;
use explorer::reasons::in_words;
use explorer::same_form::Form;
use explorer::sources::Source;
use leptos::prelude::*;
use shared::corpus::labels::LabelId;

use super::groups;
use crate::format;
use crate::protocol::List;
use crate::state::{App, Listed};

/// Writes a count of all spans: "812 of 174,867".
pub fn of_all(app: App, n: usize) -> String {
    let all = app.file.with(|f| f.as_ref().map_or(0, |f| f.n_spans));
    format!("{} of {}", format::count(n as u64), format::count(all as u64))
}

/// Offers both sides or one of them.
pub fn side_choice(app: App, test_id: &'static str) -> impl IntoView {
    view! {
        <select aria-label="O spans, entities, or both" data-testid=test_id title="O spans: labelled as no entity. Entities: labelled with a type"
            on:change=move |e| {
                let side = format::side_named(&event_target_value(&e));
                app.filter_by(|filter| filter.side = side);
            }
            prop:value=move || app.filter.with(|filter| filter.side.map_or("both", format::side))>
            <option value="both">"all spans"</option>
            <option value="negatives">"O spans"</option>
            <option value="positives">"entities"</option>
        </select>
    }
}

/// Shows the filter: search, class, predicted label, selections in the plots, and a button to clear all.
pub fn filters(app: App) -> impl IntoView {
    let labels = move || app.file.with(|f| f.as_ref().map(|f| f.labels.clone()).unwrap_or_default());
    let options = move || {
        let options = labels().into_iter().enumerate();
        options.map(|(number, name)| view! { <option value=number.to_string()>{name}</option> }).collect_view()
    };
    let number = |label: Option<LabelId>| label.map_or(String::new(), |label| label.to_string());
    let has_predictions = move || app.file.with(|f| f.as_ref().is_none_or(|f| f.has_probabilities));
    let has_gold = move || app.file.with(|f| f.as_ref().is_some_and(|f| f.has_gold));
    view! {
        <input type="search" class="search" placeholder="search words  /" aria-label="Search spans" data-testid="search"
            title="Finds spans with these words, in any case. In double quotes: spans of exactly these words"
            prop:value=move || app.filter.with(|filter| filter.text.clone())
            on:input=move |e| {
                let text = event_target_value(&e);
                app.filter_by(|filter| filter.text = text);
            } />
        {list_choice(app)}
        {side_choice(app, "list-side")}
        <select aria-label="Your label" data-testid="filter-class" title="Your label: the label in the corpus"
            prop:value=move || app.filter.with(|filter| number(filter.label))
            on:change=move |e| {
                let label = event_target_value(&e).parse().ok();
                app.filter_by(|filter| filter.label = label);
            }>
            <option value="">"any label"</option>
            {options}
        </select>
        <select aria-label="Label that the model prefers" data-testid="filter-predicted" title="The label that the model prefers"
            disabled=move || !has_predictions() prop:value=move || app.filter.with(|filter| number(filter.predicted))
            on:change=move |e| {
                let label = event_target_value(&e).parse().ok();
                app.filter_by(|filter| filter.predicted = label);
            }>
            <option value="">"any prediction"</option>
            {options}
        </select>
        {move || has_gold().then(|| view! {
            <button class="button small" data-testid="filter-gold" title="Show only labels that differ from the gold label"
                aria-pressed=move || app.filter.with(|filter| filter.wrong_by_gold).to_string()
                on:click=move |_| app.filter_by(|filter| filter.wrong_by_gold = !filter.wrong_by_gold)>"wrong by gold"</button>
        })}
        {chips(app)}
    }
}

/// Filters by decision: name, decision, and text of its chip.
const DECIDED: [(&str, Decided, &str); 7] = [
    ("kept", Decided::Kept, "kept"),
    ("removed", Decided::Removed, "removed"),
    ("relabelled", Decided::Relabelled, "relabelled"),
    ("hand", Decided::ByHand, "decided by hand"),
    ("noted", Decided::Noted, "with a note"),
    ("flips", Decided::Differently, "doubted by one file only"),
    ("disputed", Decided::Disputed, "in dispute"),
];

/// Offers the lists of spans. A filter by decision also applies to every other view.
fn list_choice(app: App) -> impl IntoView {
    let which = move || match app.filter.with(|filter| filter.decided) {
        Some(Decided::Doubted(_)) => "all",
        Some(decided) => DECIDED.iter().find(|named| named.1 == decided).map_or("", |named| named.0),
        // The word list shows all words, whatever is decided about them. Groups are of likely wrong labels.
        None if app.listed.get() != Listed::Words && app.list.get() == List::Ranked(Listing { judged_only: true }) => {
            "judged"
        }
        None => "all",
    };
    let set = move |event: web_sys::Event| {
        let name = event_target_value(&event);
        let decided = DECIDED.iter().find(|named| named.0 == name).map(|named| named.1);
        app.filter_by(|filter| filter.decided = decided);
        if decided.is_none() && !app.lists_words() {
            app.list.set(List::Ranked(Listing { judged_only: name == "judged" }));
        }
    };
    let option = |(name, _, text): (&'static str, Decided, &'static str)| view! { <option value=name>{text}</option> };
    let [kept, removed, relabelled, by_hand, noted, flips, disputed] = DECIDED;
    view! {
        <select aria-label="Spans listed, by decision" data-testid="list-which" prop:value=which on:change=set
            title="Likely wrong, or all: changes only this list. A decision: a filter for every view">
            {move || (app.listed.get() != Listed::Words).then(|| view! { <option value="judged">"likely wrong"</option> })}
            <option value="all">"all"</option>
            <optgroup label="in every view">
                {[kept, removed, relabelled, by_hand, noted].map(option)}
                {move || app.compared.with(Option::is_some).then(|| option(flips))}
                {move || app.reviewing.with(|reviewing| !reviewing.reviewers.is_empty()).then(|| option(disputed))}
            </optgroup>
        </select>
    }
}

/// Shows the active selections, each with a button to drop it.
fn chips(app: App) -> impl IntoView {
    let region = move || app.filter.with(|filter| !filter.region.is_empty());
    let values = move || {
        let values = app.filter.with(|filter| filter.values)?;
        let edge = |edge: Option<f32>, open: &'static str| edge.map_or(open.to_owned(), |v| format::signed(v, 2));
        let name = app.metric().name();
        let range = format!("{} to {}", edge(values.low, "lowest"), edge(values.high, "highest"));
        Some(format!("{}: {name} {range}", format::spans_of(values.side)))
    };
    let decided = move || {
        let decided = app.filter.with(|filter| filter.decided)?;
        if let Decided::Doubted(reason) = decided {
            return Some(format!("doubted: {}", in_words(reason)));
        }
        DECIDED.iter().find(|named| named.1 == decided).map(|named| named.2.to_owned())
    };
    let gold = move || {
        let gold = app.filter.with(|filter| filter.gold)?;
        app.file.with(|f| Some(format!("gold: {}", f.as_ref()?.labels.get(usize::from(gold))?)))
    };
    let beside = move || {
        let Beside { is_after, word } = app.filter.with(|filter| filter.beside.clone())?;
        Some(groups::beside_in_words(is_after, &word))
    };
    let source = move || {
        let Source { field, value } = app.filter.with(|filter| filter.source.clone())?;
        Some(format!("{field}: {value}"))
    };
    let form = move || {
        let Form { words, label } = app.filter.with(|filter| filter.form.clone())?;
        let label = app.file.with(|f| f.as_ref().and_then(|f| f.labels.get(usize::from(label)).cloned()));
        Some(format!("“{}” as {}", words.join(" "), label.unwrap_or_default()))
    };
    let chip = move |text: String, test_id: &'static str, drop: fn(&mut explorer::filter::Filter)| {
        view! {
            <button class="chip" data-testid=test_id aria-label=format!("Drop the selection: {text}") title="Drop this selection"
                on:click=move |_| app.filter_by(drop)>{text.clone()} <span aria-hidden="true">" ×"</span></button>
        }
    };
    view! {
        {move || region().then(|| chip("area of the map".to_owned(), "chip-region", |filter| (filter.region, filter.axes) = Default::default()))}
        {move || form().map(|text| chip(text, "chip-form", |filter| filter.form = None))}
        {move || beside().map(|text| chip(text, "chip-beside", |filter| filter.beside = None))}
        {move || source().map(|text| chip(text, "chip-source", |filter| filter.source = None))}
        {move || gold().map(|text| chip(text, "chip-gold", |filter| filter.gold = None))}
        {move || decided().map(|text| chip(text, "chip-decided", |filter| filter.decided = None))}
        {move || values().map(|text| chip(text, "chip-values", |filter| filter.values = None))}
        <Show when=move || app.filter.with(|filter| !filter.is_empty())>
            <button class="button small quiet" data-testid="clear-filters" title="Esc"
                on:click=move |_| app.clear_filter()>"clear"</button>
        </Show>
    }
}
