//! Llama's linear maps: their sites, names in checkpoints, and sizes.

use adept_core::{LinearMap, LinearPart, LinearSite, ModelSites, Stack};

use super::config::LlamaConfig;

impl LlamaConfig {
    /// Every linear map of the blocks.
    pub fn sites(&self) -> ModelSites {
        let (d, inner) = (self.hidden_size, self.intermediate_size);
        let heads = self.num_attention_heads * self.head_dim;
        let groups = self.num_key_value_heads * self.head_dim;
        let maps = [
            (LinearPart::Query, "self_attn.q_proj", d, heads),
            (LinearPart::Key, "self_attn.k_proj", d, groups),
            (LinearPart::Value, "self_attn.v_proj", d, groups),
            (LinearPart::Output, "self_attn.o_proj", heads, d),
            (LinearPart::Gate, "mlp.gate_proj", d, inner),
            (LinearPart::Up, "mlp.up_proj", d, inner),
            (LinearPart::Down, "mlp.down_proj", inner, d),
        ];
        let of_block = |block: usize| {
            maps.map(|(part, name, input, output)| LinearMap {
                site: LinearSite {
                    stack: Stack::Decoder,
                    block,
                    part,
                },
                name: format!("model.layers.{block}.{name}"),
                input,
                output,
                fused: None,
            })
        };
        ModelSites {
            d_model: d,
            linears: (0..self.num_hidden_layers).flat_map(of_block).collect(),
        }
    }
}
