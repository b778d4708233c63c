//! Parquet files of other programs as corpora (`tests/peers/parquet_files.py` made them), through the built binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use shared::formats::{ReadOptions, WriteOptions};
use trainer::data::corpus_file;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/parquet").join(name)
}

fn output(binary: &Path, folder: &Path, arguments: &[&str]) -> Output {
    Command::new(binary).args(arguments).current_dir(folder).output().unwrap()
}

fn succeed(binary: &Path, folder: &Path, arguments: &[&str]) -> String {
    let output = output(binary, folder, arguments);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}:\n{message}");
    message
}

#[test]
fn files_of_other_programs_are_read_as_their_rows_in_json_lines() {
    let (binary, folder) = (tests::trainer!(), tempfile::tempdir().unwrap());
    // A copy has no tag_to_id.json beside it: the names come from the file.
    std::fs::copy(golden("tagged.parquet"), folder.path().join("tagged.parquet")).unwrap();
    std::fs::copy(golden("texts.parquet"), folder.path().join("texts.parquet")).unwrap();
    for (name, entity) in [("tagged", "PER"), ("texts", "LOC")] {
        let read = |file: &str, out: &str| {
            succeed(&binary, folder.path(), &["convert", "--corpus", file, "--to", "dynclean", "--out", out]);
            std::fs::read_to_string(folder.path().join(out)).unwrap()
        };
        let lines = golden(&format!("{name}.jsonl"));
        let expected = read(lines.to_str().unwrap(), "lines.json");
        assert!(expected.contains(entity), "{expected}");
        assert_eq!(read(&format!("{name}.parquet"), "rows.json"), expected);
    }
}

#[test]
fn rows_come_back_with_all_columns() {
    let (binary, folder) = (tests::trainer!(), tempfile::tempdir().unwrap());
    for (name, format) in [("tagged", "tags-jsonl"), ("texts", "text-jsonl")] {
        let file = golden(&format!("{name}.parquet"));
        let convert = |from: &str, out: &str| {
            let said = succeed(&binary, folder.path(), &["convert", "--corpus", from, "--to", format, "--out", out]);
            assert!(!said.contains("JSON Lines"), "{said}");
            std::fs::read(folder.path().join(out)).unwrap()
        };
        let rows = |bytes: &[u8]| -> Vec<serde_json::Value> {
            let text = std::str::from_utf8(bytes).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let once = convert(file.to_str().unwrap(), "once.parquet");
        assert_eq!(convert("once.parquet", "twice.parquet"), once);
        let lines = convert("once.parquet", "lines.jsonl");
        assert_eq!(rows(&lines), rows(&std::fs::read(golden(&format!("{name}.jsonl"))).unwrap()));
    }
    let refused = ["convert", "--corpus", "once.parquet", "--to", "conll", "--out", "x.parquet"];
    let output = output(&binary, folder.path(), &refused);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && message.contains("cannot be Parquet") && message.contains(".conll"),
        "{message}"
    );
}

