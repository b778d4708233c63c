//! The one screen.

mod banner;
mod controls;
mod counts;
mod detail;
mod drop;
mod filters;
mod guide;
mod header;
mod help;
mod histogram;
mod map;
mod menu;
mod scroller;
mod table;
mod welcome;
mod words;

use leptos::prelude::*;
use shared::corpus::decision::Side;

use crate::state::App;

/// What is made so many frames later than the rest: all of it at once keeps the window busy for too long.
fn later<V: IntoView + 'static>(frames: u32, view: impl Fn() -> V + Send + 'static) -> impl IntoView {
    let is_due = RwSignal::new(false);
    after(frames, is_due);
    move || is_due.get().then(&view)
}

fn after(frames: u32, is_due: RwSignal<bool>) {
    request_animation_frame(move || match frames {
        // Gone if the file was closed meanwhile.
        0 | 1 => drop(is_due.try_set(true)),
        more => after(more - 1, is_due),
    });
}

/// Everything that is to be seen.
pub fn page(app: App) -> impl IntoView {
    drop::accept_anywhere(app);
    let is_open = move || app.file.with(Option::is_some);
    view! {
        {header::header(app)}
        {banner::banner(app)}
        {guide::guide(app)}
        <Show when=is_open fallback=move || welcome::welcome(app)>
            <main class="workbench" class:no-letters=move || !app.letters.get() data-guide=move || guide::target(app)>
                <section class="panel controls" aria-label="Settings and figures">
                    {later(2, move || view! {
                        {controls::controls(app)} {counts::comparison(app)} {counts::counts(app)} {counts::quality(app)}
                    })}
                </section>
                {map::map(app)}
                <div class="distributions">
                    {later(1, move || view! {
                        {histogram::histogram(app, Side::Negatives)} {histogram::histogram(app, Side::Positives)}
                    })}
                </div>
                {detail::detail(app)}
                {later(3, move || table::table(app))}
            </main>
        </Show>
        {help::help(app)}
        {drop::overlay()}
    }
}
