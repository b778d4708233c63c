//! The `.dyn` file format. docs/FORMAT.md describes the part that other programs can write.
//!
//! A file is written section by section. So if a run is cut off, all its finished epochs stay readable. Each
//! section has its length and checksum.
//!
//! [`read()`] reads a whole file. [`Scan`] reads a large file piece by piece and leaves the logits of the main run
//! on disk, so that the file need not fit in memory.

mod columns;
mod scan;

use std::io;

use bincode::config::{Configuration, Fixint, LittleEndian, NoLimit};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_128};

use crate::corpus::labels::{LabelId, LabelSet, O};
use crate::corpus::span::{Span, SpanId, SpanIndex};
use crate::corpus::{Corpus, Entity, TokenTable};
use crate::formats::Layout;
use crate::recording::dictionary::Entry;
use crate::recording::dynamics::{
    Dynamics, EpochLogits, EpochScore, Precision, Run, RunInfo, SampleScheme, ThresholdRun, WrongLength,
};
use crate::recording::whole::{Origin, Whole};

pub use self::columns::Columns;
pub use self::scan::{Scan, Scanned};

/// First bytes of every file. As in PNG, they show whether a transfer has changed line ends.
pub const MAGIC: [u8; 8] = *b"\x89DYN\r\n\x1a\n";
/// The newest version that this code reads: files whose epochs may have margins only.
pub const VERSION: u32 = 2;
/// Version of files with logits. Older readers can open them too.
const LOGITS_VERSION: u32 = 1;
/// Number of bytes before the first section.
const PREAMBLE: usize = 12;
/// Number of bytes of a section header: tag, length, checksum.
const HEADER: usize = 20;

const INFO: [u8; 4] = *b"INFO";
const LABELS: [u8; 4] = *b"LABL";
const TEXT: [u8; 4] = *b"TEXT";
const LAYOUT: [u8; 4] = *b"FRMT";
const DISTANT: [u8; 4] = *b"DIST";
const GOLD: [u8; 4] = *b"GOLD";
const CONTRADICTED: [u8; 4] = *b"DICT";
const EPOCH: [u8; 4] = *b"EPOC";
const MARGINS: [u8; 4] = *b"MARG";
const SCORE: [u8; 4] = *b"SCOR";
const SAMPLES: [u8; 4] = *b"SAMP";
const WHOLE: [u8; 4] = *b"WHOL";
const ORIGIN: [u8; 4] = *b"ORIG";
const END: [u8; 4] = *b"END ";

type Config = Configuration<LittleEndian, Fixint, NoLimit>;

fn config() -> Config {
    bincode::config::standard().with_fixed_int_encoding()
}

/// Reasons why a dynamics file cannot be read, with the section and its offset in the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DynFileError {
    /// The file is empty.
    #[error("the file is empty: choose a .dyn file written by `trainer run` or `trainer train`")]
    Empty,
    /// The file does not begin like a dynamics file.
    #[error(
        "this is not a dynamics file (it does not begin with the DYN signature): choose a .dyn file written by `trainer run` or `trainer train`"
    )]
    NotDyn,
    /// The file is from a newer program.
    #[error("this file has format version {0}, newer than the {VERSION} this program knows: update DynClean")]
    Newer(u32),
    /// The file is cut off before there is anything to show.
    #[error("the file is cut off at byte {offset}, before {missing}: copy or download it again, or let the run go on")]
    Truncated {
        /// Position at which the file ends.
        offset: u64,
        /// What is missing.
        missing: &'static str,
    },
    /// A section is damaged.
    #[error("section {section} at byte {offset} is damaged ({reason}): copy or download the file again")]
    Damaged {
        /// Tag of the section.
        section: String,
        /// Offset of its header.
        offset: u64,
        /// The reason.
        reason: String,
    },
    /// A part of a recording does not go with the parts before it.
    #[error(
        "part {part} (counted from 1) is no continuation of the first ({reason}): give only parts of one recording, each once"
    )]
    NoContinuation {
        /// Number of the part, from 1.
        part: usize,
        /// The reason.
        reason: &'static str,
    },
}

#[derive(Deserialize)]
struct TextSection {
    tokens: TokenTable,
    extra: Vec<(u32, String)>,
}

/// A list of entities, in columns.
#[derive(Serialize, Deserialize, Default)]
struct EntitySection {
    sentence: Vec<u32>,
    start: Vec<u32>,
    end: Vec<u32>,
    label: Vec<LabelId>,
    unknown: Vec<Span>,
}

#[derive(Serialize, Deserialize)]
struct EpochHeader {
    run: RunKind,
    epoch: u32,
    n_spans: u64,
    n_types: u32,
    precision: Precision,
}

#[derive(Serialize, Deserialize)]
struct MarginsHeader {
    run: RunKind,
    epoch: u32,
    n_spans: u64,
}

#[derive(Serialize, Deserialize)]
struct ScoreSection {
    run: RunKind,
    score: EpochScore,
}

#[derive(Deserialize)]
struct SampleSection {
    scheme: SampleScheme,
    spans: Vec<SpanId>,
    assigned: Vec<LabelId>,
}

/// The run of a file that a section belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunKind {
    /// The run on the distant labels.
    Main,
    /// The run with threshold samples.
    Threshold,
}

/// Digest of a whole file, as 32 hexadecimal digits (XXH3, 128 bits).
pub fn digest(bytes: &[u8]) -> String {
    format!("{:032x}", xxh3_128(bytes))
}

// ---------------------------------------------------------------- writing

fn section(tag: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut out = header_of(tag);
    out.extend_from_slice(payload);
    seal(out)
}

