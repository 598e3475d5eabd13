//! What an adapter, a trainer and a generator may ask of a backbone.
//!
//! Adapters change *embeddings*, so a backbone takes `[batch, seq, d_model]` embeddings and a mask, never token ids.
//!
//! Shapes: `batch` rows, `seq` input slots (prompt tokens included), `target` output slots, `d_model` channels.
//! Masks are `[batch, seq]`, true where a slot may be attended to.

use std::borrow::Cow;

use adept_core::{CoreError, Intervention, ModelSites};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor};

use crate::linear::{Linear, MergeDirection};

/// What every backbone has: a vocabulary and its embedding matrix.
pub trait Backbone<B: Backend>: Module<B> {
    /// Channels of one embedding.
    fn d_model(&self) -> usize;
    /// Rows of the embedding matrix; for T5 more than its tokenizer has tokens.
    fn vocab_size(&self) -> usize;
    /// Looks token ids `[batch, seq]` up: `[batch, seq, d_model]`, not scaled.
    fn embed(&self, ids: Tensor<B, 2, Int>) -> Tensor<B, 3>;
    /// The embedding matrix `[vocab, d_model]`.
    fn embedding_weight(&self) -> Tensor<B, 2>;

    /// What a method has to know of the model. One that names no linear maps can be adapted by its embeddings alone.
    fn sites(&self) -> ModelSites {
        ModelSites::embeddings(self.d_model())
    }

    /// The linear maps that [`Backbone::sites`] names, in its order.
    fn linears_mut(&mut self) -> Vec<&mut Linear<B>> {
        Vec::new()
    }

    /// The model with a method's changes of its linear maps; itself where there are none. Weights are shared.
    fn adapted(&self, intervention: &dyn Intervention<B>) -> Cow<'_, Self> {
        if !intervention.changes_linears() {
            return Cow::Borrowed(self);
        }
        // A copy shares its storage: nothing but handles is made anew.
        let mut adapted = self.clone();
        let maps = self.sites().linears;
        for (map, linear) in maps.iter().zip(adapted.linears_mut()) {
            linear.change = intervention.linear(map.site);
        }
        Cow::Owned(adapted)
    }

    /// A plain model that computes what this one does with a method's changes, or, in the other direction, the one that
    /// they were merged into.
    ///
    /// # Errors
    /// [`CoreError::ZeroFactor`] where a change that is to be taken out has no reverse.
    fn merged(&self, intervention: &dyn Intervention<B>, direction: MergeDirection) -> Result<Self, CoreError> {
        let mut merged = self.clone();
        let maps = self.sites().linears;
        for (map, linear) in maps.into_iter().zip(merged.linears_mut()) {
            let Some(change) = intervention.linear(map.site) else {
                continue;
            };
            if direction == MergeDirection::Out && change.has_zero_factor() {
                return Err(CoreError::ZeroFactor { module: map.name });
            }
            linear.merge(&change, direction);
        }
        Ok(merged)
    }
}

/// An encoder-decoder: the adapter's output enters the encoder, the decoder sees plain token embeddings.
pub trait Seq2SeqBackbone<B: Backend>: Backbone<B> {
    /// Keys and values of one generation: the encoder's, computed once, and the decoder's so far.
    type Cache;

    /// Encoder output `[batch, seq, d_model]` after the final norm. `dropout` 0.0 means evaluation.
    fn encode(&self, embeddings: Tensor<B, 3>, mask: Tensor<B, 2, Bool>, dropout: f64) -> Tensor<B, 3>;

    /// Teacher-forced logits `[batch, target, vocab]`. `mask` is the encoder's.
    fn decode(
        &self,
        decoder_ids: Tensor<B, 2, Int>,
        encoded: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        dropout: f64,
    ) -> Tensor<B, 3>;

    /// Mean cross-entropy of teacher-forced `labels` `[batch, target]` over those that are not negative; what
    /// [`crate::cross_entropy`] gives for the logits of [`Self::decode`], for which a model may not need the logits.
    fn decode_loss(
        &self,
        decoder_ids: Tensor<B, 2, Int>,
        encoded: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        labels: Tensor<B, 2, Int>,
        dropout: f64,
    ) -> Tensor<B, 1> {
        crate::cross_entropy(self.decode(decoder_ids, encoded, mask, dropout), labels)
    }

    /// Log-probabilities `[batch, candidates, target]` of `labels` `[candidates, target]`, 0 where they are negative, for
    /// the logits of [`Self::decode_candidates`]; not differentiated.
    fn score_candidates(
        &self,
        decoder_ids: Tensor<B, 2, Int>,
        encoded: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        labels: Tensor<B, 2, Int>,
    ) -> Tensor<B, 3> {
        crate::loss::label_log_probabilities(self.decode_candidates(decoder_ids, encoded, mask), labels)
    }

    /// Teacher-forced logits `[batch, candidates, target, vocab]` of the same `candidates` (`[candidates, target]`
    /// decoder inputs) for every row, in one pass; the encoder's keys and values are computed once a row.
    fn decode_candidates(
        &self,
        decoder_ids: Tensor<B, 2, Int>,
        encoded: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
    ) -> Tensor<B, 4>;

    /// Begins a generation: computes the keys and values that every step reads.
    fn start(&self, encoded: Tensor<B, 3>, mask: Tensor<B, 2, Bool>) -> Self::Cache;

