//! Prompts made by networks: residual prompt tuning and P-tuning, alone and beside ADePT's offset. Values are compared with PyTorch's by `adept verify`.
#![allow(clippy::unwrap_used)]

use std::fs;

use crate::common::{random, sites, trained};
use adept_core::file::{self, CONFIG_FILE, TENSOR_FILE};
use adept_core::{
    Adapter, AdapterConfig, AdapterMetadata, AdeptConfig, CoreError, Encoder, Intervention, Method, PTuningConfig,
    PromptSource, ResidualConfig,
};
use burn::backend::Autodiff;
use burn::module::{AutodiffModule, Module};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use safetensors::SafeTensors;
use serde_json::{Value, json};

type B = Flex;

const RESIDUAL: PromptSource = PromptSource::Residual { hidden: 4 };

fn p_tuning(encoder: Encoder) -> PromptSource {
    PromptSource::PTuning { encoder, hidden: 4 }
}

fn configs() -> [AdapterConfig; 6] {
    let adept = |source| AdeptConfig::new(6, 3, 2).with_source(source).into();
    [
        ResidualConfig::new(6, 3, 4).into(),
        PTuningConfig::new(6, 3, Encoder::Mlp, 4).into(),
        PTuningConfig::new(6, 3, Encoder::Lstm, 4).into(),
        adept(RESIDUAL),
        adept(p_tuning(Encoder::Mlp)),
        adept(p_tuning(Encoder::Lstm)),
    ]
}

fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().to_vec().unwrap()
}

/// The counts of the published modules at d 768 with 100 virtual tokens.
#[test]
fn counts_are_the_published_ones() {
    let count = |config: AdapterConfig| config.trainable_parameters(&sites(&config)).unwrap();
    assert_eq!(count(ResidualConfig::new(768, 100, 800).into()), 1_308_704);
    assert_eq!(count(PTuningConfig::new(768, 100, Encoder::Mlp, 768).into()), 1_848_576);
    assert_eq!(
        count(PTuningConfig::new(768, 100, Encoder::Lstm, 768).into()),
        27_235_584
    );
    for config in configs() {
        assert_eq!(random::<B>(&config, 1).num_params(), count(config));
    }
}

/// The residual network by hand: d = 2, h = 1, P = (1, -2) and (-1, 0).
#[test]
fn residual_by_hand() {
    let tensors = [
        ("prompt", TensorData::from([[1.0f32, -2.0], [-1.0, 0.0]])),
        ("up.weight", TensorData::from([[3.0f32, 1.0]])),
        ("up.bias", TensorData::from([0.5f32])),
        ("down.weight", TensorData::from([[2.0f32], [-4.0]])),
        ("down.bias", TensorData::from([1.0f32, 0.0])),
        ("norm.weight", TensorData::from([10.0f32, 100.0])),
        ("norm.bias", TensorData::from([0.25f32, 0.5])),
    ];
    let tensors = tensors
        .map(|(name, data)| (name.to_owned(), data))
        .into_iter()
        .collect();
    let config = ResidualConfig::new(2, 2, 1).into();
    let adapter = Adapter::<B>::from_tensors(&config, &sites(&config), tensors, &Default::default()).unwrap();
    // Row 1: 3 - 2 + 0.5 = 1.5, so (3 + 1, -6), normed to (1, -1). Row 2: relu(-2.5) = 0, so (1, 0), normed to (1, -1).
    let expected = [11.25, -101.5, 9.25, -99.5];
    let found = values(adapter.prompt().unwrap());
    let close = found
        .iter()
        .zip(expected)
        .all(|(found, expected)| (found - expected).abs() < 5e-3);
    assert!(close, "{found:?}");
}

