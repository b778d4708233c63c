//! Converts recorded dynamics to a `.dyn` file, and its spans to a table for other programs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use shared::cleaning::{Decisions, Override};
use shared::corpus::decision::Decision;
use shared::corpus::span::Span;
use shared::detection::threshold::Metric;
use shared::formats::dynclean_json;
use shared::metrics::Window;
use shared::recording::dictionary::Entry;
use shared::recording::dyn_file;
use shared::recording::dynamics::{Dynamics, EpochLogits, Negatives, Precision, Run, RunInfo};
use trainer::data::convert::{self, Conversion};
use trainer::data::corpus_file::CorpusOptions;
use trainer::data::recording::Recording;
use trainer::data::span_table::{SpanTable, TableFormat};

const CORPUS: &str = r#"[{"tokens": ["Ada", "met", "Rome"], "entities": [[0, 0, "PER"], [2, 2, "LOC"]]},
                         {"tokens": ["so"], "entities": []}]"#;
const GOLD: &str = r#"[{"tokens": ["Ada", "met", "Rome"], "entities": [[0, 0, "PER"]]},
                       {"tokens": ["so"], "entities": []}]"#;
/// Labels in the recording: PER is 1, LOC is 2. Spans of up to 2 tokens: Ada, Ada met, met, met Rome, Rome, so.
const LABELS: [usize; 6] = [1, 0, 0, 0, 2, 0];

/// Returns logit k of a span at an epoch. A few digits after the point write it exactly.
fn logit(epoch: u32, span: usize, k: usize) -> f32 {
    ((epoch as usize * 31 + span * 7 + k * 13) % 23) as f32 * 0.375 - 4.0
}

