//! Llama's side network: a narrow copy of its blocks.

use adept_core::{LinearPart, LinearSite, NormSite, SideNetwork, SidePart, Stack, SublayerPart, SublayerSite};
use burn::module::Module;
use burn::tensor::backend::Backend;

use super::config::LlamaConfig;
use super::model::{Attention, Block, Mlp};
use crate::ladder::{Rungs, linear, map, rms_norm};
use crate::linear::Linear;
use crate::norm::RmsNorm;
use crate::places::Attached;

/// The network beside a Llama; `w` is its width.
#[derive(Module, Debug)]
pub struct Side<B: Backend> {
    /// The blocks beside the kept ones.
    pub layers: Vec<Block<B>>,
    /// The norm after the last of them.
    pub norm: RmsNorm<B>,
    /// The way into them.
    pub rungs: Rungs<B>,
    /// To the model's width, `[w, d]`.
    pub up: Linear<B>,
    /// The model's, with the side network's widths.
    #[module(skip)]
    pub(super) config: LlamaConfig,
}

impl<B: Backend> Side<B> {
    pub(super) fn new(side: &SideNetwork<B>, config: &LlamaConfig) -> Self {
        let r = side.reduction;
        Self {
            layers: side
                .kept(Stack::Decoder)
                .iter()
                .map(|number| block(side, *number))
                .collect(),
            norm: rms_norm(side, NormSite::Final(Stack::Decoder)),
            rungs: Rungs::new(side, Stack::Decoder),
            up: linear(side, SidePart::Up),
            config: LlamaConfig {
                hidden_size: config.hidden_size / r,
                intermediate_size: config.intermediate_size / r,
                head_dim: config.head_dim / r,
                ..config.clone()
            },
        }
    }
}

fn block<B: Backend>(side: &SideNetwork<B>, number: usize) -> Block<B> {
    let own = |part| map(side, LinearSite::new(Stack::Decoder, number, part));
    let norm = |part| {
        let site = SublayerSite::new(Stack::Decoder, number, part);
        rms_norm(side, NormSite::Before(site))
    };
    Block {
        input_layernorm: norm(SublayerPart::Attention),
        self_attn: Attention {
            q_proj: own(LinearPart::Query),
            k_proj: own(LinearPart::Key),
            v_proj: own(LinearPart::Value),
            o_proj: own(LinearPart::Output),
            attached: Attached::none(),
        },
        post_attention_layernorm: norm(SublayerPart::FeedForward),
        mlp: Mlp {
            gate_proj: own(LinearPart::Gate),
            up_proj: own(LinearPart::Up),
            down_proj: own(LinearPart::Down),
            attached: Attached::none(),
        },
    }
}
