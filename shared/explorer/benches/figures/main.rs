//! Benchmarks of the page's slow steps, on a run of the size of CoNLL-2003: natively with criterion, in wasm with
//! the criterion of wasm-bindgen-test. `cargo xtask bench shared` runs both.

// A benchmark may stop if its data do not fit together.
#![allow(clippy::expect_used)]

mod synthetic;

use std::collections::BTreeMap;
use std::hint::black_box;

#[cfg(not(target_arch = "wasm32"))]
use criterion::Criterion;
use explorer::tally::Tally;
use shared::detection::judge::Judge;
use shared::detection::noise_model;
use shared::detection::threshold::{Action, Metric, Rule, Settings};
use shared::evidence::Evidence;
use shared::metrics::{Metrics, Window};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::{Criterion, wasm_bindgen_bench};

#[cfg_attr(target_arch = "wasm32", wasm_bindgen_bench)]
fn figures(criterion: &mut Criterion) {
    let dynamics = synthetic::run();
    let five = Window::first_epochs(5);
    let index = dynamics.span_index().expect("1.27 million spans");
    let assigned = dynamics.corpus.dense_labels(&index);
    criterion.bench_function("metrics", |b| {
        b.iter(|| black_box(Metrics::compute(&dynamics.run, &assigned, five)));
    });
    let metrics = Metrics::compute(&dynamics.run, &assigned, five).expect("metrics");
    criterion.bench_function("evidence from the text", |b| {
        b.iter(|| black_box(Evidence::new(&dynamics.corpus, index.max_width())));
    });
    let evidence = Evidence::new(&dynamics.corpus, index.max_width());
    criterion.bench_function("trust of all spans", |b| {
        b.iter(|| black_box(noise_model::trust_of_all(&evidence, &index, &assigned, &metrics.aum)));
    });
    criterion.bench_function("new window", |b| {
        b.iter(|| {
            let judge = Judge::new(&dynamics, black_box(Window { first: 2, last: 4 }), Metric::Aum).expect("a judge");
            let gold = dynamics.dense_gold(&judge.index);
            black_box(Tally::new(&judge, &dynamics.corpus.labels, gold.as_deref()));
            judge
        });
    });

    let judge = Judge::new(&dynamics, five, Metric::Aum).expect("a judge");
    let gold = dynamics.dense_gold(&judge.index);
    let tally = Tally::new(&judge, &dynamics.corpus.labels, gold.as_deref());
    for (name, action, overlap_suppression) in [
        ("change of threshold", Action::Remove, true),
        ("change of threshold, relabelling, all overlaps", Action::Relabel, false),
    ] {
        criterion.bench_function(name, |b| {
            // Simulates dragging: another value each time, most of them near 0.
            let mut step = 0;
            b.iter(|| {
                step = (step + 1) % 64;
                let rule = Rule::Fixed((step - 32) as f32 / 32.0);
                let settings =
                    Settings { negatives: rule, positives: rule, action, overlap_suppression, ..Settings::paper() };
                black_box(tally.at(&judge, &settings, &BTreeMap::new(), gold.as_deref()))
            });
        });
    }

    criterion.bench_function("change of quantile", |b| {
        let mut step = 0;
        b.iter(|| {
            step = (step + 1) % 64;
            let rule = Rule::Quantile(step as f32 / 64.0);
            let settings = Settings { negatives: rule, positives: rule, ..Settings::paper() };
            black_box(tally.at(&judge, &settings, &BTreeMap::new(), gold.as_deref()))
        });
    });
}

#[cfg(not(target_arch = "wasm32"))]
criterion::criterion_group!(benches, figures);
#[cfg(not(target_arch = "wasm32"))]
criterion::criterion_main!(benches);

#[cfg(target_arch = "wasm32")]
fn main() {}
