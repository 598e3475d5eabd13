//! A bounds-checked front of the `gemm` crate for strided matrices inside one thread.

use gemm::Parallelism;

/// A matrix inside a slice: element (i, j) lies at `start + i·row + j·column`.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub start: usize,
    pub rows: usize,
    pub columns: usize,
    pub row: usize,
    pub column: usize,
}

impl View {
    /// Rows of `columns` neighbouring elements, `row` elements apart.
    pub fn rows(start: usize, rows: usize, columns: usize, row: usize) -> Self {
        Self {
            start,
            rows,
            columns,
            row,
            column: 1,
        }
    }

    /// The same elements read as the transposed matrix.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row: self.column,
            column: self.row,
            ..self
        }
    }

    /// One past the last element's index.
    fn end(&self) -> usize {
        self.start + (self.rows - 1) * self.row + (self.columns - 1) * self.column + 1
    }
}

/// `out = left · right`, on the calling thread.
///
/// # Panics
/// Where a view is empty, leaves its slice, or the shapes do not fit each other.
#[allow(unsafe_code)]
pub(super) fn multiply(out: &mut [f32], o: View, left: &[f32], l: View, right: &[f32], r: View) {
    assert!(o.rows > 0 && o.columns > 0 && l.columns > 0, "matmul: empty matrix");
    assert!(
        l.rows == o.rows && r.columns == o.columns && l.columns == r.rows,
        "matmul: {l:?} times {r:?} into {o:?}"
    );
    assert!(
        o.end() <= out.len() && l.end() <= left.len() && r.end() <= right.len(),
        "matmul: a view leaves its slice"
    );
    assert!(o.row >= o.columns && o.column == 1, "matmul: output rows overlap");
    // SAFETY: the assertions above show that every element the three views name lies inside its slice, that the output's
    // elements are distinct, and that it cannot overlap the inputs since it is borrowed mutably.
    unsafe {
        gemm::gemm(
            o.rows,
            o.columns,
            l.columns,
            out.as_mut_ptr().add(o.start),
            o.column as isize,
            o.row as isize,
            false,
            left.as_ptr().add(l.start),
            l.column as isize,
            l.row as isize,
            right.as_ptr().add(r.start),
            r.column as isize,
            r.row as isize,
            0.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
