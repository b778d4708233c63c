//! Messages between the window and the worker. Each message is bincode in a byte array. It may carry a buffer or a
//! file, which is handed over without a copy.

use explorer::axis::Axes;
use explorer::colour::Ground;
use explorer::compare::Agreement;
use explorer::density::Extent;
use explorer::filter::Filter;
use explorer::groups::{Group, GroupBy};
use explorer::listing::{Listing, Order};
use explorer::matrix::Matrix;
use explorer::plots::distribution::SideHistogram;
use explorer::queue::{Next, Progress};
use explorer::reasons::ReasonCount;
use explorer::review::{Notes, Review};
use explorer::reviewers::Reviewer;
use explorer::same_form::{Form, SameForm};
use explorer::sentence::Sentence;
use explorer::sources::SourceTable;
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
use shared::detection::noise_model::Signal;
use shared::detection::threshold::Settings;
use shared::evaluation::quality::CurvePoint;
use shared::evaluation::score::Prf;
use shared::formats::Format;
use shared::recording::dynamics::SampleScheme;
use shared::report::CourseEpoch;
use wasm_bindgen::{JsCast, JsValue};

/// A request to the worker. The window sends the next one only after the reply.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Request {
    /// Opens a file. If that fails, the previous file stays open.
    Open(Place),
    /// Opens another recording of the same corpus, to compare it with the open file.
    Compare(Place),
    /// Reads the text of a `decisions.json` about the open file.
    Take(String),
    /// Reads several people's `decisions.json`, with these file names. The files are attached, in an array.
    Merge(Vec<String>),
    /// Changes something, or asks for something. The reply holds everything that changed.
    Look(Box<Look>),
    /// Makes a file.
    Export(Export),
    /// Asks for the address that carries the settings and decisions.
    Link,
}

/// Where a dynamics file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// A `File`, attached to the message.
    File {
        /// Name of the file.
        name: String,
    },
    /// Absolute address of a file on the page's own server.
    Url(String),
}

/// Returns the last part of an address's path.
pub fn file_name(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(url)
}

/// Changes that the window sends to the worker, and data that it asks for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Look {
    /// The changes.
    pub change: Change,
    /// The data to return after the changes.
    pub query: Query,
}

/// A change of the state that the worker keeps. Parts that are `None` stay as they were.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Change {
    /// Settings: thresholds, metric, window and the rest.
    pub settings: Option<Settings>,
    /// Decisions by hand; `None` takes one back.
    pub by_hand: Vec<(SpanId, Option<Decision>)>,
    /// All notes.
    pub notes: Option<Notes>,
    /// Suggestions that were chosen at random before the worker began with this file.
    pub sampled: Vec<SpanId>,
    /// The filter on spans.
    pub filter: Option<Filter>,
    /// The name of the person, and the people whose decisions were merged.
    pub reviewing: Option<Reviewing>,
    /// Ends the comparison with another recording.
    pub forget_other: bool,
}

/// The data that the window asks for. After every change, the worker sends map, rows, forms and groups again, as the
/// window last asked for them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Query {
    /// The picture of the data map.
    pub map: Option<MapQuery>,
    /// The visible rows of the table.
    pub rows: Option<RowQuery>,
    /// The visible surface forms. With a limit of 0, no more forms are sent.
    pub forms: Option<FormQuery>,
    /// The groups of like errors; `Some(None)` sends no more of them.
    pub groups: Option<Option<GroupBy>>,
    /// Decisions about all spans with the same words and label. The reply lists the spans.
    pub decided_alike: Vec<(Alike, Option<Decision>)>,
    /// The span to show in detail.
    pub detail: Option<SpanId>,
    /// Asks for the spans of a list, to decide about all of them.
    pub bulk: Option<BulkQuery>,
    /// Asks for the next undecided span, without these spans and those like them. It is shown in detail.
    pub next: Option<Vec<SpanId>>,
    /// Asks for an undecided suggestion, chosen at random by this seed. It is shown in detail.
    pub sample: Option<u64>,
    /// Asks for the labels of this span's sentence as they stand now.
    pub settle: Option<SpanId>,
    /// A pixel of the data map. The nearest span is shown in detail.
    pub pick: Option<(u32, u32)>,
    /// A pixel of the data map. The nearest span is shown in short.
    pub hover: Option<(u32, u32)>,
}

