//! Methods: one file each, and the registry that makes them variants of one type.
//!
//! A method's file holds its configuration, its trained tensors with names and shapes, its parameter groups, its
//! representation in PEFT's files, what it can be merged into, and its citation. A line in [`methods!`] below makes it
//! available everywhere else: configurations, runs, tables, files, documentation.

mod adept;
mod attempt;
mod bitfit;
mod bottleneck;
mod config;
mod dept;
mod hyperdecoder;
mod hyperformer;
mod ia3;
mod lora;
mod lora_bitfit;
mod lst;
mod mpt;
mod p_tuning;
mod prefix;
mod prompt;
mod prompt_embedding;
mod prompt_source;
mod pt;
mod residual;
mod settings;
mod tasks;
mod weights;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::file::Fields;
use crate::site::{LinearSite, ModelSites, NormSite, SublayerSite};
use crate::{
    AdaptedInput, Beside, Bottleneck, CoreError, Intervention, LinearChange, NormChange, Prefix, SideNetwork,
    SourceNetworks,
};

pub use adept::AdeptConfig;
pub use attempt::{Attempt, AttemptConfig, PromptAttention};
pub use bitfit::{Bias, BitFit, BitFitConfig};
pub use bottleneck::{
    AdapterDropConfig, BottleneckAdapter, BottleneckConfig, BottleneckNetwork, HoulsbyConfig, NormWeight,
};
pub use config::{AdapterInit, GroupDefaults, Merge, MethodInfo, ParameterGroup, Shape};
pub(crate) use config::{MethodConfig, PromptSizes};
pub use dept::DeptConfig;
pub use hyperdecoder::{EncoderNetwork, Hyperdecoder, HyperdecoderConfig};
pub use hyperformer::{Generator, HyperNetwork, Hyperformer, HyperformerConfig};
pub use ia3::{Ia3, Ia3Config};
pub use lora::{Lora, LoraConfig};
pub use lora_bitfit::{LoraBitFit, LoraBitFitConfig};
pub use lst::{Ladder, LadderStart, LstConfig, SideMatrix, SideVector};
pub use mpt::{FactorStart, Mpt, MptConfig, TaskFactors};
pub use p_tuning::{Encoder, PTuningConfig};
pub use prefix::{PrefixAdapter, PrefixConfig, PrefixSites};
pub use prompt::PromptAdapter;
pub use prompt_embedding::{PromptEmbedding, PromptEmbeddingConfig};
pub use prompt_source::PromptSource;
pub use pt::PtConfig;
pub use residual::ResidualConfig;
pub use settings::{MethodSettings, Setting, SettingKind};

