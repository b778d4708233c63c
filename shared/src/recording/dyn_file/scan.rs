//! Reads a large file in pieces, from front to back, so that it need not fit in memory. It checks the whole file and
//! keeps everything except the logits of the main run. Of these logits, it keeps only the rows of positives, which are
//! few. For the other rows, it keeps their position in the file.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::{
    CONTRADICTED, Columns, Content, DISTANT, DynFileError, END, EPOCH, EpochShape, GOLD, HEADER, INFO, Joined, LABELS,
    LAYOUT, MARGINS, PREAMBLE, ReadLayout, RunKind, SAMPLES, SCORE, Section, TEXT, WHOLE, begins_part, check_preamble,
};
use crate::corpus::labels::{LabelId, O};
use crate::corpus::layout::Layout;
use crate::corpus::span::{SpanId, by_span};
use crate::recording::dynamics::Dynamics;

/// The content of a file without the logits of its main run.
#[derive(Debug, PartialEq)]
pub struct Scanned {
    /// The whole content, but the main run has only the rows of positives, in ascending order of their ids.
    pub dynamics: Dynamics,
    /// The distant labels of those rows.
    pub positives: Vec<LabelId>,
    /// Positions of the logits of all spans.
    pub columns: Columns,
    /// Digest of the whole file, the same as [`super::digest`] gives.
    pub digest: String,
    /// The layout of the corpus's file as JSON, if the file has one.
    pub layout: Option<String>,
}

/// Reads a file in pieces: call [`Scan::feed`] from front to back, then [`Scan::finish`]. A recording in several files
/// is read as one file: its parts, one after the other.
pub struct Scan {
    /// Size of the whole file.
    size: u64,
    /// Reads the layout of the corpus, if anybody wants it.
    read_layout: Option<ReadLayout>,
    /// Bytes seen.
    seen: u64,
    digest: Box<Xxh3>,
    state: State,
    /// The bytes so far of the current preamble or header, or of a payload that is kept.
    kept: Vec<u8>,
    /// End of the last complete section.
    end: u64,
    /// The parts before the current one.
    joined: Joined,
    /// The current part.
    content: Content,
    columns: Columns,
    /// The positives of the current part. Known as soon as its first epoch begins.
    positives: Option<Positives>,
    /// The distant labels of the positives of the parts before.
    labels: Vec<LabelId>,
}

/// The spans whose distant label is an entity type, in ascending order of their ids.
#[derive(Default)]
struct Positives {
    ids: Vec<SpanId>,
    labels: Vec<LabelId>,
}

enum State {
    /// Before the first part, or where another one may begin.
    Preamble,
    Header,
    Payload(Payload),
    /// Where the current part is cut off.
    CutOff,
    /// After the last part.
    Over,
}

/// A payload that is being read.
struct Payload {
    tag: [u8; 4],
    length: u64,
    checksum: u64,
    seen: u64,
    hash: Hash,
    kind: Kind,
}

/// How a payload's checksum is computed.
enum Hash {
    /// When the payload is complete.
    OfAll,
    /// While the payload is read.
    Running(Box<Xxh3>),
}

enum Kind {
    /// Decoded when it is complete.
    Kept,
    /// Not needed.
    Skipped,
    /// An epoch whose header, of this many bytes, is not complete yet.
    Epoch(usize),
    /// An epoch of the main run; its header is kept. `None`: the header does not fit the file.
    Main(Option<Rows>),
}

/// Collects some rows from columns that arrive in pieces.
struct Rows {
    shape: EpochShape,
    /// The values found so far.
    bytes: Vec<u8>,
}

