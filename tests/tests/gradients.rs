//! Compares loss, logits and every gradient of encoder and span classifier with PyTorch. Also compares steps of
//! AdamW with clipping.
//!
//! `peers/gradients.py` made the golden file. Both sides compute the weights by the same formula.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use nn::batch::SentenceInput;
use nn::random::stream;
use nn::{Builder, Compute, Masks, Rates};
use serde::Deserialize;
use shared::corpus::TokenTable;
use trainer::model::encoder::EncoderSpec;
use trainer::model::span_model::WordShapes;
use trainer::model::span_model::{SpanModel, span_rows};

#[derive(Deserialize)]
struct Golden {
    sentences: Vec<Sentence>,
    targets: Vec<Option<u32>>,
    loss: f64,
    logits: Vec<Vec<f64>>,
    gradients: HashMap<String, Gradient>,
    steps: Steps,
}

/// Steps of AdamW, all on the same batch.
#[derive(Deserialize)]
struct Steps {
    encoder_rate: f32,
    head_rate: f32,
    weight_decay: f32,
    clip_norm: f32,
    /// Loss before each step.
    losses: Vec<f64>,
    /// Entries of every variable after the last step.
    after: HashMap<String, Vec<(usize, f64)>>,
}

#[derive(Deserialize)]
struct Sentence {
    words: Vec<String>,
    pieces: Vec<u32>,
    first: Vec<u32>,
    last: Vec<u32>,
    shapes: Vec<u32>,
}

#[derive(Deserialize)]
struct Gradient {
    shape: Vec<usize>,
    norm: f64,
    entries: Vec<(usize, f64)>,
}

/// Returns weights by the formula of the script: numbers from an integer hash of name and position.
fn weight(name: &str, shape: &[usize]) -> Tensor {
    let salt = name.bytes().fold(0u32, |salt, byte| salt.wrapping_mul(31).wrapping_add(u32::from(byte)));
    let bound = if shape.len() > 1 { 0.4 } else { 0.2 };
    let shift = if name.ends_with("LayerNorm.weight") { 1.0 } else { 0.0 };
    let values: Vec<f32> = (0..shape.iter().product::<usize>() as u32)
        .map(|i| {
            let mut h = i.wrapping_mul(2_654_435_761).wrapping_add(salt);
            h ^= h >> 15;
            h = h.wrapping_mul(2_246_822_519);
            h ^= h >> 13;
            ((f64::from(h) / 4_294_967_296.0 * 2.0 - 1.0) * bound + shift) as f32
        })
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Writes a model folder in Hugging Face layout with the golden weights.
fn write_model(folder: &Path, golden: &Golden) {
    let config = serde_json::json!({
        "model_type": "bert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 24, "vocab_size": 12, "max_position_embeddings": 16, "type_vocab_size": 2,
        "layer_norm_eps": 1e-12, "hidden_act": "gelu", "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    });
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let vocabulary = serde_json::json!({
        "[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "ada": 4, "wrote": 5, "note": 6, "##s": 7, ".": 8, "rome": 9,
    });
    let tokenizer = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary},
    });
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    // A task model has the encoder under a prefix.
    let prefix = |name: &str| if name.starts_with("span_head") { name.to_owned() } else { format!("bert.{name}") };
    let tensors: HashMap<String, Tensor> =
        golden.gradients.iter().map(|(name, g)| (prefix(name), weight(name, &g.shape))).collect();
    candle_core::safetensors::save(&tensors, folder.join("model.safetensors")).unwrap();
}

#[test]
fn gradients_match_pytorch_for_every_variable() {
    check(Compute::Kernels);
}

/// Computes in the way of a GPU, but on the CPU.
#[test]
fn gradients_of_padded_batches_match_pytorch_for_every_variable() {
    check(Compute::Tensors { device: Device::Cpu, dtype: DType::F32 });
}

#[test]
fn steps_of_adamw_match_pytorch() {
    check_steps(Compute::Kernels);
}

#[test]
fn steps_of_adamw_on_padded_batches_match_pytorch() {
    check_steps(Compute::Tensors { device: Device::Cpu, dtype: DType::F32 });
}

