//! Causal attention with a key/value cache.

use adept_kernels::{AttentionBias, RotaryAngles, Segments, attention, write_slots};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor};

use super::capped::capped;
use crate::places::Attached;

/// The cache's capacity is a multiple of this. Growing it copies it once per that many steps; unused capacity costs
/// attention over fewer slots than this. On a GPU, constant shapes avoid selecting kernels again.
const CHUNK: usize = 64;

/// Keys and values of one block.
type Pair<B> = (Tensor<B, 3>, Tensor<B, 3>);

/// Keys and values of all slots read so far, one pair per block, and the mask of visible slots.
///
/// New slots are written into existing capacity, in place if the backend supports it.
#[derive(Debug, Clone)]
pub struct CausalCache<B: Backend> {
    /// `[b, capacity, g·c]` each, zeros after the last slot; `None` before the first slot.
    blocks: Vec<Option<Pair<B>>>,
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
    fn admit(&mut self, new: Tensor<B, 2, Bool>) -> Tensor<B, 2, Bool> {
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

/// What the attentions of a stack ask of a pass.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sight {
    /// Number of query heads.
    pub heads: usize,
    /// Slots that the attentions with a sliding window see, their own included.
    pub window: Option<usize>,
    /// Whether scores are capped.
    pub is_capped: bool,
}

/// What the slots of a pass see.
#[derive(Debug, Clone)]
enum Seen<B: Backend> {
    /// For the fused kernel.
    Bias(AttentionBias<B>),
    /// `[b, 1, n, k]`, or broadcastable to it: 0 for visible slots, the smallest finite float for hidden ones.
    Added(Tensor<B, 4>),
}

/// One pass through a stack: what its slots see, and the cache it reads and extends, if any.
pub(crate) struct Reading<'a, B: Backend> {
    every: Seen<B>,
    /// What they see through a window; `None` if all slots fit into it.
    windowed: Option<Seen<B>>,
    cache: Option<&'a mut CausalCache<B>>,
    /// Whether a prefix stands in front of the slots of this pass.
    opens: bool,
    /// If given, the pass is over the visible slots alone.
    segments: Option<Segments>,
    dropout: f64,
}

impl<'a, B: Backend> Reading<'a, B> {
    /// A pass over slots with mask `[b, n]`, following those in the cache. If there are none, a prefix of `prefix`
    /// slots comes first.
    pub fn new(
        mask: Tensor<B, 2, Bool>,
        mut cache: Option<&'a mut CausalCache<B>>,
        prefix: usize,
        dropout: f64,
        sight: Sight,
    ) -> Self {
        if cache.is_none()
            && prefix == 0
            && dropout == 0.0
            && !sight.is_capped
            && let Some(segments) = Segments::of(&mask)
        {
            let width = segments.width();
            // Distances within a row are the same without its padding.
            let windowed = narrower(sight.window, width).map(|window| {
                let hidden = hidden_slots(0, width, window, &mask.device());
                AttentionBias::of_segments(every_head(hidden, sight.heads), segments.clone())
            });
            return Self {
                every: Seen::Bias(AttentionBias::causal_segments(segments.clone())),
                windowed: windowed.map(Seen::Bias),
                cache,
                opens: false,
                segments: Some(segments),
                dropout,
            };
        }
        let [b, n] = mask.dims();
        let earlier = cache.as_deref().map_or(0, CausalCache::slots);
        let opens = prefix > 0 && earlier == 0;
        let (past, mask) = match opens {
            true => {
                let visible = Tensor::full([b, prefix], true, &mask.device());
                (prefix, Tensor::cat(vec![visible, mask], 1))
            }
            false => (earlier, mask),
        };
        let mask = match &mut cache {
            Some(cache) => cache.admit(mask),
            None => mask,
        };
        // A single slot sees all previous ones, and of the unused capacity nothing.
        let is_step = n == 1 && !opens;
        let mask = match is_step {
            true => mask,
            false => mask.narrow(1, 0, past + n),
        };
        let seen = |window: Option<usize>| match is_step {
            true => step(mask.clone(), past, window, sight.is_capped),
            false => slots(mask.clone(), [past, n], window, sight),
        };
        Self {
            every: seen(None),
            windowed: narrower(sight.window, past + n).map(|window| seen(Some(window))),
            cache,
            opens,
            segments: None,
            dropout,
        }
    }

