//! The people whose decisions were merged, and how far they agree.

use explorer::filter::Decided;
use explorer::reviewers::{Pair, disputed, pairs};
use leptos::prelude::*;

use crate::format;
use crate::state::App;

pub fn reviewers(app: App) -> impl IntoView {
    let left = Memo::new(move |_| {
        let disputed = app.reviewing.with(|reviewing| disputed(&reviewing.reviewers));
        app.by_hand.with(|by_hand| disputed.iter().filter(|span| !by_hand.contains_key(span)).count())
    });
    let is_on = move || app.filter.with(|filter| filter.decided == Some(Decided::Disputed));
    let toggle = move |_| {
        let new = (!untrack(is_on)).then_some(Decided::Disputed);
        app.filter_by(|filter| filter.decided = new);
    };
    let row = |pair: Pair| {
        view! {
            <tr data-testid="reviewers-pair">
                <th scope="row">{pair.names.join(" – ")}</th>
                <td>{format::count(pair.both as u64)}</td>
                <td>{format::count(pair.alike as u64)}</td>
                <td>{format::coefficient(pair.kappa)}</td>
            </tr>
        }
    };
    move || {
        let pairs = app.reviewing.with(|reviewing| pairs(&reviewing.reviewers));
        (!pairs.is_empty()).then(|| {
            view! {
                <div data-testid="reviewers">
                    <div class="heading">
                        <h2>"Reviewers"</h2>
                        <button class="button small" data-testid="end-reviewers" title="Forget who decided what. The decisions stay"
                            on:click=move |_| app.set_reviewers(Vec::new())>"end"</button>
                    </div>
                    <table class="figures">
                        <thead>
                            <tr>
                                <th scope="col">"decided by"</th>
                                <th scope="col">"both"</th>
                                <th scope="col">"alike"</th>
                                <th scope="col"><abbr title="Cohen's kappa: agreement beyond chance, 1 at best">"κ"</abbr></th>
                            </tr>
                        </thead>
                        <tbody>{pairs.into_iter().map(row).collect_view()}</tbody>
                    </table>
                    <p class="hint">
                        <button class="plain" data-testid="in-dispute" aria-pressed=move || is_on().to_string()
                            title="Show the labels that the reviewers disagree about. Your decision settles each"
                            on:click=toggle>{move || format!("{} in dispute", format::count(left.get() as u64))}</button>
                    </p>
                </div>
            }
        })
    }
}
