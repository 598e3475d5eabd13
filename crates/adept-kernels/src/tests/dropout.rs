//! Dropout's two passes, which make the same mask apart.

use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

use super::{Composed, Fused, values};
use crate::dropout;

const SHAPE: [usize; 3] = [5, 67, 129];
const RATE: f64 = 0.25;

/// What leaves ones, and what their gradient is for an upstream gradient of threes.
fn passes<B: AutodiffBackend>(seed: u64) -> [Vec<f32>; 2] {
    let device = B::Device::default();
    B::seed(&device, seed);
    let x = Tensor::<B, 3>::ones(SHAPE, &device).require_grad();
    let out = dropout(x.clone(), RATE);
    let gradients = out.clone().mul_scalar(3.0).sum().backward();
    [values(out), values(x.grad(&gradients).expect("it is tracked"))]
}

fn both_passes_drop_the_same<B: AutodiffBackend>() {
    let _alone = super::draws_alone();
    let [out, gradient] = passes::<B>(4);
    for (out, gradient) in out.iter().zip(&gradient) {
        assert!(*out == 0.0 || (out - 4.0 / 3.0).abs() < 1e-6, "{out}");
        assert!((gradient - 3.0 * out).abs() < 1e-5, "{out} and {gradient}");
    }
    let count = out.len() as f64;
    let kept = out.iter().filter(|out| **out > 0.0).count() as f64 / count;
    // Five standard deviations.
    assert!((kept - 0.75).abs() < 5.0 * (0.25 * 0.75 / count).sqrt(), "{kept} kept");
    assert_eq!(passes::<B>(4)[0], out);
    let other = passes::<B>(5)[0].clone();
    assert_ne!(other, out);
    // Two calls of one pass drop different elements.
    let x = Tensor::<B, 3>::ones(SHAPE, &B::Device::default());
    assert_ne!(values(dropout(x.clone(), RATE)), values(dropout(x, RATE)));
}

#[test]
fn the_fused_passes_drop_the_same() {
    both_passes_drop_the_same::<Fused>();
}

#[test]
fn the_composed_passes_drop_the_same() {
    both_passes_drop_the_same::<Composed>();
}

/// In training and without: tensors whose storage others hold, and such that are changed in place.
#[test]
fn what_is_dropped_depends_on_the_seed_alone() {
    let _alone = super::draws_alone();
    let device = Default::default();
    let run = |keep: bool| {
        <burn_flex::Flex as Backend>::seed(&device, 9);
        let x = Tensor::<burn_flex::Flex, 3>::ones(SHAPE, &device);
        let held = keep.then(|| x.clone());
        let out = values(dropout(x, RATE));
        if let Some(held) = held {
            assert!(
                values(held).iter().all(|x| *x == 1.0),
                "an input that is held is changed"
            );
        }
        out
    };
    let apart = run(true);
    assert_eq!(run(false), apart);
    assert_eq!(passes::<Fused>(9)[0], apart);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("a thread");
    assert_eq!(pool.install(|| run(true)), apart);
}

#[test]
fn without_a_rate_nothing_is_drawn() {
    let x = Tensor::<Fused, 2>::from_data([[f32::INFINITY, -2.0]], &Default::default());
    assert_eq!(values(dropout(x, 0.0)), [f32::INFINITY, -2.0]);
}
