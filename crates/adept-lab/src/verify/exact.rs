//! Exact checks, shared by all families: tokenizer, schedule, the prompt saved by peft.

use std::path::Path;

use adept_core::Intervention as _;
use adept_data::TextTokenizer;
use adept_models::Backbone as _;
use adept_train::schedule::multiplier;
use adept_train::target::TrainBackbone;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use serde::Deserialize;

use super::compare::{Class, Group};
use super::golden::{self, Golden};
use super::subject::Subject;
use super::{GroupRow, VerifyError};

/// Warm-up steps of the golden schedule, which has 10 steps.
pub(super) const WARMUP: usize = 2;
pub(super) const TOTAL: usize = 10;

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    ids_no_special: Vec<u32>,
    decoded: String,
    decoded_with_special: String,
}

/// Encodes and decodes texts, with and without special tokens.
pub(super) fn tokenizer(backbone: &Path, folder: &Path, golden: &Golden) -> Result<GroupRow, VerifyError> {
    let path = folder.join("tokenizer_cases.json");
    let cases: Vec<Case> = serde_json::from_slice(&golden::read(&path)?).map_err(|source| VerifyError::Json {
        path: path.clone(),
        source,
    })?;
    if cases.is_empty() {
        return Err(VerifyError::NoCases {
            path,
            group: "tokenizer".to_owned(),
        });
    }
    let tokenizer = TextTokenizer::from_dir(backbone)?;
    let mut group = Group::new(golden, "tokenizer", Class::Exact);
    let mut different = 0usize;
    let mut first = String::new();
    for (index, case) in cases.iter().enumerate() {
        let equal = tokenizer.encode(&case.text, usize::MAX)? == case.ids
            && tokenizer.encode_continuation(&case.text)? == case.ids_no_special
            && tokenizer.decode(&case.ids, true)? == case.decoded
            && tokenizer.decode(&case.ids, false)? == case.decoded_with_special;
        if !equal {
            different += 1;
            if first.is_empty() {
                first = format!("case {index}: {:.40?}", case.text);
            }
        }
    }
    group.count(cases.len(), &first, different);
    group.finish()
}

/// Checks the learning-rate multipliers.
pub(super) fn schedule(golden: &Golden) -> Result<GroupRow, VerifyError> {
    let computed: Vec<f64> = (0..=TOTAL).map(|step| multiplier(step, WARMUP, TOTAL)).collect();
    let mut group = Group::new(golden, "schedule", Class::Exact);
    group.values("schedule", &[TOTAL + 1], &computed)?;
    group.finish()
}

/// Checks the prompt saved by peft, read as an adapter file.
pub(super) fn peft_prompt<AB: AutodiffBackend, M: TrainBackbone<AB>>(
    folder: &Path,
    subject: &Subject<'_, AB, M>,
) -> Result<GroupRow, VerifyError> {
    let (adapter, _) =
        adept_core::file::load::<AB::InnerBackend>(&folder.join("pt_peft"), &subject.inner.sites(), subject.device)?;
    let mut group = Group::new(subject.golden, "pt_peft", Class::Exact);
    let prompt = adapter
        .prompt()
        .unwrap_or_else(|| Tensor::zeros([0, 0], subject.device));
    group.tensor("pt.prompt", prompt)?;
    group.finish()
}
