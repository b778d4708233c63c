//! The command line: every option with its documentation.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use shared::dynamics::{Negatives, Precision, SampleScheme};
use shared::formats::{Format, IGNORE, UnknownAs};
use shared::metrics::Window;
use shared::threshold::Metric;
use trainer::config::{Record, Schedule, WordShapes};

/// Finds and fixes wrong labels in distantly supervised NER data by watching how a model learns them.
///
/// The main job is one command:
///
///   trainer run --train train.json --dev dev.json --test test.json --encoder ./all-MiniLM-L6-v2 --out run
///
/// It trains on the distant labels, trains again with deliberately mislabelled threshold samples,
/// removes what is judged wrong, trains on the cleaned labels, and reports the gain on test.
#[derive(Parser)]
#[command(name = "trainer", version, verbatim_doc_comment)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    Run(Run),
    Clean(Clean),
    Convert(Convert),
    Inspect(Inspect),
    Sample(Sample),
    Serve(Serve),
}

/// The whole job: train, threshold run, clean, retrain, evaluate, report.
///
/// Corpora are recognised by their content: DynClean JSON, an array of
/// {"tokens": [...], "entities": [[start, end, "TYPE"], ...]} with token indices from 0 and the end
/// inclusive; CoNLL columns; BOND JSON; JSON Lines with tokens and tags, or with text and offsets;
/// Label Studio's JSON; a folder of brat standoff. The cleaned corpus has the format of --train.
/// Interrupted or killed, the same command goes on from the last checkpoint, with the same result.
///
/// Examples:
///   trainer run --train train.conll --gold-column 3 --label-column 2 --dev dev.conll --test test.conll ...
///   trainer run --train d/train.json --dev d/dev.json --test d/test.json --encoder builtin --out run
///   trainer run ... --encoder ./all-MiniLM-L6-v2 --train-gold d/train-gold.json --seed 2 --out run-2
///   trainer run ... --threshold paper --out run-paper
///   trainer run ... --sweep sweep.toml --out run
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Run {
    /// Distantly labelled training sentences
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub train: PathBuf,
    /// Sentences with gold labels, to choose the best epoch
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub dev: PathBuf,
    /// Sentences with gold labels, to measure the gain
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub test: PathBuf,
    /// The training sentences with gold labels: only to evaluate the cleaning, never to train or decide
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub train_gold: Option<PathBuf>,
    /// Folder of the run: dynamics.dyn, the cleaned corpus, decisions.json, metrics.json, report.html, models
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    pub out: PathBuf,
    /// Labels of --dev, --test and --train-gold [default: --gold-column if given, else --label-column]
    #[arg(long, value_name = "N|FIELD", help_heading = "Corpus files")]
    pub eval_column: Option<String>,
    #[command(flatten)]
    pub corpora: CorpusArgs,

    /// A BERT model folder in Hugging Face layout, or `builtin` (small, trained from scratch, no download)
    #[arg(long, value_name = "DIR|builtin", help_heading = "Model")]
    pub encoder: String,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = Device::Auto, help_heading = "Model")]
    pub device: Device,
    /// Widest candidate span, in tokens
    #[arg(long, default_value_t = shared::span::DEFAULT_MAX_WIDTH, value_name = "N", help_heading = "Model")]
    pub max_span_width: u32,
    /// Tell the span model the shape of words (capitals, digits) [default: where the encoder is blind to case]
    #[arg(long, value_enum, default_value_t = WordShapesArg::Auto, hide_default_value = true, help_heading = "Model")]
    pub word_shapes: WordShapesArg,
    /// Train pretrained word embeddings too
    #[arg(long, help_heading = "Model")]
    pub train_embeddings: bool,

    /// Seed of everything random
    #[arg(long, default_value_t = 1, value_name = "N", help_heading = "Training")]
    pub seed: u64,
    /// Epochs of each of the three trainings [default: 5; builtin: 6]
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub epochs: Option<u32>,
    /// Sentences per batch [default: 16 for base-sized encoders and builtin, 8 for smaller ones]
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub batch: Option<usize>,
    /// Learning rate of the encoder [default: 1e-5 base-sized, 1e-4 smaller, 5e-4 builtin]
    #[arg(long, value_name = "RATE", help_heading = "Training")]
    pub encoder_rate: Option<f32>,
    /// Learning rate of the span classifier [default: 5e-4 base-sized and builtin, 1e-3 smaller]
    #[arg(long, value_name = "RATE", help_heading = "Training")]
    pub head_rate: Option<f32>,
    /// Steps over which the rates rise from 0 [default: 0 base-sized, 50 smaller]
    #[arg(long, value_name = "STEPS", help_heading = "Training")]
    pub warmup: Option<usize>,
    /// What the rates do after the warm-up
    #[arg(long, value_enum, default_value_t = ScheduleArg::Constant, help_heading = "Training")]
    pub schedule: ScheduleArg,
    /// Scale gradients down to this norm where they are longer [default: never]
    #[arg(long, value_name = "NORM", help_heading = "Training")]
    pub clip_norm: Option<f32>,
    /// Decoupled weight decay
    #[arg(long, default_value_t = 0.0, value_name = "X", help_heading = "Training")]
    pub weight_decay: f32,
    /// Which negatives enter the loss: those most like the positives, or all
    #[arg(long, value_enum, default_value_t = NegativesArg::Top, help_heading = "Training")]
    pub negatives: NegativesArg,
    /// With top negatives: share of the negatives left out of the loss
    #[arg(long, default_value_t = 0.95, value_name = "SHARE", help_heading = "Training")]
    pub negative_rate: f32,
    /// How threshold samples are mislabelled
    #[arg(long, value_enum, default_value_t = SchemeArg::FakeClass, help_heading = "Training")]
    pub scheme: SchemeArg,
    /// Record the logits of a pass without dropout after each epoch, or, for free, of the training passes
    #[arg(long, value_enum, default_value_t = RecordArg::Eval, help_heading = "Training")]
    pub record: RecordArg,
    /// With --train-gold: models to measure the gain against, trained on gold labels, or on the distant labels
    /// without those that gold contradicts (oracle)
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "gold",
        value_name = "gold,oracle|none",
        help_heading = "Training"
    )]
    pub reference: Vec<ReferenceArg>,
    /// As --reference none
    #[arg(long, conflicts_with = "reference", help_heading = "Training")]
    pub no_gold_model: bool,
    /// Train the first stage so many times, with seeds of their own, and judge by the mean of the logits
    #[arg(long, default_value_t = 1, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=100),
        help_heading = "Training")]
    pub ensemble: u32,
    /// Do the threshold run at the same time as the main one: faster on a GPU or many cores, same result
    #[arg(long, help_heading = "Training")]
    pub parallel_runs: bool,
    /// Write a checkpoint whenever so many minutes have passed, besides after every epoch; 0: only then
    #[arg(long, default_value_t = 10, value_name = "N", help_heading = "Training")]
    pub checkpoint_minutes: u64,
    /// Write a checkpoint every so many steps: for tests
    #[arg(long, value_name = "N", hide = true, value_parser = clap::value_parser!(u64).range(1..))]
    pub checkpoint_steps: Option<u64>,
    /// Try the settings of the cleaning that the [sweep] table of this TOML file lists, and take those whose model
    /// is best on dev (docs/RUNS.md)
    #[arg(long, value_name = "FILE", help_heading = "Cleaning")]
    pub sweep: Option<PathBuf>,

    #[command(flatten)]
    pub cleaning: CleaningOptions,
}