fn check_steps(compute: Compute) {
    let golden = golden();
    let (model, inputs) = model(&golden, compute);
    let inputs: Vec<&SentenceInput> = inputs.iter().collect();
    let batch = model.batch(&inputs);
    let rows = Arc::new(span_rows(&inputs, &batch, 3));
    let Steps { encoder_rate: encoder, head_rate: head, weight_decay, clip_norm, losses, after } = golden.steps;
    let mut clipped = 0;
    for (i, expected) in losses.iter().enumerate() {
        let output = model.forward(&batch, rows.clone(), Masks::evaluation()).unwrap();
        let loss = output.loss(golden.targets.clone()).unwrap();
        let value = f64::from(loss.value.to_scalar::<f32>().unwrap());
        assert!((value - expected).abs() < 1e-3 * expected, "step {i}: loss {value} against {expected}");
        model.parameters.backward(loss).unwrap();
        let gradients = model.parameters.gradients().unwrap();
        let norm = gradients.iter().flat_map(|(_, g)| g).map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        clipped += usize::from(norm > f64::from(clip_norm));
        model.parameters.step(Rates { encoder, head, weight_decay, clip_norm: Some(clip_norm) }).unwrap();
    }
    assert!(0 < clipped && clipped < losses.len(), "some steps are clipped, some are not");
    let names: Vec<String> = model.parameters.names().map(str::to_owned).collect();
    assert_eq!(names.len(), after.len());
    for (name, values) in names.iter().zip(model.parameters.snapshot().unwrap()) {
        // Its gradient is only rounding error: see below.
        if name.ends_with("key.bias") {
            continue;
        }
        let values = values.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for &(i, expected) in &after[name] {
            let found = f64::from(values[i]);
            // A tenth of one step: AdamW's steps are of the size of the rate.
            assert!((found - expected).abs() < f64::from(encoder) / 10.0, "{name}[{i}]: {found} against {expected}");
        }
    }
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/gradients.json")).unwrap()
}

/// Returns the model with the golden weights, and the sentences as its input.
fn model(golden: &Golden, compute: Compute) -> (SpanModel, Vec<SentenceInput>) {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), golden);
    let mut text = TokenTable::default();
    for sentence in &golden.sentences {
        text.push(&sentence.words).unwrap();
    }
    let spec = EncoderSpec::open(folder.path().to_str().unwrap(), &text).unwrap();
    assert!(spec.is_blind_to_case());
    let inputs = spec.prepare(&text, 3, "text").unwrap();
    let builder = Builder::new(stream(1, "weights"), compute);
    (SpanModel::new(&spec, builder, 3, 3, true, WordShapes::Auto).unwrap(), inputs)
}

fn check(compute: Compute) {
    let golden = golden();
    let (model, inputs) = model(&golden, compute);
    for (input, expected) in inputs.iter().zip(&golden.sentences) {
        assert_eq!(input.features[0], expected.pieces);
        assert_eq!((&input.first, &input.last), (&expected.first, &expected.last));
        assert_eq!(input.shapes, expected.shapes);
    }
    let inputs: Vec<&SentenceInput> = inputs.iter().collect();
    let batch = model.batch(&inputs);
    let rows = Arc::new(span_rows(&inputs, &batch, 3));
    let output = model.forward(&batch, rows, Masks::evaluation()).unwrap();

    let logits = output.logits.to_vec2::<f32>().unwrap();
    assert_eq!(logits.len(), golden.logits.len());
    for (found, expected) in logits.iter().flatten().zip(golden.logits.iter().flatten()) {
        assert!((f64::from(*found) - expected).abs() < 1e-4, "logit {found} against {expected}");
    }
    let loss = output.loss(golden.targets.clone()).unwrap();
    let value = f64::from(loss.value.to_scalar::<f32>().unwrap());
    assert!((value - golden.loss).abs() < 1e-4 * golden.loss, "loss {value} against {}", golden.loss);

    model.parameters.backward(loss).unwrap();
    let mut checked = 0;
    for (name, found) in model.parameters.gradients().unwrap() {
        let expected = &golden.gradients[name];
        assert_eq!(found.len(), expected.shape.iter().product::<usize>(), "{name}");
        let norm = found.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        // The key bias alone has gradient 0 in theory: softmax does not change when a constant is
        // added to all scores of a row.
        let is_key_bias = name.ends_with("key.bias");
        assert!(is_key_bias || norm > 0.0, "the gradient of {name} is zero");
        let tolerance = 1e-3 * expected.norm + 1e-5;
        assert!((norm - expected.norm).abs() < tolerance, "{name}: norm {norm} against {}", expected.norm);
        for &(i, expected) in &expected.entries {
            assert!((f64::from(found[i]) - expected).abs() < tolerance, "{name}[{i}]: {} against {expected}", found[i]);
        }
        checked += 1;
    }
    assert_eq!(checked, golden.gradients.len(), "a variable of PyTorch's is not trained here");
}
