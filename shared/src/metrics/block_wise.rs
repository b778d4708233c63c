//! Reads the main run of a large file in blocks of spans, so that it need not fit in memory. For each block it
//! computes the metrics and keeps the margins; then the logits are dropped. The metrics of a span do not depend on
//! other spans' logits, so the results are the same bits as for the whole run.

use std::ops::Range;

use half::f16;

use crate::corpus::labels::LabelId;
use crate::corpus::span::SpanId;
use crate::metrics::{Metrics, MetricsError, Window};
use crate::recording::dyn_file::Columns;
use crate::recording::dynamics::WrongLength;

/// The run is read in about this many blocks, but each block has a size within [`BLOCK_BYTES`]. A block is read in
/// many parts, one per column and epoch, and each part takes time.
const BLOCKS: usize = 16;
const BLOCK_BYTES: std::ops::RangeInclusive<usize> = 4 << 20..=32 << 20;

/// Size of a block of a file that is in memory: few enough bytes to stay in the cache of the CPU.
const HELD_BLOCK_BYTES: usize = 512 << 10;

/// The margins of all spans at every epoch, for display. They are in half precision, like the logits.
#[derive(Debug, Clone, Default)]
pub struct Margins {
    epochs: Vec<Vec<f16>>,
}

impl Margins {
    /// The margins of one span, one per epoch; empty if the span does not exist.
    pub fn of(&self, span: SpanId) -> Vec<f32> {
        self.epochs.iter().filter_map(|epoch| epoch.get(span as usize)).map(|margin| margin.to_f32()).collect()
    }
}

/// A block of spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The spans.
    pub spans: Range<usize>,
    /// The parts of the file that hold them.
    pub parts: Vec<Range<u64>>,
}

/// Reasons why a block cannot be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// There are fewer bytes than asked for.
    #[error("the file is shorter than it was ({0}): open it again")]
    Short(#[from] WrongLength),
    /// See [`MetricsError`].
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

/// Reads a main run. [`BlockWise::ask`] returns the parts of the file that are needed next, and
/// [`BlockWise::take`] takes their bytes in the same order. A caller may ask for several blocks ahead.
pub struct BlockWise<'a> {
    columns: Columns,
    assigned: &'a [LabelId],
    window: Window,
    spans_per_block: usize,
    asked: usize,
    taken: usize,
    metrics: Metrics,
    /// Without epochs if margins are not wanted.
    margins: Margins,
}

impl<'a> BlockWise<'a> {
    /// Prepares the metrics over `window`, and the margins of all epochs if `with_margins`. `assigned` has the
    /// distant label of every span.
    ///
    /// # Errors
    /// When no epoch is inside the window.
    pub fn new(
        columns: &Columns,
        assigned: &'a [LabelId],
        window: Window,
        with_margins: bool,
    ) -> Result<Self, MetricsError> {
        let inside = columns.within(window.range(columns.n_epochs()));
        if inside.n_epochs() == 0 {
            return Err(MetricsError::EmptyWindow { window, epochs: columns.n_epochs() });
        }
        let n = assigned.len();
        let (columns, window, epochs) = if with_margins {
            (columns.clone(), window, (0..columns.n_epochs()).map(|_| Vec::with_capacity(n)).collect())
        } else {
            let all = Window { first: 1, last: u32::MAX };
            (inside, all, Vec::new())
        };
        let margins = Margins { epochs };
        let bytes = n.saturating_mul(columns.bytes_per_span());
        let metrics = Metrics::default();
        let reading = Self { columns, assigned, window, spans_per_block: 0, asked: 0, taken: 0, metrics, margins };
        Ok(reading.in_blocks_of((bytes / BLOCKS).clamp(*BLOCK_BYTES.start(), *BLOCK_BYTES.end())))
    }

    /// Reads in smaller blocks, for a file that is in memory.
    pub fn held(self) -> Self {
        self.in_blocks_of(HELD_BLOCK_BYTES)
    }

