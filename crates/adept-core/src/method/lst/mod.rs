//! Ladder side-tuning (Sung, Cho and Bansal, 2022): a narrow copy of the model's blocks runs beside it and reads what
//! leaves its blocks; only the copy is trained, so that nothing is differentiated through the model itself.
//!
//! [`SideNetwork`](crate::SideNetwork) has the formula. Every width of the model is divided by `reduction`, numbers of
//! heads stay. A block without one beside it is left out of the ladder: of every `skip_every` blocks the first, which
//! at T5-base leaves the published 1, 2, 3, 5, 6, 7, 9, 10, 11 of each stack. In training the side network has the
//! model's own dropout, as in the published code. Of a decoder-only model, of which the paper has none, the one stack
//! gets a side network by the same rules.
//!
//! Files hold, in the layout of the checkpoint, `side.NAME` for each tensor of a kept block, of the final norms and for
//! T5's tables of positions, and beside them `side.STACK.gate` `[blocks]`, `side.STACK.down.first.weight` `[d/r, d]`,
//! `side.STACK.down.BLOCK.weight` `[d/r, d]`, `side.up.weight` `[d, d/r]` and their biases.

mod layout;
mod prune;

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use serde_json::{Map, Value, json};

use self::layout::{Form, Layout, Place};
use super::prompt::{Given, object, refuse};
use super::{
    AdapterInit, GroupDefaults, Merge, MethodConfig, MethodInfo, MethodSettings, ParameterGroup, Setting, SettingKind,
    Shape,
};
use crate::file::{Fields, exact};
use crate::init::site_normal;
use crate::side::{SideNetwork, SidePart};
use crate::site::ModelSites;
use crate::{CoreError, Intervention, Method};

/// Most examples whose gradients are summed.
const MOST_EXAMPLES: usize = 1 << 20;

/// What the side network's blocks start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LadderStart {
    /// The model's weights in the channels whose weights are largest in sum.
    #[default]
    Weights,
    /// The model's weights in the channels whose squared gradients are largest in sum (Sung et al., section 3.3).
    Gradients,
    /// Normal values.
    Random,
}

impl LadderStart {
    const ALL: [Self; 3] = [Self::Weights, Self::Gradients, Self::Random];
    /// Names in settings and files, in the same order.
    const NAMES: [&'static str; 3] = ["pruned", "gradients", "random"];

    fn name(self) -> &'static str {
        match self {
            Self::Weights => Self::NAMES[0],
            Self::Gradients => Self::NAMES[1],
            Self::Random => Self::NAMES[2],
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|start| start.name() == name)
    }
}
/// The start of every tensor's name in files.
const PREFIX: &str = "side.";
const UP: &str = "side.up.weight";

/// Standard deviation of the initial maps into and out of the side network; their biases start at zero.
const RUNG_DEVIATION: f64 = 0.01;
/// Standard deviation of random initial weights of its blocks.
const BLOCK_DEVIATION: f64 = 0.02;
/// Range of temperatures.
const TEMPERATURES: [f64; 2] = [1e-3, 1e3];
/// The most that widths are divided by, and the most blocks of which one is left out.
const MOST: usize = 65536;

const REDUCTION: Setting = Setting {
    key: "reduction",
    kind: SettingKind::Integer {
        min: 1,
        max: MOST as i64,
    },
    default: "8",
    meaning: "The model's widths are this many times those of the side network; it must divide them all.",
};
const SKIP_EVERY: Setting = Setting {
    key: "skip_every",
    kind: SettingKind::Integer {
        min: 0,
        max: MOST as i64,
    },
    default: "4",
    meaning: "Of this many blocks of a stack, the first has none beside it (4: blocks 0, 4, 8, ..); 0: every block has \
              one.",
};
const TEMPERATURE: Setting = Setting {
    key: "temperature",
    kind: SettingKind::Number {
        min: TEMPERATURES[0],
        max: TEMPERATURES[1],
    },
    default: "0.1",
    meaning: "Temperature T of the gates, sigmoid(α / T).",
};
const INIT: Setting = Setting {
    key: "init",
    kind: SettingKind::Choice(&LadderStart::NAMES),
    default: "\"pruned\"",
    meaning: "What the side network's blocks start from: the model's weights in the channels whose weights are largest in \
              sum (`pruned`) or whose squared gradients are, over training examples (`gradients`, as in its paper), or \
              normal values of deviation 0.02 (`random`).",
};
const EXAMPLES: Setting = Setting {
    key: "init_examples",
    kind: SettingKind::Integer {
        min: 1,
        max: MOST_EXAMPLES as i64,
    },
    default: "1024",
    meaning: "Training examples whose squared gradients are summed for `gradients`, each in a pass of its own.",
};

