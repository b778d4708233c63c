//! The selected span: everything known about it, and buttons to decide about it.

use explorer::filter::{Decided, Filter};
use explorer::listing::Listing;
use explorer::queue::{Next, Sample};
use explorer::reasons::in_words;
use explorer::same_form::SameForm;
use leptos::prelude::*;
use shared::corpus::decision::Decision;
use shared::corpus::labels::LabelId;
use shared::corpus::span::SpanId;

use super::menu::{menu, of_labels};
use super::note;
use super::sentence::sentence;
use crate::format;
use crate::plots::sparkline;
use crate::protocol::{Detail, List};
use crate::state::{App, Listed};

pub fn detail(app: App) -> impl IntoView {
    view! {
        <section class="panel detail" aria-label="Selected span" data-testid="detail" tabindex="-1">
            <div class="heading">
                <h2>"Span"</h2>
                <p class="legend">{move || app.detail.with(|detail| detail.as_ref().map(place))}</p>
            </div>
            {queue(app)}
            {move || match app.detail.get() {
                Some(detail) => span(app, detail).into_any(),
                None => view! {
                    <p class="hint">"Click a row of the list or a dot of the map, or press J."</p>
                }
                .into_any(),
            }}
        </section>
    }
}

/// Shows how far the person has come, and leads to the next undecided labels.
fn queue(app: App) -> impl IntoView {
    let progress = move || app.figures.with(|f| f.as_ref().map(|f| f.progress));
    let count = |n: usize| format::count(n as u64);
    let is_shown = move || app.next.get().is_some_and(|next| app.selected.get() == Some(next.span));
    let like_it = move || {
        let Next { n, wrong, .. } = app.next.get().filter(|next| is_shown() && next.n > 1)?;
        let wrong = count(wrong.round() as usize);
        Some(format!(
            "{} labels like this are undecided, about {wrong} of them wrong. Shift with a key decides about all.",
            count(n)
        ))
    };
    view! {
        <div class="queue">
            <p role="status" data-testid="progress">
                {move || progress().map(|p| {
                    let unsure = if p.unsure > 0 { format!(", {} unsure", count(p.unsure)) } else { String::new() };
                    let left = format!("{} of {} reviewed{unsure}, about {} wrong labels left", count(p.reviewed), count(p.suggested), count(p.wrong_left.round() as usize));
                    match app.pace.get().minutes(p.suggested - p.reviewed) {
                        Some(minutes) if p.reviewed < p.suggested => format!("{left}, {} minutes at your pace", count(minutes.ceil() as usize)),
                        _ => left,
                    }
                })}
            </p>
            <button class="button small" data-testid="next" aria-keyshortcuts="N" title="The labels where one decision corrects most come first"
                on:click=move |_| app.go_on()>{move || if is_shown() { "skip" } else { "next undecided" }} " " <kbd>"N"</kbd></button>
            " "
            <button class="button small" data-testid="check" aria-keyshortcuts="C" title="One suggestion chosen at random. Twenty of them say how often the suggestions are right"
                on:click=move |_| app.check_one()>"at random " <kbd>"C"</kbd></button>
            {move || progress().filter(|p| p.sample.decided > 0).map(|p| view! { <p class="muted" data-testid="sample">{sample(p.sample)}</p> })}
            {move || progress().filter(|p| p.reviewed > 0 && p.sample.decided == 0).map(|p| view! {
                <p class="muted" data-testid="agreed">{format!("Your reviews agreed with {} of {} suggestions.", count(p.agreed), count(p.reviewed))}</p>
            })}
            <p class="muted" data-testid="like-it">{like_it}</p>
            <p role="status" class="remark" data-testid="is-enough">
                {move || {
                    let (most, p) = (app.enough.get()?, progress()?);
                    let is_enough = p.wrong_left <= f64::from(most);
                    is_enough.then(|| format!("You can stop: about {} wrong labels are left. Save the cleaned corpus.", count(p.wrong_left.round() as usize)))
                }}
            </p>
        </div>
    }
}

/// Says how often suggestions that were chosen at random are right.
fn sample(sample: Sample) -> String {
    let counted = format!("Checked at random: {} of {} right", sample.right, sample.decided);
    match sample.share() {
        Some([_, low, high]) => format!("{counted} (likely {:.0} to {:.0} %).", 100.0 * low, 100.0 * high),
        None => format!("{counted}. Twenty say more."),
    }
}

fn place(detail: &Detail) -> String {
    let tokens = match (detail.start, detail.end) {
        (start, end) if start == end => format!("token {start}"),
        (start, end) => format!("tokens {start}–{end}"),
    };
    format!("sentence {}, {tokens}", detail.number)
}