/// Who reviews.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reviewing {
    /// Name of the person at this page; empty if not given.
    pub name: String,
    /// The people whose decisions were merged.
    pub reviewers: Vec<Reviewer>,
}

/// All spans with the same words and the same distant label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Alike {
    /// All spans of a surface form.
    Form(Form),
    /// All spans with the same words and label as this one.
    Span(SpanId),
}

/// A decision about all spans with the same words and label.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DecidedAlike {
    /// The words.
    pub words: String,
    /// The spans.
    pub spans: Vec<SpanId>,
    /// The decision; `None` leaves the spans to the rules.
    pub decision: Option<Decision>,
}

/// A request for rows of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowQuery {
    /// The list that the rows are in.
    pub list: List,
    /// Its order, and the number in the rows.
    pub order: Order,
    /// First row.
    pub offset: usize,
    /// Number of rows.
    pub limit: usize,
}

/// A request for rows of the list of surface forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormQuery {
    /// The order of the list.
    pub order: FormOrder,
    /// First row.
    pub offset: usize,
    /// Number of rows.
    pub limit: usize,
}

/// A request for all spans of a list, with a random sample of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkQuery {
    /// The list.
    pub list: List,
    /// Decides which spans are in the sample.
    pub seed: u64,
}

/// A list of spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum List {
    /// Sorted by the metric, lowest first.
    Ranked(Listing),
    /// The spans decided by hand.
    ByHand,
    /// The spans that the open and the compared recording judge differently.
    Flips,
}

/// A request for the picture of the data map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MapQuery {
    /// Width in device pixels.
    pub width: u32,
    /// Height in device pixels.
    pub height: u32,
    /// Device pixels per CSS pixel, rounded.
    pub scale: u32,
    /// The axes.
    pub axes: Axes,
    /// The visible part of the plane.
    pub extent: Extent,
    /// The meaning of the colours.
    pub colouring: Colouring,
    /// The background: light or dark.
    pub ground: Ground,
}

/// The meaning of the colours of the data map.
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
    /// Whether spans are kept, removed or relabelled.
    Decision,
    /// Whether the distant label differs from the gold label.
    Gold,
}

/// A file that the person saves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Export {
    /// The cleaned corpus; `None` keeps the format of the input.
    Corpus(Option<Format>),
    /// `decisions.json`.
    Decisions,
    /// `provenance.json`: the origin of every change.
    Provenance,
    /// The report: one HTML file.
    Report,
}

/// A reply from the worker.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// The worker runs.
    Ready,
    /// The worker has panicked and stopped; with the panic message.
    Died(String),
    /// The share of a large file that has been read so far. The actual reply comes later.
    Progress(f32),
    /// The data map that a [`Look`] asks for, before the rest is known. Its pixels are attached. The actual reply
    /// comes later.
    Picture(Map),
    /// The reply to [`Request::Open`].
    Opened(Box<Opened>),
    /// The content of a `decisions.json`: the reply to [`Request::Take`], and to [`Request::Open`] for such a
    /// file. Nothing has changed yet.
    Decided(Box<Settings>, Box<Review>),
    /// The decisions of every person: the reply to [`Request::Merge`]. The first is the person at this page, if
    /// there are own decisions. Nothing has changed yet.
    Read(Vec<Reviewer>),
    /// The reason why [`Request::Open`], [`Request::Compare`], [`Request::Take`] or [`Request::Merge`] failed.
    Refused(String),
    /// The reply to [`Request::Look`]. The pixels of the data map are attached if it changed.
    Seen(Box<Seen>),
    /// The reply to [`Request::Export`]. The bytes are attached.
    Exported {
        /// Proposed name.
        name: String,
        /// Texts about information that the format cannot hold.
        notes: Vec<String>,
    },
    /// The reply to [`Request::Compare`].
    Compared(Box<Compared>),
    /// The reply to [`Request::Link`].
    Linked {
        /// The part of the address after `#`.
        fragment: String,
        /// Whether the decisions by hand are included. They are left out if there are too many.
        complete: bool,
    },
    /// The reason why another request failed.
    Failed(String),
}