/// Declares [`Method`], [`AdapterConfig`] and [`Adapter`] from a list of methods.
macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident $name:literal ($config:ident, $module:ident);)*) => {
        /// A method of adapting a frozen model.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Method {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Method {
            /// Every method, in the order of tables.
            pub const ALL: &'static [Method] = &[$(Method::$variant),*];

            /// Its static description.
            pub fn info(self) -> &'static MethodInfo {
                match self {
                    $(Method::$variant => &<$config as MethodConfig>::INFO,)*
                }
            }

            /// Keys of its own section in a run's configuration.
            pub fn settings(self) -> &'static [Setting] {
                match self {
                    $(Method::$variant => <$config as MethodConfig>::SETTINGS,)*
                }
            }

            /// Tensors of its files that are not trained.
            pub fn frozen(self) -> &'static [&'static str] {
                match self {
                    $(Method::$variant => <$config as MethodConfig>::FROZEN,)*
                }
            }

            /// Whether it is for encoder-decoders alone.
            pub fn needs_encoder(self) -> bool {
                match self {
                    $(Method::$variant => <$config as MethodConfig>::NEEDS_ENCODER,)*
                }
            }

            /// Values of `peft_type` that its adapter files may have, the default first.
            pub fn peft_types(self) -> &'static [&'static str] {
                match self {
                    $(Method::$variant => <$config as MethodConfig>::PEFT_TYPES,)*
                }
            }

            /// The name used in configurations and on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Method::$variant => $name,)*
                }
            }

            /// Name of its variant, the first component of its parameters' paths.
            fn variant(self) -> &'static str {
                match self {
                    $(Method::$variant => stringify!($variant),)*
                }
            }
        }

        /// Sizes of an adapter and the constants of its forward pass.
        ///
        /// ```
        /// use adept_core::{AdapterConfig, LoraConfig, Method};
        ///
        /// // For a model of 768 channels: 60 virtual tokens, a bottleneck of 19.
        /// let adept = AdapterConfig::adept(768, 60, 19);
        /// assert_eq!((adept.method(), adept.virtual_tokens(), adept.rank()), (Method::Adept, 60, 19));
        /// // Products of rank 8 beside these linear maps; without names, beside queries and values.
        /// let lora: AdapterConfig = LoraConfig::new(8, 16.0).with_targets(["q_proj", "o_proj"]).into();
        /// assert_eq!(lora.method(), Method::Lora);
        /// ```
        #[derive(Debug, Clone, PartialEq)]
        pub enum AdapterConfig {
            $($(#[$doc])* $variant($config),)*
        }

        /// Dispatches to the method's configuration.
        macro_rules! each_config {
            ($self_:expr, $c:ident => $work:expr) => {
                match $self_ {
                    $(AdapterConfig::$variant($c) => $work,)*
                }
            };
        }

        impl AdapterConfig {
            /// The adapter's method.
            pub fn method(&self) -> Method {
                match self {
                    $(Self::$variant(_) => Method::$variant,)*
                }
            }

            /// The configuration for a run's settings.
            ///
            /// # Errors
            /// Settings that do not describe a valid adapter of the method.
            pub fn from_settings(method: Method, settings: &MethodSettings<'_>) -> Result<Self, CoreError> {
                let config = match method {
                    $(Method::$variant => Self::$variant(MethodConfig::from_settings(settings)?),)*
                };
                config.validate()?;
                Ok(config)
            }

            pub(crate) fn from_keys(
                method: Method,
                top: &mut Fields<'_>,
                own: &mut Fields<'_>,
            ) -> Result<Self, CoreError> {
                Ok(match method {
                    $(Method::$variant => Self::$variant(MethodConfig::from_keys(top, own)?),)*
                })
            }

            /// Checks that an adapter's constants match this configuration, and returns its keys in PEFT's files.
            pub(crate) fn describe<B: Backend>(&self, adapter: &Adapter<B>) -> Result<Map<String, Value>, CoreError> {
                match (self, adapter) {
                    $((Self::$variant(config), Adapter::$variant(module)) => {
                        config.check_constants(module)?;
                        Ok(config.peft_keys(module))
                    })*
                    _ => Err(CoreError::OtherMethod {
                        expected: self.method(),
                        found: adapter.method(),
                    }),
                }
            }
        }

        $(impl From<$config> for AdapterConfig {
            fn from(config: $config) -> Self {
                Self::$variant(config)
            }
        })*

        /// A trained adapter of any method.
        ///
        /// ```
        /// use adept_core::{Adapter, AdapterConfig, AdapterInit, AdapterMetadata, ModelSites, file};
        /// use burn_flex::Flex;
        ///
        /// let (sites, device) = (ModelSites::embeddings(32), Default::default());
        /// let config = AdapterConfig::adept(32, 4, 8);
        /// let adapter = Adapter::<Flex>::new(&config, &sites, AdapterInit::random(7), &device)?;
        ///
        /// // A folder in PEFT's layout is all that is needed to use it again.
        /// let folder = std::env::temp_dir().join("adept-core-adapter");
        /// file::save(&folder, &adapter, &AdapterMetadata::new(config, "my-model"))?;
        /// let (loaded, about) = file::load::<Flex>(&folder, &sites, &device)?;
        /// assert_eq!(loaded.tensors(), adapter.tensors());
        /// assert_eq!(about.base_model, "my-model");
        /// # Ok::<(), adept_core::CoreError>(())
        /// ```
        ///
        /// Parameter paths begin with the name of the variant (`Adept.prompt.weight`).
        #[derive(Module, Debug)]
        #[allow(
            clippy::large_enum_variant,
            reason = "there are few adapters in a process: some hundred bytes are not worth a box"
        )]
        pub enum Adapter<B: Backend> {
            $($(#[$doc])* $variant($module<B>),)*
        }

        /// Dispatches to the method's module.
        macro_rules! each_module {
            ($self_:expr, $m:ident => $work:expr) => {
                match $self_ {
                    $(Adapter::$variant($m) => $work,)*
                }
            };
        }

        impl<B: Backend> Adapter<B> {
            /// The adapter's method.
            pub fn method(&self) -> Method {
                match self {
                    $(Self::$variant(_) => Method::$variant,)*
                }
            }

            /// A newly initialised adapter; apart from virtual tokens it changes nothing yet, or little.
            ///
            /// # Errors
            /// An invalid configuration, initial values that do not fit it, or a model without linear maps for the
            /// method.
            pub fn new(
                config: &AdapterConfig,
                sites: &ModelSites,
                start: AdapterInit<B>,
                device: &B::Device,
            ) -> Result<Self, CoreError> {
                config.check_sites(sites)?;
                Ok(match config {
                    $(AdapterConfig::$variant(config) => Self::$variant(config.start(sites, start, device)?),)*
                })
            }

            /// An adapter from tensors, named as in its file.
            ///
            /// # Errors
            /// [`CoreError::AdapterMismatch`] if a tensor is missing, unexpected or of the wrong shape.
            pub fn from_tensors(
                config: &AdapterConfig,
                sites: &ModelSites,
                tensors: BTreeMap<String, TensorData>,
                device: &B::Device,
            ) -> Result<Self, CoreError> {
                config.check_sites(sites)?;
                Ok(match config {
                    $(AdapterConfig::$variant(config) => Self::$variant(config.with_tensors(sites, tensors, device)?),)*
                })
            }

            /// What one of its tasks uses, as an adapter of its own: with [`AdapterConfig::tasks`] of 1, and a plain
            /// soft prompt where that is all. `None` if its tasks share all of it. `config` is the adapter's.
            ///
            /// # Panics
            /// If there are not that many tasks.
            pub fn alone(&self, config: &AdapterConfig, task: usize) -> Option<(AdapterConfig, Self)> {
                match (config, self) {
                    $((AdapterConfig::$variant(config), Self::$variant(module)) => config.alone(module, task),)*
                    _ => None,
                }
            }

            /// The same method with the mean of what its tasks have of their own, as the start of training on one task
            /// more; `None` if they have nothing.
            pub fn averaged(&self, config: &AdapterConfig) -> Option<(AdapterConfig, Self)> {
                match (config, self) {
                    $((AdapterConfig::$variant(config), Self::$variant(module)) => config.averaged(module),)*
                    _ => None,
                }
            }

            /// Its tensors as f32, named as in the file. Reads them back from the device.
            pub fn tensors(&self) -> Vec<(String, TensorData)> {
                let tensors = match self {
                    $(Self::$variant(module) => <$config as MethodConfig>::tensors(module),)*
                };
                tensors
                    .into_iter()
                    .map(|(name, data)| (name, data.convert::<f32>()))
                    .collect()
            }

            /// Tensors computed from them for other programs, which files hold as well.
            pub(crate) fn derived(&self) -> Vec<(String, TensorData)> {
                let tensors = match self {
                    $(Self::$variant(module) => <$config as MethodConfig>::derived(module),)*
                };
                tensors
                    .into_iter()
                    .map(|(name, data)| (name, data.convert::<f32>()))
                    .collect()
            }
        }
    };
}

