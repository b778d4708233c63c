//! Checks that files of every format version stay readable. Each `golden/vN.dyn` is compared with
//! `golden/vN.json`, which `peers/read_dyn.py` made. That reader is independent: it was written from
//! docs/FORMAT.md.

use std::path::PathBuf;

use serde_json::{Value, json};
use shared::corpus::Entity;
use shared::corpus::span::Span;
use shared::evaluation::score::Prf;
use shared::formats::dynclean_json;
use shared::recording::dyn_file;
use shared::recording::dynamics::{
    Dynamics, EpochLogits, EpochScore, Negatives, Precision, Run, RunInfo, SampleScheme, ThresholdRun,
};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

fn number(value: f32) -> Value {
    // The peer prints numbers in the same way. An f64 holds every f32 exactly.
    if value.is_finite() { json!(f64::from(value)) } else { Value::Null }
}

fn epoch(number_of_epoch: usize, logits: &EpochLogits) -> Value {
    let spans = 0..logits.n_spans();
    if logits.is_margins() {
        let margins: Vec<Value> = spans.map(|span| number(logits.margin(span, 0))).collect();
        return json!({"epoch": number_of_epoch, "margins": margins});
    }
    let columns: Vec<Vec<Value>> = (1..=logits.n_types())
        .map(|label| spans.clone().map(|span| number(logits.logits(span).nth(label).unwrap())).collect())
        .collect();
    let precision = match logits.precision() {
        Precision::F16 => "f16",
        Precision::F32 => "f32",
    };
    json!({"epoch": number_of_epoch, "precision": precision, "columns": columns})
}

fn run(run: &Run) -> Value {
    let score = |s: &EpochScore| {
        let Prf { precision, recall, f1, correct, predicted, actual } = s.dev;
        json!({"epoch": s.epoch, "train_loss": s.train_loss, "precision": precision, "recall": recall, "f1": f1,
               "correct": correct, "predicted": predicted, "actual": actual})
    };
    let epochs: Vec<Value> = (1..).zip(&run.epochs).map(|(n, logits)| epoch(n, logits)).collect();
    json!({"epochs": epochs, "scores": run.scores.iter().map(score).collect::<Vec<_>>()})
}

fn span(s: Span) -> [u32; 3] {
    [s.sentence, s.start, s.end]
}

fn entities(entities: &[Entity], unknown: &[Span]) -> Value {
    let rows = entities.iter().map(|e| json!([e.span.sentence, e.span.start, e.span.end, e.label]));
    json!({"entities": rows.collect::<Vec<_>>(), "unknown": unknown.iter().copied().map(span).collect::<Vec<_>>()})
}

/// Describes what our reader finds, in the layout of the peer.
fn described(version: u32, d: &Dynamics) -> Value {
    let sentences: Vec<Vec<&str>> =
        (0..d.corpus.n_sentences() as u32).map(|s| d.corpus.tokens.sentence(s).collect()).collect();
    let extra: Vec<Value> = d
        .corpus
        .extra
        .iter()
        .map(|(sentence, fields)| json!([sentence, serde_json::from_str::<Value>(fields).unwrap()]))
        .collect();
    json!({
        "version": version,
        "gold": d.gold.as_ref().map(|gold| entities(gold, &[])),
        "samples": d.threshold_run.as_ref().map(|t| json!({
            "scheme": t.scheme, "spans": t.spans, "assigned": t.assigned,
        })),
        "complete": d.complete,
        "runs": {
            "main": run(&d.run),
            "threshold": d.threshold_run.as_ref().map_or_else(|| run(&Run::default()), |t| run(&t.run)),
        },
        "info": d.info,
        "labels": d.corpus.labels.types(),
        "sentences": sentences,
        "extra": extra,
        "distant": entities(&d.corpus.entities, &d.corpus.unknown),
    })
}

/// Returns the peer's JSON with the values of columns and margins in single precision.
fn narrowed(value: Value, is_value: bool) -> Value {
    match value {
        Value::Number(n) if is_value => n.as_f64().map_or(Value::Null, |v| number(v as f32)),
        Value::Array(items) => items.into_iter().map(|item| narrowed(item, is_value)).collect(),
        Value::Object(fields) => {
            let narrow = |(name, value): (String, Value)| {
                let is_value = is_value || name == "columns" || name == "margins";
                (name, narrowed(value, is_value))
            };
            Value::Object(fields.into_iter().map(narrow).collect())
        }
        other => other,
    }
}

