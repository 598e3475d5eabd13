//! The interface of a backbone for adapters, trainers and generators.
//!
//! Adapters change *embeddings*, so a backbone takes `[batch, seq, d_model]` embeddings and a mask, never token ids.
//!
//! Shapes: `batch` rows, `seq` input slots (prompt tokens included), `target` output slots, `d_model` channels.
//! Masks are `[batch, seq]`, true where a slot may be attended to.

use std::borrow::Cow;

use adept_core::{AdaptedInput, CoreError, Intervention, ModelSites, SideNetwork, SourceNetworks};
use adept_kernels::Precision;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor};

use crate::FirstAttention;
use crate::causal::Wanted;
use crate::linear::MergeDirection;
use crate::places::Places;
use crate::tape::Tape;
use crate::weights::Weights;

/// Common to all backbones: a vocabulary and its embedding matrix.
pub trait Backbone<B: Backend>: Module<B> {
    /// Channels of an embedding.
    fn d_model(&self) -> usize;
    /// Rows of the embedding matrix; T5 has more than its tokenizer has tokens.
    fn vocab_size(&self) -> usize;
    /// Looks up token ids `[batch, seq]`: `[batch, seq, d_model]`, as they enter the first block; Gemma scales them.
    fn embed(&self, ids: Tensor<B, 2, Int>) -> Tensor<B, 3>;
    /// What [`embed`](Self::embed) looks up, `[vocab, d_model]`.
    fn embedding_weight(&self) -> Tensor<B, 2>;

    /// Input embeddings of token ids `[batch, seq]` in front of a method's offset: from the method's own table if it
    /// has one ([`Intervention::vocabulary`]).
    fn look_up(&self, intervention: &dyn Intervention<B>, ids: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        match intervention.vocabulary() {
            Some(table) => adept_kernels::embedding(table, ids),
            None => self.embed(ids),
        }
    }

    /// What a method needs to know of the model. Without linear maps, only its embeddings can be adapted.
    fn sites(&self) -> ModelSites {
        ModelSites::embeddings(self.d_model())
    }

    /// The places listed by [`Backbone::sites`], in the same order.
    fn places(&mut self) -> Places<'_, B> {
        Places::default()
    }

    /// The model with a method's changes attached; borrowed if there are none. Weights are shared.
    fn adapted(&self, intervention: &dyn Intervention<B>) -> Cow<'_, Self> {
        if !intervention.changes_model() {
            return Cow::Borrowed(self);
        }
        // A clone shares its storage: only handles are created.
        let mut adapted = self.clone();
        adapted.places().attach(&self.sites(), intervention);
        if let Some(side) = intervention.side() {
            adapted.attach_side(&side);
        }
        if let Some(networks) = intervention.of_source() {
            adapted.attach_networks(networks);
        }
        Cow::Owned(adapted)
    }

    /// Prepares the model, which is frozen from now on, for products of the linear maps of its blocks in a precision.
    /// The embedding matrix, heads and what methods attach stay in float32.
    fn prepare(&mut self, precision: Precision) {
        let places = self.places();
        for linear in places.linears {
            linear.prepare(precision);
        }
        if let Some(embedding) = places.embedding {
            embedding.prepare();
        }
    }

    /// Builds the blocks of a side network, so that the head reads its states. Only asked of a model whose
    /// [`Backbone::sites`] say that it runs one ([`ModelSites::side`]).
    fn attach_side(&mut self, side: &SideNetwork<B>) {
        let _ = side;
    }

    /// Attaches what makes networks of the decoder for each input. Only asked of an encoder-decoder.
    fn attach_networks(&mut self, networks: SourceNetworks<B>) {
        let _ = networks;
    }

    /// Its weights, for methods that start from them.
    fn weights(&self) -> Weights<B> {
        Weights::new(self.sites(), &mut self.clone().places())
    }

    /// A plain model that computes the same as this one with a method's changes; or, in the other direction, the model
    /// they were merged into.
    ///
    /// # Errors
    /// [`CoreError::ZeroFactor`] if a change cannot be undone, [`CoreError::NoBias`] for a bias that the plain model
    /// does not have, [`CoreError::NotMergeable`] for what stands behind or beside a sublayer or in front of its keys
    /// and values or runs beside the model.
    fn merged(&self, intervention: &dyn Intervention<B>, direction: MergeDirection) -> Result<Self, CoreError> {
        if intervention.side().is_some() {
            let module = "side".to_owned();
            return Err(CoreError::NotMergeable { module });
        }
        if intervention.of_source().is_some() {
            let module = "decoder".to_owned();
            return Err(CoreError::NotMergeable { module });
        }
        let mut merged = self.clone();
        merged.places().merge(&self.sites(), intervention, direction)?;
        Ok(merged)
    }
}

