//! Batch rows without their padding: the visible slots of all rows, one row behind the other.
//!
//! What is computed slot by slot (products, norms, activations) needs no more than the slots themselves; attention
//! needs to know where a row begins ([`AttentionBias::of_segments`](crate::AttentionBias::of_segments)). A hidden slot
//! is read by none that is visible, so results are the same.

use std::sync::Arc;

use burn::tensor::{Bool, Tensor, backend::Backend};

/// Hidden slots must be at least one in this many: moving rows costs something, too.
const WORTH: usize = 20;

/// Where the visible slots of a padded batch `[b, n]` lie in `[1, t, d]`.
#[derive(Debug, Clone)]
pub struct Segments {
    rows: Arc<[Segment]>,
    width: usize,
}

/// The visible slots of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    /// The first one's place in its row.
    first: usize,
    /// The first one's place among those of all rows.
    start: usize,
    length: usize,
}

impl Segments {
    /// The segments of a mask `[b, n]`, true for visible slots; `None` if the backend has no kernel for them, if a row
    /// has a gap or nothing visible, or if there is next to no padding.
    #[must_use]
    pub fn of<B: Backend>(mask: &Tensor<B, 2, Bool>) -> Option<Self> {
        #[cfg(feature = "flex")]
        if crate::flex::route::<B>().is_some() {
            let [_, width] = mask.dims();
            let shown: Vec<bool> = mask.to_data().iter::<bool>().collect();
            return Self::of_rows(shown.chunks_exact(width), width);
        }
        let _ = mask;
        None
    }

    #[cfg_attr(not(feature = "flex"), allow(dead_code))]
    fn of_rows<'a>(rows: impl Iterator<Item = &'a [bool]>, width: usize) -> Option<Self> {
        let mut start = 0;
        let segment = |shown: &[bool]| {
            let first = shown.iter().position(|shown| *shown)?;
            let length = shown[first..].iter().take_while(|shown| **shown).count();
            if shown[first + length..].contains(&true) {
                return None;
            }
            start += length;
            Some(Segment {
                first,
                start: start - length,
                length,
            })
        };
        let rows = rows.map(segment).collect::<Option<Arc<[Segment]>>>()?;
        let slots = rows.len() * width;
        ((slots - start) * WORTH >= slots && start > 0).then_some(Self { rows, width })
    }

    /// Slots of a row with its padding, n.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Visible slots of all rows, t.
    #[must_use]
    pub fn total(&self) -> usize {
        self.rows.last().map_or(0, |last| last.start + last.length)
    }

    /// Visible slots of each row.
    pub fn lengths(&self) -> impl Iterator<Item = usize> {
        self.rows.iter().map(|row| row.length)
    }

    /// The place of a row's first slot among those of all rows.
    #[cfg(feature = "flex")]
    pub(crate) fn start(&self, row: usize) -> usize {
        self.rows[row].start
    }

    /// Each row's first slot with its padding, its first slot without, and its length: in `[b × n]`, in `[t]`.
    #[cfg(feature = "flex")]
    pub(crate) fn places(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let rows = self.rows.iter().enumerate();
        rows.map(|(i, row)| (i * self.width + row.first, row.start, row.length))
    }

    /// The visible slots `[1, t, d]` of states `[b, n, d]`.
    #[must_use]
    pub fn compact<B: Backend>(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        assert_eq!(
            x.dims()[..2],
            [self.rows.len(), self.width],
            "segments: the states are not those of the mask"
        );
        #[cfg(feature = "flex")]
        if let Some(route) = crate::flex::route::<B>() {
            return crate::flex::move_rows(route, x, self, true);
        }
        unreachable!("only backends with a kernel have segments")
    }

    /// States `[b, n, d]` of the visible slots `[1, t, d]`, 0 where nothing is visible.
    #[must_use]
    pub fn padded<B: Backend>(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        assert_eq!(
            x.dims()[..2],
            [1, self.total()],
            "segments: the states are not those of the mask"
        );
        #[cfg(feature = "flex")]
        if let Some(route) = crate::flex::route::<B>() {
            return crate::flex::move_rows(route, x, self, false);
        }
        unreachable!("only backends with a kernel have segments")
    }
}

#[cfg(test)]
mod tests {
    use super::Segments;

    fn of(rows: &[&str]) -> Option<Vec<[usize; 3]>> {
        let shown: Vec<Vec<bool>> = rows
            .iter()
            .map(|row| row.chars().map(|slot| slot == '1').collect())
            .collect();
        let segments = Segments::of_rows(shown.iter().map(Vec::as_slice), rows[0].len())?;
        Some(
            segments
                .rows
                .iter()
                .map(|row| [row.first, row.start, row.length])
                .collect(),
        )
    }

    #[test]
    fn segments_are_runs_of_visible_slots() {
        assert_eq!(
            of(&["1110", "1000", "0011"]),
            Some(vec![[0, 0, 3], [0, 3, 1], [2, 4, 2]])
        );
        // No padding, a gap, a row without anything, and one hidden slot in more than twenty.
        assert_eq!(of(&["111", "111"]), None);
        assert_eq!(of(&["101", "100"]), None);
        assert_eq!(of(&["110", "000"]), None);
        assert_eq!(of(&["11111111111", "11111111110"]), None);
        assert!(of(&["1111111111", "1111111110"]).is_some());
    }
}
