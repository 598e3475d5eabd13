//! Attention of slots over themselves and all before them, with a cache of what was read earlier.

use adept_kernels::{AttentionBias, attention, write_slots};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor};

/// A cache has room for a multiple of so many slots. It is copied once in as many steps, and the room that is not used yet
/// costs an attention over fewer slots than these; on a GPU, shapes that stay the same need no new choice of kernels.
const CHUNK: usize = 64;

/// Keys and values of one block.
type Pair<B> = (Tensor<B, 3>, Tensor<B, 3>);

/// Keys and values of the slots read so far, a pair a block, and which of the slots may be seen.
///
/// Slots are written into room that is there already, in place where the backend can.
#[derive(Debug, Clone)]
pub struct CausalCache<B: Backend> {
    /// `[b, room, g·c]` each, zeros behind the slots; none before the first slot.
    blocks: Vec<Option<Pair<B>>>,
    /// `[b, room]`, true where a slot may be seen, false behind the slots.
    mask: Option<Tensor<B, 2, Bool>>,
    slots: usize,
}

impl<B: Backend> CausalCache<B> {
    /// A cache of a model of so many blocks, with nothing in it.
    pub fn new(blocks: usize) -> Self {
        Self {
            blocks: vec![None; blocks],
            mask: None,
            slots: 0,
        }
    }

    /// Slots that it holds.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// What one row has read, for `batch` rows: a prompt that is the same for all is read once.
    ///
    /// # Panics
    /// Where it holds several rows.
    #[must_use]
    pub fn repeated(&self, batch: usize) -> Self {
        if let Some(mask) = &self.mask {
            assert_eq!(mask.dims()[0], 1, "a cache of several rows cannot be repeated");
        }
        self.map(
            |x| x.clone().repeat_dim(0, batch),
            |mask| mask.clone().repeat_dim(0, batch),
        )
    }

    /// The chosen rows, in the order given.
    #[must_use]
    pub fn select(&self, rows: Tensor<B, 1, Int>) -> Self {
        self.map(
            |x| x.clone().select(0, rows.clone()),
            // Masks cannot be selected on every backend; numbers can.
            |mask| mask.clone().int().select(0, rows.clone()).greater_elem(0),
        )
    }

    fn map(
        &self,
        values: impl Fn(&Tensor<B, 3>) -> Tensor<B, 3>,
        mask: impl FnOnce(&Tensor<B, 2, Bool>) -> Tensor<B, 2, Bool>,
    ) -> Self {
        let pair = |(keys, held): &Pair<B>| (values(keys), values(held));
        Self {
            blocks: self.blocks.iter().map(|block| block.as_ref().map(pair)).collect(),
            mask: self.mask.as_ref().map(mask),
            slots: self.slots,
        }
    }