/// An encoder-decoder: the adapter's output enters the encoder, the decoder sees plain token embeddings.
pub trait Seq2SeqBackbone<B: Backend>: Backbone<B> {
    /// Key/value cache of one generation: the encoder's, computed once, and the decoder's so far.
    type Cache;

    /// Encoder output `[batch, seq, d_model]` after the final norm, unspecified at masked slots; a side network's own
    /// output follows in further channels. `dropout` 0.0 means evaluation.
    fn encode(&self, embeddings: Tensor<B, 3>, mask: Tensor<B, 2, Bool>, dropout: f64) -> Tensor<B, 3> {
        self.encode_on(None, embeddings, mask, dropout)
    }

    /// [`Self::encode`] with its blocks on a tape, if there is one: their activations are computed again on the way
    /// back. Not where a side network runs, which keeps none.
    fn encode_on(
        &self,
        tape: Option<&Tape<B>>,
        embeddings: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        dropout: f64,
    ) -> Tensor<B, 3>;

    /// Scores and values of the encoder's first self-attention for embeddings `[batch, seq, d_model]`, without dropout:
    /// for analyses, since [`Self::encode`] may never hold them.
    fn first_attention(&self, embeddings: Tensor<B, 3>, mask: Tensor<B, 2, Bool>) -> FirstAttention<B>;

    /// Teacher-forced logits `[batch, target, vocab]`. `mask` is the encoder's.
    fn decode(
        &self,
        decoder_ids: Tensor<B, 2, Int>,
        encoded: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        dropout: f64,
    ) -> Tensor<B, 3>;

    /// Teacher-forced states `[batch, target, d_model]` that [`Self::head`] reads.
    fn decode_states(
        &self,
        decoder_ids: Tensor<B, 2, Int>,
        encoded: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        dropout: f64,
    ) -> Tensor<B, 3>;

    /// Logits `[rows, vocab]` of a decoder's states `[rows, d_model]`.
    fn head(&self, states: Tensor<B, 2>) -> Tensor<B, 2>;

    /// Mean cross-entropy of teacher-forced `labels` `[batch, target]` over those that are not negative: what
    /// [`crate::cross_entropy`] gives for the logits of [`Self::decode`], but a model may avoid computing the logits.
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

    /// Log-probabilities `[batch, candidates, target]` of `labels` `[candidates, target]`, 0 for negative ones, under
    /// the logits of [`Self::decode_candidates`]; not differentiable.
    fn score_candidates(
        &self,
        decoder_ids: Tensor<B, 2, Int>,
        encoded: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        labels: Tensor<B, 2, Int>,
    ) -> Tensor<B, 3> {
        crate::loss::label_log_probabilities(self.decode_candidates(decoder_ids, encoded, mask), labels)
    }

    /// Teacher-forced logits `[batch, candidates, target, vocab]` of the same `candidates` (decoder inputs
    /// `[candidates, target]`) for every row, in one pass; the encoder's keys and values are computed once per row.
    fn decode_candidates(
        &self,
        decoder_ids: Tensor<B, 2, Int>,
        encoded: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
    ) -> Tensor<B, 4>;

    /// Starts a generation: computes the keys and values that every step reads.
    fn start(&self, encoded: Tensor<B, 3>, mask: Tensor<B, 2, Bool>) -> Self::Cache;

    /// Feeds one token per row (`[batch, 1]`) and returns the logits of the next one, `[batch, vocab]`.
    fn step(&self, ids: Tensor<B, 2, Int>, cache: &mut Self::Cache) -> Tensor<B, 2>;

    /// The start token of the decoder (T5: pad).
    fn decoder_start_id(&self) -> u32;
    /// The end tokens, at least one.
    fn eos_ids(&self) -> &[u32];
    /// The padding token.
    fn pad_id(&self) -> u32;
}

/// A decoder-only backbone: the adapter's output `[P; tokens]` enters its single stack.
///
/// - Positions are passed in, not derived: with left padding they count either slots or unmasked tokens (both
///   conventions are in use), and the choice is the caller's. They are `[batch, seq]`, relative to the row's own start.
/// - [`read`](Self::read) takes embeddings, not ids: a generated token must pass through ADePT's offset just like every
///   training token, and only the caller knows the adapter.
/// - A cache is filled by [`read`](Self::read), any number of slots at a time, and remembers the masks: padding stays
///   hidden from all later slots. A common prefix (a soft prompt) is read once, as one row, and
///   [`repeat_cache`](Self::repeat_cache) copies it to every row of a batch.
/// - [`hidden`](Self::hidden) and [`head`](Self::head) are separate because with a vocabulary of 128 k the logits of
///   unlabelled slots would be the largest tensor of a step: gather the labelled slots first.
pub trait CausalBackbone<B: Backend>: Backbone<B> {
    /// Keys and values of the slots read so far, with their masks.
    type Cache: Clone;