methods! {
    /// Prompt tuning: only a soft prompt (paper, equation 1).
    Pt "pt" (PtConfig, PromptAdapter);
    /// Decomposed prompt tuning: a shorter prompt and an offset per position (equation 2).
    Dept "dept" (DeptConfig, PromptAdapter);
    /// Adaptive decomposed prompt tuning: a shorter prompt and an offset per token (equation 3).
    Adept "adept" (AdeptConfig, PromptAdapter);
    /// Low-rank adaptation: low-rank products beside chosen weights.
    Lora "lora" (LoraConfig, Lora);
    /// (IA)³: factors for keys, values and the inner channels of feed-forward layers.
    Ia3 "ia3" (Ia3Config, Ia3);
    /// Residual prompt tuning: a soft prompt plus what a network shared by its tokens makes of it.
    Residual "residual" (ResidualConfig, PromptAdapter);
    /// P-tuning: a soft prompt that an encoder makes of an embedding.
    PTuning "p_tuning" (PTuningConfig, PromptAdapter);
    /// BitFit: biases.
    BitFit "bitfit" (BitFitConfig, BitFit);
    /// LoRA together with BitFit.
    LoraBitFit "lora_bitfit" (LoraBitFitConfig, LoraBitFit);
    /// Adapters: small networks behind sublayers.
    Adapter "adapter" (HoulsbyConfig, BottleneckAdapter);
    /// AdapterDrop: adapters in all but the lowest blocks.
    AdapterDrop "adapter_drop" (AdapterDropConfig, BottleneckAdapter);
    /// Prefix tuning: keys and values in front of an attention's own.
    Prefix "prefix" (PrefixConfig, PrefixAdapter);
    /// A soft prompt and the whole embedding matrix (table 10).
    PromptEmbedding "prompt_embedding" (PromptEmbeddingConfig, PromptEmbedding);
    /// Ladder side-tuning: a narrow network beside the model.
    Lst "lst" (LstConfig, Ladder);
    /// ATTEMPT: a soft prompt to which each input adds a weighted sum of prompts of other tasks.
    Attempt "attempt" (AttemptConfig, Attempt);
    /// Multitask prompt tuning: a soft prompt that tasks share, scaled by each of them.
    Mpt "mpt" (MptConfig, Mpt);
    /// HyperFormer: networks that make small networks behind sublayers for each task.
    Hyperformer "hyperformer" (HyperformerConfig, Hyperformer);
    /// HyperDecoder: networks beside feed-forward layers, the decoder's made for each input.
    Hyperdecoder "hyperdecoder" (HyperdecoderConfig, Hyperdecoder);
}

