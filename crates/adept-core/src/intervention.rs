//! What a method changes in a frozen model: its input, and what is computed at its [sites](crate::ModelSites).
//!
//! A model looks up its tokens, passes the embeddings to [`Intervention::forward`] and runs on the result; before that,
//! it asks for a change of each of its linear maps ([`Intervention::linear`]), or computes them through
//! [`Intervention::apply_linear`], and of its norms, sublayers, embedding matrix and head, and for a network to run
//! beside it. By default nothing is changed.

use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor};

use crate::site::{LinearSite, NormSite, SublayerSite};
use crate::{Beside, Bottleneck, CoreError, LinearChange, NormChange, Prefix, SideNetwork, SourceNetworks};

/// The adapted input of a backbone.
#[derive(Debug, Clone)]
pub struct AdaptedInput<B: Backend> {
    /// `[batch, m + seq, d]`.
    pub embeddings: Tensor<B, 3>,
    /// `[batch, m + seq]`, true = attend.
    pub mask: Tensor<B, 2, Bool>,
    /// How many slots in front are the same in every row, in embeddings and mask: a causal model may compute them once.
    pub shared: usize,
}

impl<B: Backend> AdaptedInput<B> {
    /// Rows that have nothing in common.
    pub fn new(embeddings: Tensor<B, 3>, mask: Tensor<B, 2, Bool>) -> Self {
        Self {
            embeddings,
            mask,
            shared: 0,
        }
    }
}

/// A method's hooks into a model's forward pass.
pub trait Intervention<B: Backend>: std::fmt::Debug {
    /// Adds the offset to token embeddings `[batch, seq, d]`, keeping the shape; `first_position` is the slot of the
    /// first token, not counting virtual tokens.
    ///
    /// # Panics
    /// If the method has a position table and these positions lie beyond it; check with [`Intervention::check_width`].
    fn offset(&self, embeddings: Tensor<B, 3>, first_position: usize) -> Tensor<B, 3> {
        let _ = first_position;
        embeddings
    }

    /// Like [`Intervention::offset`] for tokens with explicit positions `[batch, seq]` (left-padded decoder rows);
    /// embeddings beyond a method's position table stay unchanged.
    fn offset_at(&self, embeddings: Tensor<B, 3>, positions: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        let _ = positions;
        embeddings
    }

    /// Virtual tokens prepended to every input, `[m, d]`.
    fn prompt(&self) -> Option<Tensor<B, 2>> {
        None
    }

    /// The change of a linear map, if any.
    fn linear(&self, site: LinearSite) -> Option<LinearChange<B>> {
        let _ = site;
        None
    }

    /// Output of a linear map for inputs `[batch, seq, in]` with the method's change; `linear` is the unchanged map.
    fn apply_linear(
        &self,
        site: LinearSite,
        x: Tensor<B, 3>,
        linear: &dyn Fn(Tensor<B, 3>) -> Tensor<B, 3>,
    ) -> Tensor<B, 3> {
        match self.linear(site) {
            Some(change) => change.apply(x, linear),
            None => linear(x),
        }
    }

    /// The change of a norm, if any.
    fn norm(&self, site: NormSite) -> Option<NormChange<B>> {
        let _ = site;
        None
    }

    /// What stands behind a sublayer, before dropout and the residual connection.
    fn after(&self, site: SublayerSite) -> Option<Bottleneck<B>> {
        let _ = site;
        None
    }

    /// What stands beside a feed-forward layer: it reads what the layer's norm gives and is added to its residual
    /// connection.
    fn beside(&self, site: SublayerSite) -> Option<Beside<B>> {
        let _ = site;
        None
    }

    /// What makes such networks for the blocks of an encoder-decoder's decoder, of the encoder's states for each input.
    fn of_source(&self) -> Option<SourceNetworks<B>> {
        None
    }

    /// Keys and values in front of an attention's own.
    fn prefix(&self, site: SublayerSite) -> Option<Prefix<B>> {
        let _ = site;
        None
    }

    /// What is added to the embedding matrix, `[vocab, d]`; a head tied to it changes with it.
    fn embedding(&self) -> Option<Tensor<B, 2>> {
        None
    }

