//! Tasks: a handle to a card, and the built-in cards.

mod card;
mod form;

use std::path::Path;
use std::sync::{Arc, LazyLock};

pub use card::{
    Answers, HubCard, MetricsCard, Piece, RowsCard, STATEMENTS, SourceCard, SplitCard, TargetCard, TaskCard, Transform,
};
pub use form::{Each, FormCard, Format, ListPlace, MessagesPlace, ParagraphsPlace, Place};

use sha2::{Digest, Sha256};

use crate::file::hex;
use crate::text::read_text;
use crate::{DataError, DataFile, Metric, path_text};

/// The paper's tasks by suite, in the order of its tables, followed by a generic one.
static BUILT_IN: LazyLock<Vec<Task>> = LazyLock::new(|| {
    CARDS
        .iter()
        .map(|(name, text)| Task::from_card(text).unwrap_or_else(|error| panic!("card {name}: {error}")))
        .collect()
});

macro_rules! cards {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../tasks/", $name, ".toml")))),*]
    };
}

/// Names and texts of the built-in cards; a test parses each.
const CARDS: &[(&str, &str)] = cards![
    "mnli",
    "qqp",
    "qnli",
    "sst2",
    "stsb",
    "mrpc",
    "rte",
    "cola", // GLUE
    "multirc",
    "boolq",
    "wic",
    "wsc",
    "cb",
    "record",
    "copa",
    "superglue_rte", // SuperGLUE
    "nq",
    "hotpotqa",
    "searchqa",
    "newsqa",
    "squad", // MRQA
    "winogrande",
    "yelp_polarity",
    "scitail",
    "paws", // others
    "mbpp",
    "mbpp_original", // code
    "text",
    "completion",
    "chat", // your own data
];

/// The tasks for your own data without a card, in the order in which a file's first row is tried.
const OWN: [&str; 3] = ["text", "completion", "chat"];

/// Step between the score strings that the reference measures a target length by, for scores from 0 to 5: 0.0, 0.2, …
/// 5.0.
const LENGTH_STEP: f32 = 0.2;

/// A task: a cheap handle to its card. Tasks are equal if their names are.
///
/// ```no_run
/// use adept_data::{LoadOptions, Task, load_task};
///
/// // GLUE's official files, divided as in the paper.
/// let data = load_task(&Task::named("sst2")?, "path/to/GLUE".as_ref(), &LoadOptions::default())?;
/// println!("{} rows, such as {:?}", data.train.len(), data.train.first());
/// # Ok::<(), adept_data::DataError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Task {
    card: Arc<TaskCard>,
    /// The card's text.
    text: Arc<str>,
    /// SHA-256 of the card's text, lower-case hex.
    sha256: Arc<str>,
    /// The file that the card was read from; `None` for a built-in card.
    file: Option<Arc<Path>>,
}

