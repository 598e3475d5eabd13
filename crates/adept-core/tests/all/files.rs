//! Adapter files: what is written, and what is refused.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use crate::common::{configs, trained};
use adept_core::file::{self, CONFIG_FILE, TENSOR_FILE};
use adept_core::{
    Adapter, AdapterConfig, AdapterMetadata, CoreError, DeptConfig, Fingerprint, FingerprintBuilder, Method,
    ModelSites, Offset,
};
use burn::module::Param;
use burn::tensor::Tensor;
use burn_flex::Flex;
use serde_json::{Value, json};

type B = Flex;

fn load(dir: &Path) -> Result<(Adapter<B>, AdapterMetadata), CoreError> {
    let d_model = file::read(dir)?.0.config.d_model();
    file::load::<B>(dir, &ModelSites::embeddings(d_model.unwrap()), &Default::default())
}

fn backbone(name: &str) -> Fingerprint {
    FingerprintBuilder::new().tensor(name, "F32", &[1], &[0; 4]).finish()
}

fn described(config: &AdapterConfig) -> AdapterMetadata {
    AdapterMetadata {
        fingerprint: Some(backbone("shared.weight")),
        task: Some("sst2".to_string()),
        trained: json!({ "family": "t5", "settings": { "input.max_target_length": 80 } })
            .as_object()
            .cloned(),
        ..AdapterMetadata::new(config.clone(), "t5-base")
    }
}

/// Both files of an adapter.
fn bytes(dir: &Path) -> [Vec<u8>; 2] {
    [CONFIG_FILE, TENSOR_FILE].map(|name| fs::read(dir.join(name)).unwrap())
}

/// Saves an adapter with this configuration in a temporary folder.
fn saved(config: &AdapterConfig) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    file::save(dir.path(), &trained::<B>(config, 5), &described(config)).unwrap();
    dir
}

/// Loads a saved adapter after changing its configuration.
fn load_changed(config: &AdapterConfig, change: impl FnOnce(&mut Value)) -> CoreError {
    let dir = saved(config);
    let path = dir.path().join(CONFIG_FILE);
    let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(&path, serde_json::to_vec(&value).unwrap()).unwrap();
    load(dir.path()).unwrap_err()
}

#[test]
fn adapters_come_back_as_they_were() {
    for config in configs() {
        let dir = saved(&config);
        let (adapter, meta) = load(dir.path()).unwrap();
        assert_eq!(meta, described(&config));
        assert_eq!(adapter.tensors(), trained::<B>(&config, 5).tensors());

        let first = bytes(dir.path());
        let again = tempfile::tempdir().unwrap();
        file::save(again.path(), &adapter, &meta).unwrap();
        assert_eq!(bytes(again.path()), first, "{}: the same bytes", config.method());
        let names: Vec<_> = fs::read_dir(again.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names.len(), 2, "no temporary file is left: {names:?}");
    }
}

#[test]
fn awkward_scales_come_back_exactly() {
    for rank in 1..100 {
        let scale = 8.0 / (rank as f64).sqrt();
        let config = AdapterConfig::from(DeptConfig {
            scale,
            ..DeptConfig::new(2, 0, rank, 3)
        });
        let dir = saved(&config);
        assert_eq!(load(dir.path()).unwrap().1.config, config, "rank {rank}");
    }
}

#[test]
fn files_of_the_first_version_load_and_say_nothing_of_their_training() {
    for config in configs() {
        let dir = saved(&config);
        let path = dir.path().join(CONFIG_FILE);
        let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        value["adept"]["format_version"] = json!(1);
        value["adept"].as_object_mut().unwrap().remove("trained");
        fs::write(&path, serde_json::to_vec(&value).unwrap()).unwrap();
        let (adapter, meta) = load(dir.path()).unwrap();
        let expected = AdapterMetadata {
            trained: None,
            ..described(&config)
        };
        assert_eq!(meta, expected);
        assert_eq!(adapter.tensors(), trained::<B>(&config, 5).tensors());
    }
    let error = load_changed(&configs()[0], |map| map["adept"]["trained"] = json!("no object"));
    assert!(
        matches!(&error, CoreError::ConfigField { field, .. } if field == "adept.trained"),
        "{error}"
    );
}

