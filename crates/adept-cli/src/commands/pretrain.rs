//! `adept pretrain`: trains a backbone on plain text and labelled tasks.

use std::path::{Path, PathBuf};

use adept_lab::report::text::thousands;
use adept_train::folder::{self, FolderKind};
use adept_train::pretrain::{self, Plan, ResolvedPretrain, Roots};
use burn::tensor::backend::AutodiffBackend;

use super::{Setting, clear, environment, run_failure};
use crate::args::Pretrain;
use crate::device::{WithBackend, with_backend};
use crate::failure::{Failure, remark, say};
use crate::interrupt;
use crate::pretrain_progress::{PretrainProgress, evaluation_text};
use crate::progress::Loudness;

/// Trains, resumes, or reports that the run is already finished.
pub fn run(setting: &Setting, arguments: Pretrain) -> Result<(), Failure> {
    let resolved = pretrain::resolve(Some(&arguments.config), &arguments.set).map_err(Failure::input)?;
    let roots = roots(&arguments)?;
    if arguments.plan {
        let plan = pretrain::plan(&resolved.config, &roots).map_err(run_failure)?;
        return show(&resolved, &plan);
    }
    let Some(out) = arguments.out else {
        return Err(Failure::input("--out DIR is not given; --plan alone needs none"));
    };
    if arguments.overwrite {
        folder::check(&out, FolderKind::Pretraining).map_err(run_failure)?;
        // Delete the earlier run only if corpus and tasks can be read.
        pretrain::plan(&resolved.config, &roots).map_err(run_failure)?;
        clear(setting, &out, FolderKind::Pretraining)?;
    }
    interrupt::listen()?;
    let work = Work {
        setting,
        out: &out,
        roots,
        resolved,
    };
    with_backend(setting.device, work)
}

/// Base folders for relative paths in the configuration.
fn roots(arguments: &Pretrain) -> Result<Roots, Failure> {
    let config = match arguments.config.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let data = match &arguments.data {
        Some(told) => Some(told.clone()),
        None => environment::folder("ADEPT_DATA")?,
    };
    Ok(Roots {
        data: data.unwrap_or_else(|| config.clone()),
        config,
    })
}

fn show(resolved: &ResolvedPretrain, plan: &Plan) -> Result<(), Failure> {
    let config = &resolved.config;
    let paragraphs: usize = plan.corpus.iter().map(|file| file.rows).sum();
    say(format_args!(
        "corpus      {} files, {} paragraphs",
        thousands(plan.corpus.len()),
        thousands(paragraphs)
    ))?;
    for task in &plan.tasks {
        say(format_args!(
            "task        {}: {} rows, {:.1} % of the task rows, prefix `{}`",
            task.label,
            thousands(task.rows),
            100.0 * task.rate,
            task.prefix
        ))?;
    }
    say(format_args!("vocabulary  {} tokens", thousands(plan.vocab_size)))?;
    say(format_args!(
        "model       {} parameters, {:.1} MB in bf16",
        thousands(plan.parameters),
        plan.parameters as f64 * 2.0 / 1e6
    ))?;
    say(format_args!(
        "steps       {} of {} passes: {} over text ({} windows of {} tokens each), {} over tasks ({} rows each)",
        thousands(config.train.steps),
        config.train.accumulation,
        thousands(plan.passes[0]),
        config.text.batch_size,
        plan.window_tokens,
        thousands(plan.passes[1]),
        config.mixture.batch_size
    ))
}

struct Work<'a> {
    setting: &'a Setting,
    out: &'a Path,
    roots: Roots,
    resolved: ResolvedPretrain,
}

impl WithBackend for Work<'_> {
    fn run<AB: AutodiffBackend>(self, device: AB::Device) -> Result<(), Failure> {
        let mut progress = PretrainProgress::new(self.setting.loudness);
        let outcome =
            pretrain::run::<AB>(&self.resolved, &self.roots, self.out, &device, &mut progress).map_err(run_failure)?;
        drop(progress);
        if outcome.was_finished && self.setting.loudness != Loudness::Quiet {
            remark(format_args!(
                "{} holds a finished run: nothing is trained again; a larger `train.steps` would go on with it",
                self.out.display()
            ));
        }
        say(evaluation_text(&outcome.end.evaluation))?;
        say(format_args!("saved in {}", self.out.join("model").display()))
    }
}
