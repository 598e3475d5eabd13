//! HyperFormer: the networks behind sublayers are made, for each task, by a network that all tasks share (Mahabadi et al.,
//! 2021, sections 2.2 and 2.3). One such hypernetwork stands for each stack of the model:
//!
//! - The embeddings of a task (shared by the stacks), a block and, in HyperFormer++, a place in the block, each of 64
//!   values, are joined; `e = LN(W_2·relu(W_1·[..] + b_1) + b_2)`, 192 → 128 → 64, with eps 1e-6.
//! - Linear maps of `e` give the tensors of a network and the weight and bias of a layer norm:
//!   `y + LN_e(gelu(y·W_down + b_down)·W_up + b_up)`, with eps 1e-5.
//! - Plain HyperFormer has no embedding of the place and linear maps for each place of their own.
//!
//! The model's norms are trained, too. What a task uses is a plain adapter with inner norms ([`Hyperformer::of_one`]).
//!
//! Files hold `hyper.task_embeddings` `[tasks, 64]`, for each stack `hyper.STACK.block_embeddings`, `.place_embeddings`
//! `[2, 64]` (feed-forward first), `.up`, `.down` (of the projection to `e`), `.norm`, `.PLACE.TENSOR.weight` `[out, 64]`
//! and `.bias`, and `base_model.model.NORM.weight`, the difference to the model's own.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use serde_json::{Map, Value, json};

use super::bottleneck::{HoulsbyConfig, NormPlace, NormWeight};
use super::prompt::{Given, MOST_HIDDEN, object, refuse};
use super::tasks;
use super::weights::{PREFIX, module};
use super::{
    Adapter, AdapterConfig, AdapterInit, GroupDefaults, Merge, MethodConfig, MethodInfo, MethodSettings,
    ParameterGroup, Setting, SettingKind, Shape,
};
use crate::file::Fields;
use crate::init::site_normal;
use crate::network::{Dense, Loader, NetworkNorm};
use crate::site::{ModelSites, NormSite, Stack, SublayerPart, SublayerSite};
use crate::{Bottleneck, CoreError, InnerNorm, Intervention, Method, NormChange};

/// Width of an embedding and of `e`.
const EMBEDDING: usize = 64;
/// Inner width of the projection to `e`.
const PROJECTED: usize = 128;
/// Eps of the layer norm of `e`.
const EPSILON: f64 = 1e-6;
/// Standard deviation of initial weights; embeddings' is 1, and biases start at zero.
const DEVIATION: f64 = 0.01;
/// Share of the model's width that the networks have by default.
const REDUCTION: usize = 32;
const WEIGHT: &str = "weight";

/// What is made for a place, in the order of files.
const MADE: [&str; 6] = [
    "down_weight",
    "down_bias",
    "up_weight",
    "up_bias",
    "norm_weight",
    "norm_bias",
];
/// The places of a block, in the order of their numbers.
const PARTS: [SublayerPart; 2] = [SublayerPart::FeedForward, SublayerPart::Attention];

const WIDTH: Setting = Setting {
    key: "bottleneck",
    kind: SettingKind::Integer {
        min: 0,
        max: MOST_HIDDEN as i64,
    },
    default: "0",
    meaning: "Inner width r of the networks that are made; 0: the model's width / 32.",
};
const PLUS: Setting = Setting {
    key: "plus",
    kind: SettingKind::Flag,
    default: "true",
    meaning: "HyperFormer++, with an embedding of the place in a block; `false`: HyperFormer, which has linear maps for \
              each place instead.",
};

/// Sizes of the hypernetworks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HyperformerConfig {
    /// Number of tasks.
    pub tasks: usize,
    /// Inner width `r` of the networks that are made.
    pub bottleneck: usize,
    /// Whether places have embeddings (HyperFormer++).
    pub is_plus: bool,
}

impl HyperformerConfig {
    /// HyperFormer++ for that many tasks, with networks of inner width `bottleneck`.
    pub fn new(tasks: usize, bottleneck: usize) -> Self {
        Self {
            tasks,
            bottleneck,
            is_plus: true,
        }
    }

