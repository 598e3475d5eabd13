//! T5's places for methods: their sites, names in checkpoints, and sizes.

use adept_core::{
    KeyHeads, LinearMap, LinearPart, LinearSite, ModelSites, Norm, NormSite, PositionTable, SideSites, Stack, Sublayer,
    SublayerPart, SublayerSite, TokenMatrix,
};

use super::config::{FeedForwardKind, T5Config};

impl T5Config {
    /// Every linear map of the blocks, encoder first.
    pub fn sites(&self) -> ModelSites {
        let encoder = (0..self.num_layers).flat_map(|block| self.block_maps(Stack::Encoder, block));
        let decoder = (0..self.num_decoder_layers).flat_map(|block| self.block_maps(Stack::Decoder, block));
        let blocks = |(stack, name, count): (Stack, &'static str, usize)| {
            let of_block = move |block: usize| block_layers(stack, name, block);
            (0..count).flat_map(of_block)
        };
        let stacks = [
            (Stack::Encoder, "encoder", self.num_layers),
            (Stack::Decoder, "decoder", self.num_decoder_layers),
        ];
        let norm = |site: NormSite, name: String| Norm {
            site,
            name,
            width: self.d_model,
            has_bias: false,
        };
        let norms = |(stack, name, count): (Stack, &'static str, usize)| {
            let before = blocks((stack, name, count));
            let before = before.map(|(site, layer)| norm(NormSite::Before(site), format!("{layer}.layer_norm")));
            before.chain([norm(NormSite::Final(stack), format!("{name}.final_layer_norm"))])
        };
        let heads = KeyHeads {
            heads: self.num_heads,
            channels: self.d_kv,
        };
        let sublayer = |(site, name): (SublayerSite, String)| Sublayer {
            site,
            name,
            heads: (site.part != SublayerPart::FeedForward).then_some(heads),
        };
        let matrix = |name: &str| TokenMatrix {
            name: name.to_owned(),
            rows: self.vocab_size,
            has_bias: false,
        };
        let table = |(stack, name, _): (Stack, &'static str, usize)| PositionTable {
            stack,
            name: format!("{name}.block.0.layer.0.SelfAttention.relative_attention_bias"),
            shape: [self.relative_attention_num_buckets, self.num_heads],
        };
        ModelSites {
            linears: encoder.chain(decoder).collect(),
            norms: stacks.into_iter().flat_map(norms).collect(),
            sublayers: stacks.into_iter().flat_map(blocks).map(sublayer).collect(),
            embedding: Some(matrix("shared")),
            head: Some(matrix("lm_head")),
            side: Some(SideSites {
                positions: stacks.map(table).to_vec(),
                rotated: 0,
            }),
            ..ModelSites::embeddings(self.d_model)
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
                has_bias: false,
                fused: None,
            }));
        }
        linears
    }
}

/// The sublayers of a block, with the names of their layers.
fn block_layers(stack: Stack, name: &str, block: usize) -> Vec<(SublayerSite, String)> {
    let parts: &[SublayerPart] = match stack {
        Stack::Encoder => &[SublayerPart::Attention, SublayerPart::FeedForward],
        Stack::Decoder => &[
            SublayerPart::Attention,
            SublayerPart::CrossAttention,
            SublayerPart::FeedForward,
        ],
    };
    let layer = |(layer, part): (usize, &SublayerPart)| {
        let site = SublayerSite::new(stack, block, *part);
        (site, format!("{name}.block.{block}.layer.{layer}"))
    };
    parts.iter().enumerate().map(layer).collect()
}
