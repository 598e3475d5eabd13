//! The model: embedding, blocks, head, and the implementation of the backbone traits.

use adept_core::{AdaptedInput, ModelSites, SideNetwork};
use adept_kernels::dropout;
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor};

use super::attention::Projections;
use super::block::{Angles, Block};
use super::config::DecoderConfig;
use super::feed_forward::Inner;
use super::norm::Norm;
use super::rope::{Rope, RopeScaling};
use super::side::Side;
use crate::causal::{CausalCache, Reading, Text, Wanted, behind};
use crate::embedding::Embedding;
use crate::linear::Linear;
use crate::places::Places;
use crate::tape::Tape;
use crate::traits::{Backbone, CausalBackbone};

/// A decoder-only model of any family, with frozen parameters.
#[derive(Module, Debug)]
pub struct Decoder<B: Backend> {
    /// Token embeddings, `[vocab, d]`, not scaled.
    pub embedding: Embedding<B>,
    /// Learned positions, `[positions, d]`.
    pub positions: Option<Param<Tensor<B, 2>>>,
    /// The blocks, in order.
    pub blocks: Vec<Block<B>>,
    /// The norm after the last block.
    pub norm: Norm<B>,
    /// The output head, `[d, vocab]`; tied models use [`Self::embedding`].
    pub head: Option<Linear<B>>,
    /// `[vocab]`, if a method adds one to a head without.
    pub head_bias: Option<Param<Tensor<B, 1>>>,
    /// A network beside the model whose states the head reads, if a method has one; not part of the model's parameters.
    pub side: Option<Side<B>>,
    #[module(skip)]
    pub(super) config: DecoderConfig,
}

impl<B: Backend> Decoder<B> {
    /// The model's configuration.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// The same weights with another scaling of the rotary frequencies; `None` means unscaled.
    #[must_use]
    pub fn with_rope_scaling(mut self, scaling: Option<RopeScaling>) -> Self {
        if let Some(rope) = &mut self.config.rope {
            rope.scaling = scaling;
        }
        self
    }

    /// Slots in front of every attention, which tokens count their positions from.
    fn prefix(&self) -> usize {
        self.blocks.first().map_or(0, |block| block.attention.attached.slots())
    }

    /// The length of a batch beyond which rotary frequencies are others, if there is one.
    fn limit(&self) -> Option<usize> {
        let ropes = [&self.config.rope, &self.config.window_rope];
        ropes.into_iter().flatten().find_map(Rope::limit)
    }

    /// The largest of positions `[b, n]`, behind a prefix, and one; not looked at where nothing depends on it.
    fn length(&self, positions: &Tensor<B, 2, Int>) -> usize {
        let largest = |positions: &Tensor<B, 2, Int>| positions.clone().max().to_data().iter::<i64>().next();
        let largest = self.limit().and_then(|_| largest(positions)).unwrap_or(0);
        usize::try_from(largest).unwrap_or(0) + 1 + self.prefix()
    }

    /// States after the final norm, of wanted slots of a batch of a length.
    fn run(
        &self,
        embeddings: Tensor<B, 3>,
        (positions, length): (Tensor<B, 2, Int>, usize),
        mut reading: Reading<'_, B>,
        tape: Option<&Tape<B>>,
        wanted: Wanted<'_>,
    ) -> Tensor<B, 3> {
        let config = &self.config;
        // A network beside the model reads what leaves every block.
        let choice = match &self.side {
            None => reading.choice(wanted, embeddings.dims()[1], &embeddings.device()),
            Some(_) => None,
        };
        let positions = behind(positions, self.prefix());
        let angles = Angles::new(config, &positions, length, &reading);
        let entering = match &self.positions {
            Some(table) => embeddings + adept_kernels::embedding(table.val(), positions.clone()),
            None => embeddings,
        };
        let mut x = reading.begin(entering);
        if config.drops_layers {
            x = dropout(x, reading.dropout());
        }
        let mut beside = self.side.as_ref().map(|side| {
            let angles = Angles::new(&side.config, &positions, length, &reading);
            (side, angles, side.rungs.begin(x.clone()))
        });
        for (number, block) in self.blocks.iter().enumerate() {
            let only = choice.clone().filter(|_| number + 1 == self.blocks.len());
            x = match tape.filter(|_| beside.is_none()) {
                None => block.forward([number, number], x, config, &angles, &mut reading, only.as_ref()),
                Some(tape) => {
                    let (block, config, angles) = (block.clone(), config.clone(), angles.clone());
                    let reading = reading.apart();
                    tape.segment(x, move |x| {
                        block.forward(
                            [number, number],
                            x,
                            &config,
                            &angles,
                            &mut reading.apart(),
                            only.as_ref(),
                        )
                    })
                }
            };
            if let Some((side, angles, climb)) = &mut beside {
                // The cache holds the side blocks behind the model's.
                let cached = |place: usize| self.blocks.len() + place;
                climb.pass(&x, |place, state| {
                    side.blocks[place].forward([cached(place), number], state, &side.config, angles, &mut reading, None)
                });
            }
        }
        let epsilon = config.norm_epsilon;
        let left = match beside {
            None => self.norm.forward(x, epsilon),
            Some((side, _, climb)) => side.up.forward(side.norm.forward(climb.top(), epsilon)),
        };
        match choice {
            Some(_) => left,
            None => wanted.of(reading.end(left)),
        }
    }

