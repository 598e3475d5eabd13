//! The hub's cache: backbones and task files downloaded by `adept fetch`, looked up by name.

use std::path::{Path, PathBuf};

use adept_data::Task;
use adept_hub::{Hub, Kind, Repository, Settings};
use adept_lab::report::Benchmark;

use crate::failure::Failure;

/// Models with commonly used short names.
pub const MODELS: [(&str, &str); 5] = [
    ("t5-small", "google-t5/t5-small"),
    ("t5-base", "google-t5/t5-base"),
    ("t5-large", "google-t5/t5-large"),
    ("t5-3b", "google-t5/t5-3b"),
    ("codegen-350m-mono", "Salesforce/codegen-350M-mono"),
];

/// What rows of your own data without a card may be.
const OWN_ROWS: &str = "`source` and `target`, of `prompt` and `completion`, or of `messages`";

/// The repository of a model, if the name is a model's.
pub fn model(name: &str, revision: &str) -> Option<Repository> {
    let known = MODELS.iter().find(|(short, _)| *short == name).map(|(_, full)| *full);
    let full = known.or_else(|| name.contains('/').then_some(name))?;
    Repository::new(Kind::Model, full, revision).ok()
}

/// A backbone's folder: the given path, or, if it does not exist, the model of that name in the hub's cache.
///
/// # Errors
/// A path that neither exists nor is a model's name, and a model that is not in the cache.
pub fn backbone(given: &Path) -> Result<PathBuf, Failure> {
    if given.exists() {
        return Ok(given.to_owned());
    }
    let named = given.to_str().and_then(|name| Some((name, model(name, "main")?)));
    let Some((name, repository)) = named else {
        let short: Vec<&str> = MODELS.iter().map(|(short, _)| *short).collect();
        let message = format!("{}: no such folder, and no model of this name", given.display());
        return Err(Failure::input(message).hint(format_args!(
            "--backbone takes a folder with config.json, model.safetensors and tokenizer.json, or a model in the hub's \
             cache: {}, or owner/name",
            short.join(", ")
        )));
    };
    let hub = open()?;
    hub.cached(&repository).ok_or_else(|| {
        Failure::input(format!(
            "{name}: no such folder, and no model of this name in the hub's cache {}",
            hub.settings().cache.display()
        ))
        .hint(format_args!("run `adept fetch {name}`"))
    })
}

/// A run's task and files, from those given: a file without a task is your own data, of the form of its first row;
/// files of a task default to the hub's cache.
///
/// # Errors
/// Neither is given, or the files are not in the cache.
pub fn task_and_data(task: &str, data: &Path) -> Result<(String, PathBuf), Failure> {
    match (task.is_empty(), data.as_os_str().is_empty()) {
        (false, false) => Ok((task.to_owned(), data.to_owned())),
        (false, true) => {
            let named: Task = task.parse().map_err(Failure::input)?;
            Ok((task.to_owned(), data_of(&named, data)?))
        }
        (true, false) if data.is_file() => {
            let task = adept_data::own_task(data).map_err(Failure::input)?;
            Ok((task.reference(), data.to_owned()))
        }
        (true, false) if !data.exists() => Err(Failure::input(format!("{}: no such file or folder", data.display()))
            .hint(format_args!(
                "--data takes a file with rows of {OWN_ROWS}, or with --task a folder of its files"
            ))),
        (true, false) => Err(Failure::input(format!(
            "`task` is not given, and {} is a folder: add --task NAME, or for files train, validation and test of your \
             own --task text, completion or chat (rows of {OWN_ROWS})",
            data.display()
        ))),
        (true, _) => Err(Failure::input(format!(
            "`task` is not given: add --task NAME (or --data FILE with rows of {OWN_ROWS}), or name it in the file of \
             --config"
        ))),
    }
}

/// A task's files: the given path, else those in the hub's cache.
///
/// # Errors
/// The files are not in the cache.
pub fn data_of(task: &Task, given: &Path) -> Result<PathBuf, Failure> {
    match given.as_os_str().is_empty() {
        false => Ok(given.to_owned()),
        true => Ok(data(std::slice::from_ref(task))?.remove(0)),
    }
}

/// The tasks' folders in the hub's cache.
///
/// # Errors
/// Tasks that are not there, all in one message.
pub fn data(tasks: &[Task]) -> Result<Vec<PathBuf>, Failure> {
    let hub = open()?;
    let (mut folders, mut missing, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for task in tasks {
        match repository(task) {
            None => unknown.push(task.name()),
            Some(repository) => match hub.cached(&repository) {
                Some(folder) => folders.push(folder),
                None => missing.push(task.name()),
            },
        }
    }
    if !unknown.is_empty() {
        let message = format!("{}: no repository of the hub is on the card", unknown.join(", "));
        return Err(Failure::input(message).hint("name the folder of its files with --data"));
    }
    if !missing.is_empty() {
        let message = format!(
            "no --data is given, and the hub's cache {} does not hold {}",
            hub.settings().cache.display(),
            missing.join(", ")
        );
        let whole = Benchmark::ALL.iter().find(|benchmark| benchmark.tasks() == tasks);
        let (names, them) = match (whole, &missing[..]) {
            (_, [one]) => ((*one).to_owned(), "it"),
            (Some(benchmark), _) => (benchmark.name().to_owned(), "them"),
            (None, several) => (several.join(" "), "them"),
        };
        let hint = format!("`adept fetch {names}` brings {them}, or name the folder of the files with --data");
        return Err(Failure::input(message).hint(hint));
    }
    Ok(folders)
}

/// The command that downloads a task's files, if the hub has them.
pub fn fetch_hint(task: &str) -> Option<String> {
    let task: Task = task.parse().ok()?;
    repository(&task)?;
    Some(format!(
        "`adept fetch {}` brings the task's files from the hub; they are found without --data then",
        task.name()
    ))
}

fn repository(task: &Task) -> Option<Repository> {
    let hub = task.card().hub.as_ref()?;
    Repository::new(Kind::Dataset, &hub.repository, &hub.revision).ok()
}

fn open() -> Result<Hub, Failure> {
    Ok(Hub::new(Settings::from_env().map_err(Failure::input)?))
}
