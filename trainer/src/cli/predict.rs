//! `trainer predict`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde_json::json;
use shared::corpus::Corpus;
use trainer::files::write_whole_by;
use trainer::model::saved_model::SavedModel;
use trainer::model::span_model::Found;

use super::failure::input;
use super::output::{Output, check_distinct, check_files};
use super::text::{TextArgs, counts, in_words};

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
    /// Folder of a model or of a run. In a run, it is the model trained on the cleaned labels
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
    let text = args.written.read(&args.input)?;
    let (labelled, found) = model.label(text.corpus)?;
    if let Some(margins) = &args.margins {
        write_margins(margins, &labelled, &found)?;
    }
    let (n_sentences, of_types) = (labelled.n_sentences(), counts(&labelled));
    let summary = format!(
        "{}: {} entities ({}) in {n_sentences} sentences, by {}",
        args.written.place(),
        found.len(),
        in_words(&of_types),
        model.folder.display()
    );
    let mut value = json!({
        "out": args.written.out,
        "model": model.folder,
        "sentences": n_sentences,
        "entities": of_types,
    });
    value["notes"] = json!(args.written.write(labelled, text.is_plain)?);
    args.written.done(&args.output, &value, &summary)
}

fn write_margins(path: &Path, labelled: &Corpus, found: &[Found]) -> Result<()> {
    write_whole_by(path, |file| {
        let mut rows = csv::Writer::from_writer(file);
        rows.write_record(["sentence", "start", "end", "label", "margin", "text"])?;
        for Found { span, label, margin } in found {
            let kind = labelled.labels.name(*label);
            rows.serialize((span.sentence, span.start, span.end, kind, margin, labelled.tokens.surface(*span)))?;
        }
        Ok(rows.flush()?)
    })
}
