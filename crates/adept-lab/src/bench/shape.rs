//! Configurations of the backbone sizes.

use adept_core::ModelSites;
use adept_models::auto::ModelConfig;
use adept_models::{CodeGenConfig, Decoder, LlamaConfig, Model, Precision, StoredType, T5, T5Config};
use burn::tensor::backend::Backend;

use super::{BenchError, BenchSize, Depth};

/// A backbone's configuration.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    T5(T5Config),
    CodeGen(CodeGenConfig),
    Llama(LlamaConfig),
}

impl BenchSize {
    /// Whether it is decoder-only.
    pub fn is_causal(self) -> bool {
        !matches!(Shape::of(self), Shape::T5(_))
    }

    /// The backbone's configuration.
    pub fn config(self) -> Box<dyn ModelConfig> {
        match Shape::of(self) {
            Shape::T5(config) => Box::new(config),
            Shape::CodeGen(config) => Box::new(config),
            Shape::Llama(config) => Box::new(config),
        }
    }
}

impl Shape {
    pub fn of(size: BenchSize) -> Self {
        match size {
            BenchSize::T5Small => Self::T5(T5Config::t5_small()),
            BenchSize::T5Base => Self::T5(T5Config::t5_base()),
            BenchSize::T5Of3B => Self::T5(T5Config::t5_3b()),
            BenchSize::CodeGen350M => Self::CodeGen(CodeGenConfig::codegen_350m()),
            BenchSize::SmolLm2Of135M => Self::Llama(LlamaConfig {
                vocab_size: 49_152,
                hidden_size: 576,
                intermediate_size: 1536,
                num_hidden_layers: 30,
                num_attention_heads: 9,
                num_key_value_heads: 3,
                head_dim: 64,
                rope_theta: 100_000.0,
                tie_word_embeddings: true,
                bos_token_id: Some(1),
                eos_token_ids: vec![2],
                pad_token_id: 2,
                ..LlamaConfig::llama_3_8b()
            }),
            BenchSize::Llama32Of1B => Self::Llama(LlamaConfig {
                hidden_size: 2048,
                intermediate_size: 8192,
                num_hidden_layers: 16,
                head_dim: 64,
                tie_word_embeddings: true,
                ..LlamaConfig::llama_3_8b()
            }),
            BenchSize::Llama3Of8B => Self::Llama(LlamaConfig::llama_3_8b()),
            BenchSize::Tiny => Self::T5(T5Config {
                vocab_size: 320,
                d_model: 32,
                d_kv: 8,
                d_ff: 64,
                num_layers: 2,
                num_decoder_layers: 2,
                num_heads: 4,
                ..T5Config::t5_small()
            }),
            BenchSize::TinyCodeGen => Self::CodeGen(CodeGenConfig {
                vocab_size: 320,
                n_embd: 32,
                n_inner: 64,
                n_layer: 2,
                n_head: 4,
                rotary_dim: 4,
                eos_token_ids: vec![1],
                pad_token_id: 0,
                ..CodeGenConfig::codegen_350m()
            }),
            BenchSize::TinyLlama => Self::Llama(LlamaConfig {
                vocab_size: 320,
                hidden_size: 32,
                intermediate_size: 64,
                num_hidden_layers: 2,
                num_attention_heads: 4,
                num_key_value_heads: 2,
                head_dim: 8,
                bos_token_id: None,
                eos_token_ids: vec![1],
                pad_token_id: 0,
                ..LlamaConfig::llama_3_8b()
            }),
        }
    }

    /// Its blocks.
    pub fn depth(&self) -> Depth {
        match self {
            Self::T5(config) => Depth {
                first: config.num_layers,
                second: Some(config.num_decoder_layers),
            },
            Self::CodeGen(config) => Depth {
                first: config.n_layer,
                second: None,
            },
            Self::Llama(config) => Depth {
                first: config.num_hidden_layers,
                second: None,
            },
        }
    }

    /// The same shape with other numbers of blocks.
    pub fn with_depth(mut self, depth: Option<Depth>) -> Result<Self, BenchError> {
        let Some(depth) = depth else {
            return Ok(self);
        };
        let expected = self.depth().stacks();
        if depth.stacks() != expected {
            return Err(BenchError::Stacks { found: depth, expected });
        }
        match &mut self {
            Self::T5(config) => {
                config.num_layers = depth.first;
                config.num_decoder_layers = depth.second.unwrap_or(depth.first);
            }
            Self::CodeGen(config) => config.n_layer = depth.first,
            Self::Llama(config) => config.num_hidden_layers = depth.first,
        }
        Ok(self)
    }

    pub fn sites(&self) -> ModelSites {
        match self {
            Self::T5(config) => config.sites(),
            Self::CodeGen(config) => config.sites(),
            Self::Llama(config) => config.sites(),
        }
    }

    pub fn vocabulary(&self) -> usize {
        match self {
            Self::T5(config) => config.vocab_size,
            Self::CodeGen(config) => config.vocab_size,
            Self::Llama(config) => config.vocab_size,
        }
    }

    /// A model with random weights as a checkpoint of an element type holds them, frozen for products in a precision
    /// or to be trained.
    pub fn random<B: Backend>(
        &self,
        seed: u64,
        device: &B::Device,
        held: (Option<Precision>, StoredType),
    ) -> Result<Model<B>, BenchError> {
        Ok(match self {
            Self::T5(config) => Model::T5(T5::random_in(config, seed, device, held)?),
            Self::CodeGen(config) => Model::Decoder(Decoder::random_in(&config.into(), seed, device, held)?),
            Self::Llama(config) => Model::Decoder(Decoder::random_in(&config.into(), seed, device, held)?),
        })
    }
}
