//! CodeGen's side network: a narrow copy of its blocks.

use adept_core::{LinearPart, LinearSite, NormSite, SideNetwork, SidePart, Stack, SublayerPart, SublayerSite};
use burn::module::Module;
use burn::tensor::backend::Backend;

use super::config::CodeGenConfig;
use super::model::{Attention, Block, Mlp};
use crate::ladder::{Rungs, layer_norm, linear, map};
use crate::linear::Linear;
use crate::norm::LayerNorm;
use crate::places::Attached;

/// The network beside a CodeGen; `w` is its width.
#[derive(Module, Debug)]
pub struct Side<B: Backend> {
    /// The blocks beside the kept ones.
    pub h: Vec<Block<B>>,
    /// The norm after the last of them.
    pub ln_f: LayerNorm<B>,
    /// The way into them.
    pub rungs: Rungs<B>,
    /// To the model's width, `[w, d]`.
    pub up: Linear<B>,
    /// The model's, with the side network's widths.
    #[module(skip)]
    pub(super) config: CodeGenConfig,
}

impl<B: Backend> Side<B> {
    pub(super) fn new(side: &SideNetwork<B>, config: &CodeGenConfig) -> Self {
        let r = side.reduction;
        Self {
            h: side
                .kept(Stack::Decoder)
                .iter()
                .map(|number| block(side, *number))
                .collect(),
            ln_f: layer_norm(side, NormSite::Final(Stack::Decoder)),
            rungs: Rungs::new(side, Stack::Decoder),
            up: linear(side, SidePart::Up),
            config: CodeGenConfig {
                n_embd: config.n_embd / r,
                n_inner: config.n_inner / r,
                rotary_dim: config.rotary_dim / r,
                ..config.clone()
            },
        }
    }
}

fn block<B: Backend>(side: &SideNetwork<B>, number: usize) -> Block<B> {
    let own = |part| map(side, LinearSite::new(Stack::Decoder, number, part));
    let attention = SublayerSite::new(Stack::Decoder, number, SublayerPart::Attention);
    Block {
        ln_1: layer_norm(side, NormSite::Before(attention)),
        attn: Attention {
            qkv_proj: own(LinearPart::QueryKeyValue),
            out_proj: own(LinearPart::Output),
            attached: Attached::none(),
        },
        mlp: Mlp {
            fc_in: own(LinearPart::Up),
            fc_out: own(LinearPart::Down),
            attached: Attached::none(),
        },
    }
}