impl Method {
    /// The path prefix of a parameter group: the variant's name, then the group's own.
    pub fn group_prefix(self, group: &ParameterGroup) -> String {
        match group.prefix {
            "" => self.variant().to_owned(),
            prefix => format!("{}.{prefix}", self.variant()),
        }
    }

    /// Whether the method trains a soft prompt.
    pub fn has_prompt(self) -> bool {
        self.info().has_prompt
    }

    /// All method names, formatted for messages.
    pub fn names() -> String {
        let names: Vec<&str> = Self::ALL.iter().map(|method| method.name()).collect();
        names.join(", ")
    }
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// An unknown method name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown method `{found}`: expected one of {}", Method::names())]
pub struct UnknownMethod {
    /// The name given.
    pub found: String,
}

impl FromStr for Method {
    type Err = UnknownMethod;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Method::ALL.iter().find(|method| method.name() == name);
        found.copied().ok_or_else(|| UnknownMethod { found: name.to_owned() })
    }
}

impl AdapterConfig {
    /// Prompt tuning with `virtual_tokens` virtual tokens.
    pub fn pt(d_model: usize, virtual_tokens: usize) -> Self {
        PtConfig::new(d_model, virtual_tokens).into()
    }

    /// DePT with the paper's plain product (scale 1).
    pub fn dept(d_model: usize, virtual_tokens: usize, rank: usize, max_source_length: usize) -> Self {
        DeptConfig::new(d_model, virtual_tokens, rank, max_source_length).into()
    }

    /// ADePT as in the paper, without dropout.
    pub fn adept(d_model: usize, virtual_tokens: usize, rank: usize) -> Self {
        AdeptConfig::new(d_model, virtual_tokens, rank).into()
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`CoreError::InvalidConfig`] for the first invalid field.
    pub fn validate(&self) -> Result<(), CoreError> {
        each_config!(self, config => config.validate())
    }

    /// Checks the configuration, and that its width is that of the model's embeddings.
    fn check_sites(&self, sites: &ModelSites) -> Result<(), CoreError> {
        self.validate()?;
        match self.d_model() {
            Some(expected) if expected != sites.d_model => Err(CoreError::WrongWidth {
                expected,
                found: sites.d_model,
            }),
            _ => Ok(()),
        }
    }

    /// Its parameter groups, in the order used in records; a parameter belongs to the first that contains its path.
    pub fn groups(&self) -> Vec<ParameterGroup> {
        each_config!(self, config => config.groups())
    }