fn jsonl(epoch: u32) -> String {
    let mut lines = String::new();
    for (span, label) in LABELS.iter().enumerate() {
        let [o, a, b] = [0, 1, 2].map(|k| logit(epoch, span, k));
        writeln!(lines, r#"{{"guid":{span},"gold":{label},"logits_{epoch}":[{o},{a},{b}]}}"#).unwrap();
    }
    lines
}

fn write(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn conversion(dynamics: Vec<PathBuf>, corpus: Option<PathBuf>, gold: Option<PathBuf>) -> Conversion {
    Conversion {
        dynamics,
        corpus,
        gold,
        corpora: CorpusOptions::default(),
        labels: None,
        max_span_width: 2,
        precision: Precision::F32,
        negatives: Negatives::Top,
    }
}

#[test]
fn logits_come_back_as_they_were_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let files = [0, 1, 2].map(|e| write(at, &format!("dynamics_epoch_{e}.jsonl"), &jsonl(e)));
    let (corpus, gold) = (write(at, "train.json", CORPUS), write(at, "gold.json", GOLD));
    let out = at.join("new/run.dyn");
    let conversion = conversion(files.into(), Some(corpus), Some(gold));
    let done = convert::write(convert::read(&conversion).unwrap(), &out).unwrap();
    assert_eq!((done.n_spans, done.n_epochs, done.n_incomplete, done.is_margins), (6, 3, 0, false));
    let d = dyn_file::read(&std::fs::read(&out).unwrap()).unwrap();
    assert!(d.complete);
    assert_eq!(d.corpus.labels.types(), ["LOC", "PER"]);
    for (epoch, logits) in (0..).zip(&d.run.epochs) {
        for span in 0..6 {
            let [o, per, loc] = [0, 1, 2].map(|k| logit(epoch, span, k));
            assert_eq!(logits.row(span), [0.0, loc - o, per - o], "epoch {epoch}, span {span}");
        }
    }
    assert_eq!(d.dense_gold(&d.span_index().unwrap()).unwrap(), [2, 0, 0, 0, 0, 0]);
}

#[test]
fn the_command_converts_and_inspects() {
    let binary = tests::trainer!();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let run = |arguments: &[&str]| Command::new(&binary).current_dir(at).args(arguments).output().unwrap();
    let table = "sample_id,num_measurements,target_logit,target_val,other_logit,other_val,margin,aum\n\
                 a,1,1,2.0,0,3.5,-1.5,-1.5\na,2,1,2.0,0,1.0,1.0,-0.25\nb,1,0,2.0,1,0.0,2.0,2.0\n";
    write(at, "full_aum_records.csv", table);
    let output = run(&["convert", "--dynamics", "full_aum_records.csv", "--out", "run.dyn"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("2 spans, 2 epochs") && text.contains("1 spans have no record"),
        "{text}"
    );
    let output = run(&["inspect", "run.dyn", "--json", "--spans", "spans.csv"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let csv = std::fs::read_to_string(at.join("spans.csv")).unwrap();
    // Without text, trust follows from AUM alone: 1 / (1 + e^x) with x = −1.05 + .65·.25.
    assert!((1.0 / (1.0 + (-0.8875f64).exp()) - 0.708374).abs() < 1e-6);
    assert_eq!(
        csv,
        "span_id,guid,sentence,start,end,label,gold,aum,confidence,variability,correctness,forgetting,decision,trust,because\n\
         0,a,0,0,0,1,,-0.25,,,1,0,keep,0.70837396,\n1,b,1,0,0,O,,NaN,,,0,0,keep,NaN,\n"
    );
    assert!(run(&["inspect", "run.dyn", "--spans", "spans.parquet"]).status.success());

    write(at, "bad.jsonl", "{\"guid\":0,\"gold\":1,\"logits_1\":[0,1]}\n{\"guid\":1}\n");
    let output = run(&["convert", "--dynamics", "bad.jsonl", "--out", "bad.dyn"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("bad.jsonl, line 2: missing field `gold`"), "{text}");
    assert!(!at.join("bad.dyn").exists());
}

#[test]
fn a_folder_of_parts_is_as_good_as_the_file() {
    let binary = tests::trainer!();
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| Command::new(&binary).current_dir(&folder).args(arguments).output().unwrap();
    let succeed = |arguments: &[&str]| {
        let output = run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    for version in ["v1.dyn", "v2.dyn"] {
        let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(version);
        let (whole, parts) = (whole.to_str().unwrap(), format!("parts of {version}"));
        // One of three sentences is empty.
        assert!(
            String::from_utf8(succeed(&["split", whole, "--parts", "9", "--out", &parts]))
                .unwrap()
                .contains("in 2 parts")
        );
        succeed(&["merge", &parts, "--out", version]);
        assert_eq!(std::fs::read(folder.path().join(version)).unwrap(), std::fs::read(whole).unwrap());
        let inspected = |dynamics: &str| {
            let arguments = ["inspect", dynamics, "--metric", "aum", "--json", "--spans", "spans.csv"];
            let mut told: serde_json::Value = serde_json::from_slice(&succeed(&arguments)).unwrap();
            told.as_object_mut().unwrap().remove("digest").unwrap();
            (told, std::fs::read(folder.path().join("spans.csv")).unwrap())
        };
        assert_eq!(inspected(&parts), inspected(whole));
    }
    let refused = |arguments: &[&str], reason: &str| {
        let output = run(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains(reason), "{told}");
    };
    refused(&["split", "v1.dyn", "--parts", "1", "--out", "parts of v1.dyn"], "another dynamics file");
    // The same again is harmless, so a job that failed can be started again.
    succeed(&["split", "v1.dyn", "--parts", "9", "--out", "parts of v1.dyn"]);
    refused(&["merge", "parts of v1.dyn", "--out", "parts of v1.dyn/whole.dyn"], "is an input");
}

/// The sample, with invented logits that know the labels a little, and an entry that dev contradicts.
fn invented(folder: &Path, binary: &Path) -> Dynamics {
    let made = Command::new(binary).args(["sample", "--quiet", "--out", "sample"]).current_dir(folder).status();
    assert!(made.unwrap().success());
    let corpus = dynclean_json::read(&std::fs::read(folder.join("sample/train-distant.json")).unwrap()).unwrap();
    let index = corpus.span_index(8).unwrap();
    let labels = corpus.dense_labels(&index);
    let n_labels = corpus.labels.n_types() + 1;
    let epoch = |epoch: usize| {
        let row = |(span, &label): (usize, &u16)| {
            let logit = |k: usize| ((span * 31 + k * 17 + epoch * 7) % 101) as f32 / 12.0;
            (0..n_labels).map(|k| logit(k) + if k == usize::from(label) { 5.0 } else { 0.0 }).collect::<Vec<_>>()
        };
        let rows: Vec<f32> = labels.iter().enumerate().flat_map(row).collect();
        EpochLogits::from_rows(&rows, n_labels - 1, Precision::F16).unwrap()
    };
    let mut words: Vec<String> = corpus.entities.iter().map(|e| corpus.tokens.surface(e.span)).collect();
    words.sort();
    // The words of the entity that occurs most often.
    let words = words.chunk_by(|a, b| a == b).max_by_key(|same| same.len()).unwrap()[0].clone();
    let label = corpus.entities.iter().find(|e| corpus.tokens.surface(e.span) == words).unwrap().label;
    let label = corpus.labels.name(label).to_owned();
    Dynamics {
        info: RunInfo { max_span_width: 8, ..RunInfo::default() },
        gold: Some(corpus.entities.clone()),
        contradicted: vec![Entry { words, label, spans: 9, annotated: 5, agreeing: 0, becomes: None }],
        corpus,
        run: Run { epochs: (1..5).map(epoch).collect(), scores: vec![] },
        threshold_run: None,
        complete: true,
        whole: None,
    }
}

#[test]
fn an_extract_is_judged_as_the_whole_recording() {
    let binary = tests::trainer!();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let run = |arguments: &[&str]| Command::new(&binary).current_dir(at).args(arguments).output().unwrap();
    let succeed = |arguments: &[&str]| {
        let output = run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let whole = invented(at, &binary);
    std::fs::write(at.join("whole.dyn"), dyn_file::write(&whole)).unwrap();
    succeed(&["extract", "whole.dyn", "--suspicious", "20000", "--out", "look.dyn"]);
    let bytes = std::fs::read(at.join("look.dyn")).unwrap();
    let origin = dyn_file::origin(&bytes).unwrap().unwrap();
    let look = dyn_file::read(&bytes).unwrap();
    assert_eq!(look.corpus.n_sentences(), origin.sentences.len());
    let n_spans = look.span_index().unwrap().len();
    assert!(n_spans > 19_000 && n_spans <= 20_000, "{n_spans}");
    // For each span: its sentence in the whole recording, and all that is said about it.
    let spans = |dynamics: &str, sentence: &dyn Fn(u32) -> u32| -> Vec<(u32, String)> {
        succeed(&["inspect", dynamics, "--spans", "spans.csv"]);
        let table = std::fs::read_to_string(at.join("spans.csv")).unwrap();
        let row = |row: &str| {
            let mut columns = row.splitn(3, ',').skip(1);
            (sentence(columns.next().unwrap().parse().unwrap()), columns.next().unwrap().to_owned())
        };
        table.lines().skip(1).map(row).collect()
    };
    let mut of_whole = spans("whole.dyn", &|sentence| sentence);
    let is_inside = |sentence: u32| origin.sentences.binary_search(&sentence).is_ok();
    let (inside, outside): (Vec<_>, Vec<_>) = of_whole.drain(..).partition(|&(sentence, _)| is_inside(sentence));
    let of_look = spans("look.dyn", &|sentence| origin.sentences[sentence as usize]);
    assert_eq!(of_look.len(), n_spans);
    for (found, expected) in of_look.iter().zip(&inside) {
        assert_eq!(found, expected);
    }
    // Otherwise the settings, the reasons or the contradicted entry would not be tested.
    let has = |spans: &[(u32, String)], text: &str| spans.iter().filter(|(_, row)| row.contains(text)).count();
    assert!(has(&of_look, "of such are wrong") > 100 && has(&of_look, ",remove,") > 100);
    // Compares the least trusted label of each sentence. In the mean over sentences, it is less trusted inside the
    // extract than outside.
    let least = |spans: &[(u32, String)]| {
        let sentences = spans.chunk_by(|a, b| a.0 == b.0);
        let trust = |(_, row): &(u32, String)| row.split(',').nth(10).unwrap().parse::<f64>().unwrap();
        let least: Vec<f64> = sentences.map(|spans| spans.iter().map(trust).fold(1.0, f64::min)).collect();
        least.iter().sum::<f64>() / least.len() as f64
    };
    assert!(least(&of_look) < least(&outside) - 0.01, "{} {}", least(&of_look), least(&outside));

    // Decisions about the extract become decisions about the whole.
    let recording = Recording::open(&at.join("look.dyn")).unwrap();
    let places = (0..2).flat_map(|sentence| recording.dynamics.span_index().unwrap().spans_of(sentence));
    let by_hand: Vec<(Span, Override)> = places.map(|span| (span, Override::Remove)).collect();
    let decisions =
        Decisions { overrides: by_hand.clone(), ..Decisions::new(recording.digest.clone(), recording.settings()) };
    std::fs::write(at.join("own.json"), decisions.to_json()).unwrap();
    succeed(&["extract", "look.dyn", "--decisions", "own.json", "--out", "about-whole.json"]);
    let recording = Recording::open(&at.join("whole.dyn")).unwrap();
    let about = recording.read_decisions(&at.join("about-whole.json")).unwrap();
    let moved = |&(span, ref decision): &(Span, Override)| {
        (Span { sentence: origin.sentences[span.sentence as usize], ..span }, decision.clone())
    };
    assert_eq!(about.overrides, by_hand.iter().map(moved).collect::<Vec<_>>());
    // The thresholds are the values that the whole recording has by itself.
    let cleaned = |decisions: &[&str]| {
        let arguments = ["clean", "whole.dyn", "--corpus", "sample/train-distant.json", "--out", "cleaned.json"];
        succeed(&[&arguments, decisions].concat());
        let cleaned = std::fs::read(at.join("cleaned.json")).unwrap();
        dynclean_json::read(&cleaned).unwrap()
    };
    let (by_itself, by_decisions) = (cleaned(&[]), cleaned(&["--decisions", "about-whole.json"]));
    let is_same = |sentence: u32| by_itself.select(&[sentence]) == by_decisions.select(&[sentence]);
    assert!((0..whole.corpus.n_sentences() as u32).all(|s| is_same(s) || origin.sentences[..2].contains(&s)));
    assert!(!is_same(origin.sentences[0]) && by_decisions.entities_of(origin.sentences[0]).is_empty());

    let refused = |arguments: &[&str], reason: &str| {
        let output = run(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains(reason), "{told}");
    };
    refused(&["extract", "whole.dyn", "--decisions", "own.json", "--out", "x.json"], "is no extract");
    refused(&["extract", "look.dyn", "--decisions", "about-whole.json", "--out", "x.json"], "another dynamics file");
    refused(&["extract", "look.dyn", "--suspicious", "9", "--out", "x.dyn"], "an extract already");
    refused(&["split", "look.dyn", "--parts", "2", "--out", "parts"], "this is an extract");
    std::fs::create_dir(at.join("both")).unwrap();
    for part in ["both/1.dyn", "both/2.dyn"] {
        std::fs::copy(at.join(if part == "both/1.dyn" { "look.dyn" } else { "whole.dyn" }), at.join(part)).unwrap();
    }
    refused(&["inspect", "both"], "it is an extract");
}

#[test]
fn the_parquet_table_has_every_span_with_its_types() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // Span 3 ("met Rome") is not recorded.
    let lines: String = jsonl(1).lines().filter(|l| !l.contains("\"guid\":3")).map(|l| format!("{l}\n")).collect();
    let files = vec![write(at, "x.jsonl", &lines)];
    let out = at.join("run.dyn");
    let conversion = conversion(files, Some(write(at, "train.json", CORPUS)), None);
    convert::write(convert::read(&conversion).unwrap(), &out).unwrap();
    let recording = Recording::open(&out).unwrap();
    let judge = recording.judge(Window::first_epochs(1), Metric::Aum).unwrap();
    let decided = BTreeMap::from([(1, Decision::Remove), (4, Decision::Relabel(2))]);
    let path = at.join("spans.parquet");
    SpanTable::new(&recording, &judge, &decided).write(&path, TableFormat::of(&path).unwrap()).unwrap();

    let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
    let rows: Vec<BTreeMap<String, Field>> =
        reader.get_row_iter(None).unwrap().map(|row| row.unwrap().into_columns().into_iter().collect()).collect();
    let column = |name: &str| -> Vec<Field> { rows.iter().map(|row| row[name].clone()).collect() };
    let texts = |values: [&str; 6]| values.map(|v| Field::Str(v.to_owned())).to_vec();
    assert_eq!(column("span_id"), [0, 1, 2, 3, 4, 5].map(Field::UInt));
    assert_eq!(column("sentence"), [0, 0, 0, 0, 0, 1].map(Field::UInt));
    assert_eq!(column("end"), [0, 1, 1, 2, 2, 0].map(Field::UInt));
    assert_eq!(column("text"), texts(["Ada", "Ada met", "met", "met Rome", "Rome", "so"]));
    assert_eq!(column("label"), texts(["PER", "O", "O", "O", "LOC", "O"]));
    assert_eq!(column("decision"), texts(["keep", "remove", "keep", "keep", "relabel:PER", "keep"]));
    assert!(column("gold").iter().all(|g| *g == Field::Null));
    for (id, row) in rows.iter().enumerate() {
        let expected = if id == 3 { Field::Null } else { Field::Float(judge.metrics.aum[id]) };
        assert_eq!(row["aum"], expected, "span {id}");
        let expected = if id == 3 { Field::Null } else { Field::Float(judge.metrics.trust[id]) };
        assert_eq!(row["trust"], expected, "span {id}");
        assert_eq!(row["correctness"], Field::UShort(judge.metrics.correctness[id]));
        // There is one epoch, so the margin is the AUM.
        let Field::ListInternal(margins) = &row["margins"] else { panic!("{:?}", row["margins"]) };
        let [Field::Float(margin)] = margins.elements() else { panic!("{margins:?}") };
        assert!(if id == 3 { margin.is_nan() } else { *margin == judge.metrics.aum[id] }, "span {id}: {margin}");
    }
    assert_eq!([&rows[3]["predicted"], &rows[3]["confidence"]], [&Field::Null; 2]);
    assert!(TableFormat::of(&at.join("spans.xlsx")).is_err());
}
