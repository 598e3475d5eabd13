//! CodeGen's places for methods: their sites, names in checkpoints, and sizes.

use std::sync::Arc;

use adept_core::{
    Fused, KeyHeads, LinearMap, LinearPart, LinearSite, ModelSites, Norm, NormSite, SideSites, Stack, Sublayer,
    SublayerPart, SublayerSite, TokenMatrix,
};

use super::config::CodeGenConfig;
use super::weights::checkpoint_order;

impl CodeGenConfig {
    /// Every linear map of the blocks.
    pub fn sites(&self) -> ModelSites {
        let (d, inner) = (self.n_embd, self.n_inner);
        let order: Arc<[usize]> = checkpoint_order(d).into();
        let maps = [
            (LinearPart::QueryKeyValue, "attn.qkv_proj", d, 3 * d),
            (LinearPart::Output, "attn.out_proj", d, d),
            (LinearPart::Up, "mlp.fc_in", d, inner),
            (LinearPart::Down, "mlp.fc_out", inner, d),
        ];
        let fused = Fused {
            parts: vec![
                (LinearPart::Query, 0..d),
                (LinearPart::Key, d..2 * d),
                (LinearPart::Value, 2 * d..3 * d),
            ],
            order: Some(order),
        };
        let of_block = |block: usize| {
            maps.map(|(part, name, input, output)| LinearMap {
                site: LinearSite {
                    stack: Stack::Decoder,
                    block,
                    part,
                },
                name: format!("transformer.h.{block}.{name}"),
                input,
                output,
                has_bias: matches!(part, LinearPart::Up | LinearPart::Down),
                fused: (part == LinearPart::QueryKeyValue).then(|| fused.clone()),
            })
        };
        let site = |block: usize, part: SublayerPart| SublayerSite::new(Stack::Decoder, block, part);
        let sublayers = (0..self.n_layer).flat_map(|block| {
            [(SublayerPart::Attention, "attn"), (SublayerPart::FeedForward, "mlp")].map(|(part, layer)| Sublayer {
                site: site(block, part),
                name: format!("transformer.h.{block}.{layer}"),
                heads: (part == SublayerPart::Attention).then_some(KeyHeads {
                    heads: self.n_head,
                    channels: d / self.n_head,
                }),
            })
        });
        let norm = |site: NormSite, name: String| Norm {
            site,
            name,
            width: d,
            has_bias: true,
        };
        // Both sublayers of a block read the same norm.
        let norms = (0..self.n_layer).map(|block| {
            let site = NormSite::Before(site(block, SublayerPart::Attention));
            norm(site, format!("transformer.h.{block}.ln_1"))
        });
        let last = norm(NormSite::Final(Stack::Decoder), "transformer.ln_f".to_owned());
        let matrix = |name: &str, has_bias: bool| TokenMatrix {
            name: name.to_owned(),
            rows: self.vocab_size,
            has_bias,
        };
        ModelSites {
            linears: (0..self.n_layer).flat_map(of_block).collect(),
            norms: norms.chain([last]).collect(),
            sublayers: sublayers.collect(),
            embedding: Some(matrix("transformer.wte", false)),
            head: Some(matrix("lm_head", true)),
            side: Some(SideSites {
                rotated: self.rotary_dim,
                ..SideSites::default()
            }),
            ..ModelSites::embeddings(d)
        }
    }
}
