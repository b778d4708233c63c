//! `trainer annotate`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use rayon::prelude::*;
use serde_json::json;
use shared::corpus::Corpus;
use trainer::console::{self, Verbosity};
use trainer::data::annotate::{Ambiguous, Annotated, Matcher};
use trainer::data::dictionary::Dictionary;
use trainer::progress::Progress;

use super::failure::input;
use super::output::{Output, check_distinct};
use super::text::{Counts, TextArgs};

/// Make distant labels: each mention of a name in a dictionary becomes an entity.
///
/// Dictionaries are TSV or CSV without a header (form, type, and optionally
/// any-case or exact), or JSON: {"form": "TYPE"} or {"TYPE": ["form", ...]}.
///
/// - From left to right, the longest form at each token wins. Matches never
///   overlap.
/// - Forms match whole tokens.
/// - Case counts, unless the entry says any-case, or with --ignore-case.
/// - Different Unicode spellings of an accent, an apostrophe or a hyphen
///   match each other. If case does not count, ß matches ss.
/// - Labels that the text already has are replaced.
///
/// Examples:
///   trainer annotate --dictionary d.tsv --text news.txt --out train.jsonl
///   trainer annotate --dictionary places.tsv people.csv --text news.txt \
///       --to conll --out train.conll
///   trainer annotate --dictionary names.json --ambiguous drop \
///       --text train.conll --out relabelled.conll
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Annotate {
    /// Dictionaries: .tsv, .csv or .json
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    dictionary: Vec<PathBuf>,
    /// Raw text (one sentence a line) or a corpus in any format; `-` is standard input
    #[arg(long, value_name = "FILE|-")]
    text: PathBuf,
    /// Ignore the case of all forms
    #[arg(long)]
    ignore_case: bool,
    /// What to do with a form that has several types
    #[arg(long, value_enum, default_value_t = Ambiguous::Refuse)]
    ambiguous: Ambiguous,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    written: TextArgs,
}

pub fn carry_out(args: &Annotate) -> Result<()> {
    args.written.check(&args.output)?;
    let read = args.dictionary.iter().chain([&args.text]).chain(&args.written.corpora.tags);
    check_distinct(read, [&args.written.out])?;
    let mut dictionary = Dictionary::default();
    args.dictionary.iter().try_for_each(|file| input(dictionary.add_file(file)))?;
    let matcher = input(Matcher::new(&dictionary, args.ignore_case, args.ambiguous))?;
    let mut counts = Counts::default();
    let mut matches = vec![0u64; dictionary.entries.len()];
    let mut n_normalised = 0;
    let label = |texts: Vec<Corpus>, _: &Progress| {
        let done = texts.into_par_iter().map(|text| {
            let Annotated { corpus, entries, n_normalised } = matcher.annotate(text);
            (corpus, (entries, n_normalised))
        });
        Ok(done.collect())
    };
    let at_once = 2 * rayon::current_num_threads();
    let notes = args.written.label(&args.text, at_once, label, |corpus, (entries, normalised)| {
        counts.add(corpus);
        n_normalised += normalised;
        for entry in entries {
            if let Some(n) = matches.get_mut(entry) {
                *n += 1;
            }
        }
        Ok(())
    })?;

    let never = dictionary.entries.iter().zip(&matches).filter(|&(_, &n)| n == 0).map(|(entry, _)| entry);
    let n_never = never.clone().count();
    if console::verbosity() == Verbosity::Verbose {
        never.for_each(|entry| console::detail(format_args!("never matched: {} ({})", entry.form, entry.kind)));
    }
    let summary = format!(
        "{}: {}; {n_never} of {} dictionary entries never matched, {} forms have several types",
        args.written.place(),
        counts.in_words(),
        matches.len(),
        matcher.n_ambiguous()
    );
    if n_normalised > 0 {
        console::note(format_args!(
            "{n_normalised} entities are spelled differently from the dictionary (accents, apostrophes, hyphens, ß and \
             ss); they match under Unicode normalisation"
        ));
    }
    if counts.n_entities() == 0 && counts.sentences > 0 {
        console::warning(
            "no form of the dictionary occurs in the text: check its language, and the case and tokens of both",
        );
    }
    let value = json!({
        "out": args.written.out,
        "sentences": counts.sentences,
        "entities": counts.entities,
        "normalised": n_normalised,
        "dictionary": { "entries": matches.len(), "never_matched": n_never, "ambiguous": matcher.n_ambiguous() },
        "notes": notes,
    });
    args.written.done(&args.output, &value, &summary)
}
