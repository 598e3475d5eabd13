//! Shared by the prompt methods: a soft prompt, which a network may make, and an offset, applied to embeddings and a
//! mask (paper, equations 1, 2 and 4): `[network(P); E + offset(E)]`.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use serde_json::{Map, Value, json};

use super::{AdapterInit, GroupDefaults, ParameterGroup, Shape};
use crate::file::{Fields, descriptive, exact};
use crate::init::PromptInit;
use crate::network::{NetworkKind, NetworkSizes};
use crate::{CoreError, Intervention, Method, Offset, PromptNetwork, SoftPrompt};

/// Name of the soft prompt in files.
pub(super) const PROMPT: &str = "prompt_embeddings";

/// Default length for files that have none.
pub(super) const DEFAULT_LENGTH: usize = 256;

/// The soft prompt's parameters.
pub(super) const PROMPT_GROUP: ParameterGroup = group("prompt");
/// The offset's parameters.
pub(super) const OFFSET_GROUP: ParameterGroup = group("offset");

const fn group(name: &'static str) -> ParameterGroup {
    ParameterGroup {
        name,
        prefix: name,
        defaults: None::<GroupDefaults>,
    }
}

/// A soft prompt, a network that makes the virtual tokens of it, and an offset, each optional.
///
/// Parameter paths start with `prompt.` for the prompt (`prompt.weight`), with `network.` for the network
/// (`network.Residual.up.weight`, ..) and with `offset.` for the offset (`offset.Adaptive.w_down`,
/// `offset.Positional.a`, ..), so that an optimiser can tell the groups apart.
#[derive(Module, Debug)]
pub struct PromptAdapter<B: Backend> {
    /// The virtual tokens, or the embedding that the network makes them of; `None` if m = 0.
    pub prompt: Option<SoftPrompt<B>>,
    /// Computes the virtual tokens; `None` if they are trained themselves.
    pub network: Option<PromptNetwork<B>>,
    /// The offset; `None` for PT.
    pub offset: Option<Offset<B>>,
}

impl<B: Backend> PromptAdapter<B> {
    /// Initialises the prompt and combines it with an offset.
    pub(super) fn start(
        virtual_tokens: usize,
        d_model: usize,
        offset: Option<Offset<B>>,
        start: AdapterInit<B>,
        device: &B::Device,
    ) -> Result<Self, CoreError> {
        let prompt = match virtual_tokens {
            0 => None,
            m => Some(SoftPrompt::new(start.prompt.values(m, d_model, start.seed, device)?)),
        };
        Ok(Self {
            prompt,
            network: None,
            offset,
        })
    }

    /// A new network, and the prompt `[m, d]` that it reads, initialised as `start` says; P-tuning's embedding starts at
    /// standard normal values.
    pub(super) fn start_network(
        virtual_tokens: usize,
        sizes: NetworkSizes,
        start: AdapterInit<B>,
        device: &B::Device,
    ) -> Result<Self, CoreError> {
        let network = Some(sizes.start(start.seed, device));
        let start = match sizes.kind {
            NetworkKind::Residual => start,
            // Its embedding is no token of the model: rows of the model's table mean nothing to the encoder.
            NetworkKind::Mlp | NetworkKind::Lstm => AdapterInit {
                prompt: PromptInit::Random { std: 1.0 },
                ..start
            },
        };
        let prompt = Self::start(virtual_tokens, sizes.d_model, None, start, device)?;
        Ok(Self { network, ..prompt })
    }

    /// A prompt or embedding and its network, of the tensors listed by [`network_shapes`].
    pub(super) fn of_network(
        virtual_tokens: usize,
        sizes: NetworkSizes,
        tensors: BTreeMap<String, TensorData>,
        device: &B::Device,
    ) -> Result<Self, CoreError> {
        let shapes = network_shapes(virtual_tokens, sizes);
        Ok(Given::new(tensors, &shapes)?.prompt_of(Some(sizes), device))
    }

    /// Tensors named as in files, prompt first.
    pub(super) fn tensors(&self) -> Vec<(String, TensorData)> {
        let name = self
            .network
            .as_ref()
            .map_or(PROMPT, |network| network.sizes().input_name());
        let prompt = self.prompt.iter().map(|prompt| (name, prompt.weight.val().into_data()));
        let prompt = prompt.map(|(name, data)| (name.to_owned(), data));
        let network = self.network.iter().flat_map(PromptNetwork::tensors);
        let offset = self.offset.iter().flat_map(Offset::tensors);
        let offset = offset.map(|(name, data)| (name.to_owned(), data));
        prompt.chain(network).chain(offset).collect()
    }