#[test]
fn files_hold_what_is_trained_and_what_it_makes() {
    for config in configs() {
        let (dir, again) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let adapter = trained::<B>(&config, 5);
        let meta = AdapterMetadata::new(config.clone(), "t5-base");
        file::save(dir.path(), &adapter, &meta).unwrap();
        let (loaded, about) = file::load::<B>(dir.path(), &sites(&config), &Default::default()).unwrap();
        assert_eq!((loaded.tensors(), about), (adapter.tensors(), meta.clone()));
        let prompt = values(adapter.prompt().unwrap());
        assert_eq!(values(loaded.prompt().unwrap()), prompt);

        file::save(again.path(), &loaded, &meta).unwrap();
        for name in [CONFIG_FILE, TENSOR_FILE] {
            let [first, second] = [&dir, &again].map(|dir| fs::read(dir.path().join(name)).unwrap());
            assert!(first == second, "{}: {name}", config.method());
        }
        let bytes = fs::read(dir.path().join(TENSOR_FILE)).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let made = tensors.tensor("prompt_embeddings").unwrap();
        let stored: Vec<f32> = made
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|word| f32::from_le_bytes(*word))
            .collect();
        assert_eq!((made.shape(), stored), (&[3, 6][..], prompt));
        assert_eq!(tensors.len(), adapter.tensors().len() + 1);
        // Reading an adapter without building it shows what is trained.
        let (_, read) = file::read(dir.path()).unwrap();
        assert_eq!(read.len(), adapter.tensors().len());
    }
}

/// Another program's P-tuning file holds the virtual tokens alone.
#[test]
fn without_its_encoder_p_tuning_is_a_soft_prompt() {
    let config = &configs()[1];
    let (dir, plain) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let adapter = trained::<B>(config, 5);
    let made = adapter.prompt().unwrap();
    file::save(dir.path(), &adapter, &AdapterMetadata::new(config.clone(), "t5-base")).unwrap();

    let pt = AdapterConfig::pt(6, 3);
    let tensors = [("prompt_embeddings".to_owned(), made.clone().into_data())].into();
    let folded = Adapter::<B>::from_tensors(&pt, &sites(&pt), tensors, &Default::default()).unwrap();
    file::save(plain.path(), &folded, &AdapterMetadata::new(pt, "t5-base")).unwrap();
    let text = fs::read(dir.path().join(CONFIG_FILE)).unwrap();
    let mut about: Value = serde_json::from_slice(&text).unwrap();
    about.as_object_mut().unwrap().remove("adept");
    fs::write(plain.path().join(CONFIG_FILE), about.to_string()).unwrap();

    let (loaded, about) = file::load::<B>(plain.path(), &sites(config), &Default::default()).unwrap();
    assert_eq!((loaded.method(), about.config.method()), (Method::Pt, Method::Pt));
    assert_eq!(values(loaded.prompt().unwrap()), values(made));
    assert_eq!(about.extra["encoder_reparameterization_type"], "MLP");
}

#[test]
fn damaged_files_are_refused() {
    let load_changed = |config: &AdapterConfig, change: &dyn Fn(&mut Value)| {
        let dir = tempfile::tempdir().unwrap();
        let adapter = trained::<B>(config, 5);
        file::save(dir.path(), &adapter, &AdapterMetadata::new(config.clone(), "t5-base")).unwrap();
        let path = dir.path().join(CONFIG_FILE);
        let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut value);
        fs::write(&path, value.to_string()).unwrap();
        file::read(dir.path()).unwrap_err()
    };
    let [residual, mlp, lstm, adept, ..] = configs();
    let error = load_changed(&residual, &|value| value["adept"]["hidden"] = json!(5));
    assert!(
        matches!(&error, CoreError::ShapeMismatch { tensor, .. } if tensor == "up.weight"),
        "{error}"
    );
    for (key, found) in [("prompt", json!("lstm")), ("hidden", json!(null))] {
        let error = load_changed(&adept, &|value| value["adept"][key] = found.clone());
        let named = format!("adept.{key}");
        assert!(
            matches!(&error, CoreError::ConfigField { field, .. } if *field == named),
            "{error}"
        );
    }
    let error = load_changed(&adept, &|value| value["adept"]["prompt"] = json!("plain"));
    assert!(matches!(error, CoreError::UnexpectedTensor { .. }), "{error}");
    let error = load_changed(&residual, &|value| value["adept"]["method"] = json!("p_tuning"));
    assert!(matches!(error, CoreError::UnknownPeftType { .. }), "{error}");
    for (config, key, found) in [
        (&mlp, "encoder_reparameterization_type", json!("GRU")),
        (&lstm, "encoder_num_layers", json!(3)),
        (&lstm, "encoder_dropout", json!(0.1)),
        (&mlp, "encoder_hidden_size", json!(null)),
        (&mlp, "num_transformer_submodules", json!(2)),
    ] {
        let error = load_changed(config, &|value| value[key] = found.clone());
        assert!(
            matches!(&error, CoreError::ConfigField { field, .. } if field == key),
            "{error}"
        );
    }
    // Without the method, another program's file of virtual tokens: whatever is beside them is unexpected.
    let error = load_changed(&residual, &|value| {
        drop(value["adept"].as_object_mut().unwrap().remove("method"))
    });
    assert!(matches!(error, CoreError::UnexpectedTensor { .. }), "{error}");
}

