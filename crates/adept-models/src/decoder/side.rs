//! A decoder's side network: a narrow copy of its blocks.

use adept_core::{LinearPart, LinearSite, NormSite, SideNetwork, SidePart, Stack, SublayerPart, SublayerSite};
use burn::module::Module;
use burn::tensor::backend::Backend;

use super::attention::{Apart, Attention, Projections};
use super::block::Block;
use super::config::{DecoderConfig, FeedForwardKind, ProjectionKind, Residual};
use super::feed_forward::{FeedForward, Gated, Inner};
use super::norm::Norm;
use crate::ladder::{Rungs, linear, map, shared};
use crate::linear::Linear;
use crate::places::Attached;

/// The network beside a decoder; `w` is its width.
#[derive(Module, Debug)]
pub struct Side<B: Backend> {
    /// The blocks beside the kept ones.
    pub blocks: Vec<Block<B>>,
    /// The norm after the last of them.
    pub norm: Norm<B>,
    /// The way into them.
    pub rungs: Rungs<B>,
    /// To the model's width, `[w, d]`.
    pub up: Linear<B>,
    /// The model's, with the side network's widths.
    #[module(skip)]
    pub(super) config: DecoderConfig,
}

impl<B: Backend> Side<B> {
    pub(super) fn new(side: &SideNetwork<B>, config: &DecoderConfig) -> Self {
        let kept = side.kept(Stack::Decoder).iter();
        Self {
            blocks: kept.map(|number| block(side, *number, config)).collect(),
            norm: norm(side, NormSite::Final(Stack::Decoder), config),
            rungs: Rungs::new(side, Stack::Decoder),
            up: linear(side, SidePart::Up),
            config: config.narrowed(side.reduction),
        }
    }
}

fn norm<B: Backend>(side: &SideNetwork<B>, site: NormSite, config: &DecoderConfig) -> Norm<B> {
    let part = SidePart::Norm(site);
    Norm::new(config.norm, shared(side.vector(part)), side.bias(part).map(shared))
}

/// A block of a model without norms of heads or of outputs, and with no gate fused: others have no side network.
fn block<B: Backend>(side: &SideNetwork<B>, number: usize, config: &DecoderConfig) -> Block<B> {
    let own = |part| map(side, LinearSite::new(Stack::Decoder, number, part));
    let before = |part| {
        let site = SublayerSite::new(Stack::Decoder, number, part);
        norm(side, NormSite::Before(site), config)
    };
    Block {
        before_attention: before(SublayerPart::Attention),
        attention: Attention {
            projections: match config.projections {
                ProjectionKind::Apart => Projections::Apart(Apart {
                    query: own(LinearPart::Query),
                    key: own(LinearPart::Key),
                    value: own(LinearPart::Value),
                }),
                ProjectionKind::Fused(_) => Projections::Fused(own(LinearPart::QueryKeyValue)),
            },
            query_norm: None,
            key_norm: None,
            output: own(LinearPart::Output),
            attached: Attached::none(),
        },
        after_attention: None,
        before_feed_forward: (config.residual != Residual::ParallelShared).then(|| before(SublayerPart::FeedForward)),
        feed_forward: FeedForward {
            inner: match config.feed_forward {
                FeedForwardKind::Plain => Inner::Plain(own(LinearPart::Up)),
                FeedForwardKind::Gated => Inner::Gated(Gated {
                    gate: own(LinearPart::Gate),
                    up: own(LinearPart::Up),
                }),
                FeedForwardKind::GatedFused => Inner::GatedFused(own(LinearPart::GateUp)),
            },
            down: own(LinearPart::Down),
            attached: Attached::none(),
        },
        after_feed_forward: None,
    }
}
