//! What window and worker say to each other: bincode in a byte array, and beside it, where there is
//! one, a buffer or file that is handed over without being copied.

use explorer::axis::Axes;
use explorer::colour::Ground;
use explorer::compare::Agreement;
use explorer::density::Extent;
use explorer::filter::Filter;
use explorer::listing::Listing;
use explorer::same_form::{Form, SameForm};
use explorer::surface_forms::{FormOrder, FormRow};
use js_sys::{Array, Uint8Array};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shared::cleaning::CleaningSummary;
use shared::corpus::decision::Decision;
use shared::corpus::labels::LabelId;
use shared::corpus::span::SpanId;
use shared::detection::dictionary_check::Contradicted;
use shared::detection::estimate::Estimate;
use shared::detection::explanation::Explanation;
use shared::detection::threshold::Settings;
use shared::evaluation::quality::CurvePoint;
use shared::evaluation::score::Prf;
use shared::formats::Format;
use shared::recording::dynamics::SampleScheme;
use wasm_bindgen::{JsCast, JsValue};

/// To the worker. One at a time: the next is sent when the reply is there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Request {
    /// Opens a file: what stays open if it fails is the file before.
    Open(Place),
    /// Opens another recording of the same corpus beside the open file, to be compared with it.
    Compare(Place),
    /// Asks what a `decisions.json` about the open file holds.
    Take(String),
    /// Changes what is looked at; the reply has what changed by it.
    Look(Box<Look>),
    /// Makes a file for download.
    Export(Export),
    /// Asks for the address that carries the settings and decisions.
    Link,
}

/// Where a dynamics file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// A `File`, attached to the message.
    File {
        /// Its name.
        name: String,
    },
    /// On the page's own server; absolute.
    Url(String),
}

/// A change of what is looked at; `None`: as before.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Look {
    /// Thresholds and all that.
    pub settings: Option<Settings>,
    /// Decisions by hand; `None` takes one back.
    pub by_hand: Vec<(SpanId, Option<Decision>)>,
    /// Which spans are looked at.
    pub filter: Option<Filter>,
    /// Ends the comparison with another recording.
    pub forget_other: bool,
    /// The data map.
    pub map: Option<MapQuery>,
    /// The rows in sight.
    pub rows: Option<RowQuery>,
    /// The surface forms in sight; with a limit of 0 none from now on.
    pub forms: Option<FormQuery>,
    /// Spans with the same words and label that are to be decided about: the reply says which those are.
    pub decided_alike: Vec<(Alike, Option<Decision>)>,
    /// The span in detail.
    pub detail: Option<SpanId>,
    /// A pixel of the data map whose nearest span is wanted in detail.
    pub pick: Option<(u32, u32)>,
    /// A pixel of the data map whose nearest span is wanted in short.
    pub hover: Option<(u32, u32)>,
}

/// All spans with the same words and the same distant label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Alike {
    /// Those of a surface form.
    Form(Form),
    /// Those that are like this one.
    Span(SpanId),
}

/// What is to be decided about spans with the same words and label.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DecidedAlike {
    /// The words.
    pub words: String,
    /// The spans.
    pub spans: Vec<SpanId>,
    /// What to do with them; `None`: what the rules say.
    pub decision: Option<Decision>,
}

/// Rows of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowQuery {
    /// Of which list.
    pub list: List,
    /// First row.
    pub offset: usize,
    /// Number of rows.
    pub limit: usize,
}

/// Rows of the list of surface forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormQuery {
    /// In what order.
    pub order: FormOrder,
    /// First row.
    pub offset: usize,
    /// Number of rows.
    pub limit: usize,
}

/// A list of spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum List {
    /// By AUM.
    Ranked(Listing),
    /// Those decided by hand.
    ByHand,
    /// Those that the open recording and the one it is compared with judge differently.
    Flips,
}

/// What the data map shows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MapQuery {
    /// Width in device pixels.
    pub width: u32,
    /// Height in device pixels.
    pub height: u32,
    /// Device pixels per pixel.
    pub scale: u32,
    /// What its axes are.
    pub axes: Axes,
    /// The part that is shown.
    pub extent: Extent,
    /// What colours mean.
    pub colouring: Colouring,
    /// Background.
    pub ground: Ground,
}

/// What the colours of the data map mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Colouring {
    /// Number of spans.
    Density,
    /// Mean AUM.
    Aum,
    /// Mean correctness.
    Correctness,
    /// The entity type that most spans have.
    Class,
    /// Kept, removed, relabelled.
    Decision,
    /// Distant label differs from gold.
    Gold,
}