    /// Feeds one token a row (`[batch, 1]`) and returns the logits of the next one, `[batch, vocab]`.
    fn step(&self, ids: Tensor<B, 2, Int>, cache: &mut Self::Cache) -> Tensor<B, 2>;

    /// The token a decoder begins with (T5: pad).
    fn decoder_start_id(&self) -> u32;
    /// The tokens that end an answer, at least one.
    fn eos_ids(&self) -> &[u32];
    /// The token that fills rows up.
    fn pad_id(&self) -> u32;
}

/// A decoder-only backbone: the adapter's output `[P; tokens]` enters the one stack there is.
///
/// - Positions are given, not derived: left-padded rows count either slots or unmasked tokens (both conventions are
///   in use), and that choice is the caller's. They are `[batch, seq]`, relative to the row's own count.
/// - [`read`](Self::read) takes embeddings, not ids: a token that is fed back passes through ADePT's offset like
///   every training token did, and only the caller knows the adapter.
/// - A cache is filled by [`read`](Self::read), any number of slots at a time, and keeps the masks of what it has read:
///   pads stay hidden from every later slot. What all rows begin with (a soft prompt) is read once, as one row, and
///   [`repeat_cache`](Self::repeat_cache) gives it to every row of a batch.
/// - [`hidden`](Self::hidden) and [`head`](Self::head) are apart because a vocabulary of 128 k makes logits of
///   unlabelled slots the largest tensor of a step: gather the labelled slots first.
pub trait CausalBackbone<B: Backend>: Backbone<B> {
    /// Keys and values of the slots read so far, with their masks.
    type Cache: Clone;

    /// Hidden states `[batch, seq, d_model]` after the final norm. `dropout` 0.0 means evaluation.
    fn hidden(
        &self,
        embeddings: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        positions: Tensor<B, 2, Int>,
        dropout: f64,
    ) -> Tensor<B, 3>;

    /// Logits `[rows, vocab]` of chosen hidden states `[rows, d_model]`.
    fn head(&self, hidden: Tensor<B, 2>) -> Tensor<B, 2>;

    /// Mean cross-entropy `[1]` of chosen hidden states `[rows, d_model]` against labels `[rows]` that are not negative;
    /// a model may not need the logits for it.
    fn head_loss(&self, hidden: Tensor<B, 2>, labels: Tensor<B, 1, Int>) -> Tensor<B, 1> {
        adept_kernels::cross_entropy(self.head(hidden), labels)
    }

    /// Logits `[batch, seq, vocab]` of every slot.
    fn forward(
        &self,
        embeddings: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        positions: Tensor<B, 2, Int>,
        dropout: f64,
    ) -> Tensor<B, 3> {
        let [batch, seq, d_model] = embeddings.dims();
        let hidden = self.hidden(embeddings, mask, positions, dropout);
        let vocab = self.vocab_size();
        self.head(hidden.reshape([batch * seq, d_model]))
            .reshape([batch, seq, vocab])
    }

    /// A cache that has read nothing.
    fn new_cache(&self) -> Self::Cache;

    /// A cache of one row, for `batch` rows; one that has read nothing stays so.
    fn repeat_cache(&self, cache: &Self::Cache, batch: usize) -> Self::Cache;

    /// The chosen rows of a cache, in the order of `rows`: rows that have ended are left out and cost nothing more.
    fn select_cache(&self, cache: &Self::Cache, rows: Tensor<B, 1, Int>) -> Self::Cache;

    /// Reads slots behind those of the cache, `[batch, seq, d_model]`, and returns their hidden states after the final
    /// norm, `[batch, seq, d_model]`. `mask` and `positions` are those of the new slots only, `[batch, seq]`.
    fn read_hidden(
        &self,
        embeddings: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        positions: Tensor<B, 2, Int>,
        cache: &mut Self::Cache,
    ) -> Tensor<B, 3>;

    /// As [`read_hidden`](Self::read_hidden), but returns the logits of the last slot alone, `[batch, vocab]`; a step of a
    /// generation is one slot.
    fn read(
        &self,
        embeddings: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        positions: Tensor<B, 2, Int>,
        cache: &mut Self::Cache,
    ) -> Tensor<B, 2> {
        let [batch, seq, d_model] = embeddings.dims();
        let hidden = self.read_hidden(embeddings, mask, positions, cache);
        self.head(hidden.narrow(1, seq - 1, 1).reshape([batch, d_model]))
    }

    /// Positions it was trained for; quality beyond that length is unknown.
    fn max_positions(&self) -> usize;
    /// The tokens that end a text, at least one; the first is what a training row ends with.
    fn eos_ids(&self) -> &[u32];
    /// The token that fills rows up (left of the prefix).
    fn pad_id(&self) -> u32;
}

/// Makes every float parameter of a module require a gradient: the baseline `full`.
///
/// Backbones are made frozen, and `AutodiffModule::from_inner` keeps them so; `Module::no_grad` undoes this.
pub fn unfreeze<B: Backend, M: Module<B>>(module: M) -> M {
    struct Unfreeze;
    impl<B: Backend> ModuleMapper<B> for Unfreeze {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
            param.set_require_grad(true)
        }
    }
    module.map(&mut Unfreeze)
}