/// Sizes of a ladder, and how it starts.
#[derive(Debug, Clone, PartialEq)]
pub struct LstConfig {
    /// The model's widths are this many times those of the side network.
    pub reduction: usize,
    /// Of this many blocks of a stack the first has none beside it; 0: every block has one.
    pub skip_every: usize,
    /// Temperature of the gates.
    pub temperature: f64,
    /// What the blocks start from.
    pub start: LadderStart,
    /// Training examples for [`LadderStart::Gradients`].
    pub examples: usize,
}

impl Default for LstConfig {
    /// The paper's sizes.
    fn default() -> Self {
        Self {
            reduction: 8,
            skip_every: 4,
            temperature: 0.1,
            start: LadderStart::default(),
            examples: 1024,
        }
    }
}

impl LstConfig {
    /// The blocks with one beside them, of a stack of so many.
    pub fn kept(&self, blocks: usize) -> Vec<usize> {
        let is_kept = |block: &usize| self.skip_every == 0 || !block.is_multiple_of(self.skip_every);
        (0..blocks).filter(is_kept).collect()
    }
}

/// A trained matrix of the side network.
#[derive(Module, Debug)]
pub struct SideMatrix<B: Backend> {
    /// `[in, out]`, or a table `[buckets, heads]`.
    pub weight: Param<Tensor<B, 2>>,
}

/// A trained vector of the side network: a norm's weight, a bias, or a stack's gates.
#[derive(Module, Debug)]
pub struct SideVector<B: Backend> {
    /// `[width]`.
    pub weight: Param<Tensor<B, 1>>,
}

/// A side network's trained tensors.
#[derive(Module, Debug)]
pub struct Ladder<B: Backend> {
    /// Its matrices, in file order.
    pub matrices: Vec<SideMatrix<B>>,
    /// Its vectors, in file order.
    pub vectors: Vec<SideVector<B>>,
    #[module(skip)]
    layout: Layout,
}

impl<B: Backend> Ladder<B> {
    /// A ladder of these tensors, in the layout's order and in the form that they have in memory.
    fn new(layout: Layout, tensors: impl IntoIterator<Item = TensorData>, device: &B::Device) -> Self {
        let (mut matrices, mut vectors) = (Vec::new(), Vec::new());
        for (place, data) in layout.places.iter().zip(tensors) {
            match place.is_matrix() {
                true => matrices.push(SideMatrix {
                    weight: Param::from_data(data, device),
                }),
                false => vectors.push(SideVector {
                    weight: Param::from_data(data, device),
                }),
            }
        }
        Self {
            matrices,
            vectors,
            layout,
        }
    }

    /// Calls one of the functions for each place with its tensor, in file order.
    fn each(&self, mut matrix: impl FnMut(&Place, Tensor<B, 2>), mut vector: impl FnMut(&Place, Tensor<B, 1>)) {
        let (mut matrices, mut vectors) = (self.matrices.iter(), self.vectors.iter());
        for place in &self.layout.places {
            match place.is_matrix() {
                true => matrices
                    .next()
                    .into_iter()
                    .for_each(|own| matrix(place, own.weight.val())),
                false => vectors
                    .next()
                    .into_iter()
                    .for_each(|own| vector(place, own.weight.val())),
            }
        }
    }
}

impl<B: Backend> Intervention<B> for Ladder<B> {
    fn side(&self) -> Option<SideNetwork<B>> {
        let (mut matrices, mut vectors, mut biases) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        self.each(
            |place, own| {
                matrices.insert(place.part, own);
            },
            |place, own| {
                match place.form {
                    Form::Bias(_) => biases.insert(place.part, own),
                    _ => vectors.insert(place.part, own),
                };
            },
        );
        Some(SideNetwork {
            reduction: self.layout.config.reduction,
            temperature: self.layout.config.temperature,
            kept: self.layout.kept.clone(),
            matrices,
            vectors,
            biases,
        })
    }

