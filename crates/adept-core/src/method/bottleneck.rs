//! Adapters: a small network behind each self-attention and feed-forward layer,
//! `y + gelu(y·W_down + b_down)·W_up + b_up`, with the weights of all norms trained beside them (Houlsby et al., 2019,
//! section 2.1); and AdapterDrop, the same without networks in the lowest blocks of each stack (Rücklé et al., 2021).
//!
//! Tasks that are trained together have networks of their own and share the norms; with `inner_norm` also a layer norm of
//! what each network adds, one at a place, `y + LN(gelu(..)·W_up + b_up)` (the adapters that Mahabadi et al., 2021, compare
//! HyperFormer with).
//!
//! Files hold `base_model.model.SUBLAYER.adapter.down.weight` `[r, d]`, `.adapter.up.weight` `[d, r]`, their biases, and
//! `base_model.model.NORM.weight` `[d]`, the difference to the model's own weight. Of several tasks, `adapter.K.down.weight`
//! is of task K, counted from 0; `.adapter.norm.weight` and `.bias` are the inner norm's.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use serde_json::{Map, Value, json};

use super::prompt::{Given, MOST_HIDDEN, object, refuse};
use super::tasks;
use super::weights::{PREFIX, module, transposed, values};
use super::{
    Adapter, AdapterConfig, AdapterInit, GroupDefaults, Merge, MethodConfig, MethodInfo, MethodSettings,
    ParameterGroup, Setting, SettingKind, Shape,
};
use crate::file::Fields;
use crate::init::site_normal;
use crate::network::NetworkNorm;
use crate::site::{ModelSites, NormSite, Stack, Sublayer, SublayerPart, SublayerSite};
use crate::{Bottleneck, CoreError, InnerNorm, Intervention, Method, NormChange};

/// The tensors of a network, in the order of files, behind `adapter.` and the task.
const TENSORS: [&str; 4] = ["down.weight", "down.bias", "up.weight", "up.bias"];
/// The tensors of an inner norm, behind `adapter.`.
const INNER: [&str; 2] = ["norm.weight", "norm.bias"];
const WEIGHT: &str = "weight";

const HOULSBY: &str = "houlsby";
const PFEIFFER: &str = "pfeiffer";

/// Standard deviation of a network's initial weights; its biases start at zero.
const DEVIATION: f64 = 0.01;
/// Share of the model's width that the networks have by default.
const REDUCTION: usize = 32;

const WIDTH: Setting = Setting {
    key: "bottleneck",
    kind: SettingKind::Integer {
        min: 0,
        max: MOST_HIDDEN as i64,
    },
    default: "0",
    meaning: "Inner width r of the networks; 0: the model's width / 32.",
};
const PLACEMENT: Setting = Setting {
    key: "placement",
    kind: SettingKind::Choice(&[HOULSBY, PFEIFFER]),
    default: "\"houlsby\"",
    meaning: "Where networks stand: behind self-attention and feed-forward layers (`houlsby`), or behind feed-forward \
              layers alone (`pfeiffer`).",
};
const NORMS: Setting = Setting {
    key: "train_norms",
    kind: SettingKind::Flag,
    default: "true",
    meaning: "Whether the weights of the model's norms are trained, too.",
};
const INNER_NORM: Setting = Setting {
    key: "inner_norm",
    kind: SettingKind::Flag,
    default: "false",
    meaning: "Whether a layer norm follows each network before its residual connection, one at a place whatever the task: \
              the form in which adapters of several tasks are compared with HyperFormer.",
};
const SKIPPED: Setting = Setting {
    key: "skip_blocks",
    kind: SettingKind::Integer { min: 0, max: 65536 },
    default: "0",
    meaning: "How many of the lowest blocks of each stack get no network; 0: five of twelve.",
};

/// Sizes and places of adapters. `DROP`: whether the lowest blocks are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BottleneckConfig<const DROP: bool> {
    /// Inner width `r` of the networks.
    pub bottleneck: usize,
    /// Whether networks stand behind feed-forward layers only.
    pub is_pfeiffer: bool,
    /// Whether the weights of the norms are trained.
    pub train_norms: bool,
    /// The lowest blocks of each stack without networks; 0 unless `DROP`.
    pub skip_blocks: usize,
    /// Whether a layer norm follows each network before its residual connection.
    pub inner_norm: bool,
    /// Number of tasks, each with networks of its own.
    pub tasks: usize,
}

