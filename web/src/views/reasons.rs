//! Why labels are doubted.

use explorer::filter::Decided;
use explorer::reasons::{MOST, ReasonCount, in_words};
use leptos::prelude::*;

use crate::format;
use crate::state::App;

/// Shows how many labels are doubted for which main reason. A click shows only these spans, in every view.
pub fn reasons(app: App) -> impl IntoView {
    let row = move |ReasonCount { reason, spans }: ReasonCount| {
        let doubted = Some(Decided::Doubted(reason));
        let is_on = move || app.filter.with(|filter| filter.decided == doubted);
        let choose = move |_| {
            let decided = doubted.filter(|_| !untrack(is_on));
            app.filter_by(|filter| filter.decided = decided);
        };
        view! {
            <tr>
                <th scope="row">{in_words(reason)}</th>
                <td>
                    <button class="plain" data-testid=format!("reason-{reason:?}") title="Show only these spans"
                        aria-pressed=move || is_on().to_string() on:click=choose>{format::count(u64::from(spans))}</button>
                </td>
            </tr>
        }
    };
    let table = move |counts: Vec<ReasonCount>| {
        view! { <table class="figures reasons" data-testid="reasons"><tbody>{counts.into_iter().map(row).collect_view()}</tbody></table> }
    };
    move || {
        let counts = app.figures.with(|figures| figures.as_ref().map(|figures| figures.reasons.clone()))?;
        if counts.as_ref().is_some_and(Vec::is_empty) {
            return None;
        }
        let shown = match counts {
            Some(counts) => table(counts).into_any(),
            None => {
                view! { <p class="hint">{format!("More than {} labels are doubted.", format::count(MOST as u64))}</p> }
                    .into_any()
            }
        };
        Some(view! {
            <div class="heading">
                <h2 title="The strongest reason against each label that is likely wrong">"Why labels are doubted"</h2>
            </div>
            {shown}
        })
    }
}
