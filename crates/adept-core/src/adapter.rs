//! The adapter: a soft prompt and an offset composed over embeddings and a mask (paper, equations 1, 2 and 4).
//!
//! `[P; E + offset(E)]`, with attention to every virtual token. Left-padded rows become `[P; pads; tokens]`.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor, TensorData};

use crate::{
    AdapterConfig, AdaptiveOffset, CoreError, FanIn, Method, Offset, PositionalOffset, PromptInit, SoftPrompt,
};

/// A soft prompt and an offset, either of which may be absent.
///
/// Parameter paths start with `prompt.` for the prompt (`prompt.weight`) and with `offset.` for all else
/// (`offset.Adaptive.w_down`, `offset.Positional.a`, ..), so that an optimiser can tell them apart.
#[derive(Module, Debug)]
pub struct PromptAdapter<B: Backend> {
    /// The virtual tokens; none where m = 0.
    pub prompt: Option<SoftPrompt<B>>,
    /// The offset; none for PT.
    pub offset: Option<Offset<B>>,
}

/// What the backbone is run on.
#[derive(Debug, Clone)]
pub struct AdaptedInput<B: Backend> {
    /// `[batch, m + seq, d]`.
    pub embeddings: Tensor<B, 3>,
    /// `[batch, m + seq]`, true = attend.
    pub mask: Tensor<B, 2, Bool>,
}

impl<B: Backend> PromptAdapter<B> {
    /// A new adapter whose offset is zero, so that it starts as plain prompt tuning.
    ///
    /// # Errors
    /// Where the configuration makes no sense, or the prompt's start does not fit it.
    pub fn new(
        config: &AdapterConfig,
        prompt: PromptInit<B>,
        fan_in: FanIn,
        seed: u64,
        device: &B::Device,
    ) -> Result<Self, CoreError> {
        config.validate()?;
        let prompt = match config.virtual_tokens {
            0 => None,
            m => Some(SoftPrompt::new(prompt.values(m, config.d_model, seed, device)?)),
        };
        let offset = match config.method {
            Method::Pt => None,
            Method::Dept => Some(Offset::Positional(PositionalOffset::new(config, fan_in, seed, device))),
            Method::Adept => Some(Offset::Adaptive(AdaptiveOffset::new(config, fan_in, seed, device))),
        };
        Ok(Self { prompt, offset })
    }

    /// No prompt and no offset: the bare backbone, for comparison and for training all of it.
    pub fn identity() -> Self {
        Self {
            prompt: None,
            offset: None,
        }
    }

    /// An adapter of given tensors under their names in the file ([`AdapterConfig::tensor_shapes`]).
    ///
    /// # Errors
    /// [`CoreError::AdapterMismatch`] where a tensor is missing, not expected, or of another shape.
    pub fn from_tensors(
        config: &AdapterConfig,
        mut tensors: BTreeMap<String, TensorData>,
        device: &B::Device,
    ) -> Result<Self, CoreError> {
        config.validate()?;
        for (name, expected) in config.tensor_shapes() {
            let found = tensors.get(name).map_or(vec![], |data| data.shape.to_vec());
            if found != expected {
                return Err(mismatch(name, &expected, &found));
            }
        }
        let mut take = |name: &str| tensors.remove(name).expect("presence and shape were checked above");
        let prompt =
            (config.virtual_tokens > 0).then(|| SoftPrompt::new(Tensor::from_data(take("prompt_embeddings"), device)));
        let offset = match config.method {
            Method::Pt => None,
            Method::Dept => Some(Offset::Positional(PositionalOffset::from_tensors(
                Tensor::from_data(take("lora_embedding_A"), device),
                Tensor::from_data(take("lora_embedding_B"), device),
                config.scale,
            ))),
            Method::Adept => Some(Offset::Adaptive(AdaptiveOffset::from_tensors(
                Tensor::from_data(take("lora_embedding_A"), device),
                Tensor::from_data(take("lora_embedding_a"), device),
                Tensor::from_data(take("lora_embedding_B"), device),
                Tensor::from_data(take("lora_embedding_b"), device),
                config.dropout,
            ))),
        };
        if let Some((name, data)) = tensors.first_key_value() {
            return Err(mismatch(name, &[], &data.shape));
        }
        Ok(Self { prompt, offset })
    }

