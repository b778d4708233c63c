//! Notes about spans that a person is unsure about.

use leptos::prelude::*;
use shared::corpus::span::SpanId;

use super::dialog;
use crate::state::App;

/// The dialog: a field for the note about one span.
pub fn dialog(app: App) -> impl IntoView {
    let is_new = move || app.noting.get().is_none_or(|span| app.notes.with(|notes| notes.get(span).is_none()));
    let leave = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        app.leave_note(Some(app.draft.get_untracked().trim().to_owned()));
    };
    let content = view! {
        <p>"Unsure? The label waits for later, or for somebody else: it does not come again in turn or at random. List such labels as “with a note”."</p>
        <form on:submit=leave>
            <label>
                "What would help to decide? You can leave this empty."
                <input class="wide" type="text" autofocus=true data-testid="note-text" maxlength="500" autocomplete="off" prop:value=move || app.draft.get()
                    on:input=move |event| app.draft.set(event_target_value(&event)) />
            </label>
            <button class="button" data-testid="note-leave">"Leave note"</button> " "
            <button type="button" class="button quiet" data-testid="note-drop" disabled=is_new
                on:click=move |_| app.leave_note(None)>"Take the note back"</button>
        </form>
    };
    dialog::dialog(
        app,
        "note",
        || "A note about this label".to_owned(),
        "cancel",
        move || app.noting.with(Option::is_some),
        |app| app.noting.set(None),
        content,
    )
}

/// Shows the note about a span, if there is one. After a change of the notes, the span is shown anew.
pub fn shown(app: App, span: SpanId) -> impl IntoView + use<> {
    let note = app.notes.with_untracked(|notes| notes.get(span).map(str::to_owned));
    let is_open = app.by_hand.with_untracked(|by_hand| !by_hand.contains_key(&span));
    let what = if is_open { "You are unsure" } else { "Note" };
    let text = note.map(|note| if note.is_empty() { format!("{what}.") } else { format!("{what}: {note}") });
    view! { <p class="remark" data-testid="note">{text}</p> }
}
