//! Nothing is open yet: what this is, and how to get a file.

use leptos::prelude::*;

use super::header::open_button;
use crate::state::App;

const COMMAND: &str =
    "trainer run --train train.json --dev dev.json --test test.json \\\n            --encoder builtin --out run";

pub fn welcome(app: App) -> impl IntoView {
    view! {
        <main class="welcome">
            <div class="card" data-testid="welcome">
                <h2>"Open a dynamics file"</h2>
                <p>
                    "A " <code>".dyn"</code> " file holds how a model learned every label of your corpus, epoch by epoch. "
                    "Labels that it kept resisting are probably wrong: set the thresholds here, look at the spans, and "
                    "save the cleaned corpus."
                </p>
                <p class="choose">
                    {open_button(app, "button primary large", "welcome-input")}
                    <span>"or drop it anywhere on this page"</span>
                </p>
                <h3>"No file yet?"</h3>
                <p>"Train on your own data; the encoder " <code>"builtin"</code> " needs no download:"</p>
                <pre><code>{COMMAND}</code></pre>
                <p>"Then open " <code>"run/dynamics.dyn"</code> "."</p>
                <p class="hint">"Nothing leaves this machine: the file is read by your browser and sent nowhere."</p>
            </div>
        </main>
    }
}
