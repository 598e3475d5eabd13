//! Adapters that start from another adapter, run or prompt.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use crate::common::AB;
use crate::run::settings;
use crate::world::world;
use adept_core::{Adapter, AdapterMetadata, Fingerprint, Intervention as _, file};
use adept_lab::run::{LoadedBackbone, load_backbone};
use adept_models::Backbone as _;
use adept_train::TrainError;
use adept_train::config::Resolved;
use adept_train::initial::{adapter_config, build_adapter};
use burn::module::AutodiffModule as _;
use burn::tensor::TensorData;
use burn_flex::Flex;

struct World {
    root: tempfile::TempDir,
    data: std::path::PathBuf,
    path: std::path::PathBuf,
    backbone: LoadedBackbone<Flex>,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (data, path) = world(root.path());
        let backbone = load_backbone::<Flex>(&path, &Default::default()).unwrap();
        Self {
            root,
            data,
            path,
            backbone,
        }
    }

    fn settings(&self, method: &str, more: &[&str]) -> Resolved {
        let method = format!("adapter.method={method}");
        settings(&self.data, &self.path, &[&[method.as_str()], more].concat())
    }

    fn built(&self, method: &str, more: &[&str]) -> Result<Adapter<AB>, TrainError> {
        let config = self.settings(method, more).config;
        let backbone = &self.backbone;
        let adapter = adapter_config(
            &config,
            config.adapter.method.adapter().unwrap(),
            &backbone.model.sites(),
        )?;
        build_adapter::<AB, _>(
            &config,
            &adapter,
            &backbone.model,
            &backbone.fingerprint,
            &backbone.tokenizer,
            &Default::default(),
        )
    }

    /// Saves a random adapter of the method in `folder`, as if it was trained on a backbone of this fingerprint.
    fn saved(&self, method: &str, folder: &Path, fingerprint: &Fingerprint) -> Adapter<AB> {
        let more = ["adapter.init=random", "adapter.init_std=2", "seed=91"];
        let adapter = self.built(method, &more).unwrap();
        let config = self.settings(method, &more).config;
        let sites = self.backbone.model.sites();
        let config = adapter_config(&config, config.adapter.method.adapter().unwrap(), &sites).unwrap();
        let about = AdapterMetadata::new(config, "tiny").with_fingerprint(fingerprint.clone());
        fs::create_dir_all(folder.parent().unwrap()).unwrap();
        file::save(folder, &adapter.valid(), &about).unwrap();
        adapter
    }

    fn from(&self, method: &str, source: &Path, more: &[&str]) -> Result<Adapter<AB>, TrainError> {
        let source = format!("adapter.init_from={}", source.display());
        self.built(method, &[&["adapter.init=adapter", source.as_str()], more].concat())
    }
}

fn tensors(adapter: &Adapter<AB>) -> Vec<(String, TensorData)> {
    adapter.tensors()
}

#[test]
fn the_same_method_takes_every_value_and_another_the_prompt() {
    let world = World::new();
    let run = world.root.path().join("run");
    // A run's folder holds its best adapter.
    for method in ["pt", "adept", "lora", "residual", "p_tuning"] {
        let folder = run.join(method).join("best");
        let source = world.saved(method, &folder, &world.backbone.fingerprint);
        for path in [folder.as_path(), folder.parent().unwrap()] {
            let started = world.from(method, path, &[]).unwrap();
            assert_eq!(tensors(&started), tensors(&source), "{method}");
        }
        let alone = world.built(method, &[]).unwrap();
        assert_ne!(tensors(&alone), tensors(&source), "{method}");
    }
    for (source, method) in [
        ("pt", "adept"),
        ("adept", "pt"),
        ("p_tuning", "dept"),
        ("pt", "residual"),
    ] {
        let folder = run.join(source).join("best");
        let prompt = file::load::<Flex>(&folder, &world.backbone.model.sites(), &Default::default()).unwrap();
        let prompt = prompt.0.prompt().unwrap().into_data();
        let started = world.from(method, &folder, &[]).unwrap();
        let own = started
            .as_prompt()
            .unwrap()
            .prompt
            .as_ref()
            .unwrap()
            .weight
            .val()
            .into_data();
        assert_eq!(own, prompt, "{method} from {source}");
    }
}

#[test]
fn a_source_that_does_not_fit_is_refused() {
    let world = World::new();
    let folder = world.root.path().join("pt");
    world.saved("pt", &folder, &world.backbone.fingerprint);
    world.saved("bitfit", &world.root.path().join("bitfit"), &world.backbone.fingerprint);
    let other = world.root.path().join("other");
    let elsewhere = "sha256:".to_owned() + &"0".repeat(64);
    world.saved("pt", &other, &elsewhere.parse().unwrap());
    let refused = |method: &str, source: &Path, more: &[&str], expected: &str| {
        let error = world.from(method, source, more).unwrap_err().to_string();
        assert!(error.contains(expected), "{method}: {error}");
    };
    refused(
        "adept",
        &folder,
        &["adapter.virtual_tokens=4"],
        "expected 4 virtual tokens (`adapter.virtual_tokens`), found 5",
    );
    refused("lora", &folder, &[], "lora has no prompt of its own");
    refused("p_tuning", &folder, &[], "p_tuning has no prompt of its own");
    refused(
        "adept",
        &folder,
        &["adapter.adept.prompt=p_tuning"],
        "has no prompt of its own",
    );
    refused(
        "pt",
        &world.root.path().join("bitfit"),
        &[],
        "expected an adapter with a soft prompt",
    );
    refused("pt", &other, &[], "`adapter.init_from`");
    refused("pt", &world.root.path().join("nothing"), &[], "nothing");
    refused("pt", world.root.path(), &[], "adapter_config.json");
    let rows = Path::new(env!("CARGO_MANIFEST_DIR")).join("../adept-core/tests/fixtures/rows/array.npy");
    refused("pt", &rows, &["adapter.virtual_tokens=3"], "values a token, found 4");
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let refused = |settings: &[&str], expected: &str| {
        let all: Vec<String> = settings.iter().map(ToString::to_string).collect();
        let error = adept_train::config::resolve(None, &all).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(
        &["adapter.init=adapter"],
        "`adapter.init_from` = \"\": must name an adapter",
    );
    refused(
        &["adapter.init_from=x"],
        "must be empty unless `adapter.init` is `adapter`",
    );
    refused(
        &["adapter.init=adapter", "adapter.init_from=x", "adapter.method=full"],
        "must be left out with method full",
    );
}
