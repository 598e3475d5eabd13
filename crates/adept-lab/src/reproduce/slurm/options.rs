//! What is asked of Slurm: options from the command line over those of a TOML file.

use std::path::Path;
use std::str::FromStr;
use std::sync::LazyLock;

use adept_train::config::schema::Schema;
use adept_train::config::{ConfigError, Values, chosen};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Value;

use super::SlurmError;
use super::values::{Memory, NotAccepted, SbatchOption, TimeLimit, Word};

/// The page that documents the options.
pub const PAGE: &str = "docs/slurm.md";

/// Seconds before the time limit at which Slurm notifies an element, by default.
const NOTICE: u32 = 120;

/// Options for the jobs; what is not given is the cluster's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Partition to run in.
    pub partition: Option<Word>,
    /// Account to charge.
    pub account: Option<Word>,
    /// Time limit of an element.
    pub time: Option<TimeLimit>,
    /// GPUs of an element.
    pub gpus: Option<u32>,
    /// Type of these GPUs, as in the cluster's `gres.conf`.
    pub gpu_type: Option<Word>,
    /// CPU cores of an element.
    pub cpus: Option<u32>,
    /// Memory of an element.
    pub memory: Option<Memory>,
    /// Elements that may run at the same time.
    pub array_limit: Option<u32>,
    /// Runs of an element, one after the other.
    pub runs_per_job: Option<u32>,
    /// Seconds before the time limit at which an element stops with a checkpoint.
    pub notice: Option<u32>,
    /// Other options of `sbatch`.
    pub sbatch: Vec<SbatchOption>,
    /// Shell commands before the program, such as `module load cuda`.
    pub setup: Vec<String>,
}

/// The file's form; its text options are checked against their own forms afterwards.
// Doc comments here are not shown anywhere: docs/slurm.md has the meanings.
#[derive(Deserialize, JsonSchema)]
struct OptionsFile {
    partition: Option<String>,
    account: Option<String>,
    time: Option<String>,
    #[schemars(range(min = 1, max = 1024))]
    gpus: Option<u32>,
    gpu_type: Option<String>,
    #[schemars(range(min = 1, max = 65_535))]
    cpus: Option<u32>,
    memory: Option<String>,
    #[schemars(range(min = 1, max = 1_000_000))]
    array_limit: Option<u32>,
    #[schemars(range(min = 1, max = 1_000_000))]
    runs_per_job: Option<u32>,
    #[schemars(range(min = 10, max = 65_535))]
    notice: Option<u32>,
    #[serde(default)]
    sbatch: Vec<String>,
    #[serde(default)]
    setup: Vec<String>,
}

/// Fields of the file.
pub static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::of::<OptionsFile>(PAGE));

impl Options {
    /// Reads a file of options.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key, a value of another form or out of range; with file and line.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let values = chosen(&SCHEMA, Some(path), &[])?;
        let table = values.iter().map(|(key, (value, _))| (key.clone(), value.clone()));
        let file: OptionsFile = Value::Table(table.collect())
            .try_into()
            .expect("every value was checked against the schema of this struct");
        let places = Places(values);
        Ok(Self {
            partition: places.parse("partition", file.partition)?,
            account: places.parse("account", file.account)?,
            time: places.parse("time", file.time)?,
            gpus: file.gpus,
            gpu_type: places.parse("gpu_type", file.gpu_type)?,
            cpus: file.cpus,
            memory: places.parse("memory", file.memory)?,
            array_limit: file.array_limit,
            runs_per_job: file.runs_per_job,
            notice: file.notice,
            sbatch: file
                .sbatch
                .into_iter()
                .filter_map(|option| places.parse("sbatch", Some(option)).transpose())
                .collect::<Result<_, _>>()?,
            setup: file.setup,
        })
    }

    /// These options over others: single values replace, `sbatch` and `setup` follow.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        let followed_by = |mut first: Vec<_>, then| {
            first.extend(then);
            first
        };
        Self {
            partition: self.partition.or(below.partition),
            account: self.account.or(below.account),
            time: self.time.or(below.time),
            gpus: self.gpus.or(below.gpus),
            gpu_type: self.gpu_type.or(below.gpu_type),
            cpus: self.cpus.or(below.cpus),
            memory: self.memory.or(below.memory),
            array_limit: self.array_limit.or(below.array_limit),
            runs_per_job: self.runs_per_job.or(below.runs_per_job),
            notice: self.notice.or(below.notice),
            sbatch: followed_by(below.sbatch, self.sbatch),
            setup: below.setup.into_iter().chain(self.setup).collect(),
        }
    }

    /// Checks what concerns more than one option.
    ///
    /// # Errors
    /// A time limit within the notice; a GPU's type without a number of GPUs.
    pub fn check(&self) -> Result<(), SlurmError> {
        if let Some(time) = &self.time
            && time
                .seconds()
                .is_some_and(|seconds| seconds <= u64::from(self.notice()))
        {
            return Err(SlurmError::Notice {
                time: time.clone(),
                notice: self.notice(),
            });
        }
        match (&self.gpu_type, self.gpus) {
            (Some(found), None) => Err(SlurmError::TypeAlone { found: found.clone() }),
            _ => Ok(()),
        }
    }

    /// Seconds between notice and time limit.
    pub(super) fn notice(&self) -> u32 {
        self.notice.unwrap_or(NOTICE)
    }

    /// Runs of an element.
    pub(super) fn group(&self) -> usize {
        self.runs_per_job.map_or(1, |runs| runs as usize)
    }
}