/// How corpus files are read and written.
#[derive(Args)]
#[command(next_help_heading = "Corpus files")]
pub struct CorpusArgs {
    /// Do not recognise the format but take this one
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    pub format: Option<Format>,
    /// Labels: a column number from 1 (CoNLL; default: the last), a field's name (JSON), or
    /// annotations or predictions (Label Studio)
    #[arg(long, value_name = "N|FIELD", visible_alias = "label-field")]
    pub label_column: Option<String>,
    /// A second layer of labels in the same file, of annotators: only to evaluate the cleaning
    #[arg(long, value_name = "N|FIELD", visible_alias = "gold-field")]
    pub gold_column: Option<String>,
    /// CoNLL: column of the tokens, from 1 [default: the first]
    #[arg(long, value_name = "N")]
    pub token_column: Option<usize>,
    /// What tag ids mean: tag_to_id.json, a JSON list, or one tag a line [default: tag_to_id.json beside the file]
    #[arg(long, value_name = "FILE")]
    pub tags: Option<PathBuf>,
    /// How removed spans are marked where a format has one tag per token: in a mask beside the tags (CoNLL: a
    /// last column of 0 and 1; JSON: the field `unknown`), or by tags of a type, IGNORE unless you name another
    /// [default: as the file does, else mask]
    #[arg(long, value_name = "mask|tag[:NAME]", value_parser = unknown)]
    pub unknown: Option<UnknownAs>,
}

