//! Checks of greedy generation with decoder-only models: both ways of counting positions, and new tokens with and
//! without ADePT's offset.

use adept_core::{Intervention, Method, Unchanged};
use adept_models::generate::{Choice, GenerationOptions, Part, Positions, Prefix, Request, complete_with_margins};
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

/// Generation of all tokens, as transformers' `generate` counts positions, with a model to which a method's changes are
/// attached. New tokens get the method's offset, if it has one.
pub(super) fn unstopped<B: Backend, M: CausalBackbone<B>>(
    prefix: &str,
    golden: &Golden,
    subject: (&M, &dyn Intervention<B>),
    device: &B::Device,
) -> Result<Vec<GroupRow>, VerifyError> {
    let way = shifted("nostop", Positions::Tokens);
    let (ids, leads) = written(&way, &Given::read(golden, subject.0)?, subject, device)?;
    Ok(vec![
        forward::sequences(golden, &format!("{prefix}.gen_ids_nostop"), &ids)?,
        forward::margins(golden, &format!("{prefix}.gen_margin"), &leads)?,
    ])
}

fn check<B: Backend, M: CausalBackbone<B>>(
    prefix: &str,
    ways: &[Way],
    golden: &Golden,
    subject: (&M, &dyn Intervention<B>),
    device: &B::Device,
) -> Result<Vec<GroupRow>, VerifyError> {
    let model = subject.0;
    let given = Given::read(golden, model)?;
    let mut rows = Vec::with_capacity(ways.len() + 2);
    for (number, way) in ways.iter().enumerate() {
        let (ids, leads) = written(way, &given, subject, device)?;
        rows.push(forward::sequences(
            golden,
            &format!("{prefix}.gen_ids_{}", way.name),
            &ids,
        )?);
        if number == 0 {
            let (mut ids, _) = run(way, &given, subject, model.eos_ids().to_vec(), device)?;
            for ids in &mut ids {
                // The golden rows are padded with the end token.
                ids.resize(NEW_TOKENS, end_id(model));
            }
            rows.push(forward::sequences(golden, &format!("{prefix}.gen_ids"), &ids)?);
            rows.push(forward::margins(golden, &format!("{prefix}.gen_margin"), &leads)?);
        }
    }
    Ok(rows)
}

/// Ids of each row, and the margins of their choices.
type Written = (Vec<Vec<u32>>, Vec<Vec<f32>>);

/// All new tokens of every row, end tokens included.
fn written<B: Backend, M: CausalBackbone<B>>(
    way: &Way,
    given: &Given,
    subject: (&M, &dyn Intervention<B>),
    device: &B::Device,
) -> Result<Written, VerifyError> {
    run(way, given, subject, Vec::new(), device)
}

/// The new tokens of every row, up to the first that is in `end`.
fn run<B: Backend, M: CausalBackbone<B>>(
    way: &Way,
    given: &Given,
    (model, adapter): (&M, &dyn Intervention<B>),
    end: Vec<u32>,
    device: &B::Device,
) -> Result<Written, VerifyError> {
    // DePT's row i belongs to slot i of the padded input, however positions are counted.
    let embed = |ids, _, part| -> Tensor<B, 3> {
        let embeddings = Backbone::<B>::embed(model, ids);
        match part {
            Part::New if !way.is_shifted => embeddings,
            Part::New | Part::Given => adapter.offset(embeddings, 0),
        }
    };
    let options = GenerationOptions {
        max_new_tokens: NEW_TOKENS,
        choice: Choice::Greedy,
        repetition_penalty: 1.0,
        end,
        positions: way.positions,
        width: given.width,
    };
    let never = &mut |_: usize, _: &[u32]| false;
    let prefix = Prefix::new(model, adapter.prompt());
    let rows = complete_with_margins(model, &prefix, &given.requests(), &options, &embed, never, device)?;
    Ok(rows.into_iter().map(|(written, leads)| (written.ids, leads)).unzip())
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
