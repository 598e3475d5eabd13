//! Multitask prompt tuning: `[P ⊙ (u_k·v_k); E]` (Wang et al., 2023, section 3.1). One prompt is shared by the tasks that
//! are trained together; each task k scales it by a product of rank r, with r = 1 in the paper.
//!
//! Files are PEFT's `MULTITASK_PROMPT_TUNING`: `prompt_embeddings` `[m, d]`, `prefix_task_cols` `[tasks, m, r]` and
//! `prefix_task_rows` `[tasks, r, d]`. What a task uses is a plain soft prompt ([`Mpt::prompt_of`]).

use std::collections::BTreeMap;

use adept_kernels::product;
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::prompt::{self, Given, PROMPT, PROMPT_GROUP, object, refuse};
use super::tasks;
use super::{
    Adapter, AdapterConfig, AdapterInit, GroupDefaults, Merge, MethodConfig, MethodInfo, MethodSettings,
    ParameterGroup, PromptAdapter, PromptSizes, PtConfig, Setting, SettingKind, Shape,
};
use crate::file::Fields;
use crate::init::site_normal;
use crate::intervention::Prompted;
use crate::{CoreError, Intervention, Method, ModelSites, SoftPrompt};

const COLUMNS: &str = "prefix_task_cols";
const ROWS: &str = "prefix_task_rows";

/// Largest rank of a task's product; the paper's is 1.
const MOST_RANK: usize = 64;
/// Standard deviation of PEFT's initial factors.
const DEVIATION: f64 = 0.02;

const RANK: Setting = Setting {
    key: "rank",
    kind: SettingKind::Integer {
        min: 1,
        max: MOST_RANK as i64,
    },
    default: "1",
    meaning: "Rank r of each task's product; the paper's is 1.",
};
const START: Setting = Setting {
    key: "start",
    kind: SettingKind::Choice(&["ones", "normal"]),
    default: "\"ones\"",
    meaning: "Initial factors. `ones`: the product is 1 everywhere, so that training begins with the shared prompt as it \
              is. `normal`: standard deviation 0.02 as in PEFT, whose prompt therefore begins near zero.",
};

/// Initial values of the factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FactorStart {
    /// A product of ones.
    #[default]
    Ones,
    /// Normal values of standard deviation 0.02.
    Normal,
}

/// Sizes of the shared prompt and of the tasks' products.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MptConfig {
    /// Width `d` of the model's token embeddings.
    pub d_model: usize,
    /// Virtual tokens `m`.
    pub virtual_tokens: usize,
    /// Number of tasks.
    pub tasks: usize,
    /// Rank `r` of each task's product.
    pub rank: usize,
    /// Initial factors; not part of files.
    pub start: FactorStart,
    /// Longest source in training; informational.
    pub max_source_length: usize,
}

impl MptConfig {
    /// `virtual_tokens` virtual tokens shared by `tasks` tasks, with products of rank 1 that begin as ones.
    pub fn new(d_model: usize, virtual_tokens: usize, tasks: usize) -> Self {
        Self {
            d_model,
            virtual_tokens,
            tasks,
            rank: 1,
            start: FactorStart::Ones,
            max_source_length: prompt::DEFAULT_LENGTH,
        }
    }

    fn shapes(&self) -> Vec<Shape> {
        let (m, d) = (self.virtual_tokens, self.d_model);
        vec![
            (PROMPT.to_owned(), vec![m, d]),
            (COLUMNS.to_owned(), vec![self.tasks, m, self.rank]),
            (ROWS.to_owned(), vec![self.tasks, self.rank, d]),
        ]
    }

    /// Initial factors of one side, `[tasks, rank, width]`.
    fn factors(&self, width: usize, seed: u64, place: usize) -> Vec<f32> {
        let normal = site_normal(self.tasks * self.rank * width, DEVIATION, seed, place);
        match self.start {
            FactorStart::Normal => normal,
            FactorStart::Ones => {
                let is_first = |index: usize| (index / width).is_multiple_of(self.rank);
                let one_or = |(index, value)| if is_first(index) { 1.0 } else { value };
                normal.into_iter().enumerate().map(one_or).collect()
            }
        }
    }
}

/// The tasks' factors.
#[derive(Module, Debug)]
pub struct TaskFactors<B: Backend> {
    /// Factors of virtual tokens u, `[tasks, m, r]`.
    pub columns: Param<Tensor<B, 3>>,
    /// Factors of channels v, `[tasks, r, d]`.
    pub rows: Param<Tensor<B, 3>>,
}