#[test]
fn other_keys_are_kept() {
    let config = &configs()[0];
    let mut meta = described(config);
    meta.extra.insert("task_type".to_string(), json!("CAUSAL_LM"));
    meta.extra.insert("num_layers".to_string(), json!(12));
    let dir = tempfile::tempdir().unwrap();
    file::save(dir.path(), &trained::<B>(config, 5), &meta).unwrap();
    assert_eq!(load(dir.path()).unwrap().1, meta);
}

/// What peft 0.21 writes for the same prompt, plus the key `adept`.
#[test]
fn prompt_tuning_is_written_as_peft_does() {
    let dir = saved(&configs()[0]);
    let mut value: Value = serde_json::from_slice(&bytes(dir.path())[0]).unwrap();
    let own = value.as_object_mut().unwrap().shift_remove("adept").unwrap();
    let expected = json!({
        "auto_mapping": null,
        "base_model_name_or_path": "t5-base",
        "inference_mode": true,
        "modules_to_save": null,
        "num_attention_heads": null,
        "num_layers": null,
        "num_transformer_submodules": 1,
        "num_virtual_tokens": 3,
        "peft_type": "PROMPT_TUNING",
        "prompt_tuning_init": "RANDOM",
        "prompt_tuning_init_text": null,
        "revision": null,
        "task_type": "SEQ_2_SEQ_LM",
        "token_dim": 6,
        "tokenizer_kwargs": null,
        "tokenizer_name_or_path": null,
    });
    assert_eq!(value, expected);
    assert_eq!(own["format_version"], 2);
    assert_eq!(own["fingerprint"], backbone("shared.weight").as_str());
    let keys: Vec<_> = value.as_object().unwrap().keys().collect();
    assert!(keys.is_sorted(), "peft sorts the keys");
}

#[test]
fn published_keys_are_written() {
    let [_, dept, adept] = configs();
    let value = |config| -> Value { serde_json::from_slice(&bytes(saved(config).path())[0]).unwrap() };
    let dept = value(&dept);
    assert_eq!(dept["peft_type"], "PROMPT_TUNING_LORA");
    assert_eq!((&dept["r"], &dept["max_length"]), (&json!(2), &json!(5)));
    assert!((dept["lora_alpha"].as_f64().unwrap() - 0.5 * 2f64.sqrt()).abs() < 1e-15);
    let adept = value(&adept);
    assert_eq!(adept["peft_type"], "PROMPT_TUNING_LORAX");
    assert_eq!((&adept["r"], &adept["token_dim"]), (&json!(2), &json!(6)));
}

#[test]
fn another_backbone_is_refused() {
    let config = &configs()[2];
    let meta = load(saved(config).path()).unwrap().1;
    assert!(meta.check_backbone(&backbone("shared.weight")).is_ok());
    let error = meta.check_backbone(&backbone("other")).unwrap_err();
    assert!(matches!(&error, CoreError::WrongBackbone { expected, .. } if *expected == backbone("shared.weight")));
    assert!(
        AdapterMetadata::new(config.clone(), "")
            .check_backbone(&backbone("other"))
            .is_ok()
    );

    assert!(meta.check_d_model(6).is_ok());
    let error = meta.check_d_model(8).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the adapter is 6 wide, but this backbone's embeddings are 8 wide"
    );
}

#[test]
fn saving_over_an_adapter_replaces_it_alone() {
    let [pt, dept, _] = configs();
    let dir = saved(&pt);
    fs::write(dir.path().join("README.md"), "mine").unwrap();
    file::save(dir.path(), &trained::<B>(&dept, 6), &described(&dept)).unwrap();
    assert_eq!(load(dir.path()).unwrap().1.config, dept);
    assert_eq!(fs::read_to_string(dir.path().join("README.md")).unwrap(), "mine");
}

