//! `adept_lab::verify` on the goldens of today's decoders (`tests/generators/golden_decoders.py`): everything passes if
//! unmodified, and a mistake in reading a family fails.
#![allow(clippy::print_stdout)]

use crate::goldens::{Copy, failed, golden, some_of};
use adept_core::Stack;
use adept_lab::verify::verify;
use adept_models::{Decoder, DecoderConfig, Family, ModelError, StoredType};
use burn::backend::Autodiff;
use burn::tensor::backend::AutodiffBackend;
use burn_flex::Flex;
use burn_ndarray::NdArray;
use half::{bf16, f16};
use safetensors::Dtype;

const FOLDERS: [&str; 10] = [
    "mistral", "qwen2", "qwen3", "smollm3", "phi3", "gemma", "gemma2", "gemma3", "gpt_neox", "gpt2",
];

#[track_caller]
fn passes<AB: AutodiffBackend>(folder: &str) {
    let path = golden(folder);
    let report = verify::<AB>(&path, &path, &Default::default()).unwrap();
    println!("{folder}\n{report}\n");
    assert!(report.passed(), "{report}");
    // The bare model, three prompts, LoRA and (IA)³, each with its steps, merged and unmerged.
    assert_eq!(report.rows.len(), 4 + 9 + 13 + 14 + 16 + 7 + 7, "every group is there");
    let left = report.not_checked.iter().map(|left| left.group.as_str());
    let known = ["residual", "p_tuning_mlp", "p_tuning_lstm"];
    let left: Vec<&str> = left.filter(|group| !known.contains(group)).collect();
    assert_eq!(
        left.len(),
        15,
        "the other methods, which share the code that Llama's goldens check: {left:?}"
    );
    assert!(!left.iter().any(|group| group.contains('.')), "{left:?}");
}

#[test]
fn goldens_pass_on_flex() {
    FOLDERS.into_iter().for_each(passes::<Autodiff<Flex>>);
}

#[test]
fn goldens_pass_on_ndarray() {
    FOLDERS.into_iter().for_each(passes::<Autodiff<NdArray>>);
}