/// An opened file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// Name of the file.
    pub file: String,
    /// Its length in bytes.
    pub size: u64,
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
    /// Number of dictionary entries that annotated sentences contradict, and of their spans.
    pub contradicted: Contradicted,
    /// Whether probabilities are known. They are not if only margins were recorded.
    pub has_probabilities: bool,
    /// How the threshold samples were mislabelled, if there are any.
    pub scheme: Option<SampleScheme>,
    /// Whether the run that wrote the file had finished.
    pub complete: bool,
    /// Loss and dev F1 of every epoch.
    pub course: Vec<CourseEpoch>,
    /// The automatic settings, with which the page starts.
    pub automatic: Settings,
}

/// A recording that the open file is compared with.
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

/// Everything that a [`Look`] has changed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Counts and quality.
    pub figures: Option<Figures>,
    /// Distributions of the metric: negatives, positives.
    pub histograms: Option<[SideHistogram; 2]>,
    /// Distant labels against the labels that the model prefers and against gold, where these are known.
    pub matrices: Option<[Option<Matrix>; 2]>,
    /// The range of the AUMs, if it may have changed.
    pub aum: Option<(f32, f32)>,
    /// Number of spans that pass the filter.
    pub passing: Option<usize>,
    /// Precision–recall curves over all thresholds, if gold labels are known: negatives, positives.
    pub curves: Option<[Vec<CurvePoint>; 2]>,
    /// Agreement with the other recording: negatives, positives.
    pub agreement: Option<[Agreement; 2]>,
    /// Rows of the table.
    pub rows: Option<Rows>,
    /// Surface forms.
    pub forms: Option<FormRows>,
    /// Groups of like errors.
    pub groups: Option<Groups>,
    /// Decisions about all spans with the same words and label. Nothing has changed yet.
    pub decided_alike: Vec<DecidedAlike>,
    /// All spans of a list.
    pub bulk: Option<Bulk>,
    /// The next undecided spans; `Some(None)` if there are none.
    pub next: Option<Option<Next>>,
    /// A suggestion that was chosen at random; `Some(None)` if all are decided.
    pub sampled: Option<Option<SpanId>>,
    /// The labels of a sentence as they stand now. Nothing has changed yet.
    pub settled: Option<Vec<(SpanId, Decision)>>,
    /// A span in detail; `Some(None)` if no span is near the picked pixel.
    pub detail: Option<Option<Detail>>,
    /// A span in short; `Some(None)` if no span is near the pixel.
    pub hover: Option<Option<Hover>>,
    /// Description of the attached pixels.
    pub map: Option<Map>,
    /// Why the requested settings are not possible, and the settings that stay in force.
    pub refused: Option<(String, Box<Settings>)>,
}

/// Counts and quality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Thresholds and counts.
    pub summary: CleaningSummary,
    /// Quality of the detection of false positives and of false negatives, if gold labels are known.
    pub quality: Option<[Quality; 2]>,
    /// Expected wrong labels, estimated without gold labels: negatives, positives.
    pub estimate: [Option<Estimate>; 2],
    /// How much the text counts in the trust, in words. Empty if labels are not judged by trust.
    pub capitals: String,
    /// Why labels are doubted; `None` if there are too many to count them.
    pub reasons: Option<Vec<ReasonCount>>,
    /// How good the labels of each source look, for every field that divides the sentences.
    pub sources: Vec<SourceTable>,
    /// Spans decided by hand.
    pub by_hand: usize,
    /// How far the person has come.
    pub progress: Progress,
}

/// Quality of the noise detection on one side. (The type in `shared` is laid out for JSON, which bincode cannot
/// encode.)
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Precision, recall, F1.
    pub prf: Prf,
    /// Average precision of the ranking.
    pub average_precision: f64,
}

/// Rows of the table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rows {
    /// Number of rows in the list.
    pub total: usize,
    /// Number of the first row.
    pub offset: usize,
    /// The rows.
    pub rows: Vec<Row>,
}

/// All spans of a list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Bulk {
    /// Number of spans in the list.
    pub total: usize,
    /// The spans. Empty if there are too many to decide about at once.
    pub spans: Vec<SpanId>,
    /// Some of them, chosen at random.
    pub rows: Vec<Row>,
}

