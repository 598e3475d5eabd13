//! Batch rows without their padding: the visible slots of all rows, one row behind the other.
//!
//! What is computed slot by slot (products, norms, activations) needs no more than the slots themselves; attention
//! needs to know where a row begins ([`AttentionBias::of_segments`](crate::AttentionBias::of_segments)). A hidden slot
//! is read by none that is visible, so results are the same.
//!
//! Causal rows may begin with the same slots (a soft prompt), of which each sees none but those before it: whatever is
//! computed of them is the same in every row. They are kept once, in front of all rows, and every row's attention reads
//! them.

use std::sync::Arc;

use burn::tensor::{Bool, Tensor, backend::Backend};

/// Hidden slots must be at least one in this many: moving rows costs something, too.
const WORTH: usize = 20;

/// Where the visible slots of a padded batch `[b, n]` lie in `[1, t, d]`.
#[derive(Debug, Clone)]
pub struct Segments {
    rows: Arc<[Segment]>,
    width: usize,
    shared: usize,
}

/// The visible slots of one row, those that all rows share aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    /// The first one's place in its row.
    first: usize,
    /// The first one's place among those of all rows.
    start: usize,
    length: usize,
}

impl Segments {
    /// The segments of a mask `[b, n]`, true for visible slots, whose first `shared` slots are the same in every row;
    /// `None` if the backend has no kernel for them, if a row has a gap or nothing visible behind them, or if there is
    /// next to nothing to leave out.
    #[must_use]
    pub fn of<B: Backend>(mask: &Tensor<B, 2, Bool>, shared: usize) -> Option<Self> {
        #[cfg(feature = "flex")]
        if crate::flex::route::<B>().is_some() {
            let [_, width] = mask.dims();
            let shown: Vec<bool> = mask.to_data().iter::<bool>().collect();
            return Self::of_rows(shown.chunks_exact(width), width, shared);
        }
        let _ = (mask, shared);
        None
    }

    #[cfg_attr(not(feature = "flex"), allow(dead_code))]
    fn of_rows<'a>(rows: impl Iterator<Item = &'a [bool]>, width: usize, shared: usize) -> Option<Self> {
        let mut start = shared;
        let segment = |shown: &[bool]| {
            let first = shared + shown[shared..].iter().position(|shown| *shown)?;
            let length = shown[first..].iter().take_while(|shown| **shown).count();
            if shown[first + length..].contains(&true) || shown[..shared].contains(&false) {
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
        ((slots - start) * WORTH >= slots && start > 0).then_some(Self { rows, width, shared })
    }

    /// Slots of a row with its padding, n.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Visible slots of all rows, t; those that rows share are counted once.
    #[must_use]
    pub fn total(&self) -> usize {
        self.rows.last().map_or(self.shared, |last| last.start + last.length)
    }

    /// Where a slot of a row lies in `[1, t, d]`; that of a hidden slot is any.
    #[must_use]
    pub fn place(&self, row: usize, slot: usize) -> usize {
        let own = self.rows[row];
        match slot < self.shared {
            true => slot,
            false => own.start + slot.saturating_sub(own.first).min(own.length - 1),
        }
    }

    /// Number of batch rows, b.
    #[cfg(feature = "flex")]
    pub(crate) fn batch(&self) -> usize {
        self.rows.len()
    }

    /// Slots in front of every row that are the same in all of them.
    #[cfg(feature = "flex")]
    pub(crate) fn shared(&self) -> usize {
        self.shared
    }

    /// The parts that attention computes one by one, in the order of their slots: the shared slots, if there are any,
    /// then each row's own.
    #[cfg(feature = "flex")]
    pub(crate) fn parts(&self) -> Vec<Part> {
        let m = self.shared;
        let shared = (m > 0).then_some(Part {
            queries: m,
            keys: m,
            query: 0,
            key: 0,
        });
        let rows = self.rows.iter().enumerate().map(|(row, own)| Part {
            queries: own.length,
            keys: m + own.length,
            query: own.start,
            key: own.start + row * m,
        });
        shared.into_iter().chain(rows).collect()
    }

    /// Where a batch `[b × n]` and its visible slots `[t]` have the same: a run's first slot in either, and its length.
    /// The shared slots are a run of the first row, or of `every_row`.
    #[cfg(feature = "flex")]
    pub(crate) fn runs(&self, every_row: bool) -> impl Iterator<Item = (usize, usize, usize)> {
        let sharing = if every_row { self.rows.len() } else { 1 };
        let shared = (0..sharing).map(|row| (row * self.width, 0, self.shared));
        let rows = self.rows.iter().enumerate();
        shared.chain(rows.map(|(i, row)| (i * self.width + row.first, row.start, row.length)))
    }

    /// The visible slots `[1, t, d]` of states `[b, n, d]`; the shared ones are the first row's.
    #[must_use]
    pub fn compact<B: Backend>(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        assert_eq!(
            x.dims()[..2],
            [self.rows.len(), self.width],
            "segments: the states are not those of the mask"
        );
        #[cfg(feature = "flex")]
        if let Some(route) = crate::flex::route::<B>() {
            return crate::flex::move_rows(route, x, self, crate::flex::Move::Compact);
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
            return crate::flex::move_rows(route, x, self, crate::flex::Move::Pad);
        }
        unreachable!("only backends with a kernel have segments")
    }
}

/// Queries that see the same keys, up to their own; with the places of the first of either, where each part has all of
/// its keys to itself ([`crate::flex`] copies the shared ones).
#[cfg(feature = "flex")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub queries: usize,
    pub keys: usize,
    pub query: usize,
    pub key: usize,
}