    /// The virtual tokens under PEFT's name, if a network makes them.
    pub(super) fn derived(&self) -> Vec<(String, TensorData)> {
        let made = self.network.as_ref().and_then(|_| self.prompt());
        let made = made.map(|prompt| (PROMPT.to_owned(), prompt.into_data()));
        made.into_iter().collect()
    }

    /// The same adapter with its virtual tokens computed once instead of in every pass, for inference.
    #[must_use]
    pub fn folded(self) -> Self {
        match (self.network.is_some(), self.prompt()) {
            (true, Some(prompt)) => Self {
                prompt: Some(SoftPrompt::new(prompt)),
                network: None,
                offset: self.offset,
            },
            _ => self,
        }
    }
}

impl<B: Backend> Intervention<B> for PromptAdapter<B> {
    fn offset(&self, embeddings: Tensor<B, 3>, first_position: usize) -> Tensor<B, 3> {
        match &self.offset {
            Some(offset) => offset.apply(embeddings, first_position),
            None => embeddings,
        }
    }

    fn offset_at(&self, embeddings: Tensor<B, 3>, positions: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        match &self.offset {
            Some(Offset::Positional(offset)) => embeddings + offset.at(positions),
            Some(offset) => offset.apply(embeddings, 0),
            None => embeddings,
        }
    }

    fn prompt(&self) -> Option<Tensor<B, 2>> {
        let weight = self.prompt.as_ref()?.weight.val();
        Some(match &self.network {
            Some(network) => network.forward(weight),
            None => weight,
        })
    }

    fn check_width(&self, seq: usize) -> Result<(), CoreError> {
        match &self.offset {
            Some(Offset::Positional(offset)) => offset.check_width(seq),
            Some(Offset::Adaptive(_)) | None => Ok(()),
        }
    }

    fn virtual_tokens(&self) -> usize {
        self.prompt.as_ref().map_or(0, SoftPrompt::virtual_tokens)
    }
}

/// Tensors with checked shapes, each to be taken once.
pub(super) struct Given(BTreeMap<String, TensorData>);

impl Given {
    /// Refuses tensors that are missing, unexpected or of the wrong shape according to `shapes`.
    pub(super) fn new(tensors: BTreeMap<String, TensorData>, shapes: &[Shape]) -> Result<Self, CoreError> {
        for (name, expected) in shapes {
            let found = tensors.get(name).map_or(vec![], |data| data.shape.to_vec());
            if found != *expected {
                return Err(mismatch(name, expected, &found));
            }
        }
        let known = |name: &String| shapes.iter().any(|(known, _)| known == name);
        match tensors.iter().find(|(name, _)| !known(name)) {
            Some((name, data)) => Err(mismatch(name, &[], &data.shape)),
            None => Ok(Self(tensors)),
        }
    }

    pub(super) fn take<B: Backend, const D: usize>(&mut self, name: &str, device: &B::Device) -> Tensor<B, D> {
        Tensor::from_data(self.data(name), device)
    }

    pub(super) fn data(&mut self, name: &str) -> TensorData {
        let data = self.0.remove(name);
        data.expect("presence and shape were checked before")
    }

    pub(super) fn prompt<B: Backend>(&mut self, device: &B::Device) -> Option<SoftPrompt<B>> {
        let has_one = self.0.contains_key(PROMPT);
        has_one.then(|| SoftPrompt::new(self.take(PROMPT, device)))
    }

    /// A prompt, or a network of these sizes with what it reads; without an offset.
    pub(super) fn prompt_of<B: Backend>(
        &mut self,
        network: Option<NetworkSizes>,
        device: &B::Device,
    ) -> PromptAdapter<B> {
        let Some(sizes) = network else {
            return PromptAdapter {
                prompt: self.prompt(device),
                network: None,
                offset: None,
            };
        };
        let prompt = SoftPrompt::new(self.take(sizes.input_name(), device));
        let data = sizes.shapes().map(|(name, _)| self.data(&name)).collect();
        PromptAdapter {
            prompt: Some(prompt),
            network: Some(sizes.build(data, device)),
            offset: None,
        }
    }
}

fn mismatch(tensor: &str, expected: &[usize], found: &[usize]) -> CoreError {
    CoreError::AdapterMismatch {
        tensor: tensor.to_string(),
        expected: expected.to_vec(),
        found: found.to_vec(),
    }
}

/// Shapes of the soft prompt, if there is one, and of an offset.
pub(super) fn shapes<const N: usize>(m: usize, d: usize, offset: [(&str, Vec<usize>); N]) -> Vec<Shape> {
    let prompt = (m > 0).then(|| (PROMPT.to_owned(), vec![m, d]));
    let offset = offset.into_iter().map(|(name, shape)| (name.to_owned(), shape));
    prompt.into_iter().chain(offset).collect()
}

