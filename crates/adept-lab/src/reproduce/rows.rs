//! The rows and tasks of the paper's tables that are grids of their own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use adept_data::Task;
use adept_train::config::{ConfigError, TrainMethod, chosen, fields};

use super::{Profile, Variant};
use crate::report::{Benchmark, PaperRow, PaperTable};

/// The rows of a table as variants; `None` where the rows are the methods of a profile. A profile with the project's own
/// backbone takes the settings for small models.
///
/// # Errors
/// A setting that a run cannot have.
pub fn rows(benchmark: Benchmark, profile: &Profile) -> Result<Option<Vec<Variant>>, ConfigError> {
    let table = PaperTable::of(benchmark);
    if !table.own_rows {
        return Ok(None);
    }
    let rows = table.rows.iter().map(|row| match (row.from_each, row.of_sources) {
        (true, _) => from_each(benchmark, &table, row, profile),
        // They are run for the rows that start from them.
        (false, true) => Ok(Vec::new()),
        (false, false) => variant(benchmark, &table, row, profile).map(|row| vec![row]),
    });
    rows.collect::<Result<Vec<_>, _>>().map(|rows| Some(rows.concat()))
}

/// A row's variants from each of the table's sources.
fn from_each(
    benchmark: Benchmark,
    table: &PaperTable,
    row: &PaperRow,
    profile: &Profile,
) -> Result<Vec<Variant>, ConfigError> {
    let sources = table.sources_of(profile.has_small_backbone()).iter();
    let of_source = |source: &String| variant(benchmark, table, &row.from_source(source), profile);
    sources.map(of_source).collect()
}

/// The row of a table by its name: one with settings of its own, or a method's. `None` if there is none.
///
/// # Errors
/// A setting that a run cannot have.
pub fn row(benchmark: Benchmark, profile: &Profile, name: &str) -> Result<Option<Variant>, ConfigError> {
    let table = PaperTable::of(benchmark);
    let known = table.rows.iter().find(|row| row.name() == name && is_built(row));
    match known {
        Some(row) => variant(benchmark, &table, row, profile).map(Some),
        None => Ok(name.parse::<TrainMethod>().ok().map(Variant::from)),
    }
}

/// Names of all rows that a table can have: the methods, and rows of the table with settings of their own.
#[must_use]
pub fn names(benchmark: Benchmark) -> Vec<String> {
    let table = PaperTable::of(benchmark);
    let methods: Vec<String> = TrainMethod::all().map(|method| method.name().to_owned()).collect();
    let own = table
        .rows
        .iter()
        .filter(|row| is_built(row))
        .map(|row| row.name().to_owned());
    let own: Vec<String> = own.filter(|name| !methods.contains(name)).collect();
    [methods, own].concat()
}

/// Whether its method is implemented here.
fn is_built(row: &PaperRow) -> bool {
    row.method.parse::<TrainMethod>().is_ok()
}

fn variant(
    benchmark: Benchmark,
    table: &PaperTable,
    row: &PaperRow,
    profile: &Profile,
) -> Result<Variant, ConfigError> {
    let method: TrainMethod = row.method.parse().map_err(|_| ConfigError::Value {
        place: format!("paper/{benchmark}.toml"),
        key: "method".to_owned(),
        expected: TrainMethod::expected(),
        found: row.method.clone(),
    })?;
    let is_small = profile.has_small_backbone();
    let (common, own) = match is_small {
        true => (&table.sample_settings, &row.sample),
        false => (&table.settings, &row.settings),
    };
    // Sources are trained like any run of the profile.
    let common = common.iter().filter(|_| !row.of_sources);
    let settings: Vec<String> = common.chain(own).cloned().collect();
    Ok(Variant {
        name: row.name().to_owned(),
        method,
        settings: chosen(&fields::RUN, None, &settings)?,
        tasks: BTreeMap::new(),
        together: match row.of_sources {
            true => Some(table.sources_of(is_small).to_vec()),
            false => row.together.clone(),
        },
    })
}

