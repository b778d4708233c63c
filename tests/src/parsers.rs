//! Invariants that every parser of outside bytes must keep, one function per parser. The fuzz targets in
//! `tests/fuzz` and the smoke test `parsers_smoke` run the same functions.
//!
//! To add a parser, add its function, its line in [`ALL`], and a target of two lines in `tests/fuzz`.

use std::collections::BTreeMap;

use explorer::tally::Tally;
use shared::cleaning::{CleaningSummary, Decisions, clean, provenance};
use shared::corpus::Corpus;
use shared::corpus::decision::Side;
use shared::detection::judge::Judge;
use shared::detection::threshold::{Action, Metric, Rule, Settings};
use shared::formats::{
    self, Content, Document, Format, FormatError, Layers, ReadOptions, TagNames, WriteOptions, dynclean_json,
};
use shared::metrics::Window;
use shared::recording::dyn_file::{self, Scan};
use shared::recording::dynamics::{Dynamics, EpochLogits, Precision, Run, RunInfo};
use shared::recording::import::{self, Recording};
use shared::report::Findings;

/// A parser under test.
pub struct Parser {
    /// Name of the fuzz target and of its folder of inputs.
    pub name: &'static str,
    /// Gives bytes to the parser. Panics if an invariant is broken.
    pub check: fn(&[u8]),
}

/// All parsers of bytes from outside.
pub const ALL: &[Parser] = &[
    Parser { name: "dyn_file", check: dyn_file },
    Parser { name: "decisions", check: decisions },
    Parser { name: "dynclean_json", check: dynclean_json },
    Parser { name: "conll", check: conll },
    Parser { name: "tag_json", check: tag_json },
    Parser { name: "text_json", check: text_json },
    Parser { name: "label_studio", check: label_studio },
    Parser { name: "brat", check: brat },
    Parser { name: "any_corpus", check: any_corpus },
    Parser { name: "plain_text", check: plain_text },
    Parser { name: "tag_names", check: tag_names },
    Parser { name: "recording", check: recording },
];

/// The `.dyn` container, and everything that is computed from its content.
pub fn dyn_file(bytes: &[u8]) {
    dyn_file_as_is(bytes);
    // Without valid checksums, nearly all changed bytes would be refused before the decoders.
    let mended = with_valid_checksums(bytes);
    if mended != bytes {
        dyn_file_as_is(&mended);
    }
}

