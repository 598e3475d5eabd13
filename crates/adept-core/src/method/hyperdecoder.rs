//! HyperDecoder: a small network beside each feed-forward layer, which reads what the layer's norm gives (Ivison and
//! Peters, 2022, section 2): `x + FF(n) + relu(n·W_down + b_down)·W_up + b_up`, n = norm(x).
//!
//! The encoder's networks are trained as they are; those of the decoder are made for each input, of what the encoder gives
//! for it ([`SourceNetworks`]): from there on tasks that are trained together share everything. The model's own parameters
//! stay as they are.
//!
//! Files hold `base_model.model.LAYER.adapter.down.weight` `[r, d]`, `.adapter.up.weight` `[d, r]` and their biases for
//! each block of the encoder; `hyper.input.up` and `.down` (`W_a` and `W_b`, `[d, d]`, unless z is used as it is),
//! `hyper.block_embeddings` `[blocks, 10]`, `hyper.hidden` `[128, d + 10]`, and the maps `hyper.down_weight` `[d·r, 128]`,
//! `hyper.down_bias` `[r, 128]`, `hyper.up_weight` `[r·d, 128]` and `hyper.up_bias` `[d, 128]`, each with `.weight` and
//! `.bias`.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::TensorData;
use burn::tensor::backend::Backend;
use serde_json::{Map, Value, json};

use super::prompt::{Given, MOST_HIDDEN, object, refuse};
use super::weights::{PREFIX, module};
use super::{
    AdapterInit, GroupDefaults, Merge, MethodConfig, MethodInfo, MethodSettings, ParameterGroup, Setting, SettingKind,
    Shape,
};
use crate::file::Fields;
use crate::init::{site_normal, site_values};
use crate::network::{Dense, Loader};
use crate::site::{ModelSites, Stack, SublayerPart, SublayerSite};
use crate::{Beside, CoreError, Intervention, Method, SourceNetworks};

/// Width of a block's embedding.
const EMBEDDING: usize = 10;
/// Inner width of what makes networks.
const HIDDEN: usize = 128;
/// Share of the model's width that the networks have by default.
const REDUCTION: usize = 12;
/// Gain of the encoder's initial weights: all networks begin near zero.
const GAIN: f64 = 1e-4;
/// Factor of the initial weights that make the decoder's.
const FACTOR: f64 = 1e-3;

/// The tensors of a network in the encoder, behind `adapter.`.
const TENSORS: [&str; 4] = ["down.weight", "down.bias", "up.weight", "up.bias"];
/// What is made for a block of the decoder, in the order of [`Beside`]'s fields.
const MADE: [&str; 4] = ["down_weight", "down_bias", "up_weight", "up_bias"];

const WIDTH: Setting = Setting {
    key: "bottleneck",
    kind: SettingKind::Integer {
        min: 0,
        max: MOST_HIDDEN as i64,
    },
    default: "0",
    meaning: "Inner width r of the networks; 0: the model's width / 12.",
};
const SOURCE: Setting = Setting {
    key: "source_network",
    kind: SettingKind::Flag,
    default: "true",
    meaning: "Whether the mean of the encoder's states passes through two more layers before the decoder's networks are \
              made of it. The count that the paper prints is that without them.",
};

/// Sizes of HyperDecoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HyperdecoderConfig {
    /// Inner width `r` of the networks.
    pub bottleneck: usize,
    /// Whether the mean of the encoder's states passes through two more layers.
    pub source_network: bool,
}

/// A tensor's name, shape and initial values.
type Part = (String, Vec<usize>, Start);

/// Initial values of a tensor.
#[derive(Debug, Clone, Copy)]
enum Start {
    Zero,
    /// Uniform within that bound.
    Within(f64),
    /// Normal with deviation 1.
    Normal,
}

/// Where the tensors of an adapter belong.
#[derive(Debug, Clone, PartialEq)]
struct Places {
    config: HyperdecoderConfig,
    d_model: usize,
    /// The encoder's feed-forward layers, with their names.
    layers: Vec<(SublayerSite, String)>,
    /// Blocks of the decoder.
    blocks: usize,
}

impl HyperdecoderConfig {
    /// Networks of this inner width, and two layers in front of what makes the decoder's.
    pub fn new(bottleneck: usize) -> Self {
        Self {
            bottleneck,
            source_network: true,
        }
    }

    fn places(&self, sites: &ModelSites) -> Result<Places, CoreError> {
        let is_own = |site: SublayerSite| site.stack == Stack::Encoder && site.part == SublayerPart::FeedForward;
        let layers = sites.sublayers.iter().filter(|layer| is_own(layer.site));
        let places = Places {
            config: self.clone(),
            d_model: sites.d_model,
            layers: layers.map(|layer| (layer.site, layer.name.clone())).collect(),
            blocks: sites.blocks(Stack::Decoder),
        };
        match places.layers.is_empty() || places.blocks == 0 {
            true => Err(CoreError::NoSite {
                method: Method::Hyperdecoder,
                needed: "an encoder, from whose output the decoder's networks are made",
            }),
            false => Ok(places),
        }
    }
}

