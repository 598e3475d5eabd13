//! ATTEMPT: a mixture of prompts that each input chooses (Asai et al., 2022, section 2.2). Prompts `P_1 .. P_n` of source
//! tasks are frozen; a target prompt `P_t` is trained together with a small network that weighs them:
//!
//! - `x̂`: maximum over the input's token embeddings, `[d]`; `p̂_j`: maximum over the rows of `P_j`.
//! - `H = LN(W_up·silu(W_down·x̂))`, `d → h → d` without biases, LN with eps 1e-5.
//! - `a = softmax_j(p̂_j·H / T)` over the sources and the target; the input's prompt is `P_t + Σ_j a_j·P_j`, so that the
//!   target counts twice, as in the published code.
//!
//! Tasks that are trained together have a target prompt each and share the network. The published code takes the maximum
//! over padding as well; here padding does not count, so that an answer does not depend on what else is in its batch.

use std::collections::BTreeMap;

use adept_kernels::product;
use burn::module::{Module, Param};
use burn::tensor::activation::{silu, softmax};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor, TensorData};
use serde_json::{Map, Value, json};

use super::prompt::{self, Given, MOST_HIDDEN, object, refuse};
use super::tasks;
use super::{
    Adapter, AdapterConfig, AdapterInit, GroupDefaults, Merge, MethodConfig, MethodInfo, MethodSettings,
    ParameterGroup, PromptSizes, Setting, SettingKind, Shape,
};
use crate::file::{Fields, exact};
use crate::init::site_normal;
use crate::intervention::{AdaptedInput, prepend};
use crate::network::NetworkNorm;
use crate::site::Stack;
use crate::{CoreError, Intervention, Method, ModelSites};

const SOURCE_PROMPTS: &str = "source_prompts";
const TARGET_PROMPTS: &str = "target_prompts";
const DOWN: &str = "attn_down";
const UP: &str = "attn_up";
const NORM_WEIGHT: &str = "attn_norm.weight";
const NORM_BIAS: &str = "attn_norm.bias";

/// Hidden width of the published network.
const DEFAULT_HIDDEN: usize = 100;
/// Standard deviation of its initial weights.
const DEVIATION: f64 = 0.01;
/// Number of source prompts in the published runs: MNLI, QNLI, QQP, SST-2, SQuAD and ReCoRD.
const PUBLISHED_SOURCES: usize = 6;
/// Most source prompts in one adapter.
const MOST_SOURCES: usize = 1024;
/// Largest temperature.
const HOTTEST: f64 = 1e9;

const HIDDEN: Setting = Setting {
    key: "hidden",
    kind: SettingKind::Integer {
        min: 1,
        max: MOST_HIDDEN as i64,
    },
    default: "100",
    meaning: "Hidden width h of the network that weighs the prompts.",
};
const TEMPERATURE: Setting = Setting {
    key: "temperature",
    kind: SettingKind::Number { min: 0.0, max: HOTTEST },
    default: "0.0",
    meaning: "Temperature T of the weights. 0: e·d for a model of width d, which is the published 2087 at T5-base.",
};

/// Sizes of the prompts and of the network, and its temperature.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptConfig {
    /// Width `d` of the model's token embeddings.
    pub d_model: usize,
    /// Virtual tokens `m` of every prompt.
    pub virtual_tokens: usize,
    /// Number of frozen source prompts `n`.
    pub sources: usize,
    /// Number of tasks, each with a target prompt.
    pub tasks: usize,
    /// Hidden width `h` of the network.
    pub hidden: usize,
    /// Temperature `T`.
    pub temperature: f64,
    /// Longest source in training; informational.
    pub max_source_length: usize,
}

impl AttemptConfig {
    /// Prompts of `virtual_tokens` virtual tokens, of which `sources` are frozen, for one task, with the published
    /// network.
    pub fn new(d_model: usize, virtual_tokens: usize, sources: usize) -> Self {
        Self {
            d_model,
            virtual_tokens,
            sources,
            tasks: 1,
            hidden: DEFAULT_HIDDEN,
            temperature: default_temperature(d_model),
            max_source_length: prompt::DEFAULT_LENGTH,
        }
    }

    fn shapes(&self) -> Vec<Shape> {
        let (m, d, h) = (self.virtual_tokens, self.d_model, self.hidden);
        vec![
            (SOURCE_PROMPTS.to_owned(), vec![self.sources, m, d]),
            (TARGET_PROMPTS.to_owned(), vec![self.tasks, m, d]),
            (DOWN.to_owned(), vec![h, d]),
            (UP.to_owned(), vec![d, h]),
            (NORM_WEIGHT.to_owned(), vec![d]),
            (NORM_BIAS.to_owned(), vec![d]),
        ]
    }
}

