//! The model: embedding, blocks, head, and the implementation of the backbone traits.

use adept_core::{ModelSites, SideNetwork};
use adept_kernels::sublayer::dropout;
use adept_kernels::{RotaryAngles, RotaryPairs, gelu_tanh, rotary};
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor};

use super::config::CodeGenConfig;
use super::side::Side;
use crate::causal::{CausalCache, Reading, Rotary, attend, behind};
use crate::linear::Linear;
use crate::norm::LayerNorm;
use crate::places::{Attached, Places};
use crate::traits::{Backbone, CausalBackbone};

/// `attn` of a block.
#[derive(Module, Debug)]
pub struct Attention<B: Backend> {
    /// Queries, keys and values of all heads, in this order: `[d, 3·d]`. The checkpoint has them in four parts, each
    /// ordered query, value, key.
    pub qkv_proj: Linear<B>,
    /// `[d, d]`.
    pub out_proj: Linear<B>,
    /// What a method attaches.
    pub attached: Attached<B>,
}

/// `mlp` of a block.
#[derive(Module, Debug)]
pub struct Mlp<B: Backend> {
    /// `[d, n_inner]`, with bias.
    pub fc_in: Linear<B>,
    /// `[n_inner, d]`, with bias.
    pub fc_out: Linear<B>,
    /// What a method attaches.
    pub attached: Attached<B>,
}

/// One block: attention and feed-forward layer read the same normed states.
#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    /// The norm before both layers.
    pub ln_1: LayerNorm<B>,
    /// Self-attention.
    pub attn: Attention<B>,
    /// Feed-forward layer.
    pub mlp: Mlp<B>,
}

/// CodeGen, with frozen parameters. Their paths are the checkpoint's names without `transformer.`.
#[derive(Module, Debug)]
pub struct CodeGen<B: Backend> {
    /// Token embeddings, `[vocab, d]`.
    pub wte: Param<Tensor<B, 2>>,
    /// The blocks, in order.
    pub h: Vec<Block<B>>,
    /// The norm after the last block.
    pub ln_f: LayerNorm<B>,
    /// The output head, `[d, vocab]`, with bias.
    pub lm_head: Linear<B>,
    /// A network beside the model whose states the head reads, if a method has one; not part of the model's parameters.
    pub side: Option<Side<B>>,
    #[module(skip)]
    pub(super) config: CodeGenConfig,
}

impl<B: Backend> CodeGen<B> {
    /// The model's configuration.
    pub fn config(&self) -> &CodeGenConfig {
        &self.config
    }

    /// Rotary frequencies of the first channels of its heads.
    pub fn rotary(&self) -> Rotary {
        rotary_of(&self.config)
    }

    /// Slots in front of every attention, which tokens count their positions from.
    fn prefix(&self) -> usize {
        self.h.first().map_or(0, |block| block.attn.attached.slots())
    }

    /// States `[b, n, d]` after the final norm.
    fn run(&self, embeddings: Tensor<B, 3>, positions: Tensor<B, 2, Int>, mut reading: Reading<'_, B>) -> Tensor<B, 3> {
        let positions = behind(positions, self.prefix());
        let angles = reading.angles(self.rotary().angles(positions.clone()));
        let mut x = dropout(reading.begin(embeddings), reading.dropout());
        let mut beside = self.side.as_ref().map(|side| {
            let angles = reading.angles(rotary_of(&side.config).angles(positions));
            (side, angles, side.rungs.begin(x.clone()))
        });
        for (number, block) in self.h.iter().enumerate() {
            x = block.forward(number, x, &self.config, &angles, &mut reading);
            if let Some((side, angles, climb)) = &mut beside {
                // The cache holds the side blocks behind the model's.
                let cached = |place: usize| self.h.len() + place;
                climb.pass(&x, |place, state| {
                    side.h[place].forward(cached(place), state, &side.config, angles, &mut reading)
                });
            }
        }
        let epsilon = self.config.layer_norm_epsilon;
        reading.end(match beside {
            None => self.ln_f.forward(x, epsilon),
            Some((side, _, climb)) => side.up.forward(side.ln_f.forward(climb.top(), epsilon)),
        })
    }

