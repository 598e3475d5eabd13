//! LoRA and (IA)³: their forward pass, their target maps, their files.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;

use adept_core::file::{self, CONFIG_FILE};
use adept_core::{
    Adapter, AdapterConfig, AdapterMetadata, CoreError, Fused, Ia3Config, Intervention, LinearChange, LinearMap,
    LinearPart, LinearSite, LoraConfig, LowRank, ModelSites, Stack, TargetModules,
};
use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use serde_json::{Value, json};

use crate::common::start;

type B = Flex;
type Ad = Autodiff<Flex>;

const WIDTH: usize = 4;

fn map(part: LinearPart, name: &str, input: usize, output: usize) -> LinearMap {
    LinearMap {
        site: LinearSite {
            stack: Stack::Decoder,
            block: 0,
            part,
        },
        name: format!("model.layers.0.{name}"),
        input,
        output,
        has_bias: false,
        fused: None,
    }
}

/// One block: a fused projection, stored in the checkpoint in the order value, key, query, and two more maps.
fn sites() -> ModelSites {
    let mut fused = map(LinearPart::QueryKeyValue, "attn.qkv", WIDTH, 3 * WIDTH);
    let order: Vec<usize> = [2, 1, 0]
        .into_iter()
        .flat_map(|part| part * WIDTH..(part + 1) * WIDTH)
        .collect();
    fused.fused = Some(Fused {
        parts: vec![
            (LinearPart::Query, 0..WIDTH),
            (LinearPart::Key, WIDTH..2 * WIDTH),
            (LinearPart::Value, 2 * WIDTH..3 * WIDTH),
        ],
        order: Some(order.into()),
    });
    let up = map(LinearPart::Up, "mlp.up", WIDTH, 6);
    ModelSites::new(WIDTH, vec![fused, up, map(LinearPart::Down, "mlp.down", 6, WIDTH)])
}

fn named(names: &[&str]) -> TargetModules {
    TargetModules::Names(names.iter().map(ToString::to_string).collect())
}

/// An adapter whose values are all different: consecutive numbers, by the names in its file.
fn counted<B: Backend>(config: &AdapterConfig) -> Adapter<B> {
    let shapes = config.tensor_shapes(&sites()).unwrap();
    let mut next = 0;
    let mut fill = |(name, shape): (String, Vec<usize>)| {
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|value| ((next + value) as f32 * 0.7).sin()).collect();
        next += count;
        (name, TensorData::new(values, shape))
    };
    let tensors: BTreeMap<_, _> = shapes.into_iter().map(&mut fill).collect();
    Adapter::from_tensors(config, &sites(), tensors, &Default::default()).unwrap()
}

fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().to_vec().unwrap()
}

fn close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let is_close = found
        .iter()
        .zip(expected)
        .all(|(found, expected)| (found - expected).abs() < 1e-5);
    assert!(is_close, "{found:?}\n{expected:?}");
}

#[test]
fn a_new_adapter_changes_nothing() {
    let device = Default::default();
    let x = Tensor::<B, 3>::random([2, 3, 6], burn::tensor::Distribution::Default, &device);
    for config in [
        AdapterConfig::from(LoraConfig::new(2, 4.0)),
        AdapterConfig::from(Ia3Config::default()),
    ] {
        let adapter = Adapter::<B>::new(&config, &sites(), start(3), &device).unwrap();
        assert!(adapter.changes_model() && adapter.prompt().is_none());
        for map in sites().linears {
            let Some(change) = adapter.linear(map.site) else {
                continue;
            };
            let weight = Tensor::<B, 2>::random([map.input, map.output], burn::tensor::Distribution::Default, &device);
            let x = x.clone().narrow(2, 0, map.input);
            let plain = |x: Tensor<B, 3>| x.matmul(weight.clone().unsqueeze());
            assert_eq!(values(change.apply(x.clone(), plain)), values(plain(x)), "{}", map.name);
        }
    }
}

/// Hu et al., equation 3, worked out by hand: W = 0, A = (1, 2)ᵀ, B = (3, -1), alpha / r = 2.
#[test]
fn a_product_of_low_rank_by_hand() {
    let device = Default::default();
    let a = Tensor::<B, 2>::from_data([[1.0], [2.0]], &device);
    let b = Tensor::<B, 2>::from_data([[3.0, -1.0]], &device);
    let change = LinearChange {
        low_rank: Some(LowRank::new(a, b, 2.0, 0.0)),
        ..LinearChange::none()
    };
    let x = Tensor::<B, 3>::from_data([[[1.0, 1.0], [0.0, -1.0]]], &device);
    let found = change.apply(x, |x| x.clone().zeros_like());
    assert_eq!(values(found), [18.0, -6.0, -12.0, 4.0]);
}