fn default_temperature(d_model: usize) -> f64 {
    std::f64::consts::E * d_model as f64
}

/// The network that weighs prompts.
#[derive(Module, Debug)]
pub struct PromptAttention<B: Backend> {
    /// `W_down [h, d]`.
    pub down: Param<Tensor<B, 2>>,
    /// `W_up [d, h]`.
    pub up: Param<Tensor<B, 2>>,
    /// LN.
    pub norm: NetworkNorm<B>,
}

/// Source prompts, target prompts, and the network that weighs them.
///
/// Parameter paths are `targets`, `attention.down`, ..; the sources are no parameters.
#[derive(Module, Debug)]
pub struct Attempt<B: Backend> {
    /// Frozen prompts of source tasks, `[n, m, d]`.
    pub sources: Tensor<B, 3>,
    /// Trained prompts, `[tasks, m, d]`.
    pub targets: Param<Tensor<B, 3>>,
    /// The network.
    pub attention: PromptAttention<B>,
    #[module(skip)]
    temperature: f64,
}

/// ATTEMPT with one target prompt.
#[derive(Debug)]
struct Mixture<B: Backend> {
    sources: Tensor<B, 3>,
    /// `[1, m, d]`.
    target: Tensor<B, 3>,
    attention: PromptAttention<B>,
    temperature: f64,
}

impl<B: Backend> Mixture<B> {
    /// The prompts of a batch of inputs, `[batch, m, d]`.
    fn prompts(&self, embeddings: &Tensor<B, 3>, mask: &Tensor<B, 2, Bool>) -> Tensor<B, 3> {
        let [batch, seq, d] = embeddings.dims();
        let (sources, [_, m, _]) = (self.sources.dims()[0], self.target.dims());
        let padding = mask.clone().bool_not().unsqueeze_dim::<3>(2).expand([batch, seq, d]);
        let largest = embeddings.clone().mask_fill(padding, f32::MIN).max_dim(1);
        let largest = largest.squeeze_dim::<2>(1);
        let hidden = silu(product(largest, self.attention.down.val().transpose()));
        let query = self
            .attention
            .norm
            .forward(product(hidden, self.attention.up.val().transpose()));

        let prompts = Tensor::cat(vec![self.sources.clone(), self.target.clone()], 0);
        let keys = prompts.clone().max_dim(1).squeeze_dim::<2>(1);
        let weights = softmax(product(query, keys.transpose()).div_scalar(self.temperature), 1);
        let mixed = product(weights, prompts.reshape([sources + 1, m * d]));
        self.target.clone() + mixed.reshape([batch, m, d])
    }
}

impl<B: Backend> Intervention<B> for Mixture<B> {
    fn forward(&self, embeddings: Tensor<B, 3>, mask: Tensor<B, 2, Bool>) -> AdaptedInput<B> {
        let prompts = self.prompts(&embeddings, &mask);
        prepend(prompts, embeddings, mask)
    }

    fn forward_at(&self, embeddings: Tensor<B, 3>, mask: Tensor<B, 2, Bool>, _: Tensor<B, 2, Int>) -> AdaptedInput<B> {
        self.forward(embeddings, mask)
    }

    fn virtual_tokens(&self) -> usize {
        self.target.dims()[1]
    }
}

impl<B: Backend> Attempt<B> {
    /// Number of tasks.
    pub fn tasks(&self) -> usize {
        self.targets.dims()[0]
    }

    fn mixture(&self, task: usize) -> Mixture<B> {
        Mixture {
            sources: self.sources.clone(),
            target: self.targets.val().narrow(0, task, 1),
            attention: self.attention.clone(),
            temperature: self.temperature,
        }
    }

    /// The mixture of the only task.
    fn only(&self) -> Mixture<B> {
        tasks::assert_one(self.tasks());
        self.mixture(0)
    }
}

impl<B: Backend> Intervention<B> for Attempt<B> {
    /// # Panics
    /// If the adapter has several tasks and none was chosen ([`Intervention::of_task`]).
    fn forward(&self, embeddings: Tensor<B, 3>, mask: Tensor<B, 2, Bool>) -> AdaptedInput<B> {
        self.only().forward(embeddings, mask)
    }

    fn forward_at(
        &self,
        embeddings: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        positions: Tensor<B, 2, Int>,
    ) -> AdaptedInput<B> {
        self.only().forward_at(embeddings, mask, positions)
    }

    fn virtual_tokens(&self) -> usize {
        self.targets.dims()[1]
    }

    fn of_task(&self, task: usize) -> Option<Box<dyn Intervention<B>>> {
        Some(Box::new(self.mixture(task)))
    }
}

impl MethodConfig for AttemptConfig {
    type Module<B: Backend> = Attempt<B>;

