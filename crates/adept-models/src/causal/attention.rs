//! Attention of a block within a pass.

use adept_kernels::attention;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

use super::capped::capped;
use super::reading::{Reading, Seen, Slots, View};
use crate::places::Attached;

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

/// Attention of block `block`, whose slots lie as the pass has them: queries `[b, n, h·c]`, keys and values `[b, n,
/// g·c]` to `[b, n, h·c]`. Query head `i` uses key head `i·g/h`. A prefix stands in front of the first slots.
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
    let dropout = reading.dropout();
    let look = |parts, view: &View<B>| looked(parts, scoring, view.of(scoring.is_windowed), dropout);
    match &reading.slots {
        Slots::Rows | Slots::Visible(_) => look([query, keys, values], &reading.view),
        Slots::Shared(shared) => {
            let first = [&query, &keys, &values].map(|x| shared.first(x));
            let own = [shared.own(&query), shared.whole(&keys), shared.whole(&values)];
            shared.joined(look(first, &shared.view), look(own, &reading.view))
        }
    }
}

/// Attention of scaled queries to what they see.
fn looked<B: Backend>(
    [query, keys, values]: [Tensor<B, 3>; 3],
    scoring: Scoring,
    seen: &Seen<B>,
    dropout: f64,
) -> Tensor<B, 3> {
    match seen {
        Seen::Bias(bias) => attention(query, keys, values, scoring.heads, bias, dropout),
        Seen::Added(added) => capped([query, keys, values], scoring, added, dropout),
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
    use burn::tensor::{Bool, TensorData};
    use burn_flex::Flex;

    use super::super::cache::CausalCache;
    use super::super::reading::Sight;
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
            let mut reading = match cache {
                None => Reading::whole(mask, 0, 0, 0.0, how.sight()),
                cache => Reading::new(mask, cache, 0, 0.0, how.sight()),
            };
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
