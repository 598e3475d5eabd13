//! Frozen models of a checkpoint in bfloat16: in float32 they compute what the whole model does, to the last bit.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use adept_models::t5::{FeedForwardKind, T5Config};
use adept_models::{Backbone, CausalBackbone, Decoder, Precision, Seq2SeqBackbone, StoredType, T5, unfreeze};
use burn::module::{AutodiffModule, Module};
use burn::tensor::{Bool, Int, Tensor};

use crate::common::{AB, B, numbers, vec};

const ROWS: usize = 3;
const SLOTS: usize = 12;
/// Wide enough for maps of which a product is no part of a fused sublayer.
const WIDTH: usize = 528;
/// Enough for a table of embeddings that is kept in two bytes a number.
const VOCABULARY: usize = 520;

type Figures = Vec<(&'static str, Vec<f32>)>;

fn mask<T: burn::tensor::backend::Backend>() -> Tensor<T, 2, Bool> {
    let shown: [[bool; SLOTS]; ROWS] = std::array::from_fn(|row| std::array::from_fn(|slot| slot >= 2 * row));
    Tensor::from_data(shown, &Default::default())
}

fn ids<T: burn::tensor::backend::Backend>(tokens: usize) -> Tensor<T, 2, Int> {
    let ids = Tensor::<T, 1, Int>::arange(0..(ROWS * tokens) as i64, &Default::default());
    ids.remainder_scalar(37).reshape([ROWS, tokens])
}

fn t5(is_gated: bool) -> T5<B> {
    let config = T5Config {
        vocab_size: VOCABULARY,
        d_model: WIDTH,
        d_kv: 132,
        d_ff: 560,
        num_layers: 2,
        num_decoder_layers: 2,
        num_heads: 4,
        feed_forward_proj: match is_gated {
            true => FeedForwardKind::GatedGelu,
            false => FeedForwardKind::Relu,
        },
        // With a head of its own.
        tie_word_embeddings: !is_gated,
        scale_decoder_outputs: !is_gated,
        ..T5Config::t5_small()
    };
    T5::random(&config, 3, &Default::default())
}

/// Gradients of what enters, logits of two and of eleven target tokens, and of a token after three.
fn t5_figures(model: &T5<B>) -> Figures {
    let tracked = Module::<AB>::no_grad(T5::<AB>::from_inner(model.clone()));
    let mut figures = Vec::new();
    for (name, tokens) in [("two tokens", 2), ("eleven tokens", 11)] {
        let entering = numbers([ROWS, SLOTS, WIDTH], 0.5).require_grad();
        let encoded = tracked.encode(entering.clone(), mask(), 0.0);
        let loss = tracked.decode_loss(ids(tokens), encoded, mask(), ids(tokens), 0.0);
        let gradient = entering.grad(&loss.backward()).unwrap();
        figures.push((name, vec(gradient)));
        let encoded = model.encode(numbers([ROWS, SLOTS, WIDTH], 0.5), mask(), 0.0);
        figures.push((name, vec(model.decode(ids(tokens), encoded, mask(), 0.0))));
    }
    let encoded = model.encode(numbers([ROWS, SLOTS, WIDTH], 0.5), mask(), 0.0);
    let mut cache = model.start(encoded, mask());
    for _ in 0..3 {
        figures.push(("a token after others", vec(model.step(ids(1), &mut cache))));
    }
    figures.push(("embeddings", vec(model.embedding_weight())));
    figures
}

fn decoder(own: &str) -> Decoder<B> {
    let config = format!(
        r#"{{"vocab_size": {VOCABULARY}, "hidden_size": {WIDTH}, "intermediate_size": 560, "num_hidden_layers": 2,
        "num_attention_heads": 4, "initializer_range": 0.05, "eos_token_id": 1, "pad_token_id": 1,
        "max_position_embeddings": 64, "n_embd": {WIDTH}, "n_layer": 2, "n_head": 4, "n_positions": 64,
        "rotary_dim": 64, {own}}}"#
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let config = adept_models::DecoderConfig::from_dir(folder.path()).unwrap();
    Decoder::random(&config, 3, &Default::default()).unwrap()
}

