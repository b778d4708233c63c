//! Compares the tensor operations with the CPU kernels, which are checked against finite differences and PyTorch.
//! It compares whole models on random batches: loss, logits, every gradient, and several steps of AdamW.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use nn::batch::SentenceInput;
use nn::random::stream;
use nn::{Before, Builder, Compute, Masks, Rates, TableRows};
use rand::RngExt;
use shared::corpus::TokenTable;

use super::encoder::{EncoderSpec, Vocabulary};
use super::span_model::{SpanModel, WordShapes, span_rows};

const LABELS: usize = 4;
const WIDTH: u32 = 3;

/// Sentences of 0 to 12 words. Some words occur often, some once.
fn text(seed: u64, sentences: usize) -> TokenTable {
    let mut rng = stream(seed, "text");
    let mut table = TokenTable::default();
    for sentence in 0..sentences {
        let n = if sentence == 1 { 0 } else { rng.random_range(1..=12) };
        let word = |rng: &mut rand_chacha::ChaCha8Rng| {
            let i: u32 = rng.random_range(0..30);
            if i < 5 { "the".to_owned() } else { format!("Word{i}s") }
        };
        let words: Vec<String> = (0..n).map(|_| word(&mut rng)).collect();
        table.push(words.iter().map(String::as_str)).unwrap();
    }
    table
}

/// Computes with tensor operations, on the CPU.
fn tensors(dtype: DType) -> Compute {
    Compute::Tensors { device: Device::Cpu, dtype }
}

fn model(compute: &Compute, spec: &EncoderSpec) -> SpanModel {
    let builder = Builder::new(stream(3, "weights"), compute.clone());
    SpanModel::new(spec, builder, LABELS, WIDTH, true, WordShapes::On).unwrap()
}

/// Returns the built-in encoder, whose tables are trained, and sentences for it.
fn example() -> (EncoderSpec, Vec<SentenceInput>) {
    let text = text(5, 14);
    let spec = EncoderSpec::Builtin(Vocabulary::of(&text));
    let inputs = spec.prepare(&text, WIDTH, "text").unwrap();
    (spec, inputs)
}

fn targets(n: usize) -> Vec<Option<u32>> {
    (0..n as u32).map(|i| (i % 5 != 4).then_some(i % 7 % LABELS as u32)).collect()
}

/// Loss, logits, and gradients by name.
type Seen = (f32, Vec<f32>, Vec<(String, Vec<f32>)>);

fn see(model: &SpanModel, sentences: &[&SentenceInput], masks: Masks) -> Seen {
    let batch = model.batch(sentences);
    let rows = span_rows(sentences, &batch, WIDTH);
    let n = rows.start.len();
    let output = model.forward(&batch, Arc::new(rows), masks).unwrap();
    let logits = output.logits.flatten_all().unwrap().to_vec1().unwrap();
    let loss = output.loss(targets(n)).unwrap();
    let value = loss.value.to_scalar().unwrap();
    model.parameters.backward(loss).unwrap();
    let gradients = model.parameters.gradients().unwrap();
    (value, logits, gradients.into_iter().map(|(name, g)| (name.to_owned(), g)).collect())
}

fn norm(values: &[f32]) -> f32 {
    values.iter().map(|v| v * v).sum::<f32>().sqrt()
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    norm(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>())
}

/// Checks that the second result equals the first. The tolerances are relative to the size of the compared
/// numbers: `tolerance` for loss and logits, `of_gradients` for gradients.
fn compare(expected: &Seen, found: &Seen, tolerance: f32, of_gradients: f32) {
    assert!((expected.0 - found.0).abs() < tolerance * expected.0, "loss {} against {}", found.0, expected.0);
    assert!(difference(&expected.1, &found.1) < tolerance * norm(&expected.1), "logits");
    for ((name, expected), (_, found)) in expected.2.iter().zip(&found.2) {
        let size = norm(expected);
        assert!(size > 0.0, "{name} has no gradient");
        let away = difference(expected, found);
        assert!(away < of_gradients * size + 1e-5, "{name}: {away} away from a gradient of norm {size}");
    }
}

#[test]
fn padded_tensors_do_as_packed_kernels() {
    let (spec, inputs) = example();
    let all: Vec<&SentenceInput> = inputs.iter().collect();
    let (kernels, tensors) = (Compute::Kernels, tensors(DType::F32));
    let (a, b) = (model(&kernels, &spec), model(&tensors, &spec));
    for sentences in [&all[..], &all[2..3], &all[..5]] {
        let of = |model| see(model, sentences, Masks::evaluation());
        compare(&of(&a), &of(&b), 1e-4, 1e-4);
    }
}

