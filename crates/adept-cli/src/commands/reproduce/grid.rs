//! Builds a grid from the command line: profile, data, backbone.

use std::env;
use std::path::{Path, PathBuf};

use adept_core::CoreError;
use adept_data::Task;
use adept_lab::report::{Benchmark, PaperTable};
use adept_lab::reproduce::{
    DataPlace, Grid, GridError, Planner, Profile, ProfileName, Variant, backbone_folder, data_folder, datasets,
    methods as usual_methods, names, row, rows, tasks,
};

use adept_train::TrainError;

use super::{grid_failure, own_files_command, shown};
use crate::args::{self, MethodChoice, Runs};
use crate::commands::settings::overrides;
use crate::commands::{Setting, environment, hub};
use crate::failure::{Failure, remark};
use crate::progress::Loudness;

/// The grid for the arguments; `table` is the command's name, used in hints.
pub fn of(setting: &Setting, arguments: &Runs, benchmark: Benchmark, table: &str) -> Result<Grid, Failure> {
    let name = profile_name(arguments)?;
    let profile = Profile::of(name);
    let shipped = profile.data.is_some() && arguments.data.is_none();
    let Some(tasks) = tasks(benchmark, shipped) else {
        let message = format!("the profile sample has no data for {}", benchmark.title());
        let example = own_files_command(table, benchmark, ProfileName::RealSmall);
        return Err(Failure::input(message).hint(format_args!("for instance: {example}")));
    };
    let own_backbone = backbone_folder(benchmark, &profile);
    if arguments.backbone.is_none() && own_backbone.is_none() {
        let message = format!(
            "the profile {name} needs --backbone DIR for {} (a checkpoint in Hugging Face form: config.json, \
             model.safetensors, tokenizer.json)",
            benchmark.title()
        );
        let example = own_files_command(table, benchmark, name);
        return Err(Failure::input(message).hint(format_args!("for instance: {example}")));
    }
    let tasks = if profile.tasks.is_empty() {
        chosen_by(&arguments.tasks, &tasks, Task::has_card_of)
    } else {
        chosen_by(&arguments.tasks, &profile.tasks, Task::has_card_of)
    };
    let data = if arguments.data.is_none() && profile.data.is_none() {
        let sources = PaperTable::of(benchmark).sources;
        let sources = sources.iter().filter_map(|source| Task::named(source).ok());
        let needed: Vec<Task> = tasks.iter().cloned().chain(sources).collect();
        let folders = hub::data(&needed).map_err(|failure| failure.context(format_args!("the profile {name}")))?;
        let names = needed.iter().map(|task| task.name().to_owned());
        DataPlace::Each(names.zip(folders).collect())
    } else {
        DataPlace::Folder(folder(
            arguments.data.as_deref(),
            data_folder(benchmark, &profile).as_deref(),
            name,
        )?)
    };
    let backbone = arguments.backbone.as_deref().map(hub::backbone).transpose()?;
    let variants = match rows(benchmark, &profile).map_err(Failure::input)? {
        Some(rows) => of_methods(benchmark, rows, &methods(&arguments.methods, Vec::new()))?,
        None => named(arguments, benchmark, &profile, tasks.len())?,
    };
    let mut grid = Grid {
        benchmark,
        out: arguments.out.clone().unwrap_or_else(|| profile.out_of(benchmark)),
        synthetic: profile.synthetic && arguments.data.is_none(),
        data,
        means: setting.means.clone(),
        backbone: folder(backbone.as_deref(), own_backbone.as_deref(), name)?,
        tasks,
        variants,
        seeds: arguments
            .seeds
            .clone()
            .map_or_else(|| profile.seeds.clone(), |seeds| seeds.0),
        steps: arguments.steps.map(|steps| steps as usize),
        settings: overrides(&arguments.settings, Vec::new()),
        overwrite: arguments.overwrite,
        completes: true,
        profile,
    };
    if arguments.methods.contains(&MethodChoice::All) {
        let left_out = leave_out(&mut grid)?;
        if setting.loudness != Loudness::Quiet {
            left_out.into_iter().for_each(remark);
        }
    }
    Ok(grid)
}

/// Leaves out the rows of methods that the backbone has no place for, with the reason of each: they were not asked for
/// by name.
fn leave_out(grid: &mut Grid) -> Result<Vec<String>, Failure> {
    let planner = Planner::open(&grid.backbone).map_err(grid_failure)?;
    let (Some(task), Some(seed)) = (grid.tasks.first(), grid.seeds.first()) else {
        return Ok(Vec::new());
    };
    let mut reasons = Vec::new();
    let kept = grid
        .variants
        .iter()
        .filter(|variant| match planner.check_settings(grid, task, variant, *seed) {
            Err(GridError::Train(TrainError::Core(cause @ CoreError::NoSite { .. }))) => {
                reasons.push(format!("{} is left out: {cause}", variant.name));
                false
            }
            _ => true,
        });
    grid.variants = kept.cloned().collect();
    Ok(reasons)
}