/// A file for download.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Export {
    /// The cleaned corpus; `None`: in the format it came in.
    Corpus(Option<Format>),
    /// `decisions.json`.
    Decisions,
    /// `provenance.json`: where every change comes from.
    Provenance,
    /// The report: one HTML file.
    Report,
}

/// From the worker.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// It runs.
    Ready,
    /// It has panicked and runs no more.
    Died(String),
    /// Of the large file that it is reading, this share is done. The reply proper comes later.
    Progress(f32),
    /// The data map that a [`Look`] asks for, its pixels attached, before the rest is known. The reply proper comes later.
    Picture(Map),
    /// To [`Request::Open`].
    Opened(Box<Opened>),
    /// To [`Request::Take`], and to [`Request::Open`] where the file is `decisions.json`: what it holds.
    /// Nothing has changed yet.
    Decided(Box<Settings>, Vec<(SpanId, Decision)>),
    /// To [`Request::Open`]: why not.
    Refused(String),
    /// To [`Request::Look`]; the data map's pixels are attached if it changed.
    Seen(Box<Seen>),
    /// To [`Request::Export`]; the bytes are attached.
    Exported {
        /// Proposed name.
        name: String,
        /// What the format cannot hold, in words.
        notes: Vec<String>,
    },
    /// To [`Request::Compare`].
    Compared(Box<Compared>),
    /// To [`Request::Link`].
    Linked {
        /// What follows `#`.
        fragment: String,
        /// Whether the decisions by hand are in it: not where they are too many.
        complete: bool,
    },
    /// To a request that could not be done: why.
    Failed(String),
}

/// An opened file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// Name of the file.
    pub file: String,
    /// Its digest.
    pub digest: String,
    /// Name of the corpus.
    pub name: String,
    /// Encoder.
    pub encoder: String,
    /// Further facts as (name, value).
    pub facts: Vec<(String, String)>,
    /// Candidate spans.
    pub n_spans: usize,
    /// Epochs recorded.
    pub n_epochs: u32,
    /// Names of the labels, `O` first.
    pub labels: Vec<String>,
    /// Whether gold labels are in the file.
    pub has_gold: bool,
    /// What annotated sentences contradict.
    pub contradicted: Contradicted,
    /// Whether probabilities are known: not where only margins were recorded.
    pub has_probabilities: bool,
    /// How the threshold samples were mislabelled, if there are any.
    pub scheme: Option<SampleScheme>,
    /// Whether the run that wrote the file had finished.
    pub complete: bool,
    /// The automatic settings: where a person starts.
    pub automatic: Settings,
}

/// A recording that the open one is compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// Name of its file.
    pub file: String,
    /// Its encoder.
    pub encoder: String,
    /// Its seed.
    pub seed: u64,
    /// The range of its AUMs.
    pub aum: (f32, f32),
}

/// What changed by a [`Look`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Counts and quality.
    pub figures: Option<Figures>,
    /// Distributions of the metric: negatives, positives.
    pub histograms: Option<[SideHistogram; 2]>,
    /// The range of the AUMs, where it may have changed.
    pub aum: Option<(f32, f32)>,
    /// How many spans pass the filter.
    pub passing: Option<usize>,
    /// Precision over recall of all thresholds, where gold is known: negatives, positives.
    pub curves: Option<[Vec<CurvePoint>; 2]>,
    /// Agreement with the other recording: negatives, positives.
    pub agreement: Option<[Agreement; 2]>,
    /// Rows.
    pub rows: Option<Rows>,
    /// Surface forms.
    pub forms: Option<FormRows>,
    /// What is to be decided about spans with the same words and label: nothing has changed yet.
    pub decided_alike: Vec<DecidedAlike>,
    /// A span; `Some(None)` where none is near the picked pixel.
    pub detail: Option<Option<Detail>>,
    /// A span in short; `Some(None)` where none is near the pixel.
    pub hover: Option<Option<Hover>>,
    /// What the attached pixels show.
    pub map: Option<Map>,
    /// Why the settings that were asked for cannot hold, and those that do.
    pub refused: Option<(String, Box<Settings>)>,
}

/// Counts and quality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Thresholds and counts.
    pub summary: CleaningSummary,
    /// Detection of false positives and of false negatives, where gold is known.
    pub quality: Option<[Quality; 2]>,
    /// What the threshold samples let expect of the judged negatives and positives.
    pub estimate: [Option<Estimate>; 2],
    /// How far the text counts, in words; empty where labels are not judged by it.
    pub capitals: String,
    /// Spans decided by hand.
    pub by_hand: usize,
}

/// Noise detection on one side. (`shared`'s own type is laid out for JSON, which bincode cannot do.)
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Precision, recall, F1.
    pub prf: Prf,
    /// Average precision of the ranking.
    pub average_precision: f64,
}