    /// The same pass without its cache, for a block that is computed again.
    pub fn apart(&self) -> Reading<'static, B> {
        Reading {
            every: self.every.clone(),
            windowed: self.windowed.clone(),
            cache: None,
            opens: self.opens,
            segments: self.segments.clone(),
            dropout: self.dropout,
        }
    }

    /// The slots `[b, n, d]` that the pass is over, `[1, t, d]` if they are the visible ones.
    pub fn begin(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        match &self.segments {
            Some(segments) => segments.compact(x),
            None => x,
        }
    }

    /// Angles of the slots that the pass is over.
    pub fn angles(&self, angles: RotaryAngles<B>) -> RotaryAngles<B> {
        RotaryAngles {
            cos: self.begin(angles.cos),
            sin: self.begin(angles.sin),
        }
    }

    /// What the pass makes of its slots, for all of them: `[b, n, d]`. Hidden slots are unspecified.
    pub fn end(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        match &self.segments {
            Some(segments) => segments.padded(x),
            None => x,
        }
    }

    /// The dropout rate.
    pub fn dropout(&self) -> f64 {
        self.dropout
    }
}

/// A window that hides something of `slots` slots.
fn narrower(window: Option<usize>, slots: usize) -> Option<usize> {
    window.filter(|window| *window < slots)
}

/// What a single slot sees, behind `past` others: those of a mask `[b, capacity]`, the last ones if there is a window.
fn step<B: Backend>(mask: Tensor<B, 2, Bool>, past: usize, window: Option<usize>, is_capped: bool) -> Seen<B> {
    let mask = match window {
        Some(window) => {
            let (capacity, device) = (mask.dims()[1], mask.device());
            let places = Tensor::<B, 1, Int>::arange(0..capacity as i64, &device).reshape([1, capacity]);
            let old = places.lower_elem((past + 1 - window) as i64).expand(mask.dims());
            mask.mask_fill(old, false)
        }
        None => mask,
    };
    match is_capped {
        true => Seen::Added(additive(mask)),
        false => Seen::Bias(AttentionBias::new(None, Some(mask))),
    }
}

/// What several slots see, behind `past` others: earlier ones of a mask `[b, past + n]`, at most `window`.
fn slots<B: Backend>(mask: Tensor<B, 2, Bool>, [past, n]: [usize; 2], window: Option<usize>, sight: Sight) -> Seen<B> {
    if window.is_none() && !sight.is_capped {
        return Seen::Bias(AttentionBias::causal(past, n, mask));
    }
    let hidden = hidden_slots(past, n, window.unwrap_or(past + n), &mask.device());
    match sight.is_capped {
        true => Seen::Added((hidden + additive(mask)).clamp_min(f32::MIN)),
        false => Seen::Bias(AttentionBias::new(Some(every_head(hidden, sight.heads)), Some(mask))),
    }
}

/// `[b, 1, 1, k]`: 0 where a mask `[b, k]` is true, else the smallest finite float.
fn additive<B: Backend>(mask: Tensor<B, 2, Bool>) -> Tensor<B, 4> {
    let [b, k] = mask.dims();
    let zeros = Tensor::<B, 2>::zeros([b, k], &mask.device());
    zeros.mask_fill(mask.bool_not(), f32::MIN).reshape([b, 1, 1, k])
}

/// `[1, 1, n, past + n]`: 0 for a slot's own place and the `window - 1` before it, else the smallest finite float.
fn hidden_slots<B: Backend>(past: usize, n: usize, window: usize, device: &B::Device) -> Tensor<B, 4> {
    let shape = [n, past + n];
    let later = Tensor::<B, 2, Bool>::tril_mask(shape, past as i64, device);
    let older = Tensor::<B, 2, Bool>::triu_mask(shape, past as i64 - window as i64 + 1, device);
    Tensor::<B, 2>::zeros(shape, device)
        .mask_fill(later, f32::MIN)
        .mask_fill(older, f32::MIN)
        .reshape([1, 1, n, past + n])
}

/// The fused kernel reads a bias of each head.
fn every_head<B: Backend>(bias: Tensor<B, 4>, heads: usize) -> Tensor<B, 4> {
    bias.repeat_dim(1, heads)
}

/// How a block's attention scores its slots.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scoring {
    /// Number of query heads.
    pub heads: usize,
    /// What products of queries and keys are multiplied by.
    pub scale: f64,
    /// Scores `s` become `cap·tanh(s / cap)`.
    pub cap: Option<f64>,
    /// Whether slots see through the window of [`Sight`].
    pub is_windowed: bool,
}