    fn places(&self, sites: &ModelSites) -> Result<Places, CoreError> {
        let stacks = [Stack::Encoder, Stack::Decoder].into_iter();
        let stacks = stacks.map(|stack| (stack, sites.blocks(stack)));
        let stacks: Vec<(Stack, usize)> = stacks.filter(|(_, blocks)| *blocks > 0).collect();
        if stacks.is_empty() {
            return Err(CoreError::NoSite {
                method: Method::Hyperformer,
                needed: "sublayers",
            });
        }
        let layers = sites.sublayers.iter().filter(|layer| PARTS.contains(&layer.site.part));
        let norms = sites.norms.iter();
        Ok(Places {
            config: self.clone(),
            d_model: sites.d_model,
            stacks,
            layers: layers.map(|layer| (layer.site, layer.name.clone())).collect(),
            norms: norms.map(|norm| (norm.site, norm.name.clone(), norm.width)).collect(),
        })
    }
}

/// Where the tensors of an adapter belong, in the model's order.
#[derive(Debug, Clone, PartialEq)]
struct Places {
    config: HyperformerConfig,
    d_model: usize,
    /// The model's stacks and their numbers of blocks.
    stacks: Vec<(Stack, usize)>,
    layers: Vec<(SublayerSite, String)>,
    norms: Vec<NormPlace>,
}

/// A tensor's name, shape and standard deviation of its initial values; `None`: ones.
type Part = (String, Vec<usize>, Option<f64>);

impl Places {
    /// Sizes of what is made, in the order of [`MADE`].
    fn sizes(&self) -> [usize; 6] {
        let (d, r) = (self.d_model, self.config.bottleneck);
        [r * d, r, d * r, d, d, d]
    }

    /// Number of sets of linear maps in a stack.
    fn generators(&self) -> usize {
        if self.config.is_plus { 1 } else { PARTS.len() }
    }

    /// Every tensor, in file order.
    fn parts(&self) -> Vec<Part> {
        let mut parts: Vec<Part> = vec![(
            "hyper.task_embeddings".to_owned(),
            vec![self.config.tasks, EMBEDDING],
            Some(1.0),
        )];
        for (stack, blocks) in &self.stacks {
            let stack = match stack {
                Stack::Encoder => "hyper.encoder",
                Stack::Decoder => "hyper.decoder",
            };
            let mut put = |name: &str, shape: Vec<usize>, start| parts.push((format!("{stack}.{name}"), shape, start));
            put("block_embeddings", vec![*blocks, EMBEDDING], Some(1.0));
            let joined = if self.config.is_plus { 3 } else { 2 } * EMBEDDING;
            if self.config.is_plus {
                put("place_embeddings", vec![PARTS.len(), EMBEDDING], Some(1.0));
            }
            put("up.weight", vec![PROJECTED, joined], Some(DEVIATION));
            put("up.bias", vec![PROJECTED], Some(0.0));
            put("down.weight", vec![EMBEDDING, PROJECTED], Some(DEVIATION));
            put("down.bias", vec![EMBEDDING], Some(0.0));
            put("norm.weight", vec![EMBEDDING], None);
            put("norm.bias", vec![EMBEDDING], Some(0.0));
            for generator in 0..self.generators() {
                for (made, size) in MADE.into_iter().zip(self.sizes()) {
                    put(
                        &format!("{generator}.{made}.weight"),
                        vec![size, EMBEDDING],
                        Some(DEVIATION),
                    );
                    put(&format!("{generator}.{made}.bias"), vec![size], Some(0.0));
                }
            }
        }
        let norms = self.norms.iter();
        parts.extend(norms.map(|(_, norm, width)| (format!("{PREFIX}{norm}.{WEIGHT}"), vec![*width], Some(0.0))));
        parts
    }

    fn shapes(&self) -> Vec<Shape> {
        self.parts().into_iter().map(|(name, shape, _)| (name, shape)).collect()
    }

    /// An adapter of these tensors, in file order.
    fn build<B: Backend>(self, data: Vec<TensorData>, device: &B::Device) -> Hyperformer<B> {
        let mut data = Loader::new(data, device);
        let tasks = data.take();
        let networks = self.stacks.iter().map(|_| HyperNetwork {
            blocks: data.take(),
            places: self.config.is_plus.then(|| data.take()),
            up: data.dense(),
            down: data.dense(),
            norm: NetworkNorm {
                weight: data.take(),
                bias: data.take(),
            },
            generators: (0..self.generators())
                .map(|_| Generator {
                    maps: MADE.iter().map(|_| data.dense()).collect(),
                })
                .collect(),
        });
        let networks = networks.collect();
        let norms = self.norms.iter().map(|_| NormWeight { weight: data.take() });
        Hyperformer {
            tasks,
            networks,
            norms: norms.collect(),
            places: self,
        }
    }
}

