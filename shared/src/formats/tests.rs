//! Tests of all formats: detection, golden files, round trips, errors with lines, random corpora.

use proptest::prelude::*;

use super::brat::Document;
use super::*;

/// Entities as (sentence, surface, type), unknown spans as (sentence, surface).
type Seen = (Vec<(u32, String, String)>, Vec<(u32, String)>);

fn seen(corpus: &Corpus) -> Seen {
    let surface = |span| corpus.tokens.surface(span);
    let entities = corpus
        .entities
        .iter()
        .map(|e| (e.span.sentence, surface(e.span), corpus.labels.name(e.label).to_owned()))
        .collect();
    (entities, corpus.unknown.iter().map(|s| (s.sentence, surface(*s))).collect())
}

fn entities(corpus: &Corpus) -> Vec<(u32, String, String)> {
    seen(corpus).0
}

fn named(list: &[(u32, &str, &str)]) -> Vec<(u32, String, String)> {
    list.iter().map(|(s, a, b)| (*s, (*a).to_owned(), (*b).to_owned())).collect()
}

fn read_text(text: &str) -> Layers {
    read(text.as_bytes(), &ReadOptions::default()).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn text(written: &Written) -> &str {
    match &written.content {
        Content::Text(text) => text,
        Content::Documents(_) => panic!("brat"),
    }
}

fn write_text(corpus: &Corpus) -> String {
    text(&write(corpus, &WriteOptions::default())).to_owned()
}

fn json_values(text: &str) -> Vec<serde_json::Value> {
    serde_json::Deserializer::from_str(text).into_iter().map(|v| v.unwrap()).collect()
}

/// Removes the first entity, like a cleaning.
fn cleaned(corpus: &Corpus) -> Corpus {
    let mut corpus = corpus.clone();
    let removed = corpus.entities.remove(0);
    corpus.unknown.push(removed.span);
    corpus.unknown.sort_unstable();
    corpus
}

const CONLL: &str = "\u{feff}-DOCSTART- -X- O O\r\n\r\n# sentence 1\r\nEU NNP I-NP B-ORG\r\nrejects  VBZ I-VP O \r\n\
                     # N I-NP O\r\n𝒳x NN I-NP I-MISC\r\nİ NN I-NP I-MISC\r\n\r\n\r\n  \r\nPeter NNP I-NP I-PER\r\n\
                     Blackburn NNP I-NP I-PER";

#[test]
fn conll_comes_back_byte_by_byte_but_for_what_is_cleaned() {
    let corpus = read_text(CONLL).corpus;
    let expected = [(0, "EU", "ORG"), (0, "𝒳x İ", "MISC"), (1, "Peter Blackburn", "PER")];
    assert_eq!(entities(&corpus), named(&expected));
    assert_eq!(corpus.tokens.sentence(0).collect::<Vec<_>>(), ["EU", "rejects", "#", "𝒳x", "İ"]);
    assert_eq!(write_text(&corpus), CONLL);

    let cleaned = cleaned(&corpus);
    let with_mask = write(&cleaned, &WriteOptions::default());
    let expected = CONLL
        .replace("EU NNP I-NP B-ORG\r", "EU NNP I-NP O 1\r")
        .replace("VBZ I-VP O \r", "VBZ I-VP O 0 \r")
        .replace("# N I-NP O\r", "# N I-NP O 0\r")
        .replace("I-MISC\r\nİ NN I-NP I-MISC\r", "B-MISC 0\r\nİ NN I-NP I-MISC 0\r")
        .replace("I-PER\r\nBlackburn NNP I-NP I-PER", "I-PER 0\r\nBlackburn NNP I-NP I-PER 0");
    assert_eq!(text(&with_mask), expected);
    let again = read_text(text(&with_mask)).corpus;
    assert_eq!(seen(&again), seen(&cleaned));
    assert_eq!(write_text(&again), expected);

    let by_tag = WriteOptions { unknown: Some(UnknownAs::Tag("IGNORE".into())), ..WriteOptions::default() };
    // Written from the masked file too: the mask column is then left out.
    for corpus in [&cleaned, &again] {
        let written = write(corpus, &by_tag);
        assert!(text(&written).contains("EU NNP I-NP B-IGNORE\r\n"), "{}", text(&written));
        let again = read_text(text(&written)).corpus;
        assert_eq!(seen(&again), seen(&cleaned));
        assert_eq!(write_text(&again), text(&written), "the file's own way to mark stays");
    }
}

#[test]
fn every_scheme_is_recognised_read_and_written() {
    let tokens = ["a", "b", "c", "d", "e", "f"];
    let cases = [
        (Scheme::Iob1, ["I-X", "I-X", "B-X", "O", "I-Y", "I-Y"]),
        (Scheme::Iob2, ["B-X", "I-X", "B-X", "O", "B-Y", "I-Y"]),
        (Scheme::Iobes, ["B-X", "E-X", "S-X", "O", "B-Y", "E-Y"]),
        (Scheme::Bilou, ["B-X", "L-X", "U-X", "O", "B-Y", "L-Y"]),
    ];
    for (scheme, tags) in cases {
        let file: String = tokens.iter().zip(tags).map(|(token, tag)| format!("{token}\t{tag}\n")).collect();
        let Layers { corpus, notes, .. } = read_text(&file);
        assert!(matches!(&corpus.layout, Layout::Conll(layout) if layout.scheme == scheme), "{scheme:?}");
        assert_eq!(entities(&corpus), named(&[(0, "a b", "X"), (0, "c", "X"), (0, "e f", "Y")]), "{scheme:?}");
        assert!(notes.is_empty() && corpus.extra.is_empty(), "{scheme:?} is written as it was read");
        assert_eq!(write_text(&corpus), file);
    }
    let plain = read_text("a\tart-music\nb\tart-music\nc\tO\n\n").corpus;
    assert_eq!(entities(&plain), named(&[(0, "a b", "art-music")]));
    assert_eq!(write_text(&plain), "a\tart-music\nb\tart-music\nc\tO\n\n");
}

#[test]
fn tags_that_break_their_scheme_are_read_as_conlleval_does_and_kept() {
    let file = "a\tB-X\nb\tI-Y\nc\tO\nd\tI-X\n\ne\tB-X\n";
    let layers = read_text(file);
    assert_eq!(entities(&layers.corpus), named(&[(0, "a", "X"), (0, "b", "Y"), (0, "d", "X"), (1, "e", "X")]));
    assert!(layers.notes[0].contains("1 sentence"), "{:?}", layers.notes);
    assert_eq!(write_text(&layers.corpus), file);
}

#[test]
fn columns_are_chosen_by_number() {
    // As in GermEval: number, token, outer layer, inner layer.
    let file = "#\thttp://x\n1\tAda\tO\tB-PER\n2\twrote\tB-VRB\tO\n\n";
    let options = ReadOptions {
        token_column: Some(2),
        label: Some("3".into()),
        gold: Some("4".into()),
        ..ReadOptions::default()
    };
    let Layers { corpus, gold, .. } = read(file.as_bytes(), &options).unwrap();
    assert_eq!(entities(&corpus), named(&[(0, "wrote", "VRB")]));
    let gold = Corpus { entities: gold.unwrap(), ..corpus.clone() };
    assert_eq!(entities(&gold), named(&[(0, "Ada", "PER")]));
    assert_eq!(write_text(&corpus), file);
    assert!(write_text(&cleaned(&corpus)).contains("2\twrote\tO\tO\t1\n"));
}

#[test]
fn bond_needs_its_tag_ids_and_comes_back() {
    let file = r#"[{"str_words": ["Ada", "L.", "wrote"], "tags": [1, 2, 0], "tags_hp": [1, 1, 0]},
 {"str_words": [], "tags": [], "tags_hp": []}]"#;
    let error = read(file.as_bytes(), &ReadOptions::default()).unwrap_err();
    assert_eq!(error.line, 1);
    assert!(error.message.contains("--tags tag_to_id.json"), "{error}");
    let tags = Some(TagNames::read(br#"{"O": 0, "B-PER": 1, "I-PER": 2}"#).unwrap());
    let options = ReadOptions { tags, gold: Some("tags_hp".into()), ..ReadOptions::default() };
    let Layers { corpus, gold, .. } = read(file.as_bytes(), &options).unwrap();
    assert_eq!(entities(&corpus), named(&[(0, "Ada L.", "PER")]));
    assert_eq!(gold.unwrap().len(), 2);
    assert_eq!(json_values(&write_text(&corpus)), json_values(file));
    let cleaned = cleaned(&corpus);
    assert!(
        write_text(&cleaned).contains(r#""tags": [0, 0, 0], "tags_hp":[1, 1, 0], "unknown": [[0, 1]]"#)
            || write_text(&cleaned).contains(r#""tags": [0, 0, 0], "unknown": [[0, 1]], "tags_hp":[1, 1, 0]"#),
        "{}",
        write_text(&cleaned)
    );
    let by_tag = WriteOptions { unknown: Some(UnknownAs::Tag("IGNORE".into())), ..WriteOptions::default() };
    let written = write(&cleaned, &by_tag);
    assert!(text(&written).contains(r#""tags": [-100, -100, 0]"#), "{}", text(&written));
    assert_eq!(seen(&read(text(&written).as_bytes(), &options).unwrap().corpus), seen(&cleaned));
}

#[test]
fn json_lines_with_tags_keep_order_numbers_and_fields() {
    let file = "{\"id\": 12345678901234567890123, \"ner_tags\": [\"I-PER\", \"O\"], \"tokens\": [\"Ada 𝒳\", \"\"], \"x\": 1.0e5}\r\n\
                {\"tokens\": [\"b\"], \"ner_tags\": [\"B-PER\"]}\n";
    let corpus = read_text(file).corpus;
    assert_eq!(entities(&corpus), named(&[(0, "Ada 𝒳", "PER"), (1, "b", "PER")]));
    assert_eq!(write_text(&corpus), file.replace("\r\n", "\n"), "not even the number's digits change");
    let cleaned = cleaned(&corpus);
    assert!(
        write_text(&cleaned)
            .contains(r#""ner_tags": ["O", "O"], "tokens": ["Ada 𝒳", ""], "x": 1.0e5, "unknown": [[0, 0]]}"#)
    );
    assert_eq!(seen(&read_text(&write_text(&cleaned)).corpus), seen(&cleaned));
}

#[test]
fn raw_text_keeps_what_tokens_cannot_express() {
    let file = concat!(
        r#"{"text": "𝒳 Ada's dog\nin London.", "spans": [{"start": 2, "end": 5, "label": "PER"}, {"start": 14, "end": 17, "label": "HALF"}, {"start": 15, "end": 21, "label": "LOC", "meta": 1}], "answer": "accept"}"#,
        "\n",
        r#"{"text": "", "spans": []}"#,
        "\n"
    );
    let Layers { corpus, notes, .. } = read_text(file);
    assert_eq!(entities(&corpus), named(&[(0, "Ada", "PER"), (0, "London", "LOC")]), "{notes:?}");
    assert!(notes[0].starts_with("1 label off the token boundaries"), "{notes:?}");
    assert_eq!(json_values(&write_text(&corpus)), json_values(file));

    let mut cleaned = cleaned(&corpus);
    let label = corpus.labels.id("LOC").unwrap();
    cleaned.entities.push(Entity { span: crate::corpus::span::Span { sentence: 0, start: 3, end: 3 }, label });
    let written = write_text(&cleaned);
    let record = &json_values(&written)[0];
    assert_eq!(record["unknown"], serde_json::json!([[2, 5]]));
    let spans = record["spans"].as_array().unwrap();
    assert_eq!(spans[0], serde_json::json!({"start": 14, "end": 17, "label": "HALF"}), "kept although no token");
    assert_eq!(spans.last().unwrap(), &serde_json::json!({"start": 8, "end": 11, "label": "LOC"}));
    assert_eq!(seen(&read_text(&written).corpus).1, seen(&cleaned).1);
}

#[test]
fn white_space_at_the_ends_of_a_label_does_not_matter_but_parts_of_tokens_do() {
    let label = |start: usize, end: usize| {
        let file = format!(r#"{{"text": " Ada  wrote. ", "label": [[{start}, {end}, "X"]]}}"#);
        entities(&read_text(&file).corpus).pop().map(|e| e.1)
    };
    assert_eq!(label(0, 6).as_deref(), Some("Ada"));
    assert_eq!(label(0, 13).as_deref(), Some("Ada wrote ."));
    for (start, end) in [(2, 4), (1, 3), (0, 7), (4, 6), (5, 5), (12, 13), (0, 0)] {
        assert_eq!(label(start, end), None, "{start} {end}");
    }
}

#[test]
fn doccano_and_prodigy_shapes_are_read_and_relabelled() {
    let doccano = r#"{"id": 1, "text": "Ada wrote", "label": [[0, 3, "PER"]]}"#;
    let with_ids = r#"{"id": 1, "text": "Ada wrote", "entities": [{"id": 9, "label": "PER", "start_offset": 0, "end_offset": 3}], "relations": []}"#;
    let prodigy = r#"{"text": "Ada wrote", "tokens": [{"text": "Ada wrote", "start": 0, "end": 9, "id": 0}], "spans": [{"start": 0, "end": 9, "label": "PER", "token_start": 0, "token_end": 0}]}"#;
    for (file, surface) in [(doccano, "Ada"), (with_ids, "Ada"), (prodigy, "Ada wrote")] {
        let mut corpus = read_text(file).corpus;
        assert_eq!(entities(&corpus), named(&[(0, surface, "PER")]));
        assert_eq!(json_values(&write_text(&corpus)), json_values(file));
        corpus.labels = crate::corpus::labels::LabelSet::from_types(["ORG"]);
        assert_eq!(write_text(&corpus).trim(), file.replace("PER", "ORG"), "only the type changes");
    }
}

const LABEL_STUDIO: &str = r#"[{"id": 7, "data": {"text": "Ada met\nBob"}, "meta": {"n": 1.50},
 "annotations": [
  {"was_cancelled": true, "result": [{"type": "labels", "value": {"start": 0, "end": 3, "labels": ["X"]}}]},
  {"was_cancelled": false, "result": [
   {"id": "a", "type": "labels", "from_name": "ner", "to_name": "t", "value": {"start": 0, "end": 3, "text": "Ada", "labels": ["PER"]}},
   {"id": "b", "type": "labels", "from_name": "ner", "to_name": "t", "value": {"start": 4, "end": 7, "text": "Bob", "labels": ["PER"]}},
   {"type": "relation", "from_id": "a", "to_id": "b"}]}],
 "predictions": [{"score": 0.5, "result": [{"type": "labels", "value": {"start": 8, "end": 11, "labels": ["LOC"]}}]}]}]"#;

#[test]
fn label_studio_has_two_layers_and_comes_back() {
    let Layers { corpus, gold, notes } = read_text(LABEL_STUDIO);
    assert_eq!(entities(&corpus), named(&[(0, "Bob", "LOC")]));
    assert_eq!(entities(&Corpus { entities: gold.unwrap(), ..corpus.clone() }), named(&[(0, "Ada", "PER")]));
    assert!(notes[0].contains("predictions are taken as distant"), "{notes:?}");
    assert!(notes[1].starts_with("1 label "), "the text that a label names is not what its offsets say: {notes:?}");
    assert_eq!(json_values(&write_text(&corpus)), json_values(LABEL_STUDIO));

    let annotated = ReadOptions { label: Some("annotations".into()), ..ReadOptions::default() };
    let corpus = read(LABEL_STUDIO.as_bytes(), &annotated).unwrap().corpus;
    let cleaned = cleaned(&corpus);
    let written = write_text(&cleaned);
    let task = &json_values(&written)[0][0];
    assert_eq!(task["data"]["unknown"], serde_json::json!([[0, 3]]));
    assert_eq!(task["annotations"][1]["result"].as_array().unwrap().len(), 2, "one label fewer");
    assert_eq!(task["annotations"][0], json_values(LABEL_STUDIO)[0][0]["annotations"][0]);
    assert_eq!(seen(&read(written.as_bytes(), &annotated).unwrap().corpus), seen(&cleaned));

    let mut added = corpus.clone();
    added.entities.push(Entity { span: crate::corpus::span::Span { sentence: 0, start: 1, end: 1 }, label: 1 });
    let task = &json_values(&write_text(&added))[0][0];
    let new = &task["annotations"][1]["result"][3];
    assert_eq!((&new["from_name"], &new["value"]["text"]), (&"ner".into(), &"met".into()));
}

fn brat() -> Vec<Document> {
    vec![
        Document {
            name: "a/1".into(),
            text: "𝒳 Ada met Bob.\r\n\r\nThe United Kingdom".into(),
            annotations: "T1\tPER 2 5\tAda\nT3\tPER 10 13\tBob\nR1\tKnows Arg1:T1 Arg2:T3\n\
                          T4\tGPE 18 21;29 36\tThe Kingdom\nT5\tGPE 22 36\tUnited Kingdom\n#1\tAnnotatorNotes T5\tsic"
                .into(),
        },
        Document { name: "empty".into(), ..Document::default() },
    ]
}

#[test]
fn brat_changes_only_the_lines_of_cleaned_spans() {
    let Layers { corpus, notes, .. } = brat::read(&brat(), &ReadOptions::default()).unwrap();
    assert_eq!(corpus.n_sentences(), 3);
    assert_eq!(entities(&corpus), named(&[(0, "Ada", "PER"), (0, "Bob", "PER"), (1, "United Kingdom", "GPE")]));
    assert!(notes[0].starts_with("1 label off"), "{notes:?}");
    let documents = |corpus: &Corpus| match write(corpus, &WriteOptions::default()).content {
        Content::Documents(documents) => documents,
        Content::Text(text) => panic!("{text}"),
    };
    assert_eq!(documents(&corpus), brat());
    let mut cleaned = cleaned(&corpus);
    cleaned.unknown.push(crate::corpus::span::Span { sentence: 1, start: 0, end: 0 });
    let written = documents(&cleaned);
    let expected = brat()[0].annotations.replace("T1\tPER", "T1\tIGNORE") + "\nT6\tIGNORE 18 21\tThe\n";
    assert_eq!(written[0].annotations, expected);
    assert_eq!(seen(&brat::read(&written, &ReadOptions::default()).unwrap().corpus), seen(&cleaned));
    // The span is no entity any more, but it is not unknown either.
    let mut relabelled = corpus.clone();
    relabelled.entities.remove(0);
    let written = write(&relabelled, &WriteOptions::default());
    assert_eq!(written.notes, ["1 annotation referring to text-bound annotations that are no longer there"]);
    // In brat, a type is a single word.
    let labels = crate::corpus::labels::LabelSet::from_types(["GPE", "PER", "WORK OF ART"].map(String::from));
    let mut relabelled = corpus.with_labels(&labels).unwrap();
    relabelled.entities[0].label = 3;
    let written = documents(&relabelled);
    assert_eq!(written[0].annotations, brat()[0].annotations.replace("T1\tPER", "T1\tWORK_OF_ART"));
}

#[test]
fn formats_are_recognised() {
    let cases = [
        (r#"[{"tokens": ["a"], "entities": []}]"#, Format::DyncleanJson),
        (r#"{"tokens": ["a"], "entities": []}"#, Format::DyncleanJson),
        ("[]", Format::DyncleanJson),
        ("[\tO\n{\tO\n", Format::Conll),
        ("{ B-X", Format::Conll),
        (r#"[{"str_words": ["a"], "tags": [0]}]"#, Format::Bond),
        (r#"{"tokens": ["a"], "ner_tags": [0]}"#, Format::TagsJsonl),
        (r#"{"id": 1, "text": "a", "label": []}"#, Format::TextJsonl),
        (r#"{"text": "a", "tokens": [{"text": "a", "start": 0, "end": 1}], "spans": []}"#, Format::TextJsonl),
        (r#"[{"id": 1, "data": {"text": "a"}, "annotations": []}]"#, Format::LabelStudio),
    ];
    for (text, format) in cases {
        assert_eq!(detect(text.as_bytes()), Ok(format), "{text}");
        assert_eq!(detect(format!("\u{feff}\r\n{text}").as_bytes()), Ok(format), "{text}");
    }
}

#[test]
fn errors_name_the_line_and_the_remedy() {
    let cases: &[(&[u8], usize, &str)] = &[
        (b"", 1, "empty"),
        (b" \n\t\n", 1, "empty"),
        (b"a\tO\nb\xe9\tO\n", 2, "0xE9 is not UTF-8"),
        (b"\xff\xfea\0", 1, "UTF-16"),
        (b"word\nword\n", 1, "one column"),
        (b"a\tO\n\nb\n", 3, "1 column where 2 were expected"),
        (b"a\tO\nb\tB-X\nc\tPER\n", 3, "\"PER\" is not a tag"),
        (b"[{\"x\": 1}]", 1, "neither tokens nor text"),
        (b"[\n{\"tokens\": [\"a\"], \"entities\": []},\n{\"tokens\": [1], \"entities\": []}]", 3, "`tokens` as a list of words"),
        (b"{\"tokens\": [\"a\"], \"ner_tags\": [\"O\"]}\n{\"tokens\": [\"a\"], \"ner_tags\": []}", 2, "one tag per token"),
        (b"{\"tokens\": [\"a\"], \"ner_tags\": [\"O\"]}\n{\"tokens\": ", 2, "EOF"),
        (b"{\"tokens\": [\"a\"], \"ner_tags\": [\"O\"]}\n{\"tokens\": [\"a\"], \"ner_tags\": [{}]}", 2, "tag"),
        (b"{\"text\": \"a\"}", 1, "--label-column"),
        (b"{\"text\": \"a\", \"label\": [[0, 1, \"X\"]]}\n{\"text\": \"a\", \"label\": [[0, 2, \"X\"]]}", 2, "not inside the text of 1 character"),
        (b"{\"text\": \"a\", \"label\": [\"positive\"]}", 1, "expected {\"start\""),
        (b"{\"text\": \"a\", \"label\": [[0, 1, \"X\"], [0, 1, \"Y\"]]}", 1, "two labels"),
        (b"[{\"data\": {\"n\": 1}}]", 1, "no text"),
        (b"[{\"data\": {\"text\": \"a\"}, \"annotations\": [{\"result\": [\n{\"type\": \"labels\", \"value\": {\"start\": 0}}]}]}]", 2, "missing field"),
        (b"{\"tokens\": [\"a\"], \"tokens\": [\"a\"], \"ner_tags\": [\"O\"]}", 1, "twice"),
    ];
    for (bytes, line, part) in cases {
        let error = read(bytes, &ReadOptions::default()).expect_err(part);
        assert!(error.line == *line && error.message.contains(part), "{error} for {}", String::from_utf8_lossy(bytes));
    }
    let label = |label: &str| ReadOptions { label: Some(label.into()), ..ReadOptions::default() };
    for column in ["0", "3", "ner"] {
        assert!(read(b"a\tO\n", &label(column)).unwrap_err().message.contains("from 1 to 2"));
    }
    assert!(read(b"a\tO\n", &label("1")).unwrap_err().message.contains("both tokens and labels"));
    let mut bad = brat();
    bad[0].annotations = "T1\tPER 2 5\tAda\nT2\tPER x\n".into();
    let error = brat::read(&bad, &ReadOptions::default()).unwrap_err();
    assert!(error.line == 2 && error.message.contains("a/1.ann"), "{error}");
}

#[test]
fn a_label_given_twice_is_read_once_and_said() {
    let layers = read_text(r#"[{"tokens": ["a"], "entities": [[0, 0, "X"], [0, 0, "X"]]}]"#);
    assert_eq!(
        (layers.corpus.entities.len(), layers.notes.as_slice()),
        (1, &["1 label given twice to the same span; read once".to_owned()][..])
    );
}

#[test]
fn the_order_of_fields_of_dynclean_json_stays() {
    let file = "[\n{\"id\": 7, \"unknown\": [[0, 0]], \"entities\": [[1, 1, \"X\"]], \"tokens\": [\"a\", \"b\"]}\n]\n";
    assert_eq!(write_text(&read_text(file).corpus), file);
}

#[test]
fn what_a_format_cannot_hold_is_said() {
    let file = r#"[{"tokens": ["a", "b c", "", "d"], "entities": [[0, 1, "X"], [1, 1, "Y"], [3, 3, "X"]], "unknown": [[0, 0], [2, 3]], "id": 1},
                   {"tokens": [], "entities": []}]"#;
    let corpus = read_text(file).corpus;
    let as_format = |format| write(&corpus, &WriteOptions { format: Some(format), unknown: None });
    let conll = as_format(Format::Conll);
    assert_eq!(text(&conll), "a\tB-X\t0\nb c\tI-X\t0\n\tO\t1\nd\tB-X\t0\n");
    let starts = [
        "1 sentence with fields beyond",
        "1 entity overlapping",
        "2 unknown spans overlapping",
        "1 sentence without tokens",
    ];
    assert_eq!(conll.notes.len(), starts.len(), "{:?}", conll.notes);
    for (note, start) in conll.notes.iter().zip(starts) {
        assert!(note.starts_with(start), "{note}");
    }
    assert!(as_format(Format::TextJsonl).notes.len() == 1, "text with tokens holds everything but the id");
    assert_eq!(as_format(Format::LabelStudio).notes.len(), 2, "its text gives other tokens");
}

// ---------------------------------------------------------------- random corpora

/// A sentence: tokens, entities as (start, width, type), unknown spans as (start, width).
type RandomSentence = (Vec<String>, Vec<(usize, usize, usize)>, Vec<(usize, usize)>);

fn sentences(token: &'static str) -> impl Strategy<Value = Vec<RandomSentence>> {
    let entity = (0usize..8, 1usize..5, 0usize..3);
    let sentence = (
        proptest::collection::vec(token, 1..8),
        proptest::collection::vec(entity, 0..5),
        proptest::collection::vec((0usize..8, 1usize..4), 0..3),
    );
    proptest::collection::vec(sentence, 1..6)
}

/// Builds a corpus. If `nested`, entities may overlap; otherwise the first of overlapping spans is kept.
fn corpus(sentences: &[RandomSentence], nested: bool) -> Corpus {
    let mut builder = builder::Builder::new(false);
    for (tokens, entities, unknown) in sentences {
        let n = tokens.len();
        let mut used = vec![false; n + 1];
        let mut spans = std::collections::BTreeMap::new();
        let mut place = |start: usize, width: usize| {
            let (start, end) = (start % n, (start % n + width - 1).min(n - 1));
            // Unknown spans that touch would become one span, so they are kept apart.
            let free = !used[start..=end + 1].contains(&true) && (start == 0 || !used[start - 1]);
            if !nested && free {
                used[start..=end].fill(true);
            }
            (nested || free).then_some((start as u32, end as u32))
        };
        for &(start, width, kind) in entities {
            if let Some(span) = place(start, width) {
                spans.entry(span).or_insert(["PER", "work-of art", "Ж"][kind]);
            }
        }
        let unknown: std::collections::BTreeSet<(u32, u32)> = unknown
            .iter()
            .filter_map(|&(start, width)| place(start, width))
            .filter(|s| !spans.contains_key(s))
            .collect();
        builder
            .push(builder::Sentence {
                tokens: tokens.iter().map(|t| t.as_str().into()).collect(),
                entities: spans.into_iter().map(|((a, b), kind)| (a, b, kind.into())).collect(),
                unknown: unknown.into_iter().collect(),
                ..builder::Sentence::default()
            })
            .unwrap();
    }
    builder.finish(Layout::default()).unwrap().corpus
}

/// Writes in a format, reads back, and writes again: checks that the corpus and the bytes are the same.
fn there_and_back(corpus: &Corpus, format: Format, unknown: UnknownAs) -> Corpus {
    let written = write(corpus, &WriteOptions { format: Some(format), unknown: Some(unknown) });
    let Layout::Bond(TagJson { ids: Some(ids), .. }) = &written.layout else {
        return match &written.content {
            Content::Documents(documents) => {
                let back = brat::read(documents, &ReadOptions::default()).unwrap().corpus;
                assert_eq!(write(&back, &WriteOptions::default()).content, written.content);
                back
            }
            Content::Text(text) => {
                let options = ReadOptions { format: Some(format), ..ReadOptions::default() };
                let back = read(text.as_bytes(), &options).unwrap_or_else(|e| panic!("{e}\n{text}")).corpus;
                assert_eq!(&write_text(&back), text);
                back
            }
        };
    };
    let tags = Some(TagNames::from_list(ids.iter().map(|(_, name)| name.as_str())));
    read(text(&written).as_bytes(), &ReadOptions { tags, ..ReadOptions::default() }).unwrap().corpus
}

/// Checks that sentences, entities and unknown spans are the same, in any order.
fn assert_same(a: &Corpus, b: &Corpus, format: Format) {
    let sorted = |corpus: &Corpus| {
        let mut entities: Vec<_> =
            corpus.entities.iter().map(|e| (e.span, corpus.labels.name(e.label).to_owned())).collect();
        entities.sort();
        let mut unknown = corpus.unknown.clone();
        unknown.sort_unstable();
        (entities, unknown)
    };
    assert_eq!(a.tokens, b.tokens, "{format:?}");
    assert_eq!(sorted(a), sorted(b), "{format:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn formats_with_spans_hold_any_corpus(sentences in sentences("\\PC{0,4}|[\u{0}-\u{20}'’:._\u{a0}]{0,3}")) {
        let corpus = corpus(&sentences, true);
        for format in [Format::DyncleanJson, Format::TextJsonl] {
            assert_same(&there_and_back(&corpus, format, UnknownAs::Mask), &corpus, format);
        }
    }

    #[test]
    fn formats_with_tags_hold_any_corpus_without_overlaps(sentences in sentences("[^\\t\\n\\r-]{0,4}")) {
        let corpus = corpus(&sentences, false);
        for format in [Format::Conll, Format::Bond, Format::TagsJsonl] {
            for unknown in [UnknownAs::Mask, UnknownAs::Tag("IGNORE".into())] {
                assert_same(&there_and_back(&corpus, format, unknown), &corpus, format);
            }
        }
    }

    #[test]
    fn formats_of_text_hold_any_corpus_of_words(sentences in sentences("[a-zа-я]{1,6}")) {
        let mut corpus = corpus(&sentences, true);
        for format in [Format::LabelStudio, Format::Brat] {
            if format == Format::Brat {
                // Types have no spaces there.
                let types = corpus.labels.types().iter().map(|t| t.replace(' ', "_"));
                corpus.labels = crate::corpus::labels::LabelSet::from_types(types);
            }
            assert_same(&there_and_back(&corpus, format, UnknownAs::Mask), &corpus, format);
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}\":,0-9a-zB\\-\\\\ \t\n#O']{0,80}") {
        for format in Format::ALL.map(Some).into_iter().chain([None]) {
            let options = ReadOptions { format, ..ReadOptions::default() };
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                if let Ok(layers) = read(bytes, &options) {
                    write(&layers.corpus, &WriteOptions::default());
                }
            }
        }
    }
}