/// The names that were asked for; `all` stands for these.
fn methods(asked: &[MethodChoice], all: Vec<String>) -> Vec<String> {
    let of = |choice: &MethodChoice| match choice {
        MethodChoice::All => all.clone(),
        MethodChoice::One(name) => vec![name.clone()],
    };
    asked.iter().flat_map(of).collect()
}

/// The rows of a table of methods: those asked for, or the profile's.
fn named(arguments: &Runs, benchmark: Benchmark, profile: &Profile, tasks: usize) -> Result<Vec<Variant>, Failure> {
    let asked = methods(&arguments.methods, names(benchmark));
    let usual = usual_methods(benchmark, profile);
    let mut variants = Vec::new();
    for name in chosen(&asked, &usual) {
        let row = row(benchmark, profile, &name).map_err(Failure::input)?;
        let row = row.ok_or_else(|| {
            let known = names(benchmark).join(", ");
            Failure::input(format!(
                "--methods: {} has no row {name}: expected one of {known}",
                benchmark.title()
            ))
        })?;
        // Of a single task there is nothing to train together.
        if tasks > 1 || row.together.is_none() || !arguments.methods.contains(&MethodChoice::All) {
            variants.push(row);
        }
    }
    Ok(variants)
}

/// The rows of these methods; all of them if none are asked for.
fn of_methods(benchmark: Benchmark, rows: Vec<Variant>, asked: &[String]) -> Result<Vec<Variant>, Failure> {
    let table = PaperTable::of(benchmark);
    let is_alternative = |row: &Variant, name: &String| {
        let of = table.alternative(&row.name);
        of.is_some_and(|(of, _)| of.name() == name)
    };
    let is_of =
        |row: &Variant, name: &String| *name == row.name || name == row.method.name() || is_alternative(row, name);
    if let Some(missing) = asked.iter().find(|name| !rows.iter().any(|row| is_of(row, name))) {
        let mut known: Vec<&str> = rows.iter().map(|row| row.method.name()).collect();
        known.dedup();
        let message = format!(
            "the table has no row of {missing}; its rows are of {}",
            known.join(", ")
        );
        return Err(Failure::input(message));
    }
    let is_asked = |row: &Variant| asked.is_empty() || asked.iter().any(|name| is_of(row, name));
    Ok(rows.into_iter().filter(is_asked).collect())
}

pub fn profile_name(arguments: &Runs) -> Result<ProfileName, Failure> {
    match (arguments.profile, &arguments.data, &arguments.backbone) {
        (Some(args::Profile::Sample), ..) | (None, None, None) => Ok(ProfileName::Sample),
        (Some(args::Profile::RealSmall), ..) => Ok(ProfileName::RealSmall),
        (Some(args::Profile::Decoder), ..) => Ok(ProfileName::Decoder),
        (Some(args::Profile::Paper), ..) | (None, Some(_), Some(_)) => Ok(ProfileName::Paper),
        (None, Some(_), None) => Err(
            Failure::input("--data alone: add --backbone DIR for the paper's setting")
                .hint("or --profile real-small for this project's own small backbone, which needs no --backbone"),
        ),
        (None, None, Some(_)) => Err(
            Failure::input("--backbone alone: add --data DIR for the paper's setting").hint(
                "or --profile paper for the files that `adept fetch` has brought, or --profile sample for this \
                     project's own data, which need no --data",
            ),
        ),
    }
}

/// The given folder, else the profile's in the datasets folder.
pub(in crate::commands) fn folder(
    given: Option<&Path>,
    shipped: Option<&Path>,
    name: ProfileName,
) -> Result<PathBuf, Failure> {
    let Some(shipped) = shipped.filter(|_| given.is_none()) else {
        return Ok(given.map(Path::to_owned).unwrap_or_default());
    };
    let variable = environment::folder(datasets::VARIABLE)?;
    let here = env::current_dir().map_err(|cause| Failure::input(cause).context("the current folder"))?;
    let found = datasets::find(variable.as_deref(), &here, shipped).map_err(|cause| {
        let hint = match &variable {
            Some(_) => format!(
                "{} should name the folder `datasets` of this project",
                datasets::VARIABLE
            ),
            None => format!(
                "run it inside a copy of this project, or set {} to its folder `datasets`",
                datasets::VARIABLE
            ),
        };
        Failure::input(cause)
            .context(format_args!("the profile {name}"))
            .hint(hint)
    })?;
    Ok(shown(&found).to_owned())
}

/// The given values without duplicates, in order; the profile's if none are given.
fn chosen<T: PartialEq + Clone>(asked: &[T], profile: &[T]) -> Vec<T> {
    chosen_by(asked, profile, T::eq)
}

/// Like [`chosen`] with a custom equality: tasks are equal by name, but two cards of the same name must not be merged.
fn chosen_by<T: Clone>(asked: &[T], profile: &[T], same: impl Fn(&T, &T) -> bool) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for value in if asked.is_empty() { profile } else { asked } {
        if !kept.iter().any(|known| same(known, value)) {
            kept.push(value.clone());
        }
    }
    kept
}
