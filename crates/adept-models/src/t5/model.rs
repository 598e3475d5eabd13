//! The model: embedding, encoder, decoder, head, and the implementation of the backbone traits.

use adept_core::{ModelSites, SideNetwork, SourceNetworks};
use adept_kernels::sublayer::Settings;
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor};

use super::config::{FeedForwardKind, T5Config};
use super::side::Side;
use super::stack::{Memory, Past, Stack};
use crate::FirstAttention;
use crate::embedding::Embedding;
use crate::linear::Linear;
use crate::loss::label_log_probabilities;
use crate::places::Places;
use crate::tape::Tape;
use crate::traits::{Backbone, Seq2SeqBackbone};

/// T5, v1.0 or v1.1, with frozen parameters; [`crate::unfreeze`] is for full fine-tuning.
///
/// Parameter paths follow the checkpoint's names (`shared.weight`, `encoder.block.0.self_attention.q.weight`, …), with
/// layer numbers replaced by the layers' roles.
#[derive(Module, Debug)]
pub struct T5<B: Backend> {
    /// The token embeddings, shared by the encoder, the decoder and a tied head.
    pub shared: Embedding<B>,
    /// The encoder.
    pub encoder: Stack<B>,
    /// The decoder.
    pub decoder: Stack<B>,
    /// The output head of untied models (v1.1), `[d_model, vocab]`; tied ones use [`Self::shared`].
    pub lm_head: Option<Linear<B>>,
    /// `[vocab]`, if a method adds one.
    pub head_bias: Option<Param<Tensor<B, 1>>>,
    /// A network beside the model whose states the head reads, if a method has one; not part of the model's parameters.
    pub side: Option<Side<B>>,
    /// What makes networks of the decoder for each input, if a method does; not part of the model's parameters.
    pub networks: Option<SourceNetworks<B>>,
    #[module(skip)]
    pub(super) config: T5Config,
}

/// Key/value cache of one generation.
#[derive(Debug, Clone)]
pub struct T5Cache<B: Backend> {
    memory: Memories<B>,
    past: Vec<Past<B>>,
    /// Of the side network.
    side_past: Vec<Past<B>>,
}

/// What the decoder reads from the encoder, and a side network from its own.
#[derive(Debug, Clone)]
struct Memories<B: Backend> {
    own: Memory<B>,
    side: Option<Memory<B>>,
}

impl<B: Backend> T5<B> {
    /// The model's configuration.
    pub fn config(&self) -> &T5Config {
        &self.config
    }

    /// Encoder states `[batch, seq, d_model]`: the embeddings, the output of each block but the last, and the output
    /// after the final norm. For comparison with other implementations.
    pub fn encoder_hidden(&self, embeddings: Tensor<B, 3>, mask: Tensor<B, 2, Bool>) -> Vec<Tensor<B, 3>> {
        let mut states = Vec::new();
        let last = self.encoder.encode_watched(
            embeddings,
            mask,
            self.config.relative_attention_max_distance,
            self.pass(0.0),
            &mut |state| states.push(state.clone()),
        );
        states.pop();
        states.push(last);
        states
    }

    /// Decoder states `[batch, target, d_model]`, as in [`Self::encoder_hidden`]; `mask` is the encoder's.
    pub fn decoder_hidden(
        &self,
        decoder_ids: Tensor<B, 2, Int>,
        encoded: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
    ) -> Vec<Tensor<B, 3>> {
        let mut states = Vec::new();
        let queries = decoder_ids.dims()[1];
        let memory = self.memories(encoded, mask, Some(queries), self.pass(0.0)).own;
        let last = self.decoder.decode_watched(
            self.embed(decoder_ids),
            &memory,
            self.config.relative_attention_max_distance,
            self.pass(0.0),
            &mut |state| states.push(state.clone()),
        );
        states.pop();
        states.push(last);
        states
    }

    fn pass(&self, dropout: f64) -> Settings {
        Settings {
            heads: self.config.num_heads,
            epsilon: self.config.layer_norm_epsilon,
            dropout,
        }
    }

    /// Factor of the decoder states before the head: `d_model^-0.5` with a tied head, since the embedding has unit
    /// variance and logits would be too large by the inverse.
    fn head_factor(&self) -> f64 {
        match self.config.scale_decoder_outputs {
            true => (self.config.d_model as f64).powf(-0.5),
            false => 1.0,
        }
    }

    /// Logits `[n, vocab]` for decoder states `[n, d_model]`.
    fn logits(&self, states: Tensor<B, 2>) -> Tensor<B, 2> {
        let states = match self.config.scale_decoder_outputs {
            true => states.mul_scalar(self.head_factor()),
            false => states,
        };
        let logits = match &self.lm_head {
            Some(head) => head.forward_rows(states),
            None => adept_kernels::head_logits(states, self.shared.kept()),
        };
        match &self.head_bias {
            Some(bias) => logits + bias.val().unsqueeze(),
            None => logits,
        }
    }

