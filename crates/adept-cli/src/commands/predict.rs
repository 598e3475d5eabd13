//! `adept predict`: one prediction per source text, in the order of the input.

mod input;

use adept_core::Intervention;
use adept_data::{
    BatchOptions, Batcher, Encoded, LossCounter, LossyText, Right, TargetLength, Task, default_buckets, split_losses,
};
use adept_lab::run::{self, LoadedBackbone};
use adept_models::Precision;
use adept_train::TrainError;
use adept_train::answering::AnswerMethod;
use adept_train::config::{self, RunConfig, Told};
use adept_train::evaluate::{self, EvaluationSet};
use adept_train::rows::{BatchUse, RowForm};
use adept_train::task::{LabelIds, label_ids, target_width, turn_end};
use burn::tensor::backend::{AutodiffBackend, Backend};
use input::Input;

use super::trained::{self, Subject};
use super::{Setting, hub, run_failure};
use crate::args::Predict;
use crate::device::{WithBackend, with_backend};
use crate::failure::{Failure, say};
use crate::progress::Loudness;

/// Defaults for source and answer length if neither the training, the task nor the command line gives them.
const SOURCE_TOKENS: usize = 256;
const NEW_TOKENS: usize = 20;

/// Reads texts and prints predictions.
pub fn run(setting: &Setting, arguments: Predict) -> Result<(), Failure> {
    let loudness = setting.loudness;
    with_backend(setting.device, Work { arguments, loudness })
}

struct Work {
    arguments: Predict,
    loudness: Loudness,
}

impl WithBackend for Work {
    fn run<AB: AutodiffBackend>(self, device: AB::Device) -> Result<(), Failure> {
        let (arguments, loudness) = (self.arguments, self.loudness);
        let mut input = Input::open(&arguments.input, arguments.jsonl)?;
        let folder = hub::backbone(&arguments.backbone)?;
        let backbone =
            run::load_backbone::<AB::InnerBackend>(&folder, &device, Some(Precision::F32)).map_err(run_failure)?;
        let mut subject = trained::load(arguments.adapter.as_deref(), &backbone, &device)?;
        let settings = settings(&arguments, loudness, &backbone, &subject)?;
        let (form, config) = (&settings.form, &settings.config);
        let precision = run::frozen_precision::<AB::InnerBackend>(config).unwrap_or_default();
        let backbone = backbone.held(Some(precision), &device).map_err(run_failure)?;
        subject.prepare(config, &backbone)?;
        let encoder = form.encoder(&backbone.tokenizer);
        let longest = form.lengths(config, settings.target_width).map_err(run_failure)?.source;
        let decode = |ids: &[u32]| Ok(backbone.tokenizer.decode(ids, true)?);
        let method = run::answer_method(
            config,
            settings.labels.as_ref(),
            settings.target_width,
            settings.turn_end,
            &decode,
        );

        let mut losses = LossCounter::new(LossyText::Source, longest);
        let mut read = 0;
        loop {
            let before = input.lines_read();
            let block = input.block()?;
            if block.is_empty() {
                trained::say_losses(loudness, &split_losses("input", read, [losses]));
                return Ok(());
            }
            let prompts = block.iter().map(|line| line.prompt(encoder));
            let prompts = prompts.collect::<Result<Vec<_>, _>>().map_err(Failure::input)?;
            let encoded = encoder.prompt_ids(&prompts).map_err(Failure::input)?;
            for (prompt, ids) in prompts.iter().zip(&encoded) {
                losses.add_prompt(encoder, read, prompt, ids).map_err(Failure::input)?;
                read += 1;
            }
            let rows: Vec<Encoded> = encoded
                .into_iter()
                .map(|source| {
                    let source = encoder.cut_source(&source, longest);
                    Encoded::new(source, vec![backbone.model.eos_id()])
                })
                .collect();
            let place = |row: usize| format!("{}:{}", arguments.input.display(), before + row + 1);
            let prompt = subject.adapter.virtual_tokens();
            // An answer has at least one token.
            let tokens = rows.iter().map(|row| row.source.len() + 1).enumerate();
            run::check_positions(&backbone.model, "text", prompt, tokens).map_err(run_failure)?;
            let size = usize::from(arguments.batch_size);
            let options = BatchOptions {
                buckets: default_buckets(config.input.max_source_length),
                pad_to_max: false,
                ..form.batch_options(config, BatchUse::Answering, size, backbone.model.pad_id(), 1)
            };
            let predictions = predict(&rows, options, &backbone, &*subject.adapter, &method, &device, &place)?;
            for (line, prediction) in block.iter().zip(predictions) {
                say(line.with(&prediction))?;
            }
        }
    }
}

