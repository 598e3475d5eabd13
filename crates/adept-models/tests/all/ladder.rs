//! Side networks (LST) beside T5, CodeGen and Llama: with the model's own weights and open gates they are the model;
//! what is generated and scored with caches is what whole passes say; nothing of the model enters a graph.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::rc::Rc;

use adept_core::{Adapter, AdapterConfig, AdapterInit, CoreError, LstConfig};
use adept_models::generate::{
    GenerationOptions, Part, Positions, Prefix, PromptLayout, Request, complete, greedy, score_causal_labels,
    score_labels,
};
use adept_models::t5::FeedForwardKind;
use adept_models::{
    Backbone, CausalBackbone, CodeGenConfig, Decoder, DecoderConfig, LlamaConfig, MergeDirection, RopeScaling,
    Seq2SeqBackbone, T5, T5Config,
};
use burn::module::AutodiffModule;
use burn::tensor::activation::log_softmax;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor, TensorData};

use crate::common::{AB, B, close, draws_alone, vec};

/// Two other orders of summation of a few dozen terms of order one.
const TOLERANCE: f32 = 2e-5;

const VOCAB: usize = 40;

fn t5(kind: FeedForwardKind) -> T5<B> {
    let is_tied = kind == FeedForwardKind::Relu;
    let config = T5Config {
        vocab_size: VOCAB,
        d_model: 16,
        d_kv: 4,
        d_ff: 24,
        num_layers: 3,
        num_decoder_layers: 2,
        num_heads: 6,
        relative_attention_num_buckets: 8,
        relative_attention_max_distance: 16,
        feed_forward_proj: kind,
        tie_word_embeddings: is_tied,
        scale_decoder_outputs: is_tied,
        ..T5Config::t5_small()
    };
    T5::random(&config, 5, &Default::default())
}

fn codegen() -> Decoder<B> {
    let config = CodeGenConfig {
        vocab_size: VOCAB,
        n_positions: 64,
        n_embd: 32,
        n_layer: 3,
        n_head: 4,
        rotary_dim: 4,
        n_inner: 48,
        initializer_range: 0.3,
        eos_token_ids: vec![1],
        pad_token_id: 1,
        ..CodeGenConfig::codegen_350m()
    };
    Decoder::random(&(&config).into(), 5, &Default::default()).unwrap()
}

/// Two queries share a key.
fn llama() -> Decoder<B> {
    let config = LlamaConfig {
        vocab_size: VOCAB,
        hidden_size: 16,
        intermediate_size: 24,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 8,
        max_position_embeddings: 64,
        rope_scaling: Some(RopeScaling::Linear { factor: 2.0 }),
        tie_word_embeddings: true,
        initializer_range: 0.3,
        bos_token_id: None,
        eos_token_ids: vec![1],
        pad_token_id: 1,
        ..LlamaConfig::llama_3_8b()
    };
    Decoder::random(&(&config).into(), 5, &Default::default()).unwrap()
}

/// Of families whose blocks differ from those two: biases and windows, blocks without positions, norms with a weight
/// that is a difference from 1, sublayers in parallel with a norm each and an order of their own in files, learned
/// positions.
fn others() -> [Decoder<B>; 5] {
    let llama_like = r#""vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "initializer_range": 0.3, "eos_token_id": 1,
        "pad_token_id": 1, "bos_token_id": null, "rms_norm_eps": 1e-5, "max_position_embeddings": 64"#;
    [
        format!(
            r#"{{"model_type": "qwen2", "use_sliding_window": true, "sliding_window": 3, "max_window_layers": 1, {llama_like}}}"#
        ),
        format!(r#"{{"model_type": "smollm3", "no_rope_layer_interval": 2, {llama_like}}}"#),
        format!(r#"{{"model_type": "gemma", {llama_like}}}"#),
        r#"{"model_type": "gpt_neox", "vocab_size": 40, "hidden_size": 32, "intermediate_size": 48,
            "num_hidden_layers": 3, "num_attention_heads": 4, "rotary_pct": 0.5, "initializer_range": 0.3,
            "eos_token_id": 1, "max_position_embeddings": 64}"#
            .to_owned(),
        r#"{"model_type": "gpt2", "vocab_size": 40, "n_embd": 16, "n_inner": 24, "n_layer": 3, "n_head": 4,
            "n_positions": 64, "initializer_range": 0.3, "eos_token_id": 1}"#
            .to_owned(),
    ]
    .map(|config| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        Decoder::random(&DecoderConfig::from_dir(folder.path()).unwrap(), 5, &Default::default()).unwrap()
    })
}