/// A section header without length and checksum. [`seal`] completes the section, so that large payloads are not
/// copied.
fn header_of(tag: [u8; 4]) -> Vec<u8> {
    let mut out = tag.to_vec();
    out.resize(HEADER, 0);
    out
}

/// Fills in the length and the checksum of a section.
fn seal(mut section: Vec<u8>) -> Vec<u8> {
    if let Some((header, payload)) = section.split_at_mut_checked(HEADER) {
        header[4..12].copy_from_slice(&(payload.len() as u64).to_le_bytes());
        header[12..].copy_from_slice(&xxh3_64(payload).to_le_bytes());
    }
    section
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Encoding these plain structures into memory cannot fail, because all lengths are known.
    bincode::serde::encode_to_vec(value, config()).unwrap_or_default()
}

fn entity_section(entities: &[Entity], unknown: &[Span]) -> Vec<u8> {
    encode(&EntitySection {
        sentence: entities.iter().map(|e| e.span.sentence).collect(),
        start: entities.iter().map(|e| e.span.start).collect(),
        end: entities.iter().map(|e| e.span.end).collect(),
        label: entities.iter().map(|e| e.label).collect(),
        unknown: unknown.to_vec(),
    })
}

/// The first bytes of a file: settings, text and labels. Epochs follow, then [`end`].
pub fn begin(info: &RunInfo, corpus: &Corpus, gold: Option<&[Entity]>) -> Vec<u8> {
    begin_version(LOGITS_VERSION, info, corpus, gold)
}

/// The same as [`begin`], for a file whose epochs have margins only.
pub fn begin_margins(info: &RunInfo, corpus: &Corpus, gold: Option<&[Entity]>) -> Vec<u8> {
    begin_version(VERSION, info, corpus, gold)
}

fn begin_version(version: u32, info: &RunInfo, corpus: &Corpus, gold: Option<&[Entity]>) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&version.to_le_bytes());
    out.extend(section(INFO, &encode(info)));
    out.extend(section(LABELS, &encode(&corpus.labels)));
    // A tuple is encoded in the same way as the structure with its fields.
    out.extend(section(TEXT, &encode(&(&corpus.tokens, &corpus.extra))));
    if corpus.layout != Layout::default() {
        // Plain structures with string keys can always be serialised.
        let json = serde_json::to_string(&corpus.layout).unwrap_or_default();
        out.extend(section(LAYOUT, &encode(&json)));
    }
    out.extend(section(DISTANT, &entity_section(&corpus.entities, &corpus.unknown)));
    if let Some(gold) = gold {
        out.extend(section(GOLD, &entity_section(gold, &[])));
    }
    out
}

/// The bytes of the dictionary entries that annotated sentences contradict; empty if there are no entries.
pub fn contradicted(entries: &[Entry]) -> Vec<u8> {
    if entries.is_empty() { Vec::new() } else { section(CONTRADICTED, &encode(&entries)) }
}

/// Returns the bytes that make a file an extract: facts about the whole recording, and where the sentences come from.
/// They stand after [`begin`].
pub fn extract(whole: &Whole, origin: &Origin) -> Vec<u8> {
    [whole_section(whole), section(ORIGIN, &encode(&(&origin.digest, &origin.sentences)))].concat()
}

fn whole_section(whole: &Whole) -> Vec<u8> {
    section(WHOLE, &encode(&[whole.numbers.as_slice(), &whole.tokens].concat()))
}

/// The bytes of one epoch's logits, or of its margins if only these are known. `epoch` counts from 1.
pub fn epoch(run: RunKind, epoch: u32, logits: &EpochLogits) -> Vec<u8> {
    let (n_spans, n_types, precision) = (logits.n_spans(), logits.n_types(), logits.precision());
    let shape = EpochShape { run, epoch, n_spans, n_types, precision, is_margins: logits.is_margins(), header: 0 };
    let EpochSection { tag, header, .. } = EpochSection::of(&shape);
    let mut out = header_of(tag);
    out.extend(header);
    logits.write_bytes(&mut out);
    seal(out)
}

/// The section of an epoch whose columns are in a file, because they do not fit in memory. It stores no columns, but
/// they must be written to it. It computes their checksum, which stands before the columns.
pub struct EpochSection {
    tag: [u8; 4],
    header: Vec<u8>,
    /// Length of the columns in bytes.
    columns: u64,
    hash: Xxh3,
}

impl EpochSection {
    /// Begins the section of an epoch (counted from 1) with logits in half precision.
    pub fn new(run: RunKind, epoch: u32, n_spans: usize, n_types: usize) -> Self {
        let precision = Precision::F16;
        Self::of(&EpochShape { run, epoch, n_spans, n_types, precision, is_margins: false, header: 0 })
    }

    fn of(shape: &EpochShape) -> Self {
        let &EpochShape { run, epoch, n_spans, n_types, precision, is_margins, .. } = shape;
        let (n_spans, n_types) = (n_spans as u64, n_types as u32);
        let (tag, header) = match is_margins {
            true => (MARGINS, encode(&MarginsHeader { run, epoch, n_spans })),
            false => (EPOCH, encode(&EpochHeader { run, epoch, n_spans, n_types, precision })),
        };
        let mut hash = Xxh3::new();
        hash.update(&header);
        Self { tag, header, columns: 0, hash }
    }

    /// Number of bytes of the section before its columns.
    pub fn opening_length(&self) -> usize {
        HEADER + self.header.len()
    }

    /// The bytes of the section before its columns. All columns must have been written.
    pub fn opening(self) -> Vec<u8> {
        let length = self.header.len() as u64 + self.columns;
        let numbers = [length, self.hash.digest()].map(u64::to_le_bytes).concat();
        [&self.tag[..], &numbers, &self.header].concat()
    }
}

