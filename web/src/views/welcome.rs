//! The page without an open file: what it is for, and how to get a file.

use leptos::prelude::*;

use super::header::open_button;
use crate::address;
use crate::state::{self, App};

const COMMAND: &str =
    "trainer run --train train.json --dev dev.json --test test.json \\\n            --encoder builtin --out run";

pub fn welcome(app: App) -> impl IntoView {
    // A link was opened without its file. The digest tells which file is needed.
    let expected = address::digest();
    view! {
        <main class="welcome">
            <div class="card" data-testid="welcome">
                <h2>"Which labels are wrong?"</h2>
                {expected.map(|digest| view! {
                    <p class="note" role="status" data-testid="expected">
                        "This link is about the dynamics file with digest " <code>{digest}</code>
                        ": open that file, and the settings of the link hold."
                    </p>
                })}
                <p>
                    "A " <code>".dyn"</code> " file holds how a model learned every label of your corpus, epoch by epoch. "
                    "Labels that it kept resisting are probably wrong: set the thresholds here, look at the spans, and "
                    "save the cleaned corpus."
                </p>
                <div class="zone">
                    {open_button(app, "button primary large", "welcome-input")}
                    <span>"or drop it anywhere on this page"</span>
                    <button class="button large" data-testid="open-sample" on:click=move |_| state::open_sample()>
                        "Open the sample"
                    </button>
                </div>
                <h3>"No file yet?"</h3>
                <p>"Train on your own data; the encoder " <code>"builtin"</code> " needs no download:"</p>
                <pre tabindex="0"><code>{COMMAND}</code></pre>
                <p>
                    "Then open " <code>"run/dynamics.dyn"</code> ", and after it " <code>"run/decisions.json"</code> ": what the run has chosen. From PyTorch, numpy or the published files of the paper: "
                    "record the logits of every span after each epoch, as JSON Lines or columns, and "
                    <code>"trainer convert --dynamics … --out run.dyn"</code> "; docs/IMPORT.md in the repository shows the code."
                </p>
                <p class="hint">"Nothing leaves this machine: the file is read by your browser and sent nowhere."</p>
            </div>
        </main>
    }
}
