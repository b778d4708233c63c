//! Files that are easily read wrongly: read as they are meant, or refused in words that help. Never in silence.

use super::*;

fn options() -> ReadOptions {
    ReadOptions::default()
}

fn layers(text: &str, options: &ReadOptions) -> Layers {
    read(text.as_bytes(), options).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// Entities as (sentence, surface, type).
fn entities_of(corpus: &Corpus) -> Vec<(u32, String, String)> {
    let entity = |e: &Entity| {
        (e.span.sentence, corpus.tokens.surface(e.span), corpus.labels.name(e.label).to_owned())
    };
    corpus.entities.iter().map(entity).collect()
}

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

/// Rows of a token and a tag; an empty tag ends a sentence.
fn rows(tags: &[&str]) -> String {
    let row = |(i, tag): (usize, &&str)| if tag.is_empty() { "\n".to_owned() } else { format!("t{i}\t{tag}\n") };
    tags.iter().enumerate().map(row).collect()
}

// ---------------------------------------------------------------- schemes of tags

#[test]
fn every_way_to_write_a_tag_is_read_and_written_back() {
    let xy: &[(u32, &str, &str)] = &[(0, "t0 t1", "PER"), (0, "t3", "LOC")];
    let cases: &[(&[&str], &[(u32, &str, &str)])] = &[
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
        (&["B-PER", "E-PER", "O", "W-LOC", "O", "B-X", "M-X", "E-X"], &[(0, "t0 t1", "PER"), (0, "t3", "LOC"), (0, "t5 t6 t7", "X")]),
        (&["B-PER", "E-PER", "O", "S-LOC", "O", "B-X", "M-X", "E-X"], &[(0, "t0 t1", "PER"), (0, "t3", "LOC"), (0, "t5 t6 t7", "X")]),
        // A type may look like a prefix where the others do not.
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
        corpus.labels = crate::labels::LabelSet::from_types(["LOC"]);
        corpus.entities = vec![Entity { span: crate::span::Span { sentence: 0, start: 2, end: 3 }, label: 1 }];
        assert_eq!(written(&corpus), rows(expected));
        corpus.unknown = vec![crate::span::Span { sentence: 0, start: 0, end: 0 }];
        let by_tag = WriteOptions { unknown: Some(UnknownAs::Tag("IGNORE".into())), ..WriteOptions::default() };
        if tags[0] == "B" {
            // A label that is not the only one of its file has a name.
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
        let Content::Text(text) = write(&cleaned, &WriteOptions { unknown: Some(unknown), ..WriteOptions::default() }).content
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
    // Another annotation than entities: no token is outside.
    refused(&rows(&["NNP", "VBZ", "DT", "NN", "", "NNP"]), &["no O", "--label-column"]);
    refused(&rows(&["-", "(12", "12)", "-"]), &["no O", "--label-column"]);
    // Begin and inside, but not everywhere.
    refused(&rows(&["PER-B", "PER-I", "O", "misc"]), &["PER-B", "PER-I"]);
    refused(&rows(&["HLA-B", "O", "O", "HLA-B"]), &["HLA-B"]);
    // Lemmas or words: nearly as many types as tokens.
    let words: String = (0..100).map(|i| format!("w{i}\t{}\n", if i % 2 == 0 { "O".into() } else { format!("l{i}") })).collect();
    refused(&words, &["50 types", "--label-column"]);
    let json: Vec<String> = (0..100).map(|i| if i % 2 == 0 { "\"O\"".into() } else { format!("\"l{i}\"") }).collect();
    refused(&format!("{{\"tokens\": [{0}], \"tags\": [{0}]}}", json.join(", ")), &["50 types", "--label-column"]);
    // Tags of two kinds.
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
    // The last column holds other things, and the error says where tags are.
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