/// The metric of one side's real spans and of its threshold samples, in the same bins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SideHistogram {
    /// Left edge of the first bin.
    pub low: f32,
    /// Right edge of the last bin.
    pub high: f32,
    /// Real spans per bin.
    pub real: Vec<u32>,
    /// Threshold samples per bin.
    pub samples: Vec<u32>,
    /// Of the real spans, those that pass the filter; empty without one.
    pub passing: Vec<u32>,
}

/// Rows of the table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rows {
    /// Rows in the list.
    pub total: usize,
    /// Number of the first row.
    pub offset: usize,
    /// The rows.
    pub rows: Vec<Row>,
}

/// Rows of the list of surface forms.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FormRows {
    /// Forms in the list.
    pub total: usize,
    /// Forms that would be in it without a filter.
    pub all: usize,
    /// Number of the first row.
    pub offset: usize,
    /// The rows.
    pub rows: Vec<FormRow>,
}

/// A span in its sentence.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InContext {
    /// Text before the span.
    pub before: String,
    /// The span.
    pub marked: String,
    /// Text after it.
    pub after: String,
}

/// One span of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Which.
    pub id: SpanId,
    /// Its words and some around them.
    pub text: InContext,
    /// Distant label.
    pub distant: LabelId,
    /// Label that the model prefers, where logits are known.
    pub predicted: Option<LabelId>,
    /// Gold label, where known.
    pub gold: Option<LabelId>,
    /// The metric by which spans are judged.
    pub value: f32,
    /// Margin at every epoch.
    pub margins: Vec<f32>,
    /// What happens to it.
    pub decision: Decision,
    /// Whether a person said so.
    pub by_hand: bool,
    /// Whether annotated sentences contradict its label, and the settings heed it.
    pub contradicted: bool,
}

/// One span with everything about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// As in the table, with its whole sentence.
    pub row: Row,
    /// Sentence, from 0.
    pub sentence: u32,
    /// First token, from 0.
    pub start: u32,
    /// Last token.
    pub end: u32,
    /// AUM.
    pub aum: f32,
    /// What the settings alone would do.
    pub by_rule: Decision,
    /// Probability that the distant label is wrong, where the dynamics say anything.
    pub wrong: Option<f32>,
    /// Why that is so.
    pub because: Explanation,
    /// What needs probabilities, where they are known.
    pub probabilities: Option<Probabilities>,
    /// Epochs of the window at which the distant label was predicted.
    pub correctness: u16,
    /// Times it was forgotten.
    pub forgetting: u16,
    /// The same words elsewhere.
    pub same_form: SameForm,
    /// AUM in the other recording, where there is one.
    pub other_aum: Option<f32>,
}

/// One span in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hover {
    /// The pixel asked about.
    pub at: (u32, u32),
    /// Its words and some around them.
    pub text: InContext,
    /// Distant label.
    pub distant: LabelId,
    /// Label that the model prefers, where logits are known.
    pub predicted: Option<LabelId>,
    /// AUM.
    pub aum: f32,
    /// What happens to it.
    pub decision: Decision,
}

/// What is known of a span whose logits were recorded, and not only its margins.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Probabilities {
    /// Mean probability of the predicted label.
    pub predicted: f32,
    /// Mean probability of the distant label.
    pub confidence: f32,
    /// Its standard deviation.
    pub variability: f32,
}

/// What the pixels of a data map show.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Map {
    /// To which query.
    pub query: MapQuery,
    /// Values at the weak and the strong end of the colour ramp.
    pub ramp: (f32, f32),
    /// Spans in the picture, of those that pass the filter.
    pub shown: usize,
}

/// A message's bytes.
pub fn encode<T: Serialize>(message: &T) -> Uint8Array {
    // Encoding plain structures into memory cannot fail.
    let bytes = bincode::serde::encode_to_vec(message, bincode::config::standard()).unwrap_or_default();
    Uint8Array::from(bytes.as_slice())
}

/// A message with what is attached to it.
pub fn pack<T: Serialize>(message: &T, attachment: &JsValue) -> Array {
    Array::of2(&encode(message), attachment)
}

/// Takes a message apart; `None` if it is none of ours.
pub fn unpack<T: DeserializeOwned>(data: JsValue) -> Option<(T, JsValue)> {
    let parts: Array = data.dyn_into().ok()?;
    let bytes: Uint8Array = parts.get(0).dyn_into().ok()?;
    let (message, _) = bincode::serde::decode_from_slice(&bytes.to_vec(), bincode::config::standard()).ok()?;
    Some((message, parts.get(1)))
}
