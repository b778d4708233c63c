//! Matrix products on slices: a safe wrapper around the `gemm` crate.

use gemm::Parallelism;

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

/// Computes `target ← scale·a·b`, or `target ← target + scale·a·b`.
///
/// # Panics
/// When shapes do not fit. That is an error of the caller, not of the data.
pub(super) fn multiply(target: Target, scale: f32, a: Matrix, b: Matrix, parallel: bool) {
    let (m, n) = (a.rows, b.columns);
    assert!(
        target.row_stride >= n && extent(m, n, target.row_stride, 1) <= target.data.len(),
        "target outside its slice"
    );
    // SAFETY: the assertion above guarantees that every written element is inside the slice, which is borrowed
    // exclusively and initialised. Rows do not overlap, because row_stride ≥ n.
    #[allow(unsafe_code)]
    unsafe {
        gemm_into(target.data.as_mut_ptr(), target.row_stride, target.add, scale, a, b, parallel);
    }
}

/// Returns `a·b`, row by row.
///
/// # Panics
/// When shapes do not fit.
pub(super) fn product(a: Matrix, b: Matrix) -> Vec<f32> {
    let (m, n) = (a.rows, b.columns);
    // The memory is not set to zero first. That would take 4 % of the time of a training step.
    let mut out = Vec::with_capacity(m * n);
    if a.columns == 0 {
        out.resize(m * n, 0.0);
        return out;
    }
    // SAFETY: there is room for m·n elements, in rows of n without gaps. Without `add`, gemm reads none of them
    // and writes all of them (k > 0), so they are initialised afterwards.
    #[allow(unsafe_code)]
    unsafe {
        gemm_into(out.as_mut_ptr(), n, false, 1.0, a, b, true);
        out.set_len(m * n);
    }
    out
}

/// Computes a product at a raw pointer.
///
/// # Safety
/// `target` must be valid for writing `a.rows` rows of `b.columns` elements that are `row_stride` apart. The rows
/// must not overlap each other or the operands. With `add`, they must be initialised.
#[allow(unsafe_code)]
unsafe fn gemm_into(target: *mut f32, row_stride: usize, add: bool, scale: f32, a: Matrix, b: Matrix, parallel: bool) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(k, b.rows, "inner dimensions");
    assert!(a.extent() <= a.data.len() && b.extent() <= b.data.len(), "operand outside its slice");
    let parallelism = if parallel { Parallelism::Rayon(0) } else { Parallelism::None };
    // SAFETY: `gemm` reads a at i·row_stride + j·column_stride for i < m, j < k, and b in the same way for k × n.
    // The largest such index is `extent() − 1`, and the assertion above guarantees that it is inside the slice.
    // The caller guarantees the target.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            target,
            1,
            row_stride as isize,
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
            parallelism,
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
        multiply(target, 2.0, Matrix::new(&a, 2, 3), Matrix::new(&b, 3, 2), false);
        assert_eq!(out, [8.0, 10.0, 20.0, 22.0]);
        let target = Target { data: &mut out, row_stride: 2, add: true };
        multiply(target, 1.0, Matrix::new(&b, 3, 2).transposed(), Matrix::new(&a, 2, 3).transposed(), false);
        assert_eq!(product(Matrix::new(&a, 2, 3), Matrix::new(&b, 3, 2)), [4.0, 5.0, 10.0, 11.0]);
        // (a·b)ᵀ = [[4, 10], [5, 11]] is added to the earlier values.
        assert_eq!(out, [12.0, 20.0, 25.0, 33.0]);
    }

    #[test]
    fn a_column_block_is_written_in_place() {
        let a = [1.0, 2.0];
        let mut out = [0.0; 6];
        let target = Target { data: &mut out[1..], row_stride: 3, add: false };
        multiply(target, 1.0, Matrix::new(&a, 2, 1), Matrix::new(&[3.0], 1, 1), false);
        assert_eq!(out, [0.0, 3.0, 0.0, 0.0, 6.0, 0.0]);
    }
}