    /// Names and shapes of an adapter's tensors for that model, in file order.
    ///
    /// # Errors
    /// The model has no linear map for the method, or its width is not the configuration's.
    pub fn tensor_shapes(&self, sites: &ModelSites) -> Result<Vec<Shape>, CoreError> {
        self.check_sites(sites)?;
        each_config!(self, config => config.tensor_shapes(sites))
    }

    /// Number of trainable values of an adapter for that model.
    ///
    /// ```
    /// # use adept_core::{AdapterConfig, ModelSites};
    /// // The paper's ADePT for T5-base, and a prompt of 100 tokens beside it.
    /// let sites = ModelSites::embeddings(768);
    /// assert_eq!(AdapterConfig::adept(768, 60, 19).trainable_parameters(&sites)?, 76_051);
    /// assert_eq!(AdapterConfig::pt(768, 100).trainable_parameters(&sites)?, 76_800);
    /// # Ok::<(), adept_core::CoreError>(())
    /// ```
    ///
    /// # Errors
    /// As [`AdapterConfig::tensor_shapes`].
    pub fn trainable_parameters(&self, sites: &ModelSites) -> Result<usize, CoreError> {
        self.check_sites(sites)?;
        each_config!(self, config => config.trainable_parameters(sites))
    }

    /// Number of values in an adapter's file: those that are trained, and those computed of them for other programs.
    ///
    /// # Errors
    /// As [`AdapterConfig::tensor_shapes`].
    pub fn stored_values(&self, sites: &ModelSites) -> Result<usize, CoreError> {
        let shapes = self.tensor_shapes(sites)?;
        let derived = self.derived_shapes();
        let all = shapes.iter().chain(&derived);
        Ok(all.map(|(_, shape)| shape.iter().product::<usize>()).sum())
    }

    /// The tensors required in a file that contains `found`.
    pub(crate) fn file_shapes(&self, found: &[Shape]) -> Vec<Shape> {
        each_config!(self, config => config.file_shapes(found))
    }

    /// Tensors that a file may contain beside them, which are not read.
    pub(crate) fn derived_shapes(&self) -> Vec<Shape> {
        each_config!(self, config => config.derived_shapes())
    }

    /// `peft_type` of its adapter files.
    pub fn peft_type(&self) -> &'static str {
        each_config!(self, config => config.peft_type())
    }

    pub(crate) fn own_keys(&self) -> Map<String, Value> {
        each_config!(self, config => config.own_keys())
    }

    /// Human-readable sizes and constants, as (name, value).
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        each_config!(self, config => config.facts())
    }

    fn prompt_sizes(&self) -> Option<PromptSizes> {
        each_config!(self, config => config.prompt_sizes())
    }

    /// Width of the model's embeddings, if the configuration has it.
    pub fn d_model(&self) -> Option<usize> {
        self.prompt_sizes().and_then(|sizes| sizes.d_model)
    }

    /// Virtual tokens prepended to every input.
    pub fn virtual_tokens(&self) -> usize {
        self.prompt_sizes().map_or(0, |sizes| sizes.virtual_tokens)
    }

    /// Whether a given prompt ([`crate::PromptInit::Rows`]) is what the adapter starts from. Not so for methods without a
    /// prompt, nor for P-tuning, whose encoder reads an embedding that is no token of the model.
    pub fn starts_from_rows(&self) -> bool {
        each_config!(self, config => config.starts_from_rows())
    }

    /// Training examples whose squared gradients ([`crate::ReadWeights::squared_gradients`]) decide what the adapter
    /// starts from; 0 if it needs none.
    pub fn judging_examples(&self) -> usize {
        each_config!(self, config => config.judging_examples())
    }

    /// Rank or bottleneck; 0 if the method has none.
    pub fn rank(&self) -> usize {
        each_config!(self, config => config.rank())
    }

    /// Number of tasks that the adapter has parameters for: above 1, one of them is to be chosen before the adapter is
    /// used ([`Intervention::of_task`]).
    pub fn tasks(&self) -> usize {
        each_config!(self, config => config.tasks())
    }

    /// Number of prompts of other tasks that the adapter keeps ([`AdapterInit::sources`]).
    pub fn sources(&self) -> usize {
        each_config!(self, config => config.sources())
    }

    /// Checks that an adapter computes with this configuration's constants.
    ///
    /// # Errors
    /// [`CoreError::InvalidConfig`] for the constant that differs, [`CoreError::OtherMethod`].
    pub fn check_constants<B: Backend>(&self, adapter: &Adapter<B>) -> Result<(), CoreError> {
        self.describe(adapter).map(drop)
    }

    /// Longest source the adapter was made for, if recorded.
    pub fn max_source_length(&self) -> Option<usize> {
        self.prompt_sizes().map(|sizes| sizes.max_source_length)
    }
}

