//! Live figures: what is kept and removed, and how right that is.

use leptos::prelude::*;
use shared::quality::Estimate;

use crate::format;
use crate::protocol::{Figures, Quality};
use crate::state::App;

/// Kept, removed and relabelled spans of every class.
pub fn counts(app: App) -> impl IntoView {
    let table = move |figures: Figures| {
        let counts = figures.summary.counts;
        let relabels = counts.iter().any(|c| c.relabelled > 0);
        let rows = counts.into_iter().map(|c| {
            let kept = c.total - c.removed - c.relabelled;
            view! {
                <tr data-testid=format!("count-{}", c.label)>
                    <th scope="row">{c.label.clone()}</th>
                    <td data-testid=format!("kept-{}", c.label)>{format::count(kept)}</td>
                    <td data-testid=format!("removed-{}", c.label)>{format::count(c.removed)}</td>
                    {relabels.then(|| view! { <td>{format::count(c.relabelled)}</td> })}
                    {(!relabels).then(|| view! { <td class="muted">{format::percent(c.removed, c.total)}</td> })}
                </tr>
            }
        });
        view! {
            <table class="figures" data-testid="counts">
                <thead>
                    <tr>
                        <th scope="col">"class"</th>
                        <th scope="col">"kept"</th>
                        <th scope="col">"removed"</th>
                        {relabels.then(|| view! { <th scope="col">"relabelled"</th> })}
                        {(!relabels).then(|| view! { <th scope="col">"share"</th> })}
                    </tr>
                </thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
            {(figures.by_hand > 0).then(|| view! { <p class="hint">{format::count(figures.by_hand as u64)} " decided by hand"</p> })}
            {(figures.summary.flagged > 0).then(|| view! {
                <p class="hint">{format::count(figures.summary.flagged)} " spans have logits that are no numbers: kept"</p>
            })}
        }
    };
    view! {
        <div class="heading"><h2>"Counts"</h2></div>
        {move || app.figures.get().map(table)}
    }
}

/// How many of the spans judged wrong are wrong, by gold.
pub fn quality(app: App) -> impl IntoView {
    let row = |name: &'static str, test_id: &'static str, quality: Quality| {
        let Quality { prf, average_precision } = quality;
        view! {
            <tr data-testid=test_id>
                <th scope="row">{name}</th>
                <td>{format::score(prf.precision)}</td>
                <td>{format::score(prf.recall)}</td>
                <td>{format::score(prf.f1)}</td>
                <td>{format::score(average_precision)}</td>
            </tr>
        }
    };
    let table = move |[positives, negatives]: [Quality; 2]| {
        view! {
            <table class="figures" data-testid="quality">
                <thead>
                    <tr>
                        <th scope="col"></th>
                        <th scope="col"><abbr title="Precision: judged wrong and wrong / judged wrong">"P"</abbr></th>
                        <th scope="col"><abbr title="Recall: judged wrong and wrong / wrong">"R"</abbr></th>
                        <th scope="col">"F1"</th>
                        <th scope="col"><abbr title="Average precision of the ranking">"AP"</abbr></th>
                    </tr>
                </thead>
                <tbody>
                    {row("false negatives", "quality-negatives", negatives)}
                    {row("false positives", "quality-positives", positives)}
                </tbody>
            </table>
        }
    };
    let has_gold = move || app.file.with(|f| f.as_ref().is_some_and(|f| f.has_gold));
    view! {
        <div class="heading">
            <h2>"Noise found"</h2>
            {move || has_gold().then(|| view! { <span class="tag">"by gold"</span> })}
        </div>
        {move || match app.figures.get().and_then(|f| f.quality) {
            Some(quality) => table(quality).into_any(),
            None => view! { <p class="hint">"No gold labels in this file to compare with."</p> }.into_any(),
        }}
        {move || app.figures.get().map(|f| estimates(f.estimate))}
    }
}

/// What the threshold samples let expect.
fn estimates([negatives, positives]: [Option<Estimate>; 2]) -> impl IntoView {
    let row = |name: &'static str, estimate: Option<Estimate>| {
        estimate.map(|e| {
            let whole = |value: f64| format::count(value.round() as u64);
            let (low, high) = e.wrong.interval;
            view! {
                <tr data-testid=format!("estimate-{name}")>
                    <th scope="row">{name}</th>
                    <td>{format::score(e.precision)}</td>
                    <td>{whole(e.found)}</td>
                    <td title=format!("90 % interval {} to {}", whole(low), whole(high))>{whole(e.wrong.number)}</td>
                    <td>{whole(e.remaining)}</td>
                </tr>
            }
        })
    };
    (negatives.is_some() || positives.is_some()).then(|| {
        view! {
            <div class="heading">
                <h2>"Noise expected"</h2>
                <span class="tag" title="From how the threshold samples spread beside the real spans. Wrong labels that \
                    repeat systematically are learned as if they were right: the estimate does not see them.">"estimate"</span>
            </div>
            <table class="figures" data-testid="estimate">
                <thead>
                    <tr>
                        <th scope="col"></th>
                        <th scope="col"><abbr title="Precision: share of the judged spans that is wrong">"P"</abbr></th>
                        <th scope="col"><abbr title="Wrong spans among the judged">"found"</abbr></th>
                        <th scope="col"><abbr title="Wrong spans in all">"of"</abbr></th>
                        <th scope="col"><abbr title="Wrong spans above the threshold">"left"</abbr></th>
                    </tr>
                </thead>
                <tbody>{row("negatives", negatives)} {row("positives", positives)}</tbody>
            </table>
        }
    })
}