/// The shared prompt and the tasks' factors.
#[derive(Module, Debug)]
pub struct Mpt<B: Backend> {
    /// The shared virtual tokens, `[m, d]`.
    pub prompt: SoftPrompt<B>,
    /// The tasks' factors.
    pub factors: TaskFactors<B>,
}

impl<B: Backend> Mpt<B> {
    /// Number of tasks.
    pub fn tasks(&self) -> usize {
        self.factors.columns.dims()[0]
    }

    /// The virtual tokens of a task, `[m, d]`.
    ///
    /// # Panics
    /// If there are not that many tasks.
    pub fn prompt_of(&self, task: usize) -> Tensor<B, 2> {
        let [columns, rows] = [&self.factors.columns, &self.factors.rows].map(|factors| {
            let factors = factors.val().narrow(0, task, 1);
            factors.squeeze_dim::<2>(0)
        });
        self.prompt.weight.val() * product(columns, rows)
    }
}

impl<B: Backend> Intervention<B> for Mpt<B> {
    /// # Panics
    /// If the adapter has several tasks and none was chosen ([`Intervention::of_task`]).
    fn prompt(&self) -> Option<Tensor<B, 2>> {
        tasks::assert_one(self.tasks());
        Some(self.prompt_of(0))
    }

    fn virtual_tokens(&self) -> usize {
        self.prompt.virtual_tokens()
    }

    fn of_task(&self, task: usize) -> Option<Box<dyn Intervention<B>>> {
        Some(Box::new(Prompted {
            prompt: self.prompt_of(task),
        }))
    }
}

impl MethodConfig for MptConfig {
    type Module<B: Backend> = Mpt<B>;

    const INFO: MethodInfo = MethodInfo {
        title: "MPT",
        summary: "a soft prompt that several tasks share and a product of low rank for each of them, `[P ⊙ (u·v); E]`",
        peft_type: "MULTITASK_PROMPT_TUNING",
        has_prompt: true,
        groups: &[
            PROMPT_GROUP,
            ParameterGroup {
                name: "mpt",
                prefix: "factors",
                defaults: Some(GroupDefaults {
                    learning_rate: 0.4,
                    weight_decay: 1e-5,
                    warmup_steps: 500,
                }),
            },
        ],
        merge: Merge::No("it makes a soft prompt, which is part of the input, not of the weights"),
        inference: "m more positions",
        citation: "Wang et al., Multitask Prompt Tuning Enables Parameter-Efficient Transfer Learning, ICLR 2023",
    };

    const SETTINGS: &'static [Setting] = &[RANK, START];

    fn from_settings(settings: &MethodSettings<'_>) -> Result<Self, CoreError> {
        Ok(Self {
            d_model: settings.sites.d_model,
            virtual_tokens: settings.virtual_tokens,
            tasks: settings.tasks,
            rank: settings.own(Method::Mpt, &RANK)?,
            start: settings.own(Method::Mpt, &START)?,
            max_source_length: settings.max_source_length,
        })
    }

    fn validate(&self) -> Result<(), CoreError> {
        if !(1..=MOST_RANK).contains(&self.rank) {
            return Err(refuse(Method::Mpt, "rank", "from 1 to 64", self.rank));
        }
        tasks::validate(Method::Mpt, "num_tasks", self.tasks)?;
        let (d, m) = (self.d_model, self.virtual_tokens);
        prompt::validate(Method::Mpt, d, m, None, self.max_source_length)?;
        // The factors of all tasks are of the size of a prompt of `tasks·r` more tokens, at most.
        prompt::validate(
            Method::Mpt,
            self.d_model,
            self.virtual_tokens,
            Some(self.tasks * self.rank),
            self.max_source_length.max(self.virtual_tokens),
        )
    }

    fn tensor_shapes(&self, _: &ModelSites) -> Result<Vec<Shape>, CoreError> {
        Ok(self.shapes())
    }

    fn file_shapes(&self, _: &[Shape]) -> Vec<Shape> {
        self.shapes()
    }