    /// Whether the logits are a plain product with the embedding matrix, for which there are fused kernels.
    fn head_is_plain(&self) -> bool {
        self.lm_head.is_none() && self.head_bias.is_none()
    }

    /// Decoder states `[batch × target, d_model]` before the head.
    fn decoder_states(
        &self,
        decoder_ids: Tensor<B, 2, Int>,
        encoded: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        dropout: f64,
    ) -> Tensor<B, 2> {
        let memories = self.memories(encoded, mask, Some(decoder_ids.dims()[1]), self.pass(dropout));
        self.decoded(self.embed(decoder_ids), &memories, self.pass(dropout))
    }

    /// Decoder states `[batch × candidates × target, d_model]` before the head.
    fn candidate_states(
        &self,
        decoder_ids: Tensor<B, 2, Int>,
        encoded: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
    ) -> Tensor<B, 2> {
        let [candidates, t] = decoder_ids.dims();
        let ([b, _, _], d) = (encoded.dims(), self.config.d_model);
        let memories = self.memories(encoded, mask, Some(candidates * t), self.pass(0.0));
        let embeddings = self
            .embed(decoder_ids)
            .unsqueeze::<4>()
            .expand([b, candidates, t, d])
            .reshape([b * candidates, t, d]);
        self.decoded(embeddings, &memories, self.pass(0.0))
    }

    /// What the stacks read of [`Seq2SeqBackbone::encode`]'s result: of a side network, the last channels are its own.
    fn memories(
        &self,
        encoded: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        queries: Option<usize>,
        pass: Settings,
    ) -> Memories<B> {
        let Some(side) = &self.side else {
            let made = self.networks.as_ref();
            let made = made.map(|networks| networks.make(encoded.clone(), mask.clone()));
            let own = self.decoder.memory(encoded, mask, queries, pass);
            let own = own.with_networks(made.unwrap_or_default());
            return Memories { own, side: None };
        };
        let (d, [_, _, all]) = (self.config.d_model, encoded.dims());
        let beside = encoded.clone().narrow(2, d, all - d);
        // Joined with the side network's, the model's own states are part of its graph, which they are not to extend.
        let own = encoded.narrow(2, 0, d).detach();
        Memories {
            own: self.decoder.memory(own, mask.clone(), queries, pass),
            side: Some(side.decoder.stack.memory(beside, mask, queries, pass)),
        }
    }

    /// States `[b × c × t, d_model]` before the head, of decoder embeddings `[b × c, t, d_model]`.
    fn decoded(&self, embeddings: Tensor<B, 3>, memories: &Memories<B>, pass: Settings) -> Tensor<B, 2> {
        let [rows, t, d] = embeddings.dims();
        let max_distance = self.config.relative_attention_max_distance;
        match (&self.side, &memories.side) {
            (Some(side), Some(memory)) => {
                let top = side.decoder.decode(t, memory, max_distance, pass, |watch| {
                    self.decoder
                        .decode_watched(embeddings, &memories.own, max_distance, pass, watch);
                });
                self.risen(side, top)
            }
            _ => self
                .decoder
                .decode(embeddings, &memories.own, max_distance, pass)
                .reshape([rows * t, d]),
        }
    }

    /// A side network's last states `[b, n, w]` at the model's width, `[b × n, d_model]`.
    fn risen(&self, side: &Side<B>, top: Tensor<B, 3>) -> Tensor<B, 2> {
        let [rows, n, width] = top.dims();
        side.up.forward_rows(top.reshape([rows * n, width]))
    }
}

impl<B: Backend> Backbone<B> for T5<B> {
    fn d_model(&self) -> usize {
        self.config.d_model
    }

    fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    fn embed(&self, ids: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        self.shared.look_up(ids)
    }

    fn embedding_weight(&self) -> Tensor<B, 2> {
        self.shared.weight()
    }

    fn sites(&self) -> ModelSites {
        self.config.sites()
    }

    fn places(&mut self) -> Places<'_, B> {
        let mut places = Places::default();
        self.encoder.places(&mut places);
        self.decoder.places(&mut places);
        Places {
            embedding: Some(&mut self.shared),
            head_bias: Some(&mut self.head_bias),
            ..places
        }
    }

    fn attach_side(&mut self, side: &SideNetwork<B>) {
        let is_gated = self.config.feed_forward_proj == FeedForwardKind::GatedGelu;
        self.side = Some(Side::new(side, is_gated));
    }

    fn attach_networks(&mut self, networks: SourceNetworks<B>) {
        self.networks = Some(networks);
    }
}

impl<B: Backend> Seq2SeqBackbone<B> for T5<B> {
    type Cache = T5Cache<B>;