/// The tasks of a table. With the project's own data (`shipped`) those that it has; `None` if it has none of them.
#[must_use]
pub fn tasks(benchmark: Benchmark, shipped: bool) -> Option<Vec<Task>> {
    let table = PaperTable::of(benchmark);
    if !shipped || table.sample_data.is_some() {
        return Some(benchmark.tasks());
    }
    let own = Task::suite(Benchmark::Glue.name());
    let tasks = if table.sample_tasks.is_empty() {
        benchmark.tasks()
    } else {
        let named = table.sample_tasks.iter().map(|name| Task::named(name));
        named.filter_map(Result::ok).collect()
    };
    tasks.iter().all(|task| own.contains(task)).then_some(tasks)
}

/// Folder of a table's data below the datasets folder: the project's own data of its form, or those of the profile.
#[must_use]
pub fn data_folder(benchmark: Benchmark, profile: &Profile) -> Option<PathBuf> {
    let own = PaperTable::of(benchmark).sample_data;
    profile.data.clone().map(|usual| own.unwrap_or(usual))
}

/// Folder of a table's backbone below the datasets folder: the profile's, or the project's own for this table, which
/// knows the project's own data and nothing else. `None` if there is none for the profile's data.
#[must_use]
pub fn backbone_folder(benchmark: Benchmark, profile: &Profile) -> Option<PathBuf> {
    let own = PaperTable::of(benchmark).sample_backbone;
    match own {
        Some(own) => profile.data.is_some().then_some(own),
        None => profile.backbone.clone(),
    }
}

/// Names of the methods that a table has in a profile if none are asked for.
#[must_use]
pub fn methods(benchmark: Benchmark, profile: &Profile) -> Vec<String> {
    let own = PaperTable::of(benchmark).sample_methods;
    if profile.data.is_some() && !own.is_empty() {
        return own;
    }
    profile.methods.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::super::ProfileName;
    use super::*;
    use adept_train::config::resolve_values;

    #[test]
    fn every_row_of_every_table_resolves_in_every_profile() {
        let mut own = 0;
        for benchmark in Benchmark::ALL.iter().copied() {
            for name in ProfileName::ALL {
                let profile = Profile::of(name);
                let Some(rows) = rows(benchmark, &profile).expect("the tables are well formed") else {
                    continue;
                };
                own += 1;
                for row in rows {
                    let word = format!("adapter.method={}", row.method);
                    let mut values = chosen(&fields::RUN, None, &[word]).expect("it is a method");
                    values.extend(row.settings);
                    resolve_values(values).unwrap_or_else(|error| panic!("{benchmark} {name} {}: {error}", row.name));
                }
                assert!(
                    tasks(benchmark, true).is_some(),
                    "{benchmark}: the sample has no tasks for it"
                );
            }
        }
        assert!(own > 3, "{own} tables have rows of their own");
    }

    #[test]
    fn a_table_has_its_own_data_backbone_and_methods_where_the_profile_has_data() {
        let of = |benchmark, name| {
            let profile = Profile::of(name);
            (
                data_folder(benchmark, &profile),
                backbone_folder(benchmark, &profile),
                methods(benchmark, &profile),
            )
        };
        let (own, usual) = (
            of(Benchmark::Mbpp, ProfileName::Sample),
            of(Benchmark::Glue, ProfileName::Sample),
        );
        assert_eq!(own.0, Some(PathBuf::from("mbpp-sample")));
        assert_eq!(own.1, Some(PathBuf::from("backbones/llama-nano")));
        assert_eq!(own.2, ["full", "lora", "pt", "dept", "adept"]);
        assert_eq!(usual.1, Profile::of(ProfileName::Sample).backbone);
        assert_eq!(usual.2, ["full", "pt", "dept", "adept"]);
        // The user's data need a backbone that knows more than the project's, and have the profile's methods.
        let real = of(Benchmark::Mbpp, ProfileName::RealSmall);
        assert_eq!((real.0, real.1), (None, None));
        assert_eq!(of(Benchmark::Glue, ProfileName::RealSmall).1, usual.1);
        assert_eq!(real.2, usual.2);
        let paper = of(Benchmark::Mbpp, ProfileName::Paper);
        assert_eq!((paper.0, paper.1), (None, None));
        assert_eq!(paper.2, ["pt", "dept", "adept"]);
        for benchmark in Benchmark::ALL.iter().copied() {
            for name in PaperTable::of(benchmark).sample_methods {
                let row = row(benchmark, &Profile::of(ProfileName::Sample), &name);
                assert!(row.expect("its settings fit").is_some(), "{benchmark}: no row {name}");
            }
        }
    }
}
