//! Live figures: how many spans are kept and removed, and how good these decisions are.

use explorer::compare::Agreement;
use leptos::prelude::*;
use shared::corpus::labels::LabelId;
use shared::detection::estimate::Estimate;
use shared::evaluation::quality::CurvePoint;
use shared::report::last_part;

use crate::format;
use crate::protocol::{Figures, Quality};
use crate::state::App;

/// Names the spans of a side as the page does.
fn words(side: &str) -> &'static str {
    format::side_named(side).map_or("", format::spans_of)
}

/// Shows the number of kept, removed and relabelled spans of every class.
pub fn counts(app: App) -> impl IntoView {
    let table = move |figures: Figures| {
        let counts = figures.summary.counts;
        let relabels = counts.iter().any(|c| c.relabelled > 0);
        let rows = counts.into_iter().map(|c| {
            let kept = c.total - c.removed - c.relabelled;
            view! {
                <tr data-testid=format!("count-{}", c.label)>
                    <th scope="row">{class_button(app, c.label.clone())}</th>
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
                        <th scope="col">"label"</th>
                        <th scope="col">"kept"</th>
                        <th scope="col">"removed"</th>
                        {relabels.then(|| view! { <th scope="col">"relabelled"</th> })}
                        {(!relabels).then(|| view! { <th scope="col">"share"</th> })}
                    </tr>
                </thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
            {(figures.by_hand > 0).then(|| view! { <p class="hint">{format::count(figures.by_hand as u64)} " decided by hand"</p> })}
        }
    };
    let flagged = move || {
        let n = app.figures.with(|f| f.as_ref().map_or(0, |f| f.summary.flagged));
        (n > 0).then(|| format!("{} spans could not be measured, and keep their labels", format::count(n)))
    };
    view! {
        <div data-testid="counts-panel">
            <div class="heading"><h2>"What happens to the labels"</h2></div>
            {move || app.figures.get().map(table)}
            <p class="hint" role="status">{flagged}</p>
        </div>
    }
}

/// Shows a class as a button. A click filters every view by this class.
fn class_button(app: App, name: String) -> impl IntoView {
    let label = {
        let name = name.clone();
        move || {
            app.file.with(|f| f.as_ref().and_then(|f| f.labels.iter().position(|l| *l == name))).map(|l| l as LabelId)
        }
    };
    let is_on = {
        let label = label.clone();
        move || app.filter.with(|filter| filter.label.is_some() && filter.label == label())
    };
    let pressed = is_on.clone();
    view! {
        <button class="plain" data-testid=format!("class-{name}") aria-pressed=move || pressed().to_string()
            title="Show only spans with this label" on:click=move |_| {
                let new = if untrack(&is_on) { None } else { untrack(&label) };
                app.filter_by(|filter| filter.label = new);
            }>{name.clone()}</button>
    }
}

/// Shows the agreement with another recording.
pub fn comparison(app: App) -> impl IntoView {
    let row = |name: &'static str, a: Agreement| {
        view! {
            <tr data-testid=format!("agreement-{name}")>
                <th scope="row">{words(name)}</th>
                <td>{format::count(a.both)}</td>
                <td>{format::count(a.only_here)}</td>
                <td>{format::count(a.only_there)}</td>
                <td>{format::coefficient(a.kappa())}</td>
                <td>{format::coefficient(a.correlation)}</td>
            </tr>
        }
    };
    move || {
        let other = app.compared.get()?;
        let agreement = app.agreement.get();
        Some(view! {
            <div class="heading">
                <h2>"Comparison"</h2>
                <button class="button small" data-testid="end-comparison" on:click=move |_| app.end_comparison()>"end"</button>
            </div>
            <p class="hint" data-testid="compared-with">
                {format!("with {} ({}, seed {}), at its automatic thresholds", other.file, last_part(&other.encoder), other.seed)}
            </p>
            <table class="figures">
                <thead>
                    <tr>
                        <th scope="col">"doubted by"</th>
                        <th scope="col">"both"</th>
                        <th scope="col"><abbr title="Only the open file doubts them">"here"</abbr></th>
                        <th scope="col"><abbr title="Only the other file doubts them">"there"</abbr></th>
                        <th scope="col"><abbr title="Cohen's kappa: agreement beyond chance, 1 at best">"κ"</abbr></th>
                        <th scope="col"><abbr title="Pearson's correlation of the AUMs (areas under the margin)">"r"</abbr></th>
                    </tr>
                </thead>
                <tbody>{agreement.map(|[negatives, positives]| view! { {row("negatives", negatives)} {row("positives", positives)} })}</tbody>
            </table>
        })
    }
}

/// Shows precision over recall for every threshold, and marks the threshold in force.
fn curves(app: App) -> impl IntoView {
    let (width, height) = (124.0f32, 72.0f32);
    let at =
        move |recall: f32, precision: f32| (4.0 + (width - 8.0) * recall, 4.0 + (height - 8.0) * (1.0 - precision));
    let curve = move |name: &'static str, points: &[CurvePoint], now: Option<Quality>| {
        let path: String = points
            .iter()
            .enumerate()
            .map(|(i, p)| {
                let (x, y) = at(p.recall, p.precision);
                format!("{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' })
            })
            .collect();
        let now = now.filter(|now| now.prf.predicted > 0).map(|now| {
            let (x, y) = at(now.prf.recall as f32, now.prf.precision as f32);
            view! { <circle cx=format!("{x:.1}") cy=format!("{y:.1}") r="3.5" /> }
        });
        view! {
            <figure class="curve">
                <svg viewBox=format!("0 0 {width} {height}") role="img" data-testid=format!("curve-{name}")
                    aria-label=format!("Precision over recall, {name}; the dot is the threshold in force")>
                    <path class="box" d=format!("M4 4V{0}H{1}", height - 4.0, width - 4.0) />
                    <path d=path />
                    {now}
                </svg>
                <figcaption>{words(name)}</figcaption>
            </figure>
        }
    };
    move || {
        let quality = app.figures.with(|f| f.as_ref().and_then(|f| f.quality));
        app.curves.with(|curves| {
            let [negatives, positives] = curves.as_ref()?;
            Some(view! {
                <div class="curves" title="Precision (up) and recall (right), from 0 to 1, for every threshold. The dot is your threshold">
                    {curve("negatives", negatives, quality.map(|[_, negatives]| negatives))}
                    {curve("positives", positives, quality.map(|[positives, _]| positives))}
                </div>
            })
        })
    }
}

/// Shows precision and recall of the spans that are judged wrong, by gold labels.
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
            <table class="figures tight" data-testid="quality">
                <thead>
                    <tr>
                        <th scope="col"></th>
                        <th scope="col"><abbr title="Precision: how many of the doubted labels are really wrong">"precision"</abbr></th>
                        <th scope="col"><abbr title="Recall: how many of the wrong labels are doubted">"recall"</abbr></th>
                        <th scope="col"><abbr title="One number for precision and recall (their harmonic mean)">"F1"</abbr></th>
                        <th scope="col"><abbr title="Average precision: 1 if all wrong labels come first in the list">"AP"</abbr></th>
                    </tr>
                </thead>
                <tbody>
                    {row("missed entities", "quality-negatives", negatives)}
                    {row("wrong entities", "quality-positives", positives)}
                </tbody>
            </table>
        }
    };
    let has_gold = move || app.file.with(|f| f.as_ref().is_some_and(|f| f.has_gold));
    view! {
        <div class="heading">
            <h2>"Wrong labels found"</h2>
            {move || has_gold().then(|| view! { <span class="tag">"by gold"</span> })}
        </div>
        {move || match app.figures.get().and_then(|f| f.quality) {
            Some(quality) => table(quality).into_any(),
            None => view! { <p class="hint">"This file has no gold labels to compare with."</p> }.into_any(),
        }}
        {curves(app)}
        {move || app.figures.get().map(|f| estimates(f.estimate, f.capitals))}
    }
}

