//! The backbone readers neither panic nor allocate more memory than a model needs: damaged configurations and weights
//! are read or refused by file, tensor or field. [`ConfigFeed`] and [`CheckpointFeed`] judge; the valid inputs are the
//! fuzz targets' seeds.
#![allow(clippy::unwrap_used)]

use adept_models::{CodeGenConfig, LlamaConfig, T5Config};
use proptest::prelude::*;

use crate::damage::{config, damaged, seeds};
use crate::feed::{CheckpointFeed, ConfigFeed};

/// Fragments of the files.
const PIECES: [&[u8]; 18] = [
    b"\"data_offsets\":[0,0]",
    b"\"shape\":[0,18446744073709551615]",
    b"18446744073709551615",
    b"9223372036854775808",
    b"\"__metadata__\":{}",
    b"\"weight_map\":{",
    b"../a.safetensors",
    b"\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":1e-320}",
    b"\"eos_token_id\":[0,1]",
    b"1e999",
    b"null",
    b"[",
    b"{",
    b"}",
    b",",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\0\0\0\0\0\0\0\0",
];

fn inputs(target: &str) -> Vec<Vec<u8>> {
    seeds(target).into_iter().map(|(_, bytes)| bytes).collect()
}

#[test]
fn every_seed_is_read() {
    let (configs, weights) = (ConfigFeed::new(), CheckpointFeed::new());
    for (name, bytes) in seeds("config") {
        assert!(configs.check(&bytes), "{name}");
    }
    for (name, bytes) in seeds("checkpoint") {
        weights.check(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn damaged_configurations_are_read_or_refused() {
    let feed = ConfigFeed::new();
    proptest!(config(2500), |(input in damaged(inputs("config"), &PIECES))| {
        feed.check(&input);
    });
}

#[test]
fn damaged_weights_are_read_or_refused() {
    let feed = CheckpointFeed::new();
    proptest!(config(1500), |(input in damaged(inputs("checkpoint"), &PIECES))| {
        let _ = feed.check(&input);
    });
}

/// Sizes that overflow when multiplied, or ask for a list larger than memory.
#[test]
fn sizes_that_no_model_has_are_refused_by_name() {
    let t5 = T5Config::t5_small().to_json();
    let codegen = CodeGenConfig::codegen_350m().to_json_as("float32");
    let llama = LlamaConfig::llama_3_8b().to_json_as("float32");
    let check = |text: &str, field: &str, read: &dyn Fn(&str) -> Result<(), String>| {
        read(text).unwrap();
        let mut document: serde_json::Value = serde_json::from_str(text).unwrap();
        for size in [u64::MAX, 1 << 62, 1 << 33] {
            document[field] = size.into();
            let error = read(&document.to_string()).unwrap_err();
            assert!(
                error.contains(&format!("`{field}`")) && error.contains(&size.to_string()),
                "{error}"
            );
        }
    };
    for field in [
        "d_model",
        "d_kv",
        "num_heads",
        "num_layers",
        "relative_attention_max_distance",
    ] {
        check(&t5, field, &|text| {
            T5Config::from_json(text).map(drop).map_err(|error| error.to_string())
        });
    }
    for field in ["n_embd", "n_layer", "n_positions", "n_inner"] {
        check(&codegen, field, &|text| {
            CodeGenConfig::from_json(text)
                .map(drop)
                .map_err(|error| error.to_string())
        });
    }
    for field in ["hidden_size", "head_dim", "num_hidden_layers", "intermediate_size"] {
        check(&llama, field, &|text| {
            LlamaConfig::from_json(text)
                .map(drop)
                .map_err(|error| error.to_string())
        });
    }
}

/// Omitted fields are derived from others; four times a width near the maximum must not overflow.
#[test]
fn a_width_that_is_left_out_does_not_overflow() {
    let mut document: serde_json::Value =
        serde_json::from_str(&CodeGenConfig::codegen_350m().to_json_as("float32")).unwrap();
    document["n_inner"] = serde_json::Value::Null;
    document["n_embd"] = (1_u64 << 62).into();
    let error = CodeGenConfig::from_json(&document.to_string()).unwrap_err().to_string();
    assert!(error.contains("`n_embd`"), "{error}");
}

/// An empty matrix may have any width: no memory is allocated for its rows.
#[test]
fn an_empty_matrix_of_any_width_takes_no_memory() {
    let feed = CheckpointFeed::new();
    let header = br#"{"a":{"dtype":"F32","shape":[0,4611686018427387904],"data_offsets":[0,0]}}"#;
    let length = (header.len() as u64).to_le_bytes();
    let input = [b"==> model.safetensors\n", &length[..], &header[..]].concat();
    let checkpoint = feed.check(&input).unwrap();
    assert_eq!(checkpoint.parameters(), 0);
    assert!(checkpoint.read_transposed("a", [0, 1 << 62]).unwrap().is_empty());
}