/// Takes the bytes of the columns, one column after the other, and keeps only their checksum.
impl io::Write for EpochSection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hash.update(bytes);
        self.columns += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The bytes of one epoch's scores.
pub fn score(run: RunKind, score: EpochScore) -> Vec<u8> {
    section(SCORE, &encode(&ScoreSection { run, score }))
}

/// The bytes that begin a threshold run: its samples come before its epochs.
pub fn samples(scheme: SampleScheme, spans: &[SpanId], assigned: &[LabelId]) -> Vec<u8> {
    section(SAMPLES, &encode(&(scheme, spans, assigned)))
}

/// The bytes of a whole threshold run.
pub fn threshold_run(threshold: &ThresholdRun) -> Vec<u8> {
    let mut out = samples(threshold.scheme, &threshold.spans, &threshold.assigned);
    write_run(&mut out, RunKind::Threshold, &threshold.run);
    out
}

/// The bytes that finish a file.
pub fn end() -> Vec<u8> {
    section(END, &[])
}

/// The bytes of a whole file.
pub fn write(dynamics: &Dynamics) -> Vec<u8> {
    let runs = [Some(&dynamics.run), dynamics.threshold_run.as_ref().map(|t| &t.run)];
    let begin = if runs.into_iter().flatten().any(Run::is_margins) { begin_margins } else { begin };
    let mut out = begin(&dynamics.info, &dynamics.corpus, dynamics.gold.as_deref());
    out.extend(dynamics.whole.as_ref().map(whole_section).unwrap_or_default());
    out.extend(contradicted(&dynamics.contradicted));
    write_run(&mut out, RunKind::Main, &dynamics.run);
    if let Some(threshold) = &dynamics.threshold_run {
        out.extend(threshold_run(threshold));
    }
    if dynamics.complete {
        out.extend(end());
    }
    out
}

fn write_run(out: &mut Vec<u8>, kind: RunKind, run: &Run) {
    for (i, logits) in run.epochs.iter().enumerate() {
        out.extend(epoch(kind, i as u32 + 1, logits));
        if let Some(&s) = run.scores.get(i) {
            out.extend(score(kind, s));
        }
    }
}

// ---------------------------------------------------------------- reading

/// One section of the file, with its checksum verified.
struct Section<'a> {
    tag: [u8; 4],
    /// Position of the section header in the file.
    offset: u64,
    payload: &'a [u8],
}

impl Section<'_> {
    fn damaged(&self, reason: impl ToString) -> DynFileError {
        let section = self.tag.escape_ascii().to_string();
        DynFileError::Damaged { section, offset: self.offset, reason: reason.to_string() }
    }

    fn decode<T: DeserializeOwned>(&self) -> Result<T, DynFileError> {
        // The limit bounds how much memory a false length can make bincode allocate. Integers and lengths are
        // stored at full width, so valid content needs at most four times its bytes in memory. Each limit adds
        // another decoder to the page, so there are only two.
        let bytes = self.payload;
        let decoded = match bytes.len() {
            n if n <= 0x40_0000 => bincode::serde::decode_from_slice(bytes, config().with_limit::<0x100_0000>()),
            _ => bincode::serde::decode_from_slice(bytes, config().with_limit::<0x7fff_ffff>()),
        };
        let (value, read) = decoded.map_err(|e| self.damaged(e))?;
        if read == bytes.len() { Ok(value) } else { Err(self.damaged("it has more bytes than its content")) }
    }

    /// Decodes a header of a few numbers, and returns its number of bytes. The bytes after it are not decoded.
    fn decode_header<T: DeserializeOwned>(&self) -> Result<(T, usize), DynFileError> {
        let decoded = bincode::serde::decode_from_slice(self.payload, config().with_limit::<64>());
        decoded.map_err(|e| self.damaged(e))
    }
}

/// The sections of a file in order, up to its end or to the place where it is cut off.
struct Sections<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Sections<'a> {
    /// The next section; `None` if the file ends or is cut off.
    fn next(&mut self) -> Result<Option<Section<'a>>, DynFileError> {
        let offset = self.offset;
        let Some((&[a, b, c, d], rest)) = self.bytes[offset..].split_first_chunk::<4>() else { return Ok(None) };
        let Some((length, rest)) = rest.split_first_chunk::<8>() else { return Ok(None) };
        let Some((checksum, rest)) = rest.split_first_chunk::<8>() else { return Ok(None) };
        let Some(payload) = usize::try_from(u64::from_le_bytes(*length)).ok().and_then(|n| rest.get(..n)) else {
            return Ok(None);
        };
        let section = Section { tag: [a, b, c, d], offset: offset as u64, payload };
        if xxh3_64(payload) != u64::from_le_bytes(*checksum) {
            return Err(section.damaged("its checksum does not match"));
        }
        self.offset = offset + HEADER + payload.len();
        Ok(Some(section))
    }
}

/// Reads a dynamics file. A file that was cut off opens with its finished epochs and with `complete` false.
/// Unknown sections are skipped. A file may have several parts, one after the other.
///
/// # Errors
/// When it is not a dynamics file, is too new, is damaged, is cut off before its first epoch ends, or has parts that
/// do not go together.
pub fn read(bytes: &[u8]) -> Result<Dynamics, DynFileError> {
    check_preamble(bytes)?;
    let mut joined = Joined::default();
    let mut sections = Sections { bytes, offset: PREAMBLE };
    loop {
        let mut content = Content { read_layout: Some(Layout::from_json), ..Content::default() };
        while let Some(section) = sections.next()? {
            content.add(&section)?;
            content.note(section.tag, xxh3_64(section.payload));
            if content.complete {
                break;
            }
        }
        let is_complete = content.complete;
        joined.add(content, sections.offset as u64)?;
        let next = bytes.get(sections.offset..).filter(|next| is_complete && begins_part(next));
        let Some(next) = next else { return joined.finish() };
        check_preamble(next)?;
        sections.offset += PREAMBLE;
    }
}

