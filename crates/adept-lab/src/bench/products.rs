//! The multiplications of a training step, as a measure of what a machine makes of its peak.

use adept_core::{LinearPart, ModelSites, Stack};
use serde::Serialize;

use super::BenchOptions;

/// What a step multiplies with the backbone's weights, and the padding of its batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Products {
    /// Floating-point operations of the products of visible slots with the backbone's matrices, two for each
    /// multiply-add: forward and to the gradient of the rows, and for full fine-tuning to the gradient of the weights.
    /// As the model is defined: what is saved by computing it in another way counts as done. Attention between slots is
    /// left out.
    pub flop: f64,
    /// Share of the slots of the batch, virtual tokens included, that are padding.
    pub padding: f64,
}

impl Products {
    /// Of a case whose options are resolved; `vocabulary` is the head's width.
    pub(super) fn of(options: &BenchOptions, sites: &ModelSites, vocabulary: usize) -> Self {
        let (rows, prompt) = (options.batch, options.virtual_tokens);
        let visible: usize = (0..rows)
            .map(|row| prompt + super::batch::length(row, options.tokens))
            .sum();
        let targets = rows * options.target_tokens;
        let slots = |stack, part| match (stack, part) {
            (Stack::Encoder, _) | (_, LinearPart::CrossKey | LinearPart::CrossValue) => visible,
            (Stack::Decoder, _) if options.size.is_causal() => visible,
            (Stack::Decoder, _) => targets,
        };
        let maps = sites.linears.iter();
        let maps = maps.map(|map| slots(map.site.stack, map.site.part) * map.input * map.output);
        let multiplied = maps.sum::<usize>() + targets * sites.d_model * vocabulary;
        let passes = if options.method.adapter().is_some() { 2 } else { 3 };
        Self {
            flop: 2.0 * passes as f64 * multiplied as f64,
            padding: 1.0 - visible as f64 / (rows * (prompt + options.tokens)) as f64,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::bench::{BenchSize, work};

    #[test]
    fn a_step_is_two_products_with_each_matrix() {
        let options = BenchOptions {
            size: BenchSize::T5Base,
            batch: 2,
            tokens: 64,
            ..BenchOptions::default()
        };
        let (options, shape) = work::resolve(&options).unwrap();
        let found = Products::of(&options, &shape.sites(), shape.vocabulary());
        // Rows of 64 and 51 tokens behind 60 virtual ones; two target tokens a row.
        let (visible, targets) = (235.0, 4.0);
        let (square, wide) = (768.0 * 768.0, 768.0 * 3072.0);
        let encoder = 12.0 * visible * (4.0 * square + 2.0 * wide);
        let decoder = 12.0 * (targets * (6.0 * square + 2.0 * wide) + visible * 2.0 * square);
        let expected = 4.0 * (encoder + decoder + targets * 768.0 * 32128.0);
        assert!(
            (found.flop / expected - 1.0).abs() < 1e-12,
            "{} for {expected}",
            found.flop
        );
        assert!((found.padding - 13.0 / 248.0).abs() < 1e-12, "{}", found.padding);
    }
}
