//! `adept eval`: a trained adapter's scores on a split of a task.

use std::path::{Path, PathBuf};

use adept_core::{AdapterMetadata, PromptAdapter, file};
use adept_data::{BatchOptions, Batcher, Layout, Task};
use adept_models::Backbone as _;
use adept_train::config::{self, Resolved};
use adept_train::evaluate::{self, EvaluationSet};
use adept_train::run::{self, LoadedBackbone};
use burn::tensor::backend::{AutodiffBackend, Backend};
use serde_json::json;

use super::settings::{overrides, path};
use super::{Setting, hub, run_failure};
use crate::args::{Eval, Split};
use crate::device::{WithBackend, with_backend};
use crate::failure::{Failure, say};
use crate::progress::scores;

/// Scores an adapter and prints the metrics.
pub fn run(setting: &Setting, arguments: Eval) -> Result<(), Failure> {
    let work = Work {
        backbone: hub::backbone(&arguments.backbone)?,
        cache: setting.means.cache.clone(),
        arguments,
    };
    with_backend(setting.device, work)
}

struct Work {
    arguments: Eval,
    backbone: PathBuf,
    cache: Option<PathBuf>,
}

impl WithBackend for Work {
    fn run<AB: AutodiffBackend>(self, device: AB::Device) -> Result<(), Failure> {
        let arguments = self.arguments;
        let backbone = run::load_backbone::<AB::InnerBackend>(&self.backbone, &device).map_err(run_failure)?;
        let (adapter, about) = load_adapter(arguments.adapter.as_deref(), &backbone, &device)?;
        let resolved = settings(&arguments, about.as_ref())?;
        let config = &resolved.config;
        let task = run::prepare_task(config, &backbone.tokenizer, self.cache.as_deref()).map_err(run_failure)?;
        let (rows, right) = match arguments.split {
            Split::Validation => &task.validation,
            Split::Test => &task.test,
        };
        let options = BatchOptions {
            layout: Layout::Apart,
            batch_size: config.evaluation.batch_size,
            max_source_length: config.input.max_source_length,
            buckets: config.input.widths(),
            pad_to_max: config.input.pad_to_max,
            pad_id: backbone.model.pad_id(),
            target_width: task.target_width,
        };
        let batches = Batcher::new(rows, options)
            .and_then(|batcher| batcher.evaluation_batches())
            .map_err(Failure::input)?;
        let set = EvaluationSet {
            batches,
            right: right.clone(),
        };
        let predictor = run::predictor(config, &task);
        let decode = |ids: &[u32]| Ok(backbone.tokenizer.decode(ids, true)?);
        let predictions = evaluate::predict(
            &backbone.model,
            &adapter,
            &set,
            &predictor,
            &decode,
            &device,
            &mut |_, _| true,
        );
        let predictions = predictions.map_err(run_failure)?.unwrap_or_default();
        let found = evaluate::scores(&run::metrics(config, &task.task), &predictions, &set.right);
        let split = match arguments.split {
            Split::Validation => "validation",
            Split::Test => "test",
        };
        if arguments.json {
            let object = json!({ "task": config.task, "split": split, "examples": set.right.len(), "scores": found });
            return say(object);
        }
        say(format_args!(
            "{} {split}, {} examples: {}",
            config.task,
            set.right.len(),
            scores(&found)
        ))
    }
}

/// The settings of the evaluation. DePT's offsets exist for as many positions as it was trained with, so that the
/// source length is the adapter's unless it is given.
fn settings(arguments: &Eval, about: Option<&AdapterMetadata>) -> Result<Resolved, Failure> {
    let task = arguments.task.as_ref().map(Task::reference).unwrap_or_default();
    let (task, data) = hub::task_and_data(&task, arguments.data.as_deref().unwrap_or(Path::new("")))?;
    let mut first = vec![format!("task={task}")];
    first.extend(path("data", Some(&data)));
    first.extend(path("backbone", Some(&arguments.backbone)));
    let length = about
        .map(|about| about.config.max_source_length)
        .filter(|length| *length > 1);
    first.extend(length.map(|length| format!("input.max_source_length={length}")));
    config::resolve(None, &overrides(&arguments.settings, first)).map_err(Failure::input)
}

/// Reads an adapter and checks that it belongs to the backbone; without a folder, the adapter that changes nothing.
pub fn load_adapter<B: Backend>(
    folder: Option<&Path>,
    backbone: &LoadedBackbone<B>,
    device: &B::Device,
) -> Result<(PromptAdapter<B>, Option<AdapterMetadata>), Failure> {
    let Some(folder) = folder else {
        return Ok((PromptAdapter::identity(), None));
    };
    let (adapter, about) = file::load::<B>(folder, device).map_err(Failure::input)?;
    let belongs = about
        .check_d_model(backbone.model.d_model())
        .and_then(|()| about.check_backbone(&backbone.fingerprint));
    belongs.map_err(|cause| Failure::input(cause).context(folder.display()))?;
    Ok((adapter, Some(about)))
}
