//! What a method changes of a frozen model: what enters it, and what happens at named places inside.
//!
//! A model looks tokens up, gives the embeddings to [`Intervention::forward`] and runs on what comes back; before that it
//! asks for each of its linear maps whether [`Intervention::linear`] changes it. Every default changes nothing.

use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor};

use crate::site::LinearSite;
use crate::{CoreError, LinearChange};

/// What the backbone is run on.
#[derive(Debug, Clone)]
pub struct AdaptedInput<B: Backend> {
    /// `[batch, m + seq, d]`.
    pub embeddings: Tensor<B, 3>,
    /// `[batch, m + seq]`, true = attend.
    pub mask: Tensor<B, 2, Bool>,
}

/// The hooks of a method in a model's forward pass.
pub trait Intervention<B: Backend>: std::fmt::Debug {
    /// Embeddings of tokens as the model is to read them, `[batch, seq, d]` to the same shape; `first_position` is the
    /// slot of the first one, counted without virtual tokens.
    ///
    /// # Panics
    /// Where the method has a table of positions and these lie beyond it; check with [`Intervention::check_width`].
    fn offset(&self, embeddings: Tensor<B, 3>, first_position: usize) -> Tensor<B, 3> {
        let _ = first_position;
        embeddings
    }

    /// As [`Intervention::offset`] for tokens at positions `[batch, seq]` of their own (a decoder's rows with pads on
    /// their left); positions beyond a method's table are left as they are.
    fn offset_at(&self, embeddings: Tensor<B, 3>, positions: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        let _ = positions;
        embeddings
    }

    /// Virtual tokens in front of every input, `[m, d]`.
    fn prompt(&self) -> Option<Tensor<B, 2>> {
        None
    }

    /// The change of a linear map.
    fn linear(&self, site: LinearSite) -> Option<LinearChange<B>> {
        let _ = site;
        None
    }

    /// Whether [`Intervention::linear`] changes anything: a model need not ask where it does not.
    fn changes_linears(&self) -> bool {
        false
    }

    /// Checks that inputs of `seq` tokens (pads counted, virtual tokens not) can be adapted.
    ///
    /// # Errors
    /// [`CoreError::InputTooLong`] where the method has a table of positions that ends before.
    fn check_width(&self, seq: usize) -> Result<(), CoreError> {
        let _ = seq;
        Ok(())
    }

    /// The number of virtual tokens m in front of every input.
    fn virtual_tokens(&self) -> usize {
        self.prompt().map_or(0, |prompt| prompt.dims()[0])
    }

    /// Adapts a batch: `[batch, seq, d]` embeddings and a `[batch, seq]` mask (true = attend) become the backbone's
    /// input of `m + seq` positions. Left-padded rows become `[P; pads; tokens]`.
    ///
    /// # Panics
    /// As [`Intervention::offset`].
    fn forward(&self, embeddings: Tensor<B, 3>, mask: Tensor<B, 2, Bool>) -> AdaptedInput<B> {
        prompted(self.prompt(), self.offset(embeddings, 0), mask)
    }

    /// As [`Intervention::forward`] for tokens at positions `[batch, seq]` of their own, counted without virtual tokens.
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
        return AdaptedInput { embeddings, mask };
    };
    let (batch, [m, d], device) = (embeddings.dims()[0], prompt.dims(), embeddings.device());
    let attended = Tensor::<B, 2, Bool>::full([batch, m], true, &device);
    let prompt = prompt.unsqueeze::<3>().expand([batch, m, d]);
    AdaptedInput {
        embeddings: Tensor::cat(vec![prompt, embeddings], 1),
        mask: Tensor::cat(vec![attended, mask], 1),
    }
}

/// The bare backbone: nothing is changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unchanged;

impl<B: Backend> Intervention<B> for Unchanged {}
