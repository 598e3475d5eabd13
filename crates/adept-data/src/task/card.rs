//! Task cards: what a task is, in one TOML file. The paper's tasks have theirs under `datasets/tasks`; a task of one's
//! own is a card like them (docs/tasks.md). The readers know no task, only cards.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::Deserialize;

use super::form::{FormCard, Format, check_names, plain_table};
use crate::{Metric, RowTemplate, SplitRule};

/// Scores further apart than this are no scores: every one of a card's, in steps, is a text that a target is measured by.
const WIDEST_SCORES: f32 = 1_000.0;

/// Everything that sets one task apart.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskCard {
    /// Name in commands, configurations and records, for example `sst2`.
    pub name: String,
    /// Name in tables, and of the folder in the official archive, for example `SST-2`; left out: the name.
    #[serde(default)]
    pub display: String,
    /// Further names it is known by: the reference's, the hub's.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// The benchmark it belongs to: `glue`, `superglue`, `mrqa`, `others`, or one of the user's own.
    #[serde(default = "own")]
    pub suite: String,
    /// One line for readers.
    #[serde(default)]
    pub about: String,
    /// Where the task comes from.
    #[serde(default)]
    pub home: String,
    /// Licence of the data, as its makers state it.
    #[serde(default)]
    pub licence: String,
    /// How the input text is put together.
    pub source: SourceCard,
    /// What the model is to write.
    pub target: TargetCard,
    /// How source and target are joined for a decoder-only backbone; left out: as [`row_template`](Self::row_template) says.
    #[serde(default)]
    pub template: Option<RowTemplate>,
    /// How the three splits come from the official ones.
    #[serde(default)]
    pub split: SplitCard,
    /// How predictions are scored.
    pub metrics: MetricsCard,
    /// What rows may lack.
    #[serde(default)]
    pub rows: RowsCard,
    /// Rows of each split as the paper has them, where known.
    #[serde(default)]
    pub counts: BTreeMap<String, usize>,
    /// Where the hub keeps it.
    #[serde(default)]
    pub hub: Option<HubCard>,
    /// The forms that its files come in, the preferred one first; left out: a table in any format, its columns or keys
    /// named as the card's fields.
    #[serde(default = "plain_table")]
    pub forms: Vec<FormCard>,
}

fn own() -> String {
    "own".to_owned()
}

/// How the input text is put together: pieces joined by single spaces.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceCard {
    /// The pieces in their order.
    pub pieces: Vec<Piece>,
    /// Longest source in tokens, `</s>` included, unless a run says otherwise.
    #[serde(default = "default_source_length")]
    pub max_length: usize,
}

fn default_source_length() -> usize {
    256
}

/// A marker and the text behind it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// What stands before the text; nothing for the text alone.
    #[serde(default)]
    pub marker: String,
    /// The text's field. A field that is a list becomes its items joined by `, `.
    pub field: String,
    /// What is done to the text.
    #[serde(default)]
    pub transform: Transform,
    /// The field that the published reference puts here by a slip, or an empty name where it leaves the piece out; used
    /// under `reference` only.
    #[serde(default)]
    pub reference_field: Option<String>,
}

/// What is done to a text before it stands in a source or target (tasks.md, "Text-to-text format").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    /// Nothing.
    #[default]
    None,
    /// Room around punctuation, runs of white space as one space (MRQA).
    PadPunctuation,
    /// `<br>` becomes a space, `<b>` and `</b>` go (MultiRC).
    RemoveMarkup,
    /// `@highlight` lines become sentences (ReCoRD).
    Highlights,
    /// Two spans are marked; the fields `span1_text`, `span1_index`, `span2_text` and `span2_index` say which (WSC).
    MarkSpans,
    /// A docstring at the left margin: the text, and behind it the items of the field `examples`, a line each (MBPP's
    /// original form).
    Docstring,
}