fn format(text: &str) -> Result<Format, String> {
    let names = || Format::ALL.map(Format::name).join(", ");
    Format::ALL.into_iter().find(|f| f.name() == text).ok_or_else(|| format!("expected one of {}", names()))
}

fn unknown(text: &str) -> Result<UnknownAs, String> {
    match text.split_once(':').unwrap_or((text, IGNORE)) {
        ("mask", _) if text == "mask" => Ok(UnknownAs::Mask),
        ("tag", name) if !name.trim().is_empty() && !name.contains(char::is_whitespace) => {
            Ok(UnknownAs::Tag(name.to_owned()))
        }
        _ => Err("expected mask, tag or tag:NAME".to_owned()),
    }
}

/// Which labels are judged wrong, and what happens to them.
#[derive(Args)]
#[command(next_help_heading = "Cleaning")]
pub struct CleaningOptions {
    /// How thresholds are found: `auto` is AUM < 0 or, as far as the threshold samples support it, higher;
    /// `paper` the quantiles of the threshold samples (.10 for negatives, 0 for positives) over the first 3
    /// epochs
    #[arg(long, value_enum)]
    pub threshold: Option<Threshold>,
    /// Judge negatives (spans labelled O) with an AUM below this wrong
    #[arg(long, value_name = "AUM", allow_negative_numbers = true)]
    pub negatives_threshold: Option<f32>,
    /// Judge positives with an AUM below this wrong
    #[arg(long, value_name = "AUM", allow_negative_numbers = true)]
    pub positives_threshold: Option<f32>,
    /// Take the threshold for negatives from the threshold samples: AUM at this quantile, from the top
    #[arg(long, value_name = "Q", value_parser = quantile, conflicts_with = "negatives_threshold")]
    pub negatives_quantile: Option<f32>,
    /// Likewise for positives (the paper: .10 for negatives, 0 for positives)
    #[arg(long, value_name = "Q", value_parser = quantile, conflicts_with = "positives_threshold")]
    pub positives_quantile: Option<f32>,
    /// Judge by area under the margin, or by the mean probability of the label [default: aum]
    #[arg(long, value_enum)]
    pub metric: Option<MetricArg>,
    /// Find the positives' threshold for each entity type by itself; a type with fewer than 30 threshold
    /// samples takes that of all positives
    #[arg(long)]
    pub per_class: bool,
    /// Threshold of one entity type; can be given several times
    #[arg(long, value_name = "TYPE=AUM", value_parser = class_threshold, allow_negative_numbers = true)]
    pub class_threshold: Vec<(String, f32)>,
    /// Epochs over which AUM is taken [default: three, from where the positives are learned]
    #[arg(long, value_name = "FIRST-LAST", value_parser = window)]
    pub window: Option<Window>,
    /// Remove spans judged wrong, or give them the label the model predicts where it is confident [default: remove]
    #[arg(long, value_enum)]
    pub on_wrong: Option<OnWrong>,
    /// Judge every suspicious negative, even where several overlap [default: only the most suspicious of them]
    #[arg(long)]
    pub keep_overlaps: bool,
}

fn quantile(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "expected a number in 0..1".to_owned())?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("expected a number in 0..1".to_owned()) }
}

fn class_threshold(text: &str) -> Result<(String, f32), String> {
    let parsed = text.rsplit_once('=').and_then(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?)));
    parsed.ok_or_else(|| "expected a type and a number, such as PER=0.5".to_owned())
}

fn window(text: &str) -> Result<Window, String> {
    let parse = |part: &str| part.trim().parse::<u32>().ok().filter(|&n| n > 0);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (parse(first), parse(last)) {
        (Some(first), Some(last)) if first <= last => Ok(Window { first, last }),
        _ => Err("expected epochs as FIRST-LAST, counted from 1, such as 1-3".to_owned()),
    }
}

