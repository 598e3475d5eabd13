//! `adept eval`: scores of a trained adapter on a split of a task.

use std::path::{Path, PathBuf};

use adept_core::Intervention;
use adept_data::{Batcher, LoadOptions, Task};
use adept_lab::run::{self, LoadedBackbone, Means, PreparedData};
use adept_models::Precision;
use adept_train::TrainError;
use adept_train::config::{self, RunConfig};
use adept_train::evaluate::{self, EvaluationSet};
use adept_train::observer::{self, Event, Observer as _};
use adept_train::program;
use adept_train::record::MissingLayer;
use adept_train::rows::BatchUse;
use adept_train::task::load_options;
use burn::tensor::backend::{AutodiffBackend, Backend};
use serde_json::json;

use super::settings::{overrides, path};
use super::trained::{self, Subject};
use super::{Setting, hub, run_failure};
use crate::args::{Eval, Split};
use crate::device::{WithBackend, with_backend};
use crate::failure::{Failure, remark, say};
use crate::progress::{self, Loudness, Progress, scores};

/// Scores an adapter and prints the metrics.
pub fn run(setting: &Setting, arguments: Eval) -> Result<(), Failure> {
    let work = Work {
        backbone: hub::backbone(&arguments.backbone)?,
        means: setting.means.clone(),
        loudness: setting.loudness,
        arguments,
    };
    with_backend(setting.device, work)
}

struct Work {
    arguments: Eval,
    backbone: PathBuf,
    means: Means,
    loudness: Loudness,
}

impl WithBackend for Work {
    fn run<AB: AutodiffBackend>(self, device: AB::Device) -> Result<(), Failure> {
        let (arguments, loudness) = (self.arguments, self.loudness);
        let backbone = run::load_backbone::<AB::InnerBackend>(&self.backbone, &device, Some(Precision::F32))
            .map_err(run_failure)?;
        let mut subject = trained::load(arguments.adapter.as_deref(), &backbone, &device)?;
        let (task, config) = settings(&arguments, loudness, &subject)?;
        let precision = run::frozen_precision::<AB::InnerBackend>(&config).unwrap_or_default();
        let backbone = backbone.held(Some(precision), &device).map_err(run_failure)?;
        subject.prepare(&config, &backbone)?;
        if task.is_program() {
            let setting = (loudness, &self.means);
            return programs(setting, &arguments, &config, (&*backbone, &*subject.adapter), &device);
        }
        let whole = arguments.split == Split::All;
        if whole && !config.data.is_file() {
            let message = format!(
                "--split all: expected a file in --data, found {}",
                config.data.display()
            );
            return Err(Failure::input(message).hint("a folder's files are divided already: --split test"));
        }
        let options = LoadOptions {
            whole,
            ..load_options(&config)
        };
        let cache = self.means.cache.as_deref();
        let task = run::prepare_task(task, &config, options, &backbone, cache).map_err(run_failure)?;
        let prompt = subject.adapter.virtual_tokens();
        run::check_rows(&config, &backbone.model, prompt, &task).map_err(run_failure)?;
        let split = match arguments.split {
            Split::Validation => "validation",
            Split::Test => "test",
            Split::All => "all rows",
        };
        // Rows that are not divided are all test rows.
        let (of_split, (rows, right)) = match arguments.split {
            Split::Validation => ("validation", &task.validation),
            Split::Test | Split::All => ("test", &task.test),
        };
        trained::say_losses(loudness, task.losses.iter().filter(|losses| losses.split == of_split));
        if loudness != Loudness::Quiet && !whole && config.data.is_file() {
            let file = config.data.display();
            remark(format_args!(
                "{file} is divided as for training, and {} of its rows are scored; --split all scores every row",
                right.len()
            ));
        }
        let size = config.evaluation.batch_size;
        let options = run::batch_options(&config, &backbone, &task, BatchUse::Answering, size);
        let batches = Batcher::new(rows, options)
            .and_then(|batcher| batcher.evaluation_batches())
            .map_err(Failure::input)?;
        let set = EvaluationSet {
            batches,
            right: right.clone(),
        };
        let decode = |ids: &[u32]| Ok(backbone.tokenizer.decode(ids, true)?);
        let method = run::answer_method(&config, task.labels.as_ref(), task.target_width, task.turn_end, &decode);
        let predictions = evaluate::predict(
            &backbone.model,
            &*subject.adapter,
            &set,
            &method,
            &device,
            &mut |_, _| true,
        );
        let predictions = predictions.map_err(run_failure)?.unwrap_or_default();
        let found = evaluate::scores(&run::metrics(&config, &task.task), &predictions, &set.right);
        let task = task.task.name();
        if arguments.json {
            let object = json!({ "task": task, "split": split, "examples": set.right.len(), "scores": found });
            return say(object);
        }
        say(format_args!(
            "{task} {split}, {} examples: {}",
            set.right.len(),
            scores(&found)
        ))
    }
}

