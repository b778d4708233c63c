//! The views of the page, which is a single screen.

mod banner;
mod bulk;
mod controls;
mod counts;
mod course;
mod detail;
mod dialog;
mod drop;
mod filters;
mod groups;
mod guide;
mod header;
mod help;
mod histogram;
mod layout;
mod map;
mod matrix;
mod menu;
mod note;
mod picture;
mod reasons;
mod reviewers;
mod saved;
mod scroller;
mod sentence;
mod sources;
mod table;
mod welcome;
mod words;

use leptos::prelude::*;
use shared::corpus::decision::Side;

use crate::state::App;

/// Makes a view some frames later than the rest. Making all views at once would block the window for too long.
fn later<V: IntoView + 'static>(frames: u32, view: impl Fn() -> V + Send + 'static) -> impl IntoView {
    let is_due = RwSignal::new(false);
    after(frames, is_due);
    move || is_due.get().then(&view)
}

fn after(frames: u32, is_due: RwSignal<bool>) {
    request_animation_frame(move || match frames {
        // The signal no longer exists if the file was closed in the meantime.
        0 | 1 => drop(is_due.try_set(true)),
        more => after(more - 1, is_due),
    });
}

/// Builds the whole page.
pub fn page(app: App) -> impl IntoView {
    drop::accept_anywhere(app);
    let is_open = move || app.file.with(Option::is_some);
    let workbench = layout::workbench(app);
    view! {
        {header::header(app)}
        {banner::banner(app)}
        {guide::guide(app)}
        <Show when=is_open fallback=move || welcome::welcome(app)>
            <main node_ref=workbench class=move || layout::classes(app)
                data-guide=move || guide::target(app)>
                <section class="panel controls" aria-label="Settings and figures">
                    {later(2, move || view! {
                        {controls::controls(app)} {counts::comparison(app)} {reviewers::reviewers(app)} {counts::counts(app)} {reasons::reasons(app)} {sources::sources(app)} {matrix::matrix(app)} {counts::quality(app)} {course::course(app)}
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
                {layout::edges(app, workbench)}
            </main>
        </Show>
        {help::help(app)}
        {bulk::dialog(app)}
        {saved::dialog(app)}
        {note::dialog(app)}
        {drop::overlay()}
    }
}
