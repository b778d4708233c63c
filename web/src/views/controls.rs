//! The settings panel.

use leptos::prelude::*;
use shared::corpus::decision::Side;
use shared::detection::dictionary_check::Contradicted;
use shared::detection::threshold::{
    Action, Basis, Metric, PAPER_QUANTILE_NEGATIVES, PAPER_QUANTILE_POSITIVES, Rule, Settings, Threshold,
};
use shared::metrics::Window;

use web_sys::HtmlDetailsElement;

use super::layout;
use crate::format;
use crate::layout::MORE;
use crate::state::App;

pub fn controls(app: App) -> impl IntoView {
    let automatic = move || app.file.with_untracked(|f| f.as_ref().map(|f| f.automatic.clone()));
    let is = move |preset: Option<Settings>| preset == Some(app.settings.get());
    let paper = move || {
        // The paper's window, cut to the length of the run.
        let n = app.file.with_untracked(|f| f.as_ref().map_or(1, |f| f.n_epochs)).max(1);
        let paper = Settings::paper();
        Settings { window: Window { last: paper.window.last.min(n), ..paper.window }, ..paper }
    };
    view! {
        <div class="heading">
            <h2>"Thresholds"</h2>
            <div class="segments" role="group" aria-label="Presets">
                <button data-testid="automatic" aria-pressed=move || is(automatic()).to_string()
                    title="Doubts the labels that are more likely wrong than right"
                    on:click=move |_| { if let Some(settings) = automatic() { app.preset(settings) } }>"Automatic"</button>
                <button data-testid="paper" aria-pressed=move || is(Some(paper())).to_string()
                    title="The method of the paper: by AUM (area under the margin), over the first three epochs"
                    on:click=move |_| app.preset(paper())>"Paper"</button>
            </div>
        </div>
        <p class="hint">"Below its threshold, a label counts as likely wrong."</p>
        {threshold(app, Side::Negatives, PAPER_QUANTILE_NEGATIVES)}
        {threshold(app, Side::Positives, PAPER_QUANTILE_POSITIVES)}
        <details class="more" prop:open=move || app.layout.get().has(MORE)
            on:toggle=move |event| layout::show_more(app, event_target::<HtmlDetailsElement>(&event).open())>
            <summary data-testid="more-settings">"More settings …"</summary>
            {metric(app)}
            {classes(app)}
            {window_of_epochs(app)}
            {action(app)}
            <label class="row">
                "wrong labels that may stay"
                <input class="number" type="number" min="0" data-testid="enough" placeholder="–"
                    title="The page says when your review has come so far that you can stop"
                    prop:value=move || app.enough.get().map_or(String::new(), |most| most.to_string())
                    on:change=move |event| app.set_enough(event_target_value(&event).parse().ok()) />
            </label>
        </details>
    }
}

fn threshold(app: App, side: Side, quantile: f32) -> impl IntoView {
    let (name, words) = (format::side(side), format::spans_of(side));
    let shown = move || match (app.rule(side), app.threshold(side)) {
        (_, v) if !v.is_finite() => String::new(),
        (Rule::Fixed(v), _) => v.to_string(),
        (_, v) => format!("{v:.3}"),
    };
    let is_quantile = move || matches!(app.rule(side), Rule::Quantile(_));
    let in_force = move || app.figures.with(|f| f.as_ref().map(|f| f.summary.thresholds.of(side)));
    let set_value = move |event: web_sys::Event| {
        match format::number(&event_target_value(&event)) {
            Some(value) => app.set_rule(side, Rule::Fixed(value)),
            // Text that is not a number changes nothing: the field shows the threshold in force again.
            _ => app.settings.notify(),
        }
    };
    let set_quantile = move |event: web_sys::Event| match format::number(&event_target_value(&event)) {
        Some(q) if (0.0..=1.0).contains(&q) => app.set_rule(side, Rule::Quantile(q)),
        _ => app.settings.notify(),
    };
    let set_kind = move |event: web_sys::Event| {
        let rule = match event_target_value(&event).as_str() {
            "auto" => Rule::Auto,
            "quantile" => Rule::Quantile(quantile),
            "keep" => Rule::Keep,
            _ => {
                let now = app.threshold(side);
                Rule::Fixed(if now.is_finite() { now } else { 0.0 })
            }
        };
        app.set_rule(side, rule);
    };
    let kind = move || match app.rule(side) {
        Rule::Auto => "auto",
        Rule::Quantile(_) => "quantile",
        Rule::Fixed(_) => "fixed",
        Rule::Keep => "keep",
    };
    view! {
        <div class="threshold">
            <label class="name" for=format!("threshold-{name}") >{words}</label>
            <select aria-label=format!("How the threshold for {words} is found") data-testid=format!("rule-{name}") prop:value=kind on:change=set_kind>
                <option value="auto">"auto"</option>
                <option value="quantile">"by samples"</option>
                <option value="fixed">"my value"</option>
                <option value="keep">"keep all"</option>
            </select>
            <span class="less" aria-hidden="true" title="Likely wrong below">"<"</span>
            <input id=format!("threshold-{name}") data-testid=format!("threshold-{name}") class="number" type="text"
                inputmode="decimal" autocomplete="off" placeholder="none" prop:value=shown on:change=set_value />
            <p class="hint" role="status" title="Estimated from labels that were made wrong on purpose">
                {move || in_force().filter(|_| !matches!(app.rule(side), Rule::Fixed(_))).and_then(hint)}
            </p>
            <Show when=is_quantile>
                <label class="quantile">
                    "share of wrong samples below it"
                    <input class="number" type="number" min="0" max="1" step="0.01" data-testid=format!("quantile-{name}")
                        prop:value=move || match app.rule(side) { Rule::Quantile(q) => q.to_string(), _ => String::new() }
                        on:change=set_quantile />
                </label>
            </Show>
        </div>
    }
}

