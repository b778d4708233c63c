//! `trainer evaluate`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{ArgGroup, Args};
use shared::corpus::Corpus;
use shared::corpus::labels::LabelSet;
use trainer::data::corpus_file::{self, CorpusOptions};
use trainer::model::saved_model::{SavedModel, score};
use trainer::progress::Progress;

use super::corpora::CorpusArgs;
use super::failure::input;
use super::output::Output;
use super::scores;

/// Score a model, or labels in a file, against gold labels.
///
/// Prints span-level precision, recall and F1, overall and for each type. An
/// entity is correct if its boundaries and its type are right. All gold entities
/// count, even those that are wider than the model's spans.
///
/// With --predictions, both files must have the same sentences. They may have
/// different formats. If both are one CoNLL file with two columns of tags,
/// --gold-column is for --corpus, and --label-column is for --predictions.
///
/// Examples:
///   trainer evaluate --model run --corpus test.json
///   trainer evaluate --model run/model-raw --corpus test.json --json
///   trainer evaluate --predictions labelled.json --corpus test.json
///   trainer evaluate --predictions t.conll --label-column 3 \
///       --corpus t.conll --gold-column 2
#[derive(Args)]
#[command(verbatim_doc_comment, group = ArgGroup::new("labels").required(true))]
pub struct Evaluate {
    /// Sentences with gold labels
    #[arg(long, value_name = "FILE")]
    corpus: PathBuf,
    /// Folder of a model or of a run. In a run, it is the model trained on the cleaned labels and dev, or if there is
    /// none, on the cleaned labels
    #[arg(long, value_name = "DIR", group = "labels")]
    model: Option<PathBuf>,
    /// The same sentences with the labels to score, instead of a model
    #[arg(long, value_name = "FILE", group = "labels")]
    predictions: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    corpora: CorpusArgs,
}

pub fn carry_out(args: &Evaluate) -> Result<()> {
    let options = args.corpora.options()?;
    let gold = input(options.read_gold(&args.corpus))?;
    let predicted = match (&args.model, &args.predictions) {
        (Some(folder), _) => {
            let model = input(SavedModel::open(folder))?;
            input(check_types(&gold, args, &model.labels, folder))?;
            let text = Corpus { tokens: gold.tokens.clone(), ..Corpus::default() };
            let progress = Progress::new("labelling", text.n_sentences() as u64, 0, 1);
            model.label(text, "the text", &progress)?.0
        }
        (None, Some(predictions)) => {
            let predicted = input(labels_to_score(predictions, args, &options, &gold))?;
            input(check_types(&gold, args, &predicted.labels, predictions))?;
            predicted
        }
        // This cannot happen: clap requires one of the two options.
        (None, None) => return Ok(()),
    };
    let score = score(gold, predicted)?;
    args.output.result(&score, || scores::table(&score))
}

/// Checks that the gold labels have types in common with `labels`. If `labels` has no types, because nothing was found,
/// there is nothing to compare, and only gold must have entities.
fn check_types(gold: &Corpus, args: &Evaluate, labels: &LabelSet, from: &Path) -> Result<()> {
    let known: BTreeSet<String> = match labels.types() {
        [] => gold.labels.types().iter().cloned().collect(),
        types => types.iter().cloned().collect(),
    };
    corpus_file::check_can_score(gold, &args.corpus, &known, from)
}

fn labels_to_score(file: &Path, args: &Evaluate, options: &CorpusOptions, gold: &Corpus) -> Result<Corpus> {
    let predicted = corpus_file::read(file, &options.read)?.corpus;
    corpus_file::same_text(&predicted, file, gold, &args.corpus)?;
    Ok(predicted)
}
