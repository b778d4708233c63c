//! Compares every family of encoders with `transformers`: pieces and vectors of tiny random checkpoints, made by
//! `peers/encoders.py`. Also tests edge cases: long sentences, odd words, damaged files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use nn::batch::{Batch, SentenceInput};
use nn::random::stream;
use nn::{Builder, Compute, Masks, Pass, Rates, Tape};
use serde::Deserialize;
use shared::corpus::TokenTable;
use trainer::model::encoder::EncoderSpec;
use trainer::model::span_model::WordShapes;
use trainer::model::span_model::{SpanModel, span_rows};

const FAMILIES: [&str; 5] = ["bert-uncased", "bert-cased", "roberta", "xlm-roberta", "distilbert"];

/// Number of positions of the golden encoders, including begin and end.
const POSITIONS: usize = 96;

#[derive(Deserialize)]
struct Sentence {
    words: Vec<String>,
    pieces: Vec<u32>,
    word_of_piece: Vec<Option<usize>>,
    hidden: Vec<Vec<f64>>,
}

fn folder(family: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/encoders").join(family)
}

fn golden(family: &str) -> Vec<Sentence> {
    serde_json::from_slice(&std::fs::read(folder(family).join("golden.json")).unwrap()).unwrap()
}

fn open(folder: &Path) -> EncoderSpec {
    EncoderSpec::open(folder.to_str().unwrap(), &TokenTable::default()).unwrap()
}

fn refusal(folder: &Path) -> String {
    format!("{:#}", EncoderSpec::open(folder.to_str().unwrap(), &TokenTable::default()).err().unwrap())
}

fn text<W: AsRef<str>>(sentences: &[Vec<W>]) -> TokenTable {
    let mut table = TokenTable::default();
    for words in sentences {
        table.push(words.iter().map(AsRef::as_ref)).unwrap();
    }
    table
}

/// Returns the vectors of all rows. All sentences are in one batch.
fn vectors(spec: &EncoderSpec, inputs: &[SentenceInput]) -> Vec<Vec<f32>> {
    vectors_by(Compute::Kernels, spec, inputs)
}

fn vectors_by(compute: Compute, spec: &EncoderSpec, inputs: &[SentenceInput]) -> Vec<Vec<f32>> {
    let inputs: Vec<&SentenceInput> = inputs.iter().collect();
    let mut builder = Builder::new(stream(1, "weights"), compute);
    let encoder = spec.build(&mut builder, true).unwrap();
    let parameters = builder.finish().unwrap();
    let packed = Batch::pack(&inputs);
    let n_rows = packed.n_rows() as u32;
    let batch = if parameters.engine().pads() { packed.padded() } else { packed };
    let mut pass = Pass::new(parameters.engine(), &batch, Masks::evaluation(), Tape::silent()).unwrap();
    let all: Vec<Vec<f32>> = encoder.forward(&mut pass).unwrap().to_vec2().unwrap();
    (0..n_rows).map(|row| all[batch.row(row) as usize].clone()).collect()
}

/// Returns the way in which the CPU computes, and the way in which a GPU computes.
fn both() -> [Compute; 2] {
    [Compute::Kernels, Compute::Tensors { device: Device::Cpu, dtype: DType::F32 }]
}