    const INFO: MethodInfo = MethodInfo {
        title: "ATTEMPT",
        summary: "a soft prompt to which each input adds a weighted sum of prompts of other tasks, `[P_t + Σ a_j·P_j; E]`",
        peft_type: "ATTEMPT",
        has_prompt: true,
        groups: &[ParameterGroup {
            name: "attempt",
            prefix: "",
            defaults: Some(GroupDefaults {
                learning_rate: 0.3,
                weight_decay: 1e-5,
                warmup_steps: 500,
            }),
        }],
        merge: Merge::No("its prompt depends on the input"),
        inference: "m more positions, and weights of the stored source prompts for each input",
        citation: "Asai et al., ATTEMPT: Parameter-Efficient Multi-task Tuning via Attentional Mixtures of Soft Prompts, \
                   EMNLP 2022",
    };

    const NEEDS_ENCODER: bool = true;

    const SETTINGS: &'static [Setting] = &[HIDDEN, TEMPERATURE];

    const FROZEN: &'static [&'static str] = &[SOURCE_PROMPTS];

    fn from_settings(settings: &MethodSettings<'_>) -> Result<Self, CoreError> {
        let d_model = settings.sites.d_model;
        let temperature: f64 = settings.own(Method::Attempt, &TEMPERATURE)?;
        Ok(Self {
            d_model,
            virtual_tokens: settings.virtual_tokens,
            sources: match settings.sources {
                0 => PUBLISHED_SOURCES,
                given => given,
            },
            tasks: settings.tasks,
            hidden: settings.own(Method::Attempt, &HIDDEN)?,
            temperature: if temperature == 0.0 {
                default_temperature(d_model)
            } else {
                temperature
            },
            max_source_length: settings.max_source_length,
        })
    }

    fn validate(&self) -> Result<(), CoreError> {
        let refuse =
            |field, expected, found: &dyn ToString| Err(refuse(Method::Attempt, field, expected, found.to_string()));
        if !(1..=MOST_SOURCES).contains(&self.sources) {
            return refuse("sources", "from 1 to 1024 prompts", &self.sources);
        }
        tasks::validate(Method::Attempt, "tasks", self.tasks)?;
        if !(1..=MOST_HIDDEN).contains(&self.hidden) {
            return refuse("hidden", "from 1 to 8192", &self.hidden);
        }
        if !(self.temperature > 0.0 && self.temperature <= HOTTEST) {
            return refuse("temperature", "above 0 and at most 1e9", &self.temperature);
        }
        let (m, d) = (self.virtual_tokens, self.d_model);
        prompt::validate(Method::Attempt, d, m, None, self.max_source_length)?;
        // Files from other programs may contain anything.
        let prompts = m
            .checked_mul(self.sources + self.tasks)
            .and_then(|rows| rows.checked_add(2 * self.hidden));
        let bytes = prompts.and_then(|rows| rows.checked_mul(d)?.checked_mul(8));
        match bytes.is_some_and(|bytes| bytes <= isize::MAX as usize) {
            true => Ok(()),
            false => refuse("d_model", "a size that fits in memory", &d),
        }
    }

    fn tensor_shapes(&self, sites: &ModelSites) -> Result<Vec<Shape>, CoreError> {
        if sites.blocks(Stack::Encoder) == 0 && sites.blocks(Stack::Decoder) > 0 {
            return Err(CoreError::NoSite {
                method: Method::Attempt,
                needed: "an encoder, which reads the whole input behind its prompt",
            });
        }
        Ok(self.shapes())
    }

    fn file_shapes(&self, _: &[Shape]) -> Vec<Shape> {
        self.shapes()
    }

    fn start<B: Backend>(
        &self,
        sites: &ModelSites,
        start: AdapterInit<B>,
        device: &B::Device,
    ) -> Result<Attempt<B>, CoreError> {
        self.tensor_shapes(sites)?;
        let (m, d, h) = (self.virtual_tokens, self.d_model, self.hidden);
        let expected = [self.sources, m, d];
        let found = start.sources.as_ref().map_or([0; 3], |sources| sources.dims());
        let Some(sources) = start.sources.filter(|_| found == expected) else {
            return Err(CoreError::SourcePrompts { expected, found });
        };
        let sources = sources.detach().to_device(device);
        let matrix = |place, shape: [usize; 2]| {
            let values = site_normal(h * d, DEVIATION, start.seed, place);
            Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
        };
        Ok(Attempt {
            targets: Param::from_tensor(sources.clone().narrow(0, 0, 1).repeat_dim(0, self.tasks)),
            sources,
            attention: PromptAttention {
                down: matrix(0, [h, d]),
                up: matrix(1, [d, h]),
                norm: NetworkNorm {
                    weight: Param::from_tensor(Tensor::ones([d], device)),
                    bias: Param::from_tensor(Tensor::zeros([d], device)),
                },
            },
            temperature: self.temperature,
        })
    }

    fn with_tensors<B: Backend>(
        &self,
        sites: &ModelSites,
        tensors: BTreeMap<String, TensorData>,
        device: &B::Device,
    ) -> Result<Attempt<B>, CoreError> {
        let mut given = Given::new(tensors, &self.tensor_shapes(sites)?)?;
        Ok(Attempt {
            sources: given.take(SOURCE_PROMPTS, device),
            targets: Param::from_tensor(given.take(TARGET_PROMPTS, device)),
            attention: PromptAttention {
                down: Param::from_tensor(given.take(DOWN, device)),
                up: Param::from_tensor(given.take(UP, device)),
                norm: NetworkNorm {
                    weight: Param::from_tensor(given.take(NORM_WEIGHT, device)),
                    bias: Param::from_tensor(given.take(NORM_BIAS, device)),
                },
            },
            temperature: self.temperature,
        })
    }

    fn tensors<B: Backend>(module: &Attempt<B>) -> Vec<(String, TensorData)> {
        let attention = &module.attention;
        vec![
            (SOURCE_PROMPTS.to_owned(), module.sources.to_data()),
            (TARGET_PROMPTS.to_owned(), module.targets.val().into_data()),
            (DOWN.to_owned(), attention.down.val().into_data()),
            (UP.to_owned(), attention.up.val().into_data()),
            (NORM_WEIGHT.to_owned(), attention.norm.weight.val().into_data()),
            (NORM_BIAS.to_owned(), attention.norm.bias.val().into_data()),
        ]
    }

    fn check_constants<B: Backend>(&self, module: &Attempt<B>) -> Result<(), CoreError> {
        if module.temperature == self.temperature {
            return Ok(());
        }
        Err(refuse(
            Method::Attempt,
            "temperature",
            "the value the adapter computes with",
            format!("{} (the adapter's is {})", self.temperature, module.temperature),
        ))
    }

    fn peft_keys<B: Backend>(&self, _: &Attempt<B>) -> Map<String, Value> {
        prompt::peft_keys(self.virtual_tokens, self.d_model)
    }

    fn own_keys(&self) -> Map<String, Value> {
        object(json!({
            "hidden": self.hidden,
            "max_source_length": self.max_source_length,
            "sources": self.sources,
            "tasks": self.tasks,
            "temperature": exact(self.temperature),
        }))
    }

    fn from_keys(top: &mut Fields<'_>, own: &mut Fields<'_>) -> Result<Self, CoreError> {
        let (virtual_tokens, d_model) = prompt::sizes(top)?;
        Ok(Self {
            d_model,
            virtual_tokens,
            sources: own.required_count("sources")?,
            tasks: own.count("tasks")?.unwrap_or(1),
            hidden: own.required_count("hidden")?,
            temperature: own
                .number("temperature")?
                .unwrap_or_else(|| default_temperature(d_model)),
            max_source_length: own.count("max_source_length")?.unwrap_or(prompt::DEFAULT_LENGTH),
        })
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("width d", self.d_model.to_string()),
            ("virtual tokens m", self.virtual_tokens.to_string()),
            ("source prompts n", self.sources.to_string()),
            ("tasks", self.tasks.to_string()),
            ("hidden width h", self.hidden.to_string()),
            ("temperature T", self.temperature.to_string()),
            ("max source length", self.max_source_length.to_string()),
        ]
    }

    fn prompt_sizes(&self) -> Option<PromptSizes> {
        Some(PromptSizes {
            d_model: Some(self.d_model),
            virtual_tokens: self.virtual_tokens,
            max_source_length: self.max_source_length,
        })
    }

    fn tasks(&self) -> usize {
        self.tasks
    }

    fn sources(&self) -> usize {
        self.sources
    }

    fn alone<B: Backend>(&self, module: &Attempt<B>, task: usize) -> Option<(AdapterConfig, Adapter<B>)> {
        let config = Self {
            tasks: 1,
            ..self.clone()
        };
        let adapter = Attempt {
            targets: Param::from_tensor(module.targets.val().narrow(0, task, 1)),
            ..module.clone()
        };
        Some((config.into(), Adapter::Attempt(adapter)))
    }

    fn averaged<B: Backend>(&self, module: &Attempt<B>) -> Option<(AdapterConfig, Adapter<B>)> {
        let config = Self {
            tasks: 1,
            ..self.clone()
        };
        let adapter = Attempt {
            targets: Param::from_tensor(module.targets.val().mean_dim(0)),
            ..module.clone()
        };
        Some((config.into(), Adapter::Attempt(adapter)))
    }
}