#[test]
fn a_run_on_parquet_gives_cleaned_parquet() {
    let (binary, folder) = (tests::trainer!(), tempfile::tempdir().unwrap());
    succeed(&binary, folder.path(), &["sample", "--out", "s"]);
    // The columns of the golden file with the rows of the sample.
    let convert = |from: &str, to: &str, out: &str| {
        succeed(&binary, folder.path(), &["convert", "--corpus", from, "--to", to, "--out", out]);
    };
    for name in ["train-distant", "dev", "test"] {
        convert(&format!("s/{name}.json"), "text-jsonl", &format!("s/{name}.jsonl"));
    }
    let read = |path: &Path| corpus_file::read(path, &ReadOptions::default()).unwrap().corpus;
    let mut corpus = read(&folder.path().join("s/train-distant.jsonl"));
    corpus.layout.set_parquet(read(&golden("texts.parquet")).layout.parquet().unwrap().to_owned());
    corpus_file::write(&folder.path().join("train.parquet"), &corpus, &WriteOptions::default()).unwrap();
    let mut run = vec!["run", "--train", "train.parquet", "--dev", "s/dev.jsonl", "--test", "s/test.jsonl"];
    run.extend(["--encoder", "builtin", "--out", "run", "--epochs", "1", "--encoder-rate", "3e-3"]);
    run.extend(["--head-rate", "3e-3", "--warmup", "0", "--seed", "3", "--trials", "none"]);
    succeed(&binary, folder.path(), &run);
    convert("run/cleaned.parquet", "text-jsonl", "cleaned.jsonl");
    let cleaned = std::fs::read_to_string(folder.path().join("cleaned.jsonl")).unwrap();
    assert_eq!(cleaned.lines().count(), corpus.n_sentences());
    assert!(cleaned.contains("\"unknown\": [["), "removed labels are in a column of their own");
    // The same cleaning from the files, without the run.
    let clean = ["clean", "run/dynamics.dyn", "--corpus", "train.parquet", "--decisions", "run/decisions.json"];
    succeed(&binary, folder.path(), &[&clean[..], &["--out", "again.parquet"]].concat());
    let bytes = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(bytes("again.parquet"), bytes("run/cleaned.parquet"));
}

#[test]
fn long_texts_go_through_part_by_part() {
    let (binary, folder) = (tests::trainer!(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    write("d.tsv", b"Ada\tPER\nZ\xc3\xbcrich\tLOC\n");
    // Some two million bytes. Nothing is found in the first part, so it does not show what labels look like.
    let line = |id: usize| {
        let text =
            if id < 12_000 { "Nobody was there at all, they said." } else { "Ada went to Zürich.\nShe stayed." };
        serde_json::json!({ "id": id, "text": text, "of": { "paper": "A" } }).to_string() + "\n"
    };
    let lines: String = (0..24_000).map(line).collect();
    write("t.jsonl", lines.as_bytes());
    let none = r#"{"fields": [], "metadata": {}}"#;
    write("t.parquet", &trainer::data::parquet_corpus::write(&lines, none).unwrap());
    let annotate = |text: &str, out: &str, more: &[&str]| {
        let common = ["annotate", "--dictionary", "d.tsv", "--text", text, "--out", out];
        succeed(&binary, folder, &[&common[..], more].concat())
    };
    let rows = |name: &str| -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        // A row has every column; a record need not have every field.
        let record = |line: &str| {
            let mut record: serde_json::Map<_, _> = serde_json::from_str(line).unwrap();
            record.retain(|_, value| !value.is_null());
            record.into()
        };
        text.lines().map(record).collect()
    };
    annotate("t.jsonl", "expected.jsonl", &[]);
    let expected = rows("expected.jsonl");
    assert_eq!(expected[23_999]["spans"][1]["label"], "LOC");
    annotate("t.parquet", "t-labelled.jsonl", &[]);
    assert_eq!(rows("t-labelled.jsonl"), expected);
    let as_lines = |parquet: &str, out: &str| {
        succeed(&binary, folder, &["convert", "--corpus", parquet, "--to", "text-jsonl", "--out", out]);
        rows(out)
    };
    annotate("t.parquet", "labelled.parquet", &[]);
    assert_eq!(as_lines("labelled.parquet", "back.jsonl"), expected);
    // A labelled file is labelled again, in the same columns. Then only every second row of it is labelled.
    annotate("labelled.parquet", "again.parquet", &[]);
    assert_eq!(as_lines("again.parquet", "again.jsonl"), expected);
    annotate("labelled.parquet", "odd.parquet", &["--shard", "1/2"]);
    assert_eq!(as_lines("odd.parquet", "odd.jsonl"), expected.into_iter().skip(1).step_by(2).collect::<Vec<_>>());
    let refused =
        output(&binary, folder, &["annotate", "--dictionary", "d.tsv", "--text", "t.jsonl", "--out", "x.parquet"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("did not come from Parquet"));
}