/// Clean a corpus by a dynamics file.
///
/// Without --decisions, thresholds are automatic, or as the options say. The corpus must be the one
/// the dynamics were recorded on; it comes back in the same format. Removed spans are marked as unknown
/// ("unknown" in JSON, see --unknown for tags): neither entity nor O.
///
/// Examples:
///   trainer clean run/dynamics.dyn --corpus train.json --out cleaned.json
///   trainer clean run/dynamics.dyn --corpus train.json --out cleaned.json --decisions decisions.json
///   trainer clean run/dynamics.dyn --corpus train.json --out cleaned.json --positives-threshold 0.5
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Clean {
    /// The dynamics file
    #[arg(value_name = "RUN.dyn")]
    pub dynamics: PathBuf,
    /// The corpus it was recorded on
    #[arg(long, value_name = "FILE")]
    pub corpus: PathBuf,
    /// Where the cleaned corpus goes
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Decisions exported from the page
    #[arg(long, value_name = "FILE", conflicts_with = "CleaningOptions")]
    pub decisions: Option<PathBuf>,
    /// Write where every change comes from: span, old and new label, metric, rule or hand
    #[arg(long, value_name = "FILE")]
    pub provenance: Option<PathBuf>,
    /// Write the decisions in force, to edit or to repeat them
    #[arg(long, value_name = "FILE")]
    pub write_decisions: Option<PathBuf>,
    #[command(flatten)]
    pub corpora: CorpusArgs,
    #[command(flatten)]
    pub cleaning: CleaningOptions,
}

/// Convert training dynamics that a Python program recorded to a dynamics file, or a corpus to another format.
///
/// Understood are the DynClean paper's and allenai/cartography's dynamics_epoch_K.jsonl, and the aum
/// package's full_aum_records.csv and aum_values.csv (margins only). With --corpus, guids are the ids of
/// its candidate spans; without, each guid stands as a sentence of its own. docs/IMPORT.md has the layouts.
///
/// Examples:
///   trainer convert --dynamics logs/dynamics_epoch_*.jsonl --corpus train.json --out run.dyn
///   trainer convert --dynamics training_dynamics/*.jsonl --labels neutral,entailment --out run.dyn
///   trainer convert --dynamics full_aum_records.csv --out run.dyn
///   trainer convert --corpus train.conll --to dynclean --out train.json
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Convert {
    /// Recorded dynamics: the files of all epochs, in any order
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "to")]
    pub dynamics: Vec<PathBuf>,
    /// The corpus that was trained on, with its distant labels
    #[arg(long, value_name = "FILE")]
    pub corpus: Option<PathBuf>,
    /// The same sentences with gold labels
    #[arg(long, value_name = "FILE", requires = "corpus")]
    pub gold: Option<PathBuf>,
    /// Instead of dynamics, write the corpus in this format
    #[arg(long, value_name = "FORMAT", value_parser = format, requires = "corpus", conflicts_with = "dynamics")]
    pub to: Option<Format>,
    /// The file to write; a folder for brat
    #[arg(long, value_name = "RUN.dyn|FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    pub corpora: CorpusArgs,
    /// Names of the labels after O, in the order of their logits [default: found by comparing with the
    /// corpus; without corpus 1, 2, ...]
    #[arg(long, value_name = "A,B,C", value_delimiter = ',')]
    pub labels: Option<Vec<String>>,
    /// Widest candidate span of the recording program, in tokens
    #[arg(long, default_value_t = shared::span::DEFAULT_MAX_WIDTH, value_name = "N")]
    pub max_span_width: u32,
    /// How logits are kept: f32 loses nothing, f16 takes half the room
    #[arg(long, value_enum, default_value_t = PrecisionArg::F32)]
    pub precision: PrecisionArg,
    /// Which negatives were in the recorded loss: where only some were, negatives are never relabelled
    #[arg(long, value_enum, default_value_t = NegativesArg::Top)]
    pub negatives: NegativesArg,
}

/// Show what a dynamics file holds.
///
/// Examples:
///   trainer inspect run/dynamics.dyn
///   trainer inspect run/dynamics.dyn --json
///   trainer inspect run/dynamics.dyn --spans spans.csv
///   trainer inspect run/dynamics.dyn --spans spans.parquet
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Inspect {
    /// The dynamics file
    #[arg(value_name = "RUN.dyn")]
    pub dynamics: PathBuf,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Also write one row per span (labels, metrics, decision), as CSV or Parquet by the name's ending
    #[arg(long, value_name = "OUT.csv|OUT.parquet")]
    pub spans: Option<PathBuf>,
    #[command(flatten)]
    pub cleaning: CleaningOptions,
}