    /// Blocks with keys and values: the model's, then those of a side network.
    fn cached_blocks(&self) -> usize {
        self.h.len() + self.side.as_ref().map_or(0, |side| side.h.len())
    }
}

fn rotary_of(config: &CodeGenConfig) -> Rotary {
    Rotary::new(10000.0, config.rotary_dim)
}

impl<B: Backend> Block<B> {
    /// The block of that number in the cache, with its residual connection; `config` has its widths.
    fn forward(
        &self,
        number: usize,
        x: Tensor<B, 3>,
        config: &CodeGenConfig,
        angles: &RotaryAngles<B>,
        reading: &mut Reading<'_, B>,
    ) -> Tensor<B, 3> {
        let rate = reading.dropout();
        let normed = self.ln_1.forward(x.clone(), config.layer_norm_epsilon);
        let attended = self
            .attn
            .forward(number, normed.clone(), config.n_head, angles, reading);
        let x = self.mlp.attached.with_beside(x, normed.clone());
        let activated = self.mlp.forward(normed);
        x + dropout(attended, rate) + dropout(activated, rate)
    }
}

impl<B: Backend> Attention<B> {
    fn forward(
        &self,
        number: usize,
        x: Tensor<B, 3>,
        heads: usize,
        angles: &RotaryAngles<B>,
        reading: &mut Reading<'_, B>,
    ) -> Tensor<B, 3> {
        let [_, _, d] = x.dims();
        let qkv = self.qkv_proj.forward(x);
        let part = |place: usize| qkv.clone().narrow(2, place * d, d);
        let turned = |x| rotary(x, heads, angles, RotaryPairs::Neighbours);
        let parts = [turned(part(0)), turned(part(1)), part(2)];
        let context = attend(number, parts, heads, &self.attached, reading);
        self.attached.after(self.out_proj.forward(context))
    }
}

impl<B: Backend> Mlp<B> {
    fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let activated = gelu_tanh(self.fc_in.forward(x));
        self.attached.after(self.fc_out.forward(activated))
    }
}

impl<B: Backend> Backbone<B> for CodeGen<B> {
    fn d_model(&self) -> usize {
        self.config.n_embd
    }

    fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    fn embed(&self, ids: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        adept_kernels::embedding(self.wte.val(), ids)
    }

    fn embedding_weight(&self) -> Tensor<B, 2> {
        self.wte.val()
    }

    fn sites(&self) -> ModelSites {
        self.config.sites()
    }

    fn places(&mut self) -> Places<'_, B> {
        let mut places = Places::default();
        for block in &mut self.h {
            places
                .linears
                .extend([&mut block.attn.qkv_proj, &mut block.attn.out_proj]);
            places.linears.extend([&mut block.mlp.fc_in, &mut block.mlp.fc_out]);
            places.norms.push(block.ln_1.place());
            places
                .sublayers
                .extend([&mut block.attn.attached, &mut block.mlp.attached]);
        }
        places.norms.push(self.ln_f.place());
        Places {
            embedding: Some(&mut self.wte),
            head_bias: Some(&mut self.lm_head.bias),
            ..places
        }
    }

    fn attach_side(&mut self, side: &SideNetwork<B>) {
        self.side = Some(Side::new(side, &self.config));
    }
}

impl<B: Backend> CausalBackbone<B> for CodeGen<B> {
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
        self.lm_head.forward_rows(hidden)
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
        self.config.n_positions
    }

    fn eos_ids(&self) -> &[u32] {
        &self.config.eos_token_ids
    }

    fn pad_id(&self) -> u32 {
        self.config.pad_token_id
    }
}
