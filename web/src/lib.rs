//! The page. The same program runs in two places. [`start`] runs in the window and draws the views. [`work`] runs
//! in a web worker: it owns the open file and does all work that takes longer than a frame.

mod address;
mod answers;
mod client;
mod download;
mod error;
mod format;
mod keys;
mod layout;
mod live;
mod memory;
mod plots;
mod protocol;
mod review;
mod state;
mod stop;
mod theme;
mod views;
mod work;
mod worker;

use wasm_bindgen::prelude::wasm_bindgen;

/// Shows the page. The arguments are the addresses of the scripts that a worker needs: `exporter` is the program that
/// writes files.
#[wasm_bindgen]
pub fn start(glue: String, worker: String, exporter: String) {
    stop::show_panics();
    let app = state::App::new();
    client::start(client::Scripts { glue, worker, exporter }, move |event| answers::take(app, event));
    leptos::mount::mount_to_body(move || {
        address::read(move || work::bring_back(app));
        address::follow(app);
        keys::listen(app);
        work::follow(app);
        work::keep_on_leaving(app);
        live::follow(app);
        views::page(app)
    });
    state::open_from_address();
}

/// Answers the page's requests. Runs in a worker.
#[wasm_bindgen]
pub fn work() {
    worker::serve();
}
