//! `adept train`: one run, from settings to a scored adapter.

use adept_data::Task;
use adept_train::config::{self, Resolved};
use adept_train::run;
use burn::tensor::backend::AutodiffBackend;

use super::settings::{option, overrides, path};
use super::{Setting, hub, run_failure};
use crate::args::Train;
use crate::device::{WithBackend, with_backend};
use crate::failure::{Failure, remark, say};
use crate::interrupt;
use crate::progress::{Loudness, Progress, scores};

/// Trains, resumes, or finds that there is nothing left to do.
pub fn run(setting: &Setting, arguments: Train) -> Result<(), Failure> {
    let named = [
        option("task", arguments.task.as_ref().map(Task::reference)),
        option("adapter.method", arguments.method),
        option("seed", arguments.seed),
        path("data", arguments.data.as_deref()),
        path("backbone", arguments.backbone.as_deref()),
    ];
    let mut overrides = overrides(&arguments.settings, named.into_iter().flatten().collect());
    let resolve =
        |overrides: &[String]| config::resolve(arguments.config.as_deref(), overrides).map_err(Failure::input);
    let asked = resolve(&overrides)?.config;
    if asked.backbone.as_os_str().is_empty() {
        let message = "`backbone` is not given: add --backbone DIR, or name it in the file of --config";
        return Err(Failure::input(message));
    }
    let (task, data) = hub::task_and_data(&asked.task, &asked.data)?;
    let backbone = hub::backbone(&asked.backbone)?;
    let found = [
        option("task", Some(task)),
        path("data", Some(&data)),
        path("backbone", Some(&backbone)),
    ];
    overrides.extend(found.into_iter().flatten());
    let resolved = resolve(&overrides)?;
    if arguments.out.join("result.json").exists() && setting.loudness != Loudness::Quiet {
        remark(format_args!(
            "{} holds a finished run: nothing is trained again",
            arguments.out.display()
        ));
    }
    interrupt::listen()?;
    with_backend(
        setting.device,
        Work {
            setting,
            arguments: &arguments,
            resolved,
        },
    )
}

struct Work<'a> {
    setting: &'a Setting,
    arguments: &'a Train,
    resolved: Resolved,
}

impl WithBackend for Work<'_> {
    fn run<AB: AutodiffBackend>(self, device: AB::Device) -> Result<(), Failure> {
        let out = &self.arguments.out;
        let config = &self.resolved.config;
        let mut progress = Progress::new(
            self.setting.loudness,
            format!("{} {}", config.task, config.adapter.method),
        );
        let result =
            run::run::<AB>(&self.resolved, out, &self.setting.means, &device, &mut progress).map_err(run_failure)?;
        drop(progress);
        say(format_args!(
            "validation {} (step {})",
            scores(&result.validation),
            result.best_step
        ))?;
        say(format_args!("test       {}", scores(&result.test)))?;
        say(format_args!("saved in   {}", out.join("best").display()))
    }
}
