//! Loops over columns of spans. They take most of the time when a file is opened.
//!
//! This is a separate crate because cargo optimises per package: the page is compiled for size, these loops for
//! speed. `shared::metrics` explains the numbers. Apart from the returned columns, nothing here allocates per
//! span.

#![warn(missing_docs)]

mod cores;
pub mod exp;
pub mod ln;
pub mod random;
mod sort;
mod vectors;

use std::ops::Range;

use half::f16;

pub use self::cores::map;
pub use self::sort::{ascending, ranked};
use crate::exp::exp_nonpositive;
use crate::vectors::{Work, narrow, vectorised, widen};

/// Number of spans per block. Their working set stays in the first-level cache.
pub const BLOCK: usize = 256;

/// The logits of one epoch relative to `O`: one column per entity type, one after the other, each with `n_spans`
/// values.
#[derive(Debug, Clone, Copy)]
pub struct Epoch<'a> {
    n_spans: usize,
    n_types: usize,
    values: Values<'a>,
}

/// The values of an epoch.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// In half precision.
    F16(&'a [f16]),
    /// In single precision.
    F32(&'a [f32]),
}

impl<'a> Epoch<'a> {
    /// An epoch with this number of spans and types.
    ///
    /// # Panics
    /// When the number of values does not fit.
    pub fn new(n_spans: usize, n_types: usize, values: Values<'a>) -> Self {
        let found = match values {
            Values::F16(values) => values.len(),
            Values::F32(values) => values.len(),
        };
        assert_eq!(Some(found), n_spans.checked_mul(n_types), "a value for every span and type");
        Self { n_spans, n_types, values }
    }

    /// Copies the relative logits of type `kind` (from 0) for a range of spans into `out`, one per span.
    #[inline(always)]
    pub fn read(&self, kind: usize, spans: Range<usize>, out: &mut [f32]) {
        let range = kind * self.n_spans + spans.start..kind * self.n_spans + spans.end;
        match self.values {
            Values::F16(values) => widen(&values[range], out),
            Values::F32(values) => out.copy_from_slice(&values[range]),
        }
    }

    /// Loads the logits of all labels, `O` first, for a range of spans, one column per label.
    #[inline(always)]
    fn load(&self, spans: Range<usize>, columns: &mut [Lane<f32>]) {
        for (label, column) in columns.iter_mut().enumerate() {
            match label.checked_sub(1) {
                None => column.fill(0.0),
                Some(kind) => self.read(kind, spans.clone(), &mut column[..spans.len()]),
            }
        }
    }
}

/// Results over several epochs. Each column has one element per span.
#[derive(Debug, Default)]
pub struct Sums {
    /// Mean margin.
    pub aum: Vec<f32>,
    /// Mean probability of the assigned label.
    pub confidence: Vec<f32>,
    /// Population standard deviation of that probability.
    pub variability: Vec<f32>,
    /// Number of epochs at which the assigned label had the largest logit.
    pub correctness: Vec<u16>,
    /// Number of changes from right to wrong.
    pub forgetting: Vec<u16>,
    /// Label with the highest mean probability, the assigned label left out.
    pub alternative: Vec<u16>,
    /// Mean probability of the alternative label.
    pub alternative_probability: Vec<f32>,
}

impl Sums {
    fn with_capacity(n: usize) -> Self {
        Self {
            aum: Vec::with_capacity(n),
            confidence: Vec::with_capacity(n),
            variability: Vec::with_capacity(n),
            correctness: Vec::with_capacity(n),
            forgetting: Vec::with_capacity(n),
            alternative: Vec::with_capacity(n),
            alternative_probability: Vec::with_capacity(n),
        }
    }
}

/// Computes the results of all spans over the epochs inside the window (counted from 0). `assigned` has the label of
/// every span. `margins` has one element per epoch, or none. The margins of all spans at an epoch are appended to its
/// element, in half precision. This includes epochs outside the window. A margin is the logit of the assigned label
/// minus the largest other logit.
///
/// # Panics
/// When an epoch has fewer spans than `assigned` has labels, or fewer types than the first epoch.
pub fn sums(epochs: &[Epoch], window: Range<usize>, assigned: &[u16], margins: &mut [Vec<f16>]) -> Sums {
    vectorised(AllSums { epochs, window, assigned, margins })
}

/// Computes only the mean margin of all spans over these epochs: the column [`Sums::aum`] of [`sums`], in a third of
/// the time.
///
/// # Panics
/// The same as [`sums`].
pub fn aum(epochs: &[Epoch], assigned: &[u16]) -> Vec<f32> {
    vectorised(MeanMargins { epochs, assigned })
}

/// Mean probabilities of a range of spans: one column per label, `O` first. NaN if a logit is not finite.
///
/// # Panics
/// When an epoch has too few spans, or fewer types than the first epoch.
pub fn mean_distributions(epochs: &[Epoch], spans: Range<usize>) -> Vec<Vec<f32>> {
    vectorised(Distributions { epochs, spans })
}

/// Appends these numbers to `out` in half precision.
pub fn narrowed(values: &[f32], out: &mut Vec<f16>) {
    vectorised(Narrowed { values, out });
}

struct Narrowed<'a> {
    values: &'a [f32],
    out: &'a mut Vec<f16>,
}