    /// The table `[vocab, d]` in which input tokens are looked up instead of in the model's embedding matrix; a
    /// decoder's inputs in an encoder-decoder, and heads, keep the matrix.
    fn vocabulary(&self) -> Option<Tensor<B, 2>> {
        None
    }

    /// What is added to the logits, `[vocab]`.
    fn head_bias(&self) -> Option<Tensor<B, 1>> {
        None
    }

    /// A network beside the model, whose states the model's head reads in place of its own.
    fn side(&self) -> Option<SideNetwork<B>> {
        None
    }

    /// Whether anything but the input is changed; if not, a model can skip asking.
    fn changes_model(&self) -> bool {
        false
    }

    /// Checks that inputs of `seq` tokens (padding counted, virtual tokens not) can be adapted.
    ///
    /// # Errors
    /// [`CoreError::InputTooLong`] if the method has a position table of fewer rows.
    fn check_width(&self, seq: usize) -> Result<(), CoreError> {
        let _ = seq;
        Ok(())
    }

    /// The number m of virtual tokens before every input: of a prompt, or of a prefix to keys and values.
    fn virtual_tokens(&self) -> usize {
        self.prompt().map_or(0, |prompt| prompt.dims()[0])
    }

    /// The hooks for one of the tasks that an adapter was trained on together, counted from 0; `None` if they are the
    /// same for all of them.
    ///
    /// # Panics
    /// If the adapter has tasks of its own and fewer than that.
    fn of_task(&self, task: usize) -> Option<Box<dyn Intervention<B>>> {
        let _ = task;
        None
    }

    /// Adapts a batch: turns embeddings `[batch, seq, d]` and a mask `[batch, seq]` (true = attend) into the backbone's
    /// input of `m + seq` positions. Left-padded rows become `[P; pads; tokens]`.
    ///
    /// # Panics
    /// See [`Intervention::offset`].
    fn forward(&self, embeddings: Tensor<B, 3>, mask: Tensor<B, 2, Bool>) -> AdaptedInput<B> {
        prompted(self.prompt(), self.offset(embeddings, 0), mask)
    }

    /// Like [`Intervention::forward`] for tokens with explicit positions `[batch, seq]`, not counting virtual tokens.
    fn forward_at(
        &self,
        embeddings: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        positions: Tensor<B, 2, Int>,
    ) -> AdaptedInput<B> {
        prompted(self.prompt(), self.offset_at(embeddings, positions), mask)
    }
}

fn prompted<B: Backend>(
    prompt: Option<Tensor<B, 2>>,
    embeddings: Tensor<B, 3>,
    mask: Tensor<B, 2, Bool>,
) -> AdaptedInput<B> {
    let Some(prompt) = prompt else {
        return AdaptedInput::new(embeddings, mask);
    };
    let (batch, [m, d]) = (embeddings.dims()[0], prompt.dims());
    AdaptedInput {
        shared: m,
        ..prepend(prompt.unsqueeze::<3>().expand([batch, m, d]), embeddings, mask)
    }
}

/// Virtual tokens of each row, `[batch, m, d]`, in front of embeddings `[batch, seq, d]` and a mask.
pub(crate) fn prepend<B: Backend>(
    prompts: Tensor<B, 3>,
    embeddings: Tensor<B, 3>,
    mask: Tensor<B, 2, Bool>,
) -> AdaptedInput<B> {
    let [batch, m, _] = prompts.dims();
    let attended = Tensor::<B, 2, Bool>::full([batch, m], true, &embeddings.device());
    AdaptedInput::new(
        Tensor::cat(vec![prompts, embeddings], 1),
        Tensor::cat(vec![attended, mask], 1),
    )
}

/// A soft prompt and nothing else.
#[derive(Debug, Clone)]
pub struct Prompted<B: Backend> {
    /// The virtual tokens, `[m, d]`.
    pub prompt: Tensor<B, 2>,
}

impl<B: Backend> Intervention<B> for Prompted<B> {
    fn prompt(&self) -> Option<Tensor<B, 2>> {
        Some(self.prompt.clone())
    }
}

/// The unmodified backbone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unchanged;

impl<B: Backend> Intervention<B> for Unchanged {}