/// A crash between replacing the tensors and the configuration: the tensor file alone holds the complete new adapter.
#[test]
fn a_write_cut_off_between_the_files_is_mended() {
    let [pt, dept, _] = configs();
    for old in [&pt, &dept] {
        let dir = saved(old);
        let new = tempfile::tempdir().unwrap();
        file::save(new.path(), &trained::<B>(&dept, 6), &described(&dept)).unwrap();
        fs::copy(new.path().join(TENSOR_FILE), dir.path().join(TENSOR_FILE)).unwrap();
        let (adapter, meta) = load(dir.path()).unwrap();
        assert_eq!(meta, described(&dept));
        assert_eq!(adapter.tensors(), trained::<B>(&dept, 6).tensors());
    }
}

#[test]
fn a_changed_value_is_noticed() {
    let dir = saved(&configs()[2]);
    let path = dir.path().join(TENSOR_FILE);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 4;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(matches!(load(dir.path()).unwrap_err(), CoreError::TensorHash { .. }));
}

#[test]
fn a_truncated_file_is_refused_at_every_length() {
    let dir = saved(&configs()[2]);
    let [config, tensors] = bytes(dir.path());
    for length in 0..tensors.len() {
        fs::write(dir.path().join(TENSOR_FILE), &tensors[..length]).unwrap();
        let error = load(dir.path()).unwrap_err();
        let is_named = match length {
            0 => matches!(error, CoreError::File(_)),
            _ => matches!(error, CoreError::Safetensors { .. }),
        };
        assert!(is_named, "{length}: {error}");
        assert!(error.to_string().contains(TENSOR_FILE), "{error}");
    }
    fs::write(dir.path().join(TENSOR_FILE), &tensors).unwrap();
    // Everything but the final line break is needed.
    for length in 0..config.len() - 1 {
        fs::write(dir.path().join(CONFIG_FILE), &config[..length]).unwrap();
        let error = load(dir.path()).unwrap_err();
        let is_named = match length {
            0 => matches!(error, CoreError::File(_)),
            _ => matches!(error, CoreError::Json { .. }),
        };
        assert!(is_named, "{length}: {error}");
    }
}

#[test]
fn missing_files_are_named() {
    let dir = saved(&configs()[0]);
    fs::remove_file(dir.path().join(TENSOR_FILE)).unwrap();
    assert!(matches!(load(dir.path()).unwrap_err(), CoreError::NoTensorFile { .. }));
    fs::remove_file(dir.path().join(CONFIG_FILE)).unwrap();
    let error = load(dir.path()).unwrap_err();
    assert!(
        matches!(&error, CoreError::Io { path, .. } if path.ends_with(CONFIG_FILE)),
        "{error}"
    );
}

/// A safetensors file with the given tensors, for adapters that this crate would not write.
fn write_tensors(dir: &Path, tensors: &[(&str, safetensors::Dtype, &[usize], Vec<u8>)]) {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        let view = safetensors::tensor::TensorView::new(*dtype, shape.to_vec(), bytes).unwrap();
        (*name, view)
    });
    fs::write(dir.join(TENSOR_FILE), safetensors::serialize(views, None).unwrap()).unwrap();
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Loads the tensors with a 2 x 3 PT configuration as peft would have written it.
fn load_tensors(tensors: &[(&str, safetensors::Dtype, &[usize], Vec<u8>)]) -> Result<Vec<f32>, CoreError> {
    let dir = tempfile::tempdir().unwrap();
    let config = json!({ "peft_type": "PROMPT_TUNING", "num_virtual_tokens": 2, "token_dim": 3 });
    fs::write(dir.path().join(CONFIG_FILE), config.to_string()).unwrap();
    write_tensors(dir.path(), tensors);
    let adapter = load(dir.path())?.0;
    Ok(adapter.tensors().remove(0).1.to_vec().unwrap())
}