impl Work for Narrowed<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let start = self.out.len();
        self.out.resize(start + self.values.len(), f16::ZERO);
        narrow(self.values, &mut self.out[start..]);
    }
}

/// The work of [`sums`].
struct AllSums<'a> {
    epochs: &'a [Epoch<'a>],
    window: Range<usize>,
    assigned: &'a [u16],
    margins: &'a mut [Vec<f16>],
}

impl Work for AllSums<'_> {
    type Output = Sums;

    #[inline(always)]
    fn run(self) -> Sums {
        let n = self.assigned.len();
        let mut sums = Sums::with_capacity(n);
        let mut block = Block::new(self.epochs);
        for start in (0..n).step_by(BLOCK) {
            let spans = start..(start + BLOCK).min(n);
            block.start(&self.assigned[spans.clone()]);
            let mut margins = self.margins.iter_mut();
            for (place, epoch) in self.epochs.iter().enumerate() {
                let (is_inside, margins) = (self.window.contains(&place), margins.next());
                if is_inside || margins.is_some() {
                    let ranked = block.load(epoch, spans.clone());
                    if let Some(margins) = margins {
                        let mut narrowed = [f16::ZERO; BLOCK];
                        narrow(&ranked.margin, &mut narrowed);
                        margins.extend_from_slice(&narrowed[..spans.len()]);
                    }
                    if is_inside {
                        block.accumulate(&ranked);
                    }
                }
            }
            block.write_sums(self.window.len(), &mut sums);
        }
        sums
    }
}

/// The work of [`aum`].
struct MeanMargins<'a> {
    epochs: &'a [Epoch<'a>],
    assigned: &'a [u16],
}

impl Work for MeanMargins<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run(self) -> Vec<f32> {
        let n = self.assigned.len();
        let mut aum = Vec::with_capacity(n);
        let mut block = Block::new(self.epochs);
        for start in (0..n).step_by(BLOCK) {
            let spans = start..(start + BLOCK).min(n);
            block.start(&self.assigned[spans.clone()]);
            for epoch in self.epochs {
                let ranked = block.load(epoch, spans.clone());
                block.accumulate_margins(&ranked);
            }
            block.write_aum(self.epochs.len(), &mut aum);
        }
        aum
    }
}

/// The work of [`mean_distributions`].
struct Distributions<'a> {
    epochs: &'a [Epoch<'a>],
    spans: Range<usize>,
}

impl Work for Distributions<'_> {
    type Output = Vec<Vec<f32>>;

    #[inline(always)]
    fn run(self) -> Vec<Vec<f32>> {
        let mut block = Block::new(self.epochs);
        let mut columns = vec![Vec::with_capacity(self.spans.len()); block.n_labels];
        for start in self.spans.clone().step_by(BLOCK) {
            let spans = start..(start + BLOCK).min(self.spans.end);
            // Probabilities do not depend on the assigned labels, so all are set to `O`.
            block.start(&[0; BLOCK][..spans.len()]);
            for epoch in self.epochs {
                let ranked = block.load(epoch, spans.clone());
                block.accumulate(&ranked);
            }
            block.write_distributions(self.epochs.len(), &mut columns);
        }
        columns
    }
}

