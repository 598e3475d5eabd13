//! Each architecture: a golden checkpoint that was converted to GGUF comes back with every value and every field that
//! GGUF has a place for.

use adept_gguf::Element;
use serde_json::{Map, Value, json};

use crate::common::{fixture, golden, imported, json, settings, tensors};

/// Fields that say nothing about what the model computes, or only how its file is written.
const IGNORED: [&str; 16] = [
    "_name_or_path",
    "adept_version",
    "attention_dropout",
    "attn_pdrop",
    "dtype",
    "embd_pdrop",
    "hidden_dropout",
    "initializer_range",
    "pretraining_tp",
    "resid_pdrop",
    "torch_dtype",
    "transformers_version",
    "use_cache",
    // What transformers takes where they are absent.
    "mlp_bias",
    "n_ctx",
    "scale_attn_weights",
];

/// Compares an import with its golden checkpoint; `differences` are fields that GGUF does not carry, or carries
/// otherwise, with what an import writes.
#[track_caller]
fn check(name: &str, model_type: &str, differences: Value) {
    let file = fixture(&format!("models/{name}.gguf"));
    let (_folder, out, imported) = imported(&file, &settings(Element::F32)).unwrap();
    assert_eq!((imported.model_type.as_str(), imported.tokens), (model_type, 284));

    let (ours, golden_tensors) = (
        tensors(&out.join("model.safetensors")),
        tensors(&golden(name).join("model.safetensors")),
    );
    assert!(ours.keys().eq(golden_tensors.keys()), "{:?}", ours.keys());
    for (tensor, (shape, values)) in &golden_tensors {
        assert_eq!(&ours[tensor].0, shape, "{tensor}");
        // Gemma's norms: adding 1 and taking it away rounds to a multiple of 2^-24.
        let tolerance = if name.starts_with("gemma") && tensor.ends_with("norm.weight") {
            2f32.powi(-24)
        } else {
            0.0
        };
        for (at, (value, expected)) in ours[tensor].1.iter().zip(values).enumerate() {
            assert!(
                (value - expected).abs() <= tolerance,
                "{tensor}, value {at}: {value}, expected {expected}"
            );
        }
    }

    let mut config = fields(&json(&out.join("config.json")));
    let mut expected = fields(&json(&golden(name).join("config.json")));
    for (key, value) in differences.as_object().unwrap() {
        expected.insert(key.clone(), value.clone());
    }
    // A null is as good as nothing.
    config.retain(|_, value| !value.is_null());
    expected.retain(|_, value| !value.is_null());
    for (key, expected) in &expected {
        let found = config.get(key).unwrap_or(&Value::Null);
        assert!(same(found, expected), "{key}: {found}, expected {expected}");
    }
    let others: Vec<&String> = config.keys().filter(|key| !expected.contains_key(*key)).collect();
    assert!(others.is_empty(), "{others:?}");
}

fn fields(config: &Value) -> Map<String, Value> {
    let mut config = config.as_object().unwrap().clone();
    config.retain(|key, _| !IGNORED.contains(&key.as_str()));
    config
}

/// Equal values: 5000 is 5000.0, and f32 gave the numbers of a list their digits.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, one)| other.get(key).is_some_and(|other| same(one, other)))
        }
        _ => one == other,
    }
}

#[test]
fn llama() {
    check("llama", "llama", json!({ "head_dim": 8 }));
}

#[test]
fn llama_with_a_tied_head_and_longer_heads() {
    let scaling = json!({
        "factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 64,
        "rope_type": "llama3",
    });
    let differences = json!({ "rope_parameters": null, "rope_scaling": scaling, "rope_theta": 5000.0 });
    check("llama_tied", "llama", differences);
}

#[test]
fn mistral_is_a_llama_with_a_window() {
    check("mistral", "mistral", json!({}));
}

/// Converters leave its window out.
#[test]
fn qwen2() {
    let differences = json!({
        "head_dim": 8, "max_window_layers": null, "sliding_window": null, "use_sliding_window": false,
    });
    check("qwen2", "qwen2", differences);
}

