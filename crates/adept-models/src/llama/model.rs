//! The model: embedding, blocks, head, and the implementation of the backbone traits.

use adept_core::ModelSites;
use adept_kernels::{RotaryAngles, RotaryPairs, gated_silu, rotary};
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor};

use super::config::LlamaConfig;
use super::rope::RopeScaling;
use crate::causal::{CausalCache, Reading, attend};
use crate::linear::Linear;
use crate::norm::RmsNorm;
use crate::traits::{Backbone, CausalBackbone};

/// `self_attn` of a block.
#[derive(Module, Debug)]
pub struct Attention<B: Backend> {
    /// Queries, `[d, h·c]`.
    pub q_proj: Linear<B>,
    /// Keys, `[d, g·c]`.
    pub k_proj: Linear<B>,
    /// Values, `[d, g·c]`.
    pub v_proj: Linear<B>,
    /// `[h·c, d]`.
    pub o_proj: Linear<B>,
}

/// `mlp` of a block.
#[derive(Module, Debug)]
pub struct Mlp<B: Backend> {
    /// The activated projection, `[d, f]`.
    pub gate_proj: Linear<B>,
    /// `[d, f]`.
    pub up_proj: Linear<B>,
    /// `[f, d]`.
    pub down_proj: Linear<B>,
}

/// One block.
#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    /// The norm before the attention.
    pub input_layernorm: RmsNorm<B>,
    /// Self-attention.
    pub self_attn: Attention<B>,
    /// The norm before the feed-forward layer.
    pub post_attention_layernorm: RmsNorm<B>,
    /// Feed-forward layer.
    pub mlp: Mlp<B>,
}

/// Llama, with frozen parameters. Their paths are the checkpoint's names without `model.`.
#[derive(Module, Debug)]
pub struct Llama<B: Backend> {
    /// Token embeddings, `[vocab, d]`.
    pub embed_tokens: Param<Tensor<B, 2>>,
    /// The blocks, in order.
    pub layers: Vec<Block<B>>,
    /// The norm after the last block.
    pub norm: RmsNorm<B>,
    /// The output head, `[d, vocab]`; tied models use [`Self::embed_tokens`].
    pub lm_head: Option<Linear<B>>,
    #[module(skip)]
    pub(super) config: LlamaConfig,
}

impl<B: Backend> Llama<B> {
    /// The model's configuration.
    pub fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// The same weights with another scaling of the rotary frequencies; `None` means unscaled.
    #[must_use]
    pub fn with_rope_scaling(mut self, scaling: Option<RopeScaling>) -> Self {
        self.config.rope_scaling = scaling;
        self
    }

    /// States `[b, n, d]` after the final norm.
    fn run(&self, embeddings: Tensor<B, 3>, positions: Tensor<B, 2, Int>, mut reading: Reading<'_, B>) -> Tensor<B, 3> {
        let angles = self.config.rotary().angles(positions);
        let epsilon = self.config.rms_norm_eps;
        let mut x = embeddings;
        for (number, block) in self.layers.iter().enumerate() {
            let normed = block.input_layernorm.forward(x.clone(), epsilon);
            x = x + block
                .self_attn
                .forward(number, normed, &self.config, &angles, &mut reading);
            let normed = block.post_attention_layernorm.forward(x.clone(), epsilon);
            x = x + block.mlp.forward(normed);
        }
        self.norm.forward(x, epsilon)
    }
}

impl<B: Backend> Attention<B> {
    fn forward(
        &self,
        number: usize,
        x: Tensor<B, 3>,
        config: &LlamaConfig,
        angles: &RotaryAngles<B>,
        reading: &mut Reading<'_, B>,
    ) -> Tensor<B, 3> {
        let (heads, groups) = (config.num_attention_heads, config.num_key_value_heads);
        let query = rotary(self.q_proj.forward(x.clone()), heads, angles, RotaryPairs::Halves);
        let key = rotary(self.k_proj.forward(x.clone()), groups, angles, RotaryPairs::Halves);
        let value = self.v_proj.forward(x);
        self.o_proj.forward(attend(number, query, key, value, heads, reading))
    }
}

impl<B: Backend> Mlp<B> {
    fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let gate = self.gate_proj.forward(x.clone());
        self.down_proj.forward(gated_silu(gate, self.up_proj.forward(x)))
    }
}

impl<B: Backend> Backbone<B> for Llama<B> {
    fn d_model(&self) -> usize {
        self.config.hidden_size
    }

    fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    fn embed(&self, ids: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        adept_kernels::embedding(self.embed_tokens.val(), ids)
    }

    fn embedding_weight(&self) -> Tensor<B, 2> {
        self.embed_tokens.val()
    }

    fn sites(&self) -> ModelSites {
        self.config.sites()
    }

    fn linears_mut(&mut self) -> Vec<&mut Linear<B>> {
        let mut linears = Vec::new();
        for block in &mut self.layers {
            let Attention {
                q_proj,
                k_proj,
                v_proj,
                o_proj,
            } = &mut block.self_attn;
            let Mlp {
                gate_proj,
                up_proj,
                down_proj,
            } = &mut block.mlp;
            linears.extend([q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj]);
        }
        linears
    }
}

impl<B: Backend> CausalBackbone<B> for Llama<B> {
    type Cache = CausalCache<B>;

    fn hidden(
        &self,
        embeddings: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        positions: Tensor<B, 2, Int>,
        dropout: f64,
    ) -> Tensor<B, 3> {
        self.run(embeddings, positions, Reading::new(mask, None, dropout))
    }

    fn head(&self, hidden: Tensor<B, 2>) -> Tensor<B, 2> {
        match &self.lm_head {
            Some(head) => head.forward_rows(hidden),
            None => hidden.matmul(self.embed_tokens.val().transpose()),
        }
    }

    fn head_loss(&self, hidden: Tensor<B, 2>, labels: Tensor<B, 1, Int>) -> Tensor<B, 1> {
        match &self.lm_head {
            Some(_) => adept_kernels::cross_entropy(self.head(hidden), labels),
            None => adept_kernels::head_loss(hidden, self.embed_tokens.val(), 1.0, labels),
        }
    }

    fn new_cache(&self) -> CausalCache<B> {
        CausalCache::new(self.config.num_hidden_layers)
    }

    fn repeat_cache(&self, cache: &CausalCache<B>, batch: usize) -> CausalCache<B> {
        cache.repeated(batch)
    }

    fn select_cache(&self, cache: &CausalCache<B>, rows: Tensor<B, 1, Int>) -> CausalCache<B> {
        cache.select(rows)
    }

    fn read_hidden(
        &self,
        embeddings: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        positions: Tensor<B, 2, Int>,
        cache: &mut CausalCache<B>,
    ) -> Tensor<B, 3> {
        self.run(embeddings, positions, Reading::new(mask, Some(cache), 0.0))
    }

    fn max_positions(&self) -> usize {
        self.config.max_position_embeddings
    }

    fn eos_ids(&self) -> &[u32] {
        &self.config.eos_token_ids
    }

    fn pad_id(&self) -> u32 {
        self.config.pad_token_id
    }
}
