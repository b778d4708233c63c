//! The way of a user who trains elsewhere and keeps CoNLL columns. Dynamics come from a Python program's JSON
//! Lines. The built binary cleans the corpus and writes the same columns.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

const TRAIN: &str = "\
-DOCSTART- -X- O

EU NNP B-ORG
rejects VBZ O
lamb NN B-LOC

Peter NNP B-PER
sang VBD O
";

/// Returns logits of (O, LOC, ORG, PER). They agree with the label, except for two spans.
fn recorded() -> String {
    // The spans of at most 2 tokens: EU, EU rejects, rejects, rejects lamb, lamb; Peter, Peter sang, sang.
    let labels = [2, 0, 0, 0, 1, 3, 0, 0];
    let lines = labels.iter().enumerate().map(|(guid, &label)| {
        let mut logits = [0.0; 4];
        logits[label] = 3.0;
        match guid {
            4 => logits = [4.0, 1.0, 0.0, 0.0],
            7 => logits = [0.0, 0.0, 0.0, 2.0],
            _ => {}
        }
        json!({"guid": guid, "gold": label, "logits_1": logits}).to_string()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn trainer(binary: &Path, folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(binary).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{arguments:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn conll_columns_come_back_with_a_mask() {
    let binary = tests::trainer!();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("train.conll"), TRAIN).unwrap();
    std::fs::write(at.join("dynamics_epoch_1.jsonl"), recorded()).unwrap();
    let convert =
        ["convert", "--dynamics", "dynamics_epoch_1.jsonl", "--corpus", "train.conll", "--max-span-width", "2"];
    trainer(&binary, at, &[&convert[..], &["--labels", "LOC,ORG,PER", "--out", "run.dyn"]].concat());

    // If no span is judged wrong, nothing changes.
    let clean = ["clean", "run.dyn", "--corpus", "train.conll", "--out", "cleaned.conll", "--metric", "aum"];
    let none = ["--negatives-threshold=-9", "--positives-threshold=-9"];
    trainer(&binary, at, &[&clean[..], &none].concat());
    assert_eq!(std::fs::read_to_string(at.join("cleaned.conll")).unwrap(), TRAIN);

    // At the natural threshold, "lamb" and "sang" are judged wrong, and get the predicted labels.
    trainer(&binary, at, &clean);
    let relabelled = TRAIN.replace("lamb NN B-LOC", "lamb NN O").replace("sang VBD O", "sang VBD B-PER");
    assert_eq!(std::fs::read_to_string(at.join("cleaned.conll")).unwrap(), relabelled);

    // With "remove", they are masked, and the provenance explains them.
    let clean = [&clean[..], &["--on-wrong", "remove"]].concat();
    trainer(&binary, at, &[&clean[..], &["--provenance", "provenance.json"]].concat());
    let expected = "\
-DOCSTART- -X- O

EU NNP B-ORG 0
rejects VBZ O 0
lamb NN O 1

Peter NNP B-PER 0
sang VBD O 1
";
    assert_eq!(std::fs::read_to_string(at.join("cleaned.conll")).unwrap(), expected);
    let provenance: Value = serde_json::from_slice(&std::fs::read(at.join("provenance.json")).unwrap()).unwrap();
    let changes: Vec<_> =
        provenance["changes"].as_array().unwrap().iter().map(|c| (&c["text"], &c["was"], &c["now"])).collect();
    assert_eq!(changes, [(&json!("lamb"), &json!("LOC"), &Value::Null), (&json!("sang"), &json!("O"), &Value::Null)]);

    // The mask is read back. The cleaned corpus is refused, because it is not what was trained on.
    let again = ["clean", "run.dyn", "--corpus", "cleaned.conll", "--out", "again.conll"];
    let output = Command::new(&binary).args(again).current_dir(at).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("other labels"), "{output:?}");

    // A threshold by AUM is not valid for trust, which is a probability.
    let unit = ["clean", "run.dyn", "--corpus", "train.conll", "--out", "x.conll", "--positives-threshold=-9"];
    let output = Command::new(&binary).args(unit).current_dir(at).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("outside 0..1"), "{output:?}");
    assert!(!at.join("x.conll").exists());

    // A threshold for an unknown type is refused.
    let slip = [&clean[..], &["--class-threshold", "PERS=1"]].concat();
    let output = Command::new(&binary).args(slip).current_dir(at).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("there are: LOC, ORG, PER"), "{output:?}");

    // Tags instead of a mask, and JSON instead of columns.
    trainer(&binary, at, &[&clean[..], &["--unknown", "tag"]].concat());
    assert!(std::fs::read_to_string(at.join("cleaned.conll")).unwrap().contains("lamb NN B-IGNORE\n"));
    trainer(&binary, at, &["convert", "--corpus", "cleaned.conll", "--to", "dynclean", "--out", "cleaned.json"]);
    let json: Value = serde_json::from_slice(&std::fs::read(at.join("cleaned.json")).unwrap()).unwrap();
    assert_eq!(json[0]["unknown"], json!([[2, 2]]));
    assert_eq!(json[1]["entities"], json!([[0, 0, "PER"]]));
}