/// What the model is to write.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", deny_unknown_fields, rename_all = "kebab-case")]
pub enum TargetCard {
    /// The number of a class as a digit.
    Class {
        /// The label's field.
        #[serde(default = "label")]
        field: String,
        /// The classes in the order of their numbers; names that mean the same are parted by `|`.
        classes: Vec<String>,
        /// Fields whose equality joins rows to one group for scores over groups; none: every row is one.
        #[serde(default)]
        group: Vec<String>,
    },
    /// A number with one decimal.
    Score {
        /// The score's field.
        #[serde(default = "label")]
        field: String,
        /// The smallest score.
        min: f32,
        /// The largest score.
        max: f32,
    },
    /// Text.
    Answer {
        /// The field of the answers: one text or a list.
        field: String,
        /// What is done to each answer.
        #[serde(default)]
        transform: Transform,
        /// Which answers become targets.
        #[serde(default)]
        answers: Answers,
        /// The target of a row without answers; without it such a row is an error.
        #[serde(default)]
        missing: Option<String>,
        /// Longest target in tokens, `</s>` included.
        #[serde(default = "default_answer_length")]
        max_length: usize,
    },
    /// A program that goes on where the source ends. In place of right answers its row has the text that tests it (the
    /// fields `tests`, and a call of `check` with the entry point) and the entry point.
    Program {
        /// The solution's field.
        field: String,
        /// Fields of what is run behind source and solution, parted by line breaks; a list is one item a line.
        tests: Vec<String>,
        /// The field of the function's name, which `check` is called with; none where the tests call themselves what the
        /// solution defines. They then have the solution's imports too.
        #[serde(default)]
        entry_point: Option<String>,
        /// What ends a program where a line, not its first, begins with it; left out: what begins a new statement at the
        /// left margin ([`STATEMENTS`]).
        #[serde(default = "statements")]
        stops: Vec<String>,
        /// Longest target in tokens, the end of the text included.
        max_length: usize,
    },
}

/// Lengths that sources and targets may be cut to, in tokens: of one token, `</s>`, every text would be the same.
pub const LENGTHS: RangeInclusive<usize> = 2..=16_384;

/// What ends the body of a function at the left margin (Jain et al. 2024, as the paper follows them).
pub const STATEMENTS: [&str; 8] = ["def", "class", "assert", "\"\"\"", "print", "if", "<|/", "```"];

fn statements() -> Vec<String> {
    STATEMENTS.map(str::to_owned).into()
}

fn label() -> String {
    "label".to_owned()
}

fn default_answer_length() -> usize {
    20
}

/// Which of a row's answers become targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answers {
    /// The first.
    #[default]
    First,
    /// Every one, each with a row of its own.
    Each,
}

/// How the three splits come from the official ones.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitCard {
    /// The rule.
    #[serde(default)]
    pub rule: SplitRule,
    /// Official split that validation rows come from; used by the rules that take them from one of their own.
    #[serde(default = "validation")]
    pub validation: String,
    /// Official split that test rows come from; left out: `validation` where the rule holds validation out of training,
    /// else `test`.
    #[serde(default)]
    pub test: Option<String>,
    /// Training rows that are kept, from the first; none: all.
    #[serde(default)]
    pub train_limit: Option<usize>,
}

fn validation() -> String {
    "validation".to_owned()
}

impl Default for SplitCard {
    fn default() -> Self {
        Self {
            rule: SplitRule::default(),
            validation: validation(),
            test: None,
            train_limit: None,
        }
    }
}

impl SplitCard {
    /// Official splits that are read besides `train`.
    pub fn held_out(&self) -> Vec<&str> {
        match self.rule {
            SplitRule::HalveTrain => Vec::new(),
            SplitRule::HalveValidation => vec![&self.validation],
            SplitRule::HoldOutTrain => vec![self.test.as_deref().unwrap_or(&self.validation)],
            SplitRule::Official | SplitRule::FilesGiven => vec![&self.validation, self.test_split()],
        }
    }

    /// Whether the task can do without files of these.
    pub fn held_out_may_be_missing(&self) -> bool {
        self.rule == SplitRule::FilesGiven
    }