/// Dropout applies only to the product's input: for inputs with one channel per row, the update is either zero or that
/// channel's row of A·B divided by the keep probability; the weight's own part is unaffected.
#[test]
fn dropout_is_on_the_input_of_the_product_alone() {
    let device = Default::default();
    Ad::seed(&device, 11);
    let rows = 200;
    let a = Tensor::<Ad, 2>::from_data([[1.0], [10.0]], &device);
    let b = Tensor::<Ad, 2>::from_data([[1.0, 100.0]], &device);
    let change = LinearChange {
        low_rank: Some(LowRank::new(a, b, 1.0, 0.5)),
        ..LinearChange::none()
    };
    // Both channels at once: each is dropped independently, so there are four results; dropout after A would give two.
    let x = Tensor::<Ad, 3>::ones([1, rows, 2], &device);
    let added = values(change.apply(x.clone(), |x| x * 1000.0));
    let mut seen = [0usize; 4];
    for row in added.chunks(2) {
        let first = row[0] - 1000.0;
        let kind = [0.0, 2.0, 20.0, 22.0].iter().position(|value| *value == first);
        seen[kind.unwrap_or_else(|| panic!("{row:?}"))] += 1;
        assert_eq!(row[1] - 1000.0, 100.0 * first);
    }
    assert!(seen.iter().all(|count| *count > rows / 8), "{seen:?}");
    // The plain backend drops nothing.
    let change = LinearChange {
        low_rank: Some(LowRank::new(
            Tensor::<B, 2>::from_data([[1.0], [10.0]], &device),
            Tensor::<B, 2>::from_data([[1.0, 100.0]], &device),
            1.0,
            0.5,
        )),
        ..LinearChange::none()
    };
    let found = values(change.apply(x.inner(), |x| x));
    assert!(found.chunks(2).all(|row| row == [12.0, 1101.0]));
}

#[test]
fn merged_weights_compute_the_same_and_come_apart_again() {
    let device = Default::default();
    let random = |shape| Tensor::<B, 2>::random(shape, burn::tensor::Distribution::Normal(0.0, 1.0), &device);
    let (weight, bias) = (random([4, 6]), random([1, 6]).squeeze_dim::<1>(0));
    let change = LinearChange {
        input_scale: Some(Tensor::from_data([1.5, -0.5, 2.0, 1.0], &device)),
        low_rank: Some(LowRank::new(random([4, 2]), random([2, 6]), 0.5, 0.3)),
        output_scale: Some(Tensor::from_data([0.5, 1.0, -2.0, 1.0, 3.0, 1.0], &device)),
        bias: Some(Tensor::from_data([0.1, 0.2, -0.3, 0.0, 4.0, 1.0], &device)),
    };
    let x = random([5, 4]).unsqueeze::<3>();
    let linear = |weight: &Tensor<B, 2>, bias: &Tensor<B, 1>, x: Tensor<B, 3>| {
        x.matmul(weight.clone().unsqueeze()) + bias.clone().unsqueeze()
    };
    let expected = change.apply(x.clone(), |x| linear(&weight, &bias, x));
    let (merged, merged_bias) = change.merged(weight.clone(), Some(bias.clone()));
    let merged_bias = merged_bias.unwrap();
    close(&values(linear(&merged, &merged_bias, x)), &values(expected));
    let (back, back_bias) = change.unmerged(merged, Some(merged_bias));
    close(&values(back), &values(weight));
    close(&values(back_bias.unwrap()), &values(bias));
    assert!(!change.has_zero_factor());
    let zero = LinearChange {
        output_scale: Some(Tensor::<B, 1>::from_data([1.0, 0.0], &device)),
        ..LinearChange::none()
    };
    assert!(zero.has_zero_factor());
}