fn span(app: App, detail: Detail) -> impl IntoView {
    let labels = app.file.with_untracked(|f| f.as_ref().map(|f| f.labels.clone()).unwrap_or_default());
    let name = |label: LabelId| labels.get(usize::from(label)).cloned().unwrap_or_default();
    let epochs = app.settings.with_untracked(|s| s.window.last - s.window.first + 1);
    let row = detail.row.clone();
    let fact = |name: &'static str, value: String| view! { <div><dt>{name}</dt><dd>{value}</dd></div> };
    let unknown = |name: &'static str| {
        view! {
            <div class="unknown" title="This file has margins only"><dt>{name}</dt><dd>"not recorded"</dd></div>
        }
    };
    let known = detail.probabilities;
    let labels_again = labels.clone();
    view! {
        {sentence(app, &detail)}
        <dl class="labels">
            {fact("your label", name(row.distant))}
            {match (row.predicted, known) {
                (Some(label), Some(p)) =>
                    fact("model says", format!("{} ({})", name(label), format::score(f64::from(p.predicted)))).into_any(),
                _ => unknown("model says").into_any(),
            }}
            {row.gold.map(|gold| fact("gold", name(gold)))}
        </dl>
        <p class="verdict">
            <span class=format::decision_class(row.decision) data-testid="decision">{format::decision(row.decision, &labels)}</span>
            {if row.by_hand {
                format!("by hand (automatic: {})", format::decision(detail.by_rule, &labels))
            } else if row.contradicted {
                "your checked sentences (dev) contradict this dictionary entry".to_owned()
            } else {
                "automatic".to_owned()
            }}
        </p>
        {note::shown(app, row.id)}
        {buttons(app, detail.clone(), labels)}
        {because(app, &detail)} {opinions(&detail, &labels_again)}
        {same_form(app, detail.row.id, detail.same_form.clone(), &labels_again)}
        {margins(&row.margins)}
        <dl class="metrics">
            {fact("AUM (area under the margin)", format::signed(detail.aum, 3))}
            {detail.other_aum.map(|aum| fact("AUM in the other file", format::signed(aum, 3)))}
            {match known {
                Some(p) => view! {
                    {fact("confidence", format::signed(p.confidence, 3))}
                    {fact("variability", format::signed(p.variability, 3))}
                }.into_any(),
                None => view! { {unknown("confidence")} {unknown("variability")} }.into_any(),
            }}
            {fact("model agreed", format!("{} of {epochs} epochs", detail.correctness))}
            {fact("changed its mind", format!("{} ×", detail.forgetting))}
        </dl>
    }
}

/// Shows how probable it is that the label is wrong, and why.
fn because(app: App, detail: &Detail) -> impl IntoView + use<> {
    let wrong = detail.wrong?;
    let reasons = |intro: &'static str, reasons: &[String]| {
        (!reasons.is_empty()).then(|| view! { <p><span class="muted">{intro}</span> " " {reasons.join("; ")}</p> })
    };
    let others = detail.doubted.map(|reason| {
        let only_these = move |_| app.filter_by(|filter| filter.decided = Some(Decided::Doubted(reason)));
        view! {
            <button class="plain" data-testid="same-reason" on:click=only_these>
                {format!("Show all that are likely wrong for this reason: {}", in_words(reason))}
            </button>
        }
    });
    Some(view! {
        <div class="because" data-testid="because">
            <p>"Chance that the label is wrong: " <strong>{format!("{:.0}%", (100.0 * wrong).clamp(1.0, 99.0))}</strong></p>
            {reasons("Against the label:", &detail.because.against)}
            {others}
            {reasons("For the label:", &detail.because.in_favour)}
        </div>
    })
}

/// Shows what each of several people decided.
fn opinions(detail: &Detail, labels: &[String]) -> impl IntoView + use<> {
    let opinion = |(name, decision): &(String, Decision)| format!("{name}: {}", format::decision(*decision, labels));
    let all: Vec<String> = detail.opinions.iter().map(opinion).collect();
    (!all.is_empty()).then(|| view! { <p data-testid="opinions">{all.join(" · ")}</p> })
}