fn started<R: Backend, M: Backbone<B>>(model: &M, reduction: usize, skip_every: usize) -> (AdapterConfig, Adapter<R>)
where
    R::Device: Default,
{
    let config: AdapterConfig = LstConfig {
        reduction,
        skip_every,
        ..LstConfig::default()
    }
    .into();
    let start = AdapterInit {
        weights: Some(Rc::new(model.weights())),
        sources: None,
        ..AdapterInit::random(11)
    };
    let adapter = Adapter::new(&config, &model.sites(), start, &Default::default()).unwrap();
    (config, adapter)
}

/// The adapter with other values in some tensors, by name.
fn changed<M: Backbone<B>>(
    model: &M,
    (config, adapter): (AdapterConfig, Adapter<B>),
    change: impl Fn(&str, &mut [f32], &[usize]),
) -> Adapter<B> {
    let tensors: BTreeMap<String, TensorData> = adapter
        .tensors()
        .into_iter()
        .map(|(name, data)| {
            let shape = data.shape.to_vec();
            let mut values = data.to_vec::<f32>().unwrap();
            change(&name, &mut values, &shape);
            (name, TensorData::new(values, shape))
        })
        .collect();
    Adapter::from_tensors(&config, &model.sites(), tensors, &Default::default()).unwrap()
}

/// The side network is a copy of the model: gates that let nothing in, and identities around it.
fn copy<M: Backbone<B>>(model: &M) -> Adapter<B> {
    changed(model, started(model, 1, 0), |name, values, shape| {
        if name.ends_with(".gate") {
            values.fill(100.0);
        } else if name == "side.up.weight" || name.ends_with(".down.first.weight") {
            let width = shape[1];
            for (place, value) in values.iter_mut().enumerate() {
                *value = if place / width == place % width { 1.0 } else { 0.0 };
            }
        }
    })
}

/// A side network in which everything matters.
fn lively<M: Backbone<B>>(model: &M, reduction: usize, skip_every: usize) -> Adapter<B> {
    changed(model, started(model, reduction, skip_every), |name, values, _| {
        let is_gate = name.ends_with(".gate");
        let scale = if name.contains(".down.") || name.contains(".up.") {
            0.4
        } else {
            0.2
        };
        for (place, value) in values.iter_mut().enumerate() {
            let wave = ((place * 37 + name.len() * 11) as f32 * 0.7).sin();
            *value = if is_gate { 0.1 * wave } else { *value + scale * wave };
        }
    })
}

fn ids<R: Backend, const N: usize, const W: usize>(rows: [[i32; W]; N]) -> Tensor<R, 2, Int>
where
    R::Device: Default,
{
    Tensor::from_data(rows, &Default::default())
}

const SOURCES: [[i32; 5]; 3] = [[7, 30, 12, 5, 1], [9, 21, 1, 0, 0], [33, 14, 8, 1, 0]];
const TARGETS: [[i32; 4]; 3] = [[0, 11, 4, 6], [0, 25, 3, 9], [0, 6, 31, 17]];

fn source_mask<R: Backend>() -> Tensor<R, 2, Bool>
where
    R::Device: Default,
{
    ids::<R, 3, 5>(SOURCES).greater_elem(0)
}

fn t5_logits<R: Backend>(model: &T5<R>) -> Tensor<R, 3>
where
    R::Device: Default,
{
    let encoded = model.encode(model.embed(ids(SOURCES)), source_mask(), 0.0);
    model.decode(ids(TARGETS), encoded, source_mask(), 0.0)
}

const KINDS: [FeedForwardKind; 2] = [FeedForwardKind::Relu, FeedForwardKind::GatedGelu];

#[test]
fn a_copy_of_a_t5_is_the_t5() {
    for kind in KINDS {
        let model = t5(kind);
        let adapter = copy(&model);
        let beside = model.adapted(&adapter);
        close("logits", &vec(t5_logits(&*beside)), &vec(t5_logits(&model)), TOLERANCE);
        // Counter-check: the states do come from the side network.
        let other = lively(&model, 1, 0);
        let other = vec(t5_logits(&*model.adapted(&other)));
        let apart = other.iter().zip(vec(t5_logits(&model))).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f32::max) > 0.1);
    }
}

