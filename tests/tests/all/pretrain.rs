//! The pretraining step compared with PyTorch and transformers: losses of a span-corrupted batch and of a task batch,
//! the gradient of their mean, and every tensor after three steps with AdamW and with Adafactor.
//!
//! The fixture is made by `tests/generators/golden_pretrain.py`, which states how far typical mistakes would change it;
//! its tolerances are at least three times the error of float32.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use adept_core::Unchanged;
use adept_data::{Batch, IGNORED_LABEL};
use adept_models::{T5, unfreeze};
use adept_train::gradient::GradientSet;
use adept_train::learner::{loss, pass};
use adept_train::pretrain::{PretrainConfig, learner, resolve};
use burn::backend::Autodiff;
use burn::module::AutodiffModule;
use burn::tensor::backend::AutodiffBackend;
use burn_flex::Flex;
use burn_ndarray::NdArray;
use safetensors::tensor::SafeTensors;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/pretrain")
}

struct Golden {
    values: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
    about: BTreeMap<String, serde_json::Value>,
}

impl Golden {
    fn read() -> Self {
        let bytes = std::fs::read(folder().join("golden.safetensors")).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let text = metadata.metadata().clone().unwrap();
        let about = text
            .into_iter()
            .filter_map(|(key, value)| Some((key, serde_json::from_str(&value).ok()?)))
            .collect();
        let values = SafeTensors::deserialize(&bytes)
            .unwrap()
            .tensors()
            .into_iter()
            .map(|(name, view)| {
                let values = match view.dtype() {
                    safetensors::Dtype::I64 => view
                        .data()
                        .chunks_exact(8)
                        .map(|x| i64::from_le_bytes(x.try_into().unwrap()) as f64)
                        .collect(),
                    _ => view
                        .data()
                        .chunks_exact(4)
                        .map(|x| f64::from(f32::from_le_bytes(x.try_into().unwrap())))
                        .collect(),
                };
                (name, (view.shape().to_vec(), values))
            })
            .collect();
        Self { values, about }
    }

    fn batch(&self, name: &str) -> Batch {
        let (shape, inputs) = &self.values[&format!("batch/{name}/inputs")];
        let (target, labels) = &self.values[&format!("batch/{name}/labels")];
        assert!(labels.iter().all(|label| *label >= f64::from(IGNORED_LABEL)));
        Batch {
            rows: (0..shape[0]).collect(),
            batch: shape[0],
            source_width: shape[1],
            target_width: target[1],
            input_ids: inputs.iter().map(|id| *id as i32).collect(),
            mask: inputs.iter().map(|id| *id != 0.0).collect(),
            labels: labels.iter().map(|id| *id as i32).collect(),
            positions: Vec::new(),
        }
    }

    /// A configuration with the fixture's constants.
    fn config(&self, optimizer: &str) -> PretrainConfig {
        let number = |key: &str| self.about[key].as_f64().unwrap();
        let mut set = vec![
            "text.files=none".to_owned(),
            "mixture.task_share=0".to_owned(),
            format!("optimizer.name={optimizer}"),
            format!("optimizer.weight_decay={}", number("weight_decay")),
            format!("optimizer.clip_norm={}", number("clip_norm")),
            format!("optimizer.embedding_factor={}", number("embedding_factor")),
            // PyTorch's AdamW has no parameter scale; Adafactor's is part of the comparison.
            format!("optimizer.multiply_by_parameter_scale={}", optimizer == "adafactor"),
            "schedule.warmup_steps=2".to_owned(),
            "schedule.decay_steps=2".to_owned(),
            "train.steps=5".to_owned(),
        ];
        for (key, value) in self.about[optimizer].as_object().unwrap() {
            set.push(format!("optimizer.{key}={value}"));
        }
        resolve(None, &set).unwrap().config
    }

    /// Compares values with those of one kind in the fixture, by Hugging Face's names.
    #[track_caller]
    fn check(&self, kind: &str, limit: &str, found: &BTreeMap<String, Vec<f32>>) {
        let limit = self.about["limits"][limit].as_f64().unwrap();
        let names: Vec<_> = self.values.keys().filter_map(|name| name.strip_prefix(kind)).collect();
        assert_eq!(names, found.keys().collect::<Vec<_>>());
        for (name, found) in found {
            let expected = &self.values[&format!("{kind}{name}")].1;
            assert_eq!(expected.len(), found.len(), "{name}");
            for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
                let off = (expected - f64::from(*found)).abs();
                assert!(
                    off <= limit,
                    "{kind}{name}[{index}]: {found}, expected {expected}, off by {off:.1e}"
                );
            }
        }
    }
}