impl Rows {
    /// Takes the values of the rows `wanted` (in ascending order) from a piece. The piece begins `at` bytes after
    /// the start of the first column.
    fn take(&mut self, wanted: &[SpanId], at: u64, piece: &[u8]) {
        let width = self.shape.precision.bytes();
        loop {
            let found = self.bytes.len() / width;
            let Some(column) = found.checked_div(wanted.len()).filter(|&c| c < self.shape.columns()) else { return };
            let Some(&row) = wanted.get(found % wanted.len()) else { return };
            let begun = self.bytes.len() % width;
            let from = (column as u64 * self.shape.n_spans as u64 + u64::from(row)) * width as u64 + begun as u64;
            let Some(rest) = from.checked_sub(at).and_then(|skip| piece.get(usize::try_from(skip).ok()?..)) else {
                return;
            };
            if rest.is_empty() {
                return;
            }
            self.bytes.extend_from_slice(&rest[..(width - begun).min(rest.len())]);
        }
    }
}

impl Scan {
    /// Begins to read a file of `size` bytes.
    pub fn new(size: u64) -> Self {
        Self { read_layout: Some(Layout::from_json), ..Self::without_layout(size) }
    }

    /// Begins to read a file of `size` bytes. The corpus gets the usual layout. [`Scanned::layout`] has the layout in
    /// the file.
    pub fn without_layout(size: u64) -> Self {
        Self {
            size,
            read_layout: None,
            seen: 0,
            digest: Box::default(),
            state: State::Preamble,
            kept: Vec::new(),
            end: 0,
            joined: Joined::default(),
            content: Content::default(),
            columns: Columns::default(),
            positives: None,
            labels: Vec::new(),
        }
    }

