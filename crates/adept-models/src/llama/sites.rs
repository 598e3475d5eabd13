//! Llama's places for methods: their sites, names in checkpoints, and sizes.

use adept_core::{
    KeyHeads, LinearMap, LinearPart, LinearSite, ModelSites, Norm, NormSite, SideSites, Stack, Sublayer, SublayerPart,
    SublayerSite, TokenMatrix,
};

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
                has_bias: match part {
                    LinearPart::Gate | LinearPart::Up | LinearPart::Down => self.mlp_bias,
                    _ => self.attention_bias,
                },
                fused: None,
            })
        };
        let layers = [
            (SublayerPart::Attention, "self_attn", "input_layernorm"),
            (SublayerPart::FeedForward, "mlp", "post_attention_layernorm"),
        ];
        let sublayers = (0..self.num_hidden_layers).flat_map(|block| {
            layers.map(|(part, layer, _)| Sublayer {
                site: SublayerSite::new(Stack::Decoder, block, part),
                name: format!("model.layers.{block}.{layer}"),
                heads: (part == SublayerPart::Attention).then_some(KeyHeads {
                    heads: self.num_key_value_heads,
                    channels: self.head_dim,
                }),
            })
        });
        let norm = |site: NormSite, name: String| Norm {
            site,
            name,
            width: d,
            has_bias: false,
        };
        let norms = (0..self.num_hidden_layers).flat_map(|block| {
            layers.map(|(part, _, name)| {
                let site = NormSite::Before(SublayerSite::new(Stack::Decoder, block, part));
                norm(site, format!("model.layers.{block}.{name}"))
            })
        });
        let last = norm(NormSite::Final(Stack::Decoder), "model.norm".to_owned());
        let matrix = |name: &str| TokenMatrix {
            name: name.to_owned(),
            rows: self.vocab_size,
            has_bias: false,
        };
        ModelSites {
            linears: (0..self.num_hidden_layers).flat_map(of_block).collect(),
            norms: norms.chain([last]).collect(),
            sublayers: sublayers.collect(),
            embedding: Some(matrix("model.embed_tokens")),
            head: Some(matrix("lm_head")),
            side: Some(SideSites {
                rotated: self.head_dim,
                ..SideSites::default()
            }),
            ..ModelSites::embeddings(d)
        }
    }
}