#[test]
fn senseless_sizes_are_refused() {
    for (config, expected) in [
        (AdapterConfig::from(ResidualConfig::new(6, 0, 4)), "virtual_tokens"),
        (ResidualConfig::new(6, 3, 0).into(), "hidden"),
        (ResidualConfig::new(0, 3, 4).into(), "d_model"),
        (PTuningConfig::new(6, 3, Encoder::Lstm, 1 << 40).into(), "hidden"),
        (PTuningConfig::new(1 << 50, 3, Encoder::Lstm, 4).into(), "d_model"),
        (AdeptConfig::new(6, 0, 2).with_source(RESIDUAL).into(), "virtual_tokens"),
        (
            AdeptConfig::new(6, 3, 2)
                .with_source(PromptSource::Residual { hidden: 0 })
                .into(),
            "hidden",
        ),
    ] {
        let error = config.validate().unwrap_err();
        assert!(
            matches!(&error, CoreError::InvalidConfig { field, .. } if *field == expected),
            "{error}"
        );
    }
}

#[test]
fn every_tensor_is_trained_and_the_folded_adapter_computes_the_same() {
    for config in configs() {
        let adapter = trained::<Autodiff<B>>(&config, 3);
        let prompt = adapter.prompt().unwrap();
        let weights = trained::<B>(&AdapterConfig::pt(6, 3), 9).prompt().unwrap();
        let gradients = (prompt.clone() * Tensor::from_inner(weights)).sum().backward();
        let parts = adapter.as_prompt().unwrap();
        assert!(parts.prompt.as_ref().unwrap().weight.grad(&gradients).is_some());
        let folded = adapter.valid().folded();
        assert_eq!(values(folded.prompt().unwrap()), values(prompt.inner()));
        assert!(folded.as_prompt().unwrap().network.is_none());
        assert_eq!(adapter.virtual_tokens(), 3);
    }
}

/// The LSTM reads its rows in both directions: a changed last row changes the first virtual token. The perceptron and
/// the residual network take each row by itself.
#[test]
fn only_the_lstm_mixes_virtual_tokens() {
    for (config, is_mixed) in configs().into_iter().zip([false, false, true, false, false, true]) {
        let adapter = trained::<B>(&config, 7);
        let mut tensors: std::collections::BTreeMap<_, _> = adapter.tensors().into_iter().collect();
        let name = ["prompt", "embedding.weight"]
            .into_iter()
            .find(|name| tensors.contains_key(*name));
        let data = tensors.remove(name.unwrap()).unwrap();
        let mut rows = data.to_vec::<f32>().unwrap();
        rows[2 * 6..].fill(1.5);
        tensors.insert(name.unwrap().to_owned(), TensorData::new(rows, [3, 6]));
        let other = Adapter::<B>::from_tensors(&config, &sites(&config), tensors, &Default::default()).unwrap();
        let [before, after] = [&adapter, &other].map(|adapter| values(adapter.prompt().unwrap()));
        assert_eq!(before[..6] != after[..6], is_mixed, "{config:?}");
        assert_ne!(before[12..], after[12..]);
    }
}