impl Places {
    /// Every tensor, in file order.
    fn parts(&self) -> Vec<Part> {
        let (d, r) = (self.d_model, self.config.bottleneck);
        let mut parts = Vec::new();
        // Xavier's bound.
        let weight = Start::Within(GAIN * (6.0 / (d + r) as f64).sqrt());
        let network = [
            (vec![r, d], weight),
            (vec![r], Start::Zero),
            (vec![d, r], weight),
            (vec![d], Start::Zero),
        ];
        for (_, layer) in &self.layers {
            let name = |tensor: &str| format!("{PREFIX}{layer}.adapter.{tensor}");
            let own = TENSORS.into_iter().zip(network.clone());
            parts.extend(own.map(|(tensor, (shape, start))| (name(tensor), shape, start)));
        }
        // PyTorch's start of linear maps.
        let usual = |inputs: usize| Start::Within(1.0 / (inputs as f64).sqrt());
        let dense = |name: &str, [output, input]: [usize; 2], weight: Start, bias: Start| {
            [
                (format!("hyper.{name}.weight"), vec![output, input], weight),
                (format!("hyper.{name}.bias"), vec![output], bias),
            ]
        };
        for name in ["input.up", "input.down"].iter().filter(|_| self.config.source_network) {
            parts.extend(dense(name, [d, d], usual(d), usual(d)));
        }
        let embeddings = vec![self.blocks, EMBEDDING];
        parts.push(("hyper.block_embeddings".to_owned(), embeddings, Start::Normal));
        let joined = d + EMBEDDING;
        parts.extend(dense("hidden", [HIDDEN, joined], usual(joined), usual(joined)));
        for (name, (outputs, fan)) in MADE.into_iter().zip([(d * r, d), (r, 1), (r * d, r), (d, 1)]) {
            let bound = FACTOR * (3.0 / (HIDDEN * fan) as f64).sqrt();
            parts.extend(dense(name, [outputs, HIDDEN], Start::Within(bound), Start::Zero));
        }
        parts
    }

    fn shapes(&self) -> Vec<Shape> {
        self.parts().into_iter().map(|(name, shape, _)| (name, shape)).collect()
    }

    /// An adapter of these tensors, in file order.
    fn build<B: Backend>(self, data: Vec<TensorData>, device: &B::Device) -> Hyperdecoder<B> {
        let mut data = Loader::new(data, device);
        let encoder = self.layers.iter().map(|_| EncoderNetwork {
            down: data.dense(),
            up: data.dense(),
        });
        let encoder = encoder.collect();
        let input = if self.config.source_network { 2 } else { 0 };
        let input = (0..input).map(|_| data.dense()).collect();
        let decoder = SourceNetworks {
            input,
            blocks: data.take(),
            hidden: data.dense(),
            maps: MADE.iter().map(|_| data.dense()).collect(),
        };
        Hyperdecoder {
            encoder,
            decoder,
            places: self,
        }
    }
}

/// The network beside a feed-forward layer of the encoder.
#[derive(Module, Debug)]
pub struct EncoderNetwork<B: Backend> {
    /// `[r, d]` and `[r]`.
    pub down: Dense<B>,
    /// `[d, r]` and `[d]`.
    pub up: Dense<B>,
}

/// The encoder's networks, and what makes the decoder's.
#[derive(Module, Debug)]
pub struct Hyperdecoder<B: Backend> {
    /// One for each block.
    pub encoder: Vec<EncoderNetwork<B>>,
    /// What makes those of the decoder.
    pub decoder: SourceNetworks<B>,
    #[module(skip)]
    places: Places,
}

impl<B: Backend> Intervention<B> for Hyperdecoder<B> {
    fn beside(&self, site: SublayerSite) -> Option<Beside<B>> {
        let place = self.places.layers.iter().position(|(known, _)| *known == site)?;
        let EncoderNetwork { down, up } = &self.encoder[place];
        let matrix = |map: &Dense<B>| map.weight.val().transpose().unsqueeze();
        Some(Beside {
            down: matrix(down),
            down_bias: down.bias.val().unsqueeze(),
            up: matrix(up),
            up_bias: up.bias.val().unsqueeze(),
        })
    }

    fn of_source(&self) -> Option<SourceNetworks<B>> {
        Some(self.decoder.clone())
    }

    fn changes_model(&self) -> bool {
        true
    }
}

impl MethodConfig for HyperdecoderConfig {
    type Module<B: Backend> = Hyperdecoder<B>;

    const INFO: MethodInfo = MethodInfo {
        title: "HyperDecoder",
        summary: "networks beside feed-forward layers: the encoder's, and one that makes the decoder's for each input",
        peft_type: "HYPERDECODER",
        has_prompt: false,
        groups: &[ParameterGroup {
            name: "hyperdecoder",
            prefix: "",
            defaults: Some(GroupDefaults {
                learning_rate: 3e-4,
                weight_decay: 0.0,
                warmup_steps: 500,
            }),
        }],
        merge: Merge::No("the decoder's networks depend on the input"),
        inference: "a small network beside each feed-forward layer; the decoder's are made once for an input",
        citation: "Ivison and Peters, Hyperdecoders: Instance-specific decoders for multi-task NLP, Findings of EMNLP 2022",
    };