/// Where the values of a file stand in it.
struct Places(Values);

impl Places {
    /// A text option in its own form.
    fn parse<T: FromStr<Err = NotAccepted>>(&self, key: &str, text: Option<String>) -> Result<Option<T>, ConfigError> {
        let parsed = text.map(|text| text.parse()).transpose();
        parsed.map_err(|NotAccepted { expected, found }| ConfigError::Value {
            place: self
                .0
                .get(key)
                .map_or_else(String::new, |(_, origin)| origin.to_string()),
            key: key.to_owned(),
            expected: expected.to_owned(),
            found: format!("{found:?}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Options, ConfigError> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("slurm.toml");
        std::fs::write(&path, text).expect("the folder is writable");
        Options::read(&path)
    }

    #[test]
    fn every_option_of_a_file_is_read_and_those_of_the_command_line_win() {
        let file = read(
            "partition = \"gpu\"\naccount = \"lab\"\ntime = \"1-0\"\ngpus = 2\ngpu_type = \"a100\"\ncpus = 8\n\
             memory = \"64G\"\narray_limit = 4\nruns_per_job = 3\nnotice = 60\nsbatch = [\"--qos=long\"]\n\
             setup = [\"module load cuda\"]\n",
        )
        .expect("it is well formed");
        let word = |text: &str| text.parse().ok();
        let flags = Options {
            partition: word("short"),
            gpus: Some(1),
            sbatch: vec!["-x node1".parse().expect("an option")],
            setup: vec!["ulimit -c 0".to_owned()],
            ..Options::default()
        };
        let merged = flags.over(file.clone());
        let expected = Options {
            partition: word("short"),
            gpus: Some(1),
            sbatch: ["--qos=long", "-x node1"]
                .map(|line| line.parse().expect("an option"))
                .into(),
            setup: ["module load cuda", "ulimit -c 0"].map(str::to_owned).into(),
            ..file
        };
        assert_eq!(merged, expected);
        assert_eq!((merged.notice(), merged.group()), (60, 3));
        assert_eq!((Options::default().notice(), Options::default().group()), (NOTICE, 1));
    }

    #[test]
    fn slips_are_named_with_file_and_line() {
        for (text, expected) in [
            (
                "\npartion = \"gpu\"\n",
                "slurm.toml:2: unknown key `partion`; the nearest is `partition` (docs/slurm.md lists all)",
            ),
            (
                "time = \"2h\"\n",
                "slurm.toml:1: `time` must be minutes, minutes:seconds,",
            ),
            ("time = 60\n", "slurm.toml:1: `time` must be text, found 60"),
            (
                "gpus = 0\n",
                "slurm.toml:1: `gpus` must be a whole number from 1 to 1024, found 0",
            ),
            (
                "memory = \"lots\"\n",
                "slurm.toml:1: `memory` must be a whole number with K, M, G or T behind it",
            ),
            (
                "cpus = 1\nsbatch = [\"--qos=a\", \"qos\"]\n",
                "slurm.toml:2: `sbatch` must be an option of sbatch on one line",
            ),
            (
                "sbatch = \"--qos=a\"\n",
                "slurm.toml:1: `sbatch` must be a list of texts",
            ),
            (
                "partition = \"a b\"\n",
                "slurm.toml:1: `partition` must be a name of letters",
            ),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(expected), "\n found: {error}\nwanted: {expected}");
        }
    }

    #[test]
    fn options_that_do_not_fit_together_are_refused() {
        let check = |text: &str| {
            read(text)
                .expect("it is well formed")
                .check()
                .map_err(|error| error.to_string())
        };
        assert_eq!(check("time = \"3\"\n"), Ok(()));
        assert_eq!(check("time = \"unlimited\"\n"), Ok(()));
        assert_eq!(
            check("time = \"2:00\"\n"),
            Err("a time limit of 2:00 leaves nothing before the notice of 120 s".to_owned())
        );
        assert_eq!(check("time = \"2:00\"\nnotice = 30\n"), Ok(()));
        assert_eq!(
            check("gpu_type = \"a100\"\n"),
            Err("`gpu_type` is a100, but `gpus` is not given".to_owned())
        );
    }
}