    fn start<B: Backend>(
        &self,
        _: &ModelSites,
        start: AdapterInit<B>,
        device: &B::Device,
    ) -> Result<Mpt<B>, CoreError> {
        let (m, d, seed) = (self.virtual_tokens, self.d_model, start.seed);
        let (tasks, rank) = (self.tasks, self.rank);
        // Drawn as `[tasks, r, m]`, so that a component of the product is a row on either side.
        let columns = TensorData::new(self.factors(m, seed, 0), [tasks, rank, m]);
        let rows = TensorData::new(self.factors(d, seed, 1), [tasks, rank, d]);
        let columns = Tensor::<B, 3>::from_data(columns, device).swap_dims(1, 2);
        Ok(Mpt {
            prompt: SoftPrompt::new(start.prompt.values(m, d, seed, device)?),
            factors: TaskFactors {
                columns: Param::from_tensor(columns),
                rows: Param::from_tensor(Tensor::from_data(rows, device)),
            },
        })
    }

    fn with_tensors<B: Backend>(
        &self,
        _: &ModelSites,
        tensors: BTreeMap<String, TensorData>,
        device: &B::Device,
    ) -> Result<Mpt<B>, CoreError> {
        let mut given = Given::new(tensors, &self.shapes())?;
        Ok(Mpt {
            prompt: SoftPrompt::new(given.take(PROMPT, device)),
            factors: TaskFactors {
                columns: Param::from_tensor(given.take(COLUMNS, device)),
                rows: Param::from_tensor(given.take(ROWS, device)),
            },
        })
    }

    fn tensors<B: Backend>(module: &Mpt<B>) -> Vec<(String, TensorData)> {
        vec![
            (PROMPT.to_owned(), module.prompt.weight.val().into_data()),
            (COLUMNS.to_owned(), module.factors.columns.val().into_data()),
            (ROWS.to_owned(), module.factors.rows.val().into_data()),
        ]
    }

    fn check_constants<B: Backend>(&self, _: &Mpt<B>) -> Result<(), CoreError> {
        Ok(())
    }

    fn peft_keys<B: Backend>(&self, _: &Mpt<B>) -> Map<String, Value> {
        let mut keys = prompt::peft_keys(self.virtual_tokens, self.d_model);
        keys.extend(object(json!({
            "num_ranks": self.rank,
            "num_tasks": self.tasks,
            "prompt_tuning_init": "RANDOM",
        })));
        keys
    }

    fn own_keys(&self) -> Map<String, Value> {
        object(json!({ "max_source_length": self.max_source_length }))
    }

    fn from_keys(top: &mut Fields<'_>, own: &mut Fields<'_>) -> Result<Self, CoreError> {
        let (virtual_tokens, d_model) = prompt::sizes(top)?;
        Ok(Self {
            d_model,
            virtual_tokens,
            tasks: top.required_count("num_tasks")?,
            rank: top.count("num_ranks")?.unwrap_or(1),
            start: FactorStart::default(),
            max_source_length: own.count("max_source_length")?.unwrap_or(prompt::DEFAULT_LENGTH),
        })
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("width d", self.d_model.to_string()),
            ("virtual tokens m", self.virtual_tokens.to_string()),
            ("tasks", self.tasks.to_string()),
            ("rank r", self.rank.to_string()),
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

    fn starts_from_rows(&self) -> bool {
        true
    }

    fn tasks(&self) -> usize {
        self.tasks
    }

    fn alone<B: Backend>(&self, module: &Mpt<B>, task: usize) -> Option<(AdapterConfig, Adapter<B>)> {
        let config = PtConfig {
            max_source_length: self.max_source_length,
            ..PtConfig::new(self.d_model, self.virtual_tokens)
        };
        let adapter = PromptAdapter {
            prompt: Some(SoftPrompt::new(module.prompt_of(task))),
            network: None,
            offset: None,
        };
        Some((config.into(), Adapter::Pt(adapter)))
    }

    fn averaged<B: Backend>(&self, module: &Mpt<B>) -> Option<(AdapterConfig, Adapter<B>)> {
        let mean = |factors: &Param<Tensor<B, 3>>| Param::from_tensor(factors.val().mean_dim(0));
        let config = Self {
            tasks: 1,
            ..self.clone()
        };
        let adapter = Mpt {
            prompt: module.prompt.clone(),
            factors: TaskFactors {
                columns: mean(&module.factors.columns),
                rows: mean(&module.factors.rows),
            },
        };
        Some((config.into(), Adapter::Mpt(adapter)))
    }
}