#[cfg(test)]
mod tests {
    use super::Segments;

    fn of(rows: &[&str], shared: usize) -> Option<Vec<[usize; 3]>> {
        let shown: Vec<Vec<bool>> = rows
            .iter()
            .map(|row| row.chars().map(|slot| slot == '1').collect())
            .collect();
        let segments = Segments::of_rows(shown.iter().map(Vec::as_slice), rows[0].len(), shared)?;
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
            of(&["1110", "1000", "0011"], 0),
            Some(vec![[0, 0, 3], [0, 3, 1], [2, 4, 2]])
        );
        // No padding, a gap, a row without anything, and one hidden slot in more than twenty.
        assert_eq!(of(&["111", "111"], 0), None);
        assert_eq!(of(&["101", "100"], 0), None);
        assert_eq!(of(&["110", "000"], 0), None);
        assert_eq!(of(&["11111111111", "11111111110"], 0), None);
        assert!(of(&["1111111111", "1111111110"], 0).is_some());
    }

    #[test]
    fn a_slot_lies_where_its_row_does() {
        let rows = [[true, true, false, true, true], [true, true, true, false, false]];
        let rows = rows.iter().map(<[bool; 5]>::as_slice);
        let segments = Segments::of_rows(rows, 5, 2).expect("a third is hidden");
        // Two shared, two of the first row, one of the second.
        let places: Vec<usize> = [(0, 0), (0, 1), (0, 3), (0, 4), (1, 1), (1, 2)]
            .iter()
            .map(|&(row, slot)| segments.place(row, slot))
            .collect();
        assert_eq!(places, [0, 1, 2, 3, 1, 4]);
        let hidden = [(0, 2), (1, 3), (1, 4)];
        assert!(
            hidden
                .iter()
                .all(|&(row, slot)| segments.place(row, slot) < segments.total())
        );
    }

    #[test]
    fn shared_slots_are_kept_once_in_front_of_all_rows() {
        assert_eq!(of(&["1101", "1111"], 2), Some(vec![[3, 2, 1], [2, 3, 2]]));
        // What a row shares is visible, and something stands behind it.
        assert_eq!(of(&["1101", "1011"], 2), None);
        assert_eq!(of(&["1101", "1100"], 2), None);
        // Nothing of a single row without padding is left out.
        assert_eq!(of(&["1111"], 2), None);
    }
}
