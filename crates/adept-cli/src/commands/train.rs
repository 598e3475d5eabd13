//! `adept train`: one run, from settings to a scored adapter.

use adept_data::Task;
use adept_lab::run;
use adept_train::config::{self, Resolved};
use adept_train::folder::{self, FolderKind};
use adept_train::task::task_of;
use burn::tensor::backend::AutodiffBackend;

use super::settings::{option, overrides, path};
use super::{Setting, clear, hub, run_failure};
use crate::args::Train;
use crate::device::{WithBackend, with_backend};
use crate::failure::{Failure, remark, say};
use crate::interrupt;
use crate::progress::{Loudness, Progress, scores};

/// Trains, resumes, or reports that the run is already finished.
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
    let backbone = hub::backbone(&asked.backbone)?;
    overrides.extend(path("backbone", Some(&backbone)));
    // Several tasks say themselves where their files are.
    if asked.tasks.is_empty() {
        let (task, data) = hub::task_and_data(&asked.task, &asked.data)?;
        let found = [option("task", Some(task)), path("data", Some(&data))];
        overrides.extend(found.into_iter().flatten());
    }
    let resolved = resolve(&overrides)?;
    folder::check(&arguments.out, FolderKind::Run).map_err(run_failure)?;
    let is_done = !arguments.overwrite && arguments.out.join("result.json").exists();
    if is_done && setting.loudness != Loudness::Quiet {
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
        let task = match config.tasks.len() {
            0 => task_of(config).map_err(run_failure)?.to_string(),
            several => format!("{several} tasks"),
        };
        let mut progress = Progress::new(self.setting.loudness, format!("{task} {}", config.adapter.method));
        let result = if self.arguments.overwrite {
            // Delete the earlier run only once the new one can start.
            let frozen = run::frozen_precision::<AB::InnerBackend>(config);
            let backbone =
                run::load_backbone::<AB::InnerBackend>(&config.backbone, &device, frozen).map_err(run_failure)?;
            let data = run::prepare(config, &backbone, &self.setting.means).map_err(run_failure)?;
            clear(self.setting, out, FolderKind::Run)?;
            run::run_prepared::<AB>(&self.resolved, out, &backbone, &data, &device, &mut progress)
        } else {
            run::run::<AB>(&self.resolved, out, &self.setting.means, &device, &mut progress)
        };
        let result = result.map_err(run_failure)?;
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
