//! Tests with files that are easily misread. They must be read correctly, or refused with a helpful message.

use super::*;

fn options() -> ReadOptions {
    ReadOptions::default()
}

fn layers(text: &str, options: &ReadOptions) -> Layers {
    read(text.as_bytes(), options).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// Entities as (sentence, surface, type).
fn entities_of(corpus: &Corpus) -> Vec<(u32, String, String)> {
    let entity = |e: &Entity| (e.span.sentence, corpus.tokens.surface(e.span), corpus.labels.name(e.label).to_owned());
    corpus.entities.iter().map(entity).collect()
}

type Expected<'e> = &'e [(u32, &'e str, &'e str)];

fn is(found: &Corpus, expected: &[(u32, &str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(s, a, b)| (*s, (*a).to_owned(), (*b).to_owned())).collect();
    assert_eq!(entities_of(found), expected);
}

fn reads(text: &str, expected: &[(u32, &str, &str)]) -> Layers {
    let layers = layers(text, &options());
    is(&layers.corpus, expected);
    layers
}

fn written(corpus: &Corpus) -> String {
    match write(corpus, &WriteOptions::default()).content {
        Content::Text(text) => text,
        Content::Documents(documents) => documents.into_iter().map(|d| d.annotations).collect(),
    }
}

#[track_caller]
fn refused_with(bytes: &[u8], options: &ReadOptions, parts: &[&str]) {
    let text = String::from_utf8_lossy(bytes);
    let error = match read(bytes, options) {
        Ok(layers) => panic!("read as {:?} with {:?}: {text}", entities_of(&layers.corpus), layers.notes),
        Err(error) => error.to_string(),
    };
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in: {error}\n{text}");
    }
}

#[track_caller]
fn refused(text: &str, parts: &[&str]) {
    refused_with(text.as_bytes(), &options(), parts);
}

#[track_caller]
fn noted(layers: &Layers, parts: &[&str]) {
    let notes = layers.notes.join("\n");
    for part in parts {
        assert!(notes.contains(part), "{part:?} is not in the notes: {notes}");
    }
}

/// Rows of a token and a tag. An empty tag ends a sentence.
fn rows(tags: &[&str]) -> String {
    let row = |(i, tag): (usize, &&str)| if tag.is_empty() { "\n".to_owned() } else { format!("t{i}\t{tag}\n") };
    tags.iter().enumerate().map(row).collect()
}

// ---------------------------------------------------------------- schemes of tags

#[test]
fn every_way_to_write_a_tag_is_read_and_written_back() {
    let xy: Expected = &[(0, "t0 t1", "PER"), (0, "t3", "LOC")];
    let cases: &[(&[&str], Expected)] = &[
        (&["PER-B", "PER-I", "O", "LOC-B"], xy),
        (&["PER-B", "PER-E", "O", "LOC-S"], xy),
        (&["b-PER", "i-PER", "o", "b-LOC"], xy),
        (&["b-PER", "i-PER", "O", "b-LOC"], xy),
        (&["B_PER", "I_PER", "O", "B_LOC"], xy),
        (&["PER_B", "PER_I", "O", "LOC_B"], xy),
        (&["B:PER", "I:PER", "O", "B:LOC"], xy),
        (&["PER/B", "PER/I", "O", "LOC/B"], xy),
        (&["(PER*", "*)", "*", "(LOC)"], xy),
        (&["(PER*", "*)", "*", "(LOC*)"], xy),
        (
            &["B-PER", "E-PER", "O", "W-LOC", "O", "B-X", "M-X", "E-X"],
            &[(0, "t0 t1", "PER"), (0, "t3", "LOC"), (0, "t5 t6 t7", "X")],
        ),
        (
            &["B-PER", "E-PER", "O", "S-LOC", "O", "B-X", "M-X", "E-X"],
            &[(0, "t0 t1", "PER"), (0, "t3", "LOC"), (0, "t5 t6 t7", "X")],
        ),
        // A type may look like a prefix if the other labels do not.
        (&["E-mail", "E-mail", "O", "person"], &[(0, "t0 t1", "E-mail"), (0, "t3", "person")]),
        (&["E-mail", "O", "O", "E-mail"], &[(0, "t0", "E-mail"), (0, "t3", "E-mail")]),
        (&["per", "per", "o", "loc"], &[(0, "t0 t1", "per"), (0, "t3", "loc")]),
        (&["B-HLA-B", "I-HLA-B", "O", "B-HLA-A"], &[(0, "t0 t1", "HLA-B"), (0, "t3", "HLA-A")]),
    ];
    for (tags, expected) in cases {
        let file = rows(tags);
        let layers = reads(&file, expected);
        assert!(layers.notes.is_empty(), "{tags:?}: {:?}", layers.notes);
        assert_eq!(written(&layers.corpus), file);
        let json = format!(
            "{{\"tokens\": {}, \"ner_tags\": {}}}\n",
            json::array((0..tags.len()).map(|i| json::string(&format!("t{i}")))),
            json::array(tags.iter().map(|tag| json::string(tag)))
        );
        let layers = reads(&json, expected);
        assert_eq!(written(&layers.corpus), json);
    }
}

#[test]
fn changed_sentences_get_tags_in_the_spelling_of_the_file() {
    let cases: &[(&[&str], &[&str])] = &[
        (&["PER-B", "PER-I", "O", "PER-B"], &["O", "O", "LOC-B", "LOC-I"]),
        (&["b-PER", "i-PER", "o", "b-PER"], &["o", "o", "b-LOC", "i-LOC"]),
        (&["B_PER", "I_PER", "O", "B_PER"], &["O", "O", "B_LOC", "I_LOC"]),
        (&["(PER*", "*)", "*", "(PER)"], &["*", "*", "(LOC*", "*)"]),
        (&["B-PER", "M-PER", "E-PER", "O"], &["O", "O", "B-LOC", "E-LOC"]),
        (&["B", "I", "O", "B"], &["O", "O", "B-LOC", "I-LOC"]),
    ];
    for (tags, expected) in cases {
        let mut corpus = layers(&rows(tags), &options()).corpus;
        corpus.labels = crate::corpus::labels::LabelSet::from_types(["LOC"]);
        corpus.entities = vec![Entity { span: crate::corpus::span::Span { sentence: 0, start: 2, end: 3 }, label: 1 }];
        assert_eq!(written(&corpus), rows(expected));
        corpus.unknown = vec![crate::corpus::span::Span { sentence: 0, start: 0, end: 0 }];
        let by_tag = WriteOptions { unknown: Some(UnknownAs::Tag("IGNORE".into())), ..WriteOptions::default() };
        if tags[0] == "B" {
            // Not for untyped tags: a label without a type must be the only label of its file.
            continue;
        }
        let Content::Text(text) = write(&corpus, &by_tag).content else { panic!("one file") };
        let again = layers(&text, &options()).corpus;
        assert_eq!((&again.entities, &again.unknown), (&corpus.entities, &corpus.unknown), "{text}");
    }
}

#[test]
fn tags_without_a_type_are_one_type_and_said() {
    let file = rows(&["B", "I", "O", "B"]);
    let layers = reads(&file, &[(0, "t0 t1", "ENTITY"), (0, "t3", "ENTITY")]);
    noted(&layers, &["no types", "B, I", "ENTITY"]);
    assert_eq!(written(&layers.corpus), file);
    let mut cleaned = layers.corpus.clone();
    cleaned.unknown.push(cleaned.entities.remove(0).span);
    for unknown in [UnknownAs::Mask, UnknownAs::Tag("IGNORE".into())] {
        let Content::Text(text) =
            write(&cleaned, &WriteOptions { unknown: Some(unknown), ..WriteOptions::default() }).content
        else {
            panic!("one file")
        };
        let again = super::read(text.as_bytes(), &options()).unwrap().corpus;
        assert_eq!(entities_of(&again), entities_of(&cleaned), "{text}");
        assert_eq!(again.unknown, cleaned.unknown, "{text}");
    }
    reads(&rows(&["i", "i", "o", "b"]), &[(0, "t0 t1", "ENTITY"), (0, "t3", "ENTITY")]);
    refused(&rows(&["B-PER", "I-PER", "O", "B-"]), &["\"B-\"", "no type"]);
    refused(&rows(&["B-PER", "I-PER", "O", "B"]), &["\"B\"", "no type"]);
}

#[test]
fn what_is_no_tag_is_refused_in_words() {
    // A mask of one type, and ids.
    refused(&rows(&["1", "0", "0", "1"]), &["numbers", "--tags"]);
    refused(&rows(&["12", "3", "0", "1"]), &["numbers", "--tags"]);
    // Annotations that are not entities: no token is outside.
    refused(&rows(&["NNP", "VBZ", "DT", "NN", "", "NNP"]), &["no O", "--label-column"]);
    refused(&rows(&["-", "(12", "12)", "-"]), &["no O", "--label-column"]);
    // Some labels look like tags with begin and inside, but others do not.
    refused(&rows(&["PER-B", "PER-I", "O", "misc"]), &["PER-B", "PER-I"]);
    refused(&rows(&["HLA-B", "O", "O", "HLA-B"]), &["HLA-B"]);
    // Lemmas or words: nearly as many types as tokens.
    let words: String =
        (0..100).map(|i| format!("w{i}\t{}\n", if i % 2 == 0 { "O".into() } else { format!("l{i}") })).collect();
    refused(&words, &["50 types", "--label-column"]);
    let json: Vec<String> = (0..100).map(|i| if i % 2 == 0 { "\"O\"".into() } else { format!("\"l{i}\"") }).collect();
    refused(&format!("{{\"tokens\": [{0}], \"tags\": [{0}]}}", json.join(", ")), &["50 types", "--label-column"]);
    // Tags of two spellings.
    refused(&rows(&["B-PER", "O", "b-LOC", "O"]), &["b-LOC"]);
}

#[test]
fn whoever_knows_the_scheme_names_it() {
    let plain = ReadOptions { scheme: Some(Scheme::Plain), ..options() };
    is(&layers(&rows(&["NNP", "VBZ", "DT"]), &plain).corpus, &[(0, "t0", "NNP"), (0, "t1", "VBZ"), (0, "t2", "DT")]);
    is(&layers(&rows(&["HLA-B", "O", "O", "HLA-B"]), &plain).corpus, &[(0, "t0", "HLA-B"), (0, "t3", "HLA-B")]);
    is(&layers(&rows(&["1", "1", "O"]), &plain).corpus, &[(0, "t0 t1", "1")]);
    let bio = ReadOptions { scheme: Some(Scheme::Iob2), ..options() };
    is(&layers(&rows(&["HLA-B", "O", "O", "HLA-B"]), &bio).corpus, &[(0, "t0", "HLA"), (0, "t3", "HLA")]);
    is(&layers(&rows(&["I-PER", "I-PER", "O"]), &bio).corpus, &[(0, "t0 t1", "PER")]);
    refused_with(rows(&["1", "O"]).as_bytes(), &bio, &["\"1\" is not a tag"]);
}

#[test]
fn ids_are_read_by_their_names_in_whatever_spelling() {
    let tags = || Some(TagNames::from_list(["O", "B-PER", "I-PER"]));
    let named = ReadOptions { tags: tags(), ..options() };
    for ids in [r#"[1, 2, 0]"#, r#"["1", "2", "0"]"#, "[1.0, 2.0, 0.0]"] {
        let file = format!("{{\"tokens\": [\"Ada\", \"L.\", \"wrote\"], \"ner_tags\": {ids}}}\n");
        refused(&file, &["--tags"]);
        let layers = layers(&file, &named);
        is(&layers.corpus, &[(0, "Ada L.", "PER")]);
        assert_eq!(written(&layers.corpus), file);
        let mut cleaned = layers.corpus;
        cleaned.unknown.push(cleaned.entities.remove(0).span);
        let zeros = ids.replace(['1', '2'], "0").replace("0.0", "0");
        assert!(written(&cleaned).contains(&format!("\"ner_tags\": {zeros}")), "{}", written(&cleaned));
    }
    let both = "{\"tokens\": [\"a\", \"b\"], \"ner_tags\": [\"B-PER\", 0]}";
    refused_with(both.as_bytes(), &named, &["names", "ids"]);
    // A number among names is not an id.
    let among = "{\"tokens\": [\"a\", \"b\"], \"ner_tags\": [\"B-PER\", \"0\"]}";
    refused_with(among.as_bytes(), &named, &["\"0\" is not a tag"]);
    let unknown = layers("{\"tokens\": [\"a\", \"b\"], \"ner_tags\": [\"1\", \"-100\"]}", &named).corpus;
    assert_eq!(unknown.unknown.len(), 1);
    let file = rows(&["1", "2", "0", "1"]);
    let columns = layers(&file, &named);
    is(&columns.corpus, &[(0, "t0 t1", "PER"), (0, "t3", "PER")]);
    assert_eq!(written(&columns.corpus), file);
    let mut cleaned = columns.corpus;
    cleaned.entities.remove(0);
    assert_eq!(written(&cleaned), rows(&["0", "0", "0", "1"]));
    refused_with(rows(&["7"]).as_bytes(), &named, &["line 1", "7", "--tags"]);
}

#[test]
fn the_names_of_a_data_set_are_found() {
    let expected = TagNames::from_list(["O", "B-PER", "I-PER"]);
    for text in [
        r#"{"features": {"tokens": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "Sequence"}, "ner_tags": {"feature": {"names": ["O", "B-PER", "I-PER"], "_type": "ClassLabel"}, "_type": "Sequence"}}}"#,
        r#"{"default": {"features": {"ner_tags": {"feature": {"num_classes": 3, "names": ["O", "B-PER", "I-PER"], "_type": "ClassLabel"}}}}}"#,
    ] {
        assert_eq!(TagNames::read(text.as_bytes()).unwrap(), expected);
    }
    let two = r#"{"features": {"pos": {"feature": {"names": ["N"]}}, "ner": {"feature": {"names": ["O"]}}}}"#;
    let error = TagNames::read(two.as_bytes()).unwrap_err().message;
    assert!(error.contains("pos") && error.contains("ner"), "{error}");
}

#[test]
fn headers_and_comments_are_no_tokens() {
    let hipe = "TOKEN\tNE-COARSE\tMISC\n# hipe:document_id = a1\nAda\tB-pers\t_\nL.\tI-pers\t_\nin\tO\tEndOfSentence\n";
    let second = ReadOptions { label: Some("2".into()), ..options() };
    let layers = layers(hipe, &second);
    is(&layers.corpus, &[(0, "Ada L.", "pers")]);
    noted(&layers, &["TOKEN"]);
    assert_eq!(written(&layers.corpus), hipe);
    // The last column does not hold tags, and the error names the column that does.
    refused(hipe, &["column 3", "no O", "column 2"]);
    for header in ["word\ttag\n", "tokens\tner_tags\n\n", "Sentence\tLabel\n"] {
        let file = format!("{header}Ada\tPER\nwrote\tO\n\nAda\tPER\n");
        let layers = reads(&file, &[(0, "Ada", "PER"), (1, "Ada", "PER")]);
        assert_eq!(written(&layers.corpus), file);
        noted(&layers, &["header"]);
    }
    let blanks = "# id = 7 x\nAda NNP B-NP PER\nwrote V B-VP O\n# text = O\n# # x PER\n";
    reads(blanks, &[(0, "Ada", "PER"), (1, "#", "PER")]);
}

#[test]
fn tags_inside_a_column_of_other_things_are_found() {
    let conllu = "# sent_id = 1\n# text = Ada slept.\n\
                  1\tAda\tAda\tPROPN\t_\t_\t2\tnsubj\t_\tname=B-PER\n\
                  2\tslept\tsleep\tVERB\t_\t_\t0\troot\t_\tSpaceAfter=No|name=O\n\
                  3\t.\t.\tPUNCT\t_\t_\t2\tpunct\t_\tname=O|X=y\n\n";
    let layers = reads(conllu, &[(0, "Ada", "PER")]);
    noted(&layers, &["name="]);
    assert_eq!(layers.corpus.tokens.sentence(0).collect::<Vec<_>>(), ["Ada", "slept", "."]);
    assert_eq!(written(&layers.corpus), conllu);
    let mut cleaned = layers.corpus;
    cleaned.entities.clear();
    assert_eq!(written(&cleaned), conllu.replace("name=B-PER", "name=O"));
    refused(&conllu.replace("name=O|X=y", "_"), &["line 5", "name="]);
}

// ---------------------------------------------------------------- JSON of other shapes, and files that are no text

#[test]
fn spacys_pairs_and_documents_are_read_and_written_back() {
    let array = "[\n[\"Ada met Bob\", {\"entities\": [[0, 3, \"PER\"], [8, 11, \"PER\"]]}],\n[\"It rained\", {\"entities\": []}]\n]\n";
    let lines =
        "[\"Ada met Bob\", {\"entities\": [[0, 3, \"PER\"], [8, 11, \"PER\"]]}]\n[\"It rained\", {\"entities\": []}]\n";
    for file in [array, lines] {
        let corpus = reads(file, &[(0, "Ada", "PER"), (0, "Bob", "PER")]).corpus;
        assert_eq!(corpus.n_sentences(), 2);
        assert_eq!(written(&corpus), file);
        let mut cleaned = corpus.clone();
        cleaned.unknown.push(cleaned.entities.remove(0).span);
        let expected = file.replace("[0, 3, \"PER\"], ", "").replacen("]}", "], \"unknown\": [[0, 3]]}", 1);
        assert_eq!(written(&cleaned), expected);
        assert_eq!(layers(&expected, &options()).corpus.unknown, cleaned.unknown);
    }
    let document = r#"{"text": "Ada met", "ents": [{"start": 0, "end": 3, "label": "PER"}], "tokens": [{"id": 0, "start": 0, "end": 3}, {"id": 1, "start": 4, "end": 7}]}"#;
    reads(document, &[(0, "Ada", "PER")]);
    reads(r#"{"words": ["Ada", "met"], "ner": ["B-PER", "O"]}"#, &[(0, "Ada", "PER")]);
}

#[test]
fn json_is_never_columns() {
    for (text, parts) in [
        (r#"["Ada met Bob", "It rained"]"#, &["list of strings"][..]),
        ("[\n  \"Ada met Bob\",\n  \"It rained\"\n]\n", &["list of strings"]),
        ("[1, 2, 3]", &["list of numbers"]),
        (r#"[["Ada", "B-PER"], ["met", "O"]]"#, &["list of lists"]),
        (r#"[[["Ada", "B-PER"], ["met", "O"]]]"#, &["list of lists"]),
        (r#"[["Ada met", {"cats": {}}]]"#, &["without `entities`"]),
        ("{\n  \"version\": 1,\n  \"rows\": [\n    {\"text\": \"a\"}\n  ]\n}\n", &["`rows`", "jq"]),
        (
            r#"{"classes": ["PER"], "annotations": [["Ada met", {"entities": [[0, 3, "PER"]]}], null]}"#,
            &["`annotations`", "jq"],
        ),
        (r#"{"train": [{"tokens": ["a"]}], "test": [{"tokens": ["a"]}]}"#, &["`train`", "splits"]),
        (r#"{"tokens": [["Ada"], ["met"]], "ner_tags": [["B-PER"], ["O"]]}"#, &["columns of a table", "from_dict"]),
        (r#"[{"id": 0, "paragraphs": [{"sentences": []}]}]"#, &["spaCy", "version 2"]),
        (r#"{"a": {"text": "x"}}"#, &["one object that holds others"]),
        (r#"{"words": "a", "x": 1}"#, &["`words`, `x`"]),
        ("[{'tokens': ['Ada'], 'entities': []}]", &["Python's notation", "json.dump", "; expected DynClean JSON"]),
        ("{'tokens': ['Ada'], 'entities': []}", &["Python's notation"]),
        ("[('Ada', {'entities': []})]", &["Python's notation"]),
        ("[{\"tokens\": [\"Ada\"]", &["record 1"]),
    ] {
        refused(text, parts);
    }
    // Columns whose first token is a bracket.
    for columns in
        ["[\tO\n1\tO\n]\tO\n", "[1]\tO\nAda\tB-PER\n", "{\" -X- O\n", "[ -LRB- O\n", "[\"\tO\n", "[\"\tO\t1\n"]
    {
        assert_eq!(detect(columns.as_bytes()), Ok(Format::Conll), "{columns}");
    }
}

#[test]
fn files_of_other_kinds_are_named_with_the_way() {
    for (bytes, parts) in [
        (&b"PAR1\x15\x04\x15\xff"[..], ["Parquet", "`trainer`"]),
        (b"ARROW1\0\0\xff\xff", ["Arrow", "to_parquet"]),
        (b"\xff\xff\xff\xff\x10\x01", ["Arrow", "to_parquet"]),
        (b"x\x9c\xab\xff", ["DocBin", "dynclean.from_spacy"]),
        (b"\x1f\x8b\x08\x00", ["gzip", "unpack"]),
        (b"PK\x03\x04\x14", ["zip", "unpack"]),
    ] {
        refused_with(bytes, &options(), &parts);
        assert_eq!(detect(bytes).unwrap_err(), read(bytes, &options()).unwrap_err());
    }
}

#[test]
fn errors_in_one_line_of_json_name_the_record() {
    let good = r#"{"id": "d-7", "text": "Ada", "label": []}"#;
    for (text, parts) in [
        (format!(r#"[{good}, {{"id": "d-8", "text": "Ada", "label": [[0, 9, "X"]]}}]"#), &["record 2 (id \"d-8\")", "[0, 9]"][..]),
        (format!(r#"[{good}, {{"id": 12, "label": []}}]"#), &["record 2 (id 12)", "missing field `text`"]),
        (format!(r#"[{good}, {{"text": 3, "label": []}}]"#), &["record 2:", "`text` as a string"]),
        (format!(r#"[{good}, {{"text": }}]"#), &["record 2, column"]),
        (r#"[{"str_words": ["a"], "tags": ["O"]}, {"str_words": ["a"], "tags": []}]"#.into(), &["record 2", "one tag per token"]),
        (r#"[{"id": 5, "data": {"text": "a"}, "annotations": [{"result": [{"type": "labels", "value": {"start": "x"}}]}]}]"#.into(), &["record 1 (id 5)"]),
        (r#"[{"tokens": ["a"], "entities": []}, {"guid": "x", "tokens": ["a"], "entities": [[0, 3, "X"]]}]"#.into(), &["record 2 (guid \"x\")", "[0, 3]"]),
        (format!("{good} {{\"text\": 3, \"label\": []}}"), &["record 2:"]),
    ] {
        refused(&text, parts);
    }
    // In JSON Lines, the line number is enough.
    let error = read(format!("{good}\n{{\"text\": 3}}\n").as_bytes(), &options()).unwrap_err();
    assert!(error.line == 2 && !error.message.contains("record"), "{error}");
}

#[test]
fn further_fields_that_are_none_leave_json_whole() {
    let mut corpus = layers(r#"[{"tokens": ["a"], "entities": []}]"#, &options()).corpus;
    for (extra, expected) in [
        ("{}", r#"{"tokens": ["a"], "entities": []}"#),
        ("", r#"{"tokens": ["a"], "entities": []}"#),
        ("{\"x\"", r#"{"tokens": ["a"], "entities": []}"#),
        ("[1]", r#"{"tokens": ["a"], "entities": []}"#),
        (r#"{"x": 1, "entities": 2}"#, r#"{"tokens": ["a"], "entities": [], "x":1}"#),
    ] {
        corpus.extra = vec![(0, extra.to_owned())];
        assert_eq!(written(&corpus), format!("[\n{expected}\n]\n"), "{extra}");
    }
}

// ---------------------------------------------------------------- labels and their text

fn document(text: &str, annotations: &str) -> Vec<brat::Document> {
    vec![brat::Document { name: "d".into(), text: text.into(), annotations: annotations.into() }]
}

#[test]
fn brats_offsets_are_compared_with_the_text_of_their_lines() {
    let lines = ["Ann saw Bob", "Eve met Joe", "Tim led Ron"];
    let crlf = lines.join("\r\n");
    let lf = lines.join("\n");
    let smile = "😀 Ann met Ron";
    let cases = [
        // Offsets as they should be.
        (crlf.as_str(), "T1\tPER 0 3\tAnn\nT2\tPER 34 37\tRon\n", ""),
        // CR LF counted as one; LF as two; line ends not counted.
        (&crlf, "T1\tPER 0 3\tAnn\nT2\tPER 32 35\tRon\n", "CR LF as one"),
        (&lf, "T1\tPER 0 3\tAnn\nT2\tPER 34 37\tRon\n", "line ends as two"),
        (&lf, "T1\tPER 0 3\tAnn\nT2\tPER 30 33\tRon\n", "without line ends"),
        (smile, "T1\tPER 3 6\tAnn\nT2\tPER 11 14\tRon\n", "UTF-16"),
        (smile, "T1\tPER 5 8\tAnn\nT2\tPER 13 16\tRon\n", "bytes"),
    ];
    for (text, annotations, said) in cases {
        let documents = document(text, annotations);
        let layers = brat::read(&documents, &options()).unwrap();
        let surfaces: Vec<String> = entities_of(&layers.corpus).into_iter().map(|e| e.1).collect();
        assert_eq!(surfaces, ["Ann", "Ron"], "{annotations}");
        match said {
            "" => assert_eq!(layers.notes, [""; 0]),
            said => noted(&layers, &[said, "d.ann"]),
        }
        assert_eq!(written(&layers.corpus), annotations);
        // A new line uses the same way of counting.
        let mut cleaned = layers.corpus.clone();
        let gone = cleaned.entities.remove(1).span;
        cleaned.entities.push(Entity { span: crate::corpus::span::Span { start: gone.start, ..gone }, label: 1 });
        assert_eq!(written(&cleaned), annotations);
        let mut moved = layers.corpus.clone();
        moved.entities[1].span.start -= 1;
        let Content::Documents(again) = write(&moved, &WriteOptions::default()).content else { panic!("documents") };
        assert_eq!(entities_of(&brat::read(&again, &options()).unwrap().corpus), entities_of(&moved));
    }
    // No way of counting fits all labels: the label that does not fit is left out and named.
    let layers = brat::read(&document(&lf, "T1\tPER 0 3\tAnn\nT2\tPER 28 31\tRon\n"), &options()).unwrap();
    is(&layers.corpus, &[(0, "Ann", "PER")]);
    noted(&layers, &["1 label left out", "d.ann, line 2", "\"Ron\"", "\"led\""]);
    assert_eq!(written(&layers.corpus), "T1\tPER 0 3\tAnn\nT2\tPER 28 31\tRon\n");
    // Two ways of counting fit, but give different places.
    let twice = "😀😀 Ron Ron so on";
    let layers = brat::read(&document(twice, "T1\tPER 9 12\tRon\n"), &options()).unwrap();
    is(&layers.corpus, &[]);
    noted(&layers, &["1 label left out"]);
    let past = brat::read(&document("Ann", "T1\tPER 0 40\tAnn\n"), &options()).unwrap_err();
    assert!(past.line == 1 && past.message.contains("d.ann"), "{past}");
}

#[test]
fn labels_in_json_are_compared_with_the_text_they_give() {
    let task = |text: &str, regions: &str| {
        format!(r#"[{{"id": 3, "data": {{"text": "{text}"}}, "annotations": [{{"result": [{regions}]}}]}}]"#)
    };
    let region = |start: usize, end: usize, text: &str| {
        format!(
            r#"{{"type": "labels", "from_name": "l", "to_name": "t", "value": {{"start": {start}, "end": {end}, "text": "{text}", "labels": ["PER"]}}}}"#
        )
    };
    let units = task("😀 Ann met Ron", &[region(3, 6, "Ann"), region(11, 14, "Ron")].join(", "));
    let layers = reads(&units, &[(0, "Ann", "PER"), (0, "Ron", "PER")]);
    noted(&layers, &["UTF-16"]);
    let mut moved = layers.corpus;
    moved.entities[1].span.start -= 1;
    assert!(written(&moved).contains(r#""start": 7, "end": 14, "text": "met Ron""#), "{}", written(&moved));
    let wrong = task("Tim led Ron", &[region(0, 3, "Tim"), region(4, 7, "Ron")].join(", "));
    noted(&reads(&wrong, &[(0, "Tim", "PER")]), &["1 label left out", "record 1 (id 3)", "\"Ron\"", "\"led\""]);
    let silent = region(0, 999, "").replace("\"text\": \"\", ", "");
    refused(&task("Tim led Ron", &silent), &["record 1 (id 3)", "999", "11 characters"]);
    refused(
        r#"[{"data": {"text": "Tim", "unknown": [[0, 4]]}, "annotations": [{"result": []}]}]"#,
        &["[0, 4]", "3 characters"],
    );
    let spans =
        "{\"text\": \"😀 Ann\", \"spans\": [{\"start\": 3, \"end\": 6, \"text\": \"Ann\", \"label\": \"PER\"}]}\n";
    let layers = reads(spans, &[(0, "Ann", "PER")]);
    noted(&layers, &["UTF-16"]);
    assert_eq!(written(&layers.corpus), spans);
    let spans = r#"{"text": "Tim led", "spans": [{"start": 4, "end": 7, "text": "Tim", "label": "PER"}]}"#;
    noted(&reads(spans, &[]), &["1 label left out", "record 1"]);
}

// ---------------------------------------------------------------- decisions of annotators

#[test]
fn what_annotators_refused_is_left_out_and_counted() {
    let line = |answer: &str| {
        format!(
            "{{\"text\": \"Ada met\", \"spans\": [{{\"start\": 0, \"end\": 3, \"label\": \"PER\"}}], \"answer\": \"{answer}\"}}\n"
        )
    };
    let layers = reads(
        &[line("accept"), line("reject"), line("ignore"), line("accept")].concat(),
        &[(0, "Ada", "PER"), (1, "Ada", "PER")],
    );
    noted(&layers, &["2 records left out"]);
    assert_eq!(written(&layers.corpus), line("accept").repeat(2));
    let none = reads(&line("reject"), &[]);
    assert_eq!((none.corpus.n_sentences(), none.notes.len()), (0, 1));
    // Fields of refused records are not expected in the others.
    refused(&[line("accept").replace("spans", "marks"), line("reject")].concat(), &["no record has a field of labels"]);
}

#[test]
fn tasks_that_nobody_labelled_are_no_gold() {
    let region = r#"{"type": "labels", "value": {"start": 0, "end": 3, "labels": ["PER"]}}"#;
    let task = |layers: &str| format!(r#"{{"data": {{"text": "Ada met"}}, {layers}}}"#);
    let annotated = task(&format!(r#""annotations": [{{"result": [{region}]}}, {{"result": []}}]"#));
    let cancelled = task(&format!(r#""annotations": [{{"was_cancelled": true, "result": [{region}]}}]"#));
    let open = task(r#""annotations": []"#);
    let none = task(r#""annotations": [{"result": []}]"#);
    let file = format!("[{}]", [annotated.as_str(), &cancelled, &open, &none, &open].join(", "));
    let read_labels = reads(&file, &[(0, "Ada", "PER")]);
    assert_eq!(read_labels.corpus.n_sentences(), 2, "an annotation without labels says that there are none");
    noted(
        &read_labels,
        &[
            "1 task left out, also in what is written: annotators skipped",
            "2 tasks left out",
            "1 task with several annotations",
        ],
    );
    // With `unlabelled`, all tasks are read. After writing, they count as labelled.
    let all = super::read(file.as_bytes(), &ReadOptions { unlabelled: true, ..options() }).unwrap().corpus;
    assert_eq!(all.n_sentences(), 5);
    assert_eq!(layers(&written(&all), &options()).corpus.n_sentences(), 5);
    // All tasks have predictions, but only some have annotations, so the annotations are no gold layer for all.
    let predicted = |annotations: &str| {
        task(&format!(r#""annotations": [{annotations}], "predictions": [{{"result": [{region}]}}]"#))
    };
    let empty = format!(r#"{{"result": [{region}]}}"#);
    let some = layers(&format!("[{}, {}]", predicted(&empty), predicted("")), &options());
    assert!(some.gold.is_none() && some.corpus.n_sentences() == 2);
    noted(&some, &["only 1 of 2"]);
    let gold = ReadOptions { gold: Some("annotations".into()), ..options() };
    let both = read(format!("[{}, {}]", predicted(&empty), predicted("")).as_bytes(), &gold).unwrap();
    assert_eq!((both.corpus.n_sentences(), both.gold.map(|gold| gold.len())), (1, Some(1)));
}

#[test]
fn labels_of_other_kinds_are_read_or_noted() {
    let region = r#"{"type": "labels", "value": {"start": 0, "end": 3, "labels": ["PER"]}}"#;
    let completions = format!(r#"[{{"data": {{"text": "Ada met"}}, "completions": [{{"result": [{region}]}}]}}]"#);
    let layers = reads(&completions, &[(0, "Ada", "PER")]);
    assert_eq!(json_of(&written(&layers.corpus)), json_of(&completions));
    let chosen = ReadOptions { label: Some("annotations".into()), ..options() };
    assert_eq!(read(completions.as_bytes(), &chosen).unwrap().corpus.entities.len(), 1);
    let with = |other: &str| {
        format!(r#"[{{"data": {{"text": "Ada met"}}, "annotations": [{{"result": [{region}, {other}]}}]}}]"#)
    };
    let hyper = r#"{"type": "hypertextlabels", "value": {"start": "/p[1]", "end": "/p[1]", "startOffset": 0, "endOffset": 3, "hypertextlabels": ["PER"]}}"#;
    noted(&reads(&with(hyper), &[(0, "Ada", "PER")]), &["1 result of type \"hypertextlabels\""]);
    let blank = r#"{"type": "labels", "value": {"start": 4, "end": 7}}"#;
    noted(&reads(&with(blank), &[(0, "Ada", "PER")]), &["1 region without a type"]);
    let choices = r#"{"type": "choices", "value": {"choices": ["x"]}}, {"type": "relation"}"#;
    assert_eq!(reads(&with(choices), &[(0, "Ada", "PER")]).notes, [""; 0]);
    refused(&with(region).replacen("[\"PER\"]", "[\"PER\", \"LOC\"]", 1), &["several labels"]);
    let short = "[\n{\"id\": 1, \"text\": \"Ada met\", \"label\": [{\"start\": 0, \"end\": 3, \"text\": \"Ada\", \"labels\": [\"PER\"]}], \"annotator\": 1}\n]\n";
    let layers = reads(short, &[(0, "Ada", "PER")]);
    assert_eq!(written(&layers.corpus), short);
    let mut moved = layers.corpus;
    moved.entities[0].span.end = 1;
    assert!(
        written(&moved).contains(r#"[{"start": 0, "end": 7, "text": "Ada met", "labels": ["PER"]}]"#),
        "{}",
        written(&moved)
    );
}

fn json_of(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn fields_are_said_to_be_left_out_only_where_there_are_some() {
    let notes = |text: &str, format| {
        let corpus = layers(text, &options()).corpus;
        write(&corpus, &WriteOptions { format: Some(format), unknown: None }).notes
    };
    let none: [&str; 0] = [];
    for text in [
        r#"[{"entities": [[0, 0, "X"]], "tokens": ["a"]}]"#,
        r#"{"ner_tags": ["I-X", "O"], "tokens": ["a", "b"]}"#,
        r#"{"text": "a b", "spans": [{"start": 0, "end": 1, "label": "X"}], "unknown": [[2, 3]]}"#,
        r#"["a b", {"entities": [[0, 1, "X"]]}]"#,
        r#"[{"data": {"text": "a b"}, "annotations": [{"result": []}]}]"#,
        "a  B-X\n\n\nb   O\n",
    ] {
        for format in [Format::Conll, Format::DyncleanJson, Format::TextJsonl] {
            if detect(text.as_bytes()) != Ok(format) {
                assert_eq!(notes(text, format), none, "{text}");
            }
        }
    }
    for (text, n) in [
        (r#"[{"tokens": ["a"], "entities": [], "id": 1}, {"tokens": ["a"], "entities": []}]"#, "1 sentence with"),
        (r#"{"tokens": ["a"], "ner_tags": ["O"], "pos": ["N"]}"#, "1 sentence with"),
        (r#"["a b", {"entities": [], "cats": {}}]"#, "1 sentence with"),
        (r#"[{"id": 1, "data": {"text": "a b"}, "annotations": [{"result": []}]}]"#, "1 sentence with"),
        ("a N B-X\n\nb N O\n", "2 sentences with"),
        ("# 1\na B-X\n\nb O\n", "1 sentence with"),
    ] {
        let notes = notes(text, Format::Brat);
        assert!(notes[0].starts_with(n), "{text}: {notes:?}");
    }
    let corpus = brat::read(&document("a b", "T1\tX 0 1\ta\n"), &options()).unwrap().corpus;
    assert_eq!(write(&corpus, &WriteOptions { format: Some(Format::Conll), unknown: None }).notes, none);
}