/// Explains where a threshold comes from.
fn hint(threshold: Threshold) -> Option<String> {
    let interval =
        threshold.interval.map(|(low, high)| format!("{} and {}", format::signed(low, 2), format::signed(high, 2)));
    match (threshold.basis, interval) {
        (Basis::Given, _) => None,
        (Basis::Kept, _) => Some("All keep their labels.".to_owned()),
        (Basis::NotLearned, _) => Some(
            "The model has not learned these labels, so none is doubted. Try other epochs, or set a threshold."
                .to_owned(),
        ),
        (Basis::NoSamples, _) => {
            Some("This file has no labels that were made wrong on purpose, so none is doubted.".to_owned())
        }
        (Basis::Natural, _) => Some("The wrong samples give no reason for another threshold.".to_owned()),
        (Basis::Probability | Basis::HalfMissed, _) => None,
        (Basis::AllPositives, _) => Some("As for all entities: this type has too few samples.".to_owned()),
        (Basis::Estimate, Some(interval)) => Some(format!("Likely between {interval}; the cautious end is used.")),
        (_, interval) => interval.map(|interval| format!("Likely between {interval}.")),
    }
}

/// Shows the thresholds of single classes.
fn classes(app: App) -> impl IntoView {
    let names = move || app.file.with(|f| f.as_ref().map(|f| f.labels.iter().skip(1).cloned().collect::<Vec<_>>()));
    let in_use = move || app.settings.with(|s| s.per_class || !s.classes.is_empty());
    let row = move |name: String| {
        let found = {
            let name = name.clone();
            move || app.figures.with(|f| f.as_ref().and_then(|f| f.summary.thresholds.classes.get(&name).copied()))
        };
        let shown = {
            let found = found.clone();
            move || match found() {
                Some(t) if t.basis == Basis::Given => t.value.to_string(),
                Some(t) if t.value.is_finite() => format!("{:.3}", t.value),
                _ => String::new(),
            }
        };
        let set = {
            let name = name.clone();
            move |event: web_sys::Event| match event_target_value(&event).trim() {
                "" => app.set_class(&name, None),
                text => match format::number(text) {
                    Some(value) => app.set_class(&name, Some(value)),
                    _ => app.figures.notify(),
                },
            }
        };
        let explained = move || found().and_then(hint).unwrap_or_default();
        view! {
            <label class="row" title=explained>
                <span class="name">{name.clone()}</span>
                <input class="number" type="text" inputmode="decimal" autocomplete="off" placeholder="as above"
                    data-testid=format!("threshold-{name}") prop:value=shown on:change=set />
            </label>
        }
    };
    view! {
        <details class="classes" data-testid="classes" open=in_use>
            <summary>"for each entity type"</summary>
            <label class="row check" title="A type with fewer than 30 wrong samples keeps the threshold for all entities">
                <input type="checkbox" data-testid="per-class" prop:checked=move || app.settings.with(|s| s.per_class)
                    on:change=move |e| app.change(|s| s.per_class = event_target_checked(&e)) />
                "find a threshold for each type"
            </label>
            {move || names().unwrap_or_default().into_iter().map(row).collect_view()}
        </details>
    }
}

