//! Runs the Spark program of docs/SCALE.md on a local cluster of two workers.
//!
//! The test runs if DYNCLEAN_SPARK names a `spark-submit` (`pip install pyspark`, and Java 17), because set-up does not
//! install Spark.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const TEST: &str = "the_program_of_the_docs_labels_on_a_cluster";

/// Writes 500 texts, of which some parts are empty, and reads a data set back as JSON Lines.
const DATA: &str = r#"
import sys
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
what, path = sys.argv[1:]
if what == "write":
    texts = [(n, f"Letter {n}: Ada Lovelace left London." if n % 3 else f"Letter {n}.") for n in range(500)]
    # The program must not take these tokens for the text, nor its labels to another field.
    texts = [(n, text, text.split(), []) for n, text in texts]
    columns = "id long, text string, tokens array<string>, entities array<string>"
    spark.createDataFrame(texts, columns).repartition(600).write.parquet(path)
    spark.read.parquet(path).toJSON().coalesce(1).saveAsTextFile(path + ".text")
else:
    spark.read.parquet(path).toJSON().coalesce(1).saveAsTextFile(path + ".text")
"#;

/// The records of a folder of text files, by their id.
fn records(text: &str) -> BTreeMap<u64, Value> {
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.map(|record| (record["id"].as_u64().unwrap(), record)).collect()
}

#[test]
fn the_program_of_the_docs_labels_on_a_cluster() {
    let Some(spark) = tests::path_from_env("DYNCLEAN_SPARK", "spark-submit of Apache Spark", TEST) else { return };
    let docs = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/SCALE.md")).unwrap();
    let program = docs.split_once("```python\n").unwrap().1.split_once("```").unwrap().0;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("label.py"), program).unwrap();
    std::fs::write(path("data.py"), DATA).unwrap();
    std::fs::write(path("names.tsv"), "Ada Lovelace\tPER\nLondon\tLOC\n").unwrap();
    std::os::unix::fs::symlink(tests::trainer!(), path("trainer")).unwrap();
    let search_path = std::env::var_os("PATH").unwrap();
    // Beside spark-submit is the Python that has pyspark.
    let own = [folder.path(), spark.parent().unwrap()].map(Path::to_owned);
    let all = own.into_iter().chain(std::env::split_paths(&search_path));
    let search_path = std::env::join_paths(all).unwrap();
    let submit = |master: &str, arguments: &[&str]| {
        let mut command = Command::new(&spark);
        command.args(["--master", master]).args(arguments).current_dir(&folder).env("PATH", &search_path);
        let output = command.output().unwrap();
        let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        assert!(output.status.success(), "{arguments:?}\n{err}\n{out}");
    };
    submit("local[1]", &["data.py", "write", "texts"]);
    let dictionary = path("names.tsv");
    submit("local-cluster[2,1,1024]", &["label.py", "texts", dictionary.to_str().unwrap(), "labelled"]);
    submit("local[1]", &["data.py", "read", "labelled"]);
    let read = |name: &str| std::fs::read_to_string(path(name).join("part-00000")).unwrap();

    // One machine.
    let output = Command::new(path("trainer"))
        .args(["annotate", "--dictionary", "names.tsv", "--text", "texts.text/part-00000", "--format", "text-jsonl"])
        .args(["--label-column", "spans", "--out", "expected.jsonl"])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = records(&std::fs::read_to_string(path("expected.jsonl")).unwrap());
    let found = records(&read("labelled.text"));
    assert_eq!(found.len(), 500);
    assert_eq!(found[&1]["spans"].as_array().map(Vec::len), Some(2));
    assert_eq!(found, expected);
}
