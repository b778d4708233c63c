//! `trainer predict`.

use std::fs::File;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use shared::corpus::Corpus;
use trainer::files::{cannot_write, write_whole_during};
use trainer::model::saved_model::SavedModel;
use trainer::model::span_model::Found;
use trainer::progress::Progress;

use super::failure::input;
use super::output::{Output, check_distinct, check_files};
use super::text::{Counts, TextArgs};

/// Label raw text, or a corpus, with a trained model.
///
/// Raw text has one sentence a line. It is cut into tokens at the word
/// boundaries of Unicode (docs/CORPORA.md). Labels that a corpus already has are
/// replaced.
///
/// Examples:
///   trainer predict --model run --input news.txt --out labelled.jsonl
///   trainer predict --model run/model-raw --input test.conll \
///       --out labelled.conll
///   trainer predict --model run --input - --to conll --out - < news.txt
///   trainer predict --model run --input news.txt --to dynclean \
///       --out labelled.json --margins margins.csv
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Predict {
    /// Folder of a model or of a run. In a run, it is the model trained on the cleaned labels and dev, or if there is
    /// none, on the cleaned labels
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Raw text (one sentence a line) or a corpus in any format; `-` is standard input
    #[arg(long, value_name = "FILE|-")]
    input: PathBuf,
    /// Also write a CSV file with one row per entity: sentence and tokens (from 0), type, margin (its logit minus
    /// that of the next label), and text
    #[arg(long, value_name = "OUT.csv")]
    margins: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    written: TextArgs,
}

pub fn carry_out(args: &Predict) -> Result<()> {
    args.written.check(&args.output)?;
    check_files(&args.margins)?;
    let written = || [&args.written.out].into_iter().chain(&args.margins);
    check_distinct([&args.input].into_iter().chain(&args.written.corpora.tags), written())?;
    let model = input(SavedModel::open(&args.model))?;
    check_distinct(&input(model.files())?, written())?;
    let mut counts = Counts::default();
    let mut work = |rows: Option<&mut File>| -> Result<Vec<String>> {
        let mut rows = rows.map(csv::Writer::from_writer);
        let unwritten = |error: anyhow::Error| match &args.margins {
            Some(margins) => cannot_write(margins, error),
            None => error,
        };
        if let Some(rows) = &mut rows {
            let names = ["sentence", "start", "end", "label", "margin", "text"];
            rows.write_record(names).map_err(|error| unwritten(error.into()))?;
        }
        let mut before = 0;
        // Label the parts one after the other, because one part keeps all threads busy.
        let label = |texts: Vec<Corpus>, progress: &Progress| {
            let label = |text: Corpus| {
                let name =
                    if before == 0 { "the text".to_owned() } else { format!("the text after sentence {before}") };
                before += text.n_sentences();
                model.label(text, &name, progress)
            };
            texts.into_iter().map(label).collect::<Result<Vec<_>>>()
        };
        let notes = args.written.label(&args.input, 1, label, |labelled, found| {
            if let Some(rows) = &mut rows {
                for Found { span, label, margin } in found {
                    let (kind, text) = (labelled.labels.name(label), labelled.tokens.surface(span));
                    let sentence = args.written.number_in_input(counts.sentences as u64 + u64::from(span.sentence));
                    let row = (sentence, span.start, span.end, kind, margin, text);
                    rows.serialize(row).map_err(|error| unwritten(error.into()))?;
                }
            }
            counts.add(labelled);
            Ok(())
        })?;
        rows.map_or(Ok(()), |mut rows| rows.flush()).map_err(|error| unwritten(error.into()))?;
        Ok(notes)
    };
    let notes = match &args.margins {
        Some(margins) => write_whole_during(margins, |file| work(Some(file)))?,
        None => work(None)?,
    };
    let summary = format!("{}: {}, by {}", args.written.place(), counts.in_words(), model.folder.display());
    let value = json!({
        "out": args.written.out,
        "model": model.folder,
        "sentences": counts.sentences,
        "entities": counts.entities,
        "notes": notes,
    });
    args.written.done(&args.output, &value, &summary)
}
