//! T5 compared with transformers, on the tiny models of `tests/generators/t5_reference.py`.
//!
//! Tolerances are float32's error on tiny models (measured between float32 and float64: logits 9e-6, loss 1.1e-6,
//! gradients 5e-7), ten times wider, since another order of summation is as valid as torch's. Gradients are compared
//! relative to the tensor's largest entry if that exceeds 1.
#![allow(clippy::unwrap_used)]

use crate::common::{AB, B, FAMILIES, Values, close, draws_alone, fixtures, vec};
use adept_models::generate::{greedy, greedy_with_margins, score_labels};
use adept_models::t5::relative_position_bucket;
use adept_models::{Backbone, Seq2SeqBackbone, T5, cross_entropy, shift_right, unfreeze};
use burn::module::{AutodiffModule, Module, ModuleVisitor, Param};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Int, Tensor};

const LOGITS: f32 = 1e-4;
const LOSS: f32 = 1e-5;
const GRADIENT: f32 = 5e-6;

fn load(family: &str) -> (T5<B>, Values) {
    let model = T5::load(&fixtures().join(family), &Default::default()).unwrap().model;
    (model, Values::open(&format!("{family}/reference.safetensors")))
}

#[test]
fn buckets_equal_the_table() {
    let table = Values::open("buckets.safetensors");
    let distances = table.ints("rel.distance");
    assert_eq!(distances.len(), 601);
    for (name, bidirectional) in [("rel.bucket_bidirectional", true), ("rel.bucket_causal", false)] {
        let found: Vec<i64> = distances
            .iter()
            .map(|&d| relative_position_bucket(d, bidirectional, 32, 128) as i64)
            .collect();
        assert_eq!(found, table.ints(name), "{name}");
    }
}

#[test]
fn hidden_states_logits_and_loss() {
    for family in FAMILIES {
        let (model, expected) = load(family);
        let encoded = model.encode(expected.tensor("inputs_embeds"), expected.mask(), 0.0);
        close(
            &format!("{family} encoder"),
            &vec(encoded.clone()),
            &expected.floats("encoder_out"),
            LOGITS,
        );
        let labels: Tensor<B, 2, Int> = expected.ids("labels");
        let inputs = shift_right(labels.clone(), model.decoder_start_id(), model.pad_id());
        let shifted: Vec<i64> = inputs.clone().into_data().iter::<i64>().collect();
        assert_eq!(shifted, expected.ints("decoder_input_ids"));
        // Row 2 sees nothing at all: uniform attention, as in transformers, and no NaN.
        let logits = model.decode(inputs, encoded, expected.mask(), 0.0);
        close(
            &format!("{family} logits"),
            &vec(logits.clone()),
            &expected.floats("logits"),
            LOGITS,
        );
        let loss = cross_entropy(logits, labels);
        close(&format!("{family} loss"), &vec(loss), &expected.floats("loss"), LOSS);
    }
}

/// Scores of the first layer, compared where the mask hides nothing, its pattern and what its queries read
/// (`tests/generators/first_attention.py`). The scores are as large as logits, and so is their tolerance; patterns and
/// outputs are below 1 and of order 1.
#[test]
fn the_first_attention_is_that_of_transformers() {
    for family in FAMILIES {
        let (model, inputs) = load(family);
        let expected = Values::open(&format!("{family}/first_attention.safetensors"));
        let first = model.first_attention(inputs.tensor("inputs_embeds"), inputs.mask());
        let [b, heads, s, _] = first.logits.dims();
        let everything = Tensor::<B, 2>::ones([b, s], &Default::default()).greater_elem(0.0);
        let unmasked = model.first_attention(inputs.tensor("inputs_embeds"), everything);
        close(
            &format!("{family} scores"),
            &vec(unmasked.logits),
            &expected.floats("logits"),
            LOGITS,
        );
        close(
            &format!("{family} pattern"),
            &vec(first.probabilities()),
            &expected.floats("probabilities"),
            LOSS,
        );
        let outputs = first.outputs();
        let width = heads * outputs.dims()[3];
        let joined = outputs.swap_dims(1, 2).reshape([b, s, width]);
        close(
            &format!("{family} outputs"),
            &vec(joined),
            &expected.floats("outputs"),
            LOSS,
        );
    }
}

