//! Adapter files written by peft and rewritten by this project: bit-identical tensors, and equivalent keys.
//!
//! With `ADEPT_PEFT_OUT` set, the files are kept there for `tests/generators/peft_loads_ours.py`, which loads them with
//! peft.

use std::path::PathBuf;

use adept_core::file::{self, CONFIG_FILE, TENSOR_FILE};
use adept_models::{Backbone as _, Model};
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
