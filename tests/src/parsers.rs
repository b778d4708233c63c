//! What every parser of outside bytes must keep, one function per parser. The fuzz targets of
//! `tests/fuzz` and the smoke test `parsers_smoke` run the same functions.
//!
//! A parser is added by its function, its line in [`ALL`] and a target of two lines in `tests/fuzz`.

use std::collections::BTreeMap;

use shared::cleaning::{CleaningSummary, Decisions, clean};
use shared::dynamics::{Dynamics, EpochLogits, Precision, Run, RunInfo};
use shared::formats::dynclean_json;
use shared::judge::{Judge, Side};
use shared::metrics::Window;
use shared::tally::Tally;
use shared::threshold::{Action, Rule, Settings};
use shared::{dyn_file, report};

/// A parser under test.
pub struct Parser {
    /// Name of the fuzz target and of its folder of inputs.
    pub name: &'static str,
    /// Feeds it bytes; panics where an invariant does not hold.
    pub check: fn(&[u8]),
}

/// All parsers that take bytes from outside.
pub const ALL: &[Parser] = &[
    Parser { name: "dyn_file", check: dyn_file },
    Parser { name: "decisions", check: decisions },
    Parser { name: "dynclean_json", check: dynclean_json },
];

/// The `.dyn` container, and all that is computed from what it holds.
pub fn dyn_file(bytes: &[u8]) {
    dyn_file_as_is(bytes);
    // Checksums would keep nearly all changed bytes from the decoders behind them.
    let mended = with_valid_checksums(bytes);
    if mended != bytes {
        dyn_file_as_is(&mended);
    }
}

fn dyn_file_as_is(bytes: &[u8]) {
    let Ok(dynamics) = dyn_file::read(bytes) else { return };
    // Bytes and not values are compared: NaN does not equal itself.
    let written = dyn_file::write(&dynamics);
    let again = dyn_file::read(&written).expect("what was read can be written and read");
    assert_eq!(dyn_file::write(&again), written, "a second round trip changes nothing");
    let (automatic, settings) = match Judge::automatic(&dynamics, |_| ()) {
        Ok(judge) => judge,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    everything_computes(&dynamics, &automatic, settings);
    for (window, action, overlap_suppression) in [
        (Window::first_epochs(1), Action::Relabel, true),
        (Window { first: 0, last: u32::MAX }, Action::Remove, false),
        (Window { first: 2, last: 1 }, Action::Remove, true),
    ] {
        if let Ok(judge) = Judge::new(&dynamics, window) {
            let rule = Rule::Fixed(0.5);
            let settings =
                Settings { window, negatives: rule, positives: rule, action, overlap_suppression, ..settings };
            everything_computes(&dynamics, &judge, settings);
        }
    }
}

/// Figures, cleaned corpus and report of one judge, against one another.
fn everything_computes(dynamics: &Dynamics, judge: &Judge, settings: Settings) {
    let labels = &dynamics.corpus.labels;
    let gold = dynamics.dense_gold(&judge.index);
    let decisions = Decisions::new(String::new(), settings);
    let decided = decisions.resolve(judge, labels).expect("rules alone always resolve");
    let tally = Tally::new(judge, labels, gold.as_deref());
    let figures = tally.at(judge, &settings, &BTreeMap::new(), gold.as_deref());
    assert_eq!(figures.summary, CleaningSummary::new(judge, &settings, &decided, labels));
    let cleaned = clean(&dynamics.corpus, judge, &decided);
    assert!(cleaned.entities.len() <= dynamics.corpus.entities.len() + decided.len());
    for side in [Side::Negatives, Side::Positives] {
        for &span in judge.judged_wrong(side, &settings) {
            assert!(!judge.metrics.is_flagged(span as usize), "a flagged span is not judged");
        }
    }
    let input = report::Input { dynamics, judge, decisions: &decisions, outcome: None };
    report::html(&input).expect("a report can be made of every judge");
}

/// The bytes with the checksum of every whole section put right.
pub fn with_valid_checksums(bytes: &[u8]) -> Vec<u8> {
    // Signature and version; then tag, length, checksum, payload (docs/FORMAT.md).
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
    // The digest that the file names is taken as the right one, so that its content is looked at.
    let named = serde_json::from_slice::<serde_json::Value>(bytes).ok();
    let digest = named.as_ref().and_then(|json| json.get("dynamics")?.as_str()).unwrap_or_default();
    let Ok(decisions) = Decisions::read(bytes, digest) else { return };
    let again = Decisions::read(decisions.to_json().as_bytes(), digest).expect("what was read can be written and read");
    assert_eq!(again, decisions);
    let dynamics = small_dynamics();
    let Ok(judge) = Judge::new(&dynamics, decisions.settings.window) else { return };
    let Ok(decided) = decisions.resolve(&judge, &dynamics.corpus.labels) else { return };
    let cleaned = clean(&dynamics.corpus, &judge, &decided);
    let written = dynclean_json::write(&cleaned);
    dynclean_json::read(written.as_bytes()).expect("a cleaned corpus can be read");
}

/// Two sentences, two types, two epochs.
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
        run: Run { epochs: vec![epoch(0.5), epoch(-0.75)], scores: vec![] },
        threshold_run: None,
        complete: true,
    }
}

/// DynClean JSON.
pub fn dynclean_json(bytes: &[u8]) {
    match dynclean_json::read(bytes) {
        Ok(corpus) => {
            let written = dynclean_json::write(&corpus);
            let again = dynclean_json::read(written.as_bytes()).expect("what was read can be written and read");
            assert_eq!(again, corpus);
        }
        Err(error) => assert!(error.line >= 1 && !error.message.is_empty(), "{error:?}"),
    }
}