    /// Hidden states `[batch, seq, d_model]` after the final norm; those of masked slots are unspecified. `dropout` 0.0
    /// means evaluation.
    fn hidden(
        &self,
        embeddings: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        positions: Tensor<B, 2, Int>,
        dropout: f64,
    ) -> Tensor<B, 3> {
        self.hidden_on(None, AdaptedInput::new(embeddings, mask), positions, dropout)
    }

    /// [`Self::hidden`] of an adapted input, whose shared slots a model computes once for all rows where it can; with
    /// its blocks on a tape, if there is one: their activations are computed again on the way back. Not where a side
    /// network runs, which keeps none. The positions of shared slots are the same in every row, too.
    fn hidden_on(
        &self,
        tape: Option<&Tape<B>>,
        input: AdaptedInput<B>,
        positions: Tensor<B, 2, Int>,
        dropout: f64,
    ) -> Tensor<B, 3>;

    /// [`Self::hidden_on`] of visible `slots` alone, counted row by row: `[slots, d_model]`. A model may leave out what
    /// nothing else reads.
    fn hidden_at(
        &self,
        tape: Option<&Tape<B>>,
        input: AdaptedInput<B>,
        positions: Tensor<B, 2, Int>,
        slots: &[usize],
        dropout: f64,
    ) -> Tensor<B, 2> {
        let hidden = self.hidden_on(tape, input, positions, dropout);
        Wanted::Slots(slots).of(hidden).squeeze_dim(0)
    }

    /// Logits `[rows, vocab]` for selected hidden states `[rows, d_model]`.
    fn head(&self, hidden: Tensor<B, 2>) -> Tensor<B, 2>;

    /// Mean cross-entropy `[1]` of selected hidden states `[rows, d_model]` against non-negative labels `[rows]`; a
    /// model may avoid computing the logits.
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

    /// An empty cache.
    fn new_cache(&self) -> Self::Cache;

    /// Repeats a one-row cache for `batch` rows; an empty one stays empty.
    fn repeat_cache(&self, cache: &Self::Cache, batch: usize) -> Self::Cache;

    /// Selects rows of a cache, in the order of `rows`: finished rows can be dropped and cost nothing more.
    fn select_cache(&self, cache: &Self::Cache, rows: Tensor<B, 1, Int>) -> Self::Cache;

    /// Reads slots `[batch, seq, d_model]` following those in the cache, and returns their hidden states after the
    /// final norm, `[batch, seq, d_model]`. `mask` and `positions` cover the new slots only, `[batch, seq]`.
    fn read_hidden(
        &self,
        embeddings: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        positions: Tensor<B, 2, Int>,
        cache: &mut Self::Cache,
    ) -> Tensor<B, 3>;

    /// Like [`read_hidden`](Self::read_hidden), but returns only the last slot's logits, `[batch, vocab]`; a generation
    /// step reads one slot.
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

    /// Number of positions it was trained for; quality beyond that length is unknown.
    fn max_positions(&self) -> usize;
    /// The end tokens, at least one; training rows end with the first.
    fn eos_ids(&self) -> &[u32];
    /// The padding token (to the left of a prompt).
    fn pad_id(&self) -> u32;
}

/// Makes every float parameter of a backbone require gradients: the baseline `full`.
///
/// Backbones are created frozen, and `AutodiffModule::from_inner` keeps them so; `Module::no_grad` undoes this.
///
/// # Panics
/// If the model has been prepared to stay frozen ([`Backbone::prepare`]): what was packed would get no gradient.
pub fn unfreeze<B: Backend, M: Backbone<B>>(mut backbone: M) -> M {
    let places = backbone.places();
    let prepared = places.linears.iter().filter(|linear| linear.is_prepared()).count();
    let is_table_prepared = places.embedding.is_some_and(|embedding| embedding.is_prepared());
    assert!(
        prepared == 0 && !is_table_prepared,
        "unfreeze: the model is prepared to stay frozen, {prepared} linear maps among it"
    );
    struct Unfreeze;
    impl<B: Backend> ModuleMapper<B> for Unfreeze {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
            param.set_require_grad(true)
        }
    }
    backbone.map(&mut Unfreeze)
}