/// The linear maps that make the tensors of a place, in the order down weight, down bias, up weight, up bias, norm weight,
/// norm bias.
#[derive(Module, Debug)]
pub struct Generator<B: Backend> {
    /// Each `[out, 64]` with a bias `[out]`.
    pub maps: Vec<Dense<B>>,
}

/// What makes the networks of one stack.
#[derive(Module, Debug)]
pub struct HyperNetwork<B: Backend> {
    /// Embeddings of the blocks, `[blocks, 64]`.
    pub blocks: Param<Tensor<B, 2>>,
    /// Embeddings of the places in a block, `[2, 64]`; `None` in plain HyperFormer.
    pub places: Option<Param<Tensor<B, 2>>>,
    /// `W_1` and `b_1`.
    pub up: Dense<B>,
    /// `W_2` and `b_2`.
    pub down: Dense<B>,
    /// LN.
    pub norm: NetworkNorm<B>,
    /// One for all places in HyperFormer++, one for each in plain HyperFormer.
    pub generators: Vec<Generator<B>>,
}

impl<B: Backend> HyperNetwork<B> {
    /// The networks of these sublayers for the task with the embedding `task [1, 64]`.
    fn make(&self, task: &Tensor<B, 2>, sites: &[SublayerSite], r: usize) -> Vec<(SublayerSite, Bottleneck<B>)> {
        let mut made = Vec::with_capacity(sites.len());
        for (number, generator) in self.generators.iter().enumerate() {
            // One set of linear maps is for all places.
            let is_meant = |site: &&SublayerSite| self.places.is_some() || site.part == PARTS[number];
            let own: Vec<SublayerSite> = sites.iter().filter(is_meant).copied().collect();
            let embedded = self.embed(task, &own);
            let all: Vec<Tensor<B, 2>> = generator.maps.iter().map(|map| map.forward(embedded.clone())).collect();
            let d = all[3].dims()[1];
            for (row, site) in own.into_iter().enumerate() {
                let matrix = |place: usize, shape: [usize; 2]| {
                    let values: Tensor<B, 2> = all[place].clone().narrow(0, row, 1);
                    values.reshape(shape).transpose()
                };
                let vector = |place: usize| all[place].clone().narrow(0, row, 1).squeeze_dim::<1>(0);
                let network = Bottleneck {
                    down: matrix(0, [r, d]),
                    down_bias: vector(1),
                    up: matrix(2, [d, r]),
                    up_bias: vector(3),
                    norm: Some(InnerNorm {
                        weight: vector(4),
                        bias: vector(5),
                    }),
                };
                made.push((site, network));
            }
        }
        made
    }

    /// `e` of each sublayer, `[sublayers, 64]`.
    fn embed(&self, task: &Tensor<B, 2>, sites: &[SublayerSite]) -> Tensor<B, 2> {
        let device = task.device();
        let rows = |table: &Param<Tensor<B, 2>>, numbers: Vec<usize>| {
            let numbers: Vec<i32> = numbers.into_iter().map(|number| number as i32).collect();
            let count = numbers.len();
            table.val().select(
                0,
                Tensor::<B, 1, Int>::from_data(TensorData::new(numbers, [count]), &device),
            )
        };
        let mut joined = vec![task.clone().expand([sites.len(), EMBEDDING])];
        joined.push(rows(&self.blocks, sites.iter().map(|site| site.block).collect()));
        if let Some(places) = &self.places {
            let number = |site: &SublayerSite| usize::from(site.part != PARTS[0]);
            joined.push(rows(places, sites.iter().map(number).collect()));
        }
        let hidden = relu(self.up.forward(Tensor::cat(joined, 1)));
        self.norm.with_epsilon(self.down.forward(hidden), EPSILON)
    }
}

/// The hypernetworks, the tasks' embeddings and the trained norms.
#[derive(Module, Debug)]
pub struct Hyperformer<B: Backend> {
    /// Embeddings of the tasks, `[tasks, 64]`.
    pub tasks: Param<Tensor<B, 2>>,
    /// One for each stack, the encoder's first.
    pub networks: Vec<HyperNetwork<B>>,
    /// The model's norms, in its order.
    pub norms: Vec<NormWeight<B>>,
    #[module(skip)]
    places: Places,
}

/// The networks of one task.
#[derive(Debug)]
struct Made<B: Backend> {
    networks: Vec<(SublayerSite, Bottleneck<B>)>,
    norms: Vec<(NormSite, Tensor<B, 1>)>,
}

impl<B: Backend> Intervention<B> for Made<B> {
    fn after(&self, site: SublayerSite) -> Option<Bottleneck<B>> {
        let found = self.networks.iter().find(|(known, _)| *known == site);
        found.map(|(_, network)| network.clone())
    }