/// Adapters in every block.
pub type HoulsbyConfig = BottleneckConfig<false>;
/// Adapters in all but the lowest blocks.
pub type AdapterDropConfig = BottleneckConfig<true>;

impl HoulsbyConfig {
    /// Networks of this inner width in every block, and trained norms.
    pub fn new(bottleneck: usize) -> Self {
        Self {
            bottleneck,
            is_pfeiffer: false,
            train_norms: true,
            skip_blocks: 0,
            inner_norm: false,
            tasks: 1,
        }
    }
}

impl HoulsbyConfig {
    /// An adapter of these networks with inner norms, at the sublayers of these names, and of these weights of norms.
    pub(super) fn of_networks<B: Backend>(
        &self,
        d_model: usize,
        (layers, networks): (&[(SublayerSite, String)], Vec<Bottleneck<B>>),
        (norms, weights): (&[NormPlace], Vec<Tensor<B, 1>>),
    ) -> BottleneckAdapter<B> {
        let inner = networks.iter().filter_map(|network| network.norm.clone());
        let inner = inner.map(|norm| NetworkNorm {
            weight: Param::from_tensor(norm.weight),
            bias: Param::from_tensor(norm.bias),
        });
        let inner_norms = inner.collect();
        let network = |network: Bottleneck<B>| BottleneckNetwork {
            down: Param::from_tensor(network.down),
            down_bias: Param::from_tensor(network.down_bias),
            up: Param::from_tensor(network.up),
            up_bias: Param::from_tensor(network.up_bias),
        };
        let norm = |weight| NormWeight {
            weight: Param::from_tensor(weight),
        };
        BottleneckAdapter {
            networks: networks.into_iter().map(network).collect(),
            inner_norms,
            norms: weights.into_iter().map(norm).collect(),
            places: Places {
                d_model,
                bottleneck: self.bottleneck,
                tasks: 1,
                inner_norm: self.inner_norm,
                layers: layers.to_vec(),
                norms: norms.to_vec(),
            },
        }
    }
}

impl AdapterDropConfig {
    /// Networks of this inner width in all but the lowest `skip_blocks` blocks of each stack, and trained norms.
    pub fn new(bottleneck: usize, skip_blocks: usize) -> Self {
        Self {
            bottleneck,
            is_pfeiffer: false,
            train_norms: true,
            skip_blocks,
            inner_norm: false,
            tasks: 1,
        }
    }
}

impl<const DROP: bool> BottleneckConfig<DROP> {
    const METHOD: Method = if DROP { Method::AdapterDrop } else { Method::Adapter };

    /// The same for one task, with the type's parameter as the compiler wants it spelled.
    fn of_one<const SAME: bool>(&self) -> BottleneckConfig<SAME> {
        BottleneckConfig {
            bottleneck: self.bottleneck,
            is_pfeiffer: self.is_pfeiffer,
            train_norms: self.train_norms,
            skip_blocks: self.skip_blocks,
            inner_norm: self.inner_norm,
            tasks: 1,
        }
    }

    /// Whether a sublayer gets a network.
    fn is_adapted(&self, site: SublayerSite) -> bool {
        let is_place = match site.part {
            SublayerPart::Attention => !self.is_pfeiffer,
            SublayerPart::FeedForward => true,
            SublayerPart::CrossAttention => false,
        };
        is_place && site.block >= self.skip_blocks
    }

    /// The sublayers that get a network.
    fn layers<'a>(&self, sites: &'a ModelSites) -> Result<Vec<&'a Sublayer>, CoreError> {
        for stack in [Stack::Encoder, Stack::Decoder] {
            let blocks = sites.blocks(stack);
            if blocks > 0 && self.skip_blocks >= blocks {
                return Err(CoreError::NoBlocks {
                    method: Self::METHOD,
                    skip_blocks: self.skip_blocks,
                    blocks,
                });
            }
        }
        let layers: Vec<_> = sites
            .sublayers
            .iter()
            .filter(|layer| self.is_adapted(layer.site))
            .collect();
        match layers.is_empty() {
            true => Err(CoreError::NoSite {
                method: Self::METHOD,
                needed: "sublayers",
            }),
            false => Ok(layers),
        }
    }

    fn places(&self, sites: &ModelSites) -> Result<Places, CoreError> {
        let layers = self.layers(sites)?.into_iter();
        let norms = sites.norms.iter().filter(|_| self.train_norms);
        Ok(Places {
            d_model: sites.d_model,
            bottleneck: self.bottleneck,
            tasks: self.tasks,
            inner_norm: self.inner_norm,
            layers: layers.map(|layer| (layer.site, layer.name.clone())).collect(),
            norms: norms.map(|norm| (norm.site, norm.name.clone(), norm.width)).collect(),
        })
    }
}