    /// Takes the mask of new slots `[b, n]` in, with room for them, and returns the mask of all, `[b, room]`. The slots' keys
    /// and values follow block by block, by [`append`](Self::append).
    fn admit(&mut self, new: Tensor<B, 2, Bool>) -> Tensor<B, 2, Bool> {
        let [b, n] = new.dims();
        let device = new.device();
        let (past, filled) = (self.slots, self.slots + n);
        let mask = match self.mask.take() {
            Some(mask) if mask.dims()[1] >= filled => mask.slice_assign([0..b, past..filled], new),
            old => {
                // One more than they are, so that there is always room for the first step.
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

    /// Takes in the keys and values of slots that were admitted, and returns those of all: where one slot is read, with the
    /// unused room, which the mask hides; where several are, without.
    fn append(&mut self, block: usize, (keys, values): Pair<B>) -> Pair<B> {
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

/// `new` `[b, n, d]` behind the first `past` slots of `old`, in `room` slots.
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

/// One pass of a stack: what its slots may see, and the cache that it reads and fills, if any.
pub(crate) struct Reading<'a, B: Backend> {
    bias: AttentionBias<B>,
    cache: Option<&'a mut CausalCache<B>>,
    dropout: f64,
}

impl<'a, B: Backend> Reading<'a, B> {
    /// Over slots whose mask is `[b, n]`, behind those of the cache.
    pub fn new(mask: Tensor<B, 2, Bool>, mut cache: Option<&'a mut CausalCache<B>>, dropout: f64) -> Self {
        let [_, n] = mask.dims();
        let past = cache.as_deref().map_or(0, CausalCache::slots);
        let mask = match &mut cache {
            Some(cache) => cache.admit(mask),
            None => mask,
        };
        // A slot that is read alone sees all.
        let bias = match n {
            1 => AttentionBias::new(None, Some(mask)),
            _ => AttentionBias::causal(past, n, mask.narrow(1, 0, past + n)),
        };
        Self { bias, cache, dropout }
    }

    /// The rate of dropout.
    pub fn dropout(&self) -> f64 {
        self.dropout
    }
}

/// Attention of block `block`: queries `[b, n, h·c]`, keys and values `[b, n, g·c]` to `[b, n, h·c]`. Scores are divided by
/// `sqrt(c)`; head `i` of the queries sees head `i·g/h` of the keys.
pub(crate) fn attend<B: Backend>(
    block: usize,
    query: Tensor<B, 3>,
    key: Tensor<B, 3>,
    value: Tensor<B, 3>,
    heads: usize,
    reading: &mut Reading<'_, B>,
) -> Tensor<B, 3> {
    let [_, _, inner] = query.dims();
    let (keys, values) = match &mut reading.cache {
        Some(cache) => cache.append(block, (key, value)),
        None => (key, value),
    };
    let query = query.mul_scalar(((inner / heads) as f64).powf(-0.5));
    attention(query, keys, values, heads, &reading.bias, reading.dropout)
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use burn_flex::Flex;

    use super::*;

    const BLOCKS: usize = 2;
    const HEADS: usize = 4;
    /// Channels of queries; keys and values have half as many, for two heads.
    const WIDTH: usize = 12;

    fn numbers(shape: [usize; 3], seed: usize) -> Tensor<Flex, 3> {
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|i| ((i * 37 + seed * 101) as f32 * 0.7).sin()).collect();
        Tensor::from_data(TensorData::new(values, shape), &Default::default())
    }

    /// Queries, keys and values of two rows, by block.
    struct Text {
        parts: Vec<[Tensor<Flex, 3>; 3]>,
        mask: Tensor<Flex, 2, Bool>,
    }

    impl Text {
        /// The second row has three pads after its second slot.
        fn new(slots: usize) -> Self {
            let part = |block: usize| {
                let part = |which, width| numbers([2, slots, width], block * 3 + which);
                [part(0, WIDTH), part(1, WIDTH / 2), part(2, WIDTH / 2)]
            };
            let seen = (0..2 * slots).map(|i| i < slots || !(2..5).contains(&(i - slots)));
            let seen = TensorData::new(seen.collect::<Vec<bool>>(), [2, slots]);
            Self {
                parts: (0..BLOCKS).map(part).collect(),
                mask: Tensor::from_data(seen, &Default::default()),
            }
        }

        /// What slots `at..at + n` of rows `row..row + rows` make of all before them, by block, row and slot.
        fn read(
            &self,
            (row, rows): (usize, usize),
            (at, n): (usize, usize),
            cache: Option<&mut CausalCache<Flex>>,
        ) -> Vec<f32> {
            let mask = self.mask.clone().narrow(0, row, rows).narrow(1, at, n);
            let mut reading = Reading::new(mask, cache, 0.0);
            let mut out = Vec::new();
            for (block, parts) in self.parts.iter().enumerate() {
                let [query, key, value] = parts.clone().map(|part| part.narrow(0, row, rows).narrow(1, at, n));
                let read = attend(block, query, key, value, HEADS, &mut reading);
                out.extend(read.into_data().iter::<f32>());
            }
            out
        }
    }

    #[track_caller]
    fn close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
            // Sums of the same few dozen terms of order one in another order.
            assert!((found - expected).abs() < 1e-5, "{found} for {expected} at {place}");
        }
    }

    #[test]
    fn slots_that_are_read_in_parts_see_what_they_see_at_once() {
        // Parts end before, at and behind the room's end.
        for parts in [
            vec![7, 1, 1, 60, 1],
            vec![62, 1, 1, 1],
            vec![1, 6, 63],
            vec![64, 64, 1],
            vec![1, 1, 130],
        ] {
            let text = Text::new(parts.iter().sum());
            let mut cache = CausalCache::new(BLOCKS);
            let mut at = 0;
            for n in parts {
                let found = text.read((0, 2), (at, n), Some(&mut cache));
                at += n;
                assert_eq!(cache.slots(), at);
                let whole = text.read((0, 2), (0, at), None);
                let rows = whole.chunks(at * WIDTH);
                let expected: Vec<f32> = rows.flat_map(|row| row[(at - n) * WIDTH..].to_vec()).collect();
                close(&found, &expected);
            }
        }
    }

    #[test]
    fn chosen_rows_go_on_alone() {
        let text = Text::new(70);
        let mut both = CausalCache::new(BLOCKS);
        text.read((0, 2), (0, 60), Some(&mut both));
        let mut second = both.select(Tensor::from_data([1], &Default::default()));
        for at in 60..70 {
            let expected = text.read((0, 2), (at, 1), Some(&mut both));
            let blocks = expected.chunks(2 * WIDTH);
            let expected: Vec<f32> = blocks.flat_map(|block| block[WIDTH..].to_vec()).collect();
            close(&text.read((1, 1), (at, 1), Some(&mut second)), &expected);
        }
    }

    #[test]
    fn what_one_row_has_read_serves_many_and_is_not_changed_by_them() {
        let text = Text::new(20);
        let mut one = CausalCache::new(BLOCKS);
        text.read((0, 1), (0, 8), Some(&mut one));
        for _ in 0..2 {
            let (mut many, mut alone) = (one.repeated(3), one.clone());
            assert_eq!(many.slots(), 8);
            for at in 8..20 {
                let mask = Tensor::<Flex, 2, Bool>::full([3, 1], true, &Default::default());
                let mut reading = Reading::new(mask, Some(&mut many), 0.0);
                let expected = text.read((0, 1), (at, 1), Some(&mut alone));
                for (block, parts) in text.parts.iter().enumerate() {
                    let part = |part: Tensor<Flex, 3>| part.narrow(0, 0, 1).narrow(1, at, 1).repeat_dim(0, 3);
                    let [query, key, value] = parts.clone().map(part);
                    let found = attend(block, query, key, value, HEADS, &mut reading);
                    let found: Vec<f32> = found.into_data().iter::<f32>().collect();
                    for row in found.chunks(WIDTH) {
                        close(row, &expected[block * WIDTH..][..WIDTH]);
                    }
                }
            }
        }
        assert_eq!(CausalCache::<Flex>::new(BLOCKS).repeated(3).slots(), 0);
    }
}