impl<B: Backend> Adapter<B> {
    /// The soft prompt and the offset, for prompt methods.
    pub fn as_prompt(&self) -> Option<&PromptAdapter<B>> {
        match self {
            Self::Pt(adapter)
            | Self::Dept(adapter)
            | Self::Adept(adapter)
            | Self::Residual(adapter)
            | Self::PTuning(adapter) => Some(adapter),
            _ => None,
        }
    }

    /// The same adapter for inference: virtual tokens that a network makes are computed once instead of in every pass.
    /// The result lacks the network, so it is not to be saved.
    #[must_use]
    pub fn folded(self) -> Self {
        match self {
            Self::Adept(adapter) => Self::Adept(adapter.folded()),
            Self::Residual(adapter) => Self::Residual(adapter.folded()),
            Self::PTuning(adapter) => Self::PTuning(adapter.folded()),
            Self::Prefix(adapter) => Self::Prefix(adapter.folded()),
            other => other,
        }
    }
}

impl<B: Backend> Intervention<B> for Adapter<B> {
    fn offset(&self, embeddings: Tensor<B, 3>, first_position: usize) -> Tensor<B, 3> {
        each_module!(self, module => module.offset(embeddings, first_position))
    }

    fn offset_at(&self, embeddings: Tensor<B, 3>, positions: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        each_module!(self, module => module.offset_at(embeddings, positions))
    }

    fn prompt(&self) -> Option<Tensor<B, 2>> {
        each_module!(self, module => module.prompt())
    }

    fn linear(&self, site: LinearSite) -> Option<LinearChange<B>> {
        each_module!(self, module => module.linear(site))
    }

    fn norm(&self, site: NormSite) -> Option<NormChange<B>> {
        each_module!(self, module => module.norm(site))
    }

    fn after(&self, site: SublayerSite) -> Option<Bottleneck<B>> {
        each_module!(self, module => module.after(site))
    }

    fn beside(&self, site: SublayerSite) -> Option<Beside<B>> {
        each_module!(self, module => module.beside(site))
    }

    fn of_source(&self) -> Option<SourceNetworks<B>> {
        each_module!(self, module => module.of_source())
    }

    fn prefix(&self, site: SublayerSite) -> Option<Prefix<B>> {
        each_module!(self, module => module.prefix(site))
    }

    fn embedding(&self) -> Option<Tensor<B, 2>> {
        each_module!(self, module => module.embedding())
    }

    fn head_bias(&self) -> Option<Tensor<B, 1>> {
        each_module!(self, module => module.head_bias())
    }

    fn side(&self) -> Option<SideNetwork<B>> {
        each_module!(self, module => module.side())
    }

    fn changes_model(&self) -> bool {
        each_module!(self, module => module.changes_model())
    }

    fn check_width(&self, seq: usize) -> Result<(), CoreError> {
        each_module!(self, module => module.check_width(seq))
    }

    fn virtual_tokens(&self) -> usize {
        each_module!(self, module => module.virtual_tokens())
    }

    fn of_task(&self, task: usize) -> Option<Box<dyn Intervention<B>>> {
        each_module!(self, module => module.of_task(task))
    }

    fn forward(&self, embeddings: Tensor<B, 3>, mask: Tensor<B, 2, Bool>) -> AdaptedInput<B> {
        each_module!(self, module => module.forward(embeddings, mask))
    }

    fn forward_at(
        &self,
        embeddings: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        positions: Tensor<B, 2, Int>,
    ) -> AdaptedInput<B> {
        each_module!(self, module => module.forward_at(embeddings, mask, positions))
    }
}