/// Five of twelve blocks of the smaller stack, rounded, and at least one.
fn usual_skip(sites: &ModelSites) -> usize {
    let blocks = [Stack::Encoder, Stack::Decoder].map(|stack| sites.blocks(stack));
    let least = blocks.into_iter().filter(|blocks| *blocks > 0).min().unwrap_or(0);
    ((5 * least + 6) / 12).max(1)
}

/// A norm with its name and width.
pub(super) type NormPlace = (NormSite, String, usize);

/// Where the tensors of an adapter belong, in the model's order.
#[derive(Debug, Clone, PartialEq)]
struct Places {
    d_model: usize,
    bottleneck: usize,
    tasks: usize,
    inner_norm: bool,
    layers: Vec<(SublayerSite, String)>,
    norms: Vec<NormPlace>,
}

impl Places {
    /// Names of a network's tensors in files.
    fn network(&self, layer: &str, task: usize) -> [String; 4] {
        TENSORS.map(|tensor| match self.tasks {
            1 => format!("{PREFIX}{layer}.adapter.{tensor}"),
            _ => format!("{PREFIX}{layer}.adapter.{task}.{tensor}"),
        })
    }

    /// Names and shapes in files: the networks of each task, inner norms, the model's norms.
    fn shapes(&self) -> Vec<Shape> {
        let (d, r) = (self.d_model, self.bottleneck);
        let sizes = [vec![r, d], vec![r], vec![d, r], vec![d]];
        let mut shapes = Vec::new();
        for task in 0..self.tasks {
            for (_, layer) in &self.layers {
                shapes.extend(self.network(layer, task).into_iter().zip(sizes.iter().cloned()));
            }
        }
        for (_, layer) in self.layers.iter().filter(|_| self.inner_norm) {
            shapes.extend(INNER.map(|tensor| (format!("{PREFIX}{layer}.adapter.{tensor}"), vec![d])));
        }
        let norms = self.norms.iter();
        shapes.extend(norms.map(|(_, norm, width)| (format!("{PREFIX}{norm}.{WEIGHT}"), vec![*width])));
        shapes
    }
}

/// The trained network behind one sublayer.
#[derive(Module, Debug)]
pub struct BottleneckNetwork<B: Backend> {
    /// `[d, r]`.
    pub down: Param<Tensor<B, 2>>,
    /// `[r]`.
    pub down_bias: Param<Tensor<B, 1>>,
    /// `[r, d]`.
    pub up: Param<Tensor<B, 2>>,
    /// `[d]`.
    pub up_bias: Param<Tensor<B, 1>>,
}

/// The trained difference of a norm's weight.
#[derive(Module, Debug)]
pub struct NormWeight<B: Backend> {
    /// `[d]`.
    pub weight: Param<Tensor<B, 1>>,
}

/// All trained networks and norms.
#[derive(Module, Debug)]
pub struct BottleneckAdapter<B: Backend> {
    /// The networks, in the model's order, task by task.
    pub networks: Vec<BottleneckNetwork<B>>,
    /// The layer norms of what they add, in the model's order; empty if there are none.
    pub inner_norms: Vec<NetworkNorm<B>>,
    /// The norms, in the model's order; empty if they are not trained.
    pub norms: Vec<NormWeight<B>>,
    #[module(skip)]
    places: Places,
}