/// A grid for points. Column and row are ⌊(value − low) / (high − low) × n⌋. The upper edge belongs to the last
/// column or row. Rows count from the top.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    /// Left and right edge.
    pub x: (f32, f32),
    /// Lower and upper edge.
    pub y: (f32, f32),
    /// Number of columns, at least 1.
    pub width: u32,
    /// Number of rows, at least 1. There must be fewer than 2³² cells.
    pub height: u32,
}

impl Grid {
    /// The result for a point that is outside the grid or not a number.
    pub const NOWHERE: u32 = u32::MAX;

    /// The number of a point's cell. Cells are numbered row by row.
    #[inline(always)]
    pub fn cell(&self, x: f32, y: f32) -> u32 {
        let (column, is_inside) = place(x, self.x, self.width);
        let (row, is_below) = place(y, self.y, self.height);
        let cell = (self.height - 1 - row) * self.width + column;
        if is_inside & is_below { cell } else { Self::NOWHERE }
    }
}

/// The index of a value among `n` intervals, and whether the value is inside.
#[inline(always)]
fn place(value: f32, (low, high): (f32, f32), n: u32) -> (u32, bool) {
    let at = (value - low) / (high - low) * n as f32;
    ((at as u32).min(n - 1), at >= 0.0 && at <= n as f32)
}

/// Finds the cells of all points that have both an x and a y, block by block. `take` gets the number of the first
/// point of a block and the cells of the block.
pub fn cells(grid: &Grid, x: &[f32], y: &[f32], mut take: impl FnMut(usize, &[u32])) {
    let n = x.len().min(y.len());
    let (x, y) = (&x[..n], &y[..n]);
    let mut cells = [0u32; BLOCK];
    for (block, (x, y)) in x.chunks(BLOCK).zip(y.chunks(BLOCK)).enumerate() {
        cells_of_block(grid, x, y, &mut cells);
        take(block * BLOCK, &cells[..x.len()]);
    }
}

/// This function is not generic, so it is compiled in this crate, for speed.
#[inline(never)]
fn cells_of_block(grid: &Grid, x: &[f32], y: &[f32], out: &mut [u32]) {
    for (out, (&x, &y)) in out.iter_mut().zip(x.iter().zip(y)) {
        *out = grid.cell(x, y);
    }
}

/// One number per span of a block. All numbers are 32 bits wide, so loops over spans need no conversions between
/// vector widths.
type Lane<T> = [T; BLOCK];

/// How the logits of a block compare at one epoch.
struct Ranked {
    /// The largest logit.
    best: Lane<f32>,
    /// Its label; the lowest one on ties.
    argmax: Lane<u32>,
    /// The logit of the assigned label minus the largest other one.
    margin: Lane<f32>,
}

/// Working columns of one block. Every loop runs over spans, so that it vectorises.
struct Block {
    len: usize,
    n_labels: usize,
    epoch: usize,
    label: Lane<u32>,
    /// Logits of the current epoch, then their exponentials: `n_labels` columns.
    logits: Vec<Lane<f32>>,
    /// Sums of the probabilities over the epochs: `n_labels` columns.
    probability: Vec<Lane<f32>>,
    margin_sum: Lane<f32>,
    mean: Lane<f32>,
    squares: Lane<f32>,
    correct: Lane<u32>,
    was_correct: Lane<u32>,
    forgotten: Lane<u32>,
    /// 0 if all logits are finite, otherwise NaN.
    taint: Lane<f32>,
}

impl Block {
    fn new(epochs: &[Epoch]) -> Self {
        let n_labels = epochs.first().map_or(0, |e| e.n_types) + 1;
        Self {
            len: 0,
            n_labels,
            epoch: 0,
            label: [0; BLOCK],
            logits: vec![[0.0; BLOCK]; n_labels],
            probability: vec![[0.0; BLOCK]; n_labels],
            margin_sum: [0.0; BLOCK],
            mean: [0.0; BLOCK],
            squares: [0.0; BLOCK],
            correct: [0; BLOCK],
            was_correct: [0; BLOCK],
            forgotten: [0; BLOCK],
            taint: [0.0; BLOCK],
        }
    }