#[test]
fn what_a_t5_generates_and_scores_is_what_whole_passes_say() {
    for kind in KINDS {
        for skip_every in [0, 2] {
            let model = t5(kind);
            let adapter = lively(&model, 2, skip_every);
            let model = model.adapted(&adapter);
            let encoded = model.encode(model.embed(ids::<B, 3, 5>(SOURCES)), source_mask(), 0.0);

            let found = greedy(&*model, encoded.clone(), source_mask(), 6, false).unwrap();
            let mut begun = Tensor::<B, 2, Int>::zeros([3, 1], &Default::default());
            for _ in 0..6 {
                let [_, t] = begun.dims();
                let logits = model.decode(begun.clone(), encoded.clone(), source_mask(), 0.0);
                let next = logits.narrow(1, t - 1, 1).argmax(2).reshape([3, 1]);
                begun = Tensor::cat(vec![begun, next], 1);
            }
            let expected: Vec<u32> = begun.narrow(1, 1, 6).into_data().iter::<u32>().collect();
            assert_eq!(found.concat(), expected, "{kind:?} {skip_every}");

            let labels = [vec![11u32, 4, 1], vec![25, 1]];
            let scores = vec(score_labels(&*model, encoded.clone(), source_mask(), &labels));
            for (number, label) in labels.iter().enumerate() {
                let inputs: Vec<i32> = [0].into_iter().chain(label.iter().map(|&id| id as i32)).collect();
                let inputs = TensorData::new(inputs[..label.len()].repeat(3), [3, label.len()]);
                let inputs = Tensor::from_data(inputs, &Default::default());
                let logits = model.decode(inputs, encoded.clone(), source_mask(), 0.0);
                let logs = vec(log_softmax(logits, 2));
                let expected: Vec<f32> = (0..3)
                    .map(|row| {
                        let token =
                            |(place, id): (usize, &u32)| logs[(row * label.len() + place) * VOCAB + *id as usize];
                        label.iter().enumerate().map(token).sum()
                    })
                    .collect();
                let found: Vec<f32> = (0..3).map(|row| scores[row * labels.len() + number]).collect();
                close("score", &found, &expected, TOLERANCE);
            }
        }
    }
}

fn positions<R: Backend>(n: usize) -> Tensor<R, 2, Int>
where
    R::Device: Default,
{
    Tensor::<R, 1, Int>::arange(0..n as i64, &Default::default()).reshape([1, n])
}

/// Logits `[n, vocab]` of every slot of one row, in a whole pass.
fn whole<M: CausalBackbone<B>>(model: &M, row: &[u32]) -> Tensor<B, 2> {
    let n = row.len();
    let row: Vec<i32> = row.iter().map(|&id| id as i32).collect();
    let row = Tensor::from_data(TensorData::new(row, [1, n]), &Default::default());
    let mask = Tensor::<B, 2, Bool>::full([1, n], true, &Default::default());
    model
        .forward(model.embed(row), mask, positions(n), 0.0)
        .reshape([n, VOCAB])
}

fn a_copy_is_the_model<M: CausalBackbone<B>>(model: &M) {
    let adapter = copy(model);
    let row = [7, 30, 12, 5, 9, 2];
    let beside = model.adapted(&adapter);
    close(
        "logits",
        &vec(whole(&*beside, &row)),
        &vec(whole(model, &row)),
        TOLERANCE,
    );
    let other = vec(whole(&*model.adapted(&lively(model, 1, 0)), &row));
    let apart = other.iter().zip(vec(whole(model, &row))).map(|(a, b)| (a - b).abs());
    assert!(apart.fold(0.0, f32::max) > 0.1);
}

