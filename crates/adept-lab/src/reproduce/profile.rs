//! Profiles of a reproduction: data and backbone, methods and seeds, and settings that override the preset.
//!
//! The profiles are TOML files in `profiles/`, embedded in the program. Their values are checked against the schema of
//! a run when they are parsed, so that a mistake is reported with file and line; a run's record gives the profile as
//! the origin of its values.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use adept_data::Task;
use adept_train::config::fields::{Kind, RUN};
use adept_train::config::schema::Schema;
use adept_train::config::{ConfigError, Origin, TrainMethod, Values, collect};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Value;
use toml::de::{DeTable, DeValue};

use super::search::SpaceName;
use crate::report::{Benchmark, PaperTable};

/// Name of a built-in profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileName {
    /// The project's own data and backbone: minutes.
    Sample,
    /// The user's GLUE files on the project's backbone: hours.
    RealSmall,
    /// The user's files on the user's small decoder, a thirtieth of the paper's steps: hours.
    Decoder,
    /// The paper's setting: days on a CPU.
    Paper,
}

impl ProfileName {
    /// All profiles, smallest first.
    pub const ALL: [Self; 4] = [Self::Sample, Self::RealSmall, Self::Decoder, Self::Paper];

    /// Name for `--profile`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sample => "sample",
            Self::RealSmall => "real-small",
            Self::Decoder => "decoder",
            Self::Paper => "paper",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Sample => include_str!("../../profiles/sample.toml"),
            Self::RealSmall => include_str!("../../profiles/real-small.toml"),
            Self::Decoder => include_str!("../../profiles/decoder.toml"),
            Self::Paper => include_str!("../../profiles/paper.toml"),
        }
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A parsed profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Name used in records.
    pub name: String,
    /// One-line description.
    pub about: String,
    /// Folder of GLUE's files below the datasets folder; `None` if the user provides it.
    pub data: Option<PathBuf>,
    /// Folder of the backbone below the datasets folder; `None` if the user provides it.
    pub backbone: Option<PathBuf>,
    /// Whether `data` are synthetic.
    pub synthetic: bool,
    /// Default output folder; `BENCHMARK` in it is replaced by the benchmark's name.
    pub out: PathBuf,
    /// Methods, in the order of running.
    pub methods: Vec<TrainMethod>,
    /// Tasks, in the order of running; if empty, all of the benchmark's.
    pub tasks: Vec<Task>,
    /// Seeds, in the order of running.
    pub seeds: Vec<u64>,
    /// The search of settings that suits it.
    pub search: SpaceName,
    layers: Layers,
}

/// Settings that override the preset's; later layers take precedence.
#[derive(Debug, Clone, Default, PartialEq)]
struct Layers {
    common: Values,
    methods: BTreeMap<TrainMethod, Values>,
    tasks: BTreeMap<Task, Values>,
    /// For one method on one task.
    cells: BTreeMap<(Task, TrainMethod), Values>,
}

/// Keys of a profile other than settings.
#[derive(Deserialize, JsonSchema)]
struct Head {
    /// One-line description.
    about: String,
    /// Folder of the tasks' files below the datasets folder.
    data: Option<PathBuf>,
    /// Folder of the backbone's checkpoint below the datasets folder.
    backbone: Option<PathBuf>,
    /// Whether the data are synthetic.
    #[serde(default)]
    synthetic: bool,
    /// Default output folder for runs and report.
    out: PathBuf,
    /// Methods, in the order of running.
    methods: Vec<String>,
    /// Tasks, in the order of running; by default all of the benchmark's.
    #[serde(default)]
    tasks: Vec<String>,
    /// Seeds, in the order of running.
    #[schemars(inner(range(min = 1)))]
    seeds: Vec<u64>,
    /// The search of settings that suits it: `paper` or `small`.
    #[serde(default)]
    search: SpaceName,
}

static HEAD: LazyLock<Schema> =
    LazyLock::new(|| Schema::of::<Head>("the head of crates/adept-lab/profiles/sample.toml"));

impl Profile {
    /// Loads a built-in profile.
    #[must_use]
    pub fn of(name: ProfileName) -> Self {
        Self::parse(name.name(), name.text()).expect("the profiles are part of the program; a test reads each")
    }

