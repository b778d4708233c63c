//! Reads a large file in pieces, from front to back, so that it need not fit in memory. It checks the whole file
//! and keeps everything except the logits of the main run. Of those it keeps only the rows of positives, which are
//! few. For the others it keeps their position in the file.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::{
    CONTRADICTED, Columns, DISTANT, DynFileError, END, EPOCH, EpochShape, GOLD, HEADER, INFO, LABELS, LAYOUT, MARGINS,
    PREAMBLE, Parts, RunKind, SAMPLES, SCORE, Section, TEXT, check_preamble,
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
    /// The layout of the corpus's file as JSON, from [`Scan::without_layout`] if the file has one.
    pub layout: Option<String>,
}

/// Reads a file in pieces: call [`Scan::feed`] from front to back, then [`Scan::finish`].
pub struct Scan {
    /// Size of the whole file.
    size: u64,
    /// Bytes seen.
    seen: u64,
    digest: Box<Xxh3>,
    state: State,
    /// The bytes so far of the current preamble or header, or of a payload that is kept.
    kept: Vec<u8>,
    /// End of the last complete section.
    end: u64,
    parts: Parts,
    columns: Columns,
    /// Known as soon as the first epoch begins.
    positives: Option<Positives>,
}

/// The spans whose distant label is an entity type, in ascending order of their ids.
#[derive(Default)]
struct Positives {
    ids: Vec<SpanId>,
    labels: Vec<LabelId>,
}

enum State {
    Preamble,
    Header,
    Payload(Payload),
    /// After the end of the content, or where the file is cut off.
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
        let mut scan = Self::without_layout(size);
        scan.parts.read_layout = Some(Layout::from_json);
        scan
    }

    /// Begins to read a file of `size` bytes. The layout of the corpus stays the usual one; [`Scanned::layout`] has the
    /// one of the file.
    pub fn without_layout(size: u64) -> Self {
        Self {
            size,
            seen: 0,
            digest: Box::default(),
            state: State::Preamble,
            kept: Vec::new(),
            end: 0,
            parts: Parts::default(),
            columns: Columns::default(),
            positives: None,
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
    pub fn finish(self) -> Result<Scanned, DynFileError> {
        if matches!(self.state, State::Preamble) {
            check_preamble(&self.kept)?;
        }
        let mut parts = self.parts;
        let layout = parts.layout_json.take();
        let dynamics = parts.finish(self.end)?;
        let positives = self.positives.unwrap_or_default().labels;
        let digest = format!("{:032x}", self.digest.digest128());
        Ok(Scanned { dynamics, positives, columns: self.columns, digest, layout })
    }

    /// Takes the bytes that belong to the current state from the front; returns how many.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let missing = match &self.state {
            State::Over => return bytes.len(),
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
                check_preamble(&self.kept)?;
                self.next_section();
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
                if let State::Payload(payload) = std::mem::replace(&mut self.state, State::Over) {
                    self.end_payload(payload)?;
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn next_section(&mut self) {
        self.end = self.seen;
        self.kept = Vec::new();
        self.state = if self.parts.complete { State::Over } else { State::Header };
    }

    fn begin_payload(&mut self) -> State {
        let header = std::mem::take(&mut self.kept);
        let Some((&tag, numbers)) = header.split_first_chunk::<4>() else { return State::Over };
        let &[length, checksum] = numbers.as_chunks::<8>().0 else { return State::Over };
        let (length, checksum) = (u64::from_le_bytes(length), u64::from_le_bytes(checksum));
        if length > self.size.saturating_sub(self.seen) {
            return State::Over;
        }
        let kind = match tag {
            INFO | LABELS | TEXT | LAYOUT | DISTANT | GOLD | CONTRADICTED | SCORE | SAMPLES | END => Kind::Kept,
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
        match self.parts.shape(&section) {
            Ok(shape) if shape.run == RunKind::Threshold => Kind::Kept,
            Ok(shape) if shape.check_length(length).is_ok() => {
                // The file has a value for every span, so their number is limited by its size.
                self.positives.get_or_insert_with(|| self.parts.positives());
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
        match kind {
            Kind::Skipped => {}
            Kind::Kept | Kind::Epoch(_) => self.parts.add(&section)?,
            Kind::Main(rows) => {
                let shape = self.parts.shape(&section)?;
                shape.check_length(length).map_err(|e| section.damaged(e))?;
                let found = rows.map(|rows| rows.bytes).unwrap_or_default();
                let n_found = self.positives.as_ref().map_or(0, |positives| positives.ids.len());
                let logits = shape.logits(&found, n_found).map_err(|e| section.damaged(e))?;
                self.parts.push_epoch(&section, RunKind::Main, shape.epoch, logits)?;
                let offset = self.end + (HEADER + shape.header) as u64;
                self.columns.push(offset, shape);
            }
        }
        self.next_section();
        Ok(())
    }
}

impl Parts {
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
    use super::super::tests::small;
    use super::super::{LABELS, begin, digest, encode, epoch, read, samples, section, write};
    use super::*;
    use crate::recording::dynamics::{EpochLogits, Precision, Run};

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
        }
        for cut in 0..bytes.len() {
            assert_as_read(&bytes[..cut], 5);
        }
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
