//! The subject of a verification: a backbone on the plain and on the autodiff backend, the golden batch, and the golden
//! adapters.

use std::collections::BTreeMap;

use adept_core::{AdaptedInput, Adapter, AdapterConfig, Encoder, Method, PTuningConfig, ResidualConfig};
use adept_data::Batch;
use adept_models::Backbone;
use adept_train::target::TrainBackbone;
use adept_train::upload;
use burn::module::Module;
use burn::tensor::TensorData;
use burn::tensor::backend::{AutodiffBackend, Backend};

use super::golden::Golden;
use super::{NotChecked, VerifyError};

/// A prompt adapter of golden folders.
#[derive(Debug, Clone, Copy)]
pub(super) struct PromptCase {
    /// First part of its tensors' and groups' names.
    pub name: &'static str,
    pub method: Method,
    /// Whether older folders lack it.
    is_optional: bool,
}

const fn case(name: &'static str, method: Method, is_optional: bool) -> PromptCase {
    PromptCase {
        name,
        method,
        is_optional,
    }
}

/// The prompt adapters, in the order of reports.
const PROMPTS: [PromptCase; 6] = [
    case("pt", Method::Pt, false),
    case("dept", Method::Dept, false),
    case("adept", Method::Adept, false),
    case("residual", Method::Residual, true),
    case("p_tuning_mlp", Method::PTuning, true),
    case("p_tuning_lstm", Method::PTuning, true),
];

/// The prompt adapters to check; those that the folder lacks are added to `missing`.
pub(super) fn prompts(golden: &Golden, missing: &mut Vec<NotChecked>) -> Vec<PromptCase> {
    let is_there = |case: &PromptCase| !case.is_optional || golden.has(&format!("{}.logits", case.name));
    let (there, lacking): (Vec<_>, Vec<_>) = PROMPTS.into_iter().partition(is_there);
    missing.extend(lacking.into_iter().map(|case| NotChecked {
        group: case.name.to_owned(),
        reason: "The golden folder does not hold it.".to_owned(),
    }));
    there
}

impl PromptCase {
    /// Name in the golden file of a tensor of that name in adapter files.
    pub fn tensor(self, file: &str) -> &str {
        match (self.method, file) {
            (_, "prompt_embeddings") => "prompt",
            (Method::Dept, "lora_embedding_A") => "a",
            (Method::Dept, "lora_embedding_B") => "b",
            (_, "lora_embedding_A") => "w_down",
            (_, "lora_embedding_a") => "b1",
            (_, "lora_embedding_B") => "w_up",
            (_, "lora_embedding_b") => "b2",
            (_, same) => same,
        }
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
    pub fn new(mut inner: M::Inner, golden: &'a Golden, batch: Batch, device: &'a AB::Device) -> Self {
        inner.prepare(golden.precision());
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
        AdaptedInput::new(self.inner.embed(ids), mask)
    }

    /// The golden adapter on any backend with the same device.
    pub fn adapter<B: Backend<Device = AB::Device>>(&self, case: PromptCase) -> Result<Adapter<B>, VerifyError> {
        let config = self.adapter_config(case)?;
        let sites = self.inner.sites();
        let mut tensors = BTreeMap::new();
        for (file, shape) in config.tensor_shapes(&sites)? {
            let name = format!("{}.{}", case.name, case.tensor(&file));
            let values = self.golden.floats(case.name, &name, &shape)?;
            let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
            tensors.insert(file, TensorData::new(values, shape));
        }
        Ok(Adapter::from_tensors(&config, &sites, tensors, self.device)?)
    }

    /// The golden adapter's configuration.
    pub fn adapter_config(&self, case: PromptCase) -> Result<AdapterConfig, VerifyError> {
        let (d_model, name, golden) = (self.inner.d_model(), case.name, self.golden);
        let prompt = match case.method {
            Method::PTuning => "embedding.weight",
            _ => "prompt",
        };
        let [m, _] = golden.shape(name, &format!("{name}.{prompt}"))?;
        Ok(match case.method {
            Method::Pt => AdapterConfig::pt(d_model, m),
            Method::Dept => {
                let [rank, _] = golden.shape(name, &format!("{name}.b"))?;
                AdapterConfig::dept(d_model, m, rank, self.batch.source_width)
            }
            Method::Residual => {
                let [hidden] = golden.shape(name, &format!("{name}.up.bias"))?;
                ResidualConfig::new(d_model, m, hidden).into()
            }
            Method::PTuning => {
                let recurrent = format!("{name}.lstm_head.weight_hh_l0");
                let (encoder, hidden) = match golden.has(&recurrent) {
                    true => (Encoder::Lstm, golden.shape::<2>(name, &recurrent)?[1]),
                    false => (
                        Encoder::Mlp,
                        golden.shape::<1>(name, &format!("{name}.mlp_head.0.bias"))?[0],
                    ),
                };
                PTuningConfig::new(d_model, m, encoder, hidden).into()
            }
            _ => {
                let [rank] = golden.shape(name, &format!("{name}.b1"))?;
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
