//! Consistent reading of a model's folder: what its two configurations state together, one matrix under any of its
//! names, and stand-ins for files.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use adept_core::Fingerprint;
use adept_models::checkpoint::Checkpoint;
use adept_models::{Backbone, CodeGenConfig, Decoder, LlamaConfig, ModelError, T5, T5Config, decoder, t5};
use half::{bf16, f16};
use safetensors::Dtype;
use tempfile::TempDir;

use crate::common::{B, fixtures, vec};
use crate::files::{Raw, Tensors, shard, weights_in, write};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/goldens")
        .join(name)
}

/// A copy of a checkpoint with its tensors changed.
fn changed(from: &Path, change: impl FnOnce(&mut Tensors)) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(from.join("config.json"), dir.path().join("config.json")).unwrap();
    let mut tensors = weights_in(from);
    change(&mut tensors);
    write(&dir.path().join("model.safetensors"), &tensors);
    dir
}

fn rename(tensors: &mut Tensors, from: &str, to: &str) {
    let tensor = tensors.remove(from).unwrap();
    tensors.insert(to.to_owned(), tensor);
}

/// Parses both texts as a family does and returns its end tokens.
type EndTokens = fn(&str, Option<&str>) -> Result<Vec<u32>, ModelError>;

/// Each family with one of its configurations, in which `eos_token_id` is `EOS`.
fn families() -> [(&'static str, String, EndTokens); 3] {
    let text = |name: &str, eos: &str| {
        let text = fs::read_to_string(golden(name).join("config.json")).unwrap();
        let template = text.replace(&format!("\"eos_token_id\": {eos}"), "\"eos_token_id\": EOS");
        assert_ne!(template, text);
        template
    };
    [
        ("t5", text("t5_v1_0", "1"), |config, generation| {
            T5Config::from_texts(config, generation).map(|config| config.eos_token_ids)
        }),
        ("codegen", text("codegen", "280"), |config, generation| {
            CodeGenConfig::from_texts(config, generation).map(|config| config.eos_token_ids)
        }),
        ("llama", text("llama", "281"), |config, generation| {
            LlamaConfig::from_texts(config, generation).map(|config| config.eos_token_ids)
        }),
    ]
}

#[test]
fn end_tokens_are_those_of_both_files_and_generation_decides() {
    let stated = |eos: &str| format!("{{\"eos_token_id\": {eos}}}");
    for (family, template, end) in families() {
        let check = |config: &str, generation: Option<String>, expected: &[u32]| {
            let found = end(&template.replace("EOS", config), generation.as_deref()).unwrap();
            assert_eq!(found, expected, "{family}: {config} and {generation:?}");
        };
        check("1", None, &[1]);
        check("[1, 2]", None, &[1, 2]);
        check("1", Some("{}".to_owned()), &[1]);
        check("1", Some(stated("null")), &[1]);
        check("null", Some(stated("5")), &[5]);
        check("1", Some(stated("3")), &[3]);
        check("1", Some(stated("[3, 4]")), &[3, 4]);
        // The token that training rows ended with stays first; training appends it.
        check("1", Some(stated("[3, 1, 4]")), &[1, 3, 4]);
        check("[4, 1]", Some(stated("[3, 4]")), &[4, 3]);
        for bad in ["[]", "\"</s>\"", "1.5", "-1", "[1, null]", "99999"] {
            for (config, generation) in [(bad, None), ("1", Some(stated(bad)))] {
                let error = end(&template.replace("EOS", config), generation.as_deref()).unwrap_err();
                assert!(error.to_string().contains("eos_token_id"), "{family} {bad}: {error}");
            }
        }
    }
}

#[test]
fn settings_of_generation_are_neutral_or_refused_by_name() {
    for (family, template, end) in families() {
        let config = template.replace("EOS", "1");
        for (key, neutral, value) in [
            ("suppress_tokens", "[]", "[3]"),
            ("begin_suppress_tokens", "null", "[3]"),
            ("bad_words_ids", "null", "[[3]]"),
            ("forced_bos_token_id", "null", "3"),
            ("forced_eos_token_id", "null", "[1]"),
            ("no_repeat_ngram_size", "0", "3"),
            ("min_length", "0", "30"),
            ("encoder_repetition_penalty", "1.0", "1.2"),
            ("stop_strings", "null", "\"stop\""),
        ] {
            let stated = |value: &str| format!("{{\"{key}\": {value}}}");
            assert_eq!(end(&config, Some(&stated(neutral))).unwrap(), [1], "{family} {key}");
            let error = end(&config, Some(&stated(value))).unwrap_err().to_string();
            assert!(
                error.contains("generation_config.json") && error.contains(key),
                "{error}"
            );
            // Without that file, config.json states them; with it, they are ignored there.
            let within = config.replacen('{', &format!("{{\"{key}\": {value},"), 1);
            let error = end(&within, None).unwrap_err().to_string();
            assert!(error.contains("config.json: ") && error.contains(key), "{error}");
            assert_eq!(end(&within, Some("{}")).unwrap(), [1], "{family} {key}");
        }
        let sampled = r#"{"do_sample": true, "temperature": 0.6, "top_p": 0.9, "num_beams": 4, "max_length": 20}"#;
        assert_eq!(end(&config, Some(sampled)).unwrap(), [1], "{family}");
        // A decoder's run sets its own repetition penalty; an encoder-decoder's cannot.
        let penalised = end(&config, Some(r#"{"repetition_penalty": 1.2}"#));
        assert_eq!(penalised.is_err(), family == "t5");
    }
    let t5 = families()[0].1.replace("EOS", "1");
    assert!(T5Config::from_texts(&t5, Some(r#"{"decoder_start_token_id": 0}"#)).is_ok());
    let error = T5Config::from_texts(&t5, Some(r#"{"decoder_start_token_id": 2}"#)).unwrap_err();
    assert!(error.to_string().contains("decoder_start_token_id"), "{error}");
}

#[test]
fn a_generation_config_in_the_folder_is_read() {
    let dir = changed(&golden("llama"), |_| {});
    fs::write(
        dir.path().join("generation_config.json"),
        r#"{"eos_token_id": [281, 283]}"#,
    )
    .unwrap();
    let config = LlamaConfig::from_dir(dir.path()).unwrap();
    assert_eq!(config.eos_token_ids, [281, 283]);
    // A saved configuration states them on its own.
    assert_eq!(LlamaConfig::from_json(&config.to_json_as("float32")).unwrap(), config);
}

/// Identity, parameters and embedding of a checkpoint.
fn identity(dir: &Path) -> Result<(Fingerprint, usize, Vec<f32>), ModelError> {
    let device = Default::default();
    let of = |checkpoint: Checkpoint| (checkpoint.fingerprint(), checkpoint.parameters());
    let ((fingerprint, parameters), loaded, embedding) = match adept_models::model_type(dir)?.as_deref() {
        Some("llama" | "codegen") => {
            let loaded = Decoder::<B>::load(dir, &device)?;
            (
                of(decoder::open(dir)?.1),
                loaded.fingerprint,
                loaded.model.embedding_weight(),
            )
        }
        _ => {
            let loaded = T5::<B>::load(dir, &device)?;
            (
                of(t5::open(dir)?.1),
                loaded.fingerprint,
                loaded.model.embedding_weight(),
            )
        }
    };
    assert_eq!(fingerprint, loaded);
    Ok((fingerprint, parameters, vec(embedding)))
}

#[test]
fn a_shared_matrix_is_one_under_any_of_its_names_and_counted_once() {
    let t5_names = [
        "shared.weight",
        "encoder.embed_tokens.weight",
        "decoder.embed_tokens.weight",
        "lm_head.weight",
    ];
    let cases: [(PathBuf, &[&str]); 3] = [
        (fixtures().join("t5_relu"), &t5_names),
        // Its head is untied.
        (fixtures().join("t5_gated"), &t5_names[..3]),
        (golden("llama_tied"), &["model.embed_tokens.weight", "lm_head.weight"]),
    ];
    for (folder, names) in cases {
        let plain = identity(&folder).unwrap();
        for name in names {
            let dir = changed(&folder, |tensors| rename(tensors, names[0], name));
            assert_eq!(identity(dir.path()).unwrap(), plain, "{name} alone");
        }
        for name in &names[1..] {
            let dir = changed(&folder, |tensors| {
                let shared = tensors[names[0]].clone();
                tensors.insert((*name).to_owned(), shared);
            });
            assert_eq!(identity(dir.path()).unwrap(), plain, "{name} as well");
            let dir = changed(&folder, |tensors| {
                let mut other = tensors[names[0]].clone();
                other.2[0] ^= 1;
                tensors.insert((*name).to_owned(), other);
            });
            let error = identity(dir.path()).unwrap_err();
            let is_named = matches!(&error, ModelError::Untied { tensor, target, .. }
                if tensor == name && target == names[0]);
            assert!(is_named, "{error}");
        }
    }
    // The embedding is not found under the name of an untied head.
    let dir = changed(&fixtures().join("t5_gated"), |tensors| {
        _ = tensors.remove("shared.weight")
    });
    let error = identity(dir.path()).unwrap_err();
    assert!(
        matches!(&error, ModelError::MissingTensor { tensor, .. } if tensor == "shared.weight"),
        "{error}"
    );
}

#[test]
fn names_without_the_familys_prefix_are_the_same_model() {
    for (name, prefix) in [
        ("llama", "model."),
        ("llama_tied", "model."),
        ("codegen", "transformer."),
    ] {
        let plain = identity(&golden(name)).unwrap();
        let dir = changed(&golden(name), |tensors| {
            let names: Vec<String> = tensors.keys().cloned().collect();
            for name in names {
                if let Some(short) = name.strip_prefix(prefix) {
                    rename(tensors, &name, short);
                }
            }
        });
        assert_eq!(identity(dir.path()).unwrap(), plain, "{name}");
    }
    // A table that later versions keep outside of the blocks.
    let dir = changed(&golden("llama"), |tensors| {
        tensors.insert(
            "model.rotary_emb.inv_freq".to_owned(),
            Raw(Dtype::F32, vec![1], vec![0; 4]),
        );
    });
    assert_eq!(identity(dir.path()).unwrap(), identity(&golden("llama")).unwrap());
}

#[test]
fn more_blocks_than_there_are_is_an_error_and_takes_no_memory() {
    let dir = changed(&golden("llama"), |_| {});
    let path = dir.path().join("config.json");
    let text = fs::read_to_string(&path).unwrap();
    let many = text.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1000000000");
    assert_ne!(many, text);
    fs::write(&path, many).unwrap();
    let error = identity(dir.path()).unwrap_err();
    assert!(
        matches!(&error, ModelError::MissingTensor { tensor, .. } if tensor.starts_with("model.layers.2.")),
        "{error}"
    );
}

#[test]
fn a_weight_that_is_not_finite_is_named_with_its_place() {
    /// Sets the value at `place` of a tensor.
    fn set(raw: &mut Raw, place: usize, value: f32) {
        match raw.0 {
            Dtype::F32 => raw.2[4 * place..][..4].copy_from_slice(&value.to_le_bytes()),
            Dtype::F16 => raw.2[2 * place..][..2].copy_from_slice(&f16::from_f32(value).to_le_bytes()),
            Dtype::BF16 => raw.2[2 * place..][..2].copy_from_slice(&bf16::from_f32(value).to_le_bytes()),
            other => panic!("{other:?}"),
        }
    }
    let cases: [(PathBuf, &str, usize, &[usize]); 5] = [
        (fixtures().join("t5_relu"), "decoder.final_layer_norm.weight", 3, &[3]),
        (fixtures().join("t5_relu"), "shared.weight", 35, &[2, 3]),
        (golden("codegen"), "lm_head.bias", 7, &[7]),
        // Read in bands, transposed: 32 columns.
        (
            golden("llama"),
            "model.layers.1.mlp.up_proj.weight",
            20 * 32 + 5,
            &[20, 5],
        ),
        (golden("llama"), "model.embed_tokens.weight", 0, &[0, 0]),
    ];
    for (folder, tensor, place, index) in cases {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let dir = changed(&folder, |tensors| set(tensors.get_mut(tensor).unwrap(), place, value));
            let error = identity(dir.path()).unwrap_err();
            let is_named = matches!(&error, ModelError::NotFinite { tensor: name, index: at, .. }
                if name == tensor && at == index);
            assert!(is_named, "{error}");
        }
    }
    // A value too large for f16 became an infinity when it was written.
    let dir = changed(&fixtures().join("t5_relu"), |tensors| {
        let raw = &tensors["shared.weight"];
        let values = raw.2.chunks_exact(4).map(|x| f32::from_le_bytes(x.try_into().unwrap()));
        let narrow = values.flat_map(|value| f16::from_f32(value * 1e6).to_le_bytes());
        let narrow = Raw(Dtype::F16, raw.1.clone(), narrow.collect());
        tensors.insert("shared.weight".to_owned(), narrow);
    });
    let error = identity(dir.path()).unwrap_err().to_string();
    assert!(error.contains("shared.weight") && error.contains("inf"), "{error}");
}

#[test]
fn what_is_in_a_files_place_is_called_that() {
    const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 891646390\n";
    type Place = fn(&Path);
    let stand_ins: [(&str, Place); 4] = [
        ("git lfs pull", |path| fs::write(path, POINTER).unwrap()),
        ("web page", |path| {
            fs::write(path, "<!DOCTYPE html><html></html>").unwrap()
        }),
        ("an empty file", |path| fs::write(path, "").unwrap()),
        ("an unfinished download", |path| {
            fs::rename(
                path,
                path.with_file_name(format!("{}.incomplete", path.file_name().unwrap().display())),
            )
            .unwrap();
        }),
    ];
    let files = [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "model.safetensors.index.json",
        "model-00002-of-00002.safetensors",
    ];
    let whole = fixtures().join("t5_relu");
    for file in files {
        let folder = || {
            let dir = changed(&whole, |_| {});
            fs::write(dir.path().join("generation_config.json"), "{}").unwrap();
            if file.contains("model-") || file.contains("index") {
                fs::remove_file(dir.path().join("model.safetensors")).unwrap();
                shard(dir.path(), &weights_in(&whole));
            }
            dir
        };
        let check = |word: &str, place: &dyn Fn(&Path)| {
            let dir = folder();
            let path = dir.path().join(file);
            place(&path);
            let error = T5::<B>::load(dir.path(), &Default::default()).unwrap_err().to_string();
            let named = [word, file, "adept fetch"].iter().all(|word| error.contains(word));
            assert!(named, "{file}, {word}: {error}");
        };
        for (word, place) in stand_ins {
            check(word, &place);
        }
        #[cfg(unix)]
        check("a dangling link to ../blobs/gone", &|path| {
            fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink("../blobs/gone", path).unwrap();
        });
    }
    // A byte-order mark is skipped.
    let dir = changed(&whole, |_| {});
    let path = dir.path().join("config.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("\u{feff}{text}")).unwrap();
    assert!(T5::<B>::load(dir.path(), &Default::default()).is_ok());
}