fn dyn_file_as_is(bytes: &[u8]) {
    let read = dyn_file::read(bytes);
    // The page reads a file in pieces. It must get the same result.
    let mut scan = Scan::new(bytes.len() as u64);
    let fed = bytes.chunks(61).try_for_each(|piece| scan.feed(piece));
    let scanned = fed.and_then(|()| scan.finish());
    assert_eq!(scanned.as_ref().err(), read.as_ref().err());
    let Ok(dynamics) = read else { return };
    if let (Ok(scanned), Ok(index)) = (scanned, dynamics.span_index()) {
        let parts = scanned.columns.ranges(0..index.len());
        let columns: Vec<u8> =
            parts.iter().flat_map(|part| &bytes[part.start as usize..part.end as usize]).copied().collect();
        let run = scanned.columns.run_of(index.len(), &columns).expect("the columns are where they are said to be");
        let whole = Dynamics { run: Run { epochs: run.epochs, ..scanned.dynamics.run }, ..scanned.dynamics };
        assert_eq!(dyn_file::write(&whole), dyn_file::write(&dynamics));
    }
    // Compares bytes instead of values, because NaN does not equal itself.
    let written = dyn_file::write(&dynamics);
    let again = dyn_file::read(&written).expect("what was read can be written and read");
    assert_eq!(dyn_file::write(&again), written, "a second round trip changes nothing");
    let (automatic, settings) = match Judge::automatic(&dynamics, |_| ()) {
        Ok(judge) => judge,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    everything_computes(&dynamics, &automatic, &settings);
    for (window, metric, action, overlap_suppression) in [
        (Window::first_epochs(1), Metric::Aum, Action::Relabel, true),
        (Window { first: 0, last: u32::MAX }, Metric::Confidence, Action::Remove, false),
        (Window { first: 2, last: 1 }, Metric::Aum, Action::Remove, true),
    ] {
        if let Ok(judge) = Judge::new(&dynamics, window, metric) {
            let rule = Rule::Fixed(0.5);
            let settings = Settings {
                window,
                metric,
                negatives: rule,
                positives: rule,
                action,
                overlap_suppression,
                ..settings.clone()
            };
            everything_computes(&dynamics, &judge, &settings);
            let per_class = Settings { positives: Rule::Auto, per_class: true, ..settings };
            everything_computes(&dynamics, &judge, &per_class);
        }
    }
}

/// Checks that the figures, the cleaned corpus and the report of one judge agree.
fn everything_computes(dynamics: &Dynamics, judge: &Judge, settings: &Settings) {
    let labels = &dynamics.corpus.labels;
    let gold = dynamics.dense_gold(&judge.index);
    let decisions = Decisions::new(String::new(), settings.clone());
    let decided = decisions.resolve(judge, labels).expect("rules alone always resolve");
    let tally = Tally::new(judge, labels, gold.as_deref());
    let figures = tally.at(judge, settings, &BTreeMap::new(), gold.as_deref());
    assert_eq!(figures.summary, CleaningSummary::new(judge, settings, &decided, labels));
    let cleaned = clean(dynamics.corpus.clone(), judge, &decided);
    assert!(cleaned.entities.len() <= dynamics.corpus.entities.len() + decided.len());
    for side in [Side::Negatives, Side::Positives] {
        for &span in judge.under(settings).judged_wrong(side).iter() {
            assert!(!judge.metrics.is_flagged(span as usize), "a flagged span is not judged");
        }
    }
    provenance::json(&dynamics.corpus, judge, &decisions, &decided);
    for format in Format::ALL {
        formats::write(&cleaned, &WriteOptions { format: Some(format), ..WriteOptions::default() });
    }
    let findings = Findings::new(dynamics, judge, &decisions).expect("rules alone always resolve");
    findings.html(None).expect("a report can be made of every judge");
}

/// Returns the bytes with the right checksum in every complete section.
pub fn with_valid_checksums(bytes: &[u8]) -> Vec<u8> {
    // A signature and a version. Then, per section: tag, length, checksum, payload (docs/FORMAT.md).
    const PREAMBLE: usize = 12;
    const HEADER: usize = 20;
    let mut mended = bytes.to_vec();
    let mut at = PREAMBLE;
    while let Some(header) = mended.get(at..at + HEADER) {
        let length = u64::from_le_bytes(header[4..12].try_into().expect("8 bytes"));
        let payload = at + HEADER;
        let Some(end) = usize::try_from(length).ok().and_then(|n| payload.checked_add(n)) else { break };
        let Some(checksum) = mended.get(payload..end).map(xxhash_rust::xxh3::xxh3_64) else { break };
        mended[at + 12..payload].copy_from_slice(&checksum.to_le_bytes());
        at = end;
    }
    mended
}

/// `decisions.json`.
pub fn decisions(bytes: &[u8]) {
    // Uses the digest that the file itself names, so that its content is read.
    let named = serde_json::from_slice::<serde_json::Value>(bytes).ok();
    let digest = named.as_ref().and_then(|json| json.get("dynamics")?.as_str()).unwrap_or_default();
    let Ok(decisions) = Decisions::read(bytes, digest) else { return };
    let again = Decisions::read(decisions.to_json().as_bytes(), digest).expect("what was read can be written and read");
    assert_eq!(again, decisions);
    let dynamics = small_dynamics();
    let Ok(judge) = Judge::new(&dynamics, decisions.settings.window, decisions.settings.metric) else { return };
    let Ok(decided) = decisions.resolve(&judge, &dynamics.corpus.labels) else { return };
    let cleaned = clean(dynamics.corpus.clone(), &judge, &decided);
    let written = dynclean_json::write(&cleaned);
    dynclean_json::read(written.as_bytes()).expect("a cleaned corpus can be read");
}

/// Returns dynamics with two sentences, two types and two epochs.
fn small_dynamics() -> Dynamics {
    let json = br#"[{"tokens": ["a", "b", "c"], "entities": [[0, 1, "X"], [2, 2, "Y"]], "unknown": [[1, 1]]},
                    {"tokens": ["d"], "entities": []}]"#;
    let epoch = |scale: f32| {
        let rows: Vec<f32> = (0..7 * 3).map(|i| (i * 5 % 11) as f32 * scale - 2.0).collect();
        EpochLogits::from_rows(&rows, 2, Precision::F16).expect("7 rows of 3")
    };
    Dynamics {
        info: RunInfo { max_span_width: 8, ..RunInfo::default() },
        corpus: dynclean_json::read(json).expect("a corpus"),
        gold: None,
        contradicted: Vec::new(),
        run: Run { epochs: vec![epoch(0.5), epoch(-0.75)], scores: vec![] },
        threshold_run: None,
        complete: true,
        whole: None,
    }
}