fn buttons(app: App, detail: Detail, labels: Vec<String>) -> impl IntoView {
    let Detail { row, .. } = detail;
    let span = row.id;
    let button = move |id: &'static str,
                       text: &'static str,
                       key: &'static str,
                       decision: Option<Decision>,
                       is_on: bool| {
        view! {
            <button class="button" aria-pressed=is_on.to_string() data-testid=format!("decide-{id}") aria-keyshortcuts=key
                on:click=move |_| app.decide(span, decision)>{text} <kbd>{key}</kbd></button>
        }
    };
    let relabel = move |label: usize| app.decide(span, Some(Decision::Relabel(label as LabelId)));
    view! {
        <div class="decide">
            {button("keep", "keep", "A", Some(Decision::Keep), row.by_hand && row.decision == Decision::Keep)}
            {button("remove", "remove", "X", Some(Decision::Remove), row.by_hand && row.decision == Decision::Remove)}
            {menu("relabel", "button", "Change the label to (R)", "change to …", of_labels(&labels), Signal::from(false), relabel)}
            <button class="button" data-testid="unsure" aria-keyshortcuts="Q" title="Leave a note for later"
                on:click=move |_| app.ask_for_note()>"unsure … " <kbd>"Q"</kbd></button>
            {row.by_hand.then(|| button("by-rule", "take back", "U", None, false))}
        </div>
    }
}

/// Shows the spans with the same words, with buttons to decide about all of them.
fn same_form(app: App, span: SpanId, found: SameForm, labels: &[String]) -> impl IntoView + use<> {
    let name = |label: LabelId| labels.get(usize::from(label)).cloned().unwrap_or_default();
    let times = |n: usize| if n == 1 { "once".to_owned() } else { format!("{} times", format::count(n as u64)) };
    let mut groups = found.groups.into_iter();
    let own = groups.next()?;
    let others: Vec<String> = groups
        .map(|group| {
            format!(
                "{} {}, {} not kept",
                name(group.label),
                times(group.spans.len()),
                format::count(group.judged as u64)
            )
        })
        .collect();
    let is_alone = own.spans.len() == 1;
    let exact = format!("\"{}\"", found.form);
    let list = move |_| {
        let all = List::Ranked(Listing { judged_only: false });
        app.replace_filter(Filter { text: exact.clone(), ..Filter::default() }, Some(all));
        app.listed.set(Listed::Spans);
    };
    let button = move |text: &'static str, key: &'static str, test_id: &'static str, decision: Option<Decision>| {
        view! {
            <button class="button small" data-testid=test_id aria-keyshortcuts=format!("Shift+{key}")
                title="All spans with these words and this label" on:click=move |_| app.decide_alike(span, decision)>
                {text} " " <kbd>"⇧"{key}</kbd>
            </button>
        }
    };
    let relabel = move |label: usize| app.decide_alike(span, Some(Decision::Relabel(label as LabelId)));
    Some(view! {
        <div class="same" data-testid="same-form">
            <p>
                <strong>{found.form.clone()}</strong>
                {format!(" as {}: {}, {} not kept", name(own.label), times(own.spans.len()), format::count(own.judged as u64))}
            </p>
            {(!others.is_empty()).then(|| view! { <p class="muted">"also as " {others.join("; ")}</p> })}
            <div class="decide">
                {(!is_alone).then(|| view! {
                    {button("keep all", "A", "keep-all", Some(Decision::Keep))}
                    {button("remove all", "X", "remove-all", Some(Decision::Remove))}
                    {menu("relabel-all", "button small", "Change all labels to (⇧R)", "change all …", of_labels(labels), Signal::from(false), relabel)}
                    {button("take back", "U", "rule-all", None)}
                })}
                {(!is_alone || !others.is_empty()).then(|| view! {
                    <button class="button small quiet" data-testid="list-same" title="Show only spans of exactly these words"
                        on:click=list>"show them"</button>
                })}
            </div>
        </div>
    })
}

/// Shows the margins over all epochs of the run.
fn margins(values: &[f32]) -> impl IntoView + use<> {
    let (width, height) = (248.0, 64.0);
    let line = sparkline::line(values, width, height, 1.0);
    let zero = format!("{:.1}", line.zero);
    let points =
        line.points.iter().map(|(x, y)| view! { <circle cx=format!("{x:.1}") cy=format!("{y:.1}") r="2.5" /> });
    let text: Vec<String> = values.iter().map(|&v| format::signed(v, 1)).collect();
    view! {
        <figure class="margins">
            <svg viewBox=format!("0 0 {width} {height}") role="img"
                aria-label=format!("Margins by epoch: {}", text.join(", "))>
                <line x1="0" x2=width.to_string() y1=zero.clone() y2=zero />
                <path d=line.path.clone() />
                {points.collect_view()}
            </svg>
            <figcaption>"margin by epoch (above 0: the model preferred your label): " {text.join("  ")}</figcaption>
        </figure>
    }
}