    #[inline(always)]
    fn start(&mut self, labels: &[u16]) {
        self.len = labels.len();
        self.epoch = 0;
        for (own, &label) in self.label.iter_mut().zip(labels) {
            *own = u32::from(label);
        }
        self.probability.fill([0.0; BLOCK]);
        self.margin_sum.fill(0.0);
        self.mean.fill(0.0);
        self.squares.fill(0.0);
        self.correct.fill(0);
        self.was_correct.fill(0);
        self.forgotten.fill(0);
        self.taint.fill(0.0);
    }

    /// Loads the logits of an epoch for a range of spans, and compares them.
    #[inline(always)]
    fn load(&mut self, epoch: &Epoch, spans: Range<usize>) -> Ranked {
        epoch.load(spans, &mut self.logits);
        // The rest of a short block holds old values. They are computed too, but never read.
        let mut best = [f32::NEG_INFINITY; BLOCK];
        let mut second = [f32::NEG_INFINITY; BLOCK];
        let mut argmax = [0u32; BLOCK];
        let mut own = [0f32; BLOCK];
        for (label, column) in (0u32..).zip(&self.logits) {
            for i in 0..BLOCK {
                // Everything is read before the choices. Otherwise the compiler chooses whether to write at all, and
                // such a loop is not vectorised.
                let (z, highest, runner_up, at, mine) = (column[i], best[i], second[i], argmax[i], own[i]);
                let is_best = z > highest;
                let not_best = if z > runner_up { z } else { runner_up };
                second[i] = if is_best { highest } else { not_best };
                best[i] = if is_best { z } else { highest };
                argmax[i] = if is_best { label } else { at };
                own[i] = if self.label[i] == label { z } else { mine };
            }
        }
        for i in 0..BLOCK {
            let (highest, runner_up) = (best[i], second[i]);
            own[i] -= if argmax[i] == self.label[i] { runner_up } else { highest };
        }
        Ranked { best, argmax, margin: own }
    }

    /// Adds only the margins of the loaded epoch to their sums, as [`accumulate`](Self::accumulate) does.
    #[inline(always)]
    fn accumulate_margins(&mut self, Ranked { margin, .. }: &Ranked) {
        for column in &self.logits {
            for (taint, logit) in self.taint.iter_mut().zip(column) {
                *taint += logit * 0.0;
            }
        }
        for (sum, margin) in self.margin_sum.iter_mut().zip(margin) {
            *sum += margin;
        }
    }

    /// Adds the loaded epoch to all sums. Its logits are gone afterwards.
    #[inline(always)]
    fn accumulate(&mut self, Ranked { best, argmax, margin }: &Ranked) {
        self.epoch += 1;
        let count = self.epoch as f32;
        let mut sum = [0f32; BLOCK];
        for column in &mut self.logits {
            for i in 0..BLOCK {
                // 0 × ±∞ and 0 × NaN are NaN.
                self.taint[i] += column[i] * 0.0;
                column[i] = exp_nonpositive(column[i] - best[i]);
                sum[i] += column[i];
            }
        }
        let mut own_probability = [0f32; BLOCK];
        for (label, (column, total)) in (0u32..).zip(self.logits.iter().zip(&mut self.probability)) {
            for i in 0..BLOCK {
                let (p, own) = (column[i] / sum[i], own_probability[i]);
                total[i] += p;
                own_probability[i] = if self.label[i] == label { p } else { own };
            }
        }
        for i in 0..BLOCK {
            self.margin_sum[i] += margin[i];
            // Welford's update avoids cancellation between large sums of squares.
            let delta = own_probability[i] - self.mean[i];
            self.mean[i] += delta / count;
            self.squares[i] += delta * (own_probability[i] - self.mean[i]);
            let now = u32::from(argmax[i] == self.label[i]);
            self.correct[i] += now;
            self.forgotten[i] += self.was_correct[i] & (1 - now);
            self.was_correct[i] = now;
        }
    }

