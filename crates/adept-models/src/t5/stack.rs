//! A stack of blocks: T5's encoder or decoder.
//!
//! The relative bias table belongs to block 0 in the checkpoint but serves every self-attention of its stack, so the
//! stack holds it. Bias and mask are combined once per pass.

use adept_kernels::AttentionBias;
use adept_kernels::sublayer::{KeysValues, Settings, dropout};
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Tensor};

use super::layer::{Attention, FeedForward};
use super::position;
use crate::FirstAttention;
use crate::norm::RmsNorm;
use crate::places::Places;

/// One block: self-attention, cross-attention (decoder only), feed-forward.
#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    /// `layer.0.SelfAttention`.
    pub self_attention: Attention<B>,
    /// `layer.1.EncDecAttention`; decoder only.
    pub cross_attention: Option<Attention<B>>,
    /// `layer.1.DenseReluDense` of the encoder, `layer.2.DenseReluDense` of the decoder.
    pub feed_forward: FeedForward<B>,
}

/// The encoder or the decoder.
#[derive(Module, Debug)]
pub struct Stack<B: Backend> {
    /// The blocks, in order.
    pub block: Vec<Block<B>>,
    /// `block.0.layer.0.SelfAttention.relative_attention_bias`, `[buckets, heads]`.
    pub relative_attention_bias: Param<Tensor<B, 2>>,
    /// The norm after the last block.
    pub final_layer_norm: RmsNorm<B>,
}

/// Keys and values of one self-attention layer's previous slots, `[b, n, heads × channels]` each.
pub(super) type Past<B> = Option<(Tensor<B, 3>, Tensor<B, 3>)>;

/// What a decoder pass reads from the encoder: keys and values per block, and the mask over them.
#[derive(Debug, Clone)]
pub(super) struct Memory<B: Backend> {
    pub blocks: Vec<KeysValues<B>>,
    pub bias: AttentionBias<B>,
}

