//! Rotary position embedding (Su et al. 2021, arXiv 2104.09864): rotates pairs of query and key channels by an angle
//! proportional to the position.
//!
//! Shape legend: `b` rows, `n` slots, `h` heads, `c` channels per head, `p` pairs of rotated channels.

use burn::tensor::{Tensor, backend::Backend};

/// How the first `2·p` channels are paired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotaryPairs {
    /// Channel `i` and channel `i + p` (Llama).
    Halves,
    /// Channels `2·i` and `2·i + 1` (GPT-J, CodeGen).
    Neighbours,
}

/// Cosines and sines of the angles of each slot, computed once per pass and used by each layer.
#[derive(Debug, Clone)]
pub struct RotaryAngles<B: Backend> {
    /// `[b, n, p]`.
    pub cos: Tensor<B, 3>,
    /// `[b, n, p]`.
    pub sin: Tensor<B, 3>,
}

/// Rotates the first `2·p` channels of each head of `x` `[b, n, h·c]`; the others are unchanged.
///
/// A pair `(x, y)` becomes `(x·cos − y·sin, y·cos + x·sin)`.
///
/// # Panics
/// If the last dimension is not a multiple of `heads`, or a head has fewer than `2·p` channels.
pub fn rotary<B: Backend>(x: Tensor<B, 3>, heads: usize, angles: &RotaryAngles<B>, pairs: RotaryPairs) -> Tensor<B, 3> {
    let [b, n, inner] = x.dims();
    let [_, _, p] = angles.cos.dims();
    let c = inner / heads;
    assert_eq!(
        inner % heads,
        0,
        "rotary: {inner} channels do not split into {heads} heads"
    );
    assert!(2 * p <= c, "rotary: {p} pairs do not fit into {c} channels of a head");
    #[cfg(feature = "flex")]
    if let Some(route) = crate::flex::route::<B>() {
        return crate::flex::rotary(route, x, heads, angles, pairs);
    }
    let x = x.reshape([b, n, heads, c]);
    let turned = x.clone().slice([0..b, 0..n, 0..heads, 0..2 * p]);
    // Reshapes either layout so that the two channels of a pair are `[b, n, h, p]` each.
    let (shape, axis) = match pairs {
        RotaryPairs::Halves => ([b, n, heads, 2, p], 3),
        RotaryPairs::Neighbours => ([b, n, heads, p, 2], 4),
    };
    let paired = turned.reshape(shape);
    let [first, second] = [0, 1].map(|place| paired.clone().narrow(axis, place, 1).reshape([b, n, heads, p]));
    let [cos, sin] = [&angles.cos, &angles.sin].map(|part| part.clone().reshape([b, n, 1, p]));
    let left = first.clone() * cos.clone() - second.clone() * sin.clone();
    let right = second * cos + first * sin;
    let turned = Tensor::stack::<5>(vec![left, right], axis).reshape([b, n, heads, 2 * p]);
    let whole = match 2 * p == c {
        true => turned,
        false => Tensor::cat(vec![turned, x.slice([0..b, 0..n, 0..heads, 2 * p..c])], 3),
    };
    whole.reshape([b, n, inner])
}