    const NEEDS_ENCODER: bool = true;
    const JOINS_BLOCKS: bool = true;

    const SETTINGS: &'static [Setting] = &[WIDTH, SOURCE];

    fn from_settings(settings: &MethodSettings<'_>) -> Result<Self, CoreError> {
        Ok(Self {
            bottleneck: match settings.own(Method::Hyperdecoder, &WIDTH)? {
                0 => (settings.sites.d_model / REDUCTION).max(1),
                width => width,
            },
            source_network: settings.own(Method::Hyperdecoder, &SOURCE)?,
        })
    }

    fn validate(&self) -> Result<(), CoreError> {
        // Files from other programs may contain anything.
        match (1..=MOST_HIDDEN).contains(&self.bottleneck) {
            true => Ok(()),
            false => Err(refuse(
                Method::Hyperdecoder,
                "bottleneck",
                "from 1 to 8192",
                self.bottleneck,
            )),
        }
    }

    fn tensor_shapes(&self, sites: &ModelSites) -> Result<Vec<Shape>, CoreError> {
        Ok(self.places(sites)?.shapes())
    }

    fn file_shapes(&self, found: &[Shape]) -> Vec<Shape> {
        let is_known = |name: &str| {
            let of_network = |tensor: &str| module(name, tensor).is_some_and(|module| module.ends_with(".adapter"));
            name.starts_with("hyper.") || TENSORS.iter().any(|tensor| of_network(tensor))
        };
        let shapes: Vec<Shape> = found.iter().filter(|(name, _)| is_known(name)).cloned().collect();
        match shapes.is_empty() {
            // An adapter without tensors is invalid: report one as missing.
            true => vec![("hyper.hidden.bias".to_owned(), vec![HIDDEN])],
            false => shapes,
        }
    }

    fn start<B: Backend>(
        &self,
        sites: &ModelSites,
        start: AdapterInit<B>,
        device: &B::Device,
    ) -> Result<Hyperdecoder<B>, CoreError> {
        let places = self.places(sites)?;
        let values = |(place, (_, shape, values)): (usize, Part)| {
            let count = shape.iter().product();
            let values = match values {
                Start::Zero => vec![0.0; count],
                Start::Within(bound) => site_values(count, bound, start.seed, place),
                Start::Normal => site_normal(count, 1.0, start.seed, place),
            };
            TensorData::new(values, shape)
        };
        let data = places.parts().into_iter().enumerate().map(values).collect();
        Ok(places.build(data, device))
    }

    fn with_tensors<B: Backend>(
        &self,
        sites: &ModelSites,
        tensors: BTreeMap<String, TensorData>,
        device: &B::Device,
    ) -> Result<Hyperdecoder<B>, CoreError> {
        let places = self.places(sites)?;
        let shapes = places.shapes();
        let mut given = Given::new(tensors, &shapes)?;
        let data = shapes.iter().map(|(name, _)| given.data(name)).collect();
        Ok(places.build(data, device))
    }

    fn tensors<B: Backend>(module: &Hyperdecoder<B>) -> Vec<(String, TensorData)> {
        let dense = |map: &Dense<B>| [map.weight.val().into_data(), map.bias.val().into_data()];
        let networks = module.encoder.iter().flat_map(|network| [&network.down, &network.up]);
        let mut data: Vec<TensorData> = networks.flat_map(dense).collect();
        let decoder = &module.decoder;
        data.extend(decoder.input.iter().flat_map(dense));
        data.push(decoder.blocks.val().into_data());
        data.extend(dense(&decoder.hidden));
        data.extend(decoder.maps.iter().flat_map(dense));
        let names = module.places.shapes().into_iter().map(|(name, _)| name);
        names.zip(data).collect()
    }

    fn check_constants<B: Backend>(&self, module: &Hyperdecoder<B>) -> Result<(), CoreError> {
        let found = &module.places.config;
        match found == self {
            true => Ok(()),
            false => Err(refuse(
                Method::Hyperdecoder,
                "bottleneck",
                "the adapter's own sizes",
                format!("{self:?} (the adapter's are {found:?})"),
            )),
        }
    }

    fn peft_keys<B: Backend>(&self, _: &Hyperdecoder<B>) -> Map<String, Value> {
        object(json!({ "bottleneck": self.bottleneck, "source_network": self.source_network }))
    }

    fn own_keys(&self) -> Map<String, Value> {
        Map::new()
    }

    fn from_keys(top: &mut Fields<'_>, _: &mut Fields<'_>) -> Result<Self, CoreError> {
        Ok(Self {
            bottleneck: top.required_count("bottleneck")?,
            source_network: top.flag("source_network")?.unwrap_or(true),
        })
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let made_of = match self.source_network {
            true => "the mean of the encoder's states, through two layers",
            false => "the mean of the encoder's states",
        };
        vec![
            ("bottleneck r", self.bottleneck.to_string()),
            ("decoder's networks made of", made_of.to_owned()),
        ]
    }

    fn rank(&self) -> usize {
        self.bottleneck
    }
}
