//! T5's linear maps: their sites, names in checkpoints, and sizes.

use adept_core::{LinearMap, LinearPart, LinearSite, ModelSites, Stack};

use super::config::{FeedForwardKind, T5Config};

impl T5Config {
    /// Every linear map of the blocks, encoder first.
    pub fn sites(&self) -> ModelSites {
        let encoder = (0..self.num_layers).flat_map(|block| self.block_maps(Stack::Encoder, block));
        let decoder = (0..self.num_decoder_layers).flat_map(|block| self.block_maps(Stack::Decoder, block));
        ModelSites {
            d_model: self.d_model,
            linears: encoder.chain(decoder).collect(),
        }
    }

    fn block_maps(&self, stack: Stack, block: usize) -> Vec<LinearMap> {
        use LinearPart::{CrossKey, CrossOutput, CrossQuery, CrossValue, Down, Gate, Key, Output, Query, Up, Value};
        let (d, inner, d_ff) = (self.d_model, self.inner(), self.d_ff);
        let attention = |[query, key, value, output]: [LinearPart; 4]| {
            [
                (query, "q", d, inner),
                (key, "k", d, inner),
                (value, "v", d, inner),
                (output, "o", inner, d),
            ]
        };
        let mut layers = vec![("SelfAttention", attention([Query, Key, Value, Output]).to_vec())];
        let name = match stack {
            Stack::Encoder => "encoder",
            Stack::Decoder => {
                let cross = attention([CrossQuery, CrossKey, CrossValue, CrossOutput]);
                layers.push(("EncDecAttention", cross.to_vec()));
                "decoder"
            }
        };
        let mut feed_forward = match self.feed_forward_proj {
            FeedForwardKind::Relu => vec![(Up, "wi", d, d_ff)],
            FeedForwardKind::GatedGelu => vec![(Gate, "wi_0", d, d_ff), (Up, "wi_1", d, d_ff)],
        };
        feed_forward.push((Down, "wo", d_ff, d));
        layers.push(("DenseReluDense", feed_forward));
        let mut linears = Vec::new();
        for (layer, (kind, maps)) in layers.into_iter().enumerate() {
            linears.extend(maps.into_iter().map(|(part, map, input, output)| LinearMap {
                site: LinearSite { stack, block, part },
                name: format!("{name}.block.{block}.layer.{layer}.{kind}.{map}"),
                input,
                output,
                fused: None,
            }));
        }
        linears
    }
}