/// Reads where the sentences of an extract come from; `None` if the file is no extract.
///
/// # Errors
/// When it is not a dynamics file, or is damaged.
pub fn origin(bytes: &[u8]) -> Result<Option<Origin>, DynFileError> {
    check_preamble(bytes)?;
    let mut sections = Sections { bytes, offset: PREAMBLE };
    while let Some(section) = sections.next()? {
        if section.tag == ORIGIN {
            let (digest, sentences): (String, Vec<u32>) = section.decode()?;
            if !sentences.is_sorted_by(|a, b| a < b) {
                return Err(section.damaged("its sentences are not in order"));
            }
            return Ok(Some(Origin { digest, sentences }));
        }
    }
    Ok(None)
}

/// Returns the key by which the file names of a recording's parts are sorted. Numbers in names count as numbers:
/// `part-9` comes before `part-10`.
pub fn order_of_part(name: &str) -> String {
    let mut order = String::new();
    let mut rest = name;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (text, number) = rest.split_at(at);
        let (digits, others) = number.split_at(number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len()));
        let digits = digits.trim_start_matches('0');
        // The longer number is the larger one.
        order.extend(text.chars().chain(['0', char::from_u32(digits.len() as u32).unwrap_or(char::MAX)]));
        order.push_str(digits);
        rest = others;
    }
    // Names that differ only in leading zeros have an order, too.
    order + rest + "\0" + name
}

/// Whether these bytes, after the end of a part, begin another part.
fn begins_part(bytes: &[u8]) -> bool {
    bytes.len() >= PREAMBLE && bytes.starts_with(&MAGIC)
}

/// Returns where each epoch ends in the bytes of a run with threshold samples, as [`samples`] and [`epoch`] made them.
///
/// # Errors
/// When a section is damaged.
pub fn epoch_ends(part: &[u8]) -> Result<Vec<usize>, DynFileError> {
    let mut sections = Sections { bytes: part, offset: 0 };
    let mut ends = Vec::new();
    while let Some(section) = sections.next()? {
        if section.tag == EPOCH || section.tag == MARGINS {
            ends.push(sections.offset);
        }
    }
    Ok(ends)
}

/// Checks the first bytes of a file: signature and version.
fn check_preamble(bytes: &[u8]) -> Result<(), DynFileError> {
    if bytes.is_empty() {
        return Err(DynFileError::Empty);
    }
    let common = bytes.len().min(MAGIC.len());
    if bytes[..common] != MAGIC[..common] {
        return Err(DynFileError::NotDyn);
    }
    let version = bytes.get(MAGIC.len()..PREAMBLE).and_then(|v| v.try_into().ok()).map(u32::from_le_bytes);
    match version {
        None => Err(DynFileError::Truncated { offset: bytes.len() as u64, missing: "the format version" }),
        Some(version) if version > VERSION => Err(DynFileError::Newer(version)),
        Some(_) => Ok(()),
    }
}

/// The header of an epoch's section, checked against the sections before it.
#[derive(Debug, Clone, PartialEq)]
struct EpochShape {
    run: RunKind,
    /// Epoch, counted from 1.
    epoch: u32,
    n_spans: usize,
    /// 0 if only margins are known.
    n_types: usize,
    precision: Precision,
    is_margins: bool,
    /// Number of bytes of the payload before the first column.
    header: usize,
}

impl EpochShape {
    /// Number of header bytes in the payload of an `EPOC` section.
    const HEADER: usize = 24;
    /// Number of header bytes in the payload of a `MARG` section.
    const MARGINS_HEADER: usize = 16;

    fn columns(&self) -> usize {
        if self.is_margins { 1 } else { self.n_types }
    }

    /// Number of bytes of the columns of `n_spans` spans.
    fn bytes(&self, n_spans: usize) -> usize {
        n_spans.saturating_mul(self.columns()).saturating_mul(self.precision.bytes())
    }

    /// Checks that a payload of this many bytes has exactly all columns.
    fn check_length(&self, payload: u64) -> Result<(), WrongLength> {
        let columns = usize::try_from(payload).unwrap_or(usize::MAX).saturating_sub(self.header);
        WrongLength::check(columns, self.n_spans, self.columns(), self.precision)
    }

    /// The logits of `n_spans` spans, from the bytes of the columns.
    fn logits(&self, columns: &[u8], n_spans: usize) -> Result<EpochLogits, WrongLength> {
        if self.is_margins {
            EpochLogits::margins_from_bytes(columns, n_spans)
        } else {
            EpochLogits::from_bytes(columns, n_spans, self.n_types, self.precision)
        }
    }
}

/// The parts of a recording, joined.
#[derive(Default)]
struct Joined {
    dynamics: Option<Dynamics>,
    /// The layout of the first part's corpus file, as the file has it.
    layout: Option<String>,
    /// The checksums of each part.
    parts: Vec<Checksums>,
}

/// Checksums of one part of a recording: of each section that all parts must have in common, and of all its sections
/// together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Checksums {
    labels: u64,
    layout: u64,
    contradicted: u64,
    all: u64,
}

