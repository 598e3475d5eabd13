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
use burn::tensor::TensorData;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::CoreError;
use crate::file::Fields;
use crate::site::ModelSites;

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

            /// Whether blocks read tensors that are computed once for several of them.
            pub fn joins_blocks(self) -> bool {
                match self {
                    $(Method::$variant => <$config as MethodConfig>::JOINS_BLOCKS,)*
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

// After the list, whose macros it uses.
mod dispatch;

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
