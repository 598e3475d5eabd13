//! What cross-attention reads of a memory: its keys and values or, for few queries, the states that they would be made
//! of.
//!
//! With queries `Q` of a head and its maps `K`, `V` (`[d, c]`), attention to states `E` reads `Q·(E·K)ᵀ` and
//! `P·(E·V)`. The same products in another order, `(Q·Kᵀ)·Eᵀ` and `(P·E)·V`, never project the states: with two target
//! tokens that is a sixteenth of the multiplications, and neither keys nor values are kept for the backward pass.

use burn::tensor::activation::softmax;
use burn::tensor::{Tensor, backend::Backend};

use crate::dropout;
use crate::sublayer::{Settings, linear};
use crate::{AttentionBias, Map, attention};

/// Keys and values of a memory, made once and used by each pass over it.
#[derive(Debug, Clone)]
pub enum KeysValues<B: Backend> {
    /// Separate, `[b, k, h·c]` each.
    Apart(Tensor<B, 3>, Tensor<B, 3>),
    /// Concatenated, `[b, k, 2·h·c]`, for the fused kernel.
    Together(Tensor<B, 3>),
    /// Not made: their maps are applied to the queries and to what these read.
    Absorbed(States<B>),
}

/// A memory's states and the maps of a layer's keys and values.
#[derive(Debug, Clone)]
pub struct States<B: Backend> {
    states: Tensor<B, 3>,
    key: Map<B>,
    value: Map<B>,
}

impl<B: Backend> KeysValues<B> {
    /// Projects states `[b, k, d]` without a norm; weights are `[d, h·c]`.
    pub fn new(states: Tensor<B, 3>, key: Tensor<B, 2>, value: Tensor<B, 2>, settings: Settings) -> Self {
        #[cfg(feature = "flex")]
        if let Some(route) = crate::sublayer::fused::<B>(settings, key.shape().num_elements() * 4) {
            return Self::Together(crate::flex::keys_values(route, states, key, value));
        }
        let _ = settings;
        Self::Apart(linear(states.clone(), key), linear(states, value))
    }

    /// Not projected, for one pass of `queries` per row of the states, if that saves multiplications. Maps are
    /// `[d, h·c]`.
    pub fn absorbed(
        states: &Tensor<B, 3>,
        [key, value]: [Map<B>; 2],
        queries: usize,
        settings: Settings,
    ) -> Option<Self> {
        let ([_, k, d], [_, inner]) = (states.dims(), key.kept.dims());
        is_cheaper_absorbed(queries, k, d, inner, settings.heads).then(|| {
            Self::Absorbed(States {
                states: states.clone(),
                key,
                value,
            })
        })
    }

    /// Number of rows in the memory.
    pub fn rows(&self) -> usize {
        match self {
            Self::Apart(tensor, _) | Self::Together(tensor) => tensor.dims()[0],
            Self::Absorbed(memory) => memory.states.dims()[0],
        }
    }

    /// What queries `[b, q, h·c]` read, `[b, q, h·c]`. `bias` has a key mask at most.
    pub fn attend(&self, query: Tensor<B, 3>, bias: &AttentionBias<B>, settings: Settings) -> Tensor<B, 3> {
        let (keys, values) = match self {
            Self::Apart(keys, values) => (keys.clone(), values.clone()),
            Self::Together(both) => {
                let [b, k, wide] = both.dims();
                let half = |start| both.clone().slice([0..b, 0..k, start..start + wide / 2]);
                (half(0), half(wide / 2))
            }
            Self::Absorbed(memory) => return memory.clone().attend(query, bias, settings),
        };
        attention(query, keys, values, settings.heads, bias, settings.dropout)
    }
}

/// Whether the absorbed form takes a fifth fewer multiplications than projecting `k` states; its products are narrower
/// and therefore somewhat slower.
fn is_cheaper_absorbed(queries: usize, k: usize, d: usize, inner: usize, heads: usize) -> bool {
    let projected = k * d * inner + queries * k * inner;
    let absorbed = queries * d * inner + heads * queries * k * d;
    absorbed + absorbed / 4 < projected
}

impl<B: Backend> States<B> {
    fn attend(self, query: Tensor<B, 3>, bias: &AttentionBias<B>, settings: Settings) -> Tensor<B, 3> {
        assert!(
            bias.bias.is_none() && bias.past.is_none(),
            "attention: a memory has neither positions nor a future"
        );
        #[cfg(feature = "flex")]
        if settings.dropout == 0.0
            && let Some(route) = crate::flex::route::<B>()
        {
            let Self { states, key, value } = self;
            return crate::flex::absorbed_attention(route, query, states, [key, value], settings.heads, bias);
        }
        self.composed(query, bias, settings)
    }

    /// The queries of all heads are rows of one product with a memory row's states.
    fn composed(self, query: Tensor<B, 3>, bias: &AttentionBias<B>, settings: Settings) -> Tensor<B, 3> {
        let Self { states, key, value } = self;
        let (key, value) = (key.weight(), value.weight());
        let ([b, q, inner], [_, k, d], heads) = (query.dims(), states.dims(), settings.heads);
        let channels = inner / heads;
        let by_head = |map: Tensor<B, 2>| map.reshape([d, heads, channels]).swap_dims(0, 1);
        let query = query.reshape([b * q, heads, channels]).swap_dims(0, 1);
        let absorbed = query
            .matmul(by_head(key).swap_dims(1, 2))
            .reshape([heads, b, q, d])
            .swap_dims(0, 1)
            .reshape([b, heads * q, d]);
        let mut scores = absorbed.matmul(states.clone().swap_dims(1, 2));
        if let Some(mask) = &bias.mask {
            scores = scores + mask.clone().reshape([b, 1, k]);
        }
        let weights = dropout(softmax(scores, 2), settings.dropout);
        let read = weights
            .matmul(states)
            .reshape([b, heads, q, d])
            .swap_dims(0, 1)
            .reshape([heads, b * q, d]);
        read.matmul(by_head(value)).swap_dims(0, 1).reshape([b, q, inner])
    }
}

#[cfg(test)]
mod tests {
    use super::is_cheaper_absorbed;

    #[test]
    fn few_queries_are_absorbed_and_many_are_not() {
        // T5-base, 124 slots: the break-even is near the channels of a head.
        assert!([1, 2, 8, 20].iter().all(|q| is_cheaper_absorbed(*q, 124, 768, 768, 12)));
        assert!(
            [50, 64, 200]
                .iter()
                .all(|q| !is_cheaper_absorbed(*q, 124, 768, 768, 12))
        );
        // A memory that is shorter than what would be made of the queries.
        assert!(!is_cheaper_absorbed(4, 3, 768, 768, 12));
    }
}
