//! Prefix tuning: trained keys and values in front of those of every self-attention of the decoder (Li and Liang, 2021),
//! either directly or made by a network, `W2·tanh(W1·P + b1) + b2` (section 4.3 there).
//!
//! Keys and values enter after the projections and unrotated; tokens count their positions from m on, and T5's relative
//! positions see the prefix at 0 to m − 1. Files are PEFT's `PREFIX_TUNING`: `prompt_embeddings` `[m, 2·L·w]` holds for
//! each of L blocks w channels of keys and w of values. The tensors of a network stand beside it.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use serde_json::{Map, Value, json};

use super::prompt::{self, Given, MOST_HIDDEN, PROMPT, object, refuse};
use super::{
    AdapterInit, GroupDefaults, Merge, MethodConfig, MethodInfo, MethodSettings, ParameterGroup, PromptSizes, Setting,
    SettingKind, Shape,
};
use crate::file::Fields;
use crate::init::{site_normal, site_values};
use crate::network::Dense;
use crate::site::{KeyHeads, ModelSites, Stack, SublayerPart, SublayerSite};
use crate::{CoreError, Intervention, Method, Prefix};

/// Names of a network's tensors in PEFT.
const EMBEDDING: &str = "embedding.weight";
const INNER: [&str; 2] = ["transform.0.weight", "transform.0.bias"];
const OUTER: [&str; 2] = ["transform.2.weight", "transform.2.bias"];

const HIDDEN: Setting = Setting {
    key: "hidden",
    kind: SettingKind::Integer {
        min: 0,
        max: MOST_HIDDEN as i64,
    },
    default: "0",
    meaning: "Hidden width of a network that makes keys and values; 0: they are trained themselves.",
};

/// Sizes of a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixConfig {
    /// Slots `m` in front of every self-attention.
    pub virtual_tokens: usize,
    /// Blocks `L` of the decoder.
    pub layers: usize,
    /// Heads of keys and values.
    pub heads: KeyHeads,
    /// Hidden width of the network; 0: none.
    pub hidden: usize,
    /// Longest source in training; informational.
    pub max_source_length: usize,
}

impl PrefixConfig {
    /// A prefix of `virtual_tokens` slots for that model, made by a network if `hidden` is not 0.
    ///
    /// # Errors
    /// A model without self-attention in its decoder, or with attentions of different sizes.
    pub fn new(sites: &ModelSites, virtual_tokens: usize, hidden: usize) -> Result<Self, CoreError> {
        let (layers, heads) = attentions(sites)?;
        Ok(Self {
            virtual_tokens,
            layers,
            heads,
            hidden,
            max_source_length: prompt::DEFAULT_LENGTH,
        })
    }

    /// Values for each slot.
    fn width(&self) -> usize {
        2 * self.layers * self.heads.width()
    }

    fn shapes(&self) -> Vec<Shape> {
        let (m, w, h) = (self.virtual_tokens, self.heads.width(), self.hidden);
        let shapes = match h {
            0 => vec![(PROMPT, vec![m, self.width()])],
            h => vec![
                (EMBEDDING, vec![m, w]),
                (INNER[0], vec![h, w]),
                (INNER[1], vec![h]),
                (OUTER[0], vec![self.width(), h]),
                (OUTER[1], vec![self.width()]),
            ],
        };
        shapes
            .into_iter()
            .map(|(name, shape)| (name.to_owned(), shape))
            .collect()
    }

    /// Checks that the prefix has the size of the model's attentions.
    fn check(&self, sites: &ModelSites) -> Result<(), CoreError> {
        let (layers, heads) = attentions(sites)?;
        match (layers, heads) == (self.layers, self.heads) {
            true => Ok(()),
            false => Err(CoreError::OtherAttention {
                expected: [self.layers, self.heads.heads, self.heads.channels],
                found: [layers, heads.heads, heads.channels],
            }),
        }
    }

    fn adapter<B: Backend>(&self, embedding: Tensor<B, 2>, transform: Option<PrefixTransform<B>>) -> PrefixAdapter<B> {
        PrefixAdapter {
            embedding: Param::from_tensor(embedding),
            transform,
            layers: self.layers,
            width: self.heads.width(),
        }
    }
}

/// Number of the decoder's self-attentions, and their heads.
fn attentions(sites: &ModelSites) -> Result<(usize, KeyHeads), CoreError> {
    let own = sites.sublayers.iter().filter(|layer| is_prefixed(layer.site));
    let heads: Vec<KeyHeads> = own.filter_map(|layer| layer.heads).collect();
    match heads.first() {
        Some(first) if heads.iter().all(|heads| heads == first) => Ok((heads.len(), *first)),
        _ => Err(CoreError::NoSite {
            method: Method::Prefix,
            needed: "self-attentions of one size in its decoder",
        }),
    }
}

fn is_prefixed(site: SublayerSite) -> bool {
    (site.stack, site.part) == (Stack::Decoder, SublayerPart::Attention)
}

/// The network that makes keys and values.
#[derive(Module, Debug)]
pub struct PrefixTransform<B: Backend> {
    /// `w` to the hidden width.
    pub inner: Dense<B>,
    /// The hidden width to `2·L·w`.
    pub outer: Dense<B>,
}

