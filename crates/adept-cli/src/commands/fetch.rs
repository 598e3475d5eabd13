//! `adept fetch`: downloads data and models from the hub into its cache.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use adept_data::Task;
use adept_hub::{Hub, HubError, Kind, Listing, Progress, RemoteFile, Repository, Settings};
use adept_lab::report::Benchmark;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Setting;
use super::hub::{MODELS, model};
use crate::args::Fetch;
use crate::failure::{Failure, remark, say};
use crate::interrupt;
use crate::progress::Loudness;

/// A download: a repository, the wanted folder of it, and the name that requested it.
struct Wanted {
    name: String,
    repository: Repository,
    folder: String,
    /// Checksums from the task's card, by name relative to the folder.
    checksums: BTreeMap<String, String>,
}

/// The files to download from one repository.
struct Planned {
    wanted: Wanted,
    listing: Listing,
    files: Vec<RemoteFile>,
}

/// Lists all repositories first, so that a mistake in the last name is found before the first download.
pub fn run(setting: &Setting, arguments: &Fetch) -> Result<(), Failure> {
    let mut settings = Settings::from_env().map_err(Failure::input)?;
    if let Some(cache) = &arguments.cache {
        settings.cache.clone_from(cache);
    }
    let hub = Hub::new(settings);
    let wanted = arguments
        .names
        .iter()
        .map(|name| wanted(name, arguments.revision.as_deref()))
        .collect::<Result<Vec<_>, _>>()?;
    interrupt::listen()?;
    // Listing has no progress to count, but may be told to wait.
    let listing = Bar {
        loudness: setting.loudness,
        bar: None,
    };
    let planned = wanted
        .into_iter()
        .flatten()
        .map(|wanted| plan(&hub, wanted, &listing))
        .collect::<Result<Vec<_>, _>>()?;
    if arguments.dry_run {
        return describe(&hub, &planned);
    }
    let total = planned
        .iter()
        .flat_map(|planned| &planned.files)
        .map(|file| file.size)
        .sum();
    let progress = Bar::new(setting.loudness, total);
    let mut folders: Vec<(String, PathBuf)> = Vec::new();
    for Planned { wanted, listing, files } in &planned {
        let fetched = hub
            .fetch(&wanted.repository, listing, files, arguments.at_once.into(), &progress)
            .map_err(failure)?;
        folders.push((wanted.name.clone(), fetched.folder));
    }
    drop(progress);
    for (name, folder) in folders {
        say(format_args!("{name}\t{}", folder.display()))?;
    }
    Ok(())
}

/// Resolves a name: a benchmark's tasks, a task, or a model.
fn wanted(name: &str, revision: Option<&str>) -> Result<Vec<Wanted>, Failure> {
    if let Some(benchmark) = Benchmark::ALL.iter().find(|benchmark| benchmark.name() == name) {
        return benchmark.tasks().iter().map(|task| of_task(task, revision)).collect();
    }
    match name.parse::<Task>() {
        Ok(task) => return Ok(vec![of_task(&task, revision)?]),
        // The path of an invalid card.
        Err(cause) if name.ends_with(".toml") => return Err(Failure::input(cause)),
        Err(_) => {}
    }
    let Some(repository) = model(name, revision.unwrap_or("main")) else {
        let short: Vec<&str> = MODELS.iter().map(|(short, _)| *short).collect();
        let message = format!(
            "`{name}` is no task, benchmark or model: expected a task's name, glue, superglue, mrqa, others, {}, or a \
             model as owner/name",
            short.join(", ")
        );
        return Err(Failure::input(message));
    };
    Ok(vec![Wanted {
        name: name.to_owned(),
        repository,
        folder: String::new(),
        checksums: BTreeMap::new(),
    }])
}

fn of_task(task: &Task, revision: Option<&str>) -> Result<Wanted, Failure> {
    let Some(hub) = &task.card().hub else {
        return Err(Failure::input(format!(
            "{task}: its card names no repository of the hub"
        )));
    };
    // The card's checksums are valid for its own revision only.
    let checksums = match revision {
        Some(other) if other != hub.revision => BTreeMap::new(),
        _ => hub.checksums.clone(),
    };
    let revision = revision.unwrap_or(&hub.revision);
    Ok(Wanted {
        name: task.name().to_owned(),
        repository: Repository::new(Kind::Dataset, &hub.repository, revision).map_err(Failure::input)?,
        folder: hub.folder.clone(),
        checksums,
    })
}

fn plan(hub: &Hub, wanted: Wanted, progress: &Bar) -> Result<Planned, Failure> {
    let listing = hub.list(&wanted.repository, progress).map_err(failure)?;
    let files = match wanted.repository.kind() {
        Kind::Model => listing.model_files(&wanted.repository),
        Kind::Dataset => listing.data_files(&wanted.repository, &wanted.folder),
    };
    let files = files.map_err(failure)?;
    listing
        .check(&wanted.repository, &wanted.folder, &wanted.checksums)
        .map_err(failure)?;
    Ok(Planned { wanted, listing, files })
}

/// Prints what would be downloaded: one line per file, and the total.
fn describe(hub: &Hub, planned: &[Planned]) -> Result<(), Failure> {
    let (mut all, mut here) = (0, 0);
    for Planned { wanted, listing, files } in planned {
        say(format_args!(
            "{}: {}, commit {}",
            wanted.name, wanted.repository, listing.commit
        ))?;
        for file in files {
            let is_here = hub.has(&wanted.repository, file);
            let mark = if is_here { ", in the cache" } else { "" };
            say(format_args!("  {:>10}  {}{mark}", megabytes(file.size), file.name))?;
            all += file.size;
            here += if is_here { file.size } else { 0 };
        }
    }
    say(format_args!(
        "{} to fetch, {} in the cache {}",
        megabytes(all - here),
        megabytes(here),
        hub.settings().cache.display()
    ))
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// Exit code: a bad request (2), a failed download (1), or Ctrl-C (130).
fn failure(cause: HubError) -> Failure {
    match cause {
        HubError::Stopped => Failure::interrupted("interrupted; run the same command again to resume"),
        HubError::Network { .. }
        | HubError::Status { .. }
        | HubError::Busy { .. }
        | HubError::Size { .. }
        | HubError::Checksum { .. }
        | HubError::Io { .. } => Failure::run(cause).hint("run the same command again to resume"),
        _ => Failure::input(cause),
    }
}

/// Bytes on a progress bar, or a line per file without a terminal.
struct Bar {
    loudness: Loudness,
    bar: Option<ProgressBar>,
}

impl Bar {
    fn new(loudness: Loudness, total: u64) -> Self {
        let bar = (loudness == Loudness::Usual && io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left");
            ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(8))
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { loudness, bar }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Bar {
    fn arrived(&self, bytes: i64) {
        if let Some(bar) = &self.bar {
            match u64::try_from(bytes) {
                Ok(more) => bar.inc(more),
                Err(_) => bar.set_position(bar.position().saturating_sub(bytes.unsigned_abs())),
            }
        }
    }

    fn finished(&self, file: &RemoteFile) {
        if self.bar.is_none() && self.loudness != Loudness::Quiet {
            remark(format_args!("{}, {}", file.name, megabytes(file.size)));
        }
    }

    fn waiting(&self, why: &HubError, seconds: f64) {
        let tell = || remark(format_args!("{why}; retrying in {seconds:.1} s"));
        match &self.bar {
            Some(bar) => bar.suspend(tell),
            None if self.loudness != Loudness::Quiet => tell(),
            None => {}
        }
    }

    fn proceed(&self) -> bool {
        !interrupt::requested()
    }
}