#[test]
fn distances_beyond_the_last_bucket() {
    for family in FAMILIES {
        let (model, expected) = load(family);
        let embeddings = model.embed(expected.ids("long.input_ids"));
        let [_, seq, _] = embeddings.dims();
        let mask = Tensor::<B, 2>::ones([1, seq], &Default::default()).greater_elem(0.0);
        let encoded = model.encode(embeddings, mask.clone(), 0.0);
        let tenth = encoded.clone().slice(burn::tensor::s![.., 0..;10]);
        close(
            &format!("{family} long encoder"),
            &vec(tenth),
            &expected.floats("long.encoder_out"),
            LOGITS,
        );
        let logits = model.decode(expected.ids("long.decoder_input_ids"), encoded, mask, 0.0);
        let [_, target, _] = logits.dims();
        let last = logits.narrow(1, target - 3, 3);
        close(
            &format!("{family} long logits"),
            &vec(last),
            &expected.floats("long.logits_last"),
            LOGITS,
        );
    }
}

/// Gradients of the loss with respect to the encoder's input and, where the model requires them, its parameters.
fn gradients(model: &T5<AB>, expected: &Values) -> (Tensor<AB, 3>, <AB as AutodiffBackend>::Gradients) {
    let embeddings: Tensor<AB, 3> = expected.tensor::<AB, 3>("inputs_embeds").require_grad();
    let encoded = model.encode(embeddings.clone(), expected.mask(), 0.0);
    let labels = expected.ids::<AB, 2>("labels");
    let inputs = shift_right(labels.clone(), model.decoder_start_id(), model.pad_id());
    let logits = model.decode(inputs, encoded, expected.mask(), 0.0);
    let gradients = cross_entropy(logits, labels).backward();
    (embeddings, gradients)
}

fn close_gradient(what: &str, found: &[f32], expected: &[f32]) {
    let scale = expected.iter().fold(1f32, |largest, x| largest.max(x.abs()));
    assert!(
        expected.iter().any(|x| x.abs() > 100.0 * GRADIENT),
        "{what}: the fixture is all but zero"
    );
    close(what, found, expected, GRADIENT * scale);
}

#[test]
fn the_gradient_reaches_the_input_and_no_frozen_parameter() {
    for family in FAMILIES {
        let (model, expected) = load(family);
        let model = T5::<AB>::from_inner(model);
        let (embeddings, gradients) = gradients(&model, &expected);
        let found = vec(embeddings.grad(&gradients).unwrap());
        close_gradient(family, &found, &expected.floats("grad_inputs_embeds"));

        struct Frozen<'a>(&'a <AB as AutodiffBackend>::Gradients, usize);
        impl ModuleVisitor<AB> for Frozen<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<AB, D>>) {
                assert!(!param.is_require_grad() && param.val().grad(self.0).is_none());
                self.1 += 1;
            }
        }
        let mut visitor = Frozen(&gradients, 0);
        model.visit(&mut visitor);
        assert!(visitor.1 > 50, "visited {} parameters", visitor.1);
    }
}

#[test]
fn unfrozen_parameters_get_their_gradients() {
    for family in FAMILIES {
        let (model, expected) = load(family);
        let model = unfreeze(T5::<AB>::from_inner(model));
        let (_, gradients) = gradients(&model, &expected);
        let rows = |param: &Param<Tensor<AB, 2>>| vec(param.val().grad(&gradients).unwrap());
        // Linear weights are kept transposed.
        let linear = |param: &Param<Tensor<AB, 2>>| vec(param.val().grad(&gradients).unwrap().transpose());
        let mut found = vec![
            ("shared.weight", rows(&model.shared.weight)),
            (
                "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                rows(&model.encoder.relative_attention_bias),
            ),
            (
                "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                rows(&model.decoder.relative_attention_bias),
            ),
            (
                "encoder.block.1.layer.0.SelfAttention.k.weight",
                linear(&model.encoder.block[1].self_attention.k.weight),
            ),
            (
                "decoder.block.1.layer.1.EncDecAttention.v.weight",
                linear(&model.decoder.block[1].cross_attention.as_ref().unwrap().v.weight),
            ),
            (
                "decoder.block.0.layer.2.layer_norm.weight",
                vec(model.decoder.block[0]
                    .feed_forward
                    .layer_norm
                    .weight
                    .val()
                    .grad(&gradients)
                    .unwrap()),
            ),
        ];
        found.extend(
            model
                .lm_head
                .as_ref()
                .map(|head| ("lm_head.weight", linear(&head.weight))),
        );
        let stored = expected.names().iter().filter(|name| name.starts_with("grad.")).count();
        assert_eq!(found.len(), stored, "{family}: a stored gradient is not compared");
        for (name, values) in found {
            close_gradient(
                &format!("{family} {name}"),
                &values,
                &expected.floats(&format!("grad.{name}")),
            );
        }
    }
}