/// Shapes of a network's embedding and of its tensors.
pub(super) fn network_shapes(m: usize, sizes: NetworkSizes) -> Vec<Shape> {
    let embedding = (sizes.input_name().to_owned(), vec![m, sizes.d_model]);
    std::iter::once(embedding).chain(sizes.shapes()).collect()
}

/// Shape of the virtual tokens that a network makes, under PEFT's name.
pub(super) fn derived_shapes(m: usize, d: usize) -> Vec<Shape> {
    vec![(PROMPT.to_owned(), vec![m, d])]
}

pub(super) fn refuse(method: Method, field: &'static str, expected: &'static str, found: impl ToString) -> CoreError {
    CoreError::InvalidConfig {
        method,
        field,
        expected,
        found: found.to_string(),
    }
}

/// Checks the sizes common to prompt methods.
pub(super) fn validate(
    method: Method,
    d_model: usize,
    virtual_tokens: usize,
    rank: Option<usize>,
    max_source_length: usize,
) -> Result<(), CoreError> {
    if d_model == 0 {
        return Err(refuse(method, "d_model", "at least 1", 0));
    }
    match rank {
        None if virtual_tokens == 0 => {
            let expected = "at least 1 (the prompt is all there is)";
            return Err(refuse(method, "virtual_tokens", expected, 0));
        }
        Some(0) => return Err(refuse(method, "rank", "at least 1", 0)),
        _ => {}
    }
    // Files from other programs may contain anything.
    let size = || {
        let prompt = virtual_tokens.checked_mul(d_model)?;
        let rows = d_model.checked_add(max_source_length)?.checked_mul(2)?;
        let bytes = rank.unwrap_or(0).checked_add(1)?.checked_mul(rows)?;
        let bytes = bytes.checked_add(prompt)?.checked_mul(8)?;
        (bytes <= isize::MAX as usize).then_some(())
    };
    size().ok_or_else(|| refuse(method, "d_model", "a size that fits in memory", d_model))
}

/// Largest hidden width of a network: a step of one still fits in memory. [`validate_sizes`] says it in its
/// message.
pub(super) const MOST_HIDDEN: usize = 8192;

/// Checks the sizes of a prompt and of its network.
pub(super) fn validate_network(
    method: Method,
    virtual_tokens: usize,
    sizes: NetworkSizes,
    max_source_length: usize,
) -> Result<(), CoreError> {
    validate(method, sizes.d_model, virtual_tokens, None, max_source_length)?;
    validate_sizes(method, sizes)
}

/// Checks the sizes of a network.
pub(super) fn validate_sizes(method: Method, sizes: NetworkSizes) -> Result<(), CoreError> {
    if !(1..=MOST_HIDDEN).contains(&sizes.hidden) {
        return Err(refuse(method, "hidden", "from 1 to 8192", sizes.hidden));
    }
    // Files from other programs may contain anything; the widest matrix is `[4h, d]`.
    let bytes = sizes.d_model.checked_mul(64 * MOST_HIDDEN);
    match bytes.is_some_and(|bytes| bytes <= isize::MAX as usize) {
        true => Ok(()),
        false => Err(refuse(method, "d_model", "a size that fits in memory", sizes.d_model)),
    }
}

/// PEFT's keys common to prompt methods.
pub(super) fn peft_keys(virtual_tokens: usize, d_model: usize) -> Map<String, Value> {
    let mut keys = descriptive();
    keys.extend(object(json!({
        "num_transformer_submodules": 1,
        "num_virtual_tokens": virtual_tokens,
        "token_dim": d_model,
    })));
    keys
}

/// Keys of the section `adept` common to prompt methods.
pub(super) fn own_keys(max_source_length: usize, scale: f64, dropout: f64) -> Map<String, Value> {
    object(json!({
        "dropout": exact(dropout),
        "max_source_length": max_source_length,
        "scale": exact(scale),
    }))
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => unreachable!("only written with objects"),
    }
}

/// Number of virtual tokens and width.
pub(super) fn sizes(top: &mut Fields<'_>) -> Result<(usize, usize), CoreError> {
    if let Some(submodules) = top.count("num_transformer_submodules")?
        && submodules != 1
    {
        let expected = "1 (a prompt for the encoder or decoder-only input alone)";
        return Err(top.error("num_transformer_submodules", expected, &submodules.into()));
    }
    Ok((
        top.required_count("num_virtual_tokens")?,
        top.required_count("token_dim")?,
    ))
}