#[test]
fn every_version_reads_as_by_the_independent_reader() {
    for version in 1..=dyn_file::VERSION {
        let bytes = std::fs::read(golden(&format!("v{version}.dyn"))).unwrap();
        let json = std::fs::read(golden(&format!("v{version}.json"))).unwrap();
        let expected = narrowed(serde_json::from_slice(&json).unwrap(), false);
        assert_eq!(bytes[8..12], version.to_le_bytes(), "a file of this very version");
        let dynamics = dyn_file::read(&bytes).unwrap();
        assert_eq!(described(version, &dynamics), expected, "version {version}");
    }
}

/// Returns invented content with nearly everything that a file can hold.
fn content(main: Vec<EpochLogits>, name: &str) -> Dynamics {
    let distant = r#"[{"tokens": ["Zoë", "met", "Ørsted", "A/S"], "entities": [[2, 3, "ORG"], [0, 0, "PER"]],
                       "unknown": [[1, 2]], "id": "d1", "meta": {"page": 3, "tags": ["a", null]}},
                      {"tokens": [], "entities": []},
                      {"tokens": ["in", "Århus"], "entities": [], "unknown": [[0, 1]]}]"#;
    let gold = r#"[{"tokens": ["Zoë", "met", "Ørsted", "A/S"], "entities": [[0, 0, "PER"]]},
                   {"tokens": [], "entities": []},
                   {"tokens": ["in", "Århus"], "entities": [[1, 1, "ORG"]]}]"#;
    let corpus = dynclean_json::read(distant.as_bytes()).unwrap();
    let gold = dynclean_json::read(gold.as_bytes()).unwrap().with_labels(&corpus.labels).unwrap();
    let samples = EpochLogits::from_rows(&[0.5, -1.25, 2.0, 0.1, 3.0, 1.0, 0.25, -7.5], 3, Precision::F16).unwrap();
    let score = |epoch: u32, train_loss: f64| EpochScore { epoch, train_loss, dev: Prf::from_counts(3, 4, 7) };
    Dynamics {
        info: RunInfo {
            name: name.to_owned(),
            written_by: "DynClean golden".to_owned(),
            encoder: "none".to_owned(),
            seed: u64::MAX - 1,
            negatives: Negatives::All,
            max_span_width: 2,
            settings: vec![("batch".to_owned(), "16".to_owned()), ("größe".to_owned(), "–".to_owned())],
        },
        corpus,
        gold: Some(gold.entities),
        contradicted: Vec::new(),
        run: Run { epochs: main, scores: vec![score(1, 0.1), score(2, 1e-9)] },
        threshold_run: Some(ThresholdRun {
            scheme: SampleScheme::FakeClassPositives,
            spans: vec![0, 9],
            assigned: vec![3, 1],
            run: Run { epochs: vec![samples.clone(), samples], scores: vec![score(1, 2.5)] },
        }),
        complete: true,
        whole: None,
    }
}

/// Makes the golden files that are missing. The file of a version is made only once. Later programs may write
/// other bytes, but they must still read it.
///
/// Run `cargo test -p tests --test golden -- --ignored`, then `read_dyn.py` as its docstring says.
#[test]
#[ignore = "makes files that are missing"]
fn make_missing_golden_files() {
    let logits = |shift: f32, precision| {
        let mut rows: Vec<f32> = (0..30).map(|i| (i as f32 * 0.7 + shift).sin() * 9.0).collect();
        rows[13] = f32::NAN;
        EpochLogits::from_rows(&rows, 2, precision).unwrap()
    };
    let margins = |shift: f32| {
        let mut column: Vec<f32> = (0..10).map(|i| (i as f32 * 0.3 + shift).cos() * 5.0).collect();
        column[4] = f32::NAN;
        EpochLogits::from_margins(column)
    };
    let contents = [
        content(vec![logits(0.0, Precision::F16), logits(0.4, Precision::F32)], "logits"),
        content(vec![margins(0.0), margins(1.0), margins(2.0)], "margins"),
    ];
    for (version, dynamics) in (1..).zip(contents) {
        let path = golden(&format!("v{version}.dyn"));
        if !path.exists() {
            std::fs::write(path, dyn_file::write(&dynamics)).unwrap();
        }
    }
}
