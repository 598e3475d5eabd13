//! T5's relative position bias: the row of the table for a distance.
//!
//! Half of the buckets are exact small distances, the other half grow logarithmically up to `max_distance` (Raffel et
//! al. 2020, section 2.1). The logarithm is computed in float32 as in transformers, with libm's software `logf`, so
//! that a distance on a bucket boundary falls on the same side on every machine.

use burn::tensor::backend::Backend;
use burn::tensor::{Bool, DType, Int, Tensor, TensorData};

/// Bucket of a distance (key position minus query position).
pub fn relative_position_bucket(distance: i64, bidirectional: bool, buckets: usize, max_distance: usize) -> usize {
    let (offset, buckets, distance) = if bidirectional {
        let half = buckets / 2;
        (
            if distance > 0 { half } else { 0 },
            half,
            distance.unsigned_abs() as usize,
        )
    } else {
        // A causal stack never attends ahead; such distances share bucket 0 and are masked anyway.
        (0, buckets, (-distance).max(0) as usize)
    };
    let exact = buckets / 2;
    if distance < exact {
        return offset + distance;
    }
    let span = (max_distance as f64 / exact as f64).ln() as f32;
    let steps = libm::logf(distance as f32 / exact as f32) / span * (buckets - exact) as f32;
    offset + (exact + steps as usize).min(buckets - 1)
}

/// Bias `[1, heads, queries, keys]` from a table `[buckets, heads]`; the first query is at position `first_query`.
pub(super) fn bias<B: Backend>(
    table: Tensor<B, 2>,
    first_query: usize,
    queries: usize,
    keys: usize,
    bidirectional: bool,
    max_distance: usize,
) -> Tensor<B, 4> {
    let [buckets, heads] = table.dims();
    // The bucket depends only on the difference: one lookup per diagonal, copied along it.
    let last = first_query + queries - 1;
    let diagonal: Vec<i32> = (0..queries + keys - 1)
        .map(|i| relative_position_bucket(i as i64 - last as i64, bidirectional, buckets, max_distance) as i32)
        .collect();
    let mut indices = Vec::with_capacity(queries * keys);
    for query in 0..queries {
        indices.extend_from_slice(&diagonal[queries - 1 - query..queries - 1 - query + keys]);
    }
    let device = table.device();
    let indices = Tensor::<B, 1, Int>::from_data(TensorData::new(indices, [queries * keys]), &device);
    // Transposed first, so that the gathered values are already ordered by head.
    table.transpose().select(1, indices).reshape([1, heads, queries, keys])
}

/// `bias` with keys after the query set to the lowest finite value.
pub(super) fn causal<B: Backend>(bias: Tensor<B, 4>, first_query: usize) -> Tensor<B, 4> {
    let [_, _, queries, keys] = bias.dims();
    let ahead: Vec<bool> = (0..queries)
        .flat_map(|query| (0..keys).map(move |key| key > first_query + query))
        .collect();
    if !ahead.contains(&true) {
        return bias;
    }
    let mask = Tensor::<B, 4, Bool>::from_data(TensorData::new(ahead, [1, 1, queries, keys]), &bias.device());
    let lowest = lowest(bias.dtype());
    let mask = mask.expand(bias.dims());
    bias.mask_fill(mask, lowest)
}

/// The lowest finite value of a float type, used for masked scores: with −∞ a row that sees nothing would become NaN.
fn lowest(dtype: DType) -> f64 {
    dtype.finfo().map_or(f64::from(f32::MIN), |info| info.min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_distances_are_exact_and_large_ones_share_the_last_bucket() {
        let both: Vec<usize> = [-300, -128, -8, -7, -1, 0, 1, 7, 8, 300]
            .map(|d| relative_position_bucket(d, true, 32, 128))
            .to_vec();
        assert_eq!(both, [15, 15, 8, 7, 1, 0, 17, 23, 24, 31]);
        let causal: Vec<usize> = [-300, -16, -15, -1, 0, 1, 300]
            .map(|d| relative_position_bucket(d, false, 32, 128))
            .to_vec();
        assert_eq!(causal, [31, 16, 15, 1, 0, 0, 0]);
    }

    #[test]
    fn the_bias_of_one_query_is_the_last_row_of_the_whole() {
        type B = burn_flex::Flex;
        let device = Default::default();
        let table = Tensor::<B, 1, Int>::arange(0..64, &device).float().reshape([32, 2]);
        for bidirectional in [true, false] {
            let whole = bias(table.clone(), 0, 140, 140, bidirectional, 128);
            for row in [0, 3, 139] {
                let one = bias(table.clone(), row, 1, 140, bidirectional, 128);
                let expected = whole.clone().narrow(2, row, 1);
                assert_eq!(one.into_data(), expected.into_data());
            }
        }
    }

    #[test]
    fn causal_hides_what_comes_later() {
        type B = burn_flex::Flex;
        let zeros = Tensor::<B, 4>::zeros([1, 1, 2, 3], &Default::default());
        let rows = causal(zeros, 1).into_data().to_vec::<f32>().unwrap();
        assert_eq!(rows, [0.0, 0.0, f32::MIN, 0.0, 0.0, 0.0]);
    }
}
