//! The settings of a grid's runs: what the profile, the row and the user say, in that order, and what the grid decides.

use adept_data::{Task, path_text};
use adept_train::TrainError;
use adept_train::config::{self, Origin, Resolved, Values, chosen, fields};
use toml::Value;

use super::needs::{self, Need};
use super::{Grid, GridError, Variant};
use crate::report::EACH;

/// The settings of one run, and the runs that it starts from. Precedence from low to high: preset, profile, variant,
/// `--steps`, user.
pub(super) fn resolve(
    grid: &Grid,
    task: &Task,
    variant: &Variant,
    seed: u64,
) -> Result<(Resolved, Vec<Need>), GridError> {
    let coordinates = [
        format!("task={}", task.reference()),
        format!("data={}", path_text::to_text(grid.data.of(task))),
    ];
    let mut values = grid.profile.values(task, variant.method);
    values.extend(variant.values(task).map(|(key, value)| (key.clone(), value.clone())));
    resolve_values(grid, &values, &coordinates, variant, seed)
}

/// The same for a run on several tasks.
pub(super) fn resolve_together(
    grid: &Grid,
    tasks: &[Task],
    variant: &Variant,
    seed: u64,
) -> Result<(Resolved, Vec<Need>), GridError> {
    let table = |task: &Task| {
        let data = path_text::to_text(grid.data.of(task));
        let entries = [("name", task.reference()), ("data", data)];
        let entries = entries.map(|(key, value)| (key.to_owned(), Value::String(value)));
        Value::Table(entries.into_iter().collect())
    };
    let mut values = grid.profile.values_together(variant.method);
    values.extend(variant.settings.clone());
    for (value, _) in values.values_mut() {
        for_each(value, tasks);
    }
    let tables = Value::Array(tasks.iter().map(table).collect());
    values.insert("tasks".to_owned(), (tables, Origin::Override));
    resolve_values(grid, &values, &[], variant, seed)
}

/// Repeats what a list has for each task ([`EACH`]), with the tasks' names.
fn for_each(value: &mut Value, tasks: &[Task]) {
    let Value::Array(items) = value else {
        return;
    };
    let repeated = items.iter().flat_map(|item| match item {
        Value::String(text) if text.contains(EACH) => {
            let named = tasks.iter().map(|task| Value::String(text.replace(EACH, task.name())));
            named.collect()
        }
        other => vec![other.clone()],
    });
    *items = repeated.collect();
}

/// `values` are those below `--steps` and the user's, `coordinates` what else the grid decides.
fn resolve_values(
    grid: &Grid,
    values: &Values,
    coordinates: &[String],
    variant: &Variant,
    seed: u64,
) -> Result<(Resolved, Vec<Need>), GridError> {
    let method = variant.method;
    let common = [
        format!("adapter.method={method}"),
        format!("seed={seed}"),
        format!("backbone={}", path_text::to_text(&grid.backbone)),
    ];
    let coordinates = [coordinates, &common].concat();
    let with = |overrides: &[String]| -> Result<(Resolved, Vec<Need>), GridError> {
        let mut values = values.clone();
        values.extend(chosen(&fields::RUN, None, overrides).map_err(TrainError::from)?);
        // Skip settings of other methods.
        values.retain(|key, _| {
            let own = fields::RUN.find(key).and_then(|field| field.method);
            own.is_none_or(|own| Some(own) == method.adapter())
        });
        let needs = needs::resolve(&mut values, grid, seed)?;
        Ok((config::resolve_values(values).map_err(TrainError::from)?, needs))
    };
    let mut overrides: Vec<String> = Vec::new();
    if let Some(steps) = grid.steps {
        let preset = grid.settings.iter().filter(|setting| setting.starts_with("preset="));
        let (whole, _) = with(&preset.cloned().chain(coordinates.clone()).collect::<Vec<_>>())?;
        overrides.extend(shortened(&whole, steps));
    }
    overrides.extend(grid.settings.iter().cloned());
    overrides.extend(coordinates);
    with(&overrides)
}

/// Maximum number of evaluations of a run shortened by `--steps`.
const EVALUATIONS: usize = 10;

/// Overrides that change a run to `steps` steps: as many evaluations as before, at most ten, and a warm-up of at most a
/// tenth of the steps; lower values are kept.
#[must_use]
pub fn shortened(whole: &Resolved, steps: usize) -> Vec<String> {
    let config = &whole.config;
    let evaluations = (config.train.steps / config.evaluation.every).clamp(1, EVALUATIONS);
    let every = (steps / evaluations).max(1).min(config.evaluation.every);
    let tenth = (steps / 10).max(1);
    let groups = &config.optimizer;
    let mut overrides = vec![format!("train.steps={steps}"), format!("evaluation.every={every}")];
    let common = [
        ("prompt", &groups.prompt),
        ("offset", &groups.offset),
        ("full", &groups.full),
    ];
    let own = groups.own.iter().map(|(name, group)| (name.as_str(), group));
    overrides.extend(
        common
            .into_iter()
            .chain(own)
            .map(|(name, group)| format!("optimizer.{name}.warmup_steps={}", group.warmup_steps.min(tenth))),
    );
    overrides
}

#[cfg(test)]
mod tests {
    use super::*;
    use adept_train::config::resolve;

    #[test]
    fn shortened_runs_warm_up_and_are_evaluated_in_time() {
        let check = |whole: &[&str], steps, every: &str, warmup: &str| {
            let whole: Vec<String> = whole.iter().map(ToString::to_string).collect();
            let found = shortened(&resolve(None, &whole).expect("the settings are well formed"), steps);
            let expected = [
                format!("train.steps={steps}"),
                format!("evaluation.every={every}"),
                format!("optimizer.prompt.warmup_steps={warmup}"),
            ];
            assert_eq!(found[..3], expected);
        };
        // The paper's 30,000 steps with 30 evaluations and 500 warm-up steps.
        check(&[], 300, "30", "30");
        check(&[], 1, "1", "1");
        check(&[], 60_000, "1000", "500");
        let five = [
            "train.steps=250",
            "evaluation.every=50",
            "optimizer.prompt.warmup_steps=25",
        ];
        check(&five, 250, "50", "25");
        check(&five, 100, "20", "10");
        check(&five, 3, "1", "1");
    }

    #[test]
    fn groups_of_a_method_are_warmed_up_in_time_as_well() {
        for method in ["lora", "mpt", "residual", "p_tuning", "prefix"] {
            let whole = resolve(None, &[format!("adapter.method={method}")]).expect("a method");
            let short = resolve(
                None,
                &[vec![format!("adapter.method={method}")], shortened(&whole, 300)].concat(),
            );
            let groups = short.expect("overrides of its own groups").config.optimizer;
            let own: Vec<usize> = groups.own.values().map(|group| group.warmup_steps).collect();
            assert!(
                !own.is_empty() && own.iter().all(|steps| *steps <= 30),
                "{method}: {own:?}"
            );
        }
    }
}