    #[inline(always)]
    fn write_sums(&mut self, n_epochs: usize, out: &mut Sums) {
        let n = n_epochs as f32;
        let mut own = [0f32; BLOCK];
        let mut alternative = [0u32; BLOCK];
        let mut highest_other = [f32::NEG_INFINITY; BLOCK];
        for (label, column) in (0u32..).zip(&self.probability) {
            for i in 0..BLOCK {
                let (total, highest, at, mine) = (column[i], highest_other[i], alternative[i], own[i]);
                let is_own = self.label[i] == label;
                own[i] = if is_own { total } else { mine };
                // Not `&&`, which would be a branch.
                let is_best = (total > highest) & !is_own;
                highest_other[i] = if is_best { total } else { highest };
                alternative[i] = if is_best { label } else { at };
            }
        }
        // There is one short loop per column, because one long loop over all columns is not vectorised.
        for i in 0..BLOCK {
            // Margins of finite logits can overflow. With a single label they are infinite.
            self.taint[i] += self.margin_sum[i] * 0.0;
        }
        for i in 0..BLOCK {
            self.squares[i] = (self.squares[i] / n).max(0.0).sqrt() + self.taint[i];
        }
        for column in [&mut self.margin_sum, &mut own, &mut highest_other] {
            for (value, taint) in column.iter_mut().zip(&self.taint) {
                *value = *value / n + taint;
            }
        }
        flag(&mut self.correct, &self.taint, &[0; BLOCK]);
        flag(&mut self.forgotten, &self.taint, &[0; BLOCK]);
        flag(&mut alternative, &self.taint, &self.label);
        let len = self.len;
        out.aum.extend_from_slice(&self.margin_sum[..len]);
        out.confidence.extend_from_slice(&own[..len]);
        out.variability.extend_from_slice(&self.squares[..len]);
        // Counts stop at the largest u16. Labels always fit in a u16.
        let counts = |counts: &Lane<u32>| counts.map(|n| u16::try_from(n).unwrap_or(u16::MAX));
        out.correctness.extend_from_slice(&counts(&self.correct)[..len]);
        out.forgetting.extend_from_slice(&counts(&self.forgotten)[..len]);
        out.alternative.extend(alternative[..len].iter().map(|&label| label as u16));
        out.alternative_probability.extend_from_slice(&highest_other[..len]);
    }

    #[inline(always)]
    fn write_aum(&mut self, n_epochs: usize, aum: &mut Vec<f32>) {
        for i in 0..BLOCK {
            // The same steps as in `write_sums`.
            self.taint[i] += self.margin_sum[i] * 0.0;
            self.margin_sum[i] = self.margin_sum[i] / n_epochs as f32 + self.taint[i];
        }
        aum.extend_from_slice(&self.margin_sum[..self.len]);
    }

    #[inline(always)]
    fn write_distributions(&self, n_epochs: usize, columns: &mut [Vec<f32>]) {
        for (column, total) in columns.iter_mut().zip(&self.probability) {
            column.extend(total.iter().zip(&self.taint).take(self.len).map(|(p, taint)| p / n_epochs as f32 + taint));
        }
    }
}

/// Replaces the numbers of flagged spans, whose taint is NaN. A function, so that the compiler knows that the columns
/// do not overlap.
#[inline(always)]
fn flag(column: &mut Lane<u32>, taint: &Lane<f32>, flagged: &Lane<u32>) {
    for i in 0..BLOCK {
        let (number, otherwise) = (column[i], flagged[i]);
        column[i] = if taint[i].is_nan() { otherwise } else { number };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_over_very_many_epochs_do_not_begin_again() {
        // Right and wrong in turn, four times as many epochs as a u16 can count.
        let (right, wrong) = ([1.0f32], [-1.0f32]);
        let epoch = |values| Epoch { values: Values::F32(values), n_spans: 1, n_types: 1 };
        let in_turn: Vec<Epoch> = (0..4 * 65_536).map(|i| epoch(if i % 2 == 0 { &right } else { &wrong })).collect();
        let of = |epochs: &[Epoch]| sums(epochs, 0..epochs.len(), &[1], &mut []);
        let counted = of(&in_turn);
        assert_eq!((counted.correctness[0], counted.forgetting[0]), (u16::MAX, u16::MAX));
        let counted = of(&in_turn[..1000]);
        assert_eq!((counted.correctness[0], counted.forgetting[0]), (500, 500));
    }
}