impl<B: Backend> BottleneckAdapter<B> {
    fn tensors(&self) -> Vec<(String, TensorData)> {
        let (d, r) = (self.places.d_model, self.places.bottleneck);
        let turned = |weight: &Param<Tensor<B, 2>>, [rows, columns]: [usize; 2]| {
            let weight = values(weight.val().into_data());
            TensorData::new(transposed(&weight, [rows, columns]), [columns, rows])
        };
        let of_network = |network: &BottleneckNetwork<B>| {
            [
                turned(&network.down, [d, r]),
                network.down_bias.val().into_data(),
                turned(&network.up, [r, d]),
                network.up_bias.val().into_data(),
            ]
        };
        let networks = self.networks.iter().flat_map(of_network);
        let of_inner = |norm: &NetworkNorm<B>| [norm.weight.val().into_data(), norm.bias.val().into_data()];
        let inner = self.inner_norms.iter().flat_map(of_inner);
        let norms = self.norms.iter().map(|norm| norm.weight.val().into_data());
        let names = self.places.shapes().into_iter().map(|(name, _)| name);
        names.zip(networks.chain(inner).chain(norms)).collect()
    }

    /// What one task has.
    fn of_one(&self, task: usize) -> Self {
        let layers = self.places.layers.len();
        Self {
            networks: self.networks[task * layers..][..layers].to_vec(),
            inner_norms: self.inner_norms.clone(),
            norms: self.norms.clone(),
            places: Places {
                tasks: 1,
                ..self.places.clone()
            },
        }
    }
}

impl<B: Backend> Intervention<B> for BottleneckAdapter<B> {
    /// # Panics
    /// If the adapter has several tasks and none was chosen ([`Intervention::of_task`]).
    fn after(&self, site: SublayerSite) -> Option<Bottleneck<B>> {
        tasks::assert_one(self.places.tasks);
        let place = self.places.layers.iter().position(|(known, _)| *known == site)?;
        let network = &self.networks[place];
        Some(Bottleneck {
            down: network.down.val(),
            down_bias: network.down_bias.val(),
            up: network.up.val(),
            up_bias: network.up_bias.val(),
            norm: self.inner_norms.get(place).map(|norm| InnerNorm {
                weight: norm.weight.val(),
                bias: norm.bias.val(),
            }),
        })
    }

    fn of_task(&self, task: usize) -> Option<Box<dyn Intervention<B>>> {
        match self.places.tasks {
            1 => None,
            _ => Some(Box::new(self.of_one(task))),
        }
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
}

const GROUP: ParameterGroup = ParameterGroup {
    name: "adapter",
    prefix: "",
    defaults: Some(GroupDefaults {
        learning_rate: 3e-4,
        weight_decay: 0.0,
        warmup_steps: 500,
    }),
};

impl<const DROP: bool> MethodConfig for BottleneckConfig<DROP> {
    type Module<B: Backend> = BottleneckAdapter<B>;

    const INFO: MethodInfo = MethodInfo {
        title: if DROP { "AdapterDrop" } else { "Adapter" },
        summary: if DROP {
            "small networks behind sublayers but in the lowest blocks, and norms"
        } else {
            "small networks behind sublayers, and norms"
        },
        peft_type: if DROP { "ADAPTER_DROP" } else { "ADAPTER" },
        has_prompt: false,
        groups: if DROP {
            &[ParameterGroup {
                name: "adapter_drop",
                ..GROUP
            }]
        } else {
            &[GROUP]
        },
        merge: Merge::No("its networks are not linear"),
        inference: "a small network behind each sublayer",
        citation: if DROP {
            "Rücklé et al., AdapterDrop: On the Efficiency of Adapters in Transformers, EMNLP 2021"
        } else {
            "Houlsby et al., Parameter-Efficient Transfer Learning for NLP, ICML 2019"
        },
    };

    const SETTINGS: &'static [Setting] = if DROP {
        &[WIDTH, PLACEMENT, NORMS, INNER_NORM, SKIPPED]
    } else {
        &[WIDTH, PLACEMENT, NORMS, INNER_NORM]
    };

    fn from_settings(settings: &MethodSettings<'_>) -> Result<Self, CoreError> {
        let placement: String = settings.own(Self::METHOD, &PLACEMENT)?;
        Ok(Self {
            bottleneck: match settings.own(Self::METHOD, &WIDTH)? {
                0 => (settings.sites.d_model / REDUCTION).max(1),
                width => width,
            },
            is_pfeiffer: placement == PFEIFFER,
            train_norms: settings.own(Self::METHOD, &NORMS)?,
            inner_norm: settings.own(Self::METHOD, &INNER_NORM)?,
            tasks: settings.tasks,
            skip_blocks: match DROP {
                true => match settings.own(Self::METHOD, &SKIPPED)? {
                    0 => usual_skip(settings.sites),
                    blocks => blocks,
                },
                false => 0,
            },
        })
    }

