//! The distribution of the metric on one side. The threshold is a line that can be dragged.

use explorer::filter::Values;
use explorer::plots::Ink;
use explorer::plots::chart::Chart;
use explorer::plots::distribution::{self, SideHistogram};
use explorer::plots::picture::Picture;
use leptos::html::Div;
use leptos::prelude::*;
use shared::corpus::decision::Side;
use shared::detection::threshold::{Metric, Rule};
use web_sys::{KeyboardEvent, PointerEvent};

use super::map::ground;
use super::picture::{save_menu, title};
use crate::format;
use crate::plots::size_of;
use crate::state::App;

pub fn histogram(app: App, side: Side) -> impl IntoView {
    let name = format::side(side);
    let data = Memo::new(move |_| {
        app.histograms.with(|[negatives, positives]| match side {
            Side::Negatives => negatives.clone(),
            Side::Positives => positives.clone(),
        })
    });
    let frame = NodeRef::<Div>::new();
    let size = size_of(frame);
    // Waits until there is something to draw, and room.
    let chart = move || {
        let is_there = size.get().0 > 0.0 && data.with(|data| !data.real.is_empty());
        is_there.then(|| data.with(|data| distribution::draw(size.get(), data, app.log_counts.get(), ground(app))))
    };
    let heading = match side {
        Side::Negatives => "O spans (no entity)",
        Side::Positives => "Entities",
    };
    let totals = move || {
        data.with(|d| {
            let sum = |counts: &[u32]| format::count(counts.iter().map(|&n| u64::from(n)).sum());
            (sum(&d.real), sum(&d.samples))
        })
    };
    let (test_id, file) = match side {
        Side::Negatives => ("save-negatives", "o-spans"),
        Side::Positives => ("save-positives", "entities"),
    };
    let picture = move || {
        let mut chart = chart()?;
        let ink = Ink::new(ground(app));
        let threshold = app.threshold(side);
        let entry = |colour: &str, text: String| (vec![colour.to_owned()], text);
        let (all, made_wrong) = totals();
        let mut legend = vec![
            entry(ink.fill, format!("{all} {}", format::spans_of(side))),
            entry(ink.samples, format!("{made_wrong} labels made wrong on purpose")),
        ];
        if threshold.is_finite() {
            chart.threshold(f64::from(threshold), ink.threshold);
            legend.push(entry(ink.threshold, format!("likely wrong: below {}", format::signed(threshold, 2))));
        }
        if !app.filter.with(|filter| filter.is_empty()) {
            legend.push(entry(ink.passing, "selected".to_owned()));
        }
        let axes = [app.metric().name().to_owned(), axis_up(app).to_owned()];
        Some((Picture { title: title(app, heading), legend, axes, ground: ground(app) }, chart, size.get()))
    };
    view! {
        <section class="panel plot" aria-label=move || format!("{} of {name}", app.metric().name())>
            <div class="heading">
                <h2>{heading}</h2>
                {(side == Side::Positives).then(|| scale_choice(app))}
                {save_menu(app, test_id, file, picture)}
                <p class="share" data-testid=format!("share-{name}") title="Spans that pass the filter, and all of this kind">
                    {move || {
                        let sum = |counts: &[u32]| counts.iter().map(|&n| u64::from(n)).sum::<u64>();
                        let (all, passing) = data.with(|d| (sum(&d.real), (!d.passing.is_empty()).then(|| sum(&d.passing))));
                        // Until the worker has answered to the first filter, no number of passing spans is known.
                        let passing = passing.filter(|_| app.filter.with(|filter| !filter.is_empty())).unwrap_or(all);
                        format!("{} of {}", format::count(passing), format::count(all))
                    }}
                </p>
            </div>
            <div class="frame" node_ref=frame>
                <svg class="drawn" role="img" inner_html=move || chart().map(Chart::into_svg).unwrap_or_default() aria-label=move || {
                    let (real, samples) = totals();
                    format!("Distribution of {} over {real} {} and {samples} labels that were made wrong on purpose", app.metric().name(), format::spans_of(side))
                }></svg>
                <span class="axis y" aria-hidden="true">{move || axis_up(app)}</span>
                <span class="axis x" aria-hidden="true">{move || app.metric().name()}</span>
                {line(app, side, data)}
                <p class="legend inlay">
                    <span class="key real">"your labels"</span>
                    {move || app.filter.with(|filter| !filter.is_empty()).then(|| view! { <span class="key passing">"selected"</span> })}
                    <span class="key samples" title="labels that were made wrong on purpose">{move || totals().1} " made wrong"</span>
                </p>
            </div>
        </section>
    }
}

/// Returns the name of the vertical axis.
fn axis_up(app: App) -> &'static str {
    if app.log_counts.get() { "spans (log)" } else { "spans" }
}

fn scale_choice(app: App) -> impl IntoView {
    view! {
        <button class="button small" aria-pressed=move || app.log_counts.get().to_string()
            title="Counts on a logarithmic scale" on:click=move |_| app.log_counts.update(|log| *log = !*log)>
            "log"
        </button>
    }
}

/// Returns the range of values of the bars between two positions. Positions are shares of the width.
fn bars(data: &SideHistogram, side: Side, from: f64, to: f64) -> Values {
    let bins = data.real.len().max(1);
    let bin = |share: f64| ((share * bins as f64) as usize).min(bins - 1);
    let (first, last) = (bin(from.min(to)), bin(from.max(to)));
    let edge = |bin: usize| data.low + (data.high - data.low) * bin as f32 / bins as f32;
    // The first and the last bar also contain all values beyond them.
    Values { side, low: (first > 0).then(|| edge(first)), high: (last + 1 < bins).then(|| edge(last + 1)) }
}

