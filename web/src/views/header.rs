//! The page header: facts about the open file, and actions on the whole file.

use leptos::html::Input;
use leptos::prelude::*;
use shared::formats::Format;
use shared::report::last_part;

use super::layout;
use super::menu::{menu, menu_about};
use crate::format;
use crate::protocol::Export;
use crate::state::{App, Kept};
use crate::theme;

pub fn header(app: App) -> impl IntoView {
    let nothing_open = move || app.file.with(Option::is_none);
    view! {
        <header class="top">
            <h1 class="brand">"DynClean"</h1>
            <p class="facts" data-testid="facts">
                {move || app.file.get().map(|file| {
                    let name = if file.name.is_empty() { file.file.clone() } else { file.name.clone() };
                    let facts = file.facts.iter().map(|(k, v)| format!("{k}: {v}")).collect::<Vec<_>>().join("\n");
                    view! {
                        <strong title=facts>{name}</strong>
                        {(!file.complete).then(|| view! { <span class="tag" data-testid="incomplete">"unfinished run"</span> })}
                        <span data-testid="span-count">{format::count(file.n_spans as u64)} " spans"</span>
                        <span>{file.n_epochs} " epochs"</span>
                        <span class="wide" title=file.encoder.clone()>{last_part(&file.encoder).to_owned()}</span>
                    }
                })}
                <span data-testid="kept" title="This browser keeps your decisions and settings">
                    {move || match app.kept.get() {
                        Kept::Nothing => "",
                        Kept::Soon => "saving…",
                        Kept::Stored => "saved",
                        Kept::Failed => "not saved",
                    }}
                </span>
            </p>
            <p class="busy" role="status" data-testid="busy">{move || app.busy.get().or_else(|| app.said.get())}</p>
            <div class="actions">
                {steps(app)}
                {open_button(app, "button quiet", "file-input")}
                {move || (!nothing_open()).then(|| compare_button(app))}
                <button class="button" data-testid="export-decisions" disabled=nothing_open
                    title=move || match app.review.with(Option::is_some) {
                        true => "Saves your decisions and the thresholds in the folder of the run, and says how to train on them",
                        false => "decisions.json: your decisions and the thresholds. Open it here again, or give it to `trainer run --decisions` or `trainer clean --decisions`",
                    }
                    on:click=move |_| app.save_decisions()>"Save decisions"</button>
                {cleaned_corpus(app)}
                {more_exports(app)}
                {layout::folds(app)}
                <button class="button quiet icon" data-testid="help" aria-label="Help, keys, and how to read this page" title="Help (?)"
                    on:click=move |_| app.help.set(true)>"?"</button>
                <button class="button quiet icon" data-testid="theme"
                    aria-label=move || if app.dark.get() { "Use the light theme" } else { "Use the dark theme" }
                    on:click=move |_| theme::toggle(app.dark)>
                    <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
                        <circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="1.5" />
                        <path d="M8 2a6 6 0 0 1 0 12z" fill="currentColor" />
                    </svg>
                </button>
            </div>
        </header>
    }
}

/// Undo and redo.
fn steps(app: App) -> impl IntoView {
    let can = move || app.history.with(|history| history.can());
    view! {
        <button class="button quiet icon" data-testid="undo" aria-label="Undo" title="Undo (Ctrl+Z)" disabled=move || !can().0
            on:click=move |_| { app.undo(); }>
            <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
                <path d="M6 3 2 7l4 4M2 7h7a4 4 0 0 1 0 8" fill="none" stroke="currentColor" stroke-width="1.5" />
            </svg>
        </button>
        <button class="button quiet icon" data-testid="redo" aria-label="Redo" title="Redo (Ctrl+Shift+Z)" disabled=move || !can().1
            on:click=move |_| { app.redo(); }>
            <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
                <path d="m10 3 4 4-4 4M14 7H7a4 4 0 0 0 0 8" fill="none" stroke="currentColor" stroke-width="1.5" />
            </svg>
        </button>
    }
}

/// Offers to choose another recording of the same corpus for comparison.
fn compare_button(app: App) -> impl IntoView {
    let input = NodeRef::<Input>::new();
    let chosen = move |_| {
        let Some(input) = input.get() else { return };
        if let Some(file) = input.files().and_then(|files| files.get(0)) {
            app.compare(file);
        }
        input.set_value("");
    };
    view! {
        <label class="picker button quiet" title="Compare with a second run on the same corpus: do both doubt the same labels?">
            "Compare…"
            <input type="file" accept=".dyn" data-testid="compare-input" node_ref=input on:change=chosen
                aria-label="Compare with a second .dyn file of the same corpus" />
        </label>
    }
}

/// Offers the cleaned corpus in all formats, and says how many labels change.
fn cleaned_corpus(app: App) -> impl IntoView {
    let formats = Format::ALL.map(|format| (format.name().to_owned(), format.title().to_owned()));
    let entries = std::iter::once(("same".to_owned(), "in the format that it came in".to_owned())).chain(formats);
    let choose = move |number: usize| {
        let format = number.checked_sub(1).and_then(|at| Format::ALL.get(at).copied());
        app.export(Export::Corpus(format));
    };
    let nothing_open = Signal::derive(move || app.file.with(Option::is_none));
    let about = Signal::derive(move || {
        let counts = app.figures.with(|f| f.as_ref().map(|f| f.summary.counts.clone())).unwrap_or_default();
        let [removed, relabelled] =
            counts.iter().fold([0, 0], |[removed, relabelled], c| [removed + c.removed, relabelled + c.relabelled]);
        format!(
            "{} labels change. Removed, so that no model learns from them: {}. Another label: {}.",
            format::count(removed + relabelled),
            format::count(removed),
            format::count(relabelled)
        )
    });
    menu_about(
        "export-corpus",
        "button primary",
        "Save the corpus with all decisions applied",
        "Save cleaned corpus",
        entries.collect(),
        nothing_open,
        Some(about),
        Callback::new(choose),
    )
}

/// Offers other files. A choice saves the file or makes the link.
fn more_exports(app: App) -> impl IntoView {
    let entry = |id: &str, text: &str| (id.to_owned(), text.to_owned());
    let entries = vec![
        entry("report", "Report (one HTML file)"),
        entry("link", "Link to this view"),
        entry("provenance", "List of all changes, with their reasons"),
        entry("decisions", "Your decisions (decisions.json)"),
    ];
    let choose = move |number: usize| match number {
        0 => app.export(Export::Report),
        1 => app.share(),
        2 => app.export(Export::Provenance),
        _ => app.export(Export::Decisions),
    };
    let nothing_open = Signal::derive(move || app.file.with(Option::is_none));
    menu("export-more", "button", "Share or save something else", "Share …", entries, nothing_open, choose)
}

/// Offers to choose a file. The input is invisible, but it has the focus and works with the keyboard.
pub fn open_button(app: App, class: &'static str, test_id: &'static str) -> impl IntoView {
    let input = NodeRef::<Input>::new();
    let chosen = move |_| {
        let Some(input) = input.get() else { return };
        if let Some(files) = input.files() {
            app.open_all((0..files.length()).filter_map(|at| files.get(at)).collect());
        }
        // Otherwise choosing the same file again would not count as a change.
        input.set_value("");
    };
    view! {
        <label class=format!("picker {class}")>
            "Open file…"
            <input type="file" accept=".dyn,.json,.partial" data-testid=test_id multiple=true
                aria-label="Open a .dyn file or all parts of one, or a decisions.json for the file that is open, or several to merge" node_ref=input on:change=chosen />
        </label>
    }
}