    /// Parses a profile.
    ///
    /// # Errors
    /// Invalid TOML, an unknown key, method or task, a value out of range, a missing `about`, `out`, `methods` or
    /// `seeds`; all but the last with file and line.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        let file = PathBuf::from("profiles").join(name).with_extension("toml");
        let place = |offset: usize| origin(&file, text, offset);
        let document = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            place: place(error.span().map_or(0, |span| span.start)).to_string(),
            message: error.message().to_owned(),
        })?;
        let (mut rest, mut layers) = (DeTable::new(), Layers::default());
        for (key, value) in document.get_ref() {
            let origin = place(key.span().start);
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("common", DeValue::Table(table)) => layers.common = settings(table, &place)?,
                ("method", DeValue::Table(table)) => {
                    for (name, inner) in table {
                        let method = word(name.get_ref(), "method", &place(name.span().start))?;
                        layers.methods.insert(
                            method,
                            settings(inner_table(inner.get_ref(), "method", &origin)?, &place)?,
                        );
                    }
                }
                ("task", DeValue::Table(table)) => {
                    for (name, inner) in table {
                        let task = word(name.get_ref(), "task", &place(name.span().start))?;
                        layers.task(task, inner_table(inner.get_ref(), "task", &origin)?, &place)?;
                    }
                }
                _ => {
                    rest.insert(key.clone(), value.clone());
                }
            }
        }
        let mut head = Values::new();
        collect(&HEAD, &rest, "", &place, &mut head)?;
        Self::build(name, head, layers)
    }

    fn build(name: &str, values: Values, layers: Layers) -> Result<Self, ConfigError> {
        for key in ["methods", "seeds", "about", "out"] {
            if !values.contains_key(key) {
                return Err(ConfigError::Missing { key });
            }
        }
        let origin = |key: &str| values.get(key).map_or(Origin::Preset, |(_, origin)| origin.clone());
        let (methods, tasks) = (origin("methods"), origin("tasks"));
        let head: Head = Value::Table(values.into_iter().map(|(key, (value, _))| (key, value)).collect())
            .try_into()
            .expect("every value was checked against the schema of this struct");
        Ok(Self {
            name: name.to_owned(),
            about: head.about,
            data: head.data,
            backbone: head.backbone,
            synthetic: head.synthetic,
            out: head.out,
            methods: head
                .methods
                .iter()
                .map(|name| word(name, "methods", &methods))
                .collect::<Result<_, _>>()?,
            tasks: head
                .tasks
                .iter()
                .map(|name| word(name, "tasks", &tasks))
                .collect::<Result<_, _>>()?,
            seeds: head.seeds,
            search: head.search,
            layers,
        })
    }

    /// Whether it has the project's own backbone, for which tables have settings of their own.
    #[must_use]
    pub fn has_small_backbone(&self) -> bool {
        self.backbone.is_some()
    }

    /// Default output folder for a table; tables that share their runs share it.
    #[must_use]
    pub fn out_of(&self, benchmark: Benchmark) -> PathBuf {
        let runs = PaperTable::of(benchmark).runs_of(benchmark);
        PathBuf::from(self.out.to_string_lossy().replace("BENCHMARK", &runs))
    }

    /// Settings for one method on several tasks together that override the preset's.
    pub(crate) fn values_together(&self, method: TrainMethod) -> Values {
        let mut values = self.layers.common.clone();
        let own = self.layers.methods.get(&method).into_iter().flatten();
        values.extend(own.map(|(key, value)| (key.clone(), value.clone())));
        values
    }

    /// Settings for one method on one task that override the preset's.
    pub(crate) fn values(&self, task: &Task, method: TrainMethod) -> Values {
        let Layers {
            common,
            methods,
            tasks,
            cells,
        } = &self.layers;
        let mut values = common.clone();
        for layer in [
            methods.get(&method),
            tasks.get(task),
            cells.get(&(task.clone(), method)),
        ] {
            values.extend(
                layer
                    .into_iter()
                    .flatten()
                    .map(|(key, value)| (key.clone(), value.clone())),
            );
        }
        values
    }
}

impl Layers {
    /// Parses `[task.NAME]`: settings, and tables for single methods.
    fn task(&mut self, task: Task, table: &DeTable<'_>, place: &dyn Fn(usize) -> Origin) -> Result<(), ConfigError> {
        let mut common = DeTable::new();
        for (key, value) in table {
            match (key.get_ref().parse::<TrainMethod>(), value.get_ref()) {
                (Ok(method), DeValue::Table(inner)) => {
                    self.cells.insert((task.clone(), method), settings(inner, place)?);
                }
                _ => {
                    common.insert(key.clone(), value.clone());
                }
            }
        }
        self.tasks.insert(task, settings(&common, place)?);
        Ok(())
    }
}

/// Parses and checks settings of a run.
fn settings(table: &DeTable<'_>, place: &dyn Fn(usize) -> Origin) -> Result<Values, ConfigError> {
    let mut values = Values::new();
    collect(&RUN, table, "", place, &mut values)?;
    Ok(values)
}

/// Parses the name of a method or a task.
fn word<T: std::str::FromStr>(name: &str, key: &str, origin: &Origin) -> Result<T, ConfigError> {
    name.parse().map_err(|_| ConfigError::Value {
        place: origin.to_string(),
        key: key.to_owned(),
        expected: if key.starts_with("method") {
            TrainMethod::expected()
        } else {
            Kind::Task.describe()
        },
        found: format!("{name:?}"),
    })
}

