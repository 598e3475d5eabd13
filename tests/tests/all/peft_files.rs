//! Adapter files written by peft and rewritten by this project: bit-identical tensors, and equivalent keys.
//!
//! With `ADEPT_PEFT_OUT` set, the files are kept there for `tests/generators/peft_loads_ours.py`, which loads them with
//! peft.

use std::path::PathBuf;

use adept_core::file::{self, CONFIG_FILE, TENSOR_FILE};
use adept_core::{Adapter, AdapterConfig, AdapterMetadata, Encoder, Intervention as _, PTuningConfig, ResidualConfig};
use adept_models::{Backbone as _, Model};
use burn::tensor::TensorData;
use burn_flex::Flex;
use safetensors::SafeTensors;
use serde_json::Value;

use crate::goldens::golden;

/// Keys that affect the computation.
const MEANING: [&str; 9] = [
    "peft_type",
    "r",
    "lora_alpha",
    "lora_dropout",
    "use_rslora",
    "rank_pattern",
    "alpha_pattern",
    "bias",
    "fan_in_fan_out",
];

fn sorted(value: &Value) -> Vec<String> {
    let names = value.as_array().unwrap().iter();
    let mut names: Vec<String> = names.map(|name| name.as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn peft_is_given_what_it_gave() {
    let kept = std::env::var_os("ADEPT_PEFT_OUT").map(PathBuf::from);
    for family in ["t5_v1_0", "t5_v1_1", "codegen", "llama", "llama_tied"] {
        let model = Model::<Flex>::load(&golden(family), &Default::default()).unwrap().model;
        for method in ["lora", "ia3"] {
            let theirs = golden(family).join(method);
            let (adapter, about) = file::load::<Flex>(&theirs, &model.sites(), &Default::default()).unwrap();
            let scratch = tempfile::tempdir().unwrap();
            let ours = match &kept {
                Some(kept) => kept.join(format!("{family}-{method}")),
                None => scratch.path().to_owned(),
            };
            file::save(&ours, &adapter, &about).unwrap();

            let [a, b] = [&theirs, &ours].map(|folder| std::fs::read(folder.join(TENSOR_FILE)).unwrap());
            let [a, b] = [&a, &b].map(|bytes| SafeTensors::deserialize(bytes).unwrap());
            let [mut names, mut found] = [a.names(), b.names()];
            names.sort();
            found.sort();
            assert_eq!(names, found, "{family} {method}");
            for name in names {
                let (a, b) = (a.tensor(name).unwrap(), b.tensor(name).unwrap());
                assert_eq!(
                    (a.shape(), a.data()),
                    (b.shape(), b.data()),
                    "{family} {method}: {name}"
                );
            }
            let [a, b] = [&theirs, &ours].map(|folder| -> Value {
                serde_json::from_slice(&std::fs::read(folder.join(CONFIG_FILE)).unwrap()).unwrap()
            });
            for key in MEANING {
                let number = |value: &Value| value.as_f64();
                let same = a[key] == b[key] || (number(&a[key]).is_some() && number(&a[key]) == number(&b[key]));
                assert!(same, "{family} {method}: {key}: {} and {}", a[key], b[key]);
            }
            assert_eq!(
                sorted(&a["target_modules"]),
                sorted(&b["target_modules"]),
                "{family} {method}"
            );
            if method == "ia3" {
                assert_eq!(
                    sorted(&a["feedforward_modules"]),
                    sorted(&b["feedforward_modules"]),
                    "{family}"
                );
            }
        }
    }
}

/// A golden adapter whose prompt a network makes.
fn made_by_network(family: &str, case: &str) -> (Adapter<Flex>, AdapterConfig) {
    let model = Model::<Flex>::load(&golden(family), &Default::default()).unwrap().model;
    let bytes = std::fs::read(golden(family).join("prompts.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let shape = |name: &str| file.tensor(&format!("{case}.{name}")).unwrap().shape().to_vec();
    let config: AdapterConfig = match case {
        "residual" => ResidualConfig::new(shape("prompt")[1], shape("prompt")[0], shape("up.bias")[0]).into(),
        _ => {
            let (m, d) = (shape("embedding.weight")[0], shape("embedding.weight")[1]);
            match case {
                "p_tuning_mlp" => PTuningConfig::new(d, m, Encoder::Mlp, shape("mlp_head.0.bias")[0]).into(),
                _ => PTuningConfig::new(d, m, Encoder::Lstm, shape("lstm_head.weight_hh_l0")[1]).into(),
            }
        }
    };
    let read = |(name, shape): (String, Vec<usize>)| {
        let data = file.tensor(&format!("{case}.{name}")).unwrap().data();
        let values: Vec<f32> = data
            .as_chunks()
            .0
            .iter()
            .map(|word| f32::from_le_bytes(*word))
            .collect();
        (name, TensorData::new(values, shape))
    };
    let tensors = config
        .tensor_shapes(&model.sites())
        .unwrap()
        .into_iter()
        .map(read)
        .collect();
    let adapter = Adapter::from_tensors(&config, &model.sites(), tensors, &Default::default()).unwrap();
    (adapter, config)
}

#[test]
fn peft_is_given_what_networks_make() {
    let kept = std::env::var_os("ADEPT_PEFT_OUT").map(PathBuf::from);
    for family in ["t5_v1_0", "t5_v1_1", "codegen", "llama", "llama_tied"] {
        for case in ["residual", "p_tuning_mlp", "p_tuning_lstm"] {
            let (adapter, config) = made_by_network(family, case);
            let scratch = tempfile::tempdir().unwrap();
            let ours = match &kept {
                Some(kept) => kept.join(format!("{family}-{case}")),
                None => scratch.path().to_owned(),
            };
            let task = if family.starts_with("t5") {
                "SEQ_2_SEQ_LM"
            } else {
                "CAUSAL_LM"
            };
            let mut about = AdapterMetadata::new(config, "");
            about.extra.insert("task_type".to_owned(), task.into());
            file::save(&ours, &adapter, &about).unwrap();

            let bytes = std::fs::read(ours.join(TENSOR_FILE)).unwrap();
            let made = SafeTensors::deserialize(&bytes).unwrap();
            let made = made.tensor("prompt_embeddings").unwrap();
            let expected: Vec<f32> = adapter.prompt().unwrap().into_data().to_vec().unwrap();
            let stored: Vec<f32> = made
                .data()
                .as_chunks()
                .0
                .iter()
                .map(|word| f32::from_le_bytes(*word))
                .collect();
            assert_eq!(stored, expected, "{family} {case}");
            let text = std::fs::read(ours.join(CONFIG_FILE)).unwrap();
            let config: Value = serde_json::from_slice(&text).unwrap();
            let expected = if case == "residual" {
                "PROMPT_TUNING"
            } else {
                "P_TUNING"
            };
            assert_eq!(
                (&config["peft_type"], &config["num_transformer_submodules"]),
                (&expected.into(), &1.into())
            );
        }
    }
}

#[test]
fn peft_is_given_the_values_of_prefixes() {
    let kept = std::env::var_os("ADEPT_PEFT_OUT").map(PathBuf::from);
    for family in ["t5_v1_0", "t5_v1_1", "codegen", "llama", "llama_tied"] {
        let model = Model::<Flex>::load(&golden(family), &Default::default()).unwrap().model;
        for case in ["prefix", "prefix_mlp"] {
            let theirs = golden(family).join(case);
            let (adapter, about) = file::load::<Flex>(&theirs, &model.sites(), &Default::default()).unwrap();
            let scratch = tempfile::tempdir().unwrap();
            let ours = match &kept {
                Some(kept) => kept.join(format!("{family}-{case}")),
                None => scratch.path().to_owned(),
            };
            file::save(&ours, &adapter, &about).unwrap();

            let [a, b] = [&theirs, &ours].map(|folder| std::fs::read(folder.join(TENSOR_FILE)).unwrap());
            let [a, b] = [&a, &b].map(|bytes| SafeTensors::deserialize(bytes).unwrap());
            let [a, b] = [&a, &b].map(|file| file.tensor("prompt_embeddings").unwrap());
            assert_eq!(a.shape(), b.shape(), "{family} {case}");
            let values = |data: &[u8]| -> Vec<f32> {
                let words = data.as_chunks().0.iter();
                words.map(|word| f32::from_le_bytes(*word)).collect()
            };
            for (theirs, ours) in values(a.data()).into_iter().zip(values(b.data())) {
                // A network's result is a sum of a few products, in another order.
                assert!((theirs - ours).abs() < 1e-5, "{family} {case}: {theirs} and {ours}");
            }
            let [a, b] = [&theirs, &ours].map(|folder| -> Value {
                serde_json::from_slice(&std::fs::read(folder.join(CONFIG_FILE)).unwrap()).unwrap()
            });
            for key in [
                "peft_type",
                "num_virtual_tokens",
                "token_dim",
                "num_layers",
                "num_attention_heads",
                "num_transformer_submodules",
            ] {
                assert_eq!(a[key], b[key], "{family} {case}: {key}");
            }
            assert_eq!(b["prefix_projection"], Value::Bool(false), "the values are there");
        }
    }
}
