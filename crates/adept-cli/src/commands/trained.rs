//! A model's training context, as used and reported by `eval` and `predict`.

use std::path::Path;

use adept_core::{Adapter, AdapterConfig, AdapterMetadata, FoldedPrompt, Intervention, Unchanged, file};
use adept_data::{SplitLosses, Task};
use adept_lab::run::LoadedBackbone;
use adept_models::Backbone as _;
use adept_train::config::{RunConfig, Told};
use adept_train::folder::{BEST, adapter_folder};
use adept_train::trained::{TRAINED_FILE, TrainedWith};
use burn::tensor::backend::Backend;

use super::run_failure;
use crate::failure::{Failure, remark};
use crate::progress::Loudness;

/// An adapter for a backbone, and its training context.
pub struct Subject<B: Backend> {
    /// The adapter; without a folder, one that changes nothing.
    pub adapter: Box<dyn Intervention<B>>,
    /// The same with the tensors of its method; `None` without a folder.
    own: Option<Adapter<B>>,
    /// The adapter file's metadata.
    pub about: Option<AdapterMetadata>,
    /// What the adapter was trained with; without an adapter, what the backbone was trained with by full fine-tuning.
    pub trained: Option<TrainedWith>,
}

/// Loads an adapter and checks that it belongs to the backbone.
pub fn load<B: Backend>(
    folder: Option<&Path>,
    backbone: &LoadedBackbone<B>,
    device: &B::Device,
) -> Result<Subject<B>, Failure> {
    let Some(folder) = folder else {
        return Ok(Subject {
            adapter: Box::new(Unchanged),
            own: None,
            about: None,
            trained: TrainedWith::of_backbone(&backbone.path).map_err(run_failure)?,
        });
    };
    let folder = &adapter_folder(folder);
    let (about, tensors) = file::read(folder).map_err(|cause| {
        let failure = Failure::input(cause);
        let whole = [folder.clone(), folder.join(BEST)];
        match whole.iter().find(|folder| folder.join(TRAINED_FILE).exists()) {
            Some(whole) => failure.hint(format_args!(
                "a whole model of method full: --backbone {}",
                whole.display()
            )),
            None => failure,
        }
    })?;
    let belongs = about
        .check_d_model(backbone.model.d_model())
        .and_then(|()| about.check_backbone(&backbone.fingerprint));
    let adapter = belongs.and_then(|()| Adapter::from_tensors(&about.config, &backbone.model.sites(), tensors, device));
    let adapter = adapter.map_err(|cause| Failure::input(cause).context(folder.display()))?;
    let adapter = adapter.folded();
    if about.config.tasks() > 1 {
        let message = format!("expected an adapter of one task, found one of {}", about.config.tasks());
        return Err(Failure::input(message)
            .context(folder.display())
            .hint("the run that it is of has one for each task, in tasks/NAME/best"));
    }
    Ok(Subject {
        adapter: adapter.of_task(0).unwrap_or_else(|| Box::new(adapter.clone())),
        own: Some(adapter),
        trained: TrainedWith::of_adapter(folder, &about).map_err(run_failure)?,
        about: Some(about),
    })
}

impl<B: Backend> Subject<B> {
    /// Prepares the adapter as the settings of an evaluation say: with its offsets in a vocabulary table if they are to
    /// be there.
    pub fn prepare(&mut self, config: &RunConfig, backbone: &LoadedBackbone<B>) -> Result<(), Failure> {
        if config.evaluation.folded_vocabulary {
            let adapter = self.own.as_ref().ok_or_else(|| {
                Failure::input("`evaluation.folded_vocabulary`: without an adapter there are no offsets to fold")
            })?;
            let folded = FoldedPrompt::new(adapter, backbone.model.embedding_weight());
            let folded = folded.map_err(|cause| Failure::input(cause).context("`evaluation.folded_vocabulary`"))?;
            self.adapter = Box::new(folded);
        }
        Ok(())
    }

    /// Source length recorded with the adapter's sizes; `None` for a bare backbone, and for files without one.
    pub fn source_length(&self) -> Option<usize> {
        let length = self.about.as_ref()?.config.max_source_length()?;
        (length > 1).then_some(length)
    }

    /// Source length supported by the adapter: DePT's offsets are tied to positions.
    pub fn most_source_tokens(&self) -> Option<usize> {
        let config = &self.about.as_ref()?.config;
        match config {
            AdapterConfig::Dept(config) => Some(config.max_source_length),
            _ => None,
        }
    }
}

/// Prints the settings that differ from training, in one line.
pub fn say_told(loudness: Loudness, trained: &TrainedWith, task: Option<&Task>, told: &[Told]) {
    let other = task.filter(|task| !task.has_card_of(&trained.task));
    let other = other.map(|task| match task == &trained.task {
        true => format!("another card of task {task}"),
        false => format!("task {task} ({} in training)", trained.task),
    });
    let settings = told
        .iter()
        .map(|told| format!("{} = {} ({} in training)", told.key, told.told, told.trained));
    let all: Vec<String> = other.into_iter().chain(settings).collect();
    if !all.is_empty() && loudness != Loudness::Quiet {
        remark(format_args!("overriding the training's settings: {}", all.join(", ")));
    }
}

/// Reports truncation and unknown tokens, one line per kind.
pub fn say_losses<'a>(loudness: Loudness, losses: impl IntoIterator<Item = &'a SplitLosses>) {
    if loudness != Loudness::Quiet {
        losses.into_iter().flat_map(SplitLosses::lines).for_each(remark);
    }
}