/// Shows the threshold as a line. Labels to its left are likely wrong.
fn line(app: App, side: Side, data: Memo<SideHistogram>) -> impl IntoView {
    let name = format::side(side);
    let area = NodeRef::<Div>::new();
    let dragging = RwSignal::new(false);
    let range = move || data.with(|d| (d.low, d.high));
    let value = move || app.threshold(side);
    let at = move || {
        let (low, high) = range();
        let share = (value().clamp(low, high) - low) / (high - low);
        format!("{:.3}%", 100.0 * if share.is_finite() { share } else { 0.0 })
    };
    let set = move |value: f32| {
        let (low, high) = range();
        // Rounds to steps finer than a pixel, so that the number is short.
        let steps = if high - low > 1.0 { 100.0 } else { 1000.0 };
        app.set_rule(side, Rule::Fixed((value.clamp(low, high) * steps).round() / steps));
    };
    let drag_to = move |event: &PointerEvent| {
        let Some(area) = area.get_untracked() else { return };
        let bounds = area.get_bounding_client_rect();
        let share = (f64::from(event.client_x()) - bounds.left()) / bounds.width().max(1.0);
        let (low, high) = range();
        set(low + (high - low) * share as f32);
    };
    let on_key = move |event: KeyboardEvent| {
        let (low, high) = range();
        let now = if value().is_finite() { value() } else { low };
        // One step is a tenth of an AUM, or a hundredth of a probability. With Shift it is ten times smaller.
        let fine = if event.shift_key() { 0.1 } else { 1.0 };
        let unit = match app.metric() {
            Metric::Aum => 1.0,
            Metric::Confidence | Metric::Trust => 0.1,
        };
        let step = 0.1 * unit * fine;
        let to = match event.key().as_str() {
            "ArrowLeft" | "ArrowDown" => now - step,
            "ArrowRight" | "ArrowUp" => now + step,
            "PageDown" => now - unit,
            "PageUp" => now + unit,
            "Home" => low,
            "End" => high,
            _ => return,
        };
        event.prevent_default();
        set(to);
    };
    // The position at which a selection of bars began, as a share of the width.
    let from = RwSignal::new(None::<f64>);
    let share_of = move |event: &PointerEvent| {
        let bounds = area.get_untracked()?.get_bounding_client_rect();
        Some(((f64::from(event.client_x()) - bounds.left()) / bounds.width().max(1.0)).clamp(0.0, 1.0))
    };
    let choose = move |from: f64, to: f64| {
        let values = data.with_untracked(|d| bars(d, side, from, to));
        let is_same = app.filter.with_untracked(|filter| filter.values == Some(values));
        // Choosing the same bars again drops the filter.
        app.filter_by(|filter| filter.values = (!is_same).then_some(values));
    };
    let chosen = move || {
        let values = app.filter.with(|filter| filter.values).filter(|values| values.side == side)?;
        let (low, high) = range();
        let share = |value: f32| 100.0 * ((value - low) / (high - low)).clamp(0.0, 1.0);
        let (left, right) = (values.low.map_or(0.0, share), values.high.map_or(100.0, share));
        Some(
            view! { <div class="chosen" style:left=format!("{left:.2}%") style:width=format!("{:.2}%", right - left)></div> },
        )
    };
    view! {
        <div class="area" node_ref=area data-testid=format!("bars-{name}") title="Drag over bars, or click one, to show only their spans"
            on:pointerdown=move |event| {
                // A finger chooses bars sideways. Up and down it scrolls the page, and the browser cancels the
                // selection.
                if event.button() == 0 && event.is_primary() {
                    event.prevent_default();
                    if let Some(area) = area.get_untracked() {
                        let _ = area.set_pointer_capture(event.pointer_id());
                    }
                    from.set(share_of(&event));
                }
            }
            on:pointerup=move |event| {
                if let (Some(start), Some(end)) = (from.get_untracked(), share_of(&event)) {
                    choose(start, end);
                }
                from.set(None);
            }
            on:pointercancel=move |_| from.set(None)>
            <div class="judged" style:width=at></div>
            {chosen}
            <div class="line" class:dragging=dragging style:left=at data-testid=format!("slider-{name}")
                role="slider" tabindex="0" aria-label=format!("Threshold for {}", format::spans_of(side)) aria-orientation="horizontal"
                aria-valuemin=move || range().0.to_string() aria-valuemax=move || range().1.to_string()
                aria-valuenow=move || value().max(range().0).to_string()
                aria-valuetext=move || format!("{} with {} below {} are likely wrong", format::spans_of(side), app.metric().name(), format::signed(value(), 2))
                on:keydown=on_key
                on:pointerdown=move |event| {
                    if event.button() == 0 {
                        event.prevent_default();
                        // Otherwise bars would be chosen as well.
                        event.stop_propagation();
                        let line: web_sys::HtmlElement = event_target(&event);
                        // Without capture, a fast drag would lose the line.
                        let _ = line.set_pointer_capture(event.pointer_id());
                        let _ = line.focus();
                        dragging.set(true);
                    }
                }
                on:pointermove=move |event| { if dragging.get_untracked() { drag_to(&event) } }
                on:pointerup=move |_| dragging.set(false)
                on:pointercancel=move |_| dragging.set(false)>
                <span class="value" aria-hidden="true">{move || match value() {
                    v if v.is_finite() => format::signed(v, 2),
                    _ => "none".to_owned(),
                }}</span>
            </div>
        </div>
    }
}
