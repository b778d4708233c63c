//! What the user has to be told.

use leptos::prelude::*;

use crate::state::App;

pub fn banner(app: App) -> impl IntoView {
    let dismiss = move |text: &str| app.notices.update(|notices| notices.retain(|n| n.text != text));
    view! {
        // Always there: a live region that comes with its text may go unread.
        <div class="banners" role="alert" data-testid="banner">
            <For each=move || app.notices.get() key=|notice| notice.text.clone() let:notice>
                <p class="banner" class:error=notice.is_error>
                    <span>{notice.text.clone()}</span>
                    <button class="button quiet icon" aria-label="Dismiss" on:click={
                        let text = notice.text.clone();
                        move |_| dismiss(&text)
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
