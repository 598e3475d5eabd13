//! A small decoder-only model for tests: two attention blocks over embeddings with added sinusoidal positions.

use adept_core::AdaptedInput;
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor, TensorData};

use crate::causal::{CausalCache, Reading, Scoring, Sight, attend};
use crate::places::Attached;
use crate::random::named_normals;
use crate::tape::Tape;
use crate::traits::{Backbone, CausalBackbone};

pub const VOCAB: usize = 23;
pub const D: usize = 16;
const HEADS: usize = 4;
const BLOCKS: usize = 2;

/// Token ids with a meaning in the tests; masked slots are overwritten with pads, so any token can be one.
pub const PAD: u32 = 5;
pub const END: u32 = 7;

/// Batch sizes and slots of the calls of [`CausalBackbone::read`].
pub type Reads = std::sync::Mutex<Vec<[usize; 2]>>;

#[derive(Module, Debug)]
pub struct Toy<B: Backend> {
    /// `[vocab, d]`
    embedding: Param<Tensor<B, 2>>,
    /// `[d, vocab]`, not tied: a tied head would repeat the last token forever.
    head: Param<Tensor<B, 2>>,
    /// Queries, keys and values of each block, `[d, 3·d]`.
    maps: Vec<Param<Tensor<B, 2>>>,
    #[module(skip)]
    pub reads: std::sync::Arc<Reads>,
}

impl<B: Backend> Toy<B> {
    pub fn new(seed: u64, device: &B::Device) -> Self {
        let values = |name: &str, shape: [usize; 2], deviation| {
            let values = named_normals(seed, name, shape[0] * shape[1], deviation);
            Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
        };
        Self {
            embedding: values("embedding", [VOCAB, D], 1.0),
            head: values("head", [D, VOCAB], 0.4),
            maps: (0..BLOCKS)
                .map(|block| values(&format!("block {block}"), [D, 3 * D], 0.5))
                .collect(),
            reads: Default::default(),
        }
    }

    fn run(&self, embeddings: Tensor<B, 3>, positions: Tensor<B, 2, Int>, mut reading: Reading<'_, B>) -> Tensor<B, 3> {
        let [b, n, d] = embeddings.dims();
        let frequencies: Vec<f32> = (0..d).map(|channel| 1.3_f32.powi(-(channel as i32))).collect();
        let frequencies = Tensor::<B, 1>::from_data(TensorData::new(frequencies, [d]), &embeddings.device());
        let waves = (positions.float().reshape([b, n, 1]) * frequencies.reshape([1, 1, d])).sin();
        let mut x = reading.begin(embeddings + waves);
        let [b, n, _] = x.dims();
        for (block, map) in self.maps.iter().enumerate() {
            let all = x.clone().reshape([b * n, d]).matmul(map.val()).reshape([b, n, 3 * d]);
            let part = |which: usize| all.clone().narrow(2, which * d, d);
            x = x + attend(
                block,
                [part(0), part(1), part(2)],
                Scoring {
                    heads: HEADS,
                    scale: ((d / HEADS) as f64).powf(-0.5),
                    cap: None,
                    is_windowed: false,
                },
                &Attached::none(),
                &mut reading,
            );
        }
        reading.end(x)
    }
}

impl<B: Backend> Backbone<B> for Toy<B> {
    fn d_model(&self) -> usize {
        D
    }

    fn vocab_size(&self) -> usize {
        VOCAB
    }

    fn embed(&self, ids: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        let [b, n] = ids.dims();
        self.embedding.val().select(0, ids.reshape([b * n])).reshape([b, n, D])
    }

    fn embedding_weight(&self) -> Tensor<B, 2> {
        self.embedding.val()
    }
}

impl<B: Backend> CausalBackbone<B> for Toy<B> {
    type Cache = CausalCache<B>;

    fn hidden_on(
        &self,
        _: Option<&Tape<B>>,
        input: AdaptedInput<B>,
        positions: Tensor<B, 2, Int>,
        dropout: f64,
    ) -> Tensor<B, 3> {
        let reading = Reading::new(input.mask, None, 0, dropout, Sight::default());
        self.run(input.embeddings, positions, reading)
    }

    fn head(&self, hidden: Tensor<B, 2>) -> Tensor<B, 2> {
        hidden.matmul(self.head.val())
    }

    fn new_cache(&self) -> CausalCache<B> {
        CausalCache::new(BLOCKS)
    }

    fn repeat_cache(&self, cache: &CausalCache<B>, batch: usize) -> CausalCache<B> {
        cache.repeated(batch)
    }

    fn select_cache(&self, cache: &CausalCache<B>, rows: Tensor<B, 1, Int>) -> CausalCache<B> {
        cache.select(rows)
    }

    fn read_hidden(
        &self,
        embeddings: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        positions: Tensor<B, 2, Int>,
        cache: &mut CausalCache<B>,
    ) -> Tensor<B, 3> {
        let [b, n, _] = embeddings.dims();
        self.reads.lock().unwrap().push([b, n]);
        self.run(
            embeddings,
            positions,
            Reading::new(mask, Some(cache), 0, 0.0, Sight::default()),
        )
    }

    fn max_positions(&self) -> usize {
        usize::MAX
    }

    fn eos_ids(&self) -> &[u32] {
        &[END]
    }

    fn pad_id(&self) -> u32 {
        PAD
    }
}