#[test]
fn gradients_of_several_batches_add_up_as_in_the_kernels() {
    let (spec, inputs) = example();
    let all: Vec<&SentenceInput> = inputs.iter().collect();
    // The batches have different words, so different rows of the tables get a gradient.
    let of = |compute: &Compute| {
        let model = model(compute, &spec);
        for (number, sentences) in [&all[..3], &all[3..8], &all[8..]].into_iter().enumerate() {
            let batch = model.batch(sentences);
            let rows = span_rows(sentences, &batch, WIDTH);
            let n = rows.start.len();
            let loss = model.forward(&batch, Arc::new(rows), Masks::evaluation()).unwrap().loss(targets(n)).unwrap();
            let parameters = &model.parameters;
            if number == 0 { parameters.backward(loss) } else { parameters.backward_more(loss) }.unwrap();
        }
        let gradients = model.parameters.gradients().unwrap();
        gradients.into_iter().map(|(name, g)| (name.to_owned(), g)).collect::<Vec<_>>()
    };
    let expected = of(&Compute::Kernels);
    for (dtype, tolerance) in [(DType::F32, 1e-4), (DType::BF16, 0.1)] {
        for ((name, expected), (_, found)) in expected.iter().zip(of(&tensors(dtype))) {
            let away = difference(expected, &found);
            assert!(away < tolerance * norm(expected) + 1e-5, "{name}, {dtype:?}: {away} away from {}", norm(expected));
        }
    }
}

#[test]
fn products_in_bf16_stay_near() {
    let (spec, inputs) = example();
    let sentences: Vec<&SentenceInput> = inputs.iter().collect();
    let (a, b) = (model(&Compute::Kernels, &spec), model(&tensors(DType::BF16), &spec));
    let of = |model| see(model, &sentences, Masks::evaluation());
    // bf16 has 8 significant bits. Rounding changes a number by up to 0.4 %, and a gradient is rounded dozens of
    // times.
    compare(&of(&a), &of(&b), 0.02, 0.1);
}

#[test]
fn steps_of_the_optimizer_do_as_the_kernels() {
    let (spec, inputs) = example();
    let all: Vec<&SentenceInput> = inputs.iter().collect();
    let (a, b) = (model(&Compute::Kernels, &spec), model(&tensors(DType::F32), &spec));
    let state = |model: &SpanModel| {
        let tensors = model.parameters.state().unwrap();
        tensors.into_iter().map(|(name, t)| (name, t.to_dtype(DType::F32).unwrap())).collect::<Vec<_>>()
    };
    for step in 0..6 {
        // The batches have different words. Rows of tables that do not occur must not change.
        let sentences = &all[2 * step..2 * step + 3];
        let rates = Rates { encoder: 1e-3, head: 2e-3, weight_decay: 0.1, clip_norm: (step > 2).then_some(1.0) };
        for model in [&a, &b] {
            see(model, sentences, Masks::evaluation());
            model.parameters.step(rates).unwrap();
        }
    }
    for ((name, expected), (_, found)) in state(&a).iter().zip(&state(&b)) {
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let (expected, found) = (values(expected), values(found));
        let away = difference(&expected, &found);
        assert!(away < 1e-3 * norm(&expected) + 1e-7, "{name}: {away} away from norm {}", norm(&expected));
    }
    // One way of computing continues from a state that the other has saved, with the same results.
    let written = a.parameters.state().unwrap().into_iter().collect();
    let taken_up = model(&tensors(DType::F32), &spec);
    taken_up.parameters.set_state(&written).unwrap();
    let of = |model| see(model, &all, Masks::evaluation());
    compare(&of(&a), &of(&taken_up), 1e-4, 1e-4);
    let same = |a: &[(String, Tensor)], b: &[(String, Tensor)]| {
        a.iter().zip(b).all(|((_, a), (_, b))| difference(&flat(a), &flat(b)) == 0.0)
    };
    assert!(same(&state(&a), &state(&taken_up)), "a state is what it was");
    // A snapshot is a copy, and restores the values from which it was taken.
    let before = taken_up.parameters.snapshot().unwrap();
    let then = state(&taken_up);
    taken_up.parameters.step(Rates { encoder: 0.1, head: 0.1, weight_decay: 0.0, clip_norm: None }).unwrap();
    taken_up.parameters.restore(&before).unwrap();
    let weights =
        |s: Vec<(String, Tensor)>| s.into_iter().filter(|(n, _)| n.starts_with("weights/")).collect::<Vec<_>>();
    assert!(same(&weights(then), &weights(state(&taken_up))));
}

