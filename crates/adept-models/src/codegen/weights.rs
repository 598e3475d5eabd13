//! Hugging Face's names and shapes for every tensor; loading and saving.

use std::path::Path;

use adept_kernels::Precision;
use burn::tensor::backend::Backend;

use super::config::{CodeGenConfig, PARTS};
use super::model::{Attention, Block, CodeGen, Mlp};
use crate::auto::pretrained;
use crate::checkpoint::{self, Checkpoint};
use crate::error::ModelError;
use crate::places::Attached;
use crate::source::{Builder, CheckpointSource, Named, RandomSource, Source, layer_norm_tensors, linear_tensors};
use crate::stored::{Loaded, Stored, StoredType};

const EMBEDDING: &str = "transformer.wte.weight";

/// Opens a checkpoint without building the model. Buffers that older files store among the weights are ignored, and
/// names without `transformer.` are accepted.
///
/// Unreadable files, and a configuration of another family.
pub fn open(dir: &Path) -> Result<(CodeGenConfig, Checkpoint), ModelError> {
    let config = CodeGenConfig::from_dir(dir)?;
    let mut checkpoint = Checkpoint::open(dir)?;
    checkpoint.add_prefix("transformer.", &["lm_head."]);
    checkpoint.ignore_where(|name| {
        let buffers = [".attn.causal_mask", ".attn.masked_bias", ".attn.bias"];
        buffers.iter().any(|buffer| name.ends_with(buffer))
    });
    Ok((config, checkpoint))
}

fn build<B: Backend>(
    config: &CodeGenConfig,
    (device, precision): (&B::Device, Precision),
    source: &mut dyn Source,
) -> Result<CodeGen<B>, ModelError> {
    config.validate()?;
    let (d, inner) = (config.n_embd, config.n_inner);
    let mut builder = Builder::<B> {
        device,
        source,
        precision,
    };
    let wte = builder.rows(EMBEDDING, [config.vocab_size, d])?;
    // No `with_capacity`: a file may claim any number of blocks; the first missing one ends the loop.
    let mut h = Vec::new();
    for number in 0..config.n_layer {
        let name = |part: &str| format!("transformer.h.{number}.{part}");
        h.push(Block {
            ln_1: builder.layer_norm(&name("ln_1"), d)?,
            attn: Attention {
                qkv_proj: builder.reordered(&name("attn.qkv_proj"), d, 3 * d, |rows| joined(rows, d))?,
                out_proj: builder.linear(&name("attn.out_proj"), d, d, false)?,
                attached: Attached::none(),
            },
            mlp: Mlp {
                fc_in: builder.linear(&name("mlp.fc_in"), d, inner, true)?,
                fc_out: builder.linear(&name("mlp.fc_out"), inner, d, true)?,
                attached: Attached::none(),
            },
        });
    }
    Ok(CodeGen {
        wte,
        h,
        ln_f: builder.layer_norm("transformer.ln_f", d)?,
        lm_head: builder.head("lm_head", d, config.vocab_size, true)?,
        side: None,
        config: config.clone(),
    })
}

/// Positions of queries, keys and values within a part of `qkv_proj`, in units of `d / PARTS` rows: values come second.
const PLACES: [usize; 3] = [0, 2, 1];

/// Reorders a checkpoint's rows `[3·d, d]` into queries, keys, values of all heads.
fn joined(rows: &[f32], d: usize) -> Vec<f32> {
    reorder(rows, d, |kind, part| (3 * part + PLACES[kind], kind * PARTS + part))
}

/// Inverse of `joined`.
fn parted(rows: &[f32], d: usize) -> Vec<f32> {
    reorder(rows, d, |kind, part| (kind * PARTS + part, 3 * part + PLACES[kind]))
}

/// For each output channel of the model, its row in a checkpoint's `qkv_proj`.
pub(super) fn checkpoint_order(d: usize) -> Vec<usize> {
    let piece = d / PARTS;
    let rows = |kind: usize, part: usize| {
        let first = (3 * part + PLACES[kind]) * piece;
        first..first + piece
    };
    (0..3)
        .flat_map(|kind| (0..PARTS).flat_map(move |part| rows(kind, part)))
        .collect()
}

/// Moves blocks of `d / PARTS` rows; `places` returns source and destination for the queries, keys, values (0, 1, 2) of
/// a part.
fn reorder(rows: &[f32], d: usize, places: impl Fn(usize, usize) -> (usize, usize)) -> Vec<f32> {
    let piece = d / PARTS * d;
    let mut out = vec![0.0; rows.len()];
    for kind in 0..3 {
        for part in 0..PARTS {
            let (from, to) = places(kind, part);
            out[to * piece..][..piece].copy_from_slice(&rows[from * piece..][..piece]);
        }
    }
    out
}

pretrained!(CodeGen, CodeGenConfig, save_pretrained);

impl<B: Backend> CodeGen<B> {
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
    pub fn random(config: &CodeGenConfig, seed: u64, device: &B::Device) -> Result<Self, ModelError> {
        Self::random_in(config, seed, device, Precision::F32)
    }

    /// Like [`random`](Self::random), with the maps of its blocks prepared for a precision, one at a time.
    ///
    /// # Errors
    /// An invalid configuration.
    pub fn random_in(
        config: &CodeGenConfig,
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
        let mut out: Named<B> = vec![(EMBEDDING.to_owned(), Stored::rows(&self.wte))];
        let d = self.config.n_embd;
        for (number, block) in self.h.iter().enumerate() {
            let name = |part: &str| format!("transformer.h.{number}.{part}");
            layer_norm_tensors(&mut out, &name("ln_1"), &block.ln_1);
            let qkv = Stored::reordered(block.attn.qkv_proj.kept(), move |rows| parted(rows, d));
            out.push((name("attn.qkv_proj.weight"), qkv));
            linear_tensors(&mut out, &name("attn.out_proj"), &block.attn.out_proj);
            linear_tensors(&mut out, &name("mlp.fc_in"), &block.mlp.fc_in);
            linear_tensors(&mut out, &name("mlp.fc_out"), &block.mlp.fc_out);
        }
        layer_norm_tensors(&mut out, "transformer.ln_f", &self.ln_f);
        linear_tensors(&mut out, "lm_head", &self.lm_head);
        checkpoint::write(
            dir,
            &self.config.to_json_as(element.name()),
            Stored::all_as(out, element),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_queries_values_keys_become_queries_keys_values() {
        // One row per piece: part p holds query 10p, value 10p + 1, key 10p + 2.
        let d = PARTS;
        let rows: Vec<f32> = (0..PARTS)
            .flat_map(|part| (0..3).map(move |place| (10 * part + place) as f32))
            .flat_map(|value| vec![value; d])
            .collect();
        let order: Vec<f32> = joined(&rows, d).chunks(d).map(|row| row[0]).collect();
        assert_eq!(order, [0., 10., 20., 30., 2., 12., 22., 32., 1., 11., 21., 31.]);
        assert_eq!(parted(&joined(&rows, d), d), rows);
        let order: Vec<f32> = checkpoint_order(d).iter().map(|&row| rows[row * d]).collect();
        assert_eq!(order, [0., 10., 20., 30., 2., 12., 22., 32., 1., 11., 21., 31.]);
    }
}
