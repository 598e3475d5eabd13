//! `adept verify`: compares this program, on any backend, with values computed by PyTorch.
//!
//! A golden folder (its layout is described in `tests/generators/golden_t5.py` and `golden_causal.py`, which generate
//! the project's own) contains a tiny random T5 or decoder and the values that transformers, peft and torch's
//! AdamW compute with it. Verification computes the same values with the code used in training and inference — the
//! backbone, the adapters, the batches of joined rows, the loop's loss and gradients, the optimiser with its groups and
//! schedule, generation, label scoring, the tokenizer — and reports the largest deviation of each group against its
//! tolerance ([`limit`]). This shows users on their own machine, with their own driver, whether a backend computes what
//! the paper's equations say.
//!
//! | file | what |
//! |---|---|
//! | `golden` | the golden file |
//! | `subject` | backbone, batch and prompt adapters being checked |
//! | `seq2seq` | checks of T5 |
//! | `causal`, `greedy`, `rope` | checks of decoders |
//! | `exact`, `forward`, `train` | checks shared by the families |
//! | `methods` | methods with an adapter folder of their own: LoRA, (IA)³, BitFit, .. |
//! | `compare`, `report` | deviations, and the verdict |
//!
//! Tolerances are absolute, chosen for the tiny models of this repository. If the folder contains `noise.json` (the
//! deviation of PyTorch's float32 from its float64 and the scale of the values, per tensor), they increase with that
//! noise ([`limit::NOISE`]), so that models of real size can be checked too.
//!
//! A group that cannot be checked because something is missing is an error, never a pass. Only values for methods that
//! change weights (`weights.safetensors`, `ia3/`), for prompts made by networks (`prompts.safetensors`) and for further
//! methods (`methods.safetensors` and their folders) are optional; the report lists what is missing.

mod causal;
mod compare;
mod error;
mod exact;
mod forward;
mod golden;
mod greedy;
mod methods;
mod report;
mod rope;
mod seq2seq;
mod subject;
mod train;

pub use compare::limit;
pub use error::VerifyError;
pub use report::{GroupRow, NotChecked, VerifyReport};

use std::path::Path;

use adept_models::{Decoder, Family, Precision};
use burn::tensor::backend::AutodiffBackend;

use golden::Golden;

/// [`verify_in`] in float32.
///
/// # Errors
/// As [`verify_in`].
pub fn verify<AB: AutodiffBackend>(
    backbone: &Path,
    golden: &Path,
    device: &AB::Device,
) -> Result<VerifyReport, VerifyError> {
    verify_in::<AB>(backbone, golden, Precision::F32, device)
}

/// Checks the backbone in `backbone`, of the family in its `config.json`, against the golden folder (or its
/// `golden.safetensors`) `golden` on `device`, with the products of its frozen weights in a precision. Below float32,
/// tolerances are of a class of their own ([`limit::BF16_LOGITS`] and those that follow it), and tokens of
/// greedy generation are not checked.
///
/// # Errors
/// Anything that prevents a group from being checked. A deviation beyond its tolerance is not an error but a row that
/// did not pass.
pub fn verify_in<AB: AutodiffBackend>(
    backbone: &Path,
    golden: &Path,
    precision: Precision,
    device: &AB::Device,
) -> Result<VerifyReport, VerifyError> {
    let (folder, file) = match golden.is_dir() {
        true => (golden.to_owned(), golden.join("golden.safetensors")),
        false => (
            golden.parent().map(Path::to_owned).unwrap_or_default(),
            golden.to_owned(),
        ),
    };
    let golden = Golden::open(&file, precision)?;
    let family = Family::of(backbone)?;
    let mut missing = Vec::new();
    let rows = match family {
        Family::T5 => seq2seq::check::<AB>(backbone, &folder, &golden, device, &mut missing)?,
        _ => {
            let model = Decoder::<AB::InnerBackend>::load(backbone, device)?.model;
            let tables = rope::check(&golden, &model, device)?;
            causal::check::<AB, Decoder<AB>>(backbone, &folder, &golden, (model, tables), device, &mut missing)?
        }
    };
    let rows = match precision {
        Precision::F32 | Precision::Bf16x3 => rows,
        Precision::Bf16 => without_greedy(rows, &mut missing),
    };
    Ok(VerifyReport {
        backbone: backbone.to_owned(),
        backend: AB::name(device),
        not_checked: not_checked(&golden, missing),
        golden: file,
        rows,
    })
}

/// Leaves out greedy tokens and their margins: with random weights the next logits are nearer to each other than
/// bfloat16 resolves, and the first other token changes all that follow.
fn without_greedy(rows: Vec<GroupRow>, missing: &mut Vec<NotChecked>) -> Vec<GroupRow> {
    let (greedy, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.group.contains(".gen_"));
    missing.extend(greedy.into_iter().map(|row| NotChecked {
        group: row.group,
        reason: "bfloat16 does not resolve which of two near logits is larger.".to_owned(),
    }));
    rows
}

/// What the folder lacks, and tensors of the file that belong to no checked group.
fn not_checked(golden: &Golden, missing: Vec<NotChecked>) -> Vec<NotChecked> {
    let unknown = golden.unread().map(|name| NotChecked {
        group: name.to_owned(),
        reason: "This program does not know the tensor.".to_owned(),
    });
    missing.into_iter().chain(unknown).collect()
}
