//! Matrix products on slices: a safe wrapper around the `gemm` crate.

use gemm::Parallelism;
use rayon::prelude::*;

/// A matrix inside a slice.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Creates a matrix of `rows` × `columns`, stored row by row.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Creates a matrix of `rows` × `columns` whose rows are `row_stride` elements apart.
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// Returns the transposed view.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Returns `rows` rows, beginning with row `first`.
    fn rows_from(self, first: usize, rows: usize) -> Self {
        Self { data: self.data.get(first * self.row_stride..).unwrap_or_default(), rows, ..self }
    }

    /// Returns the number of elements from the first to the last, including both.
    fn extent(&self) -> usize {
        extent(self.rows, self.columns, self.row_stride, self.column_stride)
    }
}

fn extent(rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> usize {
    if rows == 0 || columns == 0 { 0 } else { (rows - 1) * row_stride + (columns - 1) * column_stride + 1 }
}

/// Target of a product. Its rows are `row_stride` elements apart.
pub(super) struct Target<'a> {
    pub data: &'a mut [f32],
    pub row_stride: usize,
    /// Whether to add to the existing values instead of overwriting them.
    pub add: bool,
}

/// Computes `target ← scale·a·b`, or `target ← target + scale·a·b`, on this thread.
///
/// # Panics
/// When shapes do not fit. That is an error of the caller, not of the data.
pub(super) fn multiply(target: Target, scale: f32, a: Matrix, b: Matrix) {
    let (place, add) = target.check(a, b);
    // SAFETY: `check` guarantees the operands and that every written element is inside the slice, which is borrowed
    // exclusively and initialised.
    #[allow(unsafe_code)]
    unsafe {
        gemm_into(place, add, scale, a, b);
    }
}

/// Does the same as [`multiply`] without a scale, on all threads.
///
/// # Panics
/// When shapes do not fit.
pub(super) fn multiply_on_all(target: Target, a: Matrix, b: Matrix) {
    let (place, add) = target.check(a, b);
    let before = if add { Before::Values } else { Before::Nothing };
    // SAFETY: as in `multiply`.
    #[allow(unsafe_code)]
    unsafe {
        gemm_in_blocks(place, before, a, b);
    }
}

/// Returns the products of `a` with several matrices beside each other, row by row, computed on all threads. Each
/// product may come with a row of biases that is added to its rows.
///
/// # Panics
/// When shapes do not fit.
pub(super) fn products(a: Matrix, right: &[(Matrix, Option<&[f32]>)]) -> Vec<f32> {
    let (m, n) = (a.rows, right.iter().map(|(b, _)| b.columns).sum::<usize>());
    // The memory is not set to zero first. That would take 4 % of the time of a training step.
    let mut out = Vec::with_capacity(m * n);
    let mut column = 0;
    for (b, biases) in right {
        check_operands(a, *b);
        assert!(a.columns > 0, "a product of nothing");
        assert!(biases.is_none_or(|biases| biases.len() == b.columns), "biases");
        if m == 0 || b.columns == 0 {
            column += b.columns;
            continue;
        }
        let place = Place { first: out.as_mut_ptr(), row_stride: n };
        let before = biases.map_or(Before::Nothing, Before::Row);
        // SAFETY: there is room for m rows of n elements, without gaps, and column + b.columns ≤ n.
        #[allow(unsafe_code)]
        unsafe {
            gemm_in_blocks(place.at(0, column), before, a, *b);
        }
        column += b.columns;
    }
    // SAFETY: the products cover all columns of all rows, and gemm wrote all their elements, because k > 0.
    #[allow(unsafe_code)]
    unsafe {
        out.set_len(m * n);
    }
    out
}

/// Returns `a·b`, row by row, computed on all threads.
///
/// # Panics
/// When shapes do not fit.
pub(super) fn product(a: Matrix, b: Matrix) -> Vec<f32> {
    products(a, &[(b, None)])
}

/// What a target holds before a product is computed there.
#[derive(Clone, Copy)]
enum Before<'a> {
    /// Nothing: the product overwrites it, and it need not be initialised.
    Nothing,
    /// Values to which the product is added.
    Values,
    /// This row, everywhere. It is written first, and the product is added.
    Row(&'a [f32]),
}

/// Where a product is written: its first element, and the distance of its rows.
#[derive(Clone, Copy)]
struct Place {
    first: *mut f32,
    row_stride: usize,
}

// SAFETY: a place is only an address. Whoever writes there must prove that no other thread does.
#[allow(unsafe_code)]
unsafe impl Send for Place {}
// SAFETY: the same.
#[allow(unsafe_code)]
unsafe impl Sync for Place {}

impl Place {
    /// Returns the place of the block that begins at this row and column.
    ///
    /// # Safety
    /// The block must be inside the memory that `first` points to.
    #[allow(unsafe_code)]
    unsafe fn at(self, row: usize, column: usize) -> Self {
        // SAFETY: the caller guarantees it.
        Self { first: unsafe { self.first.add(row * self.row_stride + column) }, ..self }
    }
}

impl Target<'_> {
    /// Checks that `a·b` fits into the target and that the operands are inside their slices.
    fn check(self, a: Matrix, b: Matrix) -> (Place, bool) {
        let (m, n) = (a.rows, b.columns);
        assert!(
            self.row_stride >= n && extent(m, n, self.row_stride, 1) <= self.data.len(),
            "target outside its slice"
        );
        check_operands(a, b);
        (Place { first: self.data.as_mut_ptr(), row_stride: self.row_stride }, self.add)
    }
}

