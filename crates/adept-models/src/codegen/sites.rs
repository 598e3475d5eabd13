//! CodeGen's linear maps: their sites, names in checkpoints, and sizes.

use std::sync::Arc;

use adept_core::{Fused, LinearMap, LinearPart, LinearSite, ModelSites, Stack};

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
                fused: (part == LinearPart::QueryKeyValue).then(|| fused.clone()),
            })
        };
        ModelSites {
            d_model: d,
            linears: (0..self.n_layer).flat_map(of_block).collect(),
        }
    }
}
