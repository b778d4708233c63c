//! Notices to the user.

use leptos::prelude::*;
use web_sys::{FocusEvent, HtmlInputElement};

use crate::state::App;

/// Selects the whole text, so that it can be copied.
fn select(event: FocusEvent) {
    event_target::<HtmlInputElement>(&event).select();
}

pub fn banner(app: App) -> impl IntoView {
    view! {
        // The element always exists. A live region that appears together with its text may not be read aloud.
        <div class="banners" role="alert" data-testid="banner">
            <For each=move || app.notices.get() key=|notice| (notice.text.clone(), notice.copy.clone()) let:notice>
                <p class="banner" class:error=notice.is_error>
                    <span>{notice.text.clone()}</span>
                    {notice.copy.clone().map(|(what, text)| view! {
                        <input type="text" readonly aria-label=what data-testid="link-field" prop:value=text
                            on:focus=select />
                    })}
                    {notice.offer.as_ref().map(|offer| {
                        let label = offer.label;
                        let notice = notice.clone();
                        view! {
                            <button class="button small" data-testid="accept" on:click=move |_| app.answer(&notice, true)>{label}</button>
                        }
                    })}
                    <button class="button quiet icon" aria-label="Dismiss" data-testid="dismiss" on:click={
                        let notice = notice.clone();
                        move |_| app.answer(&notice, false)
                    }>
                        <svg viewBox="0 0 16 16" width="12" height="12" aria-hidden="true">
                            <path d="M2 2l12 12M14 2L2 14" stroke="currentColor" stroke-width="2" />
                        </svg>
                    </button>
                </p>
            </For>
        </div>
    }
}