/// Has the model write programs, runs them and prints pass@k.
fn programs<B: Backend>(
    (loudness, means): (Loudness, &Means),
    arguments: &Eval,
    config: &RunConfig,
    (backbone, adapter): (&LoadedBackbone<B>, &dyn Intervention<B>),
    device: &B::Device,
) -> Result<(), Failure> {
    let prepared = run::prepare(config, backbone, means).map_err(run_failure)?;
    let PreparedData::Programs(programs) = &prepared else {
        return Err(run_failure(TrainError::Program {
            task: config.task.clone(),
        }));
    };
    let task = programs.task.name();
    if arguments.split != Split::Test {
        let message = format!("task `{task}` has no other split than test");
        return Err(Failure::input(message).hint("leave out --split"));
    }
    let is_told = loudness != Loudness::Quiet;
    let missing = progress::missing_layers(&MissingLayer::all(programs.sandbox.layers()));
    missing.iter().filter(|_| is_told).for_each(remark);
    let mut progress = Progress::new(loudness, task);
    let mut proceed = |done, total| {
        let split = observer::Split::Test;
        progress.event(&Event::EvaluationProgress { split, done, total });
        done == total || !progress.stop_requested()
    };
    let judged = run::judge_programs(config, backbone, programs, adapter, device, &mut proceed).map_err(run_failure)?;
    drop(progress);
    let Some((judged, throughput)) = judged else {
        return Err(Failure::interrupted(
            "stopped before all programs were judged; none was kept",
        ));
    };
    let (found, tally) = (program::scores(&judged), program::tally(&judged));
    if arguments.json {
        let examples = programs.problems.len();
        let object = json!({
            "task": task, "split": "test", "examples": examples, "scores": found, "programs": tally,
            "throughput": throughput,
        });
        return say(object);
    }
    if is_told {
        remark(throughput);
        progress::unjudged(&tally).iter().for_each(remark);
    }
    say(format_args!(
        "{task} test, {} problems: {}",
        programs.problems.len(),
        scores(&found)
    ))?;
    let outcomes = tally
        .outcomes
        .iter()
        .map(|(outcome, count)| format!("{count} {outcome}"));
    say(outcomes.collect::<Vec<_>>().join(", "))
}

/// Task and settings of the evaluation: those of the training, if the model records them, unless overridden.
fn settings<B: Backend>(
    arguments: &Eval,
    loudness: Loudness,
    subject: &Subject<B>,
) -> Result<(Task, RunConfig), Failure> {
    let data = arguments.data.as_deref().unwrap_or(Path::new(""));
    let known = subject.trained.as_ref().map(|trained| &trained.task);
    let (task, data) = match arguments.task.as_ref().or(known) {
        Some(task) => (task.clone(), hub::data_of(task, data)?),
        None => {
            let (task, data) = hub::task_and_data("", data)?;
            (task.parse().map_err(Failure::input)?, data)
        }
    };
    let mut first: Vec<String> = path("data", Some(&data)).into_iter().collect();
    first.extend(path("backbone", Some(&arguments.backbone)));
    // A card that is stored with the model has no file that a setting could name.
    let named = task.own_card().is_none() || arguments.task.is_some();
    first.extend(named.then(|| format!("task={}", task.reference())));
    let config = match &subject.trained {
        Some(trained) => {
            let told = overrides(&arguments.settings, first);
            let (resolved, told) = trained.resolve(&task, &told).map_err(run_failure)?;
            trained::say_told(loudness, trained, Some(&task), &told);
            resolved.config
        }
        None => {
            let length = subject.source_length();
            first.extend(length.map(|length| format!("input.max_source_length={length}")));
            let resolved = config::resolve(None, &overrides(&arguments.settings, first));
            resolved.map_err(Failure::input)?.config
        }
    };
    let asked = config.input.max_source_length;
    match subject.most_source_tokens() {
        Some(most) if asked > most => Err(Failure::input(format!(
            "`input.max_source_length` is {asked}, and this DePT adapter has offsets for {most} positions"
        ))
        .hint(format_args!("--set input.max_source_length={most}, or leave it out"))),
        _ => Ok((task, config)),
    }
}