impl Joined {
    /// Adds the next part, which ends at this offset.
    fn add(&mut self, mut content: Content, offset: u64) -> Result<(), DynFileError> {
        let (layout, own) = (content.layout_json.take(), content.checksums);
        let next = content.finish(offset)?;
        let is_repeated = self.parts.iter().any(|part| part.all == own.all);
        self.parts.push(own);
        let (Some(all), Some(first)) = (&mut self.dynamics, self.parts.first()) else {
            (self.dynamics, self.layout) = (Some(next), layout);
            return Ok(());
        };
        let joined = if is_repeated {
            Err("it has come before")
        } else if own.labels != first.labels {
            Err("it has other entity types")
        } else if own.layout != first.layout {
            Err("its text came in another format")
        } else if own.contradicted != first.contradicted {
            Err("dev contradicts other entries")
        } else {
            all.append(next)
        };
        joined.map_err(|reason| DynFileError::NoContinuation { part: self.parts.len(), reason })
    }

    fn finish(self) -> Result<Dynamics, DynFileError> {
        self.dynamics.ok_or(DynFileError::Empty)
    }
}

type ReadLayout = fn(&str) -> Result<Layout, serde_json::Error>;

#[derive(Default)]
struct Content {
    info: Option<RunInfo>,
    labels: Option<LabelSet>,
    text: Option<TextSection>,
    layout: Layout,
    /// The layout as the file has it.
    layout_json: Option<String>,
    /// Reads the layout. It is a pointer because the page has no use for a layout, and leaves the code out.
    read_layout: Option<ReadLayout>,
    distant: Option<(Vec<Entity>, Vec<Span>)>,
    gold: Option<Vec<Entity>>,
    contradicted: Vec<Entry>,
    whole: Option<Whole>,
    main: Run,
    threshold: Option<ThresholdRun>,
    index: Option<SpanIndex>,
    complete: bool,
    checksums: Checksums,
}

impl Content {
    /// Takes the checksum of the next section.
    fn note(&mut self, tag: [u8; 4], checksum: u64) {
        let all = &mut self.checksums.all;
        *all = all.rotate_left(1) ^ checksum;
        match tag {
            LABELS => self.checksums.labels = checksum,
            LAYOUT => self.checksums.layout = checksum,
            CONTRADICTED => self.checksums.contradicted = checksum,
            _ => {}
        }
    }

    fn add(&mut self, section: &Section) -> Result<(), DynFileError> {
        // Later sections were checked against the first one. A second one would make those checks invalid.
        let is_repeated = match section.tag {
            INFO => self.info.is_some(),
            LABELS => self.labels.is_some(),
            TEXT => self.text.is_some(),
            DISTANT => self.distant.is_some(),
            GOLD => self.gold.is_some(),
            CONTRADICTED => !self.contradicted.is_empty(),
            WHOLE => self.whole.is_some(),
            SAMPLES => self.threshold.is_some(),
            _ => false,
        };
        if is_repeated {
            return Err(section.damaged("the file has it twice"));
        }
        match section.tag {
            INFO => {
                let info: RunInfo = section.decode()?;
                if info.max_span_width == 0 {
                    return Err(section.damaged("the span width is 0"));
                }
                self.info = Some(info);
            }
            LABELS => {
                let labels: LabelSet = section.decode()?;
                if labels.n_types() >= usize::from(LabelId::MAX) {
                    return Err(section.damaged("it has too many entity types"));
                }
                if let Some(fault) = labels.fault() {
                    return Err(section.damaged(fault));
                }
                // This check also bounds the number of spans by the size of the file, because each span then has a
                // logit.
                if labels.n_types() == 0 {
                    return Err(section.damaged("it has no entity type"));
                }
                self.labels = Some(labels);
            }
            TEXT => self.text = Some(self.text(section)?),
            LAYOUT => {
                let json: String = section.decode()?;
                if let Some(read) = self.read_layout {
                    self.layout = read(&json).map_err(|e| section.damaged(e))?;
                }
                self.layout_json = Some(json);
            }
            DISTANT => self.distant = Some(self.entities(section)?),
            GOLD => self.gold = Some(self.entities(section)?.0),
            CONTRADICTED => self.contradicted = self.entries(section)?,
            WHOLE => self.whole = Some(self.whole(section)?),
            EPOCH | MARGINS => self.epoch(section)?,
            SCORE => {
                let ScoreSection { run, score } = section.decode()?;
                self.run(section, run)?.scores.push(score);
            }
            SAMPLES => self.threshold = Some(self.samples(section)?),
            END => self.complete = true,
            // A section from a later minor version. Older readers can do without it.
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, section: &Section) -> Result<TextSection, DynFileError> {
        let text: TextSection = section.decode()?;
        if !text.tokens.is_consistent() {
            return Err(section.damaged("token columns do not fit together"));
        }
        if !text.extra.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(section.damaged("further fields are not in the order of the sentences"));
        }
        let Some(info) = &self.info else { return Err(section.damaged("it comes before INFO")) };
        let index = SpanIndex::new(text.tokens.lengths(), info.max_span_width).map_err(|e| section.damaged(e))?;
        self.index = Some(index);
        Ok(text)
    }

    fn entities(&self, section: &Section) -> Result<(Vec<Entity>, Vec<Span>), DynFileError> {
        let columns: EntitySection = section.decode()?;
        let (Some(labels), Some(text)) = (&self.labels, &self.text) else {
            return Err(section.damaged("it comes before LABL or TEXT"));
        };
        let n = columns.label.len();
        if [columns.sentence.len(), columns.start.len(), columns.end.len()] != [n; 3] {
            return Err(section.damaged("its columns differ in length"));
        }
        let lengths: Vec<u32> = text.tokens.lengths().collect();
        let is_inside =
            |s: &Span| s.start <= s.end && lengths.get(s.sentence as usize).is_some_and(|&length| s.end < length);
        let places = columns.sentence.iter().zip(&columns.start).zip(&columns.end);
        let entities: Vec<Entity> = places
            .zip(&columns.label)
            .map(|(((&sentence, &start), &end), &label)| Entity { span: Span { sentence, start, end }, label })
            .collect();
        if !entities.iter().all(|e| is_inside(&e.span) && e.label > 0 && usize::from(e.label) <= labels.n_types()) {
            return Err(section.damaged("an entity is outside its sentence or has an unknown type"));
        }
        if !columns.unknown.iter().all(is_inside) {
            return Err(section.damaged("an unknown span is outside its sentence"));
        }
        if !entities.is_sorted_by_key(|e| e.span.sentence) || !columns.unknown.is_sorted_by_key(|s| s.sentence) {
            return Err(section.damaged("spans are not in the order of the sentences"));
        }
        Ok((entities, columns.unknown))
    }

