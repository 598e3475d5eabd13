//! Keys and values in front of those of a stack's attentions, either trained directly or made by a network of a trained
//! embedding: `W2·tanh(W1·X + b1) + b2` (Li and Liang, 2021, section 4.3).
//!
//! `m` slots, `L` blocks, `w` channels of keys (and of values), `h` the network's hidden width. Block i reads columns
//! `2i·w ..` (keys) and `(2i + 1)·w ..` (values) of `[m, 2·L·w]`, as in PEFT.

use adept_kernels::product;
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use crate::Prefix;
use crate::init::{site_normal, site_values};
use crate::network::Dense;
use crate::site::{KeyHeads, ModelSites, Stack, SublayerPart, SublayerSite};

/// Names in PEFT of the values, and of the tensors of a network that makes them.
pub(crate) const VALUES: &str = "prompt_embeddings";
const EMBEDDING: &str = "embedding.weight";
const INNER: [&str; 2] = ["transform.0.weight", "transform.0.bias"];
const OUTER: [&str; 2] = ["transform.2.weight", "transform.2.bias"];

/// Number of tensors of a prefix that a network makes, each with its own stream of initial values.
const TENSORS: usize = 5;

/// A kind of attention that a prefix is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Encoder,
    Decoder,
    Cross,
}

impl Place {
    /// All of them, in file order.
    pub const ALL: [Self; 3] = [Self::Encoder, Self::Decoder, Self::Cross];

    /// The place of a sublayer, if it is an attention.
    pub fn of(site: SublayerSite) -> Option<Self> {
        match (site.stack, site.part) {
            (Stack::Encoder, SublayerPart::Attention) => Some(Self::Encoder),
            (Stack::Decoder, SublayerPart::Attention) => Some(Self::Decoder),
            (Stack::Decoder, SublayerPart::CrossAttention) => Some(Self::Cross),
            _ => None,
        }
    }

    /// What stands in front of its tensors' names.
    pub fn front(self) -> &'static str {
        match self {
            Self::Encoder => "encoder.",
            Self::Decoder => "decoder.",
            Self::Cross => "cross.",
        }
    }

    /// The first stream of its initial values. The decoder's do not depend on whether there are others.
    pub fn first_stream(self) -> usize {
        let number = match self {
            Self::Decoder => 0,
            Self::Encoder => 1,
            Self::Cross => 2,
        };
        number * TENSORS
    }

    /// Number and heads of the model's attentions of this kind; `None` if there are none, or of several sizes.
    pub fn attentions(self, sites: &ModelSites) -> Option<(usize, KeyHeads)> {
        let own = sites
            .sublayers
            .iter()
            .filter(|layer| Self::of(layer.site) == Some(self));
        let heads: Vec<KeyHeads> = own.filter_map(|layer| layer.heads).collect();
        let first = *heads.first()?;
        heads
            .iter()
            .all(|heads| *heads == first)
            .then_some((heads.len(), first))
    }
}

/// Sizes of a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PrefixSizes {
    /// Slots `m`.
    pub virtual_tokens: usize,
    /// Blocks `L`.
    pub layers: usize,
    /// Channels `w` of keys.
    pub width: usize,
    /// Hidden width `h` of the network; 0: none.
    pub hidden: usize,
}

impl PrefixSizes {
    /// Values for each slot.
    pub fn columns(self) -> usize {
        2 * self.layers * self.width
    }

    /// Names and shapes of the trained tensors, in file order.
    pub fn shapes(self) -> Vec<(&'static str, Vec<usize>)> {
        let (m, w, columns) = (self.virtual_tokens, self.width, self.columns());
        match self.hidden {
            0 => vec![(VALUES, vec![m, columns])],
            h => vec![
                (EMBEDDING, vec![m, w]),
                (INNER[0], vec![h, w]),
                (INNER[1], vec![h]),
                (OUTER[0], vec![columns, h]),
                (OUTER[1], vec![columns]),
            ],
        }
    }