/// How predictions are made.
struct Settings {
    /// The configuration a training run would have.
    config: RunConfig,
    /// How texts are laid out for the backbone.
    form: RowForm,
    /// The task's labels and their token ids.
    labels: Option<LabelIds>,
    /// Maximum target length in tokens.
    target_width: usize,
    /// The token with which the chat template ends an answer.
    turn_end: Option<u32>,
}

/// Source length and prediction method: as in training, if the model records it, unless overridden.
fn settings<B: Backend>(
    arguments: &Predict,
    loudness: Loudness,
    backbone: &LoadedBackbone<B>,
    subject: &Subject<B>,
) -> Result<Settings, Failure> {
    let trained = subject.trained.as_ref();
    // Older adapters record only the name of their task.
    let named = || subject.about.as_ref()?.task.as_deref()?.parse().ok();
    let task: Option<Task> = arguments
        .task
        .clone()
        .or_else(|| trained.map(|trained| trained.task.clone()))
        .or_else(named);
    let is_trained_on = trained
        .zip(task.as_ref())
        .is_some_and(|(trained, task)| task.has_card_of(&trained.task));
    let method = match (arguments.generate, arguments.labels) {
        (true, _) => Some("generate"),
        (_, true) => Some("labels"),
        _ if is_trained_on => None,
        _ => Some("auto"),
    };
    let mut told: Vec<String> = method
        .map(|method| format!("evaluation.method={method}"))
        .into_iter()
        .chain(arguments.set.iter().cloned())
        .collect();
    let (mut config, mut differing) = match trained.zip(task.as_ref()) {
        Some((trained, task)) => {
            let (resolved, told) = trained.resolve(task, &told).map_err(run_failure)?;
            (resolved.config, told)
        }
        None => {
            let tokens = match task.as_ref().map(Task::target_length) {
                Some(TargetLength::Tokens(tokens)) => tokens,
                _ => NEW_TOKENS,
            };
            told.insert(0, format!("evaluation.max_new_tokens={tokens}"));
            (config::resolve(None, &told).map_err(Failure::input)?.config, Vec::new())
        }
    };
    let is_told = |key: &str| arguments.set.iter().any(|told| told.starts_with(key));
    if trained.is_none() && !is_told("input.max_source_length=") {
        let of_task = task
            .as_ref()
            .map_or(SOURCE_TOKENS, |task| task.card().source.max_length);
        config.input.max_source_length = subject.source_length().unwrap_or(of_task);
    }
    if let Some(task) = task.as_ref().filter(|task| task.is_program()) {
        let task = task.name().to_owned();
        return Err(run_failure(TrainError::NotRows { task }));
    }
    let form = backbone.row_form(&config, task.as_ref()).map_err(run_failure)?;
    let encoder = form.encoder(&backbone.tokenizer);
    let (labels, target_width, turn_end) = match &task {
        None => (None, NEW_TOKENS, None),
        Some(task) => {
            let width = target_width(&config, task, encoder).map_err(run_failure)?;
            let labels = label_ids(task, encoder).map_err(run_failure)?;
            let turn_end = turn_end(task, encoder).map_err(run_failure)?;
            (labels, width, turn_end)
        }
    };
    if config.evaluation.max_new_tokens == 0 {
        config.evaluation.max_new_tokens = target_width;
    }
    let mut tell = |key: &str, value: &mut usize, given: Option<u16>| {
        let Some(given) = given.map(usize::from) else { return };
        if given != *value {
            let number = |value| i64::try_from(value).unwrap_or(i64::MAX).into();
            differing.push(Told {
                key: key.to_owned(),
                told: number(given),
                trained: number(*value),
            });
        }
        *value = given;
    };
    let (input, evaluation) = (&mut config.input, &mut config.evaluation);
    tell(
        "input.max_source_length",
        &mut input.max_source_length,
        arguments.max_source_length,
    );
    tell(
        "evaluation.max_new_tokens",
        &mut evaluation.max_new_tokens,
        arguments.max_new_tokens,
    );
    if let Some(trained) = trained {
        trained::say_told(loudness, trained, task.as_ref(), &differing);
    }
    if let Some(most) = subject.most_source_tokens() {
        config.input.max_source_length = config.input.max_source_length.min(most);
    }
    if arguments.labels && labels.is_none() {
        let message = match &task {
            Some(task) => format!("--labels: the task {task} has no labels"),
            None => "--labels: no task is known: add --task NAME".to_owned(),
        };
        return Err(Failure::input(message));
    }
    Ok(Settings {
        config,
        form,
        labels,
        target_width,
        turn_end,
    })
}

fn predict<B: Backend>(
    rows: &[Encoded],
    options: BatchOptions,
    backbone: &LoadedBackbone<B>,
    adapter: &dyn Intervention<B>,
    method: &AnswerMethod<'_>,
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
    let predictions = evaluate::predict(&backbone.model, adapter, &set, method, device, &mut |_, _| true);
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
