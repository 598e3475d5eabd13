//! Checks of rotary positions: the tables of CodeGen and Llama, the published Llamas' frequencies, and Llama without
//! scaling.

use adept_models::{Decoder, DecoderConfig, Family, LlamaConfig, RopeScaling};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

use super::compare::{Class, Group};
use super::golden::Golden;
use super::{GroupRow, VerifyError, causal};

/// The tables of those families whose golden folders have them.
pub(super) fn check<B: Backend>(
    golden: &Golden,
    model: &Decoder<B>,
    device: &B::Device,
) -> Result<Vec<GroupRow>, VerifyError> {
    match model.config().family {
        Family::CodeGen => codegen(golden, model, device),
        Family::Llama => llama(golden, model, device),
        _ => Ok(Vec::new()),
    }
}

/// CodeGen's table: sines, then cosines, of each position.
fn codegen<B: Backend>(golden: &Golden, model: &Decoder<B>, device: &B::Device) -> Result<Vec<GroupRow>, VerifyError> {
    let name = "rope.sincos";
    let [positions, _] = golden.shape(name, name)?;
    let angles = model.config().rotary().angles(count::<B>(positions, device));
    let table = Tensor::cat(vec![angles.sin, angles.cos], 2);
    Ok(vec![super::forward::single(golden, name, Class::Logits, flat(table))?])
}

/// Llama's frequencies and tables, and the logits of the same weights without scaling.
fn llama<B: Backend>(golden: &Golden, model: &Decoder<B>, device: &B::Device) -> Result<Vec<GroupRow>, VerifyError> {
    let plain = model.clone().with_rope_scaling(None);
    Ok(vec![
        frequencies(golden, model.config())?,
        tables(golden, model, device)?,
        causal::bare_logits(golden, "base.logits_unscaled_rope", &plain, device)?,
    ])
}

/// Frequencies relative to the golden ones: the slowest are a millionth of the fastest.
fn frequencies(golden: &Golden, config: &DecoderConfig) -> Result<GroupRow, VerifyError> {
    const GROUP: &str = "rope.inv_freq";
    let published = |head_dim, rope_scaling| {
        DecoderConfig::from(&LlamaConfig {
            head_dim,
            rope_scaling,
            ..LlamaConfig::llama_3_8b()
        })
    };
    let stretched = |factor| {
        Some(RopeScaling::Llama3 {
            factor,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192.0,
        })
    };
    let mut group = Group::new(golden, GROUP, Class::Frequency);
    for (name, config) in [
        (GROUP, config),
        ("rope.inv_freq_8b_v3", &published(128, None)),
        ("rope.inv_freq_8b_v3_1", &published(128, stretched(8.0))),
        ("rope.inv_freq_1b_v3_2", &published(64, stretched(32.0))),
    ] {
        let rotary = config.rotary();
        let computed = rotary.frequencies();
        let expected = golden.floats(GROUP, name, &[computed.len()])?;
        let ratios: Vec<f64> = computed
            .iter()
            .zip(expected)
            .map(|(computed, expected)| f64::from(*computed) / expected)
            .collect();
        // Ratios have no scale to relate the noise to.
        group.derived(name, &vec![1.0; ratios.len()], &ratios, 0);
    }
    group.finish()
}

/// Cosines and sines; the golden tables repeat them for both halves of a head's channels.
fn tables<B: Backend>(golden: &Golden, model: &Decoder<B>, device: &B::Device) -> Result<GroupRow, VerifyError> {
    const GROUP: &str = "rope.tables";
    let [positions, _] = golden.shape(GROUP, "rope.cos")?;
    let angles = model.config().rotary().angles(count::<B>(positions, device));
    let mut group = Group::new(golden, GROUP, Class::Logits);
    for (name, table) in [("rope.cos", angles.cos), ("rope.sin", angles.sin)] {
        group.tensor(name, flat(Tensor::cat(vec![table.clone(), table], 2)))?;
    }
    group.finish()
}

/// Positions `[1, n]` from 0.
fn count<B: Backend>(positions: usize, device: &B::Device) -> Tensor<B, 2, Int> {
    Tensor::<B, 1, Int>::arange(0..positions as i64, device).reshape([1, positions])
}

fn flat<B: Backend>(table: Tensor<B, 3>) -> Tensor<B, 2> {
    let [_, positions, width] = table.dims();
    table.reshape([positions, width])
}