#[test]
fn half_precision_is_read_as_f32() {
    use half::{bf16, f16};
    use safetensors::Dtype;
    let values = [0.5f32, -2.0, 1.5, 0.0, 3.0, -0.25];
    let f16s = values
        .iter()
        .flat_map(|&value| f16::from_f32(value).to_le_bytes())
        .collect();
    let bf16s = values
        .iter()
        .flat_map(|&value| bf16::from_f32(value).to_le_bytes())
        .collect();
    for (dtype, bytes) in [(Dtype::F32, floats(&values)), (Dtype::F16, f16s), (Dtype::BF16, bf16s)] {
        assert_eq!(
            load_tensors(&[("prompt_embeddings", dtype, &[2, 3], bytes)]).unwrap(),
            values
        );
    }
}

#[test]
fn unfit_tensors_are_refused_by_name() {
    use safetensors::Dtype::{F32, I64};
    let good = || ("prompt_embeddings", F32, &[2usize, 3][..], floats(&[0.0; 6]));
    assert!(load_tensors(&[good()]).is_ok());

    let check = |tensors: &[(&str, safetensors::Dtype, &[usize], Vec<u8>)], expected: &str| {
        let text = load_tensors(tensors).unwrap_err().to_string();
        assert!(text.contains(TENSOR_FILE) && text.ends_with(expected), "{text}");
    };
    check(&[], "tensor prompt_embeddings is missing, expected shape [2, 3]");
    check(
        &[good(), ("lora_embedding_A", F32, &[1], floats(&[0.0]))],
        "unexpected tensor lora_embedding_A of shape [1]",
    );
    let shape = ("prompt_embeddings", F32, &[3usize, 2][..], floats(&[0.0; 6]));
    check(
        &[shape],
        "tensor prompt_embeddings: expected shape [2, 3], found [3, 2]",
    );
    let integers = ("prompt_embeddings", I64, &[2usize, 3][..], vec![0; 48]);
    check(
        &[integers],
        "tensor prompt_embeddings: expected f32, f16 or bf16 values, found I64",
    );
    for (value, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let mut values = [1.0; 6];
        values[4] = value;
        let text = format!("tensor prompt_embeddings: the value at [1, 1] is {name}, expected a finite number");
        check(&[("prompt_embeddings", F32, &[2, 3], floats(&values))], &text);
    }
}

#[test]
fn unfit_configurations_are_refused_by_field() {
    let [pt, dept, adept] = configs();
    let types = Method::ALL.iter().map(|method| method.info());
    let types: Vec<String> = types
        .map(|info| format!("{} ({})", info.peft_type, info.title))
        .collect();
    let check = |config: &AdapterConfig, key: &str, value: Value, expected: &str| {
        let error = load_changed(config, |map| map[key] = value);
        assert!(error.to_string().ends_with(expected), "{error}");
    };
    check(
        &pt,
        "peft_type",
        json!("LOHA"),
        &format!("peft_type is LOHA, expected one of {}", types.join(", ")),
    );
    check(
        &pt,
        "peft_type",
        Value::Null,
        "field peft_type: expected a text, found nothing",
    );
    check(
        &pt,
        "token_dim",
        json!("wide"),
        "field token_dim: expected a whole number, found \"wide\"",
    );
    check(
        &pt,
        "num_virtual_tokens",
        json!(0),
        "field virtual_tokens: expected at least 1 (the prompt is all there is), found 0",
    );
    check(
        &pt,
        "num_virtual_tokens",
        json!(-1),
        "field num_virtual_tokens: expected a whole number, found -1",
    );
    let submodules = "expected 1 (a prompt for the encoder or decoder-only input alone), found 2";
    check(&pt, "num_transformer_submodules", json!(2), submodules);
    check(&pt, "adept", json!(3), "field adept: expected an object, found 3");
    check(
        &adept,
        "r",
        Value::Null,
        "field r: expected a whole number, found nothing",
    );
    check(
        &adept,
        "token_dim",
        json!(1u64 << 60),
        "field d_model: expected a size that fits in memory, found 1152921504606846976",
    );
    check(
        &dept,
        "max_length",
        Value::Null,
        "field max_length: expected a whole number, found nothing",
    );

    let error = load_changed(&dept, |map| map["lora_alpha"] = json!(8));
    assert!(
        matches!(&error, CoreError::ConfigField { field, .. } if field == "lora_alpha"),
        "{error}"
    );
    let error = load_changed(&pt, |map| map["adept"]["format_version"] = json!(3));
    assert!(
        matches!(&error, CoreError::ConfigField { field, .. } if field == "adept.format_version"),
        "{error}"
    );
    let error = load_changed(&pt, |map| map["adept"]["fingerprint"] = json!("sha256:0"));
    assert!(
        matches!(&error, CoreError::ConfigField { field, .. } if field == "adept.fingerprint"),
        "{error}"
    );
    // With a larger width the tensors no longer fit.
    let error = load_changed(&pt, |map| map["token_dim"] = json!(8));
    assert!(
        matches!(&error, CoreError::ShapeMismatch { expected, .. } if *expected == [3, 8]),
        "{error}"
    );
}