    fn norm(&self, site: NormSite) -> Option<NormChange<B>> {
        let found = self.norms.iter().find(|(known, _)| *known == site);
        found.map(|(_, weight)| NormChange {
            weight: Some(weight.clone()),
            bias: None,
        })
    }

    fn changes_model(&self) -> bool {
        true
    }
}

impl<B: Backend> Hyperformer<B> {
    /// What is made for a task.
    ///
    /// # Panics
    /// If there are not that many.
    fn of_one(&self, task: usize) -> Made<B> {
        let embedding = self.tasks.val().narrow(0, task, 1);
        let mut networks = Vec::with_capacity(self.places.layers.len());
        for ((stack, _), network) in self.places.stacks.iter().zip(&self.networks) {
            let layers = self.places.layers.iter().map(|(site, _)| *site);
            let layers: Vec<SublayerSite> = layers.filter(|site| site.stack == *stack).collect();
            networks.extend(network.make(&embedding, &layers, self.places.config.bottleneck));
        }
        let norms = self.places.norms.iter().zip(&self.norms);
        Made {
            networks,
            norms: norms.map(|((site, ..), norm)| (*site, norm.weight.val())).collect(),
        }
    }

    fn only(&self) -> Made<B> {
        tasks::assert_one(self.places.config.tasks);
        self.of_one(0)
    }
}

/// Every network is made anew in each call: take [`Intervention::of_task`] once for each pass.
impl<B: Backend> Intervention<B> for Hyperformer<B> {
    /// # Panics
    /// If the adapter has several tasks and none was chosen.
    fn after(&self, site: SublayerSite) -> Option<Bottleneck<B>> {
        self.only().after(site)
    }

    fn norm(&self, site: NormSite) -> Option<NormChange<B>> {
        let place = self.places.norms.iter().position(|(known, ..)| *known == site)?;
        Some(NormChange {
            weight: Some(self.norms[place].weight.val()),
            bias: None,
        })
    }

    fn changes_model(&self) -> bool {
        true
    }

    fn of_task(&self, task: usize) -> Option<Box<dyn Intervention<B>>> {
        Some(Box::new(self.of_one(task)))
    }
}

impl MethodConfig for HyperformerConfig {
    type Module<B: Backend> = Hyperformer<B>;

    const JOINS_BLOCKS: bool = true;
    const INFO: MethodInfo = MethodInfo {
        title: "HyperFormer",
        summary: "networks that make small networks behind sublayers for each task, and norms",
        peft_type: "HYPERFORMER",
        has_prompt: false,
        groups: &[ParameterGroup {
            name: "hyperformer",
            prefix: "",
            defaults: Some(GroupDefaults {
                learning_rate: 3e-4,
                weight_decay: 0.0,
                warmup_steps: 500,
            }),
        }],
        merge: Merge::No("the networks that it makes are not linear"),
        inference: "a small network behind each sublayer, made once for a task",
        citation: "Mahabadi et al., Parameter-efficient Multi-task Fine-tuning for Transformers via Shared Hypernetworks, \
                   ACL 2021",
    };

    const SETTINGS: &'static [Setting] = &[WIDTH, PLUS];

    fn from_settings(settings: &MethodSettings<'_>) -> Result<Self, CoreError> {
        Ok(Self {
            tasks: settings.tasks,
            bottleneck: match settings.own(Method::Hyperformer, &WIDTH)? {
                0 => (settings.sites.d_model / REDUCTION).max(1),
                width => width,
            },
            is_plus: settings.own(Method::Hyperformer, &PLUS)?,
        })
    }

    fn validate(&self) -> Result<(), CoreError> {
        // Files from other programs may contain anything.
        if !(1..=MOST_HIDDEN).contains(&self.bottleneck) {
            return Err(refuse(
                Method::Hyperformer,
                "bottleneck",
                "from 1 to 8192",
                self.bottleneck,
            ));
        }
        tasks::validate(Method::Hyperformer, "tasks", self.tasks)
    }

    fn tensor_shapes(&self, sites: &ModelSites) -> Result<Vec<Shape>, CoreError> {
        Ok(self.places(sites)?.shapes())
    }

    fn file_shapes(&self, found: &[Shape]) -> Vec<Shape> {
        let is_known = |name: &str| name.starts_with("hyper.") || module(name, WEIGHT).is_some();
        let shapes: Vec<Shape> = found.iter().filter(|(name, _)| is_known(name)).cloned().collect();
        match shapes.is_empty() {
            // An adapter without tensors is invalid: report its first one as missing.
            true => vec![("hyper.task_embeddings".to_owned(), vec![self.tasks, EMBEDDING])],
            false => shapes,
        }
    }

