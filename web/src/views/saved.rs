//! Views with a name: filters, list, map and selected span. The browser keeps them for each file.

use leptos::prelude::*;

use super::dialog;
use crate::state::App;
use crate::{address, memory};

/// Returns the name of the entry in the browser's storage with the views of the open file. Each view has two lines: its
/// name, and the view itself.
fn key(app: App) -> String {
    format!(
        "dynclean-views-{}",
        app.file.with_untracked(|file| file.as_ref().map_or(String::new(), |file| file.digest.clone()))
    )
}

fn recall(app: App) -> Vec<(String, String)> {
    let text = memory::recall(&key(app)).unwrap_or_default();
    let mut lines = text.lines().map(str::to_owned);
    std::iter::from_fn(|| lines.next().zip(lines.next())).collect()
}

fn remember(app: App, views: &[(String, String)]) {
    let text: String = views.iter().map(|(name, view)| format!("{name}\n{view}\n")).collect();
    memory::remember(&key(app), Some(&text).filter(|text| !text.is_empty()).map(String::as_str));
}

/// The dialog: the saved views, and a field to save this one.
pub fn dialog(app: App) -> impl IntoView {
    let close = move || app.saved_views.set(false);
    let views = RwSignal::new(Vec::new());
    let name = RwSignal::new(String::new());
    Effect::new(move |_| {
        if app.saved_views.get() {
            views.set(recall(app));
            name.set(String::new());
        }
    });
    let change = move |name: String, view: Option<String>| {
        views.update(|views: &mut Vec<(String, String)>| {
            // A view of the same name is replaced.
            views.retain(|known| known.0 != name);
            views.extend(view.map(|view| (name, view)));
        });
        views.with_untracked(|views| remember(app, views));
    };
    let save = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let name = name.get_untracked().trim().to_owned();
        if !name.is_empty() {
            change(name, Some(address::view_json(app)));
            close();
        }
    };
    let row = move |(name, view): (String, String)| {
        let (drop, title) = (name.clone(), format!("Forget the view “{name}”"));
        let open = move |_| {
            close();
            address::show_view(app, &view);
        };
        view! {
            <li>
                <button class="button small" data-testid="view-open" on:click=open>{name}</button> " "
                <button class="button small quiet" data-testid="view-drop" aria-label=title.clone() title=title
                    on:click=move |_| change(drop.clone(), None)>"×"</button>
            </li>
        }
    };
    let content = view! {
            <p>"A view is what you look at: filters, list, map and span. Settings and decisions are not part of it."</p>
            <ul class="sample">{move || views.get().into_iter().map(row).collect_view()}</ul>
            <form on:submit=save>
                <label>
                    "Name of this view: "
                    <input type="text" autofocus=true data-testid="view-name" maxlength="60" autocomplete="off" prop:value=move || name.get()
                        on:input=move |event| name.set(event_target_value(&event)) />
                </label> " "
                <button class="button" data-testid="view-save">"Save"</button>
            </form>
    };
    dialog::dialog(
        app,
        "views",
        || "Saved views".to_owned(),
        "close",
        move || app.saved_views.get(),
        |app| app.saved_views.set(false),
        content,
    )
}