/// Gradients of what enters, and logits of whole rows and of a token behind them.
fn decoder_figures(model: &Decoder<B>) -> Figures {
    let tracked = Module::<AB>::no_grad(Decoder::<AB>::from_inner(model.clone()));
    let positions = Tensor::<B, 1, Int>::arange(0..SLOTS as i64, &Default::default());
    let positions = positions.reshape([1, SLOTS]).expand([ROWS, SLOTS]);
    let entering = numbers([ROWS, SLOTS, WIDTH], 0.5).require_grad();
    let all = ids::<AB>(SLOTS).greater_equal_elem(0);
    let states = tracked.hidden(entering.clone(), all, Tensor::from_inner(positions.clone()), 0.0);
    let value = (states * numbers([ROWS, SLOTS, WIDTH], 0.1)).sum();
    let gradient = entering.grad(&value.backward()).unwrap();
    let mut cache = model.new_cache();
    let last = positions.clone().narrow(1, SLOTS - 1, 1);
    let whole = model.read(numbers([ROWS, SLOTS, WIDTH], 0.5), mask(), positions, &mut cache);
    let shown = Tensor::<B, 2, Int>::ones([ROWS, 1], &Default::default()).bool();
    let behind = model.read(model.embed(ids(1)), shown, last + 1, &mut cache);
    vec![
        ("embeddings", vec(model.embedding_weight())),
        ("gradient", vec(gradient)),
        ("whole rows", vec(whole)),
        ("a token behind", vec(behind)),
    ]
}

fn are_equal(what: &str, found: Figures, expected: Figures) {
    for ((name, found), (_, expected)) in found.into_iter().zip(expected) {
        assert!(expected.iter().all(|x| x.is_finite()));
        assert_eq!(found, expected, "{what}, {name}");
    }
}

fn folder(save: impl Fn(&Path)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    save(&folder.path().join("model"));
    folder
}

/// How many linear maps hold nothing but a shape, and whether the table of embeddings does.
fn held<M: Backbone<B>>(mut model: M) -> (usize, bool) {
    let is_held = |weight: Tensor<B, 2>| weight.into_data().iter::<f32>().all(f32::is_nan);
    let places = model.places();
    let maps = places.linears.iter().filter(|linear| is_held(linear.weight.val()));
    (maps.count(), is_held(places.embedding.unwrap().weight.val()))
}

#[test]
fn a_frozen_t5_in_two_bytes_computes_the_same() {
    for is_gated in [false, true] {
        let folder = folder(|path| t5(is_gated).save_pretrained_as(path, StoredType::Bf16).unwrap());
        let path = folder.path().join("model");
        let whole = T5::<B>::load(&path, &Default::default()).unwrap();
        let frozen = T5::<B>::load_in(&path, &Default::default(), Precision::F32).unwrap();
        assert_eq!(whole.fingerprint, frozen.fingerprint);
        let maps = if is_gated { 36 } else { 32 };
        assert_eq!(held(whole.model.clone()), (0, false));
        assert_eq!(held(frozen.model.clone()), (maps, true));
        are_equal("T5", t5_figures(&frozen.model), t5_figures(&whole.model));
        // Saved again, it is the same checkpoint.
        let again = self::folder(|path| frozen.model.save_pretrained_as(path, StoredType::Bf16).unwrap());
        let again = T5::<B>::load(&again.path().join("model"), &Default::default()).unwrap();
        assert_eq!(again.fingerprint, whole.fingerprint);
    }
}

#[test]
fn a_frozen_decoder_in_two_bytes_computes_the_same() {
    for own in [
        r#""model_type": "llama""#,
        r#""model_type": "codegen""#,
        r#""model_type": "gpt2""#,
    ] {
        let folder = folder(|path| decoder(own).save_pretrained(path, StoredType::Bf16).unwrap());
        let path = folder.path().join("model");
        let whole = Decoder::<B>::load(&path, &Default::default()).unwrap().model;
        let frozen = Decoder::<B>::load_in(&path, &Default::default(), Precision::F32).unwrap();
        let (maps, is_table_held) = held(frozen.model.clone());
        assert!(maps >= 8 && is_table_held, "{own}");
        assert_eq!(held(whole.clone()), (0, false));
        are_equal(own, decoder_figures(&frozen.model), decoder_figures(&whole));
    }
}

#[test]
#[should_panic(expected = "prepared to stay frozen, 32 linear maps among it")]
fn a_frozen_model_cannot_be_trained() {
    let folder = folder(|path| t5(false).save_pretrained_as(path, StoredType::Bf16).unwrap());
    let path = folder.path().join("model");
    let frozen = T5::<B>::load_in(&path, &Default::default(), Precision::F32).unwrap();
    unfreeze(T5::<AB>::from_inner(frozen.model));
}