#[test]
fn what_does_not_fit_its_description_is_not_saved() {
    let [pt, dept, adept] = configs();
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("adapter");
    let refused = |adapter: &Adapter<B>, config: &AdapterConfig| {
        let error = file::save(&target, adapter, &described(config)).unwrap_err();
        assert!(!target.exists(), "nothing is written");
        error
    };
    let error = refused(&trained(&pt, 0), &adept);
    assert!(matches!(&error, CoreError::OtherMethod { .. }), "{error}");
    let error = refused(&trained(&adept, 0), &AdapterConfig::adept(6, 0, 2));
    assert!(
        matches!(&error, CoreError::AdapterMismatch { expected, .. } if expected.is_empty()),
        "{error}"
    );
    let error = refused(&trained(&AdapterConfig::adept(6, 0, 2), 0), &adept);
    assert!(
        matches!(&error, CoreError::AdapterMismatch { found, .. } if found.is_empty()),
        "{error}"
    );
    let other = DeptConfig {
        scale: 0.25,
        ..DeptConfig::new(6, 3, 2, 5)
    };
    let error = refused(&trained(&dept, 0), &other.into());
    assert!(
        matches!(&error, CoreError::InvalidConfig { field: "scale", .. }),
        "{error}"
    );

    let mut broken = trained::<B>(&adept, 0);
    if let Adapter::Adept(prompt) = &mut broken
        && let Some(Offset::Adaptive(offset)) = &mut prompt.offset
    {
        offset.b2 = Param::from_tensor(Tensor::from_data(
            [0.0, 0.0, f32::NAN, 0.0, 0.0, 0.0],
            &Default::default(),
        ));
    }
    let error = refused(&broken, &adept);
    assert!(
        matches!(&error, CoreError::NotFinite { index, .. } if *index == [2]),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "in the way").unwrap();
    let error = file::save(&file, &trained::<B>(&configs()[0], 0), &described(&configs()[0])).unwrap_err();
    assert!(
        matches!(&error, CoreError::Write { path, .. } if *path == file),
        "{error}"
    );
}

/// Saving never replaces an adapter of another program, such as a LoRA of peft's.
#[test]
fn an_adapter_from_elsewhere_is_not_replaced() {
    let [pt, ..] = configs();
    for name in [CONFIG_FILE, "adapter_model.safetensors", "adapter_model.bin"] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), "{\"peft_type\": \"LORA\"}").unwrap();
        let error = file::save(dir.path(), &trained::<B>(&pt, 0), &described(&pt)).unwrap_err();
        assert!(
            matches!(&error, CoreError::Foreign { found, .. } if *found == name),
            "{error}"
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{name}");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("README.md"), "mine").unwrap();
    file::save(dir.path(), &trained::<B>(&pt, 0), &described(&pt)).unwrap();
    file::save(dir.path(), &trained::<B>(&pt, 1), &described(&pt)).unwrap();
    assert_eq!(fs::read(dir.path().join("README.md")).unwrap(), b"mine");
}