fn inner_table<'a, 'b>(value: &'a DeValue<'b>, key: &str, origin: &Origin) -> Result<&'a DeTable<'b>, ConfigError> {
    match value {
        DeValue::Table(table) => Ok(table),
        _ => Err(ConfigError::Value {
            place: origin.to_string(),
            key: key.to_owned(),
            expected: "a table of settings for each name".to_owned(),
            found: "a value".to_owned(),
        }),
    }
}

/// File and line of a byte offset in the text.
fn origin(file: &Path, text: &str, offset: usize) -> Origin {
    let before = &text.as_bytes()[..offset.min(text.len())];
    Origin::File {
        path: file.to_owned(),
        line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use adept_train::config::resolve_values;

    const HEAD_LINES: &str = "about = \"x\"\nout = \"runs/x\"\nmethods = [\"pt\"]\nseeds = [1]\n";

    fn parse(rest: &str) -> Result<Profile, ConfigError> {
        Profile::parse("test", &format!("{HEAD_LINES}{rest}"))
    }

    #[test]
    fn every_profile_is_read_and_every_cell_of_it_resolves() {
        for name in ProfileName::ALL {
            let profile = Profile::of(name);
            assert_eq!(profile.name, name.name());
            assert!(profile.tasks.is_empty(), "{name}: a benchmark's own tasks");
            for task in Task::built_in() {
                for method in &profile.methods {
                    let mut values = profile.values(task, *method);
                    for (key, word) in [("task", task.name()), ("adapter.method", method.name())] {
                        values.insert(key.to_owned(), (Value::String(word.to_owned()), Origin::Override));
                    }
                    let resolved = resolve_values(values).expect("a profile's settings fit together");
                    assert!(
                        resolved.config.evaluation.every <= resolved.config.train.steps,
                        "{name} {task} {method}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_narrower_layer_wins_and_keeps_its_line() {
        let profile = parse(
            "[common]\ntrain.steps = 1\ntrain.batch_size = 1\nseed = 1\n[method.pt]\ntrain.steps = 2\nseed = 2\n\
             [task.rte]\nseed = 3\ntrain.log_every = 9\n[task.rte.pt]\ntrain.log_every = 4\n",
        )
        .expect("it is well formed");
        let rte = &Task::named("rte").expect("it is built in");
        let cola = &Task::named("cola").expect("it is built in");
        let value = |task, method, key: &str| profile.values(task, method).get(key).map(|(value, _)| value.clone());
        use TrainMethod::Full;
        let pt = TrainMethod::Adapter(adept_core::Method::Pt);
        for (task, method, key, expected) in [
            (cola, Full, "train.steps", Some(1)),
            (cola, pt, "train.steps", Some(2)),
            (rte, pt, "train.batch_size", Some(1)),
            (rte, pt, "seed", Some(3)),
            (rte, Full, "train.log_every", Some(9)),
            (rte, pt, "train.log_every", Some(4)),
            (cola, pt, "train.log_every", None),
        ] {
            assert_eq!(
                value(task, method, key),
                expected.map(Value::Integer),
                "{task} {method} {key}"
            );
        }
        let (_, origin) = &profile.values(rte, pt)["train.log_every"];
        assert_eq!(origin.to_string(), "profiles/test.toml:16");
    }

    #[test]
    fn slips_are_named_with_their_line() {
        for (text, expected) in [
            (
                "dat = \"x\"\n",
                "profiles/test.toml:5: unknown key `dat`; the nearest is `data`",
            ),
            (
                "[common]\ntrain.step = 3\n",
                "profiles/test.toml:6: unknown key `train.step`; the nearest is `train.steps`",
            ),
            (
                "[method.loha]\n",
                "profiles/test.toml:5: `method` must be one of full, pt, dept, adept, lora",
            ),
            ("[task.xyz]\n", "profiles/test.toml:5: `task` must be one of mnli"),
            (
                "[task.rte.pt]\ntrain.steps = 0\n",
                "profiles/test.toml:6: `train.steps` must be a whole number from 1",
            ),
            (
                "tasks = [\"rte\", \"no\"]\n",
                "profiles/test.toml:5: `tasks` must be one of mnli",
            ),
            ("common = 3\n", "profiles/test.toml:5: unknown key `common`"),
            ("[method]\npt = 3\n", "profiles/test.toml:5: `method` must be a table"),
            ("seeds =\n", "profiles/test.toml:5: not TOML"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.starts_with(expected), "\n found: {error}\nwanted: {expected}");
        }
        let error = Profile::parse("test", "about = \"x\"\n").expect_err("nothing else is there");
        assert!(error.to_string().starts_with("`methods` has no default"), "{error}");
    }
}
