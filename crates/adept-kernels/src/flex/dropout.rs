//! Dropout from a seed and the places of the elements, a single pass in each direction.
//!
//! burn draws a mask number by number on one thread, from a cryptographic generator: a tenth of a training step with
//! LoRA. Numbers that are made of their place need no state, so they are made sixteen at a time on every thread, are
//! the same however the work is divided, and can be made again instead of kept.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{Distribution, Tensor, backend::Backend};
use burn_flex::{Flex, FlexTensor};

use super::blocks;
use super::bridge::{Route, contiguous, elements, elements_mut, from_plain, from_tracked, plain, tensor, tracked};
use super::rows::fast;

/// Elements per task, each with keys of its own: 64 KiB.
const PART: usize = 16 * 1024;
/// Cost of an element, in multiplications.
const COST: usize = 8;

pub(crate) fn dropout<B: Backend, const D: usize>(route: Route, x: Tensor<B, D>, rate: f64) -> Tensor<B, D> {
    let mask = Mask::new(seed::<B>(&x.device()), rate);
    if route == Route::Plain {
        return from_plain(mask.applied(contiguous(plain(x))));
    }
    let x = tracked(x);
    let prepared = Drop.prepare::<NoCheckpointing>([x.node]).compute_bound();
    let out = mask.applied(contiguous(x.primitive));
    from_tracked::<B, D>(match prepared.stateful() {
        OpsKind::Tracked(step) => step.finish(mask, out),
        OpsKind::UnTracked(step) => step.finish(out),
    })
}

/// 48 bits of the device's random stream.
fn seed<B: Backend>(device: &B::Device) -> u64 {
    const WORD: f64 = (1 << 24) as f64;
    let words = Tensor::<B, 1>::random([2], Distribution::Uniform(0.0, WORD), device);
    let bits = |seed: u64, word: f32| seed << 24 | word as u64;
    words.into_data().iter::<f32>().fold(0, bits)
}

#[derive(Debug)]
struct Drop;

impl Backward<Flex, 1> for Drop {
    type State = Mask;

    fn backward(self, ops: Ops<Mask, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = contiguous(grads.consume::<Flex>(&ops.node));
        let [parent] = ops.parents;
        let Some(node) = parent else { return };
        grads.register::<Flex>(node.id, ops.state.applied(grad));
    }
}

/// Which elements are kept.
#[derive(Debug, Clone, Copy)]
struct Mask {
    seed: u64,
    /// Elements whose number is below are kept.
    below: u32,
    scale: f32,
}

impl Mask {
    fn new(seed: u64, rate: f64) -> Self {
        let numbers = f64::from(u32::MAX) + 1.0;
        Self {
            seed,
            below: ((1.0 - rate) * numbers) as u32,
            scale: (1.0 / (1.0 - rate)) as f32,
        }
    }

    /// A contiguous tensor with the mask applied, in place if its storage is not shared.
    fn applied(self, mut x: FlexTensor) -> FlexTensor {
        let work = elements(&x).len() * COST;
        if x.is_unique() {
            let tasks = elements_mut(&mut x).chunks_mut(PART).enumerate().collect();
            blocks::run(tasks, work, |(part, x): (usize, &mut [f32])| {
                let keys = self.keys(part);
                fast(
                    #[inline(always)]
                    || {
                        for (place, x) in (0u32..).zip(x) {
                            *x = self.element(keys, place, *x);
                        }
                    },
                );
            });
            return x;
        }
        let mut out = vec![0.0; elements(&x).len()];
        let parts = out.chunks_mut(PART).zip(elements(&x).chunks(PART));
        blocks::run(
            parts.enumerate().collect(),
            work,
            |(part, (out, x)): (usize, (&mut [f32], &[f32]))| {
                let keys = self.keys(part);
                fast(
                    #[inline(always)]
                    || {
                        for (place, (out, &x)) in (0u32..).zip(out.iter_mut().zip(x)) {
                            *out = self.element(keys, place, x);
                        }
                    },
                );
            },
        );
        tensor(out, x.layout().shape().clone())
    }

    /// Keys of a part, by SplitMix64 (Steele et al., 2014).
    fn keys(self, part: usize) -> [u32; 2] {
        let mut z = self
            .seed
            .wrapping_add((part as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        [z as u32, (z >> 32) as u32]
    }

    #[inline(always)]
    fn element(self, [first, second]: [u32; 2], place: u32, x: f32) -> f32 {
        let number = mixed(mixed(place.wrapping_mul(0x9e37_79b9) ^ first) ^ second);
        if number < self.below { x * self.scale } else { 0.0 }
    }
}

/// Every bit of the result depends on every bit of `h` (the end of MurmurHash3).
#[inline(always)]
fn mixed(mut h: u32) -> u32 {
    h = (h ^ h >> 16).wrapping_mul(0x85eb_ca6b);
    h = (h ^ h >> 13).wrapping_mul(0xc2b2_ae35);
    h ^ h >> 16
}

#[cfg(test)]
mod tests {
    use super::{Mask, PART};

    fn kept(seed: u64, rate: f64, count: usize) -> Vec<bool> {
        let mask = Mask::new(seed, rate);
        let number = |i: usize| mask.element(mask.keys(i / PART), (i % PART) as u32, 1.0) > 0.0;
        (0..count).map(number).collect()
    }

    fn share(shown: impl Iterator<Item = bool>) -> f64 {
        let (mut all, mut yes) = (0.0, 0.0);
        for shown in shown {
            all += 1.0;
            yes += if shown { 1.0 } else { 0.0 };
        }
        yes / all
    }

    /// Limits are five standard deviations of independent draws.
    #[test]
    fn elements_are_kept_as_if_drawn_independently() {
        const COUNT: usize = 1 << 20;
        for rate in [0.1, 0.5, 0.9] {
            let masks = [7, 8, 7 << 20].map(|seed| kept(seed, rate, COUNT));
            let limit = |p: f64| 5.0 * (p * (1.0 - p) / COUNT as f64).sqrt();
            for mask in &masks {
                let (one, both) = (1.0 - rate, (1.0 - rate) * (1.0 - rate));
                let found = share(mask.iter().copied());
                assert!((found - one).abs() < limit(one), "rate {rate}: {found} kept");
                // Neighbours, channels of a row, rows, parts: pairs overlap, which at most doubles the variance.
                for apart in [1, 2, 16, 64, 576, 768, 1024, PART] {
                    let pairs = mask.iter().zip(&mask[apart..]);
                    let found = share(pairs.map(|(left, right)| *left && *right));
                    assert!(
                        (found - both).abs() < 2.0 * limit(both),
                        "rate {rate}, {apart} apart: {found}"
                    );
                }
                for other in masks.iter().filter(|other| !std::ptr::eq(*other, mask)) {
                    let found = share(mask.iter().zip(other).map(|(left, right)| *left && *right));
                    assert!((found - both).abs() < limit(both), "rate {rate}, two seeds: {found}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_finite_can_be_dropped() {
        let mask = Mask::new(3, 0.5);
        let all = (0..64).map(|place| mask.element([1, 2], place, f32::INFINITY));
        assert!(all.clone().any(|x| x == 0.0) && all.clone().any(|x| x == f32::INFINITY));
        assert!(all.into_iter().all(|x| x == 0.0 || x == f32::INFINITY));
    }
}
