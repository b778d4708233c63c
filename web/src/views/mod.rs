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
mod scroller;
mod table;
mod welcome;
mod words;

use leptos::prelude::*;
use shared::judge::Side;

use crate::state::App;

/// Everything that is to be seen.
pub fn page(app: App) -> impl IntoView {
    drop::accept_anywhere(app);
    let is_open = move || app.file.with(Option::is_some);
    view! {
        {header::header(app)}
        {banner::banner(app)}
        {guide::guide(app)}
        <Show when=is_open fallback=move || welcome::welcome(app)>
            <main class="workbench" data-guide=move || guide::target(app)>
                <section class="panel controls" aria-label="Settings and figures">
                    {controls::controls(app)} {counts::comparison(app)} {counts::counts(app)} {counts::quality(app)}
                </section>
                {map::map(app)}
                <div class="distributions">
                    {histogram::histogram(app, Side::Negatives)} {histogram::histogram(app, Side::Positives)}
                </div>
                {detail::detail(app)}
                {table::table(app)}
            </main>
        </Show>
        {help::help(app)}
        {drop::overlay()}
    }
}