#[test]
fn cached_generation_equals_uncached_argmax() {
    for family in FAMILIES {
        let (model, expected) = load(family);
        let encoded = model.encode(expected.tensor("inputs_embeds"), expected.mask(), 0.0);
        let [rows, new_tokens]: [usize; 2] = expected.shape("gen_ids").try_into().unwrap();
        let table = |name: &str| -> Vec<Vec<u32>> {
            let width = expected.shape(name)[1];
            expected
                .ints(name)
                .chunks(width)
                .map(|row| row.iter().map(|&id| id as u32).collect())
                .collect()
        };
        let free = greedy_with_margins(&model, encoded.clone(), expected.mask(), new_tokens, false).unwrap();
        assert_eq!(free.ids, table("gen_ids"), "{family}");
        close(
            &format!("{family} margins"),
            &free.margins.concat(),
            &expected.floats("gen_margin"),
            LOGITS,
        );
        assert_eq!(
            greedy(&model, encoded.clone(), expected.mask(), new_tokens, false).unwrap(),
            free.ids
        );

        let stopped = greedy(&model, encoded.clone(), expected.mask(), new_tokens, true).unwrap();
        assert_eq!(stopped, table("gen_ids_stop"), "{family}");
        let ended = stopped.iter().filter(|row| row.contains(&1)).count();
        assert!(
            ended > 0 && ended < rows,
            "{family}: the fixture must hold both kinds of row, {ended} ended"
        );

        // A single row: decoding stops with its end token.
        let row = stopped.iter().position(|row| row.contains(&1)).unwrap();
        let alone = greedy(
            &model,
            encoded.narrow(0, row, 1),
            expected.mask().narrow(0, row, 1),
            new_tokens,
            true,
        )
        .unwrap();
        assert_eq!(alone[0].last(), Some(&1));
        assert_eq!(alone[0], stopped[row][..alone[0].len()]);
    }
}

#[test]
fn label_scores_equal_one_pass_a_label() {
    for family in FAMILIES {
        let (model, expected) = load(family);
        let encoded = model.encode(expected.tensor("inputs_embeds"), expected.mask(), 0.0);
        let width = expected.shape("label_ids")[1];
        let labels: Vec<Vec<u32>> = expected
            .ints("label_ids")
            .chunks(width)
            .map(|row| row.iter().filter(|&&id| id >= 0).map(|&id| id as u32).collect())
            .collect();
        let scores = score_labels(&model, encoded, expected.mask(), &labels);
        close(family, &vec(scores), &expected.floats("label_scores"), LOGITS);
    }
}

#[test]
fn dropout_is_off_at_zero_and_scales_what_it_keeps() {
    let _alone = draws_alone();
    let (model, expected) = load("t5_relu");
    let embeddings: Tensor<B, 3> = expected.tensor("inputs_embeds");
    let encode = |rate: f64| {
        <B as burn::tensor::backend::Backend>::seed(&Default::default(), 3);
        vec(model.encode(embeddings.clone(), expected.mask(), rate))
    };
    let plain = encode(0.0);
    let (first, second) = (encode(0.1), encode(0.1));
    assert_eq!(first, second, "one seed, two results");
    assert_ne!(first, plain);
    // Dropout is applied last to the output of the final norm, so about a tenth of it is zero.
    let zeros = first.iter().filter(|x| **x == 0.0).count() as f64 / first.len() as f64;
    assert!((0.05..0.15).contains(&zeros), "{zeros} of the output is zero");
}
