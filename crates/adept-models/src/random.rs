//! Random values that are the same on every machine, with one stream per name.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// `count` draws from N(0, deviation²) for the tensor `name`, independent of other draws.
pub(crate) fn named_normals(seed: u64, name: &str, count: usize, deviation: f64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(fnv1a(name));
    normals(&mut rng, count, deviation)
}

/// `count` draws from N(0, deviation²) by the Box-Muller transform.
fn normals(rng: &mut ChaCha8Rng, count: usize, deviation: f64) -> Vec<f32> {
    // 24 bits per draw, shifted by half a step so that the logarithm never sees zero.
    let mut uniform = || (f64::from(rng.next_u32() >> 8) + 0.5) / f64::from(1u32 << 24);
    let mut out = Vec::with_capacity(count + 1);
    while out.len() < count {
        let radius = deviation * (-2.0 * libm::log(uniform())).sqrt();
        let (sine, cosine) = libm::sincos(std::f64::consts::TAU * uniform());
        out.push((radius * cosine) as f32);
        out.push((radius * sine) as f32);
    }
    out.truncate(count);
    out
}

/// The FNV-1a hash: small, and fixed by its definition.
fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