    fn entries(&self, section: &Section) -> Result<Vec<Entry>, DynFileError> {
        let entries: Vec<Entry> = section.decode()?;
        let Some(labels) = &self.labels else { return Err(section.damaged("it comes before LABL")) };
        let ids = labels.ids();
        let is_type = |name: &str| ids.get(name).is_some_and(|&label| label != O);
        let is_known =
            |entry: &Entry| is_type(&entry.label) && entry.becomes.as_deref().is_none_or(|name| ids.contains_key(name));
        if !entries.iter().all(is_known) {
            return Err(section.damaged("an entry has an unknown label"));
        }
        Ok(entries)
    }

    fn whole(&self, section: &Section) -> Result<Whole, DynFileError> {
        let mut numbers: Vec<u32> = section.decode()?;
        let n_tokens = self.text.as_ref().map_or(0, |text| text.tokens.n_tokens());
        if numbers.len() != Whole::NUMBERS + Whole::OF_TOKEN * n_tokens {
            return Err(section.damaged("its columns differ in length"));
        }
        let tokens = numbers.split_off(Whole::NUMBERS);
        Ok(Whole { numbers, tokens })
    }

    fn samples(&self, section: &Section) -> Result<ThresholdRun, DynFileError> {
        let SampleSection { scheme, spans, assigned } = section.decode()?;
        let (Some(index), Some(labels)) = (&self.index, &self.labels) else {
            return Err(section.damaged("it comes before TEXT or LABL"));
        };
        if spans.len() != assigned.len() {
            return Err(section.damaged("its columns differ in length"));
        }
        if spans.iter().any(|&s| s as usize >= index.len()) || !spans.is_sorted_by(|a, b| a < b) {
            return Err(section.damaged("a sample is no candidate span, or they are not ascending"));
        }
        // One number more than the types: the extra class.
        if assigned.iter().any(|&l| usize::from(l) > labels.n_types() + 1) {
            return Err(section.damaged("a sample has an unknown label"));
        }
        Ok(ThresholdRun { scheme, spans, assigned, run: Run::default() })
    }

    fn run(&mut self, section: &Section, kind: RunKind) -> Result<&mut Run, DynFileError> {
        match kind {
            RunKind::Main => Ok(&mut self.main),
            RunKind::Threshold => {
                self.threshold.as_mut().map(|t| &mut t.run).ok_or_else(|| section.damaged("it comes before SAMP"))
            }
        }
    }

    fn epoch(&mut self, section: &Section) -> Result<(), DynFileError> {
        let shape = self.shape(section)?;
        let columns = section.payload.get(shape.header..).unwrap_or_default();
        let logits = shape.logits(columns, shape.n_spans).map_err(|e| section.damaged(e))?;
        self.push_epoch(section, shape.run, shape.epoch, logits)
    }

    /// Reads the header of an `EPOC` or `MARG` section. Only the header of the payload is needed.
    fn shape(&self, section: &Section) -> Result<EpochShape, DynFileError> {
        let is_margins = section.tag == MARGINS;
        let (header, read) = if is_margins {
            let (MarginsHeader { run, epoch, n_spans }, read) = section.decode_header()?;
            (EpochHeader { run, epoch, n_spans, n_types: 0, precision: Precision::F32 }, read)
        } else {
            section.decode_header::<EpochHeader>()?
        };
        let (Some(index), Some(labels)) = (&self.index, &self.labels) else {
            return Err(section.damaged("it comes before TEXT or LABL"));
        };
        if self.distant.is_none() {
            return Err(section.damaged("it comes before DIST"));
        }
        let (rows, types) = match header.run {
            RunKind::Main => (index.len(), labels.n_types()..=labels.n_types()),
            RunKind::Threshold => {
                let rows = self.threshold.as_ref().map_or(0, |t| t.spans.len());
                (rows, labels.n_types()..=labels.n_types() + 1)
            }
        };
        let (n_spans, n_types) = (header.n_spans, header.n_types as usize);
        if is_margins && n_spans != rows as u64 {
            return Err(section.damaged(format!("it has margins of {n_spans} spans where the text has {rows}")));
        }
        if !is_margins && (n_spans != rows as u64 || !types.contains(&n_types)) {
            return Err(section.damaged(format!(
                "it has logits of {n_spans} spans and {n_types} types where the text has {rows} and {}",
                labels.n_types()
            )));
        }
        let EpochHeader { run, epoch, precision, .. } = header;
        Ok(EpochShape { run, epoch, n_spans: rows, n_types, precision, is_margins, header: read })
    }

    fn push_epoch(
        &mut self,
        section: &Section,
        kind: RunKind,
        epoch: u32,
        logits: EpochLogits,
    ) -> Result<(), DynFileError> {
        let run = self.run(section, kind)?;
        let expected = run.epochs.len() as u32 + 1;
        let is_like =
            |first: &EpochLogits| first.n_types() == logits.n_types() && first.is_margins() == logits.is_margins();
        if epoch != expected || !run.epochs.first().is_none_or(is_like) {
            return Err(section.damaged(format!("it is epoch {epoch} where {expected} is due, or unlike the first")));
        }
        run.epochs.push(logits);
        Ok(())
    }