    /// Adapts a batch: `[batch, seq, d]` embeddings and a `[batch, seq]` mask (true = attend) become the backbone's
    /// input of `m + seq` positions.
    ///
    /// # Panics
    /// Where the input is wider than DePT's table of positions; check with [`PromptAdapter::check_width`] before.
    pub fn forward(&self, embeddings: Tensor<B, 3>, mask: Tensor<B, 2, Bool>) -> AdaptedInput<B> {
        self.prompted(self.offset(embeddings, 0), mask)
    }

    /// As [`PromptAdapter::forward`] for rows whose tokens stand at positions `[batch, seq]` of their own (a decoder's rows
    /// with pads on their left), counted without the prompt; only DePT asks, and has no offset beyond its table.
    pub fn forward_at(
        &self,
        embeddings: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        positions: Tensor<B, 2, Int>,
    ) -> AdaptedInput<B> {
        self.prompted(self.offset_at(embeddings, positions), mask)
    }

    fn prompted(&self, embeddings: Tensor<B, 3>, mask: Tensor<B, 2, Bool>) -> AdaptedInput<B> {
        let batch = embeddings.dims()[0];
        let device = embeddings.device();
        let Some(prompt) = &self.prompt else {
            return AdaptedInput { embeddings, mask };
        };
        let attended = Tensor::<B, 2, Bool>::full([batch, prompt.virtual_tokens()], true, &device);
        AdaptedInput {
            embeddings: Tensor::cat(vec![prompt.expand(batch), embeddings], 1),
            mask: Tensor::cat(vec![attended, mask], 1),
        }
    }

    /// Embeddings plus offset without the prompt, `[batch, seq, d]`: for tokens that are fed back in generation.
    /// `first_position` is the slot of the first one, counted without the prompt; only DePT asks.
    ///
    /// # Panics
    /// As [`PromptAdapter::forward`], with `first_position + seq` for the width.
    pub fn offset(&self, embeddings: Tensor<B, 3>, first_position: usize) -> Tensor<B, 3> {
        match &self.offset {
            Some(offset) => offset.apply(embeddings, first_position),
            None => embeddings,
        }
    }

    /// As [`PromptAdapter::offset`] for tokens at positions `[batch, seq]` of their own.
    pub fn offset_at(&self, embeddings: Tensor<B, 3>, positions: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        match &self.offset {
            Some(Offset::Positional(offset)) => embeddings + offset.at(positions),
            Some(offset) => offset.apply(embeddings, 0),
            None => embeddings,
        }
    }

    /// Checks that inputs of `seq` tokens (pads counted, prompt not) can be adapted.
    ///
    /// # Errors
    /// [`CoreError::InputTooLong`] where DePT has no offset for the last of them.
    pub fn check_width(&self, seq: usize) -> Result<(), CoreError> {
        match &self.offset {
            Some(Offset::Positional(offset)) => offset.check_width(seq),
            Some(Offset::Adaptive(_)) | None => Ok(()),
        }
    }

    /// The number of virtual tokens m in front of every input.
    pub fn virtual_tokens(&self) -> usize {
        self.prompt.as_ref().map_or(0, SoftPrompt::virtual_tokens)
    }

    /// The tensors as f32 under their names in the file, prompt first. Reads them from the device.
    pub fn tensors(&self) -> Vec<(&'static str, TensorData)> {
        let prompt = self
            .prompt
            .iter()
            .map(|prompt| ("prompt_embeddings", prompt.weight.val().into_data()));
        let offset = self.offset.iter().flat_map(Offset::tensors);
        prompt
            .chain(offset)
            .map(|(name, data)| (name, data.convert::<f32>()))
            .collect()
    }
}

fn mismatch(tensor: &str, expected: &[usize], found: &[usize]) -> CoreError {
    CoreError::AdapterMismatch {
        tensor: tensor.to_string(),
        expected: expected.to_vec(),
        found: found.to_vec(),
    }
}