/// Rows of the list of surface forms.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FormRows {
    /// Number of forms in the list.
    pub total: usize,
    /// Number of forms in the list without the filter.
    pub all: usize,
    /// Number of the first row.
    pub offset: usize,
    /// The rows.
    pub rows: Vec<FormRow>,
}

/// Groups of like errors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Groups {
    /// Number of all groups.
    pub total: usize,
    /// The largest groups, each with its least trusted span.
    pub rows: Vec<(Group, InContext)>,
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

/// A row of the table: one span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Id of the span.
    pub id: SpanId,
    /// The span with some words around it.
    pub text: InContext,
    /// Distant label.
    pub distant: LabelId,
    /// Label that the model prefers, where logits are known.
    pub predicted: Option<LabelId>,
    /// Gold label, where known.
    pub gold: Option<LabelId>,
    /// Value of the column by which the list is sorted.
    pub value: f32,
    /// Margin at every epoch.
    pub margins: Vec<f32>,
    /// The decision about the span.
    pub decision: Decision,
    /// Whether the decision was made by hand.
    pub by_hand: bool,
    /// Whether annotated sentences contradict the label and the settings take that into account.
    pub contradicted: bool,
}

/// One span with everything about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// The row of the table, without the text around the span.
    pub row: Row,
    /// The sentence with all labels in it.
    pub sentence: Sentence,
    /// Number of the sentence, from 0.
    pub number: u32,
    /// First token, from 0.
    pub start: u32,
    /// Last token.
    pub end: u32,
    /// AUM.
    pub aum: f32,
    /// The decision by the rules alone.
    pub by_rule: Decision,
    /// Probability that the distant label is wrong, if the dynamics give one.
    pub wrong: Option<f32>,
    /// The reasons for this probability.
    pub because: Explanation,
    /// The strongest reason against the label, if it is likely wrong.
    pub doubted: Option<Signal>,
    /// Values that need probabilities, if these are known.
    pub probabilities: Option<Probabilities>,
    /// Number of epochs in the window at which the distant label was predicted.
    pub correctness: u16,
    /// Number of times the label was forgotten.
    pub forgetting: u16,
    /// The same words elsewhere in the corpus.
    pub same_form: SameForm,
    /// What each of several people decided, if their decisions were merged.
    pub opinions: Vec<(String, Decision)>,
    /// AUM in the compared recording, if there is one.
    pub other_aum: Option<f32>,
}

/// A short description of one span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hover {
    /// The pixel in the request.
    pub at: (u32, u32),
    /// The span with some words around it.
    pub text: InContext,
    /// Distant label.
    pub distant: LabelId,
    /// Label that the model prefers, where logits are known.
    pub predicted: Option<LabelId>,
    /// AUM.
    pub aum: f32,
    /// The decision about the span.
    pub decision: Decision,
}

/// Values of a span that need logits. They are unknown if only margins were recorded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Probabilities {
    /// Mean probability of the predicted label.
    pub predicted: f32,
    /// Mean probability of the distant label.
    pub confidence: f32,
    /// Standard deviation of the probability of the distant label.
    pub variability: f32,
}

/// Description of the pixels of a data map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Map {
    /// The query that the pixels answer.
    pub query: MapQuery,
    /// Values at the weak and the strong end of the colour ramp.
    pub ramp: (f32, f32),
    /// Number of spans in the picture that pass the filter.
    pub shown: usize,
}

/// Encodes a message as bytes.
pub fn encode<T: Serialize>(message: &T) -> Uint8Array {
    // Encoding plain structures into memory cannot fail.
    let bytes = bincode::serde::encode_to_vec(message, bincode::config::standard()).unwrap_or_default();
    Uint8Array::from(bytes.as_slice())
}

/// Packs a message with its attachment.
pub fn pack<T: Serialize>(message: &T, attachment: &JsValue) -> Array {
    Array::of2(&encode(message), attachment)
}

/// Splits a message into its content and its attachment. Returns `None` if it is not one of ours.
pub fn unpack<T: DeserializeOwned>(data: JsValue) -> Option<(T, JsValue)> {
    let parts: Array = data.dyn_into().ok()?;
    let bytes: Uint8Array = parts.get(0).dyn_into().ok()?;
    let (message, _) = bincode::serde::decode_from_slice(&bytes.to_vec(), bincode::config::standard()).ok()?;
    Some((message, parts.get(1)))
}