    /// The official split that test rows come from under rules that do not take them from elsewhere.
    pub(crate) fn test_split(&self) -> &str {
        self.test.as_deref().unwrap_or("test")
    }
}

/// How predictions are scored.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsCard {
    /// All metrics; the first chooses the best checkpoint.
    pub all: Vec<Metric>,
    /// The metric of the paper's tables; left out: the first.
    #[serde(default)]
    pub report: Option<Metric>,
}

/// What rows may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowsCard {
    /// Whether a text with nothing in it is an error: in tasks whose files were read whole and have none.
    #[serde(default)]
    pub refuse_empty: bool,
    /// Whether rows without a label, or cut short before it, are left out and counted instead of refused. Of the paper's
    /// tasks only QQP's official files hold such rows; without them it has the hub's 363,846 training rows.
    #[serde(default)]
    pub skip_unlabelled: bool,
}

/// Where the hub keeps a task.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubCard {
    /// The dataset's repository, for example `nyu-mll/glue`.
    pub repository: String,
    /// Commit, tag or branch.
    #[serde(default = "main_branch")]
    pub revision: String,
    /// Folder of the task's files in it; empty: the repository's root.
    #[serde(default)]
    pub folder: String,
    /// Checksums of single files at this revision as the hub lists them, by name below the folder, where known: SHA-256 of
    /// large files, Git's blob id of others.
    #[serde(default)]
    pub checksums: BTreeMap<String, String>,
}

fn main_branch() -> String {
    "main".to_owned()
}

