//! The model: embedding, encoder, decoder, head, and the implementation of the backbone traits.

use adept_core::ModelSites;
use adept_kernels::sublayer::Settings;
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor};

use super::config::T5Config;
use super::stack::{Memory, Past, Stack};
use crate::FirstAttention;
use crate::linear::Linear;
use crate::loss::label_log_probabilities;
use crate::places::Places;
use crate::traits::{Backbone, Seq2SeqBackbone};

/// An embedding table, `[vocab, d_model]`.
#[derive(Module, Debug)]
pub struct Embedding<B: Backend> {
    /// `[vocab, d_model]`, as in the checkpoint.
    pub weight: Param<Tensor<B, 2>>,
}

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
    #[module(skip)]
    pub(super) config: T5Config,
}

/// Key/value cache of one generation.
#[derive(Debug, Clone)]
pub struct T5Cache<B: Backend> {
    memory: Memory<B>,
    past: Vec<Past<B>>,
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
        let memory = self.decoder.memory(encoded, mask, self.pass(0.0));
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
    fn head(&self, states: Tensor<B, 2>) -> Tensor<B, 2> {
        let states = match self.config.scale_decoder_outputs {
            true => states.mul_scalar(self.head_factor()),
            false => states,
        };
        let logits = match &self.lm_head {
            Some(head) => states.matmul(head.weight.val()),
            None => states.matmul(self.shared.weight.val().transpose()),
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
        let [b, t] = decoder_ids.dims();
        let memory = self.decoder.memory(encoded, mask, self.pass(dropout));
        let max_distance = self.config.relative_attention_max_distance;
        self.decoder
            .decode(self.embed(decoder_ids), &memory, max_distance, self.pass(dropout))
            .reshape([b * t, self.config.d_model])
    }

    /// Decoder states `[batch × candidates × target, d_model]` before the head.
    fn candidate_states(
        &self,
        decoder_ids: Tensor<B, 2, Int>,
        encoded: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
    ) -> Tensor<B, 2> {
        let [candidates, t] = decoder_ids.dims();
        let [b, _, d] = encoded.dims();
        let memory = self.decoder.memory(encoded, mask, self.pass(0.0));
        let embeddings = self
            .embed(decoder_ids)
            .unsqueeze::<4>()
            .expand([b, candidates, t, d])
            .reshape([b * candidates, t, d]);
        let max_distance = self.config.relative_attention_max_distance;
        self.decoder
            .decode(embeddings, &memory, max_distance, self.pass(0.0))
            .reshape([b * candidates * t, d])
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
        adept_kernels::embedding(self.shared.weight.val(), ids)
    }

    fn embedding_weight(&self) -> Tensor<B, 2> {
        self.shared.weight.val()
    }

    fn sites(&self) -> ModelSites {
        self.config.sites()
    }

    fn places(&mut self) -> Places<'_, B> {
        let mut places = Places::default();
        self.encoder.places(&mut places);
        self.decoder.places(&mut places);
        Places {
            embedding: Some(&mut self.shared.weight),
            head_bias: Some(&mut self.head_bias),
            ..places
        }
    }
}

impl<B: Backend> Seq2SeqBackbone<B> for T5<B> {
    type Cache = T5Cache<B>;

    fn encode(&self, embeddings: Tensor<B, 3>, mask: Tensor<B, 2, Bool>, dropout: f64) -> Tensor<B, 3> {
        self.encoder.encode(
            embeddings,
            mask,
            self.config.relative_attention_max_distance,
            self.pass(dropout),
        )
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
        self.head(self.decoder_states(decoder_ids, encoded, mask, dropout))
            .reshape([b, t, self.config.vocab_size])
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
            true => adept_kernels::head_loss(states, self.shared.weight.val(), self.head_factor(), labels),
            false => adept_kernels::cross_entropy(self.head(states), labels),
        }
    }

    fn decode_candidates(
        &self,
        decoder_ids: Tensor<B, 2, Int>,
        encoded: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
    ) -> Tensor<B, 4> {
        let ([candidates, t], [b, _, _]) = (decoder_ids.dims(), encoded.dims());
        self.head(self.candidate_states(decoder_ids, encoded, mask))
            .reshape([b, candidates, t, self.config.vocab_size])
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
        let (weight, factor) = (self.shared.weight.val(), self.head_factor());
        adept_kernels::head_log_probabilities(states, weight, factor, every.reshape([b * candidates * t]))
            .reshape([b, candidates, t])
    }

    fn start(&self, encoded: Tensor<B, 3>, mask: Tensor<B, 2, Bool>) -> T5Cache<B> {
        T5Cache {
            memory: self.decoder.memory(encoded, mask, self.pass(0.0)),
            past: Vec::new(),
        }
    }

    fn step(&self, ids: Tensor<B, 2, Int>, cache: &mut T5Cache<B>) -> Tensor<B, 2> {
        let [b, _] = ids.dims();
        let embeddings = self.embed(ids);
        let max_distance = self.config.relative_attention_max_distance;
        let states = self
            .decoder
            .step(embeddings, &cache.memory, &mut cache.past, max_distance, self.pass(0.0));
        self.head(states.reshape([b, self.config.d_model]))
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