    fn validate(&self) -> Result<(), CoreError> {
        // Files from other programs may contain anything.
        if !(1..=MOST_HIDDEN).contains(&self.bottleneck) {
            return Err(refuse(Self::METHOD, "bottleneck", "from 1 to 8192", self.bottleneck));
        }
        tasks::validate(Self::METHOD, "tasks", self.tasks)?;
        match (DROP, self.skip_blocks) {
            (true, 0) => Err(refuse(Self::METHOD, "skip_blocks", "at least 1", 0)),
            _ => Ok(()),
        }
    }

    fn tensor_shapes(&self, sites: &ModelSites) -> Result<Vec<Shape>, CoreError> {
        Ok(self.places(sites)?.shapes())
    }

    fn file_shapes(&self, found: &[Shape]) -> Vec<Shape> {
        let is_known = |name: &str| {
            let own = TENSORS.iter().chain(&INNER);
            let (one, several) = name.rsplit_once(".adapter.").map_or(("", ""), |(_, rest)| {
                let is_number = |text: &str| text.parse::<usize>().is_ok();
                let several = rest.split_once('.').filter(|(task, _)| is_number(task));
                (rest, several.map_or("", |(_, rest)| rest))
            });
            own.into_iter().any(|tensor| *tensor == one || *tensor == several) || module(name, WEIGHT).is_some()
        };
        let shapes: Vec<Shape> = found.iter().filter(|(name, _)| is_known(name)).cloned().collect();
        match shapes.is_empty() {
            // An adapter without networks is invalid: report its first tensor as missing.
            true => vec![(format!("{PREFIX}*.adapter.{}", TENSORS[0]), vec![self.bottleneck, 0])],
            false => shapes,
        }
    }

    fn start<B: Backend>(
        &self,
        sites: &ModelSites,
        start: AdapterInit<B>,
        device: &B::Device,
    ) -> Result<BottleneckAdapter<B>, CoreError> {
        let places = self.places(sites)?;
        let (d, r) = (places.d_model, places.bottleneck);
        let drawn = |shape: [usize; 2], place: usize| {
            let drawn = site_normal(d * r, DEVIATION, start.seed, place);
            Param::from_tensor(Tensor::from_data(TensorData::new(drawn, shape), device))
        };
        let zeros = |width: usize| Param::from_tensor(Tensor::zeros([width], device));
        let network = |place: usize| BottleneckNetwork {
            down: drawn([d, r], 2 * place),
            down_bias: zeros(r),
            up: drawn([r, d], 2 * place + 1),
            up_bias: zeros(d),
        };
        let inner = |_| NetworkNorm {
            weight: Param::from_tensor(Tensor::ones([d], device)),
            bias: zeros(d),
        };
        let norm = |(.., width): &NormPlace| NormWeight { weight: zeros(*width) };
        Ok(BottleneckAdapter {
            networks: (0..places.tasks * places.layers.len()).map(network).collect(),
            inner_norms: (0..if places.inner_norm { places.layers.len() } else { 0 })
                .map(inner)
                .collect(),
            norms: places.norms.iter().map(norm).collect(),
            places,
        })
    }

    fn with_tensors<B: Backend>(
        &self,
        sites: &ModelSites,
        tensors: BTreeMap<String, TensorData>,
        device: &B::Device,
    ) -> Result<BottleneckAdapter<B>, CoreError> {
        let places = self.places(sites)?;
        let mut given = Given::new(tensors, &places.shapes())?;
        let mut networks = Vec::with_capacity(places.tasks * places.layers.len());
        for task in 0..places.tasks {
            for (_, layer) in &places.layers {
                let [down, down_bias, up, up_bias] = places.network(layer, task);
                networks.push(BottleneckNetwork {
                    down: Param::from_tensor(given.take::<B, 2>(&down, device).transpose()),
                    down_bias: Param::from_tensor(given.take(&down_bias, device)),
                    up: Param::from_tensor(given.take::<B, 2>(&up, device).transpose()),
                    up_bias: Param::from_tensor(given.take(&up_bias, device)),
                });
            }
        }
        let inner = places.layers.iter().filter(|_| places.inner_norm).map(|(_, layer)| {
            let [weight, bias] = INNER.map(|tensor| format!("{PREFIX}{layer}.adapter.{tensor}"));
            NetworkNorm {
                weight: Param::from_tensor(given.take(&weight, device)),
                bias: Param::from_tensor(given.take(&bias, device)),
            }
        });
        let inner_norms = inner.collect();
        let norm = |(_, norm, _): &NormPlace| NormWeight {
            weight: Param::from_tensor(given.take(&format!("{PREFIX}{norm}.{WEIGHT}"), device)),
        };
        Ok(BottleneckAdapter {
            networks,
            inner_norms,
            norms: places.norms.iter().map(norm).collect(),
            places,
        })
    }

