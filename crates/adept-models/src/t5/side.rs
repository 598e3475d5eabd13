//! T5's side network: a narrow stack beside the encoder and one beside the decoder.

use adept_core::{LinearPart, LinearSite, NormSite, SideNetwork, SidePart, SublayerPart, SublayerSite};
use adept_kernels::sublayer::Settings;
use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Tensor};

use super::layer::{Attention, FeedForward};
use super::stack::{Block, Memory, Past, Stack};
use crate::ladder::{Climb, Rungs, linear, map, rms_norm, shared};
use crate::linear::Linear;
use crate::places::Attached;

/// A stack beside one of the model's.
#[derive(Module, Debug)]
pub struct SideStack<B: Backend> {
    /// The blocks beside the kept ones, their norm and their table of positions.
    pub stack: Stack<B>,
    /// The way into them.
    pub rungs: Rungs<B>,
}

/// The network beside a T5.
#[derive(Module, Debug)]
pub struct Side<B: Backend> {
    /// Beside the encoder.
    pub encoder: SideStack<B>,
    /// Beside the decoder; attends to the one beside the encoder.
    pub decoder: SideStack<B>,
    /// To the model's width, for its head.
    pub up: Linear<B>,
}

/// Shows what enters the model's stack, then what leaves each of its blocks.
type Watch<'a, B> = &'a mut dyn FnMut(&Tensor<B, 3>);

impl<B: Backend> Side<B> {
    /// The modules of a side network; `is_gated`: of the feed-forward layers.
    pub(super) fn new(side: &SideNetwork<B>, is_gated: bool) -> Self {
        let stack = |stack| SideStack {
            stack: Stack {
                block: side
                    .kept(stack)
                    .iter()
                    .map(|number| block(side, stack, *number, is_gated))
                    .collect(),
                relative_attention_bias: shared(side.matrix(SidePart::Positions(stack))),
                final_layer_norm: rms_norm(side, NormSite::Final(stack)),
            },
            rungs: Rungs::new(side, stack),
        };
        Self {
            encoder: stack(adept_core::Stack::Encoder),
            decoder: stack(adept_core::Stack::Decoder),
            up: linear(side, SidePart::Up),
        }
    }
}

fn block<B: Backend>(side: &SideNetwork<B>, stack: adept_core::Stack, number: usize, is_gated: bool) -> Block<B> {
    use LinearPart::{CrossKey, CrossOutput, CrossQuery, CrossValue, Down, Gate, Key, Output, Query, Up, Value};
    let own = |part| map(side, LinearSite::new(stack, number, part));
    let norm = |part| rms_norm(side, NormSite::Before(SublayerSite::new(stack, number, part)));
    let attention = |part, [q, k, v, o]: [LinearPart; 4]| Attention {
        q: own(q),
        k: own(k),
        v: own(v),
        o: own(o),
        layer_norm: norm(part),
        attached: Attached::none(),
    };
    let (wi, wi_1) = match is_gated {
        true => (own(Gate), Some(own(Up))),
        false => (own(Up), None),
    };
    let cross = [CrossQuery, CrossKey, CrossValue, CrossOutput];
    Block {
        self_attention: attention(SublayerPart::Attention, [Query, Key, Value, Output]),
        cross_attention: match stack {
            adept_core::Stack::Encoder => None,
            adept_core::Stack::Decoder => Some(attention(SublayerPart::CrossAttention, cross)),
        },
        feed_forward: FeedForward {
            wi,
            wi_1,
            wo: own(Down),
            layer_norm: norm(SublayerPart::FeedForward),
            attached: Attached::none(),
        },
    }
}

impl<B: Backend> SideStack<B> {
    /// Runs the model's stack, which shows its states to what it is given, and each side block in turn.
    fn climb(
        &self,
        run: impl FnOnce(Watch<'_, B>),
        mut block: impl FnMut(usize, Tensor<B, 3>) -> Tensor<B, 3>,
    ) -> Tensor<B, 3> {
        let mut climb: Option<Climb<'_, B>> = None;
        run(&mut |state| match &mut climb {
            None => climb = Some(self.rungs.begin(state.clone())),
            Some(climb) => climb.pass(state, &mut block),
        });
        climb.expect("a stack shows what enters it").top()
    }

    /// States `[b, n, w]` beside the encoder's, after the side network's norm; `mask` is the encoder's.
    pub(super) fn encode(
        &self,
        mask: Tensor<B, 2, Bool>,
        max_distance: usize,
        pass: Settings,
        run: impl FnOnce(Watch<'_, B>),
    ) -> Tensor<B, 3> {
        let bias = self.stack.encoder_bias(mask, max_distance);
        let top = self.climb(run, |place, state| self.stack.block[place].encode(state, &bias, pass));
        self.stack.finish(top, pass)
    }

    /// States `[b × c, t, w]` beside the decoder's, after the side network's norm.
    pub(super) fn decode(
        &self,
        t: usize,
        memory: &Memory<B>,
        max_distance: usize,
        pass: Settings,
        run: impl FnOnce(Watch<'_, B>),
    ) -> Tensor<B, 3> {
        let bias = self.stack.causal_bias(t, max_distance);
        let top = self.climb(run, |place, state| {
            self.stack.block[place].decode(state, &bias, memory.of(place), pass)
        });
        self.stack.finish(top, pass)
    }

    /// The same for one more token per row, `[b, 1, w]`.
    pub(super) fn step(
        &self,
        memory: &Memory<B>,
        past: &mut Vec<Past<B>>,
        max_distance: usize,
        pass: Settings,
        run: impl FnOnce(Watch<'_, B>),
    ) -> Tensor<B, 3> {
        let bias = self.stack.newest_bias(past, max_distance);
        let top = self.climb(run, |place, state| {
            self.stack.block[place].step(state, &mut past[place], &bias, memory.of(place), pass)
        });
        self.stack.finish(top, pass)
    }
}
