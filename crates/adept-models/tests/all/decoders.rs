//! Decoders read slot by slot, compared with whole passes, where what they do depends on how far they have read.
#![allow(clippy::unwrap_used)]

use adept_models::{Backbone, CausalBackbone, Decoder, RopeScaling};
use burn::tensor::{Bool, Int, Tensor, TensorData};

use crate::common::{B, close, decoder_config, read_decoder, vec};

/// Sums of a few dozen terms of order one, in another order.
const TOLERANCE: f32 = 2e-5;

fn decoder(own: &str) -> Decoder<B> {
    Decoder::random(&decoder_config(own), 5, &Default::default()).unwrap()
}

/// Embeddings, mask and positions of slots `from..to` of a row.
fn slots(
    model: &Decoder<B>,
    row: &[i32],
    from: usize,
    to: usize,
) -> (Tensor<B, 3>, Tensor<B, 2, Bool>, Tensor<B, 2, Int>) {
    let (device, n) = (Default::default(), to - from);
    let ids = Tensor::from_data(TensorData::new(row[from..to].to_vec(), [1, n]), &device);
    let positions = Tensor::<B, 1, Int>::arange(from as i64..to as i64, &device).reshape([1, n]);
    (model.embed(ids), Tensor::full([1, n], true, &device), positions)
}

#[test]
fn slots_read_one_by_one_are_those_of_whole_passes() {
    let row = [7, 30, 12, 5, 9, 2, 21, 33, 14, 8, 3, 17];
    for own in [
        // Beyond six slots with other frequencies: what was read before is read again.
        r#""model_type": "phi3", "original_max_position_embeddings": 6, "sliding_window": 5,
           "rope_scaling": {"type": "longrope", "short_factor": [1, 1.5], "long_factor": [2, 4]}"#,
        r#""model_type": "qwen3", "head_dim": 8, "use_sliding_window": true, "sliding_window": 3,
           "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]"#,
        r#""model_type": "gemma2", "head_dim": 8, "sliding_window": 4, "attn_logit_softcapping": 1.0,
           "final_logit_softcapping": 2.0"#,
        r#""model_type": "gemma3_text", "head_dim": 8, "sliding_window": 4, "sliding_window_pattern": 2,
           "rope_local_base_freq": 50.0"#,
    ] {
        let model = decoder(own);
        for first in [1, 4, 8] {
            let mut cache = model.new_cache();
            let mut from = 0;
            for to in first..=row.len() {
                let (embeddings, mask, positions) = slots(&model, &row, from, to);
                let found = vec(model.read(embeddings, mask, positions, &mut cache));
                assert_eq!(cache.slots(), to);
                let (embeddings, mask, positions) = slots(&model, &row, 0, to);
                let whole = model.forward(embeddings, mask, positions, 0.0);
                let expected = vec(whole.narrow(1, to - 1, 1));
                close(own, &found, &expected, TOLERANCE);
                from = to;
            }
        }
    }
}

/// What transformers reads in another way than a file seems to say is refused by its key, or read as transformers does.
#[test]
fn what_transformers_reads_otherwise_is_not_guessed() {
    let fails = |own: &str, fragments: &[&str]| {
        let message = read_decoder(own).expect_err(own).to_string();
        for fragment in fragments {
            assert!(message.contains(fragment), "{fragment} in {message}");
        }
    };
    for family in ["llama", "qwen2", "gemma", "gpt_neox", "phi3"] {
        fails(
            &format!(r#""model_type": "{family}", "is_causal": false"#),
            &["is_causal", "true"],
        );
    }
    let long = r#""rope_type": "longrope", "short_factor": [1, 1], "long_factor": [2, 4]"#;
    // Phi-3's own number of original positions, 4096, comes before one in the scaling, but not before one beside it.
    let phi = r#""model_type": "phi3""#;
    fails(
        &format!(r#"{phi}, "rope_scaling": {{{long}, "original_max_position_embeddings": 16}}"#),
        &["rope_scaling.original_max_position_embeddings", "4096", "16"],
    );
    let beside = format!(r#"{phi}, "rope_scaling": {{{long}}}, "original_max_position_embeddings": 16"#);
    let absent = format!(r#"{phi}, "rope_scaling": {{{long}}}"#);
    let original = |own: &str| match decoder_config(own).rope.unwrap().scaling {
        Some(RopeScaling::LongRope {
            original_max_position_embeddings,
            ..
        }) => original_max_position_embeddings,
        other => panic!("{own}: {other:?}"),
    };
    assert_eq!((original(&beside), original(&absent)), (16.0, 4096.0));
    fails(
        &format!(
            r#"{phi}, "sliding_window": 8, "layer_types": ["full_attention", "full_attention", "full_attention"]"#
        ),
        &["layer_types", "sliding_attention"],
    );
    let neox = r#""model_type": "gpt_neox", "rotary_pct": 1.0"#;
    let scaled = format!(r#"{neox}, "rope_scaling": {{{long}}}, "original_max_position_embeddings": 16"#);
    assert_eq!(original(&scaled), 16.0);
    fails(
        &format!(
            r#"{neox}, "rope_scaling": {{{long}, "original_max_position_embeddings": 8}}, "original_max_position_embeddings": 16"#
        ),
        &["original_max_position_embeddings", "8", "16"],
    );
    fails(&format!(r#"{neox}, "head_dim": 8"#), &["head_dim", "4", "8"]);
    let gemma = r#""model_type": "gemma3_text", "head_dim": 8"#;
    fails(
        &format!(r#"{gemma}, "rope_scaling": {{"type": "linear", "factor": 4.0}}"#),
        &["rope_scaling.rope_type", "linear"],
    );
    fails(
        &format!(r#"{gemma}, "rope_parameters": {{"rope_type": "default", "rope_theta": 500}}"#),
        &["rope_parameters", "full_attention and sliding_attention", "rope_type"],
    );
    fails(
        r#""model_type": "qwen2", "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 500}}"#,
        &["rope_parameters", "full_attention"],
    );
    fails(
        r#""model_type": "llama", "rope_scaling": {"rope_type": "default"}, "rope_parameters": {"rope_type": "default", "rope_theta": 500}"#,
        &["rope_scaling.rope_theta", "500", "rope_parameters"],
    );
    let yarn = |truncate: &str| {
        let own = format!(r#""model_type": "llama", "rope_scaling": {{"rope_type": "yarn", "factor": 2.0{truncate}}}"#);
        match decoder_config(&own).rope.unwrap().scaling {
            Some(RopeScaling::Yarn { truncate, .. }) => truncate,
            other => panic!("{own}: {other:?}"),
        }
    };
    assert!(yarn("") && yarn(r#", "truncate": true"#));
    assert!(
        !yarn(r#", "truncate": null"#) && !yarn(r#", "truncate": false"#),
        "null is false"
    );
    // The sizes of these two have other names, too; those of the test's own say 4 heads and a width of 16.
    for (family, more) in [("gpt2", ""), ("codegen", r#", "rotary_dim": 4"#)] {
        let own = |heads| {
            format!(
                r#""model_type": "{family}", "n_embd": 16, "n_layer": 3, "n_head": {heads}, "n_positions": 64{more}"#
            )
        };
        assert!(read_decoder(&own(4)).is_ok(), "{family}");
        fails(&own(2), &["num_attention_heads", "2", "4"]);
    }
}
