//! Gemma (arXiv 2403.08295), Gemma 2 (arXiv 2408.00118) and the text model of Gemma 3 (arXiv 2503.19786): Llamas with
//! scaled embeddings, norms whose weights are differences from 1, and a GELU gate. Gemma 2 norms what leaves a
//! sublayer, too, caps scores and logits, and has a sliding window in every other block; Gemma 3 norms heads instead of
//! capping scores, has windows in all but every sixth block, and other rotary positions there.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::llama::{self, Absent, Dialect};
use super::windows;
use crate::auto::Family;
use crate::decoder::config::{Activation, DecoderConfig, Pattern};
use crate::decoder::names::{self, Names};
use crate::decoder::norm::NormKind;
use crate::decoder::rope::Rope;
use crate::decoder::rope_fields::{LAYER_TYPES, RopeFields, Stated};
use crate::error::ModelError;
use crate::files::{ConfigFiles, Signs};
use crate::json::ABSENT;

/// Names of Gemma 2 and 3, which norm what leaves a sublayer.
const NAMES: Names = Names {
    after_attention: "post_attention_layernorm",
    before_feed_forward: "pre_feedforward_layernorm",
    after_feed_forward: "post_feedforward_layernorm",
    ..names::LLAMA
};

/// The first Gemma's. Its published files say `gelu` and mean the tanh form.
const DIALECT: Dialect = Dialect {
    family: Family::Gemma,
    signs: Signs::causal("gemma", "gemmafor"),
    activations: &["gelu_pytorch_tanh", "gelu", "gelu_new"],
    absent: Absent {
        positions: 8192,
        head_dim: Some(256),
        is_tied: true,
        eos: 1,
        pad: Some(0),
        ..llama::DIALECT.absent
    },
    ..llama::DIALECT
};

/// What Gemma 2 and 3 add.
#[derive(Debug, Deserialize)]
struct File {
    query_pre_attn_scalar: Option<f64>,
    final_logit_softcapping: Option<f64>,
    attn_logit_softcapping: Option<f64>,
    sliding_window_pattern: Option<usize>,
    rope_local_base_freq: Option<f64>,
}

/// Reads a Gemma's files.
pub(crate) fn read_1(files: &ConfigFiles) -> Result<DecoderConfig, ModelError> {
    read_as(
        files,
        &Dialect {
            absent: Absent {
                key_heads: Some(16),
                ..DIALECT.absent
            },
            ..DIALECT
        },
    )
}

/// Reads a Gemma 2's files.
pub(crate) fn read_2(files: &ConfigFiles) -> Result<DecoderConfig, ModelError> {
    let dialect = Dialect {
        family: Family::Gemma2,
        signs: Signs {
            reads: &["final_logit_softcapping", "attn_logit_softcapping"],
            ..Signs::causal("gemma2", "gemma2for")
        },
        absent: Absent {
            key_heads: Some(4),
            ..DIALECT.absent
        },
        ..DIALECT
    };
    let mut config = read_as(files, &dialect)?;
    let file: File = files.fields()?;
    // A null is no cap.
    let cap = |key: &str, given: Option<f64>, absent: f64| match files.config.is_null(key) {
        true => None,
        false => Some(given.unwrap_or(absent)),
    };
    config.score_cap = cap("attn_logit_softcapping", file.attn_logit_softcapping, 50.0);
    config.logit_cap = cap("final_logit_softcapping", file.final_logit_softcapping, 30.0);
    newer(config, files, &file, 2)
}

/// Reads the files of a Gemma 3's text model.
pub(crate) fn read_3(files: &ConfigFiles) -> Result<DecoderConfig, ModelError> {
    let dialect = Dialect {
        family: Family::Gemma3,
        // transformers has a key for a cap of its scores, but does not apply it.
        signs: Signs {
            reads: &["final_logit_softcapping"],
            ..Signs::causal("gemma3_text", "gemma3for")
        },
        absent: Absent {
            positions: 131_072,
            theta: 1e6,
            key_heads: Some(4),
            ..DIALECT.absent
        },
        has_ropes_by_layer: true,
        ..DIALECT
    };
    let mut config = read_as(files, &dialect)?;
    let file: File = files.fields()?;
    config.logit_cap = file.final_logit_softcapping;
    config.has_head_norms = true;
    let (every, windowed) = ropes(files, &config, &file)?;
    config.rope = Some(every);
    config.window_rope = Some(windowed);
    newer(config, files, &file, file.sliding_window_pattern.unwrap_or(6))
}