/// A mistake in reading a family, as a change to what is read.
enum Mistake {
    /// A text of `config.json`, and what replaces it.
    Config(&'static str, &'static str),
    /// Values of the tensors whose names end so.
    Weights(&'static str, fn(&mut [f32], &[usize])),
}
use Mistake::{Config, Weights};

/// Values of rows `[rows, columns]` in another order: row `i` becomes row `order(i)`.
fn rows(values: &mut [f32], shape: &[usize], order: impl Fn(usize) -> usize) {
    let width = shape[1..].iter().product::<usize>();
    let moved = (0..shape[0]).flat_map(|row| values[order(row) * width..][..width].to_vec());
    let moved: Vec<f32> = moved.collect();
    values.copy_from_slice(&moved);
}

fn zeros(values: &mut [f32], _: &[usize]) {
    values.fill(0.0);
}

fn ones(values: &mut [f32], _: &[usize]) {
    values.fill(1.0);
}

/// A norm of Gemma's that is read as its weight, without the one.
fn without_one(values: &mut [f32], _: &[usize]) {
    values.iter_mut().for_each(|value| *value -= 1.0);
}

/// Neighbours instead of halves, for heads of twelve channels.
fn neighbours(values: &mut [f32], shape: &[usize]) {
    rows(values, shape, |i| i / 12 * 12 + 2 * (i % 6) + i % 12 / 6);
}

/// The halves of a map that fuses gate and up, the other way round.
fn halves_swapped(values: &mut [f32], shape: &[usize]) {
    let half = shape[0] / 2;
    rows(values, shape, |i| (i + half) % shape[0]);
}

/// Queries, keys and values of all heads, where each head has its own: heads of twelve channels.
fn not_by_head(values: &mut [f32], shape: &[usize]) {
    let width = shape[0] / 3;
    rows(values, shape, |i| {
        let (head, kind, channel) = (i / 36, i / 12 % 3, i % 12);
        kind * width + head * 12 + channel
    });
}

/// Keys in front of queries, for a map stored as `[in, out]`.
fn keys_first(values: &mut [f32], shape: &[usize]) {
    let width = shape[1] / 3;
    for row in values.chunks_mut(shape[1]) {
        row[..2 * width].rotate_left(width);
    }
}

const MISTAKES: [(&str, &[Mistake]); 10] = [
    (
        "mistral",
        &[
            Config("\"sliding_window\": 11", "\"sliding_window\": 12"),
            Config("\"sliding_window\": 11", "\"sliding_window\": null"),
            Weights("q_proj.weight", neighbours),
        ],
    ),
    (
        "qwen2",
        &[
            Weights("q_proj.bias", zeros),
            Config("\"sliding_window\": 5", "\"sliding_window\": 4"),
            Config("\"max_window_layers\": 1", "\"max_window_layers\": 2"),
            Config("\"factor\": 4.0", "\"factor\": 4.2"),
            Config(
                "\"rope_type\": \"yarn\"",
                "\"rope_type\": \"yarn\", \"attention_factor\": 1",
            ),
        ],
    ),
    (
        "qwen3",
        &[
            Weights("q_norm.weight", ones),
            Weights("k_norm.weight", ones),
            Config("\"sliding_window\": 7", "\"sliding_window\": 8"),
            Config(
                "\"use_sliding_window\": true",
                "\"use_sliding_window\": true, \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 2}",
            ),
        ],
    ),
    (
        "smollm3",
        &[
            Config("0,\n    1\n", "1,\n    1\n"),
            Config("\"sliding_window\": 6", "\"sliding_window\": 5"),
            Config("\"use_sliding_window\": true", "\"use_sliding_window\": false"),
        ],
    ),
    (
        "phi3",
        &[
            // The short factors.
            Config(
                "\"original_max_position_embeddings\": 8",
                "\"original_max_position_embeddings\": 100",
            ),
            Config(
                "\"type\": \"longrope\"",
                "\"type\": \"longrope\", \"attention_factor\": 1",
            ),
            Weights("gate_up_proj.weight", halves_swapped),
            Config("\"sliding_window\": 14", "\"sliding_window\": 13"),
        ],
    ),
    (
        "gemma",
        &[Weights("norm.weight", without_one), Config("1e-06", "1e-03")],
    ),
    (
        "gemma2",
        &[
            Config("\"attn_logit_softcapping\": 4.0", "\"attn_logit_softcapping\": null"),
            Config("\"final_logit_softcapping\": 8.0", "\"final_logit_softcapping\": null"),
            Config("\"query_pre_attn_scalar\": 20", "\"query_pre_attn_scalar\": 12"),
            Config("\"sliding_window\": 6", "\"sliding_window\": 7"),
            Config(
                "\"sliding_window\": 6",
                "\"sliding_window\": 6, \"layer_types\": [\"full_attention\", \"sliding_attention\", \"full_attention\"]",
            ),
            Weights("post_feedforward_layernorm.weight", without_one),
        ],
    ),
    (
        "gemma3",
        &[
            Config("\"rope_local_base_freq\": 100.0", "\"rope_local_base_freq\": 5000.0"),
            Config("\"factor\": 2.0", "\"factor\": 1.0"),
            Config("\"sliding_window_pattern\": 3", "\"sliding_window_pattern\": 2"),
            Config("\"sliding_window\": 6", "\"sliding_window\": 7"),
            Weights("q_norm.weight", without_one),
        ],
    ),
    (
        "gpt_neox",
        &[
            Config("\"use_parallel_residual\": true", "\"use_parallel_residual\": false"),
            Config("\"rotary_pct\": 0.5", "\"rotary_pct\": 1.0"),
            Config("\"rotary_emb_base\": 5000", "\"rotary_emb_base\": 10000"),
            Weights("query_key_value.weight", not_by_head),
            Weights("query_key_value.bias", not_by_head),
            Config("\"hidden_act\": \"gelu\"", "\"hidden_act\": \"gelu_new\""),
        ],
    ),
    (
        "gpt2",
        &[
            Weights("wpe.weight", zeros),
            Weights("c_attn.weight", keys_first),
            Weights("c_attn.bias", zeros),
        ],
    ),
];

/// Changes two-byte values of the tensors whose names end so.
fn rewrite(copy: &Copy, end: &str, change: fn(&mut [f32], &[usize])) {
    copy.rewrite("model.safetensors", |tensors| {
        let mut changed = 0;
        for (name, (dtype, shape, data)) in tensors.iter_mut().filter(|(name, _)| name.ends_with(end)) {
            let words = data.as_chunks::<2>().0.iter();
            let mut values: Vec<f32> = match dtype {
                Dtype::BF16 => words.map(|word| bf16::from_le_bytes(*word).to_f32()).collect(),
                Dtype::F16 => words.map(|word| f16::from_le_bytes(*word).to_f32()).collect(),
                other => panic!("{name} is {other:?}"),
            };
            change(&mut values, shape);
            let words = values.into_iter().map(|value| match dtype {
                Dtype::BF16 => bf16::from_f32(value).to_le_bytes(),
                _ => f16::from_f32(value).to_le_bytes(),
            });
            *data = words.flatten().collect();
            changed += 1;
        }
        assert!(changed > 0, "no tensor ends with {end}");
    });
}

#[test]
fn mistakes_in_reading_a_family_fail() {
    for (folder, mistakes) in MISTAKES {
        for mistake in mistakes {
            let copy = Copy::of(folder);
            let what = match mistake {
                Config(from, to) => {
                    copy.replace("config.json", from, to);
                    to
                }
                Weights(end, change) => {
                    rewrite(&copy, end, *change);
                    end
                }
            };
            let report = copy.verify().unwrap();
            let failed = failed(&report);
            for group in ["base", "pt", "dept", "adept", "lora", "ia3"].map(|method| format!("{method}.logits")) {
                assert!(
                    failed.contains(&group.as_str()),
                    "{folder}, {what}: {group} passes\n{report}"
                );
            }
            println!("{folder}, {what}: {} groups fail", failed.len());
        }
    }
}

/// What a family is said to run beside is what its models offer, and parameters are those of the checkpoint.
#[test]
fn sites_are_those_of_the_checkpoint() {
    for folder in FOLDERS {
        let (config, checkpoint) = adept_models::decoder::open(&golden(folder)).unwrap();
        let sites = config.sites();
        assert_eq!(sites.side.is_some(), config.family.runs_side_network(), "{folder}");
        assert_eq!(sites.blocks(Stack::Decoder), config.blocks, "{folder}");
        let parameters = adept_models::auto::ModelConfig::parameters(&config);
        assert_eq!(parameters, checkpoint.parameters(), "{folder}");
        let named = |module: &str| checkpoint.contains(&format!("{module}.weight"));
        assert!(sites.linears.iter().all(|map| named(&map.name)), "{folder}");
        assert!(sites.norms.iter().all(|norm| named(&norm.name)), "{folder}");
    }
}

#[test]
fn what_is_saved_loads_as_the_same_model() {
    let device = Default::default();
    for folder in FOLDERS {
        let loaded = Decoder::<Flex>::load(&golden(folder), &device).unwrap();
        let dir = tempfile::tempdir().unwrap();
        loaded.model.save_pretrained(dir.path(), StoredType::F32).unwrap();
        let config = DecoderConfig::from_dir(dir.path()).unwrap();
        let copy = Copy::of(folder);
        std::fs::copy(
            dir.path().join("model.safetensors"),
            copy.path().join("model.safetensors"),
        )
        .unwrap();
        std::fs::copy(dir.path().join("config.json"), copy.path().join("config.json")).unwrap();
        assert_eq!(config.family, loaded.model.config().family);
        if some_of(&FOLDERS).contains(&folder) || ["gemma3", "gpt_neox", "gpt2"].contains(&folder) {
            let report = copy.verify().unwrap();
            assert!(report.passed(), "{folder}\n{report}");
        }
    }
}

#[test]
fn each_bad_field_is_named() {
    for (folder, from, to, field) in [
        (
            "mistral",
            "\"sliding_window\": 11",
            "\"sliding_window\": 0",
            "sliding_window",
        ),
        (
            "mistral",
            "\"sliding_window\": 11",
            "\"attention_bias\": true",
            "attention_bias",
        ),
        (
            "qwen2",
            "\"max_window_layers\": 1",
            "\"max_window_layers\": -1",
            "max_window_layers",
        ),
        (
            "qwen2",
            "\"rope_type\": \"yarn\"",
            "\"rope_type\": \"ntk\"",
            "rope_scaling.rope_type",
        ),
        ("qwen2", "\"factor\": 4.0", "\"factor\": -4.0", "rope_scaling.factor"),
        ("qwen3", "\"sliding_attention\"", "\"chunked_attention\"", "layer_types"),
        (
            "qwen3",
            "\"num_hidden_layers\": 3",
            "\"num_hidden_layers\": 4",
            "layer_types",
        ),
        (
            "qwen3",
            "\"sliding_window\": 7",
            "\"sliding_window\": null",
            "sliding_window",
        ),
        (
            "smollm3",
            "\"no_rope_layers\": [",
            "\"no_rope_layers\": [2,",
            "no_rope_layers",
        ),
        ("phi3", "1.1,", "", "long_factor"),
        (
            "phi3",
            "\"partial_rotary_factor\": 0.75",
            "\"partial_rotary_factor\": 0.7",
            "partial_rotary_factor",
        ),
        (
            "phi3",
            "\"partial_rotary_factor\": 0.75",
            "\"partial_rotary_factor\": 1.5",
            "partial_rotary_factor",
        ),
        ("phi3", "\"resid_pdrop\": 0.0", "\"resid_pdrop\": 0.1", "resid_pdrop"),
        (
            "gemma",
            "\"hidden_act\": \"gelu\"",
            "\"hidden_act\": \"silu\"",
            "hidden_act",
        ),
        (
            "gemma",
            "\"hidden_size\": 32",
            "\"hidden_size\": 32, \"attn_logit_softcapping\": 50.0",
            "attn_logit_softcapping",
        ),
        (
            "gemma2",
            "\"attn_logit_softcapping\": 4.0",
            "\"attn_logit_softcapping\": -4.0",
            "attn_logit_softcapping",
        ),
        (
            "gemma3",
            "\"sliding_window_pattern\": 3",
            "\"sliding_window_pattern\": 0",
            "sliding_window_pattern",
        ),
        ("gemma3", "\"gemma3_text\"", "\"gemma3\"", "gemma3_text"),
        (
            "gpt_neox",
            "\"hidden_dropout\": 0.0",
            "\"hidden_dropout\": 0.1",
            "hidden_dropout",
        ),
        ("gpt_neox", "\"rotary_pct\": 0.5", "\"rotary_pct\": 0.1", "rotary_pct"),
        (
            "gpt_neox",
            "\"num_attention_heads\": 4",
            "\"num_attention_heads\": 5",
            "num_attention_heads",
        ),
        ("gpt2", "\"n_head\": 4", "\"n_head\": 5", "n_head"),
        ("gpt2", "\"embd_pdrop\": 0.1", "\"embd_pdrop\": 0.2", "embd_pdrop"),
        (
            "gpt2",
            "\"scale_attn_by_inverse_layer_idx\": false",
            "\"scale_attn_by_inverse_layer_idx\": true",
            "scale_attn_by_inverse_layer_idx",
        ),
    ] {
        let copy = Copy::of(folder);
        copy.replace("config.json", from, to);
        let error = adept_models::decoder::open(copy.path()).unwrap_err().to_string();
        assert!(error.contains(field), "{folder}, {field}: {error}");
    }
    // A layer that the weights lack.
    let copy = Copy::of("gpt2");
    copy.replace("config.json", "\"n_layer\": 2", "\"n_layer\": 3");
    let error = Decoder::<Flex>::load(copy.path(), &Default::default()).unwrap_err();
    assert!(
        matches!(&error, ModelError::MissingTensor { tensor, .. } if tensor == "transformer.h.2.ln_1.weight"),
        "{error}"
    );
    let copy = Copy::of("t5_v1_0");
    let error = DecoderConfig::from_dir(copy.path()).unwrap_err();
    assert!(matches!(error, ModelError::NotADecoder { .. }), "{error}");
    assert_eq!(Family::of(&golden("gemma3")).unwrap(), Family::Gemma3);
}