    fn changes_model(&self) -> bool {
        true
    }
}

/// Initial values of a tensor, the `number`-th of the layout, in the form that it has in memory.
fn initial(place: &Place, number: usize, pruned: Option<&prune::Pruned>, seed: u64) -> TensorData {
    let shape = place.own_shape();
    let count = shape.iter().product();
    let drawn = |deviation| site_normal(count, deviation, seed, number);
    let is_bias = matches!(place.form, Form::Bias(_));
    let of_model = pruned.and_then(|pruned| pruned.get(&place.part));
    let values = match (place.part, is_bias) {
        (SidePart::Gates(_), _) => vec![0.0; count],
        (SidePart::First(_) | SidePart::Down(..) | SidePart::Up, false) => drawn(RUNG_DEVIATION),
        (SidePart::First(_) | SidePart::Down(..) | SidePart::Up, true) => vec![0.0; count],
        (_, true) => of_model
            .and_then(|own| own.bias.clone())
            .unwrap_or_else(|| vec![0.0; count]),
        (part, false) => match (of_model, part) {
            (Some(own), _) => own.weight.clone(),
            (None, SidePart::Norm(_)) => vec![1.0; count],
            (None, _) => drawn(BLOCK_DEVIATION),
        },
    };
    TensorData::new(values, shape)
}

impl MethodConfig for LstConfig {
    type Module<B: Backend> = Ladder<B>;

    const INFO: MethodInfo = MethodInfo {
        title: "LST",
        summary: "a narrow side network that reads what leaves the model's blocks",
        peft_type: "LST",
        has_prompt: false,
        groups: &[ParameterGroup {
            name: "lst",
            prefix: "",
            defaults: Some(GroupDefaults {
                learning_rate: 3e-3,
                weight_decay: 0.0,
                warmup_steps: 500,
            }),
        }],
        merge: Merge::No("it is a network of its own, beside the model"),
        inference: "a second, narrow network with a cache of its own",
        citation: "Sung, Cho and Bansal, LST: Ladder Side-Tuning for Parameter and Memory Efficient Transfer Learning, \
                   NeurIPS 2022",
    };

    const SETTINGS: &'static [Setting] = &[REDUCTION, SKIP_EVERY, TEMPERATURE, INIT, EXAMPLES];

    fn from_settings(settings: &MethodSettings<'_>) -> Result<Self, CoreError> {
        let init: String = settings.own(Method::Lst, &INIT)?;
        Ok(Self {
            reduction: settings.own(Method::Lst, &REDUCTION)?,
            skip_every: settings.own(Method::Lst, &SKIP_EVERY)?,
            temperature: settings.own(Method::Lst, &TEMPERATURE)?,
            start: LadderStart::named(&init).unwrap_or_default(),
            examples: settings.own(Method::Lst, &EXAMPLES)?,
        })
    }

    fn validate(&self) -> Result<(), CoreError> {
        // Files from other programs may contain anything.
        if !(1..=MOST).contains(&self.reduction) {
            return Err(refuse(Method::Lst, "reduction", "from 1 to 65536", self.reduction));
        }
        if !(1..=MOST_EXAMPLES).contains(&self.examples) {
            return Err(refuse(Method::Lst, "init_examples", "from 1 to 1048576", self.examples));
        }
        if self.skip_every > MOST {
            return Err(refuse(Method::Lst, "skip_every", "from 0 to 65536", self.skip_every));
        }
        match (TEMPERATURES[0]..=TEMPERATURES[1]).contains(&self.temperature) {
            true => Ok(()),
            false => Err(refuse(
                Method::Lst,
                "temperature",
                "from 0.001 to 1000",
                self.temperature,
            )),
        }
    }

    fn tensor_shapes(&self, sites: &ModelSites) -> Result<Vec<Shape>, CoreError> {
        Ok(Layout::new(self, sites)?.shapes())
    }

    fn file_shapes(&self, found: &[Shape]) -> Vec<Shape> {
        let own = found.iter().filter(|(name, _)| name.starts_with(PREFIX));
        let shapes: Vec<Shape> = own.cloned().collect();
        match shapes.is_empty() {
            // A side network without tensors is invalid: report its last one as missing.
            true => vec![(UP.to_owned(), vec![0, 0])],
            false => shapes,
        }
    }