/// Keys and values of all blocks.
#[derive(Module, Debug)]
pub struct PrefixAdapter<B: Backend> {
    /// `[m, 2·L·w]`, or `[m, w]` as the network's input.
    pub embedding: Param<Tensor<B, 2>>,
    /// The network, if there is one.
    pub transform: Option<PrefixTransform<B>>,
    #[module(skip)]
    layers: usize,
    #[module(skip)]
    width: usize,
}

impl<B: Backend> PrefixAdapter<B> {
    /// Columns `start .. start + count` of the values of all blocks, `[m, count]`.
    fn columns(&self, start: usize, count: usize) -> Tensor<B, 2> {
        let embedding = self.embedding.val();
        let Some(PrefixTransform { inner, outer }) = &self.transform else {
            return embedding.narrow(1, start, count);
        };
        let hidden = inner.forward(embedding).tanh();
        let (weight, bias) = (outer.weight.val(), outer.bias.val());
        let weight = weight.narrow(0, start, count).transpose();
        hidden.matmul(weight) + bias.narrow(0, start, count).unsqueeze()
    }

    /// The same prefix with its values computed once, for inference.
    #[must_use]
    pub fn folded(self) -> Self {
        match self.transform {
            None => self,
            Some(_) => Self {
                embedding: Param::from_tensor(self.columns(0, 2 * self.layers * self.width)),
                transform: None,
                ..self
            },
        }
    }
}

impl<B: Backend> Intervention<B> for PrefixAdapter<B> {
    fn prefix(&self, site: SublayerSite) -> Option<Prefix<B>> {
        let width = self.width;
        let has_one = is_prefixed(site) && site.block < self.layers;
        has_one.then(|| {
            let both = self.columns(2 * site.block * width, 2 * width);
            Prefix {
                keys: both.clone().narrow(1, 0, width),
                values: both.narrow(1, width, width),
            }
        })
    }

    fn changes_model(&self) -> bool {
        true
    }

    fn virtual_tokens(&self) -> usize {
        self.embedding.dims()[0]
    }
}

impl MethodConfig for PrefixConfig {
    type Module<B: Backend> = PrefixAdapter<B>;

    const INFO: MethodInfo = MethodInfo {
        title: "Prefix tuning",
        summary: "keys and values in front of the decoder's own",
        peft_type: "PREFIX_TUNING",
        has_prompt: false,
        groups: &[ParameterGroup {
            name: "prefix",
            prefix: "",
            defaults: Some(GroupDefaults {
                learning_rate: 3e-3,
                weight_decay: 0.0,
                warmup_steps: 500,
            }),
        }],
        merge: Merge::No("keys and values in front of others are not weights"),
        inference: "m more keys and values in each self-attention",
        citation: "Li and Liang, Prefix-Tuning: Optimizing Continuous Prompts for Generation, ACL 2021",
    };

    const SETTINGS: &'static [Setting] = &[HIDDEN];

    fn from_settings(settings: &MethodSettings<'_>) -> Result<Self, CoreError> {
        let hidden = settings.own(Method::Prefix, &HIDDEN)?;
        Ok(Self {
            max_source_length: settings.max_source_length,
            ..Self::new(settings.sites, settings.virtual_tokens, hidden)?
        })
    }

    fn validate(&self) -> Result<(), CoreError> {
        let expected = "at least 1 (the prefix is all there is)";
        if self.virtual_tokens == 0 {
            return Err(refuse(Method::Prefix, "virtual_tokens", expected, 0));
        }
        if self.hidden > MOST_HIDDEN {
            return Err(refuse(Method::Prefix, "hidden", "from 0 to 8192", self.hidden));
        }
        // Files from other programs may contain anything.
        let bytes = || {
            let width = self.heads.heads.checked_mul(self.heads.channels)?;
            let width = width.checked_mul(2)?.checked_mul(self.layers)?;
            let rows = self.virtual_tokens.max(MOST_HIDDEN);
            width.checked_mul(rows)?.checked_mul(8)
        };
        match bytes() {
            Some(bytes) if bytes > 0 && bytes <= isize::MAX as usize => Ok(()),
            _ => Err(refuse(
                Method::Prefix,
                "num_layers",
                "at least 1, and a size that fits in memory",
                self.layers,
            )),
        }
    }

    fn tensor_shapes(&self, sites: &ModelSites) -> Result<Vec<Shape>, CoreError> {
        self.check(sites)?;
        Ok(self.shapes())
    }

    fn file_shapes(&self, _: &[Shape]) -> Vec<Shape> {
        self.shapes()
    }

    fn derived_shapes(&self) -> Vec<Shape> {
        match self.hidden {
            0 => Vec::new(),
            _ => vec![(PROMPT.to_owned(), vec![self.virtual_tokens, self.width()])],
        }
    }