/// Write the bundled sample corpus: invented text, gold labels, and distant labels from a dictionary.
///
/// Example:
///   trainer sample --out sample
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Sample {
    /// Folder for train-distant.json, train-gold.json, dev.json, test.json and dictionary.tsv
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Seed of the text
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
}

/// Serve the page on this machine, with a run opened.
///
/// Example:
///   trainer serve --run run
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Serve {
    /// Folder of the built page
    #[arg(long, value_name = "DIR", default_value = "dist")]
    pub page: PathBuf,
    /// Folder of a run to open
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// Port on the loopback address; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// The best there is: in this build, the CPU
    Auto,
    Cpu,
    Cuda,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum NegativesArg {
    Top,
    All,
}

impl From<NegativesArg> for Negatives {
    fn from(arg: NegativesArg) -> Self {
        match arg {
            NegativesArg::Top => Self::Top,
            NegativesArg::All => Self::All,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum PrecisionArg {
    F16,
    F32,
}

impl From<PrecisionArg> for Precision {
    fn from(arg: PrecisionArg) -> Self {
        match arg {
            PrecisionArg::F16 => Self::F16,
            PrecisionArg::F32 => Self::F32,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum SchemeArg {
    /// All get an extra class
    FakeClass,
    /// Positives get the extra class, negatives a random type
    FakeClassPositives,
    /// Each gets a random label other than its own
    RandomOther,
}

impl From<SchemeArg> for SampleScheme {
    fn from(arg: SchemeArg) -> Self {
        match arg {
            SchemeArg::FakeClass => Self::FakeClass,
            SchemeArg::FakeClassPositives => Self::FakeClassPositives,
            SchemeArg::RandomOther => Self::RandomOther,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum ScheduleArg {
    Constant,
    Linear,
}

impl From<ScheduleArg> for Schedule {
    fn from(arg: ScheduleArg) -> Self {
        match arg {
            ScheduleArg::Constant => Self::Constant,
            ScheduleArg::Linear => Self::Linear,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum RecordArg {
    Eval,
    Train,
}

impl From<RecordArg> for Record {
    fn from(arg: RecordArg) -> Self {
        match arg {
            RecordArg::Eval => Self::Evaluation,
            RecordArg::Train => Self::Training,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum WordShapesArg {
    Auto,
    On,
    Off,
}

impl From<WordShapesArg> for WordShapes {
    fn from(arg: WordShapesArg) -> Self {
        match arg {
            WordShapesArg::Auto => Self::Auto,
            WordShapesArg::On => Self::On,
            WordShapesArg::Off => Self::Off,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReferenceArg {
    Gold,
    Oracle,
    None,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Threshold {
    Auto,
    Paper,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum MetricArg {
    Aum,
    Confidence,
}

impl From<MetricArg> for Metric {
    fn from(arg: MetricArg) -> Self {
        match arg {
            MetricArg::Aum => Self::Aum,
            MetricArg::Confidence => Self::Confidence,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum OnWrong {
    Remove,
    Relabel,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn formats_and_marks_are_read() {
        assert!(Format::ALL.into_iter().all(|f| format(f.name()) == Ok(f)));
        assert!(format("csv").unwrap_err().contains("conll, bond"));
        assert_eq!(unknown("mask"), Ok(UnknownAs::Mask));
        assert_eq!(unknown("tag"), Ok(UnknownAs::Tag("IGNORE".into())));
        assert_eq!(unknown("tag:X-Y"), Ok(UnknownAs::Tag("X-Y".into())));
        assert!(["", "tag:", "mask:x", "tag:a b"].iter().all(|wrong| unknown(wrong).is_err()));
    }

    #[test]
    fn windows_are_read() {
        assert_eq!(window("2-5"), Ok(Window { first: 2, last: 5 }));
        assert_eq!(window("4"), Ok(Window { first: 4, last: 4 }));
        for wrong in ["", "0-3", "3-2", "a-b", "1-2-3"] {
            assert!(window(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn class_thresholds_are_read() {
        assert_eq!(class_threshold("a=b=-0.5"), Ok(("a=b".to_owned(), -0.5)));
        assert!(class_threshold("PER").is_err() && class_threshold("PER=x").is_err());
    }
}