fn copy(family: &str, to: &Path, without: &[&str]) {
    for entry in std::fs::read_dir(folder(family)).unwrap().map(Result::unwrap) {
        if !without.iter().any(|name| entry.file_name() == *name) {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn pieces_and_vectors_match_transformers() {
    for (family, compute) in FAMILIES.into_iter().flat_map(|family| both().map(|compute| (family, compute))) {
        let golden = golden(family);
        let spec = open(&folder(family));
        let inputs =
            spec.prepare(&text(&golden.iter().map(|s| s.words.clone()).collect::<Vec<_>>()), 8, "text").unwrap();
        let vectors = vectors_by(compute, &spec, &inputs);
        let mut rows = vectors.iter();
        for (input, expected) in inputs.iter().zip(&golden) {
            assert_eq!(input.features[0], expected.pieces, "{family}: {:?}", expected.words);
            for word in 0..expected.words.len() {
                let is_here = |owner: &Option<usize>| *owner == Some(word);
                let first = expected.word_of_piece.iter().position(is_here).unwrap();
                let last = expected.word_of_piece.iter().rposition(is_here).unwrap();
                assert_eq!((input.first[word], input.last[word]), (first as u32, last as u32), "{family}, word {word}");
            }
            for (row, expected) in rows.by_ref().take(input.rows()).zip(&expected.hidden) {
                for (found, expected) in row.iter().zip(expected) {
                    assert!((f64::from(*found) - expected).abs() < 1e-4, "{family}: {found} is not {expected}");
                }
            }
        }
        assert!(rows.next().is_none());
    }
}

#[test]
fn every_variable_of_every_family_learns() {
    for (family, compute) in FAMILIES.into_iter().flat_map(|family| both().map(|compute| (family, compute))) {
        let spec = open(&folder(family));
        let inputs = spec.prepare(&text(&[vec!["Ada", "wrote", "notes"], vec!["NATO"]]), 2, "text").unwrap();
        let inputs: Vec<&SentenceInput> = inputs.iter().collect();
        let builder = Builder::new(stream(1, "weights"), compute);
        let model = SpanModel::new(&spec, builder, 3, 2, true, WordShapes::Auto).unwrap();
        let batch = model.batch(&inputs);
        let rows = Arc::new(span_rows(&inputs, &batch, 2));
        let targets: Vec<Option<u32>> = (0..rows.start.len() as u32).map(|i| Some(i % 3)).collect();
        let output = model.forward(&batch, rows, Masks::training(stream(1, "masks"))).unwrap();
        model.parameters.backward(output.loss(targets).unwrap()).unwrap();
        for (name, gradient) in model.parameters.gradients().unwrap() {
            let norm: f32 = gradient.iter().map(|g| g * g).sum();
            // In theory, the bias of the keys has no gradient: it adds the same number to all scores of a row.
            let is_key_bias = name.ends_with("key.bias") || name.ends_with("k_lin.bias");
            assert!(is_key_bias || norm > 0.0, "{family}: the gradient of {name} is zero");
        }
        let rates = Rates { encoder: 1e-3, head: 1e-3, weight_decay: 0.0, clip_norm: None };
        model.parameters.step(rates).unwrap();
    }
}

#[test]
fn case_is_seen_by_cased_encoders_only() {
    for family in FAMILIES {
        let uncased = matches!(family, "bert-uncased" | "distilbert");
        assert_eq!(open(&folder(family)).is_blind_to_case(), uncased, "{family}");
    }
}

#[test]
fn tokenizers_come_from_vocabularies_too() {
    let temporary = tempfile::tempdir().unwrap();
    copy("roberta", temporary.path(), &["tokenizer.json"]);
    let spec = open(temporary.path());
    let golden = golden("roberta");
    let inputs = spec.prepare(&text(&golden.iter().map(|s| s.words.clone()).collect::<Vec<_>>()), 8, "text").unwrap();
    for (input, expected) in inputs.iter().zip(&golden) {
        assert_eq!(input.features[0], expected.pieces, "{:?}", expected.words);
    }
    // A cased vocabulary is not lower-cased if nothing asks for it.
    let temporary = tempfile::tempdir().unwrap();
    copy("bert-cased", temporary.path(), &["tokenizer_config.json"]);
    assert!(!open(temporary.path()).is_blind_to_case());
    std::fs::remove_file(temporary.path().join("vocab.txt")).unwrap();
    let message = refusal(temporary.path());
    assert!(message.contains("tokenizer.json") && message.contains("save_pretrained"), "{message}");
}

#[test]
fn a_saved_model_reads_as_its_origin() {
    for family in FAMILIES {
        let spec = open(&folder(family));
        let sentences = text(&[vec!["Ada", "wrote", "Łódź", "<pad>", "\u{200b}"]]);
        let inputs = spec.prepare(&sentences, 8, "text").unwrap();
        let mut builder = Builder::new(stream(1, "weights"), Compute::Kernels);
        spec.build(&mut builder, false).unwrap();
        let saved = tempfile::tempdir().unwrap();
        spec.save(saved.path()).unwrap();
        builder.finish().unwrap().save(&saved.path().join("model.safetensors")).unwrap();
        let again = open(saved.path());
        assert_eq!(
            vectors(&again, &again.prepare(&sentences, 8, "text").unwrap()),
            vectors(&spec, &inputs),
            "{family}"
        );
        // The digest depends on the content, not on the folder.
        let moved = tempfile::tempdir().unwrap();
        copy(family, moved.path(), &["golden.json"]);
        assert_eq!(open(moved.path()).digest().unwrap(), spec.digest().unwrap());
        assert_ne!(again.digest().unwrap(), spec.digest().unwrap());
    }
}

#[test]
fn long_sentences_are_read_in_parts_and_lose_no_span() {
    let words: Vec<String> = (0..150).map(|i| ["Ada", "wrote", "x", "12,000"][i % 4].to_owned()).collect();
    for family in FAMILIES {
        let spec = open(&folder(family));
        let inputs = spec.prepare(&text(&[words.clone(), vec!["x".into()]]), 8, "text").unwrap();
        let input = &inputs[0];
        assert!(input.lengths.len() > 4 && input.lengths.iter().all(|&n| n <= POSITIONS), "{:?}", input.lengths);
        assert_eq!(input.features.iter().map(Vec::len).collect::<Vec<_>>(), [input.rows(); 2]);
        let inputs: Vec<&SentenceInput> = inputs.iter().collect();
        let batch = Batch::pack(&inputs);
        let rows = span_rows(&inputs, &batch, 8);
        // All spans of up to 8 words in the first sentence of 150 words, and one span of the other sentence.
        assert_eq!(rows.start.len(), 150 * 8 - 28 + 1);
        let mut starts = vec![0];
        input.lengths.iter().for_each(|n| starts.push(starts[starts.len() - 1] + n));
        let part = |row: u32| starts.partition_point(|&start| start <= row as usize);
        assert!(rows.start.iter().zip(&rows.end).all(|(&start, &end)| start <= end && part(start) == part(end)));

        // Each part is read like a sentence.
        let all = vectors(&spec, std::slice::from_ref(input));
        let window = &input.windows[1];
        let alone = &words[window.start..window.start + window.first.len()];
        let alone = spec.prepare(&text(&[alone.to_vec()]), 8, "text").unwrap();
        assert_eq!(vectors(&spec, &alone), all[starts[1]..starts[2]]);
    }
}

#[test]
fn a_word_that_is_longer_than_the_encoder_reads_is_cut() {
    let long = "wrote".repeat(100);
    for family in FAMILIES {
        let spec = open(&folder(family));
        let inputs = spec.prepare(&text(&[vec![long.as_str()], vec!["a", &long, "b"]]), 3, "text").unwrap();
        for input in &inputs {
            assert!(input.lengths.iter().all(|&n| n <= POSITIONS));
            assert_eq!(vectors(&spec, std::slice::from_ref(input)).len(), input.rows());
        }
        assert_eq!(inputs[1].first.len(), 3);
    }
    // A width that is too large is refused only if a sentence needs parts.
    let spec = open(&folder("bert-cased"));
    let words = vec!["x"; 500];
    assert!(spec.prepare(&text(&[words[..90].to_vec()]), 400, "text").is_ok());
    let error = format!("{:#}", spec.prepare(&text(&[words]), 400, "text").unwrap_err());
    assert!(error.contains("sentence 1") && error.contains("--max-span-width"), "{error}");
}

#[test]
fn damaged_and_unsupported_folders_are_refused_with_the_remedy() {
    let build = |folder: &Path| {
        let spec = open(folder);
        format!("{:#}", spec.build(&mut Builder::new(stream(1, "w"), Compute::Kernels), true).err().unwrap())
    };
    let temporary = tempfile::tempdir().unwrap();
    let file = |name: &str| temporary.path().join(name);
    copy("roberta", temporary.path(), &["golden.json"]);
    let torch = std::fs::read(file("pytorch_model.bin")).unwrap();
    // A file from PyTorch before 1.6 begins with a pickled number.
    std::fs::write(file("pytorch_model.bin"), b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.").unwrap();
    let message = build(temporary.path());
    assert!(message.contains("pytorch_model.bin") && message.contains("save_pretrained"), "{message}");
    std::fs::write(file("pytorch_model.bin"), "version https://git-lfs.github.com/spec/v1\noid sha256:0\n").unwrap();
    assert!(build(temporary.path()).contains("git lfs pull"));
    // A file that is cut off or has a changed byte gives an error or other numbers, but never a panic.
    for length in (0..torch.len()).step_by(997) {
        std::fs::write(file("pytorch_model.bin"), &torch[..length]).unwrap();
        assert!(build(temporary.path()).contains("pytorch_model.bin"));
    }
    for at in (0..torch.len()).step_by(97) {
        let mut changed = torch.clone();
        changed[at] ^= 0x15;
        std::fs::write(file("pytorch_model.bin"), changed).unwrap();
        let _ = open(temporary.path()).build(&mut Builder::new(stream(1, "w"), Compute::Kernels), true);
    }
    std::fs::remove_file(file("pytorch_model.bin")).unwrap();
    let message = refusal(temporary.path());
    assert!(message.contains("model.safetensors") && message.contains("pytorch_model.bin"), "{message}");
    // The tensors have other sizes than config.json says.
    candle_core::safetensors::save(
        &[(
            "roberta.embeddings.word_embeddings.weight",
            Tensor::zeros((2, 2), candle_core::DType::F32, &candle_core::Device::Cpu).unwrap(),
        )]
        .into(),
        file("model.safetensors"),
    )
    .unwrap();
    let message = build(temporary.path());
    assert!(message.contains("model.safetensors") && message.contains("word_embeddings"), "{message}");
    // The tokenizer is from another model, and has more pieces than the encoder has vectors.
    let config = std::fs::read_to_string(file("config.json")).unwrap();
    std::fs::write(file("config.json"), config.replace("\"vocab_size\": 330", "\"vocab_size\": 300")).unwrap();
    let error = open(temporary.path()).prepare(&text(&[vec!["a"], vec!["Müller", "x"]]), 8, "dev.json").unwrap_err();
    let message = format!("{error:#}");
    assert!(
        message.contains("dev.json, sentence 2") && message.contains("Müller") && message.contains("300"),
        "{message}"
    );
    std::fs::write(file("config.json"), r#"{"model_type": "deberta-v2"}"#).unwrap();
    let message = refusal(temporary.path());
    assert!(message.contains("deberta-v2") && message.contains("xlm-roberta"), "{message}");
}
