//! Menus: a button, and a list of actions that it opens. Nothing happens before an action is chosen.
//!
//! The browser itself opens and closes the list. `Esc` or a click elsewhere closes it, and the focus returns to
//! the button.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, KeyboardEvent, MouseEvent};

/// Builds a menu. Entries are pairs of id and text; `choose` gets the number of an entry. The page finds the menu
/// by `test_id`.
pub fn menu(
    test_id: &'static str,
    class: &'static str,
    title: &'static str,
    text: &'static str,
    entries: Vec<(String, String)>,
    is_disabled: Signal<bool>,
    choose: impl Fn(usize) + Send + Sync + 'static,
) -> impl IntoView {
    menu_about(test_id, class, title, text, entries, is_disabled, None, Callback::new(choose))
}

/// Builds a menu that says below its entries what a choice is about.
// Not generic: every other kind of `choose` would add the whole menu to the page once more.
#[expect(clippy::too_many_arguments, reason = "a menu has so many parts")]
pub fn menu_about(
    test_id: &'static str,
    class: &'static str,
    title: &'static str,
    text: &'static str,
    entries: Vec<(String, String)>,
    is_disabled: Signal<bool>,
    about: Option<Signal<String>>,
    choose: Callback<usize>,
) -> impl IntoView {
    let name = format!("{test_id}-menu");
    let list = name.clone();
    let entry = move |(number, (id, text)): (usize, (String, String))| {
        view! {
            <button role="menuitem" tabindex="-1" autofocus=number == 0 data-testid=format!("{test_id}-{id}")
                popovertarget=list.clone() popovertargetaction="hide" on:click=move |_| choose.run(number)>{text}</button>
        }
    };
    view! {
        // A sign alone says nothing when it is read aloud.
        <button class=class title=title data-testid=test_id aria-label=(text.chars().count() == 1).then_some(title) aria-haspopup="menu" popovertarget=name.clone() disabled=is_disabled
            on:click=place>{text}</button>
        <div class="menu" popover="auto" role="menu" id=name aria-label=title on:keydown=on_key>
            {entries.into_iter().enumerate().map(entry).collect_view()}
            {about.map(|about| view! { <p class="hint" role="none" data-testid=format!("{test_id}-about")>{move || about.get()}</p> })}
        </div>
    }
}

/// Returns the labels as entries of a menu.
pub fn of_labels(labels: &[String]) -> Vec<(String, String)> {
    labels.iter().enumerate().map(|(number, name)| (number.to_string(), name.clone())).collect()
}

/// Places the menu beside its button, on the side that has room.
fn place(event: MouseEvent) {
    let Some(button) = event.current_target().and_then(|button| button.dyn_into::<HtmlElement>().ok()) else { return };
    let list = button.next_element_sibling().and_then(|list| list.dyn_into::<HtmlElement>().ok());
    let size = |side: Result<wasm_bindgen::JsValue, _>| side.ok().and_then(|side| side.as_f64()).unwrap_or_default();
    let (width, height) = (size(window().inner_width()), size(window().inner_height()));
    let at = button.get_bounding_client_rect();
    let across = if at.left() < width / 2.0 {
        format!("left:{}px", at.left())
    } else {
        format!("right:{}px", width - at.right())
    };
    let (down, room) = if at.top() < height / 2.0 {
        (format!("top:{}px", at.bottom()), height - at.bottom())
    } else {
        (format!("bottom:{}px", height - at.top()), at.top())
    };
    if let Some(list) = list {
        list.style().set_css_text(&format!("{across};{down};max-height:{}px", room - 8.0));
    }
}

/// Moves the focus. Arrows, Home and End move it, and a letter moves it to the next entry that begins with it.
fn on_key(event: KeyboardEvent) {
    let Some(list) = event.current_target().and_then(|list| list.dyn_into::<HtmlElement>().ok()) else { return };
    let entries = list.get_elements_by_tag_name("button");
    let (n, now) = (entries.length(), document().active_element());
    let at = (0..n).find(|&i| entries.item(i) == now).unwrap_or(0);
    let key = event.key();
    let next = match key.as_str() {
        "ArrowDown" => Some((at + 1) % n),
        "ArrowUp" => Some((at + n - 1) % n),
        "Home" => Some(0),
        "End" => Some(n - 1),
        "Tab" => {
            let _ = list.hide_popover();
            return;
        }
        _ => (1..=n).map(|by| (at + by) % n).find(|&i| {
            let text = entries.item(i).and_then(|entry| entry.text_content()).unwrap_or_default();
            key != " " && text.to_lowercase().starts_with(&key.to_lowercase())
        }),
    };
    if let Some(entry) = next.and_then(|i| entries.item(i)).and_then(|entry| entry.dyn_into::<HtmlElement>().ok()) {
        event.prevent_default();
        let _ = entry.focus();
    }
}
