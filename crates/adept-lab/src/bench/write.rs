//! Greedy generation with a decoder-only model, with the soft prompt read once for all rows or once per row.

use adept_core::Intervention;
use adept_data::Batch;
use adept_models::CausalBackbone;
use adept_models::generate::{
    Choice, GenerateError, GenerationOptions, Part, Positions, Prefix, Request, Written, complete,
};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

use super::BenchOptions;

/// Model, adapter and prompts.
pub(super) struct Writing<'a, B: Backend, M> {
    model: &'a M,
    adapter: &'a dyn Intervention<B>,
    rows: Vec<Vec<u32>>,
    options: GenerationOptions,
    device: &'a B::Device,
}

impl<'a, B: Backend, M: CausalBackbone<B>> Writing<'a, B, M> {
    /// `batch` holds joined rows.
    pub fn new(
        (model, adapter): (&'a M, &'a dyn Intervention<B>),
        batch: &Batch,
        options: &BenchOptions,
        device: &'a B::Device,
    ) -> Self {
        let rows = batch.input_ids.chunks(batch.source_width);
        let masks = batch.mask.chunks(batch.source_width);
        let seen = |(row, mask): (&[i32], &[bool])| {
            let seen = row.iter().zip(mask).filter(|(_, attend)| **attend);
            seen.map(|(id, _)| id.unsigned_abs()).collect()
        };
        Self {
            model,
            adapter,
            rows: rows.zip(masks).map(seen).collect(),
            options: GenerationOptions {
                max_new_tokens: options.new_tokens,
                choice: Choice::Greedy,
                repetition_penalty: 1.0,
                end: Vec::new(),
                positions: Positions::Tokens,
                width: 0,
            },
            device,
        }
    }

    /// The soft prompt's keys and values.
    pub fn prefix(&self) -> Prefix<M::Cache> {
        Prefix::new(self.model, self.adapter.prompt())
    }

    /// Completes every row after a prefix that has already been read.
    pub fn behind(&self, prefix: &Prefix<M::Cache>) -> Result<Vec<Written>, GenerateError> {
        let embed = |ids, positions, _: Part| self.adapter.offset_at(self.model.embed(ids), positions);
        self.complete(prefix, &self.rows, &embed)
    }

    /// Completes every row with the soft prompt as part of its input, as without prefix caching.
    pub fn whole(&self) -> Result<Vec<Written>, GenerateError> {
        let Some(prompt) = self.adapter.prompt() else {
            return self.behind(&self.prefix());
        };
        let [m, d_model] = prompt.dims();
        // A placeholder token at the position of the prompt, whose embedding is discarded.
        let rows: Vec<Vec<u32>> = self
            .rows
            .iter()
            .map(|row| std::iter::repeat_n(row[0], m).chain(row.iter().copied()).collect())
            .collect();
        let embed = |ids: Tensor<B, 2, Int>, positions: Tensor<B, 2, Int>, part| {
            let [batch, width] = ids.dims();
            let own = positions.clone().sub_scalar(m as i32).clamp_min(0);
            let tokens = self.adapter.offset_at(self.model.embed(ids), own);
            match part {
                Part::New => tokens,
                Part::Given => {
                    let is_prompt = positions.clone().lower_elem(m as i32).unsqueeze_dim::<3>(2);
                    let places = positions.clamp_max(m as i32 - 1).reshape([batch * width]);
                    let prompts = prompt.clone().select(0, places).reshape([batch, width, d_model]);
                    tokens.mask_where(is_prompt.expand([batch, width, d_model]), prompts)
                }
            }
        };
        self.complete(&Prefix::new(self.model, None), &rows, &embed)
    }

    fn complete(
        &self,
        prefix: &Prefix<M::Cache>,
        rows: &[Vec<u32>],
        embed: &dyn Fn(Tensor<B, 2, Int>, Tensor<B, 2, Int>, Part) -> Tensor<B, 3>,
    ) -> Result<Vec<Written>, GenerateError> {
        let requests: Vec<Request<'_>> = rows
            .iter()
            .zip(0..)
            .map(|(ids, row)| Request { ids, row, sample: 0 })
            .collect();
        let never = &mut |_: usize, _: &[u32]| false;
        complete(self.model, prefix, &requests, &self.options, embed, never, self.device)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use adept_models::Model;
    use burn_flex::Flex;

    use super::*;
    use crate::bench::{BenchSize, batch, work};

    /// Both variants do the same work: they give the same tokens.
    #[test]
    fn a_prompt_that_is_read_once_says_the_same() {
        for size in [BenchSize::TinyCodeGen, BenchSize::TinyLlama] {
            let options = BenchOptions {
                size,
                batch: 3,
                tokens: 9,
                virtual_tokens: 4,
                ..BenchOptions::default()
            };
            let (options, shape) = work::resolve(&options).unwrap();
            let device = Default::default();
            let adapter = work::adapter_config(&options, &shape.sites()).unwrap().unwrap();
            let model = shape.random::<Flex>(0, &device, Default::default()).unwrap();
            let adapter = work::adapter(&adapter, &model, 0, &device).unwrap();
            let batch = batch::joined(&options, shape.vocabulary());
            let same = |behind: Vec<Written>, whole: Vec<Written>| {
                assert_eq!(behind, whole, "{size}");
                assert!(behind.iter().all(|written| written.ids.len() == 32), "{behind:?}");
            };
            match model {
                Model::Decoder(model) => {
                    let writing = Writing::new((&model, &adapter), &batch, &options, &device);
                    same(writing.behind(&writing.prefix()).unwrap(), writing.whole().unwrap());
                }
                Model::T5(_) => unreachable!("both are decoders"),
            }
        }
    }
}