/// Attention of block `block`: queries `[b, n, h·c]`, keys and values `[b, n, g·c]` to `[b, n, h·c]`. Query head `i`
/// uses key head `i·g/h`. A prefix stands in front of the first slots.
pub(crate) fn attend<B: Backend>(
    block: usize,
    [query, key, value]: [Tensor<B, 3>; 3],
    scoring: Scoring,
    attached: &Attached<B>,
    reading: &mut Reading<'_, B>,
) -> Tensor<B, 3> {
    let new = match reading.opens {
        true => attached.behind_prefix(key, value),
        false => (key, value),
    };
    let (keys, values) = match &mut reading.cache {
        Some(cache) => cache.append(block, new),
        None => new,
    };
    let query = query.mul_scalar(scoring.scale);
    let seen = match &reading.windowed {
        Some(windowed) if scoring.is_windowed => windowed,
        _ => &reading.every,
    };
    match seen {
        Seen::Bias(bias) => attention(query, keys, values, scoring.heads, bias, reading.dropout),
        Seen::Added(added) => capped([query, keys, values], scoring, added, reading.dropout),
    }
}

/// Positions `[b, n]` of slots behind a prefix of `prefix` slots.
pub(crate) fn behind<B: Backend>(positions: Tensor<B, 2, Int>, prefix: usize) -> Tensor<B, 2, Int> {
    match prefix {
        0 => positions,
        m => positions + m as i64,
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use burn_flex::Flex;

    use super::*;

    const BLOCKS: usize = 2;
    const HEADS: usize = 4;
    /// Channels of the queries; keys and values have half as many, for two heads.
    const WIDTH: usize = 12;

    fn numbers(shape: [usize; 3], seed: usize) -> Tensor<Flex, 3> {
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|i| ((i * 37 + seed * 101) as f32 * 0.7).sin()).collect();
        Tensor::from_data(TensorData::new(values, shape), &Default::default())
    }

    /// A window and a cap.
    #[derive(Debug, Clone, Copy)]
    struct How(Option<usize>, Option<f64>);

    const PLAIN: How = How(None, None);

    impl How {
        fn sight(self) -> Sight {
            Sight {
                heads: HEADS,
                window: self.0,
                is_capped: self.1.is_some(),
            }
        }

        fn scoring(self) -> Scoring {
            Scoring {
                heads: HEADS,
                scale: 0.6,
                cap: self.1,
                is_windowed: self.0.is_some(),
            }
        }
    }

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

        /// Attention output of slots `at..at + n` of rows `row..row + rows`, by block, row and slot.
        fn read(
            &self,
            how: How,
            (row, rows): (usize, usize),
            (at, n): (usize, usize),
            cache: Option<&mut CausalCache<Flex>>,
        ) -> Vec<f32> {
            let mask = self.mask.clone().narrow(0, row, rows).narrow(1, at, n);
            let mut reading = Reading::new(mask, cache, 0, 0.0, how.sight());
            let mut out = Vec::new();
            for (block, parts) in self.parts.iter().enumerate() {
                let [query, key, value] = parts.clone().map(|part| part.narrow(0, row, rows).narrow(1, at, n));
                let read = attend(
                    block,
                    [query, key, value],
                    how.scoring(),
                    &Attached::none(),
                    &mut reading,
                );
                out.extend(read.into_data().iter::<f32>());
            }
            out
        }
    }

    #[track_caller]
    fn close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
            // The same few dozen terms of order one, summed in another order.
            assert!((found - expected).abs() < 1e-5, "{found} for {expected} at {place}");
        }
    }

    #[test]
    fn slots_that_are_read_in_parts_see_what_they_see_at_once() {
        let hows = [
            PLAIN,
            How(Some(5), None),
            How(Some(1), None),
            How(None, Some(2.0)),
            How(Some(6), Some(2.0)),
        ];
        // Parts end before, at and after the end of the capacity.
        for (how, parts) in hows.into_iter().flat_map(|how| {
            let parts = [
                vec![7, 1, 1, 60, 1],
                vec![62, 1, 1, 1],
                vec![1, 6, 63],
                vec![64, 64, 1],
                vec![1, 1, 130],
            ];
            parts.map(|parts| (how, parts))
        }) {
            let text = Text::new(parts.iter().sum());
            let mut cache = CausalCache::new(BLOCKS);
            let mut at = 0;
            for n in parts {
                let found = text.read(how, (0, 2), (at, n), Some(&mut cache));
                at += n;
                assert_eq!(cache.slots(), at);
                let whole = text.read(how, (0, 2), (0, at), None);
                let rows = whole.chunks(at * WIDTH).enumerate();
                // Hidden slots are unspecified.
                let read = |row: usize, slot: usize| row == 0 || !(2..5).contains(&slot);
                let seen = |values: &[f32], first: usize, row: usize| -> Vec<f32> {
                    let slots = values.chunks(WIDTH).enumerate();
                    let shown = slots.filter(|(slot, _)| read(row % 2, first + slot));
                    shown.flat_map(|(_, values)| values.to_vec()).collect()
                };
                let expected: Vec<f32> = rows
                    .flat_map(|(row, values)| seen(&values[(at - n) * WIDTH..], at - n, row))
                    .collect();
                let found = found.chunks(n * WIDTH).enumerate();
                let found: Vec<f32> = found.flat_map(|(row, values)| seen(values, at - n, row)).collect();
                close(&found, &expected);
            }
        }
    }

    #[test]
    fn a_window_hides_what_is_older_and_nothing_else() {
        let text = Text::new(9);
        let whole = text.read(PLAIN, (0, 1), (0, 9), None);
        let wide = text.read(How(Some(9), None), (0, 1), (0, 9), None);
        close(&wide, &whole);
        // The last of nine slots sees what it sees at the end of the last four.
        let last = |values: &[f32]| values[values.len() / BLOCKS - WIDTH..][..WIDTH].to_vec();
        let narrow = text.read(How(Some(4), None), (0, 1), (0, 9), None);
        close(&last(&narrow), &last(&text.read(PLAIN, (0, 1), (5, 4), None)));
        let capped = text.read(How(Some(4), Some(1e6)), (0, 1), (0, 9), None);
        close(&capped, &narrow);
        let far = |a: &[f32], b: &[f32]| a.iter().zip(b).any(|(a, b)| (a - b).abs() > 1e-2);
        assert!(far(&text.read(How(None, Some(0.5)), (0, 1), (0, 9), None), &whole));
    }

    #[test]
    fn steps_write_where_the_room_is() {
        let text = Text::new(130);
        let mut cache = CausalCache::new(BLOCKS);
        text.read(PLAIN, (0, 2), (0, 10), Some(&mut cache));
        let place = |cache: &CausalCache<Flex>| {
            let (keys, _) = cache.blocks[1].clone().unwrap();
            keys.into_primitive().tensor().storage::<f32>().as_ptr()
        };
        let mut moves = 0;
        for at in 10..130 {
            let before = place(&cache);
            text.read(PLAIN, (0, 2), (at, 1), Some(&mut cache));
            moves += usize::from(place(&cache) != before);
        }
        // At slots 65 and 129.
        assert_eq!(moves, 2);
    }

    #[test]
    fn chosen_rows_go_on_alone() {
        let text = Text::new(70);
        let mut both = CausalCache::new(BLOCKS);
        text.read(PLAIN, (0, 2), (0, 60), Some(&mut both));
        let mut second = both.select(Tensor::from_data([1], &Default::default()));
        for at in 60..70 {
            let expected = text.read(PLAIN, (0, 2), (at, 1), Some(&mut both));
            let blocks = expected.chunks(2 * WIDTH);
            let expected: Vec<f32> = blocks.flat_map(|block| block[WIDTH..].to_vec()).collect();
            close(&text.read(PLAIN, (1, 1), (at, 1), Some(&mut second)), &expected);
        }
    }

    #[test]
    fn what_one_row_has_read_serves_many_and_is_not_changed_by_them() {
        let text = Text::new(20);
        let mut one = CausalCache::new(BLOCKS);
        text.read(PLAIN, (0, 1), (0, 8), Some(&mut one));
        for _ in 0..2 {
            let (mut many, mut alone) = (one.repeated(3), one.clone());
            assert_eq!(many.slots(), 8);
            for at in 8..20 {
                let mask = Tensor::<Flex, 2, Bool>::full([3, 1], true, &Default::default());
                let mut reading = Reading::new(mask, Some(&mut many), 0, 0.0, PLAIN.sight());
                let expected = text.read(PLAIN, (0, 1), (at, 1), Some(&mut alone));
                for (block, parts) in text.parts.iter().enumerate() {
                    let part = |part: Tensor<Flex, 3>| part.narrow(0, 0, 1).narrow(1, at, 1).repeat_dim(0, 3);
                    let [query, key, value] = parts.clone().map(part);
                    let found = attend(
                        block,
                        [query, key, value],
                        PLAIN.scoring(),
                        &Attached::none(),
                        &mut reading,
                    );
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