    fn finish(self, offset: u64) -> Result<Dynamics, DynFileError> {
        let missing = |missing: &'static str| DynFileError::Truncated { offset, missing };
        let labels = self.labels.ok_or(missing("the labels"))?;
        let text = self.text.ok_or(missing("the text"))?;
        let (entities, unknown) = self.distant.ok_or(missing("the distant labels"))?;
        if self.main.epochs.is_empty() {
            return Err(missing("the first epoch"));
        }
        Ok(Dynamics {
            info: self.info.ok_or(missing("the settings"))?,
            corpus: Corpus { tokens: text.tokens, labels, entities, unknown, extra: text.extra, layout: self.layout },
            gold: self.gold,
            contradicted: self.contradicted,
            run: self.main,
            // A threshold run without any epoch is dropped.
            threshold_run: self.threshold.filter(|t| !t.run.epochs.is_empty()),
            complete: self.complete,
            whole: self.whole,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::dynclean_json;
    use crate::recording::prf::Prf;

    pub(super) fn small() -> Dynamics {
        let json = br#"[{"tokens": ["Ada", "wrote", "it"], "entities": [[0, 0, "PER"]], "id": "a"},
                        {"tokens": ["Rome"], "entities": [], "unknown": [[0, 0]]}]"#;
        let corpus = dynclean_json::read(json).unwrap();
        let rows: Vec<f32> = (0..14).map(|i| i as f32 * 0.25 - 1.0).collect();
        let logits = EpochLogits::from_rows(&rows, 1, Precision::F16).unwrap();
        let score = EpochScore { epoch: 1, train_loss: 0.5, dev: Prf::from_counts(1, 2, 3) };
        let samples = EpochLogits::from_rows(&[0.0, 1.0, 2.0], 2, Precision::F32).unwrap();
        Dynamics {
            info: RunInfo { name: "small".into(), max_span_width: 8, seed: 3, ..RunInfo::default() },
            gold: Some(corpus.entities.clone()),
            contradicted: vec![Entry {
                words: "Ada".into(),
                label: "PER".into(),
                spans: 1,
                annotated: 2,
                agreeing: 0,
                becomes: Some("O".into()),
            }],
            corpus,
            run: Run { epochs: vec![logits.clone(), logits], scores: vec![score] },
            threshold_run: Some(ThresholdRun {
                scheme: SampleScheme::FakeClass,
                spans: vec![2],
                assigned: vec![2],
                run: Run { epochs: vec![samples], scores: vec![] },
            }),
            complete: true,
            whole: None,
        }
    }

    #[test]
    fn round_trip() {
        let dynamics = small();
        assert_eq!(read(&write(&dynamics)).unwrap(), dynamics);
        let dynamics = extract_of_small();
        assert_eq!(read(&write(&dynamics)).unwrap(), dynamics);
    }

    /// Returns `small()` as if all of it were an extract of a larger recording.
    pub(super) fn extract_of_small() -> Dynamics {
        let numbers = |n: usize| (0..n as u32).map(|i| i * 7).collect();
        let whole = Whole { numbers: numbers(Whole::NUMBERS), tokens: numbers(4 * Whole::OF_TOKEN) };
        Dynamics { whole: Some(whole), ..small() }
    }

    #[test]
    fn an_extract_says_where_it_comes_from() {
        let dynamics = extract_of_small();
        let whole = dynamics.whole.clone().unwrap();
        let origin_of = Origin { digest: digest(b"whole"), sentences: vec![3, 8] };
        let with = |own: Vec<u8>| [begin(&dynamics.info, &dynamics.corpus, None), own, end()].concat();
        assert_eq!(origin(&with(extract(&whole, &origin_of))), Ok(Some(origin_of.clone())));
        assert_eq!(origin(&with(vec![])), Ok(None));
        let turned = Origin { sentences: vec![8, 3], ..origin_of };
        assert!(origin(&with(extract(&whole, &turned))).unwrap_err().to_string().contains("not in order"));
        assert_eq!(origin(b"PK"), Err(DynFileError::NotDyn));
        // Facts about another text, and an extract as a part of a recording, are refused.
        let shorter = Whole { tokens: whole.tokens[1..].to_vec(), ..whole };
        let error = read(&write(&Dynamics { whole: Some(shorter), ..small() })).unwrap_err();
        assert!(error.to_string().contains("differ in length"), "{error}");
        let error = read(&[write(&small()), write(&dynamics)].concat()).unwrap_err();
        assert!(error.to_string().contains("it is an extract"), "{error}");
    }

    #[test]
    fn every_cut_opens_with_whole_epochs_or_says_why_not() {
        let bytes = write(&small());
        let mut epochs_seen = 0;
        for cut in 0..bytes.len() {
            match read(&bytes[..cut]) {
                Ok(dynamics) => {
                    assert!(!dynamics.complete);
                    assert!(dynamics.run.epochs.len() >= epochs_seen);
                    epochs_seen = dynamics.run.epochs.len();
                }
                Err(error) => {
                    assert_eq!(epochs_seen, 0, "after an epoch could be read, a longer file can be read too");
                    let expected = if cut == 0 { DynFileError::Empty } else { error.clone() };
                    assert_eq!(error, expected);
                    assert!(cut == 0 || matches!(error, DynFileError::Truncated { .. }), "{error}");
                }
            }
        }
        assert_eq!(epochs_seen, 2);
    }

    #[test]
    fn every_flipped_byte_is_noticed_or_harmless() {
        let dynamics = small();
        let bytes = write(&dynamics);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x55;
            // A damaged tag makes its section unknown, and a damaged length cuts the file off. The rest must be a
            // part of the original.
            if let Ok(read) = read(&damaged) {
                assert!(read.run.epochs.iter().all(|e| dynamics.run.epochs.contains(e)), "byte {at}");
                assert_eq!(read.corpus, dynamics.corpus, "byte {at}");
            }
        }
    }

    #[test]
    fn unknown_sections_are_skipped_and_newer_versions_refused() {
        let dynamics = small();
        let mut bytes = begin(&dynamics.info, &dynamics.corpus, dynamics.gold.as_deref());
        bytes.extend(section(*b"NEW!", b"whatever"));
        bytes.extend(&write(&dynamics)[begin(&dynamics.info, &dynamics.corpus, dynamics.gold.as_deref()).len()..]);
        assert_eq!(read(&bytes).unwrap(), dynamics);
        bytes[8] = 3;
        assert_eq!(read(&bytes), Err(DynFileError::Newer(3)));
        assert_eq!(read(b"PK\x03\x04 a zip file"), Err(DynFileError::NotDyn));
    }

    #[test]
    fn margins_raise_the_version_and_do_not_mix_with_logits() {
        let mut dynamics = small();
        assert_eq!(write(&dynamics)[8], 1, "logits alone can be read by older programs");
        dynamics.run.epochs = vec![EpochLogits::from_margins((0..7).map(|i| i as f32 - 3.0).collect()); 2];
        let bytes = write(&dynamics);
        assert_eq!(bytes[8], 2);
        assert_eq!(read(&bytes).unwrap(), dynamics);
        let good = dynamics.run.epochs[0].clone();
        dynamics.run.epochs[1] = EpochLogits::from_rows(&[0.0; 14], 1, Precision::F32).unwrap();
        assert!(matches!(read(&write(&dynamics)), Err(DynFileError::Damaged { .. })));
        dynamics.run.epochs = vec![good, EpochLogits::from_margins(vec![0.0; 6])];
        assert!(read(&write(&dynamics)).unwrap_err().to_string().contains("margins of 6 spans where the text has 7"));
    }

    #[test]
    fn the_layout_of_the_corpus_is_kept_or_the_section_damaged() {
        let mut dynamics = small();
        let conll = crate::formats::Conll { tail: "\n\n".into(), ..crate::formats::Conll::default() };
        dynamics.corpus.layout = Layout::Conll(conll);
        let bytes = write(&dynamics);
        assert_eq!(read(&bytes).unwrap(), dynamics);
        for json in ["{", "{}", r#"{"format": "conll", "label_column": -1}"#] {
            let mut bytes = begin(&dynamics.info, &dynamics.corpus, None);
            bytes.extend(section(LAYOUT, &encode(&json)));
            let error = read(&bytes).unwrap_err();
            assert!(matches!(&error, DynFileError::Damaged { section, .. } if section == "FRMT"), "{error}");
        }
    }

    #[test]
    fn parts_are_in_the_order_of_their_numbers() {
        let sorted = ["a.dyn", "part-2.dyn", "part-009.dyn", "part-9.dyn", "part-10-of-11.dyn", "part-x.dyn", "q"];
        let mut names = sorted;
        names.reverse();
        names.sort_by_cached_key(|name| order_of_part(name));
        assert_eq!(names, sorted);
    }

    #[test]
    fn false_lengths_do_not_allocate() {
        // A string that claims to be a terabyte long, in a small section with a correct checksum.
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(section(INFO, &(1u64 << 40).to_le_bytes()));
        assert!(matches!(read(&bytes), Err(DynFileError::Damaged { offset: 12, .. })));
    }

    #[test]
    fn a_section_that_would_undo_earlier_checks_is_refused() {
        let dynamics = small();
        let opening = begin(&dynamics.info, &dynamics.corpus, None);
        let fewer_types = section(LABELS, &encode(&LabelSet::from_types(["A"])));
        let mut bytes = opening.clone();
        bytes.extend(fewer_types);
        bytes.extend(&write(&dynamics)[opening.len()..]);
        assert!(read(&bytes).unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn without_an_entity_type_there_is_nothing_to_judge() {
        // Otherwise a few bytes of text could claim billions of spans without a single logit.
        let corpus = Corpus { labels: LabelSet::default(), entities: vec![], ..small().corpus };
        let bytes = begin(&small().info, &corpus, None);
        assert!(read(&bytes).unwrap_err().to_string().contains("no entity type"));
    }

    #[test]
    fn types_that_cannot_be_told_apart_are_refused() {
        for types in [&["PER", "PER"][..], &["O"], &[""]] {
            let labels = LabelSet::in_file_order(types.iter().map(|&name| name.to_owned()).collect());
            let bytes = begin(&small().info, &Corpus { labels, entities: vec![], ..small().corpus }, None);
            let error = read(&bytes).unwrap_err();
            assert!(matches!(&error, DynFileError::Damaged { section, .. } if section == "LABL"), "{error}");
        }
    }

    #[test]
    fn content_that_does_not_fit_together_is_refused() {
        let mut dynamics = small();
        dynamics.corpus.entities[0].span.end = 9;
        assert!(matches!(read(&write(&dynamics)), Err(DynFileError::Damaged { .. })));
        let mut dynamics = small();
        dynamics.info.max_span_width = 1;
        assert!(read(&write(&dynamics)).unwrap_err().to_string().contains("logits of 7 spans"));
        let mut dynamics = small();
        dynamics.threshold_run.as_mut().unwrap().spans = vec![99];
        assert!(matches!(read(&write(&dynamics)), Err(DynFileError::Damaged { .. })));
    }
}