/// Shows the expected noise without gold labels. With trust, probabilities are added up. With another metric, the
/// threshold samples give the estimate.
fn estimates([negatives, positives]: [Option<Estimate>; 2], capitals: String) -> impl IntoView {
    let row = |name: &'static str, estimate: Option<Estimate>| {
        estimate.map(|e| {
            let whole = |value: f64| format::count(value.round() as u64);
            let (low, high) = e.wrong.interval;
            view! {
                <tr data-testid=format!("estimate-{name}")>
                    <th scope="row">{words(name)}</th>
                    <td>{format::score(e.precision)}</td>
                    <td>{whole(e.found)}</td>
                    <td title=format!("likely {} to {}", whole(low), whole(high))>{whole(e.wrong.number)}</td>
                    <td>{whole(e.remaining)}</td>
                </tr>
            }
        })
    };
    (negatives.is_some() || positives.is_some()).then(|| {
        view! {
            <div class="heading">
                <h2>"Wrong labels expected"</h2>
                <span class="tag" title="The sum of all probabilities that a label is wrong. If labels are not judged by \
                    trust: from the labels that were made wrong on purpose">"estimate"</span>
            </div>
            <table class="figures" data-testid="estimate">
                <thead>
                    <tr>
                        <th scope="col"></th>
                        <th scope="col"><abbr title="How many of the doubted labels are likely really wrong">"precision"</abbr></th>
                        <th scope="col"><abbr title="Wrong labels that are doubted">"caught"</abbr></th>
                        <th scope="col"><abbr title="Wrong labels in total">"in total"</abbr></th>
                        <th scope="col"><abbr title="Wrong labels that are not doubted">"missed"</abbr></th>
                    </tr>
                </thead>
                <tbody>{row("negatives", negatives)} {row("positives", positives)}</tbody>
            </table>
            // Shows the first part. The explanation appears on hovering.
            <p class="hint" data-testid="capitals" title=capitals.clone()>{capitals.split(':').next().unwrap_or_default().to_owned()}</p>
        }
    })
}