    /// States of wanted slots of whole rows.
    fn whole(
        &self,
        tape: Option<&Tape<B>>,
        input: AdaptedInput<B>,
        positions: Tensor<B, 2, Int>,
        dropout: f64,
        wanted: Wanted<'_>,
    ) -> Tensor<B, 3> {
        let length = self.length(&positions);
        let reading = Reading::whole(input.mask, input.shared, self.prefix(), dropout, self.config.sight());
        self.run(input.embeddings, (positions, length), reading, tape, wanted)
    }

    /// States of wanted slots, which follow those in the cache.
    fn read_wanted(
        &self,
        embeddings: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        positions: Tensor<B, 2, Int>,
        cache: &mut CausalCache<B>,
        wanted: Wanted<'_>,
    ) -> Tensor<B, 3> {
        let length = self.length(&positions);
        let Some(limit) = self.limit() else {
            return self.run(embeddings, (positions, length), self.reading(mask, cache), None, wanted);
        };
        let [_, n, _] = embeddings.dims();
        let slots = (embeddings.clone(), mask.clone(), positions.clone());
        let (before, whole) = cache.note(Text {
            embeddings,
            mask,
            positions,
            length,
        });
        let length = whole.length;
        if before == 0 || before > limit || length <= limit {
            let (embeddings, mask, positions) = slots;
            return self.run(embeddings, (positions, length), self.reading(mask, cache), None, wanted);
        }
        // What was read with the frequencies of short texts is read again.
        *cache = self.new_cache();
        cache.note(whole.clone());
        let reading = self.reading(whole.mask, cache);
        let states = self.run(whole.embeddings, (whole.positions, length), reading, None, wanted);
        match wanted {
            Wanted::All => {
                let [_, total, _] = states.dims();
                states.narrow(1, total - n, n)
            }
            Wanted::Last | Wanted::Slots(_) => states,
        }
    }

    /// Blocks with keys and values: the model's, then those of a side network.
    fn cached_blocks(&self) -> usize {
        self.blocks.len() + self.side.as_ref().map_or(0, |side| side.blocks.len())
    }

    fn reading<'a>(&self, mask: Tensor<B, 2, Bool>, cache: &'a mut CausalCache<B>) -> Reading<'a, B> {
        Reading::new(mask, Some(cache), self.prefix(), 0.0, self.config.sight())
    }

    fn scaled<const D: usize>(&self, embeddings: Tensor<B, D>) -> Tensor<B, D> {
        match self.config.embedding_scale {
            1.0 => embeddings,
            scale => embeddings.mul_scalar(scale),
        }
    }
}

impl<B: Backend> Backbone<B> for Decoder<B> {
    fn d_model(&self) -> usize {
        self.config.hidden_size
    }

    fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    fn embed(&self, ids: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        self.scaled(self.embedding.look_up(ids))
    }

    fn embedding_weight(&self) -> Tensor<B, 2> {
        self.scaled(self.embedding.weight())
    }