fn read_as(files: &ConfigFiles, dialect: &Dialect) -> Result<DecoderConfig, ModelError> {
    let mut config = llama::read_as(files, dialect)?;
    let file = &files.config;
    file.only("hidden_activation", &["gelu_pytorch_tanh".into()])?;
    file.only("use_bidirectional_attention", &[false.into()])?;
    file.only("mlp_bias", &[false.into()])?;
    config.activation = Activation::GeluTanh;
    config.norm = NormKind::RmsPlusOne;
    config.embedding_scale = (config.hidden_size as f64).sqrt();
    Ok(config)
}

/// Norms behind sublayers, scale and windows, which all but every `nth` block have.
fn newer(mut config: DecoderConfig, files: &ConfigFiles, file: &File, nth: usize) -> Result<DecoderConfig, ModelError> {
    if nth == 0 {
        return Err(files.config.refuse("sliding_window_pattern", "1 or more", nth));
    }
    config.names = &NAMES;
    config.has_output_norms = true;
    config.query_scalar = Some(file.query_pre_attn_scalar.unwrap_or(256.0));
    config.window = windows::window(&files.config, Some(4096))?;
    config.windowed = windows::windowed(&files.config, config.blocks, config.window, Pattern::ExceptEvery(nth))?;
    config.validate()?;
    Ok(config)
}

/// Rotary positions of all blocks, and of those with a window: apart in `rope_parameters` since transformers 5, before
/// that in `rope_theta`, `rope_scaling` and `rope_local_base_freq`.
fn ropes(files: &ConfigFiles, config: &DecoderConfig, file: &File) -> Result<(Rope, Rope), ModelError> {
    const LOCAL: f64 = 10000.0;
    let channels = config.head_dim;
    let Some(every) = &config.rope else {
        unreachable!("a Llama has rotary positions")
    };
    let older = Rope::new(file.rope_local_base_freq.unwrap_or(LOCAL), channels, None);
    // transformers overlooks a kind under the older word, and settings that are not a layer type's.
    let scaling = files.config.get("rope_scaling").and_then(Value::as_object);
    if let Some(kind) = scaling.and_then(|map| map.get("type").filter(|_| !map.contains_key("rope_type"))) {
        return Err(files.config.refuse("rope_scaling.rope_type", kind, ABSENT));
    }
    let Some(nested) = files.config.get("rope_parameters").and_then(Value::as_object) else {
        return Ok((every.clone(), older));
    };
    if let Some(key) = nested.keys().find(|key| !LAYER_TYPES.contains(&key.as_str())) {
        return Err(files.config.refuse("rope_parameters", LAYER_TYPES.join(" and "), key));
    }
    let stated = Stated {
        scaling: None,
        parameters: None,
        theta: None,
        part: None,
        original: None,
        usual_original: None,
        is_by_layer: false,
        positions: config.positions,
    };
    let rope = |kind: &str, usual: &Rope| -> Result<Rope, ModelError> {
        let Some(fields) = nested_fields(files, nested, kind)? else {
            return Ok(usual.clone());
        };
        let resolved = fields.resolve(&files.config, &format!("rope_parameters.{kind}"), &stated)?;
        Ok(Rope::new(
            resolved.theta.unwrap_or(usual.theta),
            channels,
            resolved.scaling,
        ))
    };
    Ok((rope("full_attention", every)?, rope("sliding_attention", &older)?))
}

fn nested_fields(
    files: &ConfigFiles,
    nested: &Map<String, Value>,
    kind: &str,
) -> Result<Option<RopeFields>, ModelError> {
    let Some(found) = nested.get(kind).filter(|found| !found.is_null()) else {
        return Ok(None);
    };
    serde_json::from_value(found.clone()).map(Some).map_err(|cause| {
        let key = format!("rope_parameters.{kind}");
        files.config.refuse(&key, format!("rotary settings ({cause})"), found)
    })
}