    fn tensors<B: Backend>(module: &BottleneckAdapter<B>) -> Vec<(String, TensorData)> {
        module.tensors()
    }

    fn check_constants<B: Backend>(&self, module: &BottleneckAdapter<B>) -> Result<(), CoreError> {
        let places = &module.places;
        let expected = (self.bottleneck, self.train_norms || places.norms.is_empty());
        let is_same = (self.tasks, self.inner_norm) == (places.tasks, places.inner_norm);
        match is_same
            && expected == (places.bottleneck, true)
            && places.layers.iter().all(|(site, _)| self.is_adapted(*site))
        {
            true => Ok(()),
            false => Err(refuse(
                Self::METHOD,
                "bottleneck",
                "the width and the places of the adapter's networks",
                self.bottleneck,
            )),
        }
    }

    fn peft_keys<B: Backend>(&self, _: &BottleneckAdapter<B>) -> Map<String, Value> {
        let mut keys = object(json!({
            "bottleneck": self.bottleneck,
            "placement": if self.is_pfeiffer { PFEIFFER } else { HOULSBY },
            "train_norms": self.train_norms,
        }));
        if DROP {
            keys.insert("skip_blocks".to_owned(), self.skip_blocks.into());
        }
        if self.inner_norm {
            keys.insert("inner_norm".to_owned(), true.into());
        }
        if self.tasks > 1 {
            keys.insert("tasks".to_owned(), self.tasks.into());
        }
        keys
    }

    fn own_keys(&self) -> Map<String, Value> {
        Map::new()
    }

    fn from_keys(top: &mut Fields<'_>, _: &mut Fields<'_>) -> Result<Self, CoreError> {
        let placement = top.take("placement", "houlsby or pfeiffer", |value| match value.as_str()? {
            HOULSBY => Some(false),
            PFEIFFER => Some(true),
            _ => None,
        })?;
        Ok(Self {
            bottleneck: top.required_count("bottleneck")?,
            is_pfeiffer: placement.unwrap_or(false),
            train_norms: top.flag("train_norms")?.unwrap_or(true),
            inner_norm: top.flag("inner_norm")?.unwrap_or(false),
            tasks: top.count("tasks")?.unwrap_or(1),
            skip_blocks: match DROP {
                true => top.required_count("skip_blocks")?,
                false => 0,
            },
        })
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![
            ("bottleneck r", self.bottleneck.to_string()),
            (
                "placement",
                if self.is_pfeiffer { PFEIFFER } else { HOULSBY }.to_owned(),
            ),
            ("norms trained", self.train_norms.to_string()),
        ];
        if self.inner_norm {
            facts.push(("layer norm of networks", "yes".to_owned()));
        }
        if self.tasks > 1 {
            facts.push(("tasks", self.tasks.to_string()));
        }
        if DROP {
            facts.push(("blocks without networks", self.skip_blocks.to_string()));
        }
        facts
    }

    fn tasks(&self) -> usize {
        self.tasks
    }

    fn alone<B: Backend>(&self, module: &BottleneckAdapter<B>, task: usize) -> Option<(AdapterConfig, Adapter<B>)> {
        let one = module.of_one(task);
        Some(match DROP {
            false => (self.of_one::<false>().into(), Adapter::Adapter(one)),
            true => (self.of_one::<true>().into(), Adapter::AdapterDrop(one)),
        })
    }

    fn rank(&self) -> usize {
        self.bottleneck
    }
}