    fn start<B: Backend>(
        &self,
        sites: &ModelSites,
        start: AdapterInit<B>,
        device: &B::Device,
    ) -> Result<Ladder<B>, CoreError> {
        let layout = Layout::new(self, sites)?;
        let weights = || {
            start.weights.as_deref().ok_or_else(|| CoreError::NoWeights {
                method: Method::Lst,
                place: "any place".to_owned(),
            })
        };
        let pruned = match self.start {
            LadderStart::Random => None,
            LadderStart::Weights => Some(prune::pruned(&layout, sites, weights()?, weights()?)?),
            LadderStart::Gradients => {
                let judge = weights()?.squared_gradients().ok_or(CoreError::NoGradients {
                    method: Method::Lst,
                    examples: self.examples,
                })?;
                Some(prune::pruned(&layout, sites, weights()?, judge)?)
            }
        };
        let places = layout.places.iter().enumerate();
        let tensors: Vec<TensorData> = places
            .map(|(number, place)| initial(place, number, pruned.as_ref(), start.seed))
            .collect();
        Ok(Ladder::new(layout, tensors, device))
    }

    fn with_tensors<B: Backend>(
        &self,
        sites: &ModelSites,
        tensors: BTreeMap<String, TensorData>,
        device: &B::Device,
    ) -> Result<Ladder<B>, CoreError> {
        let layout = Layout::new(self, sites)?;
        let mut given = Given::new(tensors, &layout.shapes())?;
        let places = layout.places.iter();
        let tensors: Vec<TensorData> = places.map(|place| place.read(given.data(&place.name))).collect();
        Ok(Ladder::new(layout, tensors, device))
    }

    fn tensors<B: Backend>(module: &Ladder<B>) -> Vec<(String, TensorData)> {
        let tensors = std::cell::RefCell::new(Vec::new());
        let put = |place: &Place, data| {
            let named = (place.name.clone(), place.write(data));
            tensors.borrow_mut().push(named);
        };
        module.each(
            |place, own| put(place, own.into_data()),
            |place, own| put(place, own.into_data()),
        );
        tensors.into_inner()
    }

    fn judging_examples(&self) -> usize {
        match self.start {
            LadderStart::Gradients => self.examples,
            LadderStart::Weights | LadderStart::Random => 0,
        }
    }

    fn check_constants<B: Backend>(&self, module: &Ladder<B>) -> Result<(), CoreError> {
        let own = &module.layout.config;
        let differs = |field, expected, found: String| Err(refuse(Method::Lst, field, expected, found));
        if self.reduction != own.reduction {
            return differs("reduction", "the side network's", self.reduction.to_string());
        }
        if self.skip_every != own.skip_every {
            return differs("skip_every", "the side network's", self.skip_every.to_string());
        }
        if self.temperature != own.temperature {
            return differs("temperature", "the side network's", self.temperature.to_string());
        }
        Ok(())
    }

    fn peft_keys<B: Backend>(&self, _: &Ladder<B>) -> Map<String, Value> {
        object(json!({
            "reduction": self.reduction,
            "skip_every": self.skip_every,
            "temperature": exact(self.temperature),
        }))
    }

    fn own_keys(&self) -> Map<String, Value> {
        let mut keys = object(json!({ "init": self.start.name() }));
        if self.start == LadderStart::Gradients {
            keys.insert("init_examples".to_owned(), self.examples.into());
        }
        keys
    }

    fn from_keys(top: &mut Fields<'_>, own: &mut Fields<'_>) -> Result<Self, CoreError> {
        let start = own.take("init", "pruned, gradients or random", |value| {
            LadderStart::named(value.as_str()?)
        })?;
        let examples = own.take("init_examples", "a whole number", |value| {
            value.as_u64().and_then(|count| usize::try_from(count).ok())
        })?;
        Ok(Self {
            reduction: top.required_count("reduction")?,
            skip_every: top.required_count("skip_every")?,
            temperature: top.number("temperature")?.unwrap_or(Self::default().temperature),
            start: start.unwrap_or_default(),
            examples: examples.unwrap_or(Self::default().examples),
        })
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("reduction r", self.reduction.to_string()),
            ("first left out of every", self.skip_every.to_string()),
            ("temperature T", self.temperature.to_string()),
        ]
    }
}