    fn start<B: Backend>(
        &self,
        sites: &ModelSites,
        start: AdapterInit<B>,
        device: &B::Device,
    ) -> Result<Hyperformer<B>, CoreError> {
        let places = self.places(sites)?;
        let values = |(place, (_, shape, deviation)): (usize, Part)| {
            let count = shape.iter().product();
            let values = match deviation {
                None => vec![1.0; count],
                Some(0.0) => vec![0.0; count],
                Some(deviation) => site_normal(count, deviation, start.seed, place),
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
    ) -> Result<Hyperformer<B>, CoreError> {
        let places = self.places(sites)?;
        let shapes = places.shapes();
        let mut given = Given::new(tensors, &shapes)?;
        let data = shapes.iter().map(|(name, _)| given.data(name)).collect();
        Ok(places.build(data, device))
    }

    fn tensors<B: Backend>(module: &Hyperformer<B>) -> Vec<(String, TensorData)> {
        let dense = |map: &Dense<B>| [map.weight.val().into_data(), map.bias.val().into_data()];
        let mut data = vec![module.tasks.val().into_data()];
        for network in &module.networks {
            data.push(network.blocks.val().into_data());
            data.extend(network.places.iter().map(|places| places.val().into_data()));
            data.extend(dense(&network.up));
            data.extend(dense(&network.down));
            data.push(network.norm.weight.val().into_data());
            data.push(network.norm.bias.val().into_data());
            let maps = network.generators.iter().flat_map(|generator| &generator.maps);
            data.extend(maps.flat_map(dense));
        }
        data.extend(module.norms.iter().map(|norm| norm.weight.val().into_data()));
        let names = module.places.shapes().into_iter().map(|(name, _)| name);
        names.zip(data).collect()
    }

    fn check_constants<B: Backend>(&self, module: &Hyperformer<B>) -> Result<(), CoreError> {
        let found = &module.places.config;
        match found == self {
            true => Ok(()),
            false => Err(refuse(
                Method::Hyperformer,
                "bottleneck",
                "the adapter's own sizes",
                format!("{self:?} (the adapter's are {found:?})"),
            )),
        }
    }

    fn peft_keys<B: Backend>(&self, _: &Hyperformer<B>) -> Map<String, Value> {
        object(json!({ "bottleneck": self.bottleneck, "plus": self.is_plus, "tasks": self.tasks }))
    }

    fn own_keys(&self) -> Map<String, Value> {
        Map::new()
    }

    fn from_keys(top: &mut Fields<'_>, _: &mut Fields<'_>) -> Result<Self, CoreError> {
        Ok(Self {
            tasks: top.required_count("tasks")?,
            bottleneck: top.required_count("bottleneck")?,
            is_plus: top.flag("plus")?.unwrap_or(true),
        })
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("tasks", self.tasks.to_string()),
            ("bottleneck r", self.bottleneck.to_string()),
            ("embeddings of places", self.is_plus.to_string()),
        ]
    }

    fn rank(&self) -> usize {
        self.bottleneck
    }

    fn tasks(&self) -> usize {
        self.tasks
    }

    fn averaged<B: Backend>(&self, module: &Hyperformer<B>) -> Option<(AdapterConfig, Adapter<B>)> {
        let config = Self {
            tasks: 1,
            ..self.clone()
        };
        let adapter = Hyperformer {
            tasks: Param::from_tensor(module.tasks.val().mean_dim(0)),
            places: Places {
                config: config.clone(),
                ..module.places.clone()
            },
            ..module.clone()
        };
        Some((config.into(), Adapter::Hyperformer(adapter)))
    }

    fn alone<B: Backend>(&self, module: &Hyperformer<B>, task: usize) -> Option<(AdapterConfig, Adapter<B>)> {
        let made = module.of_one(task);
        let config = HoulsbyConfig {
            inner_norm: true,
            ..HoulsbyConfig::new(self.bottleneck)
        };
        let Places {
            d_model, layers, norms, ..
        } = &module.places;
        let networks = layers.iter().filter_map(|(site, _)| made.after(*site)).collect();
        let weights = made.norms.into_iter().map(|(_, weight)| weight).collect();
        let adapter = config.of_networks(*d_model, (layers, networks), (norms, weights));
        Some((config.into(), Adapter::Adapter(adapter)))
    }
}
