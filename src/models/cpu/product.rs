//! Matrix products, on this thread alone.

use std::mem::MaybeUninit;

/// A matrix whose rows and columns lie `strides` numbers apart.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// Row by row, `stride` numbers from row to row.
    pub(super) fn new(values: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        Self {
            values,
            rows,
            columns,
            strides: [stride, 1],
        }
    }

    /// Row by row without gaps.
    pub(super) fn dense(values: &'a [f32], rows: usize) -> Self {
        let columns = values.len() / rows;
        Self::new(values, rows, columns, columns)
    }

    pub(super) fn transposed(self) -> Self {
        let [row, column] = self.strides;
        Self {
            rows: self.columns,
            columns: self.rows,
            strides: [column, row],
            ..self
        }
    }

    /// How many numbers there must be.
    fn reach(&self) -> usize {
        (self.rows - 1) * self.strides[0] + (self.columns - 1) * self.strides[1] + 1
    }
}

/// What a product can be put into.
pub(super) trait Place {}
impl Place for f32 {}
impl Place for MaybeUninit<f32> {}

/// Puts `left` · `right` into `to`, row by row, `stride` numbers from row to row. All numbers of these rows are written.
///
/// # Panics
/// If the sizes do not fit.
pub(super) fn product<T: Place>(left: Matrix<'_>, right: Matrix<'_>, to: &mut [T], stride: usize) {
    multiply(left, right, to, stride, false);
}

/// The same, added to what is there.
///
/// # Panics
/// If the sizes do not fit.
pub(super) fn add_product(left: Matrix<'_>, right: Matrix<'_>, to: &mut [f32], stride: usize) {
    multiply(left, right, to, stride, true);
}

fn multiply<T: Place>(left: Matrix<'_>, right: Matrix<'_>, to: &mut [T], stride: usize, add: bool) {
    assert!(left.rows > 0 && left.columns > 0 && right.columns > 0);
    assert_eq!(left.columns, right.rows);
    assert!(left.reach() <= left.values.len());
    assert!(right.reach() <= right.values.len());
    assert!(right.columns <= stride);
    assert!((left.rows - 1) * stride + right.columns <= to.len());
    #[expect(
        unsafe_code,
        reason = "gemm has no safe interface; the sizes are checked above"
    )]
    // SAFETY: row r, column c of each matrix is at r · its first stride + c · its second, of `to` at r · stride + c. The assertions keep
    // the last row and column inside the slice. Slices are no longer than isize::MAX bytes. gemm reads `to` only if it adds, and then it
    // has numbers.
    unsafe {
        gemm::gemm(
            left.rows,
            right.columns,
            left.columns,
            to.as_mut_ptr().cast::<f32>(),
            1,
            stride.cast_signed(),
            add,
            left.values.as_ptr(),
            left.strides[1].cast_signed(),
            left.strides[0].cast_signed(),
            right.values.as_ptr(),
            right.strides[1].cast_signed(),
            right.strides[0].cast_signed(),
            f32::from(u8::from(add)),
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