    /// A newly initialised prefix, as in PEFT: embeddings of standard normal values, linear maps within `±1/√inputs`.
    /// Its tensors draw from the streams `first_place ..`.
    pub fn start<B: Backend>(self, seed: u64, first_place: usize, device: &B::Device) -> AttentionPrefix<B> {
        let of_place = |(place, (_, shape)): (usize, (&str, Vec<usize>))| {
            let count = shape.iter().product();
            let inputs = if place <= 2 { self.width } else { self.hidden };
            let values = match place {
                0 => site_normal(count, 1.0, seed, first_place),
                _ => site_values(count, 1.0 / (inputs as f64).sqrt(), seed, first_place + place),
            };
            TensorData::new(values, shape)
        };
        let data = self.shapes().into_iter().enumerate().map(of_place);
        self.build(data, device)
    }

    /// A prefix of these tensors, in the order and of the shapes of [`PrefixSizes::shapes`].
    pub fn build<B: Backend>(
        self,
        data: impl IntoIterator<Item = TensorData>,
        device: &B::Device,
    ) -> AttentionPrefix<B> {
        let mut data = data.into_iter();
        let mut next = || data.next().expect("as many as `shapes` lists");
        let embedding = Param::from_data(next(), device);
        let mut dense = || Dense {
            weight: Param::from_data(next(), device),
            bias: Param::from_data(next(), device),
        };
        let transform = (self.hidden > 0).then(|| PrefixTransform {
            inner: dense(),
            outer: dense(),
        });
        AttentionPrefix {
            embedding,
            transform,
            layers: self.layers,
            width: self.width,
        }
    }
}

/// The network that makes keys and values.
#[derive(Module, Debug)]
pub struct PrefixTransform<B: Backend> {
    /// `w` to `h`.
    pub inner: Dense<B>,
    /// `h` to `2·L·w`.
    pub outer: Dense<B>,
}

/// Keys and values in front of those of one kind of attention, in every block of a stack.
#[derive(Module, Debug)]
pub struct AttentionPrefix<B: Backend> {
    /// `[m, 2·L·w]`, or `[m, w]` as the network's input.
    pub embedding: Param<Tensor<B, 2>>,
    /// The network, if there is one.
    pub transform: Option<PrefixTransform<B>>,
    #[module(skip)]
    layers: usize,
    #[module(skip)]
    width: usize,
}

impl<B: Backend> AttentionPrefix<B> {
    /// Columns `start .. start + count` of the values of all blocks, `[m, count]`.
    fn columns(&self, start: usize, count: usize) -> Tensor<B, 2> {
        let embedding = self.embedding.val();
        let Some(PrefixTransform { inner, outer }) = &self.transform else {
            return embedding.narrow(1, start, count);
        };
        let hidden = inner.forward(embedding).tanh();
        let (weight, bias) = (outer.weight.val(), outer.bias.val());
        let weight = weight.narrow(0, start, count).transpose();
        product(hidden, weight) + bias.narrow(0, start, count).unsqueeze()
    }

    /// The values of all blocks, `[m, 2·L·w]`.
    fn values(&self) -> Tensor<B, 2> {
        self.columns(0, 2 * self.layers * self.width)
    }

    /// The number of slots m.
    pub(crate) fn slots(&self) -> usize {
        self.embedding.dims()[0]
    }

    /// Keys and values of a block, if there is one of that number.
    pub(crate) fn block(&self, block: usize) -> Option<Prefix<B>> {
        let width = self.width;
        (block < self.layers).then(|| {
            let both = self.columns(2 * block * width, 2 * width);
            Prefix {
                keys: both.clone().narrow(1, 0, width),
                values: both.narrow(1, width, width),
            }
        })
    }

    /// The same prefix with its values computed once, for inference.
    pub(crate) fn folded(self) -> Self {
        match self.transform {
            None => self,
            Some(_) => Self {
                embedding: Param::from_tensor(self.values()),
                transform: None,
                ..self
            },
        }
    }

    /// The trained tensors, in file order.
    pub(crate) fn tensors(&self) -> Vec<(&'static str, TensorData)> {
        let embedding = self.embedding.val().into_data();
        let Some(PrefixTransform { inner, outer }) = &self.transform else {
            return vec![(VALUES, embedding)];
        };
        vec![
            (EMBEDDING, embedding),
            (INNER[0], inner.weight.val().into_data()),
            (INNER[1], inner.bias.val().into_data()),
            (OUTER[0], outer.weight.val().into_data()),
            (OUTER[1], outer.bias.val().into_data()),
        ]
    }

    /// What the network makes, if there is one.
    pub(crate) fn made(&self) -> Option<TensorData> {
        self.transform.as_ref().map(|_| self.values().into_data())
    }
}