/// The virtual tokens are those of the network's own method, the tokens of the input those of a plain ADePT.
#[test]
fn a_network_beside_adepts_offset_makes_the_prompt_and_nothing_else() {
    let device = Default::default();
    for (number, alone) in configs().iter().take(3).enumerate() {
        let adept = trained::<B>(&configs()[number + 3], 5);
        let tensors = adept.tensors();
        let (offset, network): (Vec<_>, Vec<_>) = tensors
            .into_iter()
            .partition(|(name, _)| name.starts_with("lora_embedding_"));
        let network: std::collections::BTreeMap<_, _> = network.into_iter().collect();
        let alone = Adapter::<B>::from_tensors(alone, &sites(alone), network, &device).unwrap();
        let made = alone.prompt().unwrap();
        let prompt = ("prompt_embeddings".to_owned(), made.clone().into_data());
        let config = AdapterConfig::adept(6, 3, 2);
        let tensors = offset.into_iter().chain([prompt]).collect();
        let plain = Adapter::<B>::from_tensors(&config, &sites(&config), tensors, &device).unwrap();

        let embeddings = trained::<B>(&AdapterConfig::pt(6, 4), 2)
            .prompt()
            .unwrap()
            .unsqueeze::<3>();
        let mask = Tensor::full([1, 4], true, &device);
        let [found, folded, expected] = [&adept, &adept.clone().folded(), &plain]
            .map(|adapter| values(adapter.forward(embeddings.clone(), mask.clone()).embeddings));
        assert_eq!(found[..3 * 6], values(made));
        assert_eq!((&found, &folded), (&expected, &expected), "{:?}", configs()[number + 3]);
        assert_ne!(found[3 * 6..], values(embeddings));
    }
}

/// A file of a plain ADePT says nothing of networks: it has the keys that it had before they could be chosen.
#[test]
fn a_plain_prompt_has_no_keys_of_a_network() {
    let dir = tempfile::tempdir().unwrap();
    let config = AdapterConfig::adept(6, 3, 2);
    let adapter = trained::<B>(&config, 5);
    file::save(dir.path(), &adapter, &AdapterMetadata::new(config, "t5-base")).unwrap();
    let text = fs::read(dir.path().join(CONFIG_FILE)).unwrap();
    let value: Value = serde_json::from_slice(&text).unwrap();
    let own: Vec<&String> = value["adept"].as_object().unwrap().keys().collect();
    let expected = [
        "dropout",
        "fingerprint",
        "format_version",
        "max_source_length",
        "scale",
        "task",
        "tensors",
    ];
    assert_eq!(own, expected);
    let bytes = fs::read(dir.path().join(TENSOR_FILE)).unwrap();
    let mut names: Vec<_> = adapter.tensors().into_iter().map(|(name, _)| name).collect();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut found = tensors.names();
    names.sort();
    found.sort();
    assert_eq!(found, names);
}

/// Names of the groups that the parameters are in, by path: the first that contains it.
#[test]
fn each_parameter_has_its_group() {
    struct Paths(Vec<String>, Vec<String>);
    impl<B: Backend> burn::module::ModuleVisitor<B> for Paths {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.push(name.to_owned());
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.pop();
        }

        fn visit_float<const D: usize>(&mut self, _: &burn::module::Param<Tensor<B, D>>) {
            self.1.push(self.0.join("."));
        }
    }
    for (config, expected) in configs().iter().skip(3).zip([
        [
            ("prompt", "prompt"),
            ("network", "adept_residual"),
            ("offset", "offset"),
        ],
        [
            ("prompt", "adept_p_tuning"),
            ("network", "adept_p_tuning"),
            ("offset", "offset"),
        ],
        [
            ("prompt", "adept_p_tuning"),
            ("network", "adept_p_tuning"),
            ("offset", "offset"),
        ],
    ]) {
        let mut paths = Paths(Vec::new(), Vec::new());
        random::<B>(config, 0).visit(&mut paths);
        assert_eq!(paths.1.len(), config.tensor_shapes(&sites(config)).unwrap().len());
        for path in paths.1 {
            let groups = config.groups();
            let contains = |prefix: String| path.starts_with(&format!("{prefix}."));
            let group = groups.iter().find(|group| contains(Method::Adept.group_prefix(group)));
            let part = path.split('.').nth(1).unwrap();
            let (_, expected) = expected.iter().find(|(known, _)| *known == part).unwrap();
            assert_eq!(group.map(|group| group.name), Some(*expected), "{path}");
        }
    }
}
