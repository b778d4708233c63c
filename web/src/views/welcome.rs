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
                        "This link is about the .dyn file with digest " <code>{digest}</code>
                        ". Open this file to see what the link shows."
                    </p>
                })}
                <p>
                    "DynClean watches how a model learns the labels of your corpus. It shows the labels that are likely \
                     wrong, and why. You decide, and save the cleaned corpus."
                </p>
                <div class="zone">
                    {open_button(app, "button primary large", "welcome-input")}
                    <span>"or drop it anywhere on this page"</span>
                    <button class="button large" data-testid="open-sample" on:click=move |_| state::open_sample()>
                        "Open the sample"
                    </button>
                </div>
                <h3>"No file yet?"</h3>
                <p>"This command makes one from your corpus. The encoder " <code>"builtin"</code> " needs no download:"</p>
                <pre tabindex="0"><code>{COMMAND}</code></pre>
                <p>
                    "Then open " <code>"run/dynamics.dyn"</code> ", and after it " <code>"run/decisions.json"</code> ", the \
                     decisions of the run. You can also import what a Python program recorded (docs/IMPORT.md)."
                </p>
                <p class="hint">"Nothing leaves this machine. Your browser reads the file and sends it nowhere."</p>
            </div>
        </main>
    }
}
