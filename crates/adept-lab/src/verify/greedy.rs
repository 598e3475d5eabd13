//! Checks of greedy generation with decoder-only models: both ways of counting positions, and new tokens with and
//! without ADePT's offset.

use adept_core::{Intervention, Method, Unchanged};
use adept_models::generate::{
    Choice, GenerationOptions, Part, Positions, Prefix, Request, complete, complete_with_margins,
};
use adept_models::{Backbone, CausalBackbone};
use adept_train::target::TrainBackbone;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

use super::causal::end_id;
use super::forward::{self, NEW_TOKENS};
use super::golden::Golden;
use super::subject::{PromptCase, Subject};
use super::{GroupRow, VerifyError};

/// A variant of generation.
struct Way {
    /// Suffix after `gen_ids` in the golden name.
    name: &'static str,
    positions: Positions,
    /// Whether new tokens pass through the adapter's offset.
    is_shifted: bool,
}

const fn plain(name: &'static str, positions: Positions) -> Way {
    Way {
        name,
        positions,
        is_shifted: false,
    }
}

const fn shifted(name: &'static str, positions: Positions) -> Way {
    Way {
        name,
        positions,
        is_shifted: true,
    }
}

/// The first variant is also run with stopping at the end token, and its margins are in the file: for the bare model
/// transformers' `generate`, for an adapted one peft's.
const BASE: &[Way] = &[
    plain("nostop", Positions::Tokens),
    plain("arange_nostop", Positions::Slots),
];
const ADAPTED: &[Way] = &[
    plain("nostop", Positions::Slots),
    plain("mask_nostop", Positions::Tokens),
];
const ADEPT: &[Way] = &[
    plain("nostop", Positions::Slots),
    plain("mask_nostop", Positions::Tokens),
    shifted("arange_adaptnew_nostop", Positions::Slots),
    shifted("mask_adaptnew_nostop", Positions::Tokens),
];

/// Generation with the bare model.
pub(super) fn base<AB, M>(subject: &Subject<'_, AB, M>) -> Result<Vec<GroupRow>, VerifyError>
where
    AB: AutodiffBackend,
    M: TrainBackbone<AB>,
    M::Inner: CausalBackbone<AB::InnerBackend>,
{
    let bare = Unchanged;
    check("base", BASE, subject.golden, (&subject.inner, &bare), subject.device)
}

/// Generation with an adapter.
pub(super) fn adapted<AB, M>(
    case: PromptCase,
    subject: &Subject<'_, AB, M>,
    adapter: &dyn Intervention<AB::InnerBackend>,
) -> Result<Vec<GroupRow>, VerifyError>
where
    AB: AutodiffBackend,
    M: TrainBackbone<AB>,
    M::Inner: CausalBackbone<AB::InnerBackend>,
{
    let ways = match case.method {
        Method::Adept => ADEPT,
        _ => ADAPTED,
    };
    let subjects = (&subject.inner, adapter);
    check(case.name, ways, subject.golden, subjects, subject.device)
}

fn check<B: Backend, M: CausalBackbone<B>>(
    prefix: &str,
    ways: &[Way],
    golden: &Golden,
    (model, adapter): (&M, &dyn Intervention<B>),
    device: &B::Device,
) -> Result<Vec<GroupRow>, VerifyError> {
    let given = Given::read(golden, model)?;
    let requests = given.requests();
    let prefix_read = Prefix::new(model, adapter.prompt());
    let mut rows = Vec::with_capacity(ways.len() + 2);
    for (number, way) in ways.iter().enumerate() {
        // DePT's row i belongs to slot i of the padded input, however positions are counted.
        let embed = |ids, _, part| -> Tensor<B, 3> {
            let embeddings = Backbone::<B>::embed(model, ids);
            match part {
                Part::New if !way.is_shifted => embeddings,
                Part::New | Part::Given => adapter.offset(embeddings, 0),
            }
        };
        let options = |end: Vec<u32>| GenerationOptions {
            max_new_tokens: NEW_TOKENS,
            choice: Choice::Greedy,
            repetition_penalty: 1.0,
            end,
            positions: way.positions,
            width: given.width,
        };
        let never = &mut |_: usize, _: &[u32]| false;
        let free = options(Vec::new());
        let free = complete_with_margins(model, &prefix_read, &requests, &free, &embed, never, device)?;
        let (written, leads): (Vec<_>, Vec<_>) = free.into_iter().unzip();
        let ids: Vec<Vec<u32>> = written.into_iter().map(|written| written.ids).collect();
        rows.push(forward::sequences(
            golden,
            &format!("{prefix}.gen_ids_{}", way.name),
            &ids,
        )?);
        if number == 0 {
            let stopping = options(model.eos_ids().to_vec());
            let written = complete(model, &prefix_read, &requests, &stopping, &embed, never, device)?;
            let ids = written.into_iter().map(|written| {
                let mut ids = written.ids;
                // The golden rows are padded with the end token.
                ids.resize(NEW_TOKENS, end_id(model));
                ids
            });
            let ids: Vec<Vec<u32>> = ids.collect();
            rows.push(forward::sequences(golden, &format!("{prefix}.gen_ids"), &ids)?);
            rows.push(forward::margins(golden, &format!("{prefix}.gen_margin"), &leads)?);
        }
    }
    Ok(rows)
}

/// The prompts to complete.
struct Given {
    rows: Vec<Vec<u32>>,
    /// Slots they are padded to.
    width: usize,
}

impl Given {
    fn read<B: Backend>(golden: &Golden, model: &impl Backbone<B>) -> Result<Self, VerifyError> {
        const GROUP: &str = "generation";
        let [rows, width] = golden.shape(GROUP, "gen.input_ids")?;
        let ids = golden.ids(GROUP, "gen.input_ids", &[rows, width], model.vocab_size(), false)?;
        let mask = golden.integers(GROUP, "gen.attention_mask", &[rows, width])?;
        let own = |(ids, mask): (&[i64], &[i64])| -> Vec<u32> {
            let seen = ids.iter().zip(mask).filter(|(_, attend)| **attend != 0);
            // `ids` are below the vocabulary size, the row count of an embedding matrix, so they fit.
            seen.map(|(id, _)| *id as u32).collect()
        };
        let rows = ids.chunks(width).zip(mask.chunks(width)).map(own).collect();
        Ok(Self { rows, width })
    }

    fn requests(&self) -> Vec<Request<'_>> {
        self.rows
            .iter()
            .enumerate()
            .map(|(row, ids)| Request {
                ids,
                row: row as u64,
                sample: 0,
            })
            .collect()
    }
}
