//! Attention of slots over themselves and all before them, with a cache of what was read earlier.

use adept_kernels::{AttentionBias, attention};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor};

/// Keys and values of the slots read so far, a pair a block, and which of the slots may be seen.
#[derive(Debug, Clone)]
pub struct CausalCache<B: Backend> {
    /// `[b, k, g·c]` each; none before the first slot.
    blocks: Vec<Option<(Tensor<B, 3>, Tensor<B, 3>)>>,
    /// `[b, k]`, true where a slot may be seen.
    mask: Option<Tensor<B, 2, Bool>>,
}

impl<B: Backend> CausalCache<B> {
    /// A cache of a model of so many blocks, with nothing in it.
    pub fn new(blocks: usize) -> Self {
        Self {
            blocks: vec![None; blocks],
            mask: None,
        }
    }

    /// Slots that it holds.
    pub fn slots(&self) -> usize {
        self.mask.as_ref().map_or(0, |mask| mask.dims()[1])
    }

    /// What one row has read, for `batch` rows: a prompt that is the same for all is read once.
    ///
    /// # Panics
    /// Where it holds several rows.
    #[must_use]
    pub fn repeated(&self, batch: usize) -> Self {
        if let Some(mask) = &self.mask {
            assert_eq!(mask.dims()[0], 1, "a cache of several rows cannot be repeated");
        }
        let repeat = |x: &Tensor<B, 3>| x.clone().repeat_dim(0, batch);
        let block = |pair: &Option<(Tensor<B, 3>, Tensor<B, 3>)>| {
            pair.as_ref().map(|(keys, values)| (repeat(keys), repeat(values)))
        };
        Self {
            blocks: self.blocks.iter().map(block).collect(),
            mask: self.mask.clone().map(|mask| mask.repeat_dim(0, batch)),
        }
    }

    /// The chosen rows, in the order given.
    #[must_use]
    pub fn select(&self, rows: Tensor<B, 1, Int>) -> Self {
        let chosen = |x: &Tensor<B, 3>| x.clone().select(0, rows.clone());
        let block = |pair: &Option<(Tensor<B, 3>, Tensor<B, 3>)>| {
            pair.as_ref().map(|(keys, values)| (chosen(keys), chosen(values)))
        };
        // Masks cannot be selected on every backend; numbers can.
        let mask = |mask: Tensor<B, 2, Bool>| mask.int().select(0, rows.clone()).greater_elem(0);
        Self {
            blocks: self.blocks.iter().map(block).collect(),
            mask: self.mask.clone().map(mask),
        }
    }
}

/// One pass of a stack: what its slots may see, and the cache that it reads and fills, if any.
pub(crate) struct Reading<'a, B: Backend> {
    bias: AttentionBias<B>,
    cache: Option<&'a mut CausalCache<B>>,
    dropout: f64,
}

impl<'a, B: Backend> Reading<'a, B> {
    /// Over slots whose mask is `[b, n]`, behind those of the cache.
    pub fn new(mask: Tensor<B, 2, Bool>, mut cache: Option<&'a mut CausalCache<B>>, dropout: f64) -> Self {
        let [_, n] = mask.dims();
        let past = cache.as_deref().map_or(0, CausalCache::slots);
        let mask = match cache.as_deref().and_then(|cache| cache.mask.clone()) {
            Some(before) => Tensor::cat(vec![before, mask], 1),
            None => mask,
        };
        if let Some(cache) = &mut cache {
            cache.mask = Some(mask.clone());
        }
        // A slot that is read alone sees all.
        let bias = match n {
            1 => AttentionBias::new(None, Some(mask)),
            _ => AttentionBias::causal(past, n, mask),
        };
        Self { bias, cache, dropout }
    }

    /// The rate of dropout.
    pub fn dropout(&self) -> f64 {
        self.dropout
    }
}

/// Attention of block `block`: queries `[b, n, h·c]`, keys and values `[b, n, g·c]` to `[b, n, h·c]`. Scores are divided by
/// `sqrt(c)`; head `i` of the queries sees head `i·g/h` of the keys.
pub(crate) fn attend<B: Backend>(
    block: usize,
    query: Tensor<B, 3>,
    key: Tensor<B, 3>,
    value: Tensor<B, 3>,
    heads: usize,
    reading: &mut Reading<'_, B>,
) -> Tensor<B, 3> {
    let [_, _, inner] = query.dims();
    let (mut keys, mut values) = (key, value);
    if let Some(cache) = &mut reading.cache {
        if let Some((old_keys, old_values)) = cache.blocks[block].take() {
            keys = Tensor::cat(vec![old_keys, keys], 1);
            values = Tensor::cat(vec![old_values, values], 1);
        }
        cache.blocks[block] = Some((keys.clone(), values.clone()));
    }
    let query = query.mul_scalar(((inner / heads) as f64).powf(-0.5));
    attention(query, keys, values, heads, &reading.bias, reading.dropout)
}