    fn encode_on(
        &self,
        tape: Option<&Tape<B>>,
        embeddings: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        dropout: f64,
    ) -> Tensor<B, 3> {
        let (max_distance, pass) = (self.config.relative_attention_max_distance, self.pass(dropout));
        let Some(side) = &self.side else {
            return self.encoder.encode(embeddings, mask, max_distance, pass, tape);
        };
        let mut encoded = None;
        let beside = side.encoder.encode(mask.clone(), max_distance, pass, |watch| {
            encoded = Some(self.encoder.encode_watched(embeddings, mask, max_distance, pass, watch));
        });
        let encoded = encoded.into_iter().chain([beside]);
        Tensor::cat(encoded.collect(), 2)
    }

    fn first_attention(&self, embeddings: Tensor<B, 3>, mask: Tensor<B, 2, Bool>) -> FirstAttention<B> {
        let max_distance = self.config.relative_attention_max_distance;
        self.encoder
            .first_attention(embeddings, mask, max_distance, self.pass(0.0))
    }

    fn decode(
        &self,
        decoder_ids: Tensor<B, 2, Int>,
        encoded: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        dropout: f64,
    ) -> Tensor<B, 3> {
        let [b, t] = decoder_ids.dims();
        self.logits(self.decoder_states(decoder_ids, encoded, mask, dropout))
            .reshape([b, t, self.config.vocab_size])
    }

    fn decode_states(
        &self,
        decoder_ids: Tensor<B, 2, Int>,
        encoded: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        dropout: f64,
    ) -> Tensor<B, 3> {
        let [b, t] = decoder_ids.dims();
        self.decoder_states(decoder_ids, encoded, mask, dropout)
            .reshape([b, t, self.config.d_model])
    }

    fn head(&self, states: Tensor<B, 2>) -> Tensor<B, 2> {
        self.logits(states)
    }

    fn decode_loss(
        &self,
        decoder_ids: Tensor<B, 2, Int>,
        encoded: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        labels: Tensor<B, 2, Int>,
        dropout: f64,
    ) -> Tensor<B, 1> {
        let [b, t] = labels.dims();
        let states = self.decoder_states(decoder_ids, encoded, mask, dropout);
        let labels = labels.reshape([b * t]);
        match self.head_is_plain() {
            true => adept_kernels::head_loss(states, self.shared.kept(), self.head_factor(), labels),
            false => adept_kernels::cross_entropy(self.logits(states), labels),
        }
    }

    fn decode_candidates(
        &self,
        decoder_ids: Tensor<B, 2, Int>,
        encoded: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
    ) -> Tensor<B, 4> {
        let ([candidates, t], [b, _, _]) = (decoder_ids.dims(), encoded.dims());
        self.logits(self.candidate_states(decoder_ids, encoded, mask)).reshape([
            b,
            candidates,
            t,
            self.config.vocab_size,
        ])
    }

    fn score_candidates(
        &self,
        decoder_ids: Tensor<B, 2, Int>,
        encoded: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        labels: Tensor<B, 2, Int>,
    ) -> Tensor<B, 3> {
        if !self.head_is_plain() {
            return label_log_probabilities(self.decode_candidates(decoder_ids, encoded, mask), labels);
        }
        let ([candidates, t], [b, _, _]) = (labels.dims(), encoded.dims());
        let every = labels.reshape([1, candidates * t]).expand([b, candidates * t]);
        let states = self.candidate_states(decoder_ids, encoded, mask);
        let (table, factor) = (self.shared.kept(), self.head_factor());
        adept_kernels::head_log_probabilities(states, table, factor, every.reshape([b * candidates * t]))
            .reshape([b, candidates, t])
    }

    fn start(&self, encoded: Tensor<B, 3>, mask: Tensor<B, 2, Bool>) -> T5Cache<B> {
        T5Cache {
            memory: self.memories(encoded, mask, None, self.pass(0.0)),
            past: Vec::new(),
            side_past: Vec::new(),
        }
    }

    fn step(&self, ids: Tensor<B, 2, Int>, cache: &mut T5Cache<B>) -> Tensor<B, 2> {
        let [b, _] = ids.dims();
        let (embeddings, pass) = (self.embed(ids), self.pass(0.0));
        let max_distance = self.config.relative_attention_max_distance;
        let T5Cache {
            memory,
            past,
            side_past,
        } = cache;
        let mut own = |watch: &mut dyn FnMut(&Tensor<B, 3>)| {
            self.decoder
                .step(embeddings.clone(), &memory.own, past, max_distance, pass, watch)
        };
        let states = match (&self.side, &memory.side) {
            (Some(side), Some(memory)) => {
                let run = |watch: &mut dyn FnMut(&Tensor<B, 3>)| {
                    own(watch);
                };
                let top = side.decoder.step(memory, side_past, max_distance, pass, run);
                self.risen(side, top)
            }
            _ => own(&mut |_| ()).reshape([b, self.config.d_model]),
        };
        self.logits(states)
    }

    fn decoder_start_id(&self) -> u32 {
        self.config.decoder_start_token_id
    }

    fn eos_ids(&self) -> &[u32] {
        &self.config.eos_token_ids
    }

    fn pad_id(&self) -> u32 {
        self.config.pad_token_id
    }
}