fn metric(app: App) -> impl IntoView {
    let button = move |metric: Metric| {
        view! {
            <button data-testid=format!("metric-{}", metric.name()) title=format::meaning(metric) aria-pressed=move || (app.metric() == metric).to_string()
                disabled=move || metric == Metric::Confidence && app.file.with(|f| f.as_ref().is_some_and(|f| !f.has_probabilities))
                on:click=move |_| app.set_metric(metric)>{metric.name()}</button>
        }
    };
    view! {
        <div class="row">
            <span class="name">"judged by"</span>
            <div class="segments" role="group" aria-label="Number by which labels are judged">
                {button(Metric::Trust)} {button(Metric::Aum)} {button(Metric::Confidence)}
            </div>
        </div>
        <p class="hint" data-testid="metric-meaning">{move || format::meaning(app.metric())}</p>
    }
}

fn window_of_epochs(app: App) -> impl IntoView {
    let n_epochs = move || app.file.with(|f| f.as_ref().map_or(1, |f| f.n_epochs));
    let set = move |event: web_sys::Event, is_first: bool| {
        let window = app.settings.get_untracked().window;
        match event_target_value(&event).trim().parse::<u32>() {
            Ok(first) if is_first => app.set_window(first, window.last.max(first)),
            Ok(last) => app.set_window(window.first.min(last), last),
            Err(_) => {}
        }
        app.settings.notify();
    };
    view! {
        <div class="row">
            <span class="name" id="window-label" title="An epoch is one pass of the model over your corpus">"epochs"</span>
            <span class="range" role="group" aria-labelledby="window-label">
                <input class="number" type="number" min="1" max=n_epochs aria-label="First epoch" data-testid="window-first"
                    prop:value=move || app.settings.get().window.first.to_string() on:change=move |e| set(e, true) />
                "to"
                <input class="number" type="number" min="1" max=n_epochs aria-label="Last epoch" data-testid="window-last"
                    prop:value=move || app.settings.get().window.last.to_string() on:change=move |e| set(e, false) />
                <span class="muted">"of " {n_epochs}</span>
            </span>
        </div>
    }
}

fn action(app: App) -> impl IntoView {
    let has_predictions = move || app.file.with(|f| f.as_ref().is_none_or(|f| f.has_probabilities));
    let button = move |action: Action, text: &'static str| {
        view! {
            <button data-testid=format!("action-{text}") aria-pressed=move || (app.settings.get().action == action).to_string()
                disabled=move || action == Action::Relabel && !has_predictions()
                on:click=move |_| app.change(|s| s.action = action)>{text}</button>
        }
    };
    let contradicted = move || app.file.with(|f| f.as_ref().map(|f| f.contradicted)).filter(|c| c.entries > 0);
    let relabels = move || app.settings.get().action == Action::Relabel;
    let set_probability = move |event: web_sys::Event| match format::number(&event_target_value(&event)) {
        Some(p) if (0.0..=1.0).contains(&p) => app.change(|s| s.relabel_probability = p),
        _ => app.settings.notify(),
    };
    view! {
        <div class="row">
            <span class="name">"likely wrong"</span>
            <div class="segments" role="group" aria-label="What happens to labels that are likely wrong">
                {button(Action::Remove, "remove")} {button(Action::Relabel, "relabel")}
            </div>
        </div>
        <Show when=relabels>
            <label class="row">
                <span class="name">"relabel only if at least this sure"</span>
                <input class="number" type="number" min="0" max="1" step="0.05" data-testid="relabel-probability"
                    prop:value=move || app.settings.get().relabel_probability.to_string() on:change=set_probability />
            </label>
        </Show>
        <label class="row check" title="Entities do not overlap. Of several O spans that overlap, only the most suspicious is doubted; none \
            over an entity that the model has learned">
            <input type="checkbox" data-testid="overlap" prop:checked=move || app.settings.get().overlap_suppression
                on:change=move |e| app.change(|s| s.overlap_suppression = event_target_checked(&e)) />
            "skip O spans that overlap a trusted entity"
        </label>
        {move || contradicted().map(|Contradicted { entries, spans }| view! {
            <label class="row check" title="Your checked sentences (dev) label the same words otherwise. The model learns a \
                mistake that repeats like a right label, so no threshold finds it">
                <input type="checkbox" data-testid="dictionary-check"
                    prop:checked=move || app.settings.get().dictionary_check
                    on:change=move |e| app.change(|s| s.dictionary_check = event_target_checked(&e)) />
                {format!("correct {} dictionary entries ({} labels) that your checked sentences contradict",
                    format::count(entries as u64), format::count(spans))}
            </label>
        })}
    }
}
