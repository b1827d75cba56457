//! Matrix products into a part of a matrix.

/// A matrix, row by row, `stride` numbers from row to row.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    pub(super) values: &'a [f32],
    pub(super) stride: usize,
}

/// `columns` columns from column `start` on of a matrix that has `stride` of them, row by row.
pub(super) struct Tile<'a> {
    pub(super) values: &'a mut [f32],
    pub(super) start: usize,
    pub(super) columns: usize,
    pub(super) stride: usize,
}

/// Writes `left` · `right` into `tile`; `left` has a row for each row of the tile's matrix, without gaps. It runs on this
/// thread alone.
///
/// # Panics
/// If the sizes do not fit.
pub(super) fn product(left: &[f32], right: Columns<'_>, tile: Tile<'_>) {
    let Tile {
        values,
        start,
        columns,
        stride,
    } = tile;
    let rows = values.len() / stride;
    let inner = left.len() / rows;
    assert!(rows > 0 && inner > 0 && columns > 0);
    assert_eq!(left.len(), rows * inner);
    assert_eq!(values.len(), rows * stride);
    assert!(start + columns <= stride);
    assert!((inner - 1) * right.stride + columns <= right.values.len());
    let to = &mut values[start..];
    #[expect(
        unsafe_code,
        reason = "gemm has no safe interface; the sizes are checked above"
    )]
    // SAFETY: row r, column c of each matrix is at r · stride + c. The assertions keep the last row and column inside its
    // slice: left (rows - 1) · inner + inner - 1, right (inner - 1) · stride + columns - 1, and `to` (rows - 1) · stride +
    // columns - 1, which is at most rows · stride - start - 1. Slices are no longer than isize::MAX bytes.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            to.as_mut_ptr(),
            1,
            stride.cast_signed(),
            false,
            left.as_ptr(),
            1,
            inner.cast_signed(),
            right.values.as_ptr(),
            1,
            right.stride.cast_signed(),
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