#[test]
fn dropout_masks_reach_every_gradient() {
    let (spec, inputs) = example();
    let sentences: Vec<&SentenceInput> = inputs.iter().collect();
    let model = model(&tensors(DType::F32), &spec);
    let masks = || Masks::training(stream(1, "masks"));
    let [without, a, b] = [Masks::evaluation(), masks(), masks()].map(|masks| see(&model, &sentences, masks));
    assert_eq!(a, b, "the same masks");
    assert!(difference(&a.1, &without.1) > 0.05 * norm(&a.1));
    for (name, gradient) in &a.2 {
        assert!(norm(gradient) > 0.0, "{name}");
    }
}

/// The gradients of all weights but tables, one after the other, and of each table.
struct Share {
    dense: Vec<f32>,
    tables: Vec<TableRows>,
}

fn share(model: &SpanModel) -> Share {
    let mut dense = Vec::new();
    let note = |own: Vec<f32>| {
        dense.extend(&own);
        Ok(own)
    };
    model.parameters.sum_dense(note).unwrap();
    Share { dense, tables: model.parameters.table_gradients().unwrap() }
}

/// Returns the loss of a part of a batch, and its share of the gradients.
fn learn(model: &SpanModel, sentences: &[&SentenceInput], targets: &[Option<u32>], masks: Masks) -> (f32, Share) {
    let batch = model.batch(sentences);
    let rows = span_rows(sentences, &batch, WIDTH);
    let loss = model.forward(&batch, Arc::new(rows), masks).unwrap().loss(targets.to_vec()).unwrap();
    let value = loss.value.to_scalar().unwrap();
    model.parameters.backward(loss).unwrap();
    (value, share(model))
}

#[test]
fn shares_of_a_batch_add_up_to_its_gradients() {
    let (spec, inputs) = example();
    let all: Vec<&SentenceInput> = inputs.iter().collect();
    let (first, rest) = all.split_at(6);
    let spans = |sentences: &[&SentenceInput]| {
        sentences
            .iter()
            .map(|s| (0..s.first.len()).map(|i| (s.first.len() - i).min(WIDTH as usize)).sum::<usize>())
            .sum()
    };
    let (n, before): (usize, usize) = (spans(&all), spans(first));
    let targets = targets(n);
    let rows = first.iter().map(|s| s.rows()).sum();
    let before_rest = Before { rows, spans: before, pairs: 0 };
    for compute in [Compute::Kernels, tensors(DType::F32)] {
        let model = model(&compute, &spec);
        // Masks of a GPU depend on the shape of the batch.
        let masks = || match compute {
            Compute::Kernels => Masks::training(stream(1, "masks")),
            Compute::Tensors { .. } => Masks::evaluation(),
        };
        let (loss, whole) = learn(&model, &all, &targets, masks());
        let (loss_first, a) = learn(&model, first, &targets[..before], masks());
        let (loss_rest, b) = learn(&model, rest, &targets[before..], masks().after(before_rest));
        assert!((loss - loss_first - loss_rest).abs() < 1e-4 * loss, "{loss} is not {loss_first} + {loss_rest}");
        let dense: Vec<f32> = a.dense.iter().zip(&b.dense).map(|(a, b)| a + b).collect();
        let (mut rest, mut pieces) = (dense.as_slice(), 0);
        let sum = |own: Vec<f32>| {
            pieces += 1;
            let (piece, after) = rest.split_at(own.len());
            rest = after;
            Ok(piece.to_vec())
        };
        model.parameters.sum_dense(sum).unwrap();
        assert!(rest.is_empty() && pieces > 0);
        model.parameters.set_table_gradients(&[a.tables, b.tables]).unwrap();
        let sum = share(&model);
        assert!(norm(&whole.dense) > 0.0 && difference(&whole.dense, &sum.dense) < 1e-5 * norm(&whole.dense));
        assert!(!whole.tables.is_empty());
        for (whole, sum) in whole.tables.iter().zip(&sum.tables) {
            // Rows without a gradient must not become rows with the gradient 0: AdamW would move them.
            assert_eq!(whole.ids, sum.ids);
            assert!(difference(&whole.values, &sum.values) < 1e-5 * norm(&whole.values));
        }
        // What belongs to another model is refused.
        assert!(model.parameters.sum_dense(|own| Ok(own[1..].to_vec())).is_err());
        assert!(model.parameters.sum_dense(|_| anyhow::bail!("a process is gone")).is_err());
        assert!(model.parameters.set_table_gradients(&[vec![]]).is_err());
        // A process without sentences has gradients of 0.
        model.parameters.clear_gradients();
        let nothing = share(&model);
        assert!(nothing.dense.len() == dense.len() && nothing.dense.iter().all(|&gradient| gradient == 0.0));
        assert!(nothing.tables.iter().all(|table| table.ids.is_empty()));
    }
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}