/// DynClean JSON.
pub fn dynclean_json(bytes: &[u8]) {
    corpus(bytes, Format::DyncleanJson);
}

/// CoNLL columns.
pub fn conll(bytes: &[u8]) {
    corpus(bytes, Format::Conll);
}

/// BOND JSON and JSON Lines with a tag per token.
pub fn tag_json(bytes: &[u8]) {
    corpus(bytes, Format::Bond);
    corpus(bytes, Format::TagsJsonl);
}

/// JSON Lines with raw text.
pub fn text_json(bytes: &[u8]) {
    corpus(bytes, Format::TextJsonl);
}

/// Label Studio's export.
pub fn label_studio(bytes: &[u8]) {
    corpus(bytes, Format::LabelStudio);
}

/// Any corpus: the format is detected from the content.
pub fn any_corpus(bytes: &[u8]) {
    match formats::detect(bytes) {
        Ok(format) => corpus(bytes, format),
        Err(error) => assert_explained(&error),
    }
}

/// Text that has no labels yet.
pub fn plain_text(bytes: &[u8]) {
    formats::plain_text::is_plain(bytes);
    let corpus = match formats::plain_text::read(bytes) {
        Ok(corpus) => corpus,
        Err(error) => return assert_explained(&error),
    };
    let options = ReadOptions { format: Some(Format::TextJsonl), ..ReadOptions::default() };
    can_be_written(&Layers { corpus, ..Layers::default() }, |written| formats::read(written.as_bytes(), &options));
}

