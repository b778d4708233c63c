//! Runs the Spark program of docs/SCALE.md on a local cluster of two workers, and SQL on a table of spans.
//!
//! The tests run if DYNCLEAN_SPARK names a `spark-submit` (`pip install pyspark`, and Java 17), because set-up does not
//! install Spark.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

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

/// Computes AUM over the epochs 1 and 2, and counts, from the table of spans.
const SQL: &str = r#"
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
spark.read.parquet("spans.parquet").createOrReplaceTempView("spans")
spark.sql("""
    SELECT label, count(*) AS total, count_if(decision = 'remove') AS removed,
        count_if(decision LIKE 'relabel:%') AS relabelled, count(aum) AS known,
        max(abs(aum - aggregate(slice(margins, 1, 2), 0D, (sum, margin) -> sum + margin) / 2)) AS difference
    FROM spans GROUP BY label ORDER BY label
""").coalesce(1).write.json("figures")
"#;

/// A folder with the trainer, and Spark.
struct Spark {
    submit: PathBuf,
    folder: tempfile::TempDir,
    search_path: OsString,
}

impl Spark {
    /// `None` if Spark is not there.
    fn find(test: &str) -> Option<Self> {
        let submit = tests::path_from_env("DYNCLEAN_SPARK", "spark-submit of Apache Spark", test)?;
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(tests::trainer!(), folder.path().join("trainer")).unwrap();
        let search_path = std::env::var_os("PATH").unwrap();
        // Beside spark-submit is the Python that has pyspark.
        let own = [folder.path(), submit.parent().unwrap()].map(Path::to_owned);
        let all = own.into_iter().chain(std::env::split_paths(&search_path));
        let search_path = std::env::join_paths(all).unwrap();
        Some(Self { submit, folder, search_path })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    fn submit(&self, master: &str, arguments: &[&str]) {
        let mut command = Command::new(&self.submit);
        command.args(["--master", master]).args(arguments).current_dir(&self.folder).env("PATH", &self.search_path);
        let output = command.output().unwrap();
        let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        assert!(output.status.success(), "{arguments:?}\n{err}\n{out}");
    }

    /// Returns what the trainer prints.
    fn trainer(&self, arguments: &[&str]) -> String {
        let output = Command::new(self.path("trainer")).args(arguments).current_dir(&self.folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The records of a folder of text files, by their id.
fn records(text: &str) -> BTreeMap<u64, Value> {
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.map(|record| (record["id"].as_u64().unwrap(), record)).collect()
}

#[test]
fn the_program_of_the_docs_labels_on_a_cluster() {
    let Some(spark) = Spark::find("the_program_of_the_docs_labels_on_a_cluster") else { return };
    let docs = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/SCALE.md")).unwrap();
    let program = docs.split_once("```python\n").unwrap().1.split_once("```").unwrap().0;
    spark.write("label.py", program);
    spark.write("data.py", DATA);
    spark.write("names.tsv", "Ada Lovelace\tPER\nLondon\tLOC\n");
    spark.submit("local[1]", &["data.py", "write", "texts"]);
    let dictionary = spark.path("names.tsv");
    spark.submit("local-cluster[2,1,1024]", &["label.py", "texts", dictionary.to_str().unwrap(), "labelled"]);
    spark.submit("local[1]", &["data.py", "read", "labelled"]);
    let read = |name: &str| std::fs::read_to_string(spark.path(name)).unwrap();

    // One machine.
    let texts = ["annotate", "--dictionary", "names.tsv", "--text", "texts.text/part-00000", "--format", "text-jsonl"];
    spark.trainer(&[&texts[..], &["--label-column", "spans", "--out", "expected.jsonl"]].concat());
    let expected = records(&read("expected.jsonl"));
    let found = records(&read("labelled.text/part-00000"));
    assert_eq!(found.len(), 500);
    assert_eq!(found[&1]["spans"].as_array().map(Vec::len), Some(2));
    assert_eq!(found, expected);
}

#[test]
fn sql_on_the_table_of_spans_gives_the_figures_of_the_program() {
    let Some(spark) = Spark::find("sql_on_the_table_of_spans_gives_the_figures_of_the_program") else { return };
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v2.dyn");
    let options = ["--window", "1-2", "--metric", "aum", "--spans", "spans.parquet", "--json"];
    let figures = spark.trainer(&[&["inspect", golden.to_str().unwrap()], &options[..]].concat());
    let figures: Value = serde_json::from_str(&figures).unwrap();
    spark.write("sql.py", SQL);
    spark.submit("local[2]", &["sql.py"]);
    let mut files = std::fs::read_dir(spark.path("figures")).unwrap().map(|file| file.unwrap().path());
    let file = files.find(|path| path.extension().is_some_and(|e| e == "json")).unwrap();
    let rows: Vec<Value> =
        std::fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let number = |row: &Value, name: &str| row[name].as_u64().unwrap();
    // The program also names types that no span has.
    let counts = figures["cleaning"]["counts"].as_array().unwrap().iter();
    let counts: Vec<&Value> = counts.filter(|count| number(count, "total") > 0).collect();
    let of_spark: BTreeMap<&str, &Value> = rows.iter().map(|row| (row["label"].as_str().unwrap(), row)).collect();
    assert_eq!(counts.len(), of_spark.len());
    for count in counts {
        let row = of_spark[count["label"].as_str().unwrap()];
        for name in ["total", "removed", "relabelled"] {
            assert_eq!(number(row, name), number(count, name), "{name} of {row}");
        }
        assert!(number(row, "known") == 0 || row["difference"].as_f64().unwrap() <= 1e-6, "AUM: {row}");
    }
    let known: u64 = rows.iter().map(|row| number(row, "known")).sum();
    assert_eq!(known, figures["spans"].as_u64().unwrap() - number(&figures["cleaning"], "flagged"));
}