impl<B: Backend> Stack<B> {
    /// Adds every place, in the order of [`super::T5Config::sites`].
    pub(super) fn places<'a>(&'a mut self, places: &mut Places<'a, B>) {
        for block in &mut self.block {
            let attentions = [Some(&mut block.self_attention), block.cross_attention.as_mut()];
            for attention in attentions.into_iter().flatten() {
                places.linears.extend([&mut attention.q, &mut attention.k]);
                places.linears.extend([&mut attention.v, &mut attention.o]);
                places.norms.push(attention.layer_norm.place());
                places.sublayers.push(&mut attention.attached);
            }
            let layer = &mut block.feed_forward;
            places.linears.push(&mut layer.wi);
            places.linears.extend(layer.wi_1.as_mut());
            places.linears.push(&mut layer.wo);
            places.norms.push(layer.layer_norm.place());
            places.sublayers.push(&mut layer.attached);
        }
        places.norms.push(self.final_layer_norm.place());
    }

    /// Slots in front of every self-attention.
    fn prefix(&self) -> usize {
        self.block
            .first()
            .map_or(0, |block| block.self_attention.attached.slots())
    }

    /// Bidirectional pass over embeddings `[b, n, d]`; returns the states after the final norm.
    pub(super) fn encode(
        &self,
        embeddings: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        max_distance: usize,
        pass: Settings,
    ) -> Tensor<B, 3> {
        self.encode_watched(embeddings, mask, max_distance, pass, &mut |_| ())
    }

    /// Like [`Self::encode`]; `watch` sees the embeddings and the output of each block.
    pub(super) fn encode_watched(
        &self,
        embeddings: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        max_distance: usize,
        pass: Settings,
        watch: &mut dyn FnMut(&Tensor<B, 3>),
    ) -> Tensor<B, 3> {
        let ([_, n, _], m) = (embeddings.dims(), self.prefix());
        let table = self.relative_attention_bias.val();
        let bias = position::bias(table, m, n, m + n, true, max_distance);
        let bias = AttentionBias::new(Some(bias), Some(with_prefix(mask, m)));
        let mut x = dropout(embeddings, pass.dropout);
        watch(&x);
        for block in &self.block {
            x = block.self_attention.self_attention(x, &bias, pass);
            x = block.feed_forward.forward(x, pass);
            watch(&x);
        }
        dropout(self.final_layer_norm.forward(x, pass.epsilon), pass.dropout)
    }

    /// What the first block's self-attention computes from embeddings `[b, n, d]` of a bidirectional pass.
    pub(super) fn first_attention(
        &self,
        embeddings: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        max_distance: usize,
        pass: Settings,
    ) -> FirstAttention<B> {
        let ([_, n, _], m) = (embeddings.dims(), self.prefix());
        let table = self.relative_attention_bias.val();
        let bias = position::bias(table, m, n, m + n, true, max_distance);
        let first = self.block.first().expect("a configuration without blocks is refused");
        let states = first.self_attention.projected(embeddings, pass);
        FirstAttention::new(states, bias, with_prefix(mask, m))
    }

    /// The encoder's keys and values for every block: computed once per batch, however many tokens are decoded.
    pub(super) fn memory(&self, encoded: Tensor<B, 3>, mask: Tensor<B, 2, Bool>, pass: Settings) -> Memory<B> {
        let blocks = self
            .block
            .iter()
            .map(|block| block.cross().keys_values(encoded.clone(), pass))
            .collect();
        let m = self.block.first().map_or(0, |block| block.cross().attached.slots());
        Memory {
            blocks,
            bias: AttentionBias::new(None, Some(with_prefix(mask, m))),
        }
    }

    /// Causal pass over decoder embeddings `[b × c, t, d]`, with `c` candidates per row of the memory.
    pub(super) fn decode(
        &self,
        embeddings: Tensor<B, 3>,
        memory: &Memory<B>,
        max_distance: usize,
        pass: Settings,
    ) -> Tensor<B, 3> {
        self.decode_watched(embeddings, memory, max_distance, pass, &mut |_| ())
    }

    /// Like [`Self::decode`]; `watch` sees the embeddings and the output of each block.
    pub(super) fn decode_watched(
        &self,
        embeddings: Tensor<B, 3>,
        memory: &Memory<B>,
        max_distance: usize,
        pass: Settings,
        watch: &mut dyn FnMut(&Tensor<B, 3>),
    ) -> Tensor<B, 3> {
        let ([_, t, _], m) = (embeddings.dims(), self.prefix());
        let table = self.relative_attention_bias.val();
        let bias = position::causal(position::bias(table, m, t, m + t, false, max_distance), m);
        let bias = AttentionBias::new(Some(bias), None);
        let mut x = dropout(embeddings, pass.dropout);
        watch(&x);
        for (block, memory_block) in self.block.iter().zip(&memory.blocks) {
            x = block.self_attention.self_attention(x, &bias, pass);
            x = block.cross().cross_attention(x, memory_block, &memory.bias, pass);
            x = block.feed_forward.forward(x, pass);
            watch(&x);
        }
        dropout(self.final_layer_norm.forward(x, pass.epsilon), pass.dropout)
    }

    /// Decodes one more token per row, `[b, 1, d]`; `past` holds the self-attention's keys and values and grows by one
    /// slot.
    pub(super) fn step(
        &self,
        embeddings: Tensor<B, 3>,
        memory: &Memory<B>,
        past: &mut Vec<Past<B>>,
        max_distance: usize,
        pass: Settings,
    ) -> Tensor<B, 3> {
        let position = match past.first() {
            Some(Some((keys, _))) => keys.dims()[1],
            _ => self.prefix(),
        };
        past.resize(self.block.len(), None);
        let table = self.relative_attention_bias.val();
        // The newest query sees every previous slot: no causal mask is needed.
        let bias = position::bias(table, position, 1, position + 1, false, max_distance);
        let bias = AttentionBias::new(Some(bias), None);
        let mut x = embeddings;
        for ((block, memory_block), past) in self.block.iter().zip(&memory.blocks).zip(past) {
            x = block.self_attention.step(x, past, &bias, pass);
            x = block.cross().cross_attention(x, memory_block, &memory.bias, pass);
            x = block.feed_forward.forward(x, pass);
        }
        self.final_layer_norm.forward(x, pass.epsilon)
    }
}

/// The mask `[b, n]` with `m` visible slots in front.
fn with_prefix<B: Backend>(mask: Tensor<B, 2, Bool>, m: usize) -> Tensor<B, 2, Bool> {
    if m == 0 {
        return mask;
    }
    let visible = Tensor::full([mask.dims()[0], m], true, &mask.device());
    Tensor::cat(vec![visible, mask], 1)
}

impl<B: Backend> Block<B> {
    fn cross(&self) -> &Attention<B> {
        self.cross_attention
            .as_ref()
            .expect("blocks of a decoder are built with cross-attention")
    }
}
