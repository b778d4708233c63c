use super::*;
use crate::corpus::Corpus;
use crate::formats::dynclean_json;
use crate::metrics::{Metrics, Window};
use crate::recording::dynamics::{Precision, RunInfo};

/// Spans of up to 2 tokens: 0 "Ada", 1 "Ada wrote", 2 "wrote", 3 "wrote Rome", 4 "Rome", 5 "it".
const CORPUS: &str = r#"[{"tokens": ["Ada", "wrote", "Rome"], "entities": [[0, 0, "PER"], [2, 2, "LOC"]]},
                         {"tokens": ["it"], "entities": []}]"#;

fn corpus(json: &str) -> Corpus {
    dynclean_json::read(json.as_bytes()).unwrap()
}

fn info() -> RunInfo {
    RunInfo { max_span_width: 2, ..RunInfo::default() }
}

fn record(mut recording: Recording, files: &[(&str, &str)]) -> Result<Recording, ImportError> {
    for (name, content) in files {
        read(content.as_bytes(), name, &mut recording)?;
    }
    Ok(recording)
}

fn with_corpus(files: &[(&str, &str)], labels: Option<&[String]>) -> Result<Imported, ImportError> {
    let corpus = corpus(CORPUS);
    let recording = record(Recording::of_spans(&corpus.span_index(2).unwrap()), files)?;
    Imported::new(recording, Some(Text { corpus, gold: None }), labels, info(), Precision::F32)
}

fn alone(files: &[(&str, &str)], labels: Option<&[String]>) -> Result<Imported, ImportError> {
    Imported::new(record(Recording::of_guids(), files)?, None, labels, info(), Precision::F32)
}

fn message<T: std::fmt::Debug>(result: Result<T, ImportError>) -> String {
    result.unwrap_err().to_string()
}