    fn sites(&self) -> ModelSites {
        self.config.sites()
    }

    fn places(&mut self) -> Places<'_, B> {
        let mut places = Places::default();
        for block in &mut self.blocks {
            let (attention, layer) = (&mut block.attention, &mut block.feed_forward);
            match &mut attention.projections {
                Projections::Apart(maps) => {
                    places.linears.extend([&mut maps.query, &mut maps.key, &mut maps.value]);
                }
                Projections::Fused(map) => places.linears.push(map),
            }
            places.linears.push(&mut attention.output);
            match &mut layer.inner {
                Inner::Plain(map) | Inner::GatedFused(map) => places.linears.push(map),
                Inner::Gated(maps) => places.linears.extend([&mut maps.gate, &mut maps.up]),
            }
            places.linears.push(&mut layer.down);
            let norms = [
                Some(&mut block.before_attention),
                attention.query_norm.as_mut(),
                attention.key_norm.as_mut(),
                block.after_attention.as_mut(),
                block.before_feed_forward.as_mut(),
                block.after_feed_forward.as_mut(),
            ];
            places.norms.extend(norms.into_iter().flatten().map(Norm::place));
            places.sublayers.extend([&mut attention.attached, &mut layer.attached]);
        }
        places.norms.push(self.norm.place());
        let head_bias = match &mut self.head {
            Some(head) if self.config.biases.head => &mut head.bias,
            _ => &mut self.head_bias,
        };
        Places {
            embedding: Some(&mut self.embedding),
            head_bias: Some(head_bias),
            ..places
        }
    }

    fn attach_side(&mut self, side: &SideNetwork<B>) {
        self.side = Some(Side::new(side, &self.config));
    }
}

impl<B: Backend> CausalBackbone<B> for Decoder<B> {
    type Cache = CausalCache<B>;

    fn hidden_on(
        &self,
        tape: Option<&Tape<B>>,
        input: AdaptedInput<B>,
        positions: Tensor<B, 2, Int>,
        dropout: f64,
    ) -> Tensor<B, 3> {
        self.whole(tape, input, positions, dropout, Wanted::All)
    }

    fn hidden_at(
        &self,
        tape: Option<&Tape<B>>,
        input: AdaptedInput<B>,
        positions: Tensor<B, 2, Int>,
        slots: &[usize],
        dropout: f64,
    ) -> Tensor<B, 2> {
        self.whole(tape, input, positions, dropout, Wanted::Slots(slots))
            .squeeze_dim(0)
    }

    fn head(&self, hidden: Tensor<B, 2>) -> Tensor<B, 2> {
        let logits = match &self.head {
            Some(head) => head.forward_rows(hidden),
            None => adept_kernels::head_logits(hidden, self.embedding.kept()),
        };
        let logits = match &self.head_bias {
            Some(bias) => logits + bias.val().unsqueeze(),
            None => logits,
        };
        match self.config.logit_cap {
            Some(cap) => logits.div_scalar(cap).tanh().mul_scalar(cap),
            None => logits,
        }
    }

    fn head_loss(&self, hidden: Tensor<B, 2>, labels: Tensor<B, 1, Int>) -> Tensor<B, 1> {
        match self.head.is_none() && self.head_bias.is_none() && self.config.logit_cap.is_none() {
            true => adept_kernels::head_loss(hidden, self.embedding.kept(), 1.0, labels),
            false => adept_kernels::cross_entropy(self.head(hidden), labels),
        }
    }

    fn new_cache(&self) -> CausalCache<B> {
        CausalCache::new(self.cached_blocks())
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
        self.read_wanted(embeddings, mask, positions, cache, Wanted::All)
    }

    fn read(
        &self,
        embeddings: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        positions: Tensor<B, 2, Int>,
        cache: &mut CausalCache<B>,
    ) -> Tensor<B, 2> {
        self.head(
            self.read_wanted(embeddings, mask, positions, cache, Wanted::Last)
                .squeeze_dim(1),
        )
    }

    fn max_positions(&self) -> usize {
        self.config.positions
    }

    fn eos_ids(&self) -> &[u32] {
        &self.config.eos_token_ids
    }

    fn pad_id(&self) -> u32 {
        self.config.pad_token_id
    }
}
