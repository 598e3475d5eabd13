//! The model: embedding, blocks, head, and the implementation of the backbone traits.

use adept_core::{ModelSites, SideNetwork};
use adept_kernels::{RotaryAngles, RotaryPairs, gated_silu, product, rotary};
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor};

use super::config::LlamaConfig;
use super::rope::RopeScaling;
use super::side::Side;
use crate::causal::{CausalCache, Reading, attend, behind};
use crate::linear::Linear;
use crate::norm::RmsNorm;
use crate::places::{Attached, Places};
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
    /// What a method attaches.
    pub attached: Attached<B>,
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
    /// What a method attaches.
    pub attached: Attached<B>,
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
    /// `[vocab]`, if a method adds one.
    pub head_bias: Option<Param<Tensor<B, 1>>>,
    /// A network beside the model whose states the head reads, if a method has one; not part of the model's parameters.
    pub side: Option<Side<B>>,
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

    /// Slots in front of every attention, which tokens count their positions from.
    fn prefix(&self) -> usize {
        self.layers.first().map_or(0, |block| block.self_attn.attached.slots())
    }

    /// States `[b, n, d]` after the final norm.
    fn run(&self, embeddings: Tensor<B, 3>, positions: Tensor<B, 2, Int>, mut reading: Reading<'_, B>) -> Tensor<B, 3> {
        let positions = behind(positions, self.prefix());
        let angles = reading.angles(self.config.rotary().angles(positions.clone()));
        let mut x = reading.begin(embeddings);
        let mut beside = self.side.as_ref().map(|side| {
            let angles = reading.angles(side.config.rotary().angles(positions));
            (side, angles, side.rungs.begin(x.clone()))
        });
        for (number, block) in self.layers.iter().enumerate() {
            x = block.forward(number, x, &self.config, &angles, &mut reading);
            if let Some((side, angles, climb)) = &mut beside {
                // The cache holds the side blocks behind the model's.
                let cached = |place: usize| self.layers.len() + place;
                climb.pass(&x, |place, state| {
                    side.layers[place].forward(cached(place), state, &side.config, angles, &mut reading)
                });
            }
        }
        let epsilon = self.config.rms_norm_eps;
        reading.end(match beside {
            None => self.norm.forward(x, epsilon),
            Some((side, _, climb)) => side.up.forward(side.norm.forward(climb.top(), epsilon)),
        })
    }

    /// Blocks with keys and values: the model's, then those of a side network.
    fn cached_blocks(&self) -> usize {
        self.layers.len() + self.side.as_ref().map_or(0, |side| side.layers.len())
    }
}

impl<B: Backend> Block<B> {
    /// The block of that number in the cache, with its residual connections; `config` has its widths.
    fn forward(
        &self,
        number: usize,
        x: Tensor<B, 3>,
        config: &LlamaConfig,
        angles: &RotaryAngles<B>,
        reading: &mut Reading<'_, B>,
    ) -> Tensor<B, 3> {
        let epsilon = config.rms_norm_eps;
        let normed = self.input_layernorm.forward(x.clone(), epsilon);
        let x = x + self.self_attn.forward(number, normed, config, angles, reading);
        let normed = self.post_attention_layernorm.forward(x.clone(), epsilon);
        self.mlp.attached.with_beside(x, normed.clone()) + self.mlp.forward(normed)
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
        let context = attend(number, [query, key, value], heads, &self.attached, reading);
        self.attached.after(self.o_proj.forward(context))
    }
}

impl<B: Backend> Mlp<B> {
    fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let gate = self.gate_proj.forward(x.clone());
        let inner = gated_silu(gate, self.up_proj.forward(x));
        self.attached.after(self.down_proj.forward(inner))
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

    fn places(&mut self) -> Places<'_, B> {
        let mut places = Places::default();
        for block in &mut self.layers {
            let (attention, mlp) = (&mut block.self_attn, &mut block.mlp);
            places.linears.extend([&mut attention.q_proj, &mut attention.k_proj]);
            places.linears.extend([&mut attention.v_proj, &mut attention.o_proj]);
            places
                .linears
                .extend([&mut mlp.gate_proj, &mut mlp.up_proj, &mut mlp.down_proj]);
            places.norms.push(block.input_layernorm.place());
            places.norms.push(block.post_attention_layernorm.place());
            places.sublayers.extend([&mut attention.attached, &mut mlp.attached]);
        }
        places.norms.push(self.norm.place());
        Places {
            embedding: Some(&mut self.embed_tokens),
            head_bias: Some(&mut self.head_bias),
            ..places
        }
    }

    fn attach_side(&mut self, side: &SideNetwork<B>) {
        self.side = Some(Side::new(side, &self.config));
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
        self.run(embeddings, positions, Reading::new(mask, None, self.prefix(), dropout))
    }

    fn head(&self, hidden: Tensor<B, 2>) -> Tensor<B, 2> {
        let logits = match &self.lm_head {
            Some(head) => head.forward_rows(hidden),
            None => product(hidden, self.embed_tokens.val().transpose()),
        };
        match &self.head_bias {
            Some(bias) => logits + bias.val().unsqueeze(),
            None => logits,
        }
    }

    fn head_loss(&self, hidden: Tensor<B, 2>, labels: Tensor<B, 1, Int>) -> Tensor<B, 1> {
        match self.lm_head.is_none() && self.head_bias.is_none() {
            true => adept_kernels::head_loss(hidden, self.embed_tokens.val(), 1.0, labels),
            false => adept_kernels::cross_entropy(self.head(hidden), labels),
        }
    }

    fn new_cache(&self) -> CausalCache<B> {
        CausalCache::new(self.cached_blocks())
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
        self.run(
            embeddings,
            positions,
            Reading::new(mask, Some(cache), self.prefix(), 0.0),
        )
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