    /// Takes the next bytes of the file.
    ///
    /// # Errors
    /// The same as [`super::read()`], as early as possible. After an error, nothing more can be fed.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), DynFileError> {
        self.digest.update(bytes);
        while !bytes.is_empty() {
            let taken = self.take(bytes);
            self.seen += taken as u64;
            bytes = bytes.get(taken..).unwrap_or_default();
            while self.advance()? {}
        }
        Ok(())
    }

    /// Returns the content of the file. The whole file must have been fed.
    ///
    /// # Errors
    /// The same as [`super::read()`].
    pub fn finish(mut self) -> Result<Scanned, DynFileError> {
        match self.state {
            State::Preamble if self.is_at_beginning() => {
                check_preamble(&self.kept)?;
                self.end_part()?;
            }
            State::Preamble | State::Over => {}
            State::Header | State::Payload(_) | State::CutOff => self.end_part()?,
        }
        let layout = self.joined.layout.take();
        let dynamics = self.joined.finish()?;
        let digest = format!("{:032x}", self.digest.digest128());
        Ok(Scanned { dynamics, positives: self.labels, columns: self.columns, digest, layout })
    }

    /// Whether the bytes so far are whole parts, with nothing after them.
    pub fn is_between_parts(&self) -> bool {
        matches!(self.state, State::Preamble) && self.kept.is_empty()
    }

    /// Whether no part has been read yet.
    fn is_at_beginning(&self) -> bool {
        self.joined.parts.is_empty()
    }

    fn begin_part(&mut self) {
        self.content.read_layout = self.read_layout;
        self.columns.begin_part();
    }

    fn end_part(&mut self) -> Result<(), DynFileError> {
        self.labels.extend(self.positives.take().unwrap_or_default().labels);
        self.joined.add(std::mem::take(&mut self.content), self.end)
    }

    /// Takes the bytes that belong to the current state from the front; returns how many.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let missing = match &self.state {
            State::CutOff | State::Over => return bytes.len(),
            State::Preamble => PREAMBLE - self.kept.len(),
            State::Header => HEADER - self.kept.len(),
            // An epoch's kind must be known before its columns arrive.
            State::Payload(Payload { kind: Kind::Epoch(header), .. }) => header - self.kept.len(),
            State::Payload(payload) => usize::try_from(payload.length - payload.seen).unwrap_or(usize::MAX),
        };
        let piece = &bytes[..missing.min(bytes.len())];
        let State::Payload(payload) = &mut self.state else {
            self.kept.extend_from_slice(piece);
            return piece.len();
        };
        if let Hash::Running(hash) = &mut payload.hash {
            hash.update(piece);
        }
        match &mut payload.kind {
            Kind::Kept | Kind::Epoch(_) => self.kept.extend_from_slice(piece),
            Kind::Main(Some(rows)) => {
                let wanted = self.positives.as_ref().map_or(&[][..], |positives| &positives.ids);
                rows.take(wanted, payload.seen - rows.shape.header as u64, piece);
            }
            Kind::Skipped | Kind::Main(None) => {}
        }
        payload.seen += piece.len() as u64;
        piece.len()
    }

    /// Goes to the next state if the current one is complete; returns whether it was.
    fn advance(&mut self) -> Result<bool, DynFileError> {
        match &mut self.state {
            State::Preamble if self.kept.len() == PREAMBLE => {
                if self.is_at_beginning() || begins_part(&self.kept) {
                    check_preamble(&self.kept)?;
                    self.begin_part();
                    self.next_section()?;
                } else {
                    self.state = State::Over;
                }
            }
            State::Header if self.kept.len() == HEADER => self.state = self.begin_payload(),
            State::Payload(Payload { kind: Kind::Epoch(header), tag, length, .. }) if self.kept.len() == *header => {
                let (tag, length) = (*tag, *length);
                let kind = self.kind_of_epoch(tag, length);
                if let State::Payload(payload) = &mut self.state {
                    payload.kind = kind;
                }
            }
            State::Payload(payload) if payload.seen == payload.length => {
                if let State::Payload(payload) = std::mem::replace(&mut self.state, State::CutOff) {
                    self.end_payload(payload)?;
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn next_section(&mut self) -> Result<(), DynFileError> {
        self.end = self.seen;
        self.kept = Vec::new();
        self.state = State::Header;
        if self.content.complete {
            self.end_part()?;
            self.state = State::Preamble;
        }
        Ok(())
    }

    fn begin_payload(&mut self) -> State {
        let header = std::mem::take(&mut self.kept);
        let Some((&tag, numbers)) = header.split_first_chunk::<4>() else { return State::CutOff };
        let &[length, checksum] = numbers.as_chunks::<8>().0 else { return State::CutOff };
        let (length, checksum) = (u64::from_le_bytes(length), u64::from_le_bytes(checksum));
        if length > self.size.saturating_sub(self.seen) {
            return State::CutOff;
        }
        let kind = match tag {
            INFO | LABELS | TEXT | LAYOUT | DISTANT | GOLD | CONTRADICTED | SCORE | SAMPLES | WHOLE | END => Kind::Kept,
            EPOCH | MARGINS => {
                let header = if tag == EPOCH { EpochShape::HEADER } else { EpochShape::MARGINS_HEADER };
                // A payload that is too short for its header gives an error when it is complete.
                if length >= header as u64 { Kind::Epoch(header) } else { Kind::Kept }
            }
            _ => Kind::Skipped,
        };
        let hash = if matches!(kind, Kind::Kept) { Hash::OfAll } else { Hash::Running(Box::default()) };
        if matches!(kind, Kind::Kept) {
            // This is at most the size of the file.
            self.kept.reserve_exact(usize::try_from(length).unwrap_or(0));
        }
        State::Payload(Payload { tag, length, checksum, seen: 0, hash, kind })
    }

    /// Decides how to handle an epoch, when its header is complete.
    fn kind_of_epoch(&mut self, tag: [u8; 4], length: u64) -> Kind {
        let section = Section { tag, offset: self.end, payload: &self.kept };
        match self.content.shape(&section) {
            Ok(shape) if shape.run == RunKind::Threshold => Kind::Kept,
            Ok(shape) if shape.check_length(length).is_ok() => {
                // The file has a value for every span, so their number is limited by its size.
                self.positives.get_or_insert_with(|| self.content.positives());
                Kind::Main(Some(Rows { shape, bytes: Vec::new() }))
            }
            // The error is reported after the checksum has shown that the section is as it was written.
            _ => Kind::Main(None),
        }
    }

    fn end_payload(&mut self, payload: Payload) -> Result<(), DynFileError> {
        let Payload { tag, length, checksum, hash, kind, .. } = payload;
        let section = Section { tag, offset: self.end, payload: &self.kept };
        let found = match &hash {
            Hash::OfAll => xxh3_64(&self.kept),
            Hash::Running(hash) => hash.digest(),
        };
        if found != checksum {
            return Err(section.damaged("its checksum does not match"));
        }
        self.content.note(tag, checksum);
        match kind {
            Kind::Skipped => {}
            Kind::Kept | Kind::Epoch(_) => self.content.add(&section)?,
            Kind::Main(rows) => {
                let shape = self.content.shape(&section)?;
                shape.check_length(length).map_err(|e| section.damaged(e))?;
                let found = rows.map(|rows| rows.bytes).unwrap_or_default();
                let n_found = self.positives.as_ref().map_or(0, |positives| positives.ids.len());
                let logits = shape.logits(&found, n_found).map_err(|e| section.damaged(e))?;
                self.content.push_epoch(&section, RunKind::Main, shape.epoch, logits)?;
                let offset = self.end + (HEADER + shape.header) as u64;
                self.columns.push(offset, shape);
            }
        }
        self.next_section()
    }
}

impl Content {
    /// Collects the positives among the candidate spans.
    fn positives(&self) -> Positives {
        let (Some(index), Some((entities, _))) = (&self.index, &self.distant) else { return Positives::default() };
        // As in dense labels: if two entities are at the same place, the last one counts.
        let labels = by_span(entities.iter().filter_map(|entity| Some((index.id(entity.span)?, entity.label))));
        let (ids, labels) = labels.into_iter().filter(|&(_, label)| label != O).unzip();
        Positives { ids, labels }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{extract_of_small, small};
    use super::super::{LABELS, begin, digest, encode, epoch, read, samples, section, write};
    use super::*;
    use crate::corpus::labels::LabelSet;
    use crate::corpus::select_entities;
    use crate::recording::dynamics::{EpochLogits, Negatives, Precision, Run, SampleScheme, ThresholdRun};

    fn scan(bytes: &[u8], piece: usize) -> Result<Scanned, DynFileError> {
        let mut scan = Scan::new(bytes.len() as u64);
        for piece in bytes.chunks(piece) {
            scan.feed(piece)?;
        }
        scan.finish()
    }

    /// Checks that scanning in pieces gives the same as reading at once: the same errors, the same content, and
    /// the main run at the positions that the columns give.
    fn assert_as_read(bytes: &[u8], piece: usize) {
        match (read(bytes), scan(bytes, piece)) {
            (Ok(mut read), Ok(scanned)) => {
                assert_eq!(scanned.digest, digest(bytes));
                let n = read.span_index().unwrap().len();
                let rows = |spans: std::ops::Range<usize>| {
                    let ranges = scanned.columns.ranges(spans.clone());
                    let own: Vec<u8> =
                        ranges.iter().flat_map(|r| &bytes[r.start as usize..r.end as usize]).copied().collect();
                    assert_eq!(own.len(), scanned.columns.bytes_per_span() * spans.len());
                    scanned.columns.run_of(spans.len(), &own).unwrap().epochs
                };
                assert_eq!(rows(0..n), read.run.epochs);
                let labels = read.corpus.dense_labels(&read.span_index().unwrap());
                let positives: Vec<usize> = (0..n).filter(|&span| labels[span] != O).collect();
                assert_eq!(scanned.positives, positives.iter().map(|&span| labels[span]).collect::<Vec<_>>());
                for (epoch, found) in scanned.dynamics.run.epochs.iter().enumerate() {
                    assert_eq!(found.n_spans(), positives.len());
                    for (row, &span) in positives.iter().enumerate() {
                        let one = &rows(span..span + 1)[epoch];
                        assert_eq!(found.row(row), one.row(0));
                        assert_eq!(found.margin(row, labels[span]).to_bits(), one.margin(0, labels[span]).to_bits());
                    }
                }
                read.run.epochs = scanned.dynamics.run.epochs.clone();
                assert_eq!(scanned.dynamics, read);
            }
            (read, scanned) => assert_eq!(read.err(), scanned.err()),
        }
    }

    #[test]
    fn finds_what_reading_at_once_finds_however_the_file_is_cut() {
        let bytes = write(&small());
        for piece in [1, 2, 3, 7, 64, bytes.len()] {
            assert_as_read(&bytes, piece);
            assert_as_read(&write(&extract_of_small()), piece);
        }
        for cut in 0..bytes.len() {
            assert_as_read(&bytes[..cut], 5);
        }
    }

    /// Two parts of one recording, and the whole.
    fn two_parts() -> ([Vec<u8>; 2], Dynamics) {
        let whole = small();
        let run = |dynamics: &Dynamics, spans: std::ops::Range<usize>, types: usize| Run {
            epochs: dynamics
                .run
                .epochs
                .iter()
                .map(|epoch| {
                    let rows: Vec<f32> = spans.clone().flat_map(|span| epoch.row(span)).collect();
                    EpochLogits::from_rows(&rows, types, Precision::F16).unwrap()
                })
                .collect(),
            scores: dynamics.run.scores.clone(),
        };
        let no_samples = EpochLogits::from_rows(&[], 2, Precision::F32).unwrap();
        let threshold = whole.threshold_run.as_ref().unwrap();
        let samples = |is_first: bool| match is_first {
            true => threshold.clone(),
            false => ThresholdRun {
                spans: vec![],
                assigned: vec![],
                run: Run { epochs: vec![no_samples.clone()], scores: vec![] },
                ..threshold.clone()
            },
        };
        let part = |sentence: u32, spans: std::ops::Range<usize>| Dynamics {
            corpus: whole.corpus.select(&[sentence]),
            gold: Some(select_entities(whole.gold.as_deref().unwrap(), &[sentence])),
            run: run(&whole, spans, 1),
            threshold_run: Some(samples(sentence == 0)),
            ..whole.clone()
        };
        ([part(0, 0..6), part(1, 6..7)].map(|part| write(&part)), whole)
    }

    #[test]
    fn parts_one_after_the_other_are_the_whole() {
        let ([first, second], whole) = two_parts();
        let bytes = [first.clone(), second.clone()].concat();
        assert_eq!(read(&bytes).unwrap(), whole);
        for piece in [1, 7, 64, bytes.len()] {
            assert_as_read(&bytes, piece);
            assert_as_read(&[&bytes[..], b"something else"].concat(), piece);
        }
        // In the other order, sentences and threshold samples have other numbers.
        let turned = read(&[second, first].concat()).unwrap();
        assert_eq!([1, 0].map(|sentence| turned.corpus.select(&[sentence])), [0, 1].map(|s| whole.corpus.select(&[s])));
        assert_eq!(turned.threshold_run.unwrap().spans, [3]);
        assert_eq!(turned.run.epochs[0].row(0), whole.run.epochs[0].row(6));
        for cut in 0..bytes.len() {
            assert_as_read(&bytes[..cut], 5);
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x55;
            assert_as_read(&damaged, 11);
        }
    }

    #[test]
    fn parts_that_do_not_go_together_are_refused() {
        let ([first, second], whole) = two_parts();
        let part = read(&second).unwrap();
        let refused = |second: &[u8], reason: &str| {
            let bytes = [&first, second].concat();
            assert_as_read(&bytes, 9);
            let error = read(&bytes).unwrap_err();
            let DynFileError::NoContinuation { part: 2, reason: found } = &error else { panic!("{error}") };
            assert!(found.contains(reason), "{error}");
        };
        refused(&first, "come before");
        let unlike = |change: fn(&mut Dynamics), reason: &str| {
            let mut part = part.clone();
            change(&mut part);
            refused(&write(&part), reason);
        };
        let other_type = |part: &mut Dynamics| {
            part.corpus.labels = LabelSet::from_types(["LOC"]);
            part.contradicted.clear();
        };
        unlike(other_type, "other entity types");
        unlike(|part| part.info.max_span_width = 4, "another width");
        unlike(|part| part.info.negatives = Negatives::All, "other negatives");
        unlike(|part| part.gold = None, "gold");
        unlike(|part| part.contradicted.clear(), "other entries");
        unlike(|part| part.threshold_run = None, "threshold samples");
        unlike(|part| part.run.epochs.truncate(1), "number of epochs");
        unlike(|part| part.threshold_run.as_mut().unwrap().scheme = SampleScheme::RandomOther, "another way");
        unlike(|part| part.corpus.layout = Layout::Conll(crate::formats::Conll::default()), "another format");
        unlike(|part| part.run.epochs = vec![EpochLogits::from_margins(vec![1.0]); 2], "types");
        // Cut off before its last sections.
        refused(&second[..second.len() - 200], "threshold samples");
        assert_eq!(read(&[&first[..], &second[..PREAMBLE - 1]].concat()).unwrap().corpus, whole.corpus.select(&[0]));
    }

    #[test]
    fn it_is_known_where_a_part_ends() {
        let ([first, second], _) = two_parts();
        let mut scan = Scan::new((first.len() + second.len()) as u64);
        scan.feed(&first[..first.len() - 1]).unwrap();
        assert!(!scan.is_between_parts());
        scan.feed(&first[first.len() - 1..]).unwrap();
        assert!(scan.is_between_parts());
        scan.feed(&second[..1]).unwrap();
        assert!(!scan.is_between_parts());
    }

    #[test]
    fn finds_the_same_damage() {
        let bytes = write(&small());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x55;
            assert_as_read(&damaged, 11);
        }
    }

    #[test]
    fn judges_what_is_validly_summed_but_does_not_fit_as_reading_does() {
        let dynamics = small();
        let opening = begin(&dynamics.info, &dynamics.corpus, None);
        let logits = |n: usize, types: usize| {
            EpochLogits::from_rows(&vec![0.5; n * (types + 1)], types, Precision::F32).unwrap()
        };
        let good = epoch(RunKind::Main, 1, &logits(7, 1));
        let cut_short = {
            let payload = &good[HEADER..good.len() - 1];
            section(EPOCH, payload)
        };
        for more in [
            epoch(RunKind::Main, 1, &logits(6, 1)),
            epoch(RunKind::Main, 2, &logits(7, 1)),
            epoch(RunKind::Main, 1, &logits(7, 2)),
            epoch(RunKind::Threshold, 1, &logits(7, 1)),
            section(EPOCH, &[1, 0, 0]),
            section(MARGINS, &[0; 15]),
            section(EPOCH, &[9; 24]),
            cut_short,
            [good.clone(), epoch(RunKind::Main, 2, &EpochLogits::from_margins(vec![1.0; 7]))].concat(),
            [good.clone(), section(LABELS, &encode(&dynamics.corpus.labels))].concat(),
            [good.clone(), samples(dynamics.threshold_run.as_ref().unwrap().scheme, &[1, 3], &[2, 2])].concat(),
            [section(*b"NEW!", b"whatever"), good].concat(),
        ] {
            for piece in [1, 13, 1000] {
                assert_as_read(&[opening.clone(), more.clone()].concat(), piece);
            }
        }
        // An epoch that comes before its labels.
        let bytes = write(&small());
        let distant = bytes.windows(4).position(|w| w == DISTANT).unwrap();
        assert_as_read(&[&bytes[..distant], &epoch(RunKind::Main, 1, &logits(7, 1))].concat(), 9);
    }

    #[test]
    fn the_layout_can_be_left_unread() {
        let mut dynamics = small();
        dynamics.corpus.layout = Layout::Conll(crate::formats::Conll::default());
        let bytes = write(&dynamics);
        assert_as_read(&bytes, 7);
        let mut scan = Scan::without_layout(bytes.len() as u64);
        scan.feed(&bytes).unwrap();
        let scanned = scan.finish().unwrap();
        assert_eq!(scanned.dynamics.corpus.layout, Layout::default());
        assert_eq!(Layout::from_json(&scanned.layout.unwrap()).unwrap(), dynamics.corpus.layout);
    }

    #[test]
    fn margins_are_found_too() {
        let mut dynamics = small();
        dynamics.run = Run {
            epochs: vec![EpochLogits::from_margins((0..7).map(|i| i as f32 - 3.0).collect()); 2],
            scores: vec![],
        };
        assert_as_read(&write(&dynamics), 6);
    }
}