impl Task {
    /// The paper's tasks in the order of its tables, tasks of the same benchmarks that it omits, and [those](Self::own)
    /// for your own data.
    pub fn built_in() -> &'static [Self] {
        &BUILT_IN
    }

    /// The built-in tasks of a suite: `glue`, `superglue`, `mrqa` or `others`; empty if there is no such suite.
    pub fn suite(name: &str) -> Vec<Self> {
        Self::built_in()
            .iter()
            .filter(|task| task.card().suite == name)
            .cloned()
            .collect()
    }

    /// The tasks for your own data without a card: rows of `source` and `target`, of `prompt` and `completion`, and
    /// conversations.
    pub fn own() -> impl Iterator<Item = &'static Self> {
        OWN.iter()
            .filter_map(|name| Self::built_in().iter().find(|task| task.name() == *name))
    }

    /// A built-in task by one of its names, ignoring case, hyphens and underscores.
    ///
    /// # Errors
    /// [`DataError::UnknownTask`].
    pub fn named(name: &str) -> Result<Self, DataError> {
        let plain = plain_name(name);
        Self::built_in()
            .iter()
            .find(|task| task.is_called(&plain))
            .cloned()
            .ok_or_else(|| DataError::UnknownTask {
                found: name.to_owned(),
                expected: Self::built_in()
                    .iter()
                    .map(|task| task.name())
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }

    /// Reads your own card from a file.
    ///
    /// # Errors
    /// [`DataError::Io`] and [`DataError::Card`].
    pub fn from_file(file: &Path) -> Result<Self, DataError> {
        let text = read_text(file)?;
        Self::parse(&text, Some(file)).map_err(|message| DataError::Card {
            file: file.to_owned(),
            message,
        })
    }

    /// Parses a card's text.
    ///
    /// # Errors
    /// As [`TaskCard::parse`].
    pub fn from_card(text: &str) -> Result<Self, String> {
        Self::parse(text, None)
    }

    fn parse(text: &str, file: Option<&Path>) -> Result<Self, String> {
        Ok(Self {
            card: Arc::new(TaskCard::parse(text)?),
            text: text.into(),
            sha256: hex(&Sha256::digest(text)).into(),
            file: file.map(Arc::from),
        })
    }

    pub(crate) fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The task's definition.
    pub fn card(&self) -> &TaskCard {
        &self.card
    }

    /// The card's text; [`from_card`](Self::from_card) restores the task from it.
    pub fn card_text(&self) -> &str {
        &self.text
    }

    /// The text of a user-defined card; `None` for a built-in one.
    pub fn own_card(&self) -> Option<&str> {
        let built_in = Self::built_in().iter().any(|task| task.has_card_of(self));
        (!built_in).then_some(&*self.text)
    }

    /// Whether another task has an identical card.
    pub fn has_card_of(&self, other: &Self) -> bool {
        self.sha256 == other.sha256
    }

    /// How a configuration refers to the task: by its name, or by the path of its card as encoded by [`path_text`].
    /// [`str::parse`] restores the task.
    pub fn reference(&self) -> String {
        match &self.file {
            Some(file) => path_text::to_text(file),
            None => self.name().to_owned(),
        }
    }

    /// A user-defined card as a data file of the run; `None` for a built-in one.
    pub(crate) fn card_file(&self) -> Option<DataFile> {
        Some(DataFile {
            name: self
                .file
                .as_deref()?
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            sha256: self.sha256().to_owned(),
            rows: 0,
            skipped: 0,
            empty_fields: 0,
        })
    }

    /// Name in commands and records, for example `sst2`.
    pub fn name(&self) -> &str {
        &self.card.name
    }

    /// Name in tables, for example `SST-2`.
    pub fn display_name(&self) -> &str {
        &self.card.display
    }

    /// All possible targets; `None` if targets are scores, answers or programs.
    pub fn labels(&self) -> Option<Vec<String>> {
        match &self.card.target {
            TargetCard::Class { classes, .. } => Some((0..classes.len()).map(|class| class.to_string()).collect()),
            TargetCard::Score { .. }
            | TargetCard::Answer { .. }
            | TargetCard::Program { .. }
            | TargetCard::Conversation { .. } => None,
        }
    }

    /// Whether a metric says something about the task's targets: one of its card's, or another of the same kind of
    /// target.
    pub fn is_measured_by(&self, metric: Metric) -> bool {
        use Metric::{Accuracy, Em, EmMax, Pearson, Spearman, TokenF1, TokenF1Max};
        let of_kind = match &self.card.target {
            TargetCard::Class { .. } => !matches!(metric, Pearson | Spearman | Metric::PassAt1),
            TargetCard::Score { .. } => matches!(metric, Pearson | Spearman | Accuracy),
            TargetCard::Answer { .. } | TargetCard::Conversation { .. } => {
                matches!(metric, Accuracy | Em | EmMax | TokenF1 | TokenF1Max)
            }
            TargetCard::Program { .. } => metric == Metric::PassAt1,
        };
        of_kind || self.metrics().contains(&metric)
    }

    /// Whether targets are programs.
    pub fn is_program(&self) -> bool {
        matches!(self.card.target, TargetCard::Program { .. })
    }

    /// Whether rows are conversations.
    pub fn is_conversation(&self) -> bool {
        matches!(self.card.target, TargetCard::Conversation { .. })
    }

    /// Maximum length of the task's targets.
    pub fn target_length(&self) -> TargetLength {
        match &self.card.target {
            TargetCard::Answer { max_length, .. }
            | TargetCard::Program { max_length, .. }
            | TargetCard::Conversation { max_length, .. } => TargetLength::Tokens(*max_length),
            TargetCard::Score { min, max, .. } => {
                let steps = ((max - min) / LENGTH_STEP).round() as usize;
                let score = |step: usize| format!("{:.1}", min + step as f32 * LENGTH_STEP);
                TargetLength::LongestOf((0..=steps).map(score).collect())
            }
            TargetCard::Class { .. } => TargetLength::LongestOf(self.labels().unwrap_or_default()),
        }
    }

    /// The task's metrics. The first selects the best checkpoint.
    pub fn metrics(&self) -> &[Metric] {
        &self.card.metrics.all
    }

    /// The metric in the paper's tables. For CoLA the paper says accuracy, but its figures are Matthews correlations.
    pub fn report_metric(&self) -> Metric {
        self.card.metrics.report.unwrap_or(self.card.metrics.all[0])
    }

    /// Whether `plain`, a [`plain_name`], is one of the task's names.
    pub(crate) fn is_called(&self, plain: &str) -> bool {
        let card = self.card();
        [&card.name, &card.display]
            .into_iter()
            .chain(&card.aliases)
            .any(|name| plain_name(name) == plain)
    }
}

/// Maximum length of a task's targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetLength {
    /// The number of tokens of the longest of these texts.
    LongestOf(Vec<String>),
    /// A number of tokens, including `</s>`.
    Tokens(usize),
}

impl PartialEq for Task {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Task {}

impl PartialOrd for Task {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Task {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.name().cmp(other.name())
    }
}

impl std::hash::Hash for Task {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl std::str::FromStr for Task {
    type Err = DataError;

    /// Parses a built-in task's name (`sst2`, `SST-2`) or the path of a card, which ends in `.toml`.
    fn from_str(name: &str) -> Result<Self, DataError> {
        if name.ends_with(".toml") {
            Self::from_file(&path_text::from_text(name))
        } else {
            Self::named(name)
        }
    }
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A task's or folder's name, normalised for comparison: lower case, without hyphens, underscores and dots.
pub(crate) fn plain_name(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '-' | '_' | '.'))
        .flat_map(char::to_lowercase)
        .collect()
}