fn corpus(bytes: &[u8], format: Format) {
    let tags = TagNames::read(br#"{"O": 0, "B-X": 1, "I-X": 2, "B-Y": 3, "I-Y": 4}"#).expect("tag names");
    let options = ReadOptions { format: Some(format), tags: Some(tags), ..ReadOptions::default() };
    let layers = match formats::read(bytes, &options) {
        Ok(layers) => layers,
        Err(error) => return assert_explained(&error),
    };
    can_be_written(&layers, |written| formats::read(written.as_bytes(), &options));
}

fn assert_explained(error: &FormatError) {
    assert!(error.line >= 1 && !error.message.is_empty(), "{error:?}");
}

/// Checks that a corpus can be written and read again with the same labels, and that every other format can be
/// written without a panic.
fn can_be_written(layers: &Layers, read: impl Fn(&str) -> Result<Layers, FormatError>) {
    let corpus = &layers.corpus;
    // If all records were left out, the JSON Lines file is empty.
    let text = match formats::write(corpus, &WriteOptions::default()).content {
        Content::Text(text) if corpus.n_sentences() > 0 || !text.is_empty() => Some(text),
        _ => None,
    };
    if let Some(text) = text {
        let again =
            read(&text).unwrap_or_else(|error| panic!("what was read can be written and read: {error}\n{text}"));
        assert_eq!(again.corpus.tokens, corpus.tokens);
        assert_eq!(again.corpus.entities, corpus.entities);
        assert_eq!(again.corpus.unknown, corpus.unknown);
    }
    for format in Format::ALL {
        comes_back(corpus, format);
    }
}

/// Checks that a corpus comes back from a format with the same labels on the same text, if no note says that
/// something is lost.
fn comes_back(corpus: &Corpus, format: Format) {
    let written = formats::write(corpus, &WriteOptions { format: Some(format), ..WriteOptions::default() });
    if corpus.tokens.n_tokens() == 0 {
        return;
    }
    let tags = written.layout.tag_ids().map(|ids| TagNames::from_list(ids.iter().map(|(_, name)| name.as_str())));
    let options = ReadOptions { format: Some(format), tags, ..ReadOptions::default() };
    let read = match &written.content {
        Content::Text(text) => formats::read(text.as_bytes(), &options),
        Content::Documents(documents) => formats::brat::read(documents, &options),
    };
    let again = read.unwrap_or_else(|error| panic!("{format:?}: {error}\n{:?}", written.content)).corpus;
    if !written.notes.is_empty() || written.layout.format() == corpus.layout.format() {
        return;
    }
    assert_eq!(labels_by_text(&again), labels_by_text(corpus), "{format:?}\n{:?}", written.content);
}

/// The text of a sentence, its entities as (text, type), and its unknown spans.
type SentenceLabels = (String, Vec<(String, String)>, Vec<String>);

/// Returns entities and unknown spans of every sentence that has text. Spans are compared by their text without
/// blanks. Types are changed to what brat can hold.
fn labels_by_text(corpus: &Corpus) -> Vec<SentenceLabels> {
    let text = |words: &mut dyn Iterator<Item = &str>| -> String {
        words.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect()
    };
    let of_sentence = |sentence| {
        let all = text(&mut corpus.tokens.sentence(sentence));
        let kind = |label| corpus.labels.name(label).replace(char::is_whitespace, "_");
        let entities = corpus.entities_of(sentence).iter();
        let mut entities: Vec<_> = entities.map(|e| (text(&mut corpus.tokens.words(e.span)), kind(e.label))).collect();
        let mut unknown: Vec<_> =
            corpus.unknown_of(sentence).iter().map(|span| text(&mut corpus.tokens.words(*span))).collect();
        entities.sort();
        unknown.sort();
        unknown.dedup();
        (all, entities, unknown)
    };
    (0..corpus.n_sentences() as u32).map(of_sentence).filter(|(text, ..)| !text.is_empty()).collect()
}

/// A brat document: text, a zero byte, annotations.
pub fn brat(bytes: &[u8]) {
    let split = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let (text, annotations) = (&bytes[..split], bytes.get(split + 1..).unwrap_or_default());
    let document = match Document::from_bytes("a", text, annotations) {
        Ok(document) => document,
        Err(error) => return assert_explained(&error),
    };
    let options = ReadOptions::default();
    let layers = match formats::brat::read(&[document], &options) {
        Ok(layers) => layers,
        Err(error) => return assert_explained(&error),
    };
    can_be_written(&layers, |_| unreachable!("brat is written as documents"));
    let Content::Documents(written) = formats::write(&layers.corpus, &WriteOptions::default()).content else {
        panic!("brat is written as documents");
    };
    let again = formats::brat::read(&written, &options).expect("what was read can be written and read");
    assert_eq!(again.corpus.entities, layers.corpus.entities);
    assert_eq!(again.corpus.tokens, layers.corpus.tokens);
}

/// The names of tag ids.
pub fn tag_names(bytes: &[u8]) {
    if let Err(error) = TagNames::read(bytes) {
        assert_explained(&error);
    }
}

/// Dynamics that Python programs have recorded: JSON Lines and CSV, with and without the spans of a corpus.
pub fn recording(bytes: &[u8]) {
    let index = small_dynamics().span_index().expect("8 spans");
    for mut recording in [Recording::of_guids(), Recording::of_spans(&index)] {
        if let Err(error) = import::read(bytes, "recorded", &mut recording) {
            assert!(!error.to_string().is_empty());
        }
    }
}