/// The paper's layout, with lines in any order. Index 1 is PER and 2 is LOC, which is not the alphabetical order.
fn paper(epoch: u32) -> String {
    let golds = [1, 0, 0, 0, 2, 0];
    let line = |guid: usize| {
        let (o, per, loc) = (guid as f64, guid as f64 + 0.5 * f64::from(epoch), -1.25);
        format!(r#"{{"guid":{guid},"gold":{},"logits_{epoch}":[{o},{per},{loc}]}}"#, golds[guid])
    };
    [4, 0, 1, 5, 3, 2].map(line).join("\n") + "\n"
}

#[test]
fn logits_are_put_into_the_order_of_the_corpus_labels() {
    let (second, first) = (paper(1), paper(0));
    // Epochs are sorted by number, whatever the order of the files.
    let files = [("d/dynamics_epoch_1.jsonl", second.as_str()), ("d/dynamics_epoch_0.jsonl", first.as_str())];
    let names = ["PER".to_owned(), "LOC".to_owned()];
    for labels in [None, Some(&names[..])] {
        let imported = with_corpus(&files, labels).unwrap();
        let d = &imported.dynamics;
        assert_eq!((imported.n_incomplete, d.run.epochs.len()), (0, 2));
        assert_eq!(d.corpus.labels.types(), ["LOC", "PER"]);
        assert_eq!(d.run.epochs[0].row(4), [0.0, -5.25, 0.0]);
        assert_eq!(d.run.epochs[1].row(4), [0.0, -5.25, 0.5]);
        assert_eq!(d.run.epochs[1].row(0), [0.0, -1.25, 0.5]);
    }
}

#[test]
fn a_corpus_that_does_not_fit_is_refused_with_span_and_labels() {
    let file = paper(1);
    let files = [("dynamics_epoch_1.jsonl", file.as_str())];
    let wrong = message(with_corpus(&files, Some(&["LOC".to_owned(), "PER".to_owned()])));
    assert!(
        wrong
            .contains("span 0 (sentence 0, tokens 0 to 0: \"Ada\") has label 1 in the recording, which stands for LOC")
            && wrong.contains("is PER in the corpus; 2 spans differ"),
        "{wrong}"
    );
    let positive = file.replace(r#""guid":5,"gold":0"#, r#""guid":5,"gold":2"#);
    let wrong = message(with_corpus(&[("f", &positive)], None));
    assert!(wrong.contains("span 5") && wrong.contains("sentence 1"), "{wrong}");
    let merged = file.replace(r#""gold":2"#, r#""gold":1"#).replace(r#""guid":0,"gold":1"#, r#""guid":0,"gold":0"#);
    assert!(message(with_corpus(&[("f", &merged)], None)).contains("span 0"));
    let more = file.replace("-1.25]", "-1.25,0]");
    let wrong = message(with_corpus(&[("f", &more)], None));
    assert!(wrong.contains("logits of 3 labels after O, of which 2 occur") && wrong.contains("--labels"), "{wrong}");
    let outside = file.replace(r#""guid":5"#, r#""guid":6"#);
    let wrong = message(with_corpus(&[("f", &outside)], None));
    assert!(wrong.starts_with("f, line 4: guid 6 is no span") && wrong.contains("0 to 5"), "{wrong}");
    assert!(message(with_corpus(&files, Some(&["LOC".to_owned()]))).contains("names 1, but the recording has 2"));
    assert!(message(with_corpus(&files, Some(&["LOC".to_owned(), "O".to_owned()]))).contains("index 0 already"));
}

#[test]
fn spans_without_a_record_are_flagged_and_counted() {
    let (first, second) = (paper(1), paper(2).replace("-1.25]}", "null]}"));
    let second: String = second.lines().filter(|l| !l.contains("\"guid\":3")).collect::<Vec<_>>().join("\n");
    let second = second.replace("null", "-1.25").replacen("-1.25", "null", 1);
    let imported = with_corpus(&[("a", &first), ("b", &second)], None).unwrap();
    assert_eq!((imported.n_incomplete, imported.n_not_finite), (1, 1));
    let d = &imported.dynamics;
    let assigned = d.corpus.dense_labels(&d.span_index().unwrap());
    let metrics = Metrics::compute(&d.run, &assigned, Window::first_epochs(2)).unwrap();
    let flagged: Vec<usize> = (0..6).filter(|&span| metrics.is_flagged(span)).collect();
    assert_eq!(flagged, [3, 4], "3 has no record at epoch 2, 4 a logit that is null");
    let first_epoch = Metrics::compute(&d.run, &assigned, Window::first_epochs(1)).unwrap();
    assert!((0..6).all(|span| !first_epoch.is_flagged(span)));
}

#[test]
fn values_that_are_no_numbers_are_counted_by_span() {
    let first: String = (0..70).map(|i| format!("{{\"guid\":\"g{i}\",\"gold\":1,\"logits_1\":[0,1]}}\n")).collect();
    let second = first.replace("logits_1", "logits_2");
    // One logit is null, all logits are null, or a number is too large. The span g3 is affected at both epochs.
    let first = first.replacen("\"g3\",\"gold\":1,\"logits_1\":[0,1]", "\"g3\",\"gold\":1,\"logits_1\":[null,1]", 1);
    let second = second
        .replacen("\"g3\",\"gold\":1,\"logits_2\":[0,1]", "\"g3\",\"gold\":1,\"logits_2\":[0,null]", 1)
        .replacen("\"g65\",\"gold\":1,\"logits_2\":[0,1]", "\"g65\",\"gold\":1,\"logits_2\":null", 1)
        .replacen("\"g69\",\"gold\":1,\"logits_2\":[0,1]", "\"g69\",\"gold\":1,\"logits_2\":[0,1e400]", 1);
    let refused = message(alone(&[("a", &first), ("b", &second)], None));
    assert!(refused.starts_with("b, line 70: number out of range"), "{refused}");
    let imported = alone(&[("a", &first), ("b", &second.replace("1e400", "1e300"))], None).unwrap();
    assert_eq!((imported.n_incomplete, imported.n_not_finite), (1, 3));
    let d = &imported.dynamics;
    let metrics = Metrics::compute(&d.run, &[1; 70], Window::first_epochs(2)).unwrap();
    let flagged: Vec<usize> = (0..70).filter(|&span| metrics.is_flagged(span)).collect();
    assert_eq!(flagged, [3, 65, 69]);
    let margins = alone(&[("full_aum_records.csv", RECORDS)], None).unwrap();
    assert_eq!((margins.n_incomplete, margins.n_not_finite), (0, 1));
    // The first span of a recording may have no value.
    let nothing_first = "{\"guid\":1,\"gold\":0,\"logits_1\":null}\n{\"guid\":2,\"gold\":1,\"logits_1\":[0,1]}\n";
    let imported = alone(&[("a", nothing_first)], None).unwrap();
    assert_eq!((imported.dynamics.corpus.n_sentences(), imported.n_not_finite), (2, 1));
    for word in ["NaN", "Infinity", "-Infinity"] {
        let line = format!("{{\"guid\":1,\"gold\":0,\"logits_1\":[0,{word}]}}");
        let refused = message(alone(&[("a", &line)], None));
        assert!(refused.starts_with("a, line 1: ") && refused.contains("write null"), "{refused}");
    }
}

#[test]
fn guids_are_named_as_they_stand_in_the_file() {
    let line = "{\"guid\":\"S0007-Q1\",\"gold\":1,\"logits_1\":[0,1]}\n";
    let unknown = message(with_corpus(&[("a", line)], None));
    assert!(unknown.contains("guid \"S0007-Q1\" is no span"), "{unknown}");
    let twice = message(alone(&[("a", &line.repeat(2))], None));
    assert!(
        twice.contains("guid \"S0007-Q1\" has a second record") && twice.contains("distributed sampler"),
        "{twice}"
    );
}

#[test]
fn gold_labels_come_along_and_unknown_spans_have_no_label_to_compare() {
    let with_unknown = r#"[{"tokens": ["Ada", "wrote", "Rome"], "entities": [[0, 0, "PER"]], "unknown": [[2, 2]]},
                           {"tokens": ["it"], "entities": [[0, 0, "LOC"]]}]"#;
    let corpus_with_unknown = corpus(with_unknown);
    let index = corpus_with_unknown.span_index(2).unwrap();
    let lines = paper(1).replace(r#""guid":5,"gold":0"#, r#""guid":5,"gold":2"#);
    let gold_of = |json: &str| Some(corpus(json));
    let join = |gold: Option<Corpus>| {
        let recording = record(Recording::of_spans(&index), &[("f", &lines)])?;
        let text = Some(Text { corpus: corpus_with_unknown.clone(), gold });
        Imported::new(recording, text, None, info(), Precision::F16)
    };
    let d = join(gold_of(CORPUS)).unwrap().dynamics;
    assert_eq!(d.dense_gold(&index).unwrap(), [2, 0, 0, 0, 1, 0]);
    assert_eq!(d.run.epochs[0].precision(), Precision::F16);
    let other = CORPUS.replace("LOC", "ORG");
    assert!(message(join(gold_of(&other))).contains("the gold corpus: entity type \"ORG\""));
}

#[test]
fn cartography_without_corpus_stands_for_itself() {
    let files = [
        (
            "training_dynamics/dynamics_epoch_0.jsonl",
            "{\"guid\":\"a\",\"logits_epoch_0\":[1.0,3.0],\"gold\":1}\n{\"guid\":7,\"logits_epoch_0\":[2,0.5],\"gold\":0.0}\n",
        ),
        // Guids in another order, and a new one.
        (
            "training_dynamics/dynamics_epoch_1.jsonl",
            "{\"guid\":7,\"logits_epoch_1\":[0,0.5],\"gold\":0}\n\n{\"guid\":\"new\",\"gold\":1,\"device\":{\"a\":[1]},\
             \"logits_epoch_1\":[0,1e-3]}\n{\"guid\":\"a\",\"logits_epoch_1\":[0,-1],\"gold\":1}",
        ),
    ];
    let imported = alone(&files, None).unwrap();
    let d = &imported.dynamics;
    let texts: Vec<_> = (0..3).map(|s| d.corpus.tokens.sentence(s).collect::<Vec<_>>().join("|")).collect();
    assert_eq!(texts, ["a", "7", "new"]);
    assert_eq!((d.info.max_span_width, d.corpus.labels.types()), (1, &["1".to_owned()][..]));
    assert_eq!(d.corpus.dense_labels(&d.span_index().unwrap()), [1, 0, 1]);
    assert_eq!([0, 1, 2].map(|s| d.run.epochs[1].row(s)[1]), [-1.0, 0.5, 1e-3]);
    assert!(d.run.epochs[0].row(2)[1].is_nan());
    assert_eq!(imported.n_incomplete, 1);
    let named = alone(&files, Some(&["entailment".to_owned()])).unwrap();
    assert_eq!(named.dynamics.corpus.labels.types(), ["entailment"]);
}

/// As the package writes it: sorted by sample and measurement, with the indices of targets in `target_logit`.
const RECORDS: &str = "sample_id,num_measurements,target_logit,target_val,other_logit,other_val,margin,aum\n\
                       a,1,1,2.0,2,3.0,-1.0,-1.0\n\
                       a,2,1,4.0,0,1.5,2.5,0.75\n\
                       \"b, c\",1,0,6.0,1,5.0,1.0,1.0\n\
                       \"b, c\",2,0,6.0,1,,,\n";

#[test]
fn aum_records_are_margins_per_measurement() {
    // The other release of the package: indices and values are swapped.
    let swapped = "sample_id,num_measurements,target_logit,target_val,other_logit,other_val,margin,aum\n\
                   a,1,2.0,1,3.0,2,-1.0,-1.0\na,2,4.0,1,1.5,0,2.5,0.75\n\
                   \"b, c\",1,6.0,0,5.0,1,1.0,1.0\n\"b, c\",2,6.0,0,,1,,\n";
    for table in [RECORDS, swapped] {
        let d = alone(&[("full_aum_records.csv", table)], None).unwrap().dynamics;
        let index = d.span_index().unwrap();
        let assigned = d.corpus.dense_labels(&index);
        assert_eq!((assigned.as_slice(), d.corpus.labels.types()), (&[1, 0][..], &["1".to_owned()][..]));
        let m = Metrics::compute(&d.run, &assigned, Window::first_epochs(2)).unwrap();
        assert_eq!((m.aum[0], m.correctness[0], m.forgetting[0]), (0.75, 1, 0));
        assert!(m.is_flagged(1) && !m.has_probabilities());
        assert_eq!(d.corpus.tokens.sentence(1).collect::<Vec<_>>(), ["b, c"]);
    }
}

#[test]
fn final_aums_are_one_epoch() {
    let imported = alone(&[("aum_values.csv", "sample_id,aum\nx,2.5\ny,-inf\nz,-0.25\n")], None).unwrap();
    let d = &imported.dynamics;
    assert_eq!((d.run.epochs.len(), d.corpus.labels.types()), (1, &["sample".to_owned()][..]));
    let m = Metrics::compute(&d.run, &[1, 1, 1], Window::first_epochs(1)).unwrap();
    assert_eq!((m.aum[0], m.is_flagged(1), m.aum[2]), (2.5, true, -0.25));

    let spans = "sample_id,aum\n4,-1\n0,2\n1,1\n2,1\n3,1\n5,1\n";
    let with_text = with_corpus(&[("aum_values.csv", spans)], None).unwrap().dynamics;
    assert_eq!(with_text.run.epochs[0].margin(4, 1), -1.0);
    assert_eq!(with_text.corpus.labels.types(), ["LOC", "PER"]);
}

#[test]
fn errors_name_file_line_and_what_to_do() {
    let first = r#"{"guid":0,"gold":1,"logits_1":[0,1]}"#;
    let second_line = |line: &str| message(alone(&[("x.jsonl", &format!("{first}\n{line}\n"))], None));
    for (line, expected) in [
        (r#"{"guid":1,"gold":1,"logits_1":[0,1]"#, "x.jsonl, line 2: EOF while parsing"),
        (r#"{"guid":1,"gold":1,"logits_1":[0,NaN]}"#, "or null"),
        (r#"{"guid":1,"gold":1,"logits_1":[0,"nan"]}"#, "expected a number, or null"),
        (r#"{"guid":1,"gold":1}"#, "missing field `logits_K`"),
        (r#"{"guid":1,"gold":1,"logits":[0,1]}"#, "does not end in its epoch"),
        (r#"{"gold":1,"logits_1":[0,1]}"#, "missing field `guid`"),
        (r#"{"guid":-1,"gold":1,"logits_1":[0,1]}"#, "expected a guid"),
        (r#"{"guid":1,"gold":"PER","logits_1":[0,1]}"#, "index of the assigned label"),
        (r#"{"guid":1,"gold":1.5,"logits_1":[0,1]}"#, "index of the assigned label"),
        (r#"{"guid":1,"gold":2,"logits_1":[0,1]}"#, "label 2, but labels are numbered 0 to 1"),
        (r#"{"guid":1,"gold":1,"logits_1":[0,1,2]}"#, "3 logits, but 2 in the lines before"),
        (r#"{"guid":1,"gold":1,"logits_1":[0,1],"logits_2":[0,1]}"#, "twice"),
        (r#"{"guid":0,"gold":1,"logits_1":[0,1]}"#, "guid 0 has a second record of epoch 1"),
        (r#"{"guid":0,"gold":0,"logits_2":[0,1]}"#, "the label of this guid is 0, but 1 in an earlier line"),
    ] {
        let found = second_line(line);
        assert!(found.starts_with("x.jsonl, line 2: ") && found.contains(expected), "{line}: {found}");
    }
    let by_name = message(alone(&[("dynamics_epoch_3.jsonl", first)], None));
    assert!(by_name.contains("line 1: logits of epoch 1, but the file's name says epoch 3"), "{by_name}");
    let gap = message(alone(&[("x", first), ("y", &first.replace("logits_1", "logits_3"))], None));
    assert_eq!(gap, "y, line 1: this is epoch 3, but epoch 2 is missing: give the files of all epochs");
    assert!(message(alone(&[("y", &first.replace("logits_1", "logits_3"))], None)).contains("epoch 0 or 1 is missing"));
    assert!(message(alone(&[("x", "")], None)).contains("empty"));
    assert!(message(alone(&[("x", "[{}]")], None)).contains("JSON array"));
    assert!(message(alone(&[("x", "a,b\n1,2\n")], None)).contains("layout is not known"));
    assert!(message(alone(&[("x", first), ("y", RECORDS)], None)).contains("margins and logits"));
    let cut = message(alone(&[("r.csv", &RECORDS[..RECORDS.len() - 8])], None));
    assert!(cut.starts_with("r.csv, line 5: ") && cut.contains("cut off"), "{cut}");
    let word = RECORDS.replace("2.5", "much");
    assert!(message(alone(&[("r.csv", &word)], None)).contains("r.csv, line 3: the margin is \"much\""));
}
