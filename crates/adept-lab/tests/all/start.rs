//! Adapters that start from another adapter, run or prompt.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use crate::common::{AB, alone};
use crate::run::settings;
use crate::world::world;
use adept_core::{Adapter, AdapterMetadata, Fingerprint, Intervention as _, file};
use adept_lab::run::{LoadedBackbone, load_backbone, run};
use adept_models::Backbone as _;
use adept_train::TrainError;
use adept_train::config::Resolved;
use adept_train::initial::{adapter_config, build_adapter};
use adept_train::observer::{Event, Observer};
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
        let backbone = load_backbone::<Flex>(&path, &Default::default(), None).unwrap();
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
            None,
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
    refused(
        "attempt",
        &folder,
        &["adapter.sources=x"],
        "attempt has no prompt of its own",
    );
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
    refused("pt", &other, &[], "a prompt or adapter to start from");
    refused("pt", &world.root.path().join("nothing"), &[], "nothing");
    refused("pt", world.root.path(), &[], "adapter_config.json");
    let rows = Path::new(env!("CARGO_MANIFEST_DIR")).join("../adept-core/tests/fixtures/rows/array.npy");
    refused("pt", &rows, &["adapter.virtual_tokens=3"], "values a token, found 4");
}

#[test]
fn an_adapter_of_other_constants_is_refused_but_not_one_of_other_dropout() {
    let world = World::new();
    let lora = world.root.path().join("lora");
    world.saved("lora", &lora, &world.backbone.fingerprint);
    let error = world
        .from("lora", &lora, &["adapter.lora.alpha=7"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("alpha"), "{error}");
    assert!(world.from("lora", &lora, &["adapter.lora.dropout=0.2"]).is_ok());
    let dept = world.root.path().join("dept");
    world.saved("dept", &dept, &world.backbone.fingerprint);
    let error = world
        .from("dept", &dept, &["adapter.dept_alpha=3"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("scale"), "{error}");
}

/// A prompt of these rows in a file.
fn saved_rows(world: &World, name: &str, rows: &[[f32; 16]]) -> std::path::PathBuf {
    let path = world.root.path().join(name);
    let values: Vec<u8> = rows.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![rows.len(), 16], &values).unwrap();
    fs::write(&path, safetensors::serialize([("prompt", view)], None).unwrap()).unwrap();
    path
}

#[test]
fn the_nearest_prompt_is_the_one_whose_mean_token_points_the_same_way() {
    let world = World::new();
    // Of five tokens; far away in the same direction, near in another one.
    let prompt = |direction: f32, size: f32| {
        let mut token = [0.0; 16];
        token[0] = size;
        token[1] = direction * size;
        [token; 5]
    };
    let target = saved_rows(&world, "target.safetensors", &prompt(1.0, 1.0));
    let far = saved_rows(&world, "far.safetensors", &prompt(1.1, 50.0));
    let near = saved_rows(&world, "near.safetensors", &prompt(-0.5, 1.0));
    let sources = format!("adapter.sources={},{}", near.display(), far.display());
    let target = format!("adapter.init_from={}", target.display());
    let found = world.built("pt", &["adapter.init=nearest", &target, &sources]).unwrap();
    let expected = prompt(1.1, 50.0).concat();
    assert_eq!(found.prompt().unwrap().into_data().to_vec::<f32>().unwrap(), expected);

    let settings = ["adapter.init=nearest".to_owned(), target];
    let error = adept_train::config::resolve(None, &settings).unwrap_err().to_string();
    assert!(error.contains("`adapter.sources`"), "{error}");
}

#[test]
fn prompts_to_mix_are_read_in_their_order() {
    let world = World::new();
    let rows = |value: f32| [[value; 16]; 5];
    let paths = [1.0, 2.0].map(|value| saved_rows(&world, &format!("{value}.safetensors"), &rows(value)));
    let sources = format!("adapter.sources={},{}", paths[0].display(), paths[1].display());
    let adapter = world.built("attempt", &[&sources]).unwrap();
    let Adapter::Attempt(adapter) = adapter else {
        panic!("{adapter:?}")
    };
    assert_eq!(adapter.sources.dims(), [2, 5, 16]);
    let all: Vec<f32> = adapter.sources.to_data().to_vec().unwrap();
    assert_eq!(all, [rows(1.0).concat(), rows(2.0).concat()].concat());
    // The trained prompt starts as the first of them.
    assert_eq!(
        adapter.targets.val().into_data().to_vec::<f32>().unwrap(),
        rows(1.0).concat()
    );

    let error = world.built("attempt", &[]).unwrap_err().to_string();
    assert!(error.contains("`adapter.sources` is empty"), "{error}");
    let error = world
        .built("attempt", &[&sources, "adapter.virtual_tokens=4"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("expected 4 virtual tokens"), "{error}");
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

/// Counts the examples that were judged.
#[derive(Default)]
struct Judged(usize, Option<usize>);

impl Observer for Judged {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::JudgingProgress { .. } => self.0 += 1,
            Event::Progress { step, .. } if self.1.is_some() => self.1 = self.1.map(|most| most.min(*step + 1)),
            _ => {}
        }
    }

    fn stop_requested(&mut self) -> bool {
        self.1 == Some(2)
    }
}

/// The channels that a side network starts from are those of its task, chosen once for a run.
#[test]
fn a_side_network_starts_from_gradients_of_its_training_rows() {
    let _turn = alone();
    let world = World::new();
    let begun = |init: &str, out: &str, observer: &mut dyn Observer| {
        let init = format!("adapter.lst.init={init}");
        let more = [
            init.as_str(),
            "adapter.lst.init_examples=6",
            "adapter.lst.reduction=2",
            "train.steps=2",
            "train.batch_size=2",
            "evaluation.every=1",
            "checkpoint.every=1",
        ];
        let out = world.root.path().join(out);
        let settings = world.settings("lst", &more);
        let (device, means) = (Default::default(), Default::default());
        run::<AB>(&settings, &out, &device, &means, observer)
            .map(|_| fs::read(out.join("best/adapter_model.safetensors")))
    };
    let mut judged = Judged::default();
    let of_gradients = begun("gradients", "gradients", &mut judged).unwrap().unwrap();
    assert_eq!(judged.0, 6);
    let mut none = Judged::default();
    let of_weights = begun("pruned", "weights", &mut none).unwrap().unwrap();
    assert_eq!(none.0, 0);
    assert!(of_gradients != of_weights, "both chose the same channels");

    let mut stopping = Judged(0, Some(usize::MAX));
    let stopped = begun("gradients", "stopped", &mut stopping).unwrap_err();
    assert!(matches!(stopped, TrainError::Interrupted { step: 1 }), "{stopped}");
    let mut resumed = Judged::default();
    assert!(begun("gradients", "stopped", &mut resumed).unwrap().unwrap() == of_gradients);
    assert_eq!(resumed.0, 0, "a run that goes on need not choose again");
}
