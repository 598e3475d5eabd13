//! Decoders read slot by slot, compared with whole passes, where what they do depends on how far they have read.
#![allow(clippy::unwrap_used)]

use adept_models::{Backbone, CausalBackbone, Decoder};
use burn::tensor::{Bool, Int, Tensor, TensorData};

use crate::common::{B, close, decoder_config, vec};

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