fn steps_say_what_whole_passes_say<M: CausalBackbone<B>>(model: &M) {
    for skip_every in [0, 2] {
        let adapter = lively(model, 2, skip_every);
        let model = model.adapted(&adapter);
        let prompts: [&[u32]; 3] = [&[7, 30, 12, 5], &[9], &[33, 14]];
        let prefix = Prefix::new(&*model, None);
        let embed = |ids: Tensor<B, 2, Int>, _: Tensor<B, 2, Int>, _: Part| model.embed(ids);
        let requests = prompts.map(Request::new);
        let options = GenerationOptions::greedy(5, &[]);
        let never = &mut |_: usize, _: &[u32]| false;
        let device = Default::default();
        let written = complete(&*model, &prefix, &requests, &options, &embed, never, &device).unwrap();
        for (prompt, written) in prompts.iter().zip(&written) {
            let mut row = prompt.to_vec();
            for _ in 0..5 {
                let logits = whole(&*model, &row);
                let last = logits.narrow(0, row.len() - 1, 1).argmax(1).into_scalar();
                row.push(last as u32);
            }
            assert_eq!(written.ids, row[prompt.len()..], "{skip_every}");
        }

        let labels = [vec![11u32, 4, 1], vec![25, 1]];
        let layout = PromptLayout {
            positions: Positions::Tokens,
            width: 0,
        };
        let scores = score_causal_labels(&*model, &prefix, &prompts, &labels, layout, &embed, &device).unwrap();
        let scores = vec(scores);
        for (number, prompt) in prompts.iter().enumerate() {
            for (place, label) in labels.iter().enumerate() {
                let row = [*prompt, label.as_slice()].concat();
                let logs = vec(log_softmax(whole(&*model, &row), 1));
                let token = |(at, id): (usize, &u32)| logs[(prompt.len() - 1 + at) * VOCAB + *id as usize];
                let expected: f32 = label.iter().enumerate().map(token).sum();
                close("score", &[scores[number * 2 + place]], &[expected], TOLERANCE);
            }
        }
    }
}

#[test]
fn a_copy_of_a_decoder_is_the_decoder() {
    a_copy_is_the_model(&codegen());
    a_copy_is_the_model(&llama());
    others().iter().for_each(a_copy_is_the_model);
}

#[test]
fn what_decoders_generate_and_score_is_what_whole_passes_say() {
    steps_say_what_whole_passes_say(&codegen());
    steps_say_what_whole_passes_say(&llama());
    others().iter().for_each(steps_say_what_whole_passes_say);
}

fn is_tracked<const D: usize>(tensor: &Tensor<AB, D>) -> bool {
    tensor.clone().into_primitive().tensor().is_tracked()
}

/// A graph of the model's own operations would keep what they computed until the backward pass.
#[test]
fn no_state_of_the_model_is_part_of_a_graph() {
    let _alone = draws_alone();
    for kind in KINDS {
        let model = t5(kind);
        let (_, adapter) = started::<AB, _>(&model, 2, 2);
        let model = T5::<AB>::from_inner(model);
        let model = model.adapted(&adapter);
        let source = model.embed(ids(SOURCES));
        let encoded = model.encode(source.clone(), source_mask(), 0.1);
        let logits = model.decode(ids(TARGETS), encoded.clone(), source_mask(), 0.1);
        assert!(is_tracked(&encoded) && is_tracked(&logits));
        // The decoder reads the same result of the encoder as for the logits.
        let states = [
            model.encoder_hidden(source, source_mask()),
            model.decoder_hidden(ids(TARGETS), encoded, source_mask()),
        ];
        assert_eq!(states[0].len() + states[1].len(), 4 + 3);
        assert!(states.iter().flatten().all(|state| !is_tracked(state)));
    }
}

#[test]
fn what_runs_beside_a_model_is_not_merged() {
    let model = llama();
    let merged = model.merged(&lively(&model, 2, 2), MergeDirection::In);
    assert!(matches!(merged, Err(CoreError::NotMergeable { .. })), "{merged:?}");
}

#[test]
fn a_model_whose_sizes_cannot_be_divided_is_refused() {
    let refused = |config: LstConfig, sites: &adept_core::ModelSites| {
        AdapterConfig::from(config)
            .tensor_shapes(sites)
            .unwrap_err()
            .to_string()
    };
    let eight = LstConfig::default();
    assert_eq!(
        refused(eight.clone(), &codegen().sites()),
        "lst: reduction is 8, which does not divide a size of the model: the rotated pairs of a head (2); expected one of \
         1, 2"
    );
    let found = refused(eight, &llama().sites());
    assert!(found.contains("expected one of 1, 2, 4"), "{found}");
}
