//! The subject of a verification: a backbone on the plain and on the autodiff backend, the golden batch, and the golden
//! adapters.

use std::collections::BTreeMap;

use adept_core::{AdaptedInput, Adapter, AdapterConfig, Method};
use adept_data::Batch;
use adept_models::Backbone;
use adept_train::target::TrainBackbone;
use adept_train::upload;
use burn::module::Module;
use burn::tensor::TensorData;
use burn::tensor::backend::{AutodiffBackend, Backend};

use super::VerifyError;
use super::golden::Golden;

/// The three names of an adapter's tensor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    /// Name in the golden file.
    pub golden: &'static str,
    /// Name in adapter files.
    pub file: &'static str,
    /// Path of the module's parameter, which determines its parameter group.
    pub path: &'static str,
}

const fn name(golden: &'static str, file: &'static str, path: &'static str) -> Name {
    Name { golden, file, path }
}

const PT: &[Name] = &[name("prompt", "prompt_embeddings", "Pt.prompt.weight")];
const DEPT: &[Name] = &[
    name("prompt", "prompt_embeddings", "Dept.prompt.weight"),
    name("a", "lora_embedding_A", "Dept.offset.Positional.a"),
    name("b", "lora_embedding_B", "Dept.offset.Positional.b"),
];
const ADEPT: &[Name] = &[
    name("prompt", "prompt_embeddings", "Adept.prompt.weight"),
    name("w_down", "lora_embedding_A", "Adept.offset.Adaptive.w_down"),
    name("b1", "lora_embedding_a", "Adept.offset.Adaptive.b1"),
    name("w_up", "lora_embedding_B", "Adept.offset.Adaptive.w_up"),
    name("b2", "lora_embedding_b", "Adept.offset.Adaptive.b2"),
];

/// Prompt methods included in golden folders.
pub(super) const PROMPTS: [Method; 3] = [Method::Pt, Method::Dept, Method::Adept];

/// Tensors of a prompt method's adapter, prompt first.
pub(super) fn names(method: Method) -> &'static [Name] {
    match method {
        Method::Pt => PT,
        Method::Dept => DEPT,
        Method::Adept => ADEPT,
        _ => &[],
    }
}

/// The backbone and the golden batch.
pub(super) struct Subject<'a, AB: AutodiffBackend, M: TrainBackbone<AB>> {
    pub golden: &'a Golden,
    pub device: &'a AB::Device,
    /// Used for evaluation.
    pub inner: M::Inner,
    /// Used for training: shares the storage, tracks no parameter.
    pub frozen: M,
    pub batch: Batch,
}

impl<'a, AB: AutodiffBackend, M: TrainBackbone<AB>> Subject<'a, AB, M> {
    /// Creates the backbone for training from the one for evaluation.
    pub fn new(inner: M::Inner, golden: &'a Golden, batch: Batch, device: &'a AB::Device) -> Self {
        Self {
            golden,
            device,
            frozen: Module::<AB>::no_grad(M::from_inner(inner.clone())),
            inner,
            batch,
        }
    }

    /// Embedded source and its mask.
    pub fn source(&self) -> AdaptedInput<AB::InnerBackend> {
        let (ids, mask) = upload::source::<AB::InnerBackend>(&self.batch, self.device);
        AdaptedInput {
            embeddings: self.inner.embed(ids),
            mask,
        }
    }

    /// The golden adapter of a method on any backend with the same device.
    pub fn adapter<B: Backend<Device = AB::Device>>(&self, method: Method) -> Result<Adapter<B>, VerifyError> {
        let config = self.adapter_config(method)?;
        let sites = self.inner.sites();
        let shapes: BTreeMap<_, _> = config.tensor_shapes(&sites)?.into_iter().collect();
        let mut tensors = BTreeMap::new();
        for name in names(method) {
            let shape = &shapes[name.file];
            let values = self
                .golden
                .floats(method.name(), &format!("{method}.{}", name.golden), shape)?;
            let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
            tensors.insert(name.file.to_owned(), TensorData::new(values, shape.clone()));
        }
        Ok(Adapter::from_tensors(&config, &sites, tensors, self.device)?)
    }

    fn adapter_config(&self, method: Method) -> Result<AdapterConfig, VerifyError> {
        let d_model = self.inner.d_model();
        let [m, _] = self.golden.shape(method.name(), &format!("{method}.prompt"))?;
        Ok(match method {
            Method::Pt => AdapterConfig::pt(d_model, m),
            Method::Dept => {
                let [rank, _] = self.golden.shape("dept", "dept.b")?;
                AdapterConfig::dept(d_model, m, rank, self.batch.source_width)
            }
            _ => {
                let [rank] = self.golden.shape("adept", "adept.b1")?;
                AdapterConfig::adept(d_model, m, rank)
            }
        })
    }
}

/// The golden batch from the file.
pub(super) fn batch<B: Backend>(golden: &Golden, backbone: &impl Backbone<B>) -> Result<Batch, VerifyError> {
    const GROUP: &str = "batch";
    let vocabulary = backbone.vocab_size();
    let [rows, source_width] = golden.shape(GROUP, "train.input_ids")?;
    let [_, target_width] = golden.shape(GROUP, "train.labels")?;
    let (source, target) = ([rows, source_width], [rows, target_width]);
    let ids = golden.ids(GROUP, "train.input_ids", &source, vocabulary, false)?;
    let mask = golden.integers(GROUP, "train.attention_mask", &source)?;
    let labels = golden.ids(GROUP, "train.labels", &target, vocabulary, true)?;
    // `ids` are below the vocabulary size, the row count of an embedding matrix, so they fit.
    let narrow = |ids: &[i64]| ids.iter().map(|id| *id as i32).collect();
    Ok(Batch {
        rows: (0..rows).collect(),
        batch: rows,
        source_width,
        target_width,
        input_ids: narrow(ids),
        mask: mask.iter().map(|attend| *attend != 0).collect(),
        labels: narrow(labels),
        positions: Vec::new(),
    })
}
