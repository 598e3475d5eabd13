//! Kernels for the flex backend in float32: multi-threaded over the batch or over rows, vectorised by run-time
//! dispatch.
//!
//! A kernel is used if the backend is `Flex` or `Autodiff<Flex>` and computes in float32; the backend's type is
//! compared at run time ([`route`]). The tracked form registers its own backward step, which reuses the plain kernels.

mod absorbed;
mod activation;
mod attention;
mod attention_layer;
mod blocks;
mod bridge;
mod dropout;
mod embedding;
mod exact;
mod feed_forward;
mod head;
mod heads;
mod keys_values;
mod layer_norm;
mod linear;
mod logits;
mod loss;
mod many_rows;
mod matmul;
mod norm;
mod optimizer;
mod packed;
mod pool;
mod product;
mod rotary;
mod rows;
mod segments;
mod slots;
mod table;

pub(crate) use absorbed::absorbed_attention;
pub(crate) use activation::{Gelu, Silu, gated, gelu, relu};
pub(crate) use attention::attention;
pub(crate) use attention_layer::attention_layer;
pub(crate) use bridge::{Route, route};
pub(crate) use dropout::dropout;
pub(crate) use embedding::embedding;
pub(crate) use feed_forward::feed_forward;
pub(crate) use head::{head_log_probabilities, head_loss};
pub(crate) use keys_values::keys_values;
pub(crate) use layer_norm::layer_norm;
pub(crate) use linear::linear;
pub(crate) use logits::{are_few_states, head_logits};
pub(crate) use loss::cross_entropy;
pub(crate) use norm::rms_norm;
pub(crate) use optimizer::{adamw, scale, sum_of_squares};
pub(crate) use packed::{Kernel, PackedWeight};
pub(crate) use product::{exact_weight, packed_product, packed_weight, product};
pub(crate) use rotary::rotary;
pub(crate) use segments::{Move, move_rows};
pub(crate) use slots::write_slots;