#[test]
fn ia3_scales_keys_and_values_of_a_fused_map_and_the_input_of_the_map_out() {
    let config = AdapterConfig::from(Ia3Config::default());
    assert_eq!(config.trainable_parameters(&sites()).unwrap(), 2 * WIDTH + 6);
    let device = Default::default();
    let mut adapter = Adapter::<B>::new(&config, &sites(), start(0), &device).unwrap();
    let Adapter::Ia3(ia3) = &mut adapter else {
        unreachable!()
    };
    let factors: Vec<f32> = (0..2 * WIDTH).map(|channel| 10.0 + channel as f32).collect();
    ia3.factors[0].l = burn::module::Param::from_tensor(Tensor::from_data(factors.as_slice(), &device));

    let fused = adapter.linear(sites().linears[0].site).unwrap();
    let factors = values(fused.output_scale.unwrap());
    assert_eq!(factors, [1., 1., 1., 1., 10., 11., 12., 13., 14., 15., 16., 17.]);
    assert!(fused.input_scale.is_none());
    assert!(adapter.linear(sites().linears[1].site).is_none());
    let down = adapter.linear(sites().linears[2].site).unwrap();
    assert_eq!(down.input_scale.unwrap().dims(), [6]);

    // Files use the checkpoint's order: value, key, query.
    let tensors: BTreeMap<_, _> = adapter.tensors().into_iter().collect();
    let stored = &tensors["base_model.model.model.layers.0.attn.qkv.ia3_l"];
    assert_eq!(stored.shape.to_vec(), [12, 1]);
    let stored: Vec<f32> = stored.to_vec().unwrap();
    assert_eq!(stored, [14., 15., 16., 17., 10., 11., 12., 13., 1., 1., 1., 1.]);

    // The adapter has no factors for queries.
    let mut broken = tensors.clone();
    let mut values = stored.clone();
    values[9] = 2.0;
    let name = "base_model.model.model.layers.0.attn.qkv.ia3_l".to_owned();
    broken.insert(name, TensorData::new(values, [12, 1]));
    let error = Adapter::<B>::from_tensors(&config, &sites(), broken, &device).unwrap_err();
    assert!(
        matches!(
            error,
            CoreError::FixedFactor {
                channel: 1,
                found: 2.0,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn lora_keeps_the_checkpoints_order_in_files() {
    let config = AdapterConfig::from(LoraConfig::new(2, 4.0));
    let adapter = counted::<B>(&config);
    let again: BTreeMap<_, _> = adapter.tensors().into_iter().collect();
    let b: Vec<f32> = again["base_model.model.model.layers.0.attn.qkv.lora_B.weight"]
        .to_vec()
        .unwrap();
    let low_rank = adapter.linear(sites().linears[0].site).unwrap().low_rank.unwrap();
    assert_eq!(low_rank.scale, 2.0);
    // The model's first channel, a query, is the checkpoint's ninth row.
    let ours = values(low_rank.b.clone().narrow(1, 0, 1));
    assert_eq!(ours, &b[8 * 2..9 * 2]);
}

#[test]
fn targets_are_pefts() {
    let selected = |targets: TargetModules| -> Result<Vec<String>, CoreError> {
        let config = LoraConfig {
            target_modules: targets,
            ..LoraConfig::new(1, 1.0)
        };
        let shapes = AdapterConfig::from(config).tensor_shapes(&sites())?;
        let names = shapes
            .iter()
            .filter_map(|(name, _)| name.strip_suffix(".lora_A.weight"));
        Ok(names.map(|name| name.rsplit('.').next().unwrap().to_owned()).collect())
    };
    assert_eq!(selected(TargetModules::default()).unwrap(), ["qkv"]);
    assert_eq!(selected(named(&["down", "qkv"])).unwrap(), ["qkv", "down"]);
    assert_eq!(selected(named(&["mlp.up"])).unwrap(), ["up"]);
    assert_eq!(selected(named(&["model.layers.0.mlp.up"])).unwrap(), ["up"]);
    for all in [named(&["all-linear"]), TargetModules::Pattern("all-linear".into())] {
        assert_eq!(selected(all).unwrap(), ["qkv", "up", "down"]);
    }
    assert_eq!(
        selected(TargetModules::Pattern(r".*mlp\.(up|down)".into())).unwrap(),
        ["up", "down"]
    );
    for (targets, expected) in [
        (
            named(&["qkv", "wo"]),
            "target module wo matches none of the model's linear maps, which end with: qkv, up, down",
        ),
        // A suffix of a component does not match.
        (named(&["own"]), "target module own matches none"),
        (TargetModules::Pattern("mlp".into()), "target module mlp matches none"),
        (
            TargetModules::Pattern("(".into()),
            "is not a supported regular expression",
        ),
    ] {
        let error = selected(targets).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let nowhere = AdapterConfig::from(LoraConfig::new(1, 1.0))
        .tensor_shapes(&ModelSites::embeddings(WIDTH))
        .unwrap_err();
    assert!(nowhere.to_string().ends_with("which end with: none"), "{nowhere}");
}

#[test]
fn files_come_back_and_are_pefts() {
    let lora = LoraConfig {
        dropout: 0.25,
        use_rslora: true,
        target_modules: named(&["qkv", "down"]),
        rank_pattern: vec![("mlp.down".into(), 3)],
        alpha_pattern: vec![("mlp.down".into(), 0.1)],
        ..LoraConfig::new(2, 5.0)
    };
    let ia3 = Ia3Config {
        target_modules: named(&["qkv", "up"]),
        feedforward_modules: vec!["up".into()],
    };
    let configs: [AdapterConfig; 4] = [
        lora.into(),
        AdapterConfig::from(LoraConfig::new(2, 4.0)),
        ia3.into(),
        AdapterConfig::from(Ia3Config::default()),
    ];
    for config in configs {
        // Query factors stay one unless (IA)³ targets queries.
        let adapter = match &config {
            AdapterConfig::Ia3(ia3) if ia3.target_modules.is_default() => {
                Adapter::<B>::new(&config, &sites(), start(0), &Default::default()).unwrap()
            }
            _ => counted::<B>(&config),
        };
        let dir = tempfile::tempdir().unwrap();
        let meta = AdapterMetadata::new(config.clone(), "base");
        file::save(dir.path(), &adapter, &meta).unwrap();
        let (again, about) = file::load::<B>(dir.path(), &sites(), &Default::default()).unwrap();
        assert_eq!(about.config, config);
        assert_eq!(again.tensors(), adapter.tensors());
        let text: Value = serde_json::from_slice(&fs::read(dir.path().join(CONFIG_FILE)).unwrap()).unwrap();
        for prompt_key in ["num_virtual_tokens", "token_dim", "num_transformer_submodules"] {
            assert!(text.get(prompt_key).is_none(), "{prompt_key}");
        }
        assert!(
            text["target_modules"].as_array().is_some_and(|names| !names.is_empty()),
            "{text}"
        );
    }
}

#[test]
fn the_scale_follows_rank_and_patterns() {
    let config = LoraConfig {
        target_modules: named(&["all-linear"]),
        rank_pattern: vec![("mlp.*".into(), 4)],
        alpha_pattern: vec![("up".into(), 6.0)],
        ..LoraConfig::new(2, 5.0)
    };
    let scales = |config: LoraConfig| -> Vec<f64> {
        let adapter = Adapter::<B>::new(&config.into(), &sites(), start(0), &Default::default()).unwrap();
        let scale = |map: LinearMap| adapter.linear(map.site).unwrap().low_rank.unwrap().scale;
        sites().linears.into_iter().map(scale).collect()
    };
    assert_eq!(scales(config.clone()), [2.5, 1.5, 1.25]);
    let stabilised = LoraConfig {
        use_rslora: true,
        ..config
    };
    assert_eq!(scales(stabilised), [5.0 / 2f64.sqrt(), 3.0, 2.5]);
}

/// Loads a saved LoRA adapter after changing its configuration.
fn changed(change: impl FnOnce(&mut Value)) -> Result<Adapter<B>, CoreError> {
    let config = AdapterConfig::from(LoraConfig::new(2, 4.0));
    let dir = tempfile::tempdir().unwrap();
    file::save(dir.path(), &counted::<B>(&config), &AdapterMetadata::new(config, "")).unwrap();
    let path = dir.path().join(CONFIG_FILE);
    let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(&path, serde_json::to_vec(&value).unwrap()).unwrap();
    file::load::<B>(dir.path(), &sites(), &Default::default()).map(|loaded| loaded.0)
}

#[test]
fn options_of_peft_that_are_unknown_here_are_refused_by_name() {
    for (key, value, expected) in [
        (
            "use_dora",
            json!(true),
            "field use_dora: expected false or nothing, found true",
        ),
        ("bias", json!("all"), "field bias: expected \"none\", found \"all\""),
        ("modules_to_save", json!(["lm_head"]), "field modules_to_save"),
        ("init_lora_weights", json!("pissa"), "field init_lora_weights"),
        ("r", json!(0), "field rank: expected at least 1, found 0"),
        (
            "lora_dropout",
            json!("high"),
            "field lora_dropout: expected a finite number, found \"high\"",
        ),
        (
            "target_modules",
            json!(3),
            "field target_modules: expected a list of names, or a text, found 3",
        ),
        ("rank_pattern", json!({ "(": 3 }), "rank_pattern or alpha_pattern"),
    ] {
        let error = changed(|map| map[key] = value).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(changed(|map| map["use_dora"] = json!(false)).is_ok());
    assert!(changed(|map| map["init_lora_weights"] = json!("gaussian")).is_ok());
}

#[test]
fn an_adapter_of_other_places_or_widths_is_refused() {
    let config = AdapterConfig::from(LoraConfig::new(2, 4.0));
    let dir = tempfile::tempdir().unwrap();
    file::save(
        dir.path(),
        &counted::<B>(&config),
        &AdapterMetadata::new(config.clone(), ""),
    )
    .unwrap();
    let load = |sites: &ModelSites| file::load::<B>(dir.path(), sites, &Default::default()).unwrap_err();
    let mut other = sites();
    other.linears[0].name = "model.layers.0.attn.query".into();
    let error = load(&other);
    assert!(
        matches!(&error, CoreError::UnknownModule { example, .. } if example.ends_with("query")),
        "{error}"
    );
    let mut wider = sites();
    wider.linears[0].input = 8;
    let error = load(&wider);
    assert!(
        matches!(&error, CoreError::AdapterMismatch { expected, found, .. } if *expected == [2, 8] && *found == [2, 4]),
        "{error}"
    );
    // A map without tensors in the adapter, and tensors without a map.
    let mut more = sites();
    more.linears.push(LinearMap {
        site: LinearSite {
            block: 1,
            ..sites().linears[0].site
        },
        name: "model.layers.1.attn.qkv".into(),
        ..sites().linears[0].clone()
    });
    let error = load(&more);
    assert!(
        matches!(&error, CoreError::AdapterMismatch { tensor, found, .. } if tensor.contains("layers.1") && found.is_empty()),
        "{error}"
    );
    let error = changed(|map| map["adept"]["default_targets"] = json!(false)).map(drop);
    assert!(error.is_ok());
    let error = changed(|map| {
        map["adept"]["default_targets"] = json!(false);
        map["target_modules"] = json!(["down"]);
    })
    .unwrap_err();
    assert!(matches!(&error, CoreError::AdapterMismatch { .. }), "{error}");
    // With further restrictions the tensors decide which maps are changed.
    assert!(changed(|map| map["layers_to_transform"] = json!([0])).is_ok());
}

#[test]
fn half_an_adapter_is_none() {
    let config = AdapterConfig::from(LoraConfig::new(2, 4.0));
    let dir = tempfile::tempdir().unwrap();
    file::save(dir.path(), &counted::<B>(&config), &AdapterMetadata::new(config, "")).unwrap();
    let path = dir.path().join(CONFIG_FILE);
    let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    value["adept"].as_object_mut().unwrap().remove("tensors");
    fs::write(&path, serde_json::to_vec(&value).unwrap()).unwrap();
    let tensors = dir.path().join(file::TENSOR_FILE);
    let write = |names: &[(&str, Vec<usize>)]| {
        let zeros = vec![0u8; 400];
        let views = names.iter().map(|(name, shape)| {
            let bytes = &zeros[..shape.iter().product::<usize>() * 4];
            let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
            (name.to_string(), view.unwrap())
        });
        fs::write(&tensors, safetensors::serialize(views, None).unwrap()).unwrap();
        file::read(dir.path()).unwrap_err()
    };
    let a = "base_model.model.model.layers.0.attn.qkv.lora_A.weight";
    let error = write(&[(a, vec![2, 4])]);
    assert!(
        matches!(&error, CoreError::MissingTensor { tensor, .. } if tensor.ends_with("lora_B.weight")),
        "{error}"
    );
    let error = write(&[]);
    assert!(
        matches!(&error, CoreError::MissingTensor { tensor, .. } if tensor.ends_with("*.lora_A.weight")),
        "{error}"
    );
    let error = write(&[(a, vec![3, 4])]);
    assert!(
        matches!(&error, CoreError::ShapeMismatch { expected, .. } if *expected == [2, 4]),
        "{error}"
    );
    let b = a.replace("lora_A", "lora_B");
    let error = write(&[(a, vec![2, 4]), (&b, vec![12, 2]), ("lora_C", vec![1])]);
    assert!(
        matches!(&error, CoreError::UnexpectedTensor { tensor, .. } if tensor == "lora_C"),
        "{error}"
    );
}
