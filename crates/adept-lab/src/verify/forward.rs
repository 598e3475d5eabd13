//! Forward checks shared by encoder-decoders and decoder-only models.

use adept_core::AdaptedInput;
use adept_models::cross_entropy;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

use super::compare::{Class, Group, limit, read_back, read_integers};
use super::golden::Golden;
use super::{GroupRow, VerifyError};

/// New tokens of the golden greedy output.
pub(super) const NEW_TOKENS: usize = 20;
/// The smallest margin of a golden greedy choice that float32 noise cannot bridge.
const LEAST_MARGIN: f64 = 2e-3;

/// The backbone's input with an adapter, and its mask.
pub(super) fn input<B: Backend>(
    case: &str,
    golden: &Golden,
    input: &AdaptedInput<B>,
) -> Result<[GroupRow; 2], VerifyError> {
    let name = format!("{case}.inputs_embeds");
    let mut embeddings = Group::new(golden, &name, Class::Logits);
    embeddings.tensor(&name, input.embeddings.clone())?;
    let name = format!("{case}.attention_mask");
    let mut mask = Group::new(golden, &name, Class::Exact);
    let ones = read_integers(&name, input.mask.clone().int())?;
    mask.integers(&name, &input.mask.dims(), &ones)?;
    Ok([embeddings.finish()?, mask.finish()?])
}

/// A group with a single tensor of the same name.
pub(super) fn single<B: Backend, const D: usize>(
    golden: &Golden,
    name: &str,
    class: Class,
    tensor: Tensor<B, D>,
) -> Result<GroupRow, VerifyError> {
    let mut group = Group::new(golden, name, class);
    group.tensor(name, tensor)?;
    group.finish()
}

/// Loss per token for logits `[batch, slots, vocab]` and labels `[batch, slots]`; 0 where labels are ignored.
pub(super) fn loss_per_token<B: Backend>(
    golden: &Golden,
    logits: Tensor<B, 3>,
    labels: Tensor<B, 2, Int>,
) -> Result<GroupRow, VerifyError> {
    let name = "base.loss_per_token";
    let [rows, width, vocabulary] = logits.dims();
    let mut losses = Vec::with_capacity(rows * width);
    for row in 0..rows {
        for slot in 0..width {
            let one = logits.clone().slice([row..row + 1, slot..slot + 1, 0..vocabulary]);
            let loss = cross_entropy(one, labels.clone().slice([row..row + 1, slot..slot + 1]));
            losses.extend(read_back(name, loss)?.iter::<f64>());
        }
    }
    let mut group = Group::new(golden, name, Class::Loss);
    group.values(name, &[rows, width], &losses)?;
    group.finish()
}

/// Compares greedy ids with one golden sequence per row.
pub(super) fn sequences(golden: &Golden, name: &str, rows: &[Vec<u32>]) -> Result<GroupRow, VerifyError> {
    let ids: Vec<i64> = rows.iter().flatten().map(|id| i64::from(*id)).collect();
    let mut group = Group::new(golden, name, Class::Exact);
    group.integers(name, &[rows.len(), NEW_TOKENS], &ids)?;
    group.finish()
}

/// Compares margins of greedy choices. Golden margins that rounding may bridge are an error: different ids would prove
/// nothing.
pub(super) fn margins(golden: &Golden, name: &str, rows: &[Vec<f32>]) -> Result<GroupRow, VerifyError> {
    let shape = [rows.len(), NEW_TOKENS];
    let margins = golden.floats(name, name, &shape)?.iter().copied();
    let smallest = margins.fold(f64::INFINITY, f64::min);
    let noise = golden.noise(name).unwrap_or_default();
    let least = LEAST_MARGIN.max(limit::NOISE * noise);
    if smallest < least {
        return Err(VerifyError::Margin {
            path: golden.path().to_owned(),
            tensor: name.to_owned(),
            found: smallest,
            least,
        });
    }
    let margins: Vec<f64> = rows.iter().flatten().map(|margin| f64::from(*margin)).collect();
    let mut group = Group::new(golden, name, Class::Margin);
    group.values(name, &shape, &margins)?;
    group.finish()
}
