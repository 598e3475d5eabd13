//! A stack of blocks: T5's encoder or decoder.
//!
//! The relative bias table belongs to block 0 in the checkpoint but serves every self-attention of its stack, so the
//! stack holds it. Bias and mask are combined once per pass.

use adept_core::Beside;
use adept_kernels::dropout;
use adept_kernels::sublayer::{KeysValues, Settings};
use adept_kernels::{AttentionBias, Segments};
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Tensor};

use super::layer::{Attention, FeedForward};
use super::position;
use crate::FirstAttention;
use crate::norm::RmsNorm;
use crate::places::Places;
use crate::tape::Tape;

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

/// What a decoder pass reads from the encoder: keys and values per block, the mask over them, and the networks that are
/// made of the encoder's states.
#[derive(Debug, Clone)]
pub(super) struct Memory<B: Backend> {
    blocks: Vec<KeysValues<B>>,
    bias: AttentionBias<B>,
    /// One for each block; empty if no method makes any.
    networks: Vec<Beside<B>>,
}

impl<B: Backend> Memory<B> {
    /// What the block of that number reads.
    pub(super) fn of(&self, block: usize) -> Read<'_, B> {
        Read {
            memory: &self.blocks[block],
            seen: &self.bias,
            made: self.networks.get(block),
        }
    }

    /// The same with networks for each block.
    pub(super) fn with_networks(self, networks: Vec<Beside<B>>) -> Self {
        Self { networks, ..self }
    }
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
        places.positions.push(&mut self.relative_attention_bias);
    }

    /// Slots in front of every self-attention.
    fn prefix(&self) -> usize {
        self.block
            .first()
            .map_or(0, |block| block.self_attention.attached.slots())
    }

    /// Bidirectional pass over embeddings `[b, n, d]`; returns the states after the final norm. Those of hidden slots
    /// are unspecified. With a tape, each block is a segment of it.
    pub(super) fn encode(
        &self,
        embeddings: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        max_distance: usize,
        pass: Settings,
        tape: Option<&Tape<B>>,
    ) -> Tensor<B, 3> {
        let Some(segments) = self.segments(&mask, pass) else {
            let bias = self.encoder_bias(mask, max_distance);
            let x = self.encode_blocks(dropout(embeddings, pass.dropout), &bias, pass, tape);
            return self.finish(x, pass);
        };
        let n = segments.width();
        let bias = position::bias(self.relative_attention_bias.val(), 0, n, n, true, max_distance);
        let bias = AttentionBias::of_segments(bias, segments.clone());
        let x = self.encode_blocks(segments.compact(embeddings), &bias, pass, tape);
        segments.padded(self.finish(x, pass))
    }

    fn encode_blocks(
        &self,
        x: Tensor<B, 3>,
        bias: &AttentionBias<B>,
        pass: Settings,
        tape: Option<&Tape<B>>,
    ) -> Tensor<B, 3> {
        self.block.iter().fold(x, |x, block| match tape {
            None => block.encode(x, bias, pass),
            Some(tape) => {
                let (block, bias) = (block.clone(), bias.clone());
                tape.segment(x, move |x| block.encode(x, &bias, pass))
            }
        })
    }

    /// The slots to encode without padding, where that saves products: not where fused sublayers read padded rows, a
    /// prefix stands in front of keys or the position bias is trained.
    fn segments(&self, mask: &Tensor<B, 2, Bool>, pass: Settings) -> Option<Segments> {
        let is_padded = pass.dropout > 0.0
            || self.prefix() > 0
            || self.relative_attention_bias.val().is_require_grad()
            || self.block.iter().any(|block| block.self_attention.is_fused(pass));
        if is_padded { None } else { Segments::of(mask, 0) }
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
        let bias = self.encoder_bias(mask, max_distance);
        let mut x = dropout(embeddings, pass.dropout);
        watch(&x);
        for block in &self.block {
            x = block.encode(x, &bias, pass);
            watch(&x);
        }
        self.finish(x, pass)
    }

    /// Bias and mask of the encoder's self-attentions.
    pub(super) fn encoder_bias(&self, mask: Tensor<B, 2, Bool>, max_distance: usize) -> AttentionBias<B> {
        let ([_, n], m) = (mask.dims(), self.prefix());
        let table = self.relative_attention_bias.val();
        let bias = position::bias(table, m, n, m + n, true, max_distance);
        AttentionBias::new(Some(bias), Some(with_prefix(mask, m)))
    }

    /// The norm after the last block, and dropout.
    pub(super) fn finish(&self, x: Tensor<B, 3>, pass: Settings) -> Tensor<B, 3> {
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
    /// `queries` is the number of decoder tokens a row if there is only one pass over them.
    pub(super) fn memory(
        &self,
        encoded: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        queries: Option<usize>,
        pass: Settings,
    ) -> Memory<B> {
        let blocks = self
            .block
            .iter()
            .map(|block| block.cross().keys_values(encoded.clone(), queries, pass))
            .collect();
        let m = self.block.first().map_or(0, |block| block.cross().attached.slots());
        Memory {
            blocks,
            bias: AttentionBias::new(None, Some(with_prefix(mask, m))),
            networks: Vec::new(),
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
        let bias = self.causal_bias(embeddings.dims()[1], max_distance);
        let mut x = dropout(embeddings, pass.dropout);
        watch(&x);
        for (number, block) in self.block.iter().enumerate() {
            x = block.decode(x, &bias, memory.of(number), pass);
            watch(&x);
        }
        self.finish(x, pass)
    }

    /// Bias of the decoder's self-attentions over `t` tokens.
    pub(super) fn causal_bias(&self, t: usize, max_distance: usize) -> AttentionBias<B> {
        let (table, m) = (self.relative_attention_bias.val(), self.prefix());
        let bias = position::causal(position::bias(table, m, t, m + t, false, max_distance), m);
        AttentionBias::new(Some(bias), None)
    }

    /// Decodes one more token per row, `[b, 1, d]`, without dropout; `past` holds the self-attention's keys and values
    /// and grows by one slot, `watch` sees the embeddings and the output of each block.
    pub(super) fn step(
        &self,
        embeddings: Tensor<B, 3>,
        memory: &Memory<B>,
        past: &mut Vec<Past<B>>,
        max_distance: usize,
        pass: Settings,
        watch: &mut dyn FnMut(&Tensor<B, 3>),
    ) -> Tensor<B, 3> {
        let bias = self.newest_bias(past, max_distance);
        let mut x = embeddings;
        watch(&x);
        for (number, (block, past)) in self.block.iter().zip(past).enumerate() {
            x = block.step(x, past, &bias, memory.of(number), pass);
            watch(&x);
        }
        self.finish(x, pass)
    }

    /// Bias of the newest token's self-attentions; makes room for every block in `past`.
    pub(super) fn newest_bias(&self, past: &mut Vec<Past<B>>, max_distance: usize) -> AttentionBias<B> {
        let position = match past.first() {
            Some(Some((keys, _))) => keys.dims()[1],
            _ => self.prefix(),
        };
        past.resize(self.block.len(), None);
        let table = self.relative_attention_bias.val();
        // The newest query sees every previous slot: no causal mask is needed.
        let bias = position::bias(table, position, 1, position + 1, false, max_distance);
        AttentionBias::new(Some(bias), None)
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

/// What a block reads from the encoder.
pub(super) struct Read<'a, B: Backend> {
    /// Keys and values for its cross-attention.
    memory: &'a KeysValues<B>,
    /// The mask over them.
    seen: &'a AttentionBias<B>,
    /// The network beside its feed-forward layer, if one is made.
    made: Option<&'a Beside<B>>,
}

impl<B: Backend> Block<B> {
    /// The encoder's block.
    pub(super) fn encode(&self, x: Tensor<B, 3>, bias: &AttentionBias<B>, pass: Settings) -> Tensor<B, 3> {
        let x = self.self_attention.self_attention(x, bias, pass);
        self.feed_forward.forward(x, None, pass)
    }

    /// The decoder's block.
    pub(super) fn decode(
        &self,
        x: Tensor<B, 3>,
        bias: &AttentionBias<B>,
        read: Read<'_, B>,
        pass: Settings,
    ) -> Tensor<B, 3> {
        let x = self.self_attention.self_attention(x, bias, pass);
        let x = self.cross().cross_attention(x, read.memory, read.seen, pass);
        self.feed_forward.forward(x, read.made, pass)
    }

    /// The decoder's block for the newest slot.
    pub(super) fn step(
        &self,
        x: Tensor<B, 3>,
        past: &mut Past<B>,
        bias: &AttentionBias<B>,
        read: Read<'_, B>,
        pass: Settings,
    ) -> Tensor<B, 3> {
        let x = self.self_attention.step(x, past, bias, pass);
        let x = self.cross().cross_attention(x, read.memory, read.seen, pass);
        self.feed_forward.forward(x, read.made, pass)
    }

    fn cross(&self) -> &Attention<B> {
        self.cross_attention
            .as_ref()
            .expect("blocks of a decoder are built with cross-attention")
    }
}