#[test]
fn qwen3() {
    let differences = json!({ "layer_types": null, "sliding_window": null, "use_sliding_window": false });
    check("qwen3", "qwen3", differences);
}

/// Blocks without positions are every fourth, whatever the model was: GGUF does not say it. Nor does it know of
/// `dynamic` scaling, which is for longer texts than the model is used with.
#[test]
fn smollm3() {
    let differences = json!({
        "attention_bias": false, "no_rope_layer_interval": 4, "no_rope_layers": [1, 1, 1], "rope_scaling": null,
        "sliding_window": null, "use_sliding_window": false,
    });
    check("smollm3", "smollm3", differences);
}

#[test]
fn phi3() {
    check("phi3", "phi3", json!({}));
}

/// `gelu` in the first Gemma's files means the tanh form.
#[test]
fn gemma() {
    let gelu = "gelu_pytorch_tanh";
    check(
        "gemma",
        "gemma",
        json!({ "hidden_act": gelu, "hidden_activation": gelu }),
    );
}

#[test]
fn gemma2() {
    check("gemma2", "gemma2", json!({}));
}

#[test]
fn gemma3() {
    let types = ["sliding_attention", "sliding_attention", "full_attention"];
    check("gemma3", "gemma3_text", json!({ "layer_types": types }));
}

#[test]
fn gpt_neox() {
    check("gpt_neox", "gpt_neox", json!({}));
}

#[test]
fn gpt2() {
    check("gpt2", "gpt2", json!({ "n_inner": 128, "tie_word_embeddings": true }));
}

#[test]
fn parts_are_read_together_whichever_is_given() {
    let whole = imported(&fixture("models/llama.gguf"), &settings(Element::F32)).unwrap();
    for part in ["split-00001-of-00002.gguf", "split-00002-of-00002.gguf"] {
        let parts = imported(&fixture(part), &settings(Element::F32)).unwrap();
        for name in ["model.safetensors", "config.json", "tokenizer.json"] {
            let read = |out: &std::path::Path| std::fs::read(out.join(name)).unwrap();
            assert!(read(&whole.1) == read(&parts.1), "{part}: {name}");
        }
    }
}

#[test]
fn weights_are_written_in_the_wanted_type_and_in_shards() {
    let exact = imported(&fixture("models/llama.gguf"), &settings(Element::F32)).unwrap();
    let exact = tensors(&exact.1.join("model.safetensors"));
    for (element, name, relative) in [
        (Element::BF16, "bfloat16", 0.0),
        (Element::F16, "float16", 2f32.powi(-11)),
    ] {
        let mut settings = settings(element);
        settings.shard = 40_000;
        let (_folder, out, imported) = imported(&fixture("models/llama.gguf"), &settings).unwrap();
        assert_eq!(json(&out.join("config.json"))["torch_dtype"], name);
        assert!(!out.join("model.safetensors").exists());
        let index = json(&out.join("model.safetensors.index.json"));
        assert_eq!(index["metadata"]["total_size"], imported.bytes);
        assert_eq!(imported.bytes, 2 * imported.parameters);
        let mut found = 0;
        for number in 1..=imported.files {
            let file = format!("model-{number:05}-of-{:05}.safetensors", imported.files);
            assert!(out.join(&file).metadata().unwrap().len() < 40_000 + 4096);
            for (tensor, (shape, values)) in tensors(&out.join(&file)) {
                assert_eq!(index["weight_map"][&tensor], file);
                assert_eq!(shape, exact[&tensor].0);
                for (value, exact) in values.iter().zip(&exact[&tensor].1) {
                    // Below the smallest normal number of half precision, steps do not become smaller.
                    assert!(
                        (value - exact).abs() <= relative * exact.abs() + relative * 2f32.powi(-14),
                        "{tensor}"
                    );
                }
                found += 1;
            }
        }
        assert_eq!((found, imported.files > 1), (exact.len(), true));
    }
}