fn check_operands(a: Matrix, b: Matrix) {
    assert_eq!(a.columns, b.rows, "inner dimensions");
    assert!(a.extent() <= a.data.len() && b.extent() <= b.data.len(), "operand outside its slice");
}

/// Largest number of rows and columns of the block of a product that one task computes. Each task packs its operands
/// itself, so blocks must not be too small. They do not depend on the number of threads, and so neither do the
/// results.
const BLOCK: (usize, usize) = (512, 192);

/// Divides a length into as few equal parts as the limit allows. Returns the number of parts and their length, of
/// which the last part may have less.
fn parts(length: usize, limit: usize) -> (usize, usize) {
    let n = length.div_ceil(limit);
    let part = length.div_ceil(n.max(1)).next_multiple_of(16);
    (length.div_ceil(part.max(1)), part)
}

/// Computes a product in blocks, on all threads.
///
/// # Safety
/// The same as of [`gemm_into`], with `add` if there is anything before.
#[allow(unsafe_code)]
unsafe fn gemm_in_blocks(place: Place, before: Before, a: Matrix, b: Matrix) {
    let (m, n) = (a.rows, b.columns);
    let ((down, height), (across, width)) = (parts(m, BLOCK.0), parts(n, BLOCK.1));
    (0..down * across).into_par_iter().with_max_len(1).for_each(|block| {
        let (row, column) = (block / across * height, block % across * width);
        let a = a.rows_from(row, height.min(m - row));
        let b = b.transposed().rows_from(column, width.min(n - column)).transposed();
        // SAFETY: row < m and column < n, so the block is a part of the target. Blocks do not overlap, so that no
        // two tasks write to the same element. Before gemm adds to a row of biases, all its elements are written.
        unsafe {
            let place = place.at(row, column);
            if let Before::Row(biases) = before
                && let Some(biases) = biases.get(column..column + b.columns)
            {
                for row in 0..a.rows {
                    std::ptr::copy_nonoverlapping(biases.as_ptr(), place.at(row, 0).first, b.columns);
                }
            }
            gemm_into(place, !matches!(before, Before::Nothing), 1.0, a, b);
        }
    });
}

/// Computes a product on this thread.
///
/// # Safety
/// The operands must be inside their slices, and their inner dimensions must agree. `place` must be valid for
/// writing `a.rows` rows of `b.columns` elements, which must not overlap each other or the operands. With `add`, they
/// must be initialised.
#[allow(unsafe_code)]
unsafe fn gemm_into(place: Place, add: bool, scale: f32, a: Matrix, b: Matrix) {
    // SAFETY: `gemm` reads a at i·row_stride + j·column_stride for i < m, j < k, and b in the same way for k × n.
    // The caller guarantees that these elements are inside the slices, and the target.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            place.first,
            1,
            place.row_stride as isize,
            add,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1f32,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_by_hand() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let b = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0];
        let mut out = [9.0; 4];
        let target = Target { data: &mut out, row_stride: 2, add: false };
        multiply(target, 2.0, Matrix::new(&a, 2, 3), Matrix::new(&b, 3, 2));
        assert_eq!(out, [8.0, 10.0, 20.0, 22.0]);
        let target = Target { data: &mut out, row_stride: 2, add: true };
        multiply(target, 1.0, Matrix::new(&b, 3, 2).transposed(), Matrix::new(&a, 2, 3).transposed());
        assert_eq!(product(Matrix::new(&a, 2, 3), Matrix::new(&b, 3, 2)), [4.0, 5.0, 10.0, 11.0]);
        // (a·b)ᵀ = [[4, 10], [5, 11]] is added to the earlier values.
        assert_eq!(out, [12.0, 20.0, 25.0, 33.0]);
    }

    #[test]
    fn a_column_block_is_written_in_place() {
        let a = [1.0, 2.0];
        let mut out = [0.0; 6];
        let target = Target { data: &mut out[1..], row_stride: 3, add: false };
        multiply(target, 1.0, Matrix::new(&a, 2, 1), Matrix::new(&[3.0], 1, 1));
        assert_eq!(out, [0.0, 3.0, 0.0, 0.0, 6.0, 0.0]);
    }

    #[test]
    fn nothing_times_something_is_nothing() {
        let b = [1.0, 2.0];
        let two = || (Matrix::new(&b, 1, 2), None);
        assert!(products(Matrix::new(&[], 0, 1), &[two(), two()]).is_empty());
    }

    #[test]
    fn blocks_make_the_whole_product() {
        // Small whole numbers, so that sums are exact. Sizes are not multiples of the blocks.
        let (m, n, k) = (BLOCK.0 + 3, 2 * BLOCK.1 + 5, 7);
        let numbers = |len: usize, salt: usize| (0..len).map(|i| ((i * salt) % 13) as f32 - 6.0).collect::<Vec<_>>();
        let (a, b) = (numbers(m * k, 5), numbers(n * k, 7));
        let expected = |i: usize, j: usize| (0..k).map(|l| a[i * k + l] * b[j * k + l]).sum::<f32>();
        let found = product(Matrix::new(&a, m, k), Matrix::new(&b, n, k).transposed());
        for (at, &found) in found.iter().enumerate() {
            assert_eq!(found, expected(at / n, at % n), "element {at}");
        }
        let mut sums = vec![1.0; m * (n + 1)];
        let target = Target { data: &mut sums, row_stride: n + 1, add: true };
        multiply_on_all(target, Matrix::new(&a, m, k), Matrix::new(&b, n, k).transposed());
        for (at, &sum) in sums.iter().enumerate() {
            let (i, j) = (at / (n + 1), at % (n + 1));
            assert_eq!(sum, if j < n { 1.0 + expected(i, j) } else { 1.0 }, "element {at}");
        }
    }
}