impl TaskCard {
    /// Reads a card. The message says what is wrong and in which line.
    ///
    /// # Errors
    /// What is not TOML, a key that is unknown, missing or of another kind, and sections that do not go together.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut card: Self = toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            format!("line {line}: {}", error.message())
        })?;
        if card.display.is_empty() {
            card.display.clone_from(&card.name);
        }
        card.check()?;
        Ok(card)
    }

    /// What a card can say in good TOML and not mean.
    fn check(&self) -> Result<(), String> {
        if self.name.is_empty() || self.name.contains(['/', '\\', ' ']) {
            return Err(format!(
                "`name`: expected a word without spaces and slashes, found `{}`",
                self.name
            ));
        }
        if self.source.pieces.is_empty() {
            return Err("`source.pieces`: expected at least one piece".to_owned());
        }
        for reference in [false, true] {
            let is_left_out = |piece: &&Piece| piece.field(reference).is_none();
            let left_out = self.source.pieces.iter().filter(is_left_out).count();
            if left_out == self.source.pieces.len() || (left_out > 0 && !reference) {
                return Err(
                    "`source.pieces`: expected a piece with the name of a field, found an empty name".to_owned(),
                );
            }
        }
        let target = match self.target {
            TargetCard::Answer { max_length, .. } | TargetCard::Program { max_length, .. } => Some(max_length),
            TargetCard::Class { .. } | TargetCard::Score { .. } => None,
        };
        for (key, length) in [
            ("source.max_length", Some(self.source.max_length)),
            ("target.max_length", target),
        ] {
            if let Some(found) = length.filter(|length| !LENGTHS.contains(length)) {
                return Err(format!(
                    "`{key}`: expected {} to {} tokens, of which one is `</s>`, found {found}",
                    LENGTHS.start(),
                    LENGTHS.end()
                ));
            }
        }
        if self.metrics.all.is_empty() {
            return Err("`metrics.all`: expected at least one metric".to_owned());
        }
        if let TargetCard::Class { classes, .. } = &self.target
            && !(2..=10).contains(&classes.len())
        {
            return Err(format!(
                "`target.classes`: expected 2 to 10 classes, found {}",
                classes.len()
            ));
        }
        if let TargetCard::Class { classes, .. } = &self.target {
            check_names("target.classes", classes)?;
        }
        if let TargetCard::Score { min, max, .. } = self.target
            && min.partial_cmp(&max) != Some(std::cmp::Ordering::Less)
        {
            return Err(format!(
                "`target.min`: expected less than `target.max`, found {min} and {max}"
            ));
        }
        if let TargetCard::Score { min, max, .. } = self.target
            && max - min > WIDEST_SCORES
        {
            return Err(format!(
                "`target.max`: expected at most {WIDEST_SCORES} more than `target.min`, found {max} and {min}"
            ));
        }
        if let TargetCard::Program { stops, .. } = &self.target
            && stops.iter().any(String::is_empty)
        {
            return Err("`target.stops`: expected texts, found an empty one".to_owned());
        }
        let checksums = self.hub.iter().flat_map(|hub| &hub.checksums);
        for (name, hex) in checksums {
            let is_hex = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if !is_hex || !matches!(hex.len(), 40 | 64) {
                return Err(format!(
                    "`hub.checksums` of `{name}`: expected 64 hex digits (SHA-256) or 40 (Git), lower-case, found `{hex}`"
                ));
            }
        }
        if self.forms.is_empty() {
            return Err("`forms`: expected at least one form".to_owned());
        }
        for form in &self.forms {
            let needed = std::iter::once("train").chain(self.split.held_out());
            for split in needed {
                if form.files.get(split).is_none_or(Vec::is_empty) {
                    return Err(format!(
                        "`forms.files` of form `{}`: expected names for `{split}`",
                        form.name
                    ));
                }
            }
            for reference in [false, true] {
                form.check_header(&self.fields(reference))?;
            }
            if let TargetCard::Class { classes, .. } = &self.target {
                form.check_classes(classes)?;
            }
            let lists = matches!(form.format, Format::Jsonl | Format::Json | Format::Hub | Format::Any);
            if !form.each.is_empty() && !lists {
                return Err(format!(
                    "`forms.each` of form `{}`: only JSON has rows within rows",
                    form.name
                ));
            }
        }
        Ok(())
    }

    /// How source and target are joined for a decoder-only backbone: by the card's template, else a program behind its
    /// source as it is and any other target behind a space.
    #[must_use]
    pub fn row_template(&self) -> RowTemplate {
        match (&self.template, &self.target) {
            (Some(template), _) => template.clone(),
            (None, TargetCard::Program { .. }) => RowTemplate::adjacent(),
            (None, _) => RowTemplate::spaced(),
        }
    }

    /// Every field that the card uses, without repetition, in the order of first use.
    pub fn fields(&self, reference: bool) -> Vec<&str> {
        let mut fields: Vec<&str> = Vec::new();
        for piece in &self.source.pieces {
            let Some(field) = piece.field(reference) else {
                continue;
            };
            push(&mut fields, field);
            for further in piece.transform.further_fields() {
                push(&mut fields, further);
            }
        }
        match &self.target {
            TargetCard::Class { field, group, .. } => {
                push(&mut fields, field);
                group.iter().for_each(|field| push(&mut fields, field));
            }
            TargetCard::Score { field, .. } | TargetCard::Answer { field, .. } => push(&mut fields, field),
            TargetCard::Program {
                field,
                tests,
                entry_point,
                ..
            } => {
                let all = std::iter::once(field).chain(tests).chain(entry_point);
                all.for_each(|field| push(&mut fields, field));
            }
        }
        fields
    }
}

fn push<'a>(fields: &mut Vec<&'a str>, field: &'a str) {
    if !fields.contains(&field) {
        fields.push(field);
    }
}

impl Piece {
    /// The field that is read here; none where the reference leaves the piece out.
    pub fn field(&self, reference: bool) -> Option<&str> {
        let field = match &self.reference_field {
            Some(field) if reference => field,
            _ => &self.field,
        };
        (!field.is_empty()).then_some(field)
    }
}

impl Transform {
    /// Fields it needs besides the text itself.
    pub fn further_fields(self) -> &'static [&'static str] {
        match self {
            Self::MarkSpans => &["span1_text", "span1_index", "span2_text", "span2_index"],
            Self::Docstring => &["examples"],
            Self::None | Self::PadPunctuation | Self::RemoveMarkup | Self::Highlights => &[],
        }
    }
}
