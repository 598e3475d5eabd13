//! `adept predict`: one prediction for each source text, in the order of the input.

mod input;

use adept_core::PromptAdapter;
use adept_data::{BatchOptions, Batcher, Encoded, Layout, Right, Task, default_buckets};
use adept_train::TrainError;
use adept_train::evaluate::{self, EvaluationSet, Predictor};
use adept_train::run::{self, LoadedBackbone};
use burn::tensor::backend::{AutodiffBackend, Backend};
use input::Input;

use super::eval::load_adapter;
use super::{Setting, hub, run_failure};
use crate::args::Predict;
use crate::device::{WithBackend, with_backend};
use crate::failure::{Failure, say};

/// Reads texts and prints predictions.
pub fn run(setting: &Setting, arguments: Predict) -> Result<(), Failure> {
    with_backend(setting.device, Work(arguments))
}

struct Work(Predict);

impl WithBackend for Work {
    fn run<AB: AutodiffBackend>(self, device: AB::Device) -> Result<(), Failure> {
        let arguments = self.0;
        let mut input = Input::open(&arguments.input, arguments.jsonl)?;
        let backbone = run::load_backbone::<AB::InnerBackend>(&hub::backbone(&arguments.backbone)?, &device)
            .map_err(run_failure)?;
        let (adapter, about) = load_adapter(arguments.adapter.as_deref(), &backbone, &device)?;
        let trained_for = about.as_ref().and_then(|about| about.task.as_deref()?.parse().ok());
        let predictor = predictor(&arguments, arguments.task.clone().or(trained_for), &backbone)?;
        // DePT has offsets for as many positions as it was trained with.
        let limit = about
            .map(|about| about.config.max_source_length)
            .filter(|limit| *limit > 1);
        let given = usize::from(arguments.max_source_length);
        let width = limit.map_or(given, |limit| limit.min(given));

        loop {
            let before = input.lines_read();
            let block = input.block()?;
            if block.is_empty() {
                return Ok(());
            }
            let texts: Vec<&str> = block.iter().map(|line| line.source.as_str()).collect();
            let encoded = backbone.tokenizer.encode_batch(&texts, width).map_err(Failure::input)?;
            let rows: Vec<Encoded> = encoded
                .into_iter()
                .map(|source| Encoded {
                    source,
                    target: vec![backbone.model.eos_id()],
                })
                .collect();
            let options = BatchOptions {
                layout: Layout::Apart,
                batch_size: usize::from(arguments.batch_size),
                max_source_length: width,
                buckets: default_buckets(width),
                pad_to_max: false,
                pad_id: backbone.model.pad_id(),
                target_width: 1,
            };
            let place = |row: usize| format!("{}:{}", arguments.input.display(), before + row + 1);
            let predictions = predict(&rows, options, &backbone, &adapter, &predictor, &device, &place)?;
            for (line, prediction) in block.iter().zip(predictions) {
                say(line.with(&prediction))?;
            }
        }
    }
}

fn predict<B: Backend>(
    rows: &[Encoded],
    options: BatchOptions,
    backbone: &LoadedBackbone<B>,
    adapter: &PromptAdapter<B>,
    predictor: &Predictor,
    device: &B::Device,
    place: &dyn Fn(usize) -> String,
) -> Result<Vec<String>, Failure> {
    let batches = Batcher::new(rows, options)
        .and_then(|batcher| batcher.evaluation_batches())
        .map_err(Failure::input)?;
    let set = EvaluationSet {
        batches,
        right: Right::of_targets(vec![String::new(); rows.len()]),
    };
    let decode = |ids: &[u32]| Ok(backbone.tokenizer.decode(ids, true)?);
    let predictions = evaluate::predict(
        &backbone.model,
        adapter,
        &set,
        predictor,
        &decode,
        device,
        &mut |_, _| true,
    );
    let failed = |cause: TrainError| match cause {
        TrainError::Generate(ref error) => {
            let place = error.row().map(place);
            let failure = run_failure(cause);
            match place {
                Some(place) => failure.context(place),
                None => failure,
            }
        }
        cause => run_failure(cause),
    };
    Ok(predictions.map_err(failed)?.unwrap_or_default())
}

/// The labels of the task where it has some, else free text.
fn predictor<B: Backend>(
    arguments: &Predict,
    task: Option<Task>,
    backbone: &LoadedBackbone<B>,
) -> Result<Predictor, Failure> {
    let max_new_tokens = usize::from(arguments.max_new_tokens);
    let labels = task.and_then(|task| task.labels()).filter(|_| !arguments.generate);
    let Some(labels) = labels else {
        return Ok(Predictor::Generate { max_new_tokens });
    };
    let ids: Result<Vec<_>, _> = labels
        .iter()
        .map(|label| backbone.tokenizer.encode(label, usize::MAX))
        .collect();
    let texts = labels.iter().map(ToString::to_string).collect();
    Ok(Predictor::Labels {
        ids: ids.map_err(Failure::input)?,
        texts,
    })
}