    fn start<B: Backend>(
        &self,
        sites: &ModelSites,
        start: AdapterInit<B>,
        device: &B::Device,
    ) -> Result<PrefixAdapter<B>, CoreError> {
        self.check(sites)?;
        // As in PEFT: embeddings of standard normal values, linear maps within ±1/√inputs.
        let (m, w, h) = (self.virtual_tokens, self.heads.width(), self.hidden);
        let columns = if h == 0 { self.width() } else { w };
        let embedding = TensorData::new(site_normal(m * columns, 1.0, start.seed, 0), [m, columns]);
        let uniform = |[rows, inputs]: [usize; 2], place: usize| {
            let bound = 1.0 / (inputs as f64).sqrt();
            let values = |count, place| site_values(count, bound, start.seed, place);
            Dense {
                weight: Param::from_data(TensorData::new(values(rows * inputs, place), [rows, inputs]), device),
                bias: Param::from_data(TensorData::new(values(rows, place + 1), [rows]), device),
            }
        };
        let transform = (h > 0).then(|| PrefixTransform {
            inner: uniform([h, w], 1),
            outer: uniform([self.width(), h], 3),
        });
        Ok(self.adapter(Tensor::from_data(embedding, device), transform))
    }

    fn with_tensors<B: Backend>(
        &self,
        sites: &ModelSites,
        tensors: BTreeMap<String, TensorData>,
        device: &B::Device,
    ) -> Result<PrefixAdapter<B>, CoreError> {
        self.check(sites)?;
        let mut given = Given::new(tensors, &self.shapes())?;
        if self.hidden == 0 {
            return Ok(self.adapter(given.take(PROMPT, device), None));
        }
        let mut dense = |[weight, bias]: [&str; 2]| Dense {
            weight: Param::from_tensor(given.take(weight, device)),
            bias: Param::from_tensor(given.take(bias, device)),
        };
        let transform = PrefixTransform {
            inner: dense(INNER),
            outer: dense(OUTER),
        };
        Ok(self.adapter(given.take(EMBEDDING, device), Some(transform)))
    }

    fn tensors<B: Backend>(module: &PrefixAdapter<B>) -> Vec<(String, TensorData)> {
        let embedding = module.embedding.val().into_data();
        let Some(PrefixTransform { inner, outer }) = &module.transform else {
            return vec![(PROMPT.to_owned(), embedding)];
        };
        let tensors = [
            (EMBEDDING, embedding),
            (INNER[0], inner.weight.val().into_data()),
            (INNER[1], inner.bias.val().into_data()),
            (OUTER[0], outer.weight.val().into_data()),
            (OUTER[1], outer.bias.val().into_data()),
        ];
        tensors.map(|(name, data)| (name.to_owned(), data)).to_vec()
    }

    fn derived<B: Backend>(module: &PrefixAdapter<B>) -> Vec<(String, TensorData)> {
        let made = module.transform.as_ref().map(|_| {
            let all = module.columns(0, 2 * module.layers * module.width);
            (PROMPT.to_owned(), all.into_data())
        });
        made.into_iter().collect()
    }

    fn check_constants<B: Backend>(&self, _: &PrefixAdapter<B>) -> Result<(), CoreError> {
        Ok(())
    }

    fn peft_keys<B: Backend>(&self, _: &PrefixAdapter<B>) -> Map<String, Value> {
        object(json!({
            "encoder_hidden_size": if self.hidden > 0 { Value::from(self.hidden) } else { Value::Null },
            "num_attention_heads": self.heads.heads,
            "num_layers": self.layers,
            "num_transformer_submodules": 1,
            "num_virtual_tokens": self.virtual_tokens,
            // The values of a network are in the file: PEFT need not compute them.
            "prefix_projection": false,
            "token_dim": self.heads.width(),
        }))
    }

    fn own_keys(&self) -> Map<String, Value> {
        object(json!({
            "hidden": self.hidden,
            "max_source_length": self.max_source_length,
        }))
    }

    fn from_keys(top: &mut Fields<'_>, own: &mut Fields<'_>) -> Result<Self, CoreError> {
        let (virtual_tokens, width) = prompt::sizes(top)?;
        let heads = top.required_count("num_attention_heads")?;
        if heads == 0 || !width.is_multiple_of(heads) {
            return Err(top.error("num_attention_heads", "a divisor of token_dim", &heads.into()));
        }
        // Without our own key the file is of PEFT, which stores the values alone.
        top.flag("prefix_projection")?;
        top.count("encoder_hidden_size")?;
        Ok(Self {
            virtual_tokens,
            layers: top.required_count("num_layers")?,
            heads: KeyHeads {
                heads,
                channels: width / heads,
            },
            hidden: own.count("hidden")?.unwrap_or(0),
            max_source_length: own.count("max_source_length")?.unwrap_or(prompt::DEFAULT_LENGTH),
        })
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("virtual tokens m", self.virtual_tokens.to_string()),
            ("blocks", self.layers.to_string()),
            ("width of keys", self.heads.width().to_string()),
            ("hidden width h", self.hidden.to_string()),
            ("max source length", self.max_source_length.to_string()),
        ]
    }

    fn prompt_sizes(&self) -> Option<PromptSizes> {
        Some(PromptSizes {
            d_model: None,
            virtual_tokens: self.virtual_tokens,
            max_source_length: self.max_source_length,
        })
    }
}