/// A model's tensors with Hugging Face's names and layout.
fn tensors<B: burn::tensor::backend::Backend>(model: &T5<B>) -> BTreeMap<String, Vec<f32>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    model.save_pretrained(&path).unwrap();
    let bytes = std::fs::read(path.join("model.safetensors")).unwrap();
    SafeTensors::deserialize(&bytes)
        .unwrap()
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let values = view
                .data()
                .chunks_exact(4)
                .map(|x| f32::from_le_bytes(x.try_into().unwrap()));
            (name, values.collect())
        })
        .collect()
}

fn check<AB: AutodiffBackend>(device: &AB::Device) {
    let golden = Golden::read();
    let batches = [golden.batch("text"), golden.batch("tasks")];
    for name in ["adamw", "adafactor"] {
        let config = golden.config(name);
        let loaded = T5::<AB::InnerBackend>::load(&folder(), device).unwrap().model;
        let mut model = unfreeze::<AB, T5<AB>>(T5::from_inner(loaded));
        let mut optimizer = learner::optimizer::<AB::InnerBackend>(&config);
        for step in 0..golden.about["steps"].as_u64().unwrap() as usize {
            let mut gradients = GradientSet::default();
            let mut losses = BTreeMap::new();
            for (batch, kind) in batches.iter().zip(["text", "tasks"]) {
                let loss = loss::<AB, T5<AB>>(&model, &Unchanged, batch, 0.0.into(), device);
                let (loss, gradient) = pass::<AB, _>(&model, loss, None, 0.5);
                losses.insert(kind.to_owned(), loss.into_data().convert::<f32>().to_vec().unwrap());
                gradients.accumulate(gradient);
            }
            let norm = gradients.global_norm().unwrap();
            if step == 0 {
                golden.check("loss/", "loss", &losses);
                let norm: Vec<f32> = norm.clone().into_data().convert::<f32>().to_vec().unwrap();
                golden.check("norm", "loss", &[(String::new(), norm)].into());
                golden.check("gradient/", "gradient", &as_model(&model, &gradients));
            }
            gradients.clip(&norm, config.optimizer.clip_norm);
            let rate = config.optimizer.learning_rate * config.schedule().multiplier(step);
            let rates = [rate * config.optimizer.embedding_factor, rate];
            model = optimizer.step::<AB, _>(model, gradients, &rates);
        }
        golden.check(&format!("after/{name}/"), "after", &tensors(&model.valid()));
    }
}

/// The model with its parameters replaced by gradients, so that they are named and laid out like weights.
fn as_model<AB: AutodiffBackend>(
    model: &T5<AB>,
    gradients: &GradientSet<AB::InnerBackend>,
) -> BTreeMap<String, Vec<f32>> {
    use burn::module::{Module, ModuleMapper, Param};
    use burn::tensor::Tensor;

    struct Put<'a, AB: AutodiffBackend>(Vec<String>, &'a GradientSet<AB::InnerBackend>);
    impl<AB: AutodiffBackend> ModuleMapper<AB> for Put<'_, AB> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.pop();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<AB, D>>) -> Param<Tensor<AB, D>> {
            let (id, tensor, mapper) = param.consume();
            let path = self.0.join(".");
            let gradient = self.1.get(&path).unwrap_or_else(|| panic!("{path} has a gradient"));
            let gradient = Tensor::from_inner(gradient.clone().reshape(tensor.shape()));
            Param::from_mapped_value(id, gradient, mapper)
        }
    }
    tensors(&Module::<AB>::map(model.clone(), &mut Put::<AB>(Vec::new(), gradients)).valid())
}

#[test]
fn the_fused_kernels_step_as_pytorch_does() {
    check::<Autodiff<Flex>>(&Default::default());
}

#[test]
fn composed_operations_step_as_pytorch_does() {
    check::<Autodiff<NdArray>>(&Default::default());
}
