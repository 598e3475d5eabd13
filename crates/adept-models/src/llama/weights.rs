//! Hugging Face's names and shapes for every tensor; loading and saving.
//!
//! A sharded checkpoint is memory-mapped; each tensor is converted, transposed and moved to the device on its own, so
//! that at most one tensor is held in addition to the model.

use std::path::Path;

use adept_kernels::Precision;
use burn::tensor::backend::Backend;

use super::config::LlamaConfig;
use super::model::{Attention, Block, Llama, Mlp};
use crate::auto::pretrained;
use crate::checkpoint::{self, Checkpoint};
use crate::error::ModelError;
use crate::places::Attached;
use crate::source::{Builder, CheckpointSource, Named, RandomSource, Source, linear_tensors, vector_tensor};
use crate::stored::{Loaded, Stored, StoredType};

const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// Opens a checkpoint without building the model. A copy of a tied head and tables of older files are ignored, and a
/// model saved without its head (names without `model.`) is accepted.
///
/// # Errors
/// Unreadable files, a configuration of another family, and a tied head that differs from the embedding.
pub fn open(dir: &Path) -> Result<(LlamaConfig, Checkpoint), ModelError> {
    let config = LlamaConfig::from_dir(dir)?;
    let mut checkpoint = Checkpoint::open(dir)?;
    checkpoint.add_prefix("model.", &["lm_head."]);
    checkpoint.ignore_where(|name| name.ends_with("rotary_emb.inv_freq"));
    if config.tie_word_embeddings {
        checkpoint.tie(&[EMBEDDING, HEAD])?;
    }
    Ok((config, checkpoint))
}

fn build<B: Backend>(
    config: &LlamaConfig,
    (device, precision): (&B::Device, Precision),
    source: &mut dyn Source,
) -> Result<Llama<B>, ModelError> {
    config.validate()?;
    let (d, f) = (config.hidden_size, config.intermediate_size);
    let wide = config.num_attention_heads * config.head_dim;
    let narrow = config.num_key_value_heads * config.head_dim;
    let mut builder = Builder::<B> {
        device,
        source,
        precision,
    };
    let embed_tokens = builder.rows(EMBEDDING, [config.vocab_size, d])?;
    // No `with_capacity`: a file may claim any number of blocks; the first missing one ends the loop.
    let mut layers = Vec::new();
    for number in 0..config.num_hidden_layers {
        let name = |part: &str| format!("model.layers.{number}.{part}");
        let bias = config.attention_bias;
        layers.push(Block {
            input_layernorm: builder.rms_norm(&name("input_layernorm"), d)?,
            self_attn: Attention {
                q_proj: builder.linear(&name("self_attn.q_proj"), d, wide, bias)?,
                k_proj: builder.linear(&name("self_attn.k_proj"), d, narrow, bias)?,
                v_proj: builder.linear(&name("self_attn.v_proj"), d, narrow, bias)?,
                o_proj: builder.linear(&name("self_attn.o_proj"), wide, d, bias)?,
                attached: Attached::none(),
            },
            post_attention_layernorm: builder.rms_norm(&name("post_attention_layernorm"), d)?,
            mlp: Mlp {
                gate_proj: builder.linear(&name("mlp.gate_proj"), d, f, config.mlp_bias)?,
                up_proj: builder.linear(&name("mlp.up_proj"), d, f, config.mlp_bias)?,
                down_proj: builder.linear(&name("mlp.down_proj"), f, d, config.mlp_bias)?,
                attached: Attached::none(),
            },
        });
    }
    let norm = builder.rms_norm("model.norm", d)?;
    let lm_head = match config.tie_word_embeddings {
        true => None,
        false => Some(builder.head("lm_head", d, config.vocab_size, false)?),
    };
    Ok(Llama {
        embed_tokens,
        layers,
        norm,
        lm_head,
        head_bias: None,
        side: None,
        config: config.clone(),
    })
}

pretrained!(Llama, LlamaConfig, save_pretrained);

impl<B: Backend> Llama<B> {
    /// Loads `config.json` and the weights of a folder; no parameter requires gradients.
    ///
    /// # Errors
    /// Unreadable files, and tensors that are missing, unexpected or of the wrong shape.
    pub fn load(dir: &Path, device: &B::Device) -> Result<Loaded<Self>, ModelError> {
        Self::load_in(dir, device, Precision::F32)
    }

    /// Like [`load`](Self::load), with the maps of its blocks prepared for a precision, one at a time.
    ///
    /// # Errors
    /// As in [`load`](Self::load).
    pub fn load_in(dir: &Path, device: &B::Device, precision: Precision) -> Result<Loaded<Self>, ModelError> {
        let (config, checkpoint) = open(dir)?;
        let mut source = CheckpointSource::new(&checkpoint);
        let model = build(&config, (device, precision), &mut source)?;
        source.finish()?;
        Ok(Loaded {
            model,
            fingerprint: checkpoint.fingerprint(),
        })
    }

    /// A model with transformers' random initialisation: N(0, `initializer_range`²) for matrices, ones for norms, zeros
    /// for biases.
    ///
    /// # Errors
    /// An invalid configuration.
    pub fn random(config: &LlamaConfig, seed: u64, device: &B::Device) -> Result<Self, ModelError> {
        Self::random_in(config, seed, device, Precision::F32)
    }

    /// Like [`random`](Self::random), with the maps of its blocks prepared for a precision, one at a time.
    ///
    /// # Errors
    /// An invalid configuration.
    pub fn random_in(
        config: &LlamaConfig,
        seed: u64,
        device: &B::Device,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        let deviation = config.initializer_range;
        build(config, (device, precision), &mut RandomSource { seed, deviation })
    }

    /// Writes `config.json` and `model.safetensors` in Hugging Face's layout, atomically.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn save_pretrained(&self, dir: &Path, element: StoredType) -> Result<(), ModelError> {
        let mut out: Named<B> = vec![(EMBEDDING.to_owned(), Stored::rows(&self.embed_tokens))];
        for (number, block) in self.layers.iter().enumerate() {
            let name = |part: &str| format!("model.layers.{number}.{part}");
            let norms = [
                ("input_layernorm.weight", &block.input_layernorm),
                ("post_attention_layernorm.weight", &block.post_attention_layernorm),
            ];
            for (part, norm) in norms {
                vector_tensor(&mut out, &name(part), &norm.weight);
            }
            let (attention, mlp) = (&block.self_attn, &block.mlp);
            for (part, linear) in [
                ("self_attn.q_proj", &attention.q_proj),
                ("self_attn.k_proj", &attention.k_proj),
                ("self_attn.v_proj", &attention.v_proj),
                ("self_attn.o_proj", &attention.o_proj),
                ("mlp.gate_proj", &mlp.gate_proj),
                ("mlp.up_proj", &mlp.up_proj),
                ("mlp.down_proj", &mlp.down_proj),
            ] {
                linear_tensors(&mut out, &name(part), linear);
            }
        }
        vector_tensor(&mut out, "model.norm.weight", &self.norm.weight);
        if let Some(head) = &self.lm_head {
            linear_tensors(&mut out, "lm_head", head);
        }
        checkpoint::write(
            dir,
            &self.config.to_json_as(element.name()),
            Stored::all_as(out, element),
        )
    }
}