    /// Reads in smaller blocks, of which `n` are in memory together.
    pub fn together(self, n: usize) -> Self {
        let bytes = self.spans_per_block * self.columns.bytes_per_span() / n.max(1);
        self.in_blocks_of(bytes.max(HELD_BLOCK_BYTES))
    }

    fn in_blocks_of(mut self, bytes: usize) -> Self {
        self.spans_per_block = (bytes / self.columns.bytes_per_span().max(1)).max(1);
        self
    }

    /// The parts of the file that hold the next block; `None` after the last block.
    pub fn ask(&mut self) -> Option<Vec<Range<u64>>> {
        self.next_block().map(|block| block.parts)
    }

    /// The next block, for a caller that computes several at once; `None` after the last one.
    pub fn next_block(&mut self) -> Option<Block> {
        let spans = self.block(self.asked);
        self.asked = spans.end;
        (!spans.is_empty()).then(|| Block { parts: self.columns.ranges(spans.clone()), spans })
    }

    /// Takes the bytes of the next block, in the order in which blocks were asked for: all its parts, one after
    /// the other.
    ///
    /// # Errors
    /// When there are fewer bytes than asked for.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), BlockError> {
        let spans = self.block(self.taken);
        let run = self.columns.run_of(spans.len(), bytes)?;
        let assigned = self.assigned.get(spans.clone()).unwrap_or_default();
        let metrics = Metrics::with_margins(&run, assigned, self.window, &mut self.margins.epochs)?;
        self.keep(metrics);
        Ok(())
    }

    /// Keeps the metrics of the next block, which the caller has computed with [`metrics_of`](Self::metrics_of).
    pub fn keep(&mut self, metrics: Metrics) {
        self.taken += metrics.aum.len();
        self.metrics.append(metrics, self.assigned.len());
    }

    /// Computes the metrics of a block, and keeps nothing. `bytes` are its parts, one after the other.
    ///
    /// # Errors
    /// When there are too few bytes.
    pub fn metrics_of(&self, spans: Range<usize>, bytes: &[u8]) -> Result<Metrics, BlockError> {
        let run = self.columns.run_of(spans.len(), bytes)?;
        Ok(Metrics::compute(&run, self.assigned.get(spans).unwrap_or_default(), self.window)?)
    }

    /// Computes the metrics of some spans of a block (counted from its first one), as
    /// [`metrics_of`](Self::metrics_of) does.
    ///
    /// # Errors
    /// When there are too few bytes.
    pub fn metrics_of_some(&self, spans: Range<usize>, some: &[usize], bytes: &[u8]) -> Result<Metrics, BlockError> {
        let mut run = self.columns.run_of(spans.len(), bytes)?;
        for epoch in &mut run.epochs {
            *epoch = epoch.select(some);
        }
        let assigned = self.assigned.get(spans).unwrap_or_default();
        let assigned: Vec<LabelId> = some.iter().filter_map(|&span| assigned.get(span).copied()).collect();
        Ok(Metrics::compute(&run, &assigned, self.window)?)
    }

    /// Computes only AUM of a block, as [`metrics_of`](Self::metrics_of) does.
    ///
    /// # Errors
    /// When there are too few bytes.
    pub fn aum_of(&self, spans: Range<usize>, bytes: &[u8]) -> Result<Vec<f32>, BlockError> {
        let run = self.columns.run_of(spans.len(), bytes)?;
        Ok(Metrics::aum_only(&run, self.assigned.get(spans).unwrap_or_default(), self.window)?)
    }

    /// Goes on with this span. All blocks that were asked for must have been taken.
    pub fn skip_to(&mut self, span: usize) {
        let span = span.min(self.assigned.len());
        (self.asked, self.taken) = (span, span);
    }

    /// Share of the run that has been taken, 0 to 1.
    pub fn progress(&self) -> f32 {
        self.taken as f32 / self.assigned.len().max(1) as f32
    }

    /// Returns the metrics of all spans, and the margins of every epoch if they were wanted.
    pub fn finish(self) -> (Metrics, Margins) {
        (self.metrics, self.margins)
    }

    fn block(&self, start: usize) -> Range<usize> {
        start..(start + self.spans_per_block).min(self.assigned.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::judge::{Judge, Spans};
    use crate::detection::threshold::{Metric, Settings};
    use crate::evidence::Evidence;
    use crate::formats::dynclean_json;
    use crate::recording::dyn_file::{self, Scan, Scanned};
    use crate::recording::dynamics::{Dynamics, EpochLogits, Precision};

    /// Some hundred spans, four epochs, three types. The logits of two spans are not finite.
    fn example() -> Dynamics {
        let sentence =
            r#"{"tokens": ["a","b","c","d","e","f","g","h"], "entities": [[0, 1, "X"], [3, 3, "Y"], [5, 7, "Z"]]}"#;
        let corpus = dynclean_json::read(format!("[{}]", [sentence; 9].join(",")).as_bytes()).unwrap();
        let n = corpus.span_index(8).unwrap().len();
        let mut state = 3u32;
        let mut rows = || -> Vec<f32> {
            let next = |_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Coarse values, so that there are ties.
                f32::from((state >> 27) as u8) - 16.0
            };
            (0..n * 4).map(next).collect()
        };
        let mut dynamics = Dynamics::of_one_epoch(corpus, &rows());
        for _ in 0..3 {
            let mut rows = rows();
            (rows[4 * 7 + 1], rows[4 * 80]) = (f32::NAN, f32::INFINITY);
            dynamics.run.epochs.push(EpochLogits::from_rows(&rows, 3, Precision::F16).unwrap());
        }
        dynamics
    }

    /// The bytes of a file, and what is known of it without the main run.
    fn written(dynamics: &Dynamics) -> (Vec<u8>, Scanned) {
        let bytes = dyn_file::write(dynamics);
        let mut scan = Scan::new(bytes.len() as u64);
        scan.feed(&bytes).unwrap();
        (bytes, scan.finish().unwrap())
    }

    fn bits(column: &[f32]) -> Vec<u32> {
        column.iter().map(|v| v.to_bits()).collect()
    }

    #[test]
    fn blocks_give_what_the_whole_run_gives() {
        let dynamics = example();
        let (bytes, scanned) = written(&dynamics);
        let assigned = dynamics.corpus.dense_labels(&dynamics.span_index().unwrap());
        assert_eq!(
            Settings::automatic(&scanned.dynamics, &scanned.positives),
            Settings::automatic(&dynamics, &assigned),
            "the positives alone choose the window"
        );
        for (window, with_margins) in [
            (Window { first: 2, last: 3 }, true),
            (Window { first: 2, last: 3 }, false),
            (Window { first: 0, last: 9 }, false),
        ] {
            let mut reading = BlockWise::new(&scanned.columns, &assigned, window, with_margins).unwrap();
            // Many short blocks; the last one is shorter than the others.
            reading.spans_per_block = 50;
            let mut due = std::collections::VecDeque::new();
            due.extend(reading.ask());
            while let Some(ranges) = due.pop_front() {
                due.extend(reading.ask());
                let own: Vec<u8> =
                    ranges.iter().flat_map(|r| &bytes[r.start as usize..r.end as usize]).copied().collect();
                assert!(reading.take(&own[1..]).is_err());
                reading.take(&own).unwrap();
            }
            assert_eq!(reading.progress(), 1.0);
            let (metrics, margins) = reading.finish();
            let whole = Metrics::compute(&dynamics.run, &assigned, window).unwrap();
            for (found, expected) in [
                (&metrics.aum, &whole.aum),
                (&metrics.confidence, &whole.confidence),
                (&metrics.variability, &whole.variability),
                (&metrics.alternative_probability, &whole.alternative_probability),
            ] {
                assert_eq!(bits(found), bits(expected));
            }
            assert_eq!(
                (&metrics.correctness, &metrics.forgetting, &metrics.alternative),
                (&whole.correctness, &whole.forgetting, &whole.alternative)
            );
            assert!(metrics.is_flagged(7));
            for (span, &label) in assigned.iter().enumerate() {
                let found = margins.of(span as u32);
                assert_eq!(found.len(), if with_margins { 4 } else { 0 });
                for (found, expected) in found.into_iter().zip(&dynamics.run.epochs) {
                    let expected = f16::from_f32(expected.margin(span, label)).to_f32();
                    assert!(found == expected || found.is_nan() && expected.is_nan(), "{span}: {found} {expected}");
                }
            }
            assert!(margins.of(assigned.len() as u32).is_empty());
            let index = dynamics.span_index().unwrap();
            let evidence = Evidence::of_dynamics(&scanned.dynamics, index.max_width());
            let spans = Spans { index, assigned: assigned.clone(), evidence };
            let judge = Judge::with_metrics(&scanned.dynamics, spans, window, Metric::Aum, metrics);
            let expected = Judge::new(&dynamics, window, Metric::Aum).unwrap();
            let settings = Settings { window, ..Settings::automatic(&dynamics, &assigned) };
            let judge = judge.unwrap();
            for span in 0..assigned.len() as u32 {
                assert_eq!(judge.under(&settings).decide(span), expected.under(&settings).decide(span));
            }
        }
        let outside = BlockWise::new(&scanned.columns, &assigned, Window { first: 5, last: 6 }, true);
        assert!(matches!(outside, Err(MetricsError::EmptyWindow { epochs: 4, .. })));
    }
    #[test]
    fn blocks_can_be_skipped() {
        let dynamics = example();
        let (bytes, scanned) = written(&dynamics);
        let assigned = dynamics.corpus.dense_labels(&dynamics.span_index().unwrap());
        let (window, n) = (Window { first: 2, last: 3 }, assigned.len());
        let whole = Metrics::compute(&dynamics.run, &assigned, window).unwrap();
        let mut reading = BlockWise::new(&scanned.columns, &assigned, window, false).unwrap();
        reading.spans_per_block = 50;
        let mut block_from = |span: usize| {
            reading.skip_to(span);
            let Block { spans, parts } = reading.next_block()?;
            let own: Vec<u8> =
                parts.into_iter().flat_map(|r| bytes[r.start as usize..r.end as usize].to_vec()).collect();
            let (metrics, aum) = (reading.metrics_of(spans.clone(), &own), reading.aum_of(spans.clone(), &own));
            assert_eq!(bits(&aum.unwrap()), bits(&metrics.as_ref().unwrap().aum));
            assert!(reading.aum_of(spans.clone(), &own[1..]).is_err());
            let some = reading.metrics_of_some(spans.clone(), &[0, spans.len() - 1, 99], &own).unwrap();
            let of_all = metrics.as_ref().unwrap();
            // The predictions of flagged spans are NaN, which is not equal to itself. So the texts are compared.
            let shown = |metrics: &Metrics, span: usize| format!("{:?}", metrics.prediction(span));
            assert_eq!(shown(&some, 0), shown(of_all, 0));
            assert_eq!(shown(&some, 1), shown(of_all, spans.len() - 1));
            assert_eq!(some.prediction(2), None, "there is no span 99");
            Some((spans, metrics.unwrap()))
        };
        for start in [0, 50, 7, 260, n - 1] {
            let (spans, metrics) = block_from(start).unwrap();
            assert_eq!(spans, start..(start + 50).min(n));
            assert_eq!(bits(&metrics.aum), bits(&whole.aum[spans.clone()]));
            assert_eq!(metrics.alternative, whole.alternative[spans]);
        }
        assert_eq!([block_from(n), block_from(n + 9)], [None, None]);
    }
}
