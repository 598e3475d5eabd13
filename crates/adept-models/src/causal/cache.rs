//! Keys and values of all slots read so far.

use adept_kernels::write_slots;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor};

/// The cache's capacity is a multiple of this. Growing it copies it once per that many steps; unused capacity costs
/// attention over fewer slots than this. On a GPU, constant shapes avoid selecting kernels again.
const CHUNK: usize = 64;

/// Keys and values of one block.
pub(super) type Pair<B> = (Tensor<B, 3>, Tensor<B, 3>);

/// Keys and values of all slots read so far, one pair per block, and the mask of visible slots.
///
/// New slots are written into existing capacity, in place if the backend supports it.
#[derive(Debug, Clone)]
pub struct CausalCache<B: Backend> {
    /// `[b, capacity, g·c]` each, zeros after the last slot; `None` before the first slot.
    pub(super) blocks: Vec<Option<Pair<B>>>,
    /// `[b, capacity]`, true for visible slots, false after the last slot.
    mask: Option<Tensor<B, 2, Bool>>,
    slots: usize,
    text: Option<Text<B>>,
}

/// What a cache has read, for models whose rotary frequencies depend on the length: when a text outgrows a limit, they
/// read it again.
#[derive(Debug, Clone)]
pub(crate) struct Text<B: Backend> {
    /// `[b, n, d]`.
    pub embeddings: Tensor<B, 3>,
    /// `[b, n]`.
    pub mask: Tensor<B, 2, Bool>,
    /// `[b, n]`.
    pub positions: Tensor<B, 2, Int>,
    /// The largest position and one.
    pub length: usize,
}

impl<B: Backend> Text<B> {
    /// Slots behind those of an earlier text; rows that have left a batch still count in its length.
    fn behind(self, earlier: Self) -> Self {
        Self {
            embeddings: Tensor::cat(vec![earlier.embeddings, self.embeddings], 1),
            mask: Tensor::cat(vec![earlier.mask, self.mask], 1),
            positions: Tensor::cat(vec![earlier.positions, self.positions], 1),
            length: earlier.length.max(self.length),
        }
    }
}

impl<B: Backend> CausalCache<B> {
    /// An empty cache for `blocks` blocks.
    pub fn new(blocks: usize) -> Self {
        Self {
            blocks: vec![None; blocks],
            mask: None,
            slots: 0,
            text: None,
        }
    }

    /// Keeps what is about to be read, and returns the length so far and all that has been and will have been read.
    pub(crate) fn note(&mut self, text: Text<B>) -> (usize, Text<B>) {
        let (before, whole) = match self.text.take() {
            Some(earlier) => (earlier.length, text.behind(earlier)),
            None => (0, text),
        };
        self.text = Some(whole.clone());
        (before, whole)
    }

    /// Number of slots read so far.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Repeats a one-row cache for `batch` rows: a prompt shared by all rows is read once.
    ///
    /// # Panics
    /// If the cache has several rows.
    #[must_use]
    pub fn repeated(&self, batch: usize) -> Self {
        if let Some(mask) = &self.mask {
            assert_eq!(mask.dims()[0], 1, "a cache of several rows cannot be repeated");
        }
        self.map(
            |x| x.clone().repeat_dim(0, batch),
            |mask| mask.clone().repeat_dim(0, batch),
            |positions| positions.clone().repeat_dim(0, batch),
        )
    }

    /// The given rows, in the given order.
    #[must_use]
    pub fn select(&self, rows: Tensor<B, 1, Int>) -> Self {
        self.map(
            |x| x.clone().select(0, rows.clone()),
            // Not every backend can select from masks, but all can from numbers.
            |mask| mask.clone().int().select(0, rows.clone()).greater_elem(0),
            |positions| positions.clone().select(0, rows.clone()),
        )
    }

    fn map(
        &self,
        values: impl Fn(&Tensor<B, 3>) -> Tensor<B, 3>,
        mask: impl Fn(&Tensor<B, 2, Bool>) -> Tensor<B, 2, Bool>,
        positions: impl Fn(&Tensor<B, 2, Int>) -> Tensor<B, 2, Int>,
    ) -> Self {
        let pair = |(keys, held): &Pair<B>| (values(keys), values(held));
        let text = |text: &Text<B>| Text {
            embeddings: values(&text.embeddings),
            mask: mask(&text.mask),
            positions: positions(&text.positions),
            length: text.length,
        };
        Self {
            blocks: self.blocks.iter().map(|block| block.as_ref().map(pair)).collect(),
            mask: self.mask.as_ref().map(&mask),
            slots: self.slots,
            text: self.text.as_ref().map(text),
        }
    }

    /// Adds the mask of new slots `[b, n]`, growing the capacity if needed, and returns the mask of all slots,
    /// `[b, capacity]`. The slots' keys and values follow block by block, through [`append`](Self::append).
    pub(super) fn admit(&mut self, new: Tensor<B, 2, Bool>) -> Tensor<B, 2, Bool> {
        let [b, n] = new.dims();
        let device = new.device();
        let (past, filled) = (self.slots, self.slots + n);
        let mask = match self.mask.take() {
            Some(mask) if mask.dims()[1] >= filled => mask.slice_assign([0..b, past..filled], new),
            old => {
                // One more than needed, so that the first step always fits.
                let room = (filled + 1).next_multiple_of(CHUNK);
                let unused = Tensor::<B, 2, Bool>::full([b, room - filled], false, &device);
                let old = old.map(|mask| mask.narrow(1, 0, past));
                Tensor::cat(old.into_iter().chain([new, unused]).collect(), 1)
            }
        };
        self.mask = Some(mask.clone());
        self.slots = filled;
        mask
    }

    /// Stores the keys and values of admitted slots and returns those of all slots: with the unused capacity, which the
    /// mask hides, if one slot is read; without it if several are.
    pub(super) fn append(&mut self, block: usize, (keys, values): Pair<B>) -> Pair<B> {
        let n = keys.dims()[1];
        let (past, filled) = (self.slots - n, self.slots);
        let room = self.mask.as_ref().map_or(filled, |mask| mask.dims()[1]);
        let (old_keys, old_values) = self.blocks[block].take().unzip();
        let first = (n > 1 && past == 0).then(|| (keys.clone(), values.clone()));
        let keys = placed(old_keys, past, keys, room);
        let values = placed(old_values, past, values, room);
        self.blocks[block] = Some((keys.clone(), values.clone()));
        match first {
            Some(all) => all,
            None if n == 1 => (keys, values),
            None => (keys.narrow(1, 0, filled), values.narrow(1, 0, filled)),
        }
    }
}

/// Writes `new` `[b, n, d]` after the first `past` slots of `old`, with capacity for `room` slots.
fn placed<B: Backend>(old: Option<Tensor<B, 3>>, past: usize, new: Tensor<B, 3>, room: usize) -> Tensor<B, 3> {
    match old {
        Some(old) if old.dims()[1] == room => write_slots(old, past, new),
        old => {
            let [b, n, d] = new.dims();
            let unused = Tensor::zeros([b, room - past - n, d], (&new.device(), new.dtype()));
            let old = old.map(|old| old.narrow(1, 0, past));
            Tensor::cat(old.into_iter().chain([new, unused]).collect(), 1)
        }
    }
}
