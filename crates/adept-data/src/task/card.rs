//! Task cards: the definition of a task in one TOML file. The paper's tasks have theirs in this crate's `tasks`; your
//! own task is a card of the same kind (docs/tasks.md). The readers know no tasks, only cards.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::Deserialize;

use super::form::{FormCard, Format, check_names, plain_table};
use crate::{Metric, RowTemplate, SplitRule};

/// Maximum width of a score range: every score in it, in steps, is a candidate text for measuring the target length.
const WIDEST_SCORES: f32 = 1_000.0;

/// A task's definition.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskCard {
    /// Name in commands, configurations and records, for example `sst2`.
    pub name: String,
    /// Name in tables, and of the folder in the official archive, for example `SST-2`; defaults to `name`.
    #[serde(default)]
    pub display: String,
    /// Alternative names: the reference's, the hub's.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// The benchmark it belongs to: `glue`, `superglue`, `mrqa`, `others`, or one of your own.
    #[serde(default = "own")]
    pub suite: String,
    /// One-line description.
    #[serde(default)]
    pub about: String,
    /// Home page of the dataset.
    #[serde(default)]
    pub home: String,
    /// Licence of the data, as stated by its authors.
    #[serde(default)]
    pub licence: String,
    /// How the input text is assembled.
    pub source: SourceCard,
    /// What the model is to generate.
    pub target: TargetCard,
    /// How source and target are joined for a decoder-only backbone; the default is given by
    /// [`row_template`](Self::row_template).
    #[serde(default)]
    pub template: Option<RowTemplate>,
    /// How the three splits are derived from the official ones.
    #[serde(default)]
    pub split: SplitCard,
    /// How predictions are scored.
    pub metrics: MetricsCard,
    /// What rows may lack.
    #[serde(default)]
    pub rows: RowsCard,
    /// Number of rows in each split according to the paper, where known.
    #[serde(default)]
    pub counts: BTreeMap<String, usize>,
    /// Location on the hub.
    #[serde(default)]
    pub hub: Option<HubCard>,
    /// The forms of the task's files, preferred one first; defaults to a table in any format, with columns or keys
    /// named like the card's fields.
    #[serde(default = "plain_table")]
    pub forms: Vec<FormCard>,
}

fn own() -> String {
    "own".to_owned()
}

/// How the input text is assembled: pieces joined by single spaces.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceCard {
    /// The pieces, in order; none for conversations.
    #[serde(default)]
    pub pieces: Vec<Piece>,
    /// Maximum source length in tokens, including `</s>`, unless overridden by a run.
    #[serde(default = "default_source_length")]
    pub max_length: usize,
}

fn default_source_length() -> usize {
    256
}

/// A marker followed by a text.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// Text before the field; empty for none.
    #[serde(default)]
    pub marker: String,
    /// The text's field. A list field is joined by `, `.
    pub field: String,
    /// Transformation of the text.
    #[serde(default)]
    pub transform: Transform,
    /// The field that the published reference uses here by mistake, or an empty name if it omits the piece; only used
    /// under `reference`.
    #[serde(default)]
    pub reference_field: Option<String>,
}

/// Transformation of a text before it becomes part of a source or target (tasks.md, "Text-to-text format").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    /// The text unchanged.
    #[default]
    None,
    /// Spaces around punctuation, runs of white space collapsed (MRQA).
    PadPunctuation,
    /// `<br>` becomes a space, `<b>` and `</b>` are dropped (MultiRC).
    RemoveMarkup,
    /// `@highlight` lines become sentences (ReCoRD).
    Highlights,
    /// Marks two spans, given by the fields `span1_text`, `span1_index`, `span2_text` and `span2_index` (WSC).
    MarkSpans,
    /// An unindented docstring: the text, followed by the items of the field `examples`, one per line (MBPP's original
    /// form).
    Docstring,
}

/// What the model is to generate.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", deny_unknown_fields, rename_all = "kebab-case")]
pub enum TargetCard {
    /// A class number as a digit.
    Class {
        /// The label's field.
        #[serde(default = "label")]
        field: String,
        /// The classes in the order of their numbers; synonyms are separated by `|`.
        classes: Vec<String>,
        /// Fields that identify a group of rows, for group scores; empty: every row is its own group.
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
    /// Free text.
    Answer {
        /// The field with the answers: a text or a list.
        field: String,
        /// Transformation of each answer.
        #[serde(default)]
        transform: Transform,
        /// Which answers become targets.
        #[serde(default)]
        answers: Answers,
        /// Target of a row without answers; if omitted, such a row is an error.
        #[serde(default)]
        missing: Option<String>,
        /// Maximum target length in tokens, including `</s>`.
        #[serde(default = "default_answer_length")]
        max_length: usize,
    },
    /// The answers of a conversation in the tokenizer's chat template. The source is what stands before the last of
    /// them, so that the card has no pieces.
    Conversation {
        /// The field with the messages.
        #[serde(default = "messages")]
        field: String,
        /// Maximum length of the last answer in tokens, including the token that ends the turn.
        #[serde(default = "default_turn_length")]
        max_length: usize,
    },
    /// A program that continues the source. Instead of gold answers its rows have the test code (the fields `tests`,
    /// and a call of `check` with the entry point) and the entry point.
    Program {
        /// The solution's field.
        field: String,
        /// Fields with code to run after source and solution, separated by line breaks; a list is one item per line.
        tests: Vec<String>,
        /// The field with the name of the function that is passed to `check`; omitted if the tests themselves call what
        /// the solution defines. They then get the solution's imports as well.
        #[serde(default)]
        entry_point: Option<String>,
        /// A program ends before any line but its first that begins with one of these; defaults to the beginnings of an
        /// unindented new statement ([`STATEMENTS`]).
        #[serde(default = "statements")]
        stops: Vec<String>,
        /// Maximum target length in tokens, including the end-of-text token.
        max_length: usize,
    },
}

/// Permitted maximum lengths of sources and targets, in tokens: truncated to one token, `</s>`, all texts would be
/// equal.
pub const LENGTHS: RangeInclusive<usize> = 2..=16_384;

/// What ends a function body when it begins an unindented line (Jain et al. 2024, followed by the paper).
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

fn messages() -> String {
    "messages".to_owned()
}

fn default_turn_length() -> usize {
    256
}

/// Which of a row's answers become targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answers {
    /// The first answer.
    #[default]
    First,
    /// Every answer, as an example of its own.
    Each,
}

/// How the three splits are derived from the official ones.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitCard {
    /// The rule.
    #[serde(default)]
    pub rule: SplitRule,
    /// Official split for validation, used by rules that take validation rows from an official split.
    #[serde(default = "validation")]
    pub validation: String,
    /// Official split for test rows; defaults to `validation` if the rule holds validation out of training, else to
    /// `test`.
    #[serde(default)]
    pub test: Option<String>,
    /// Maximum number of training rows, taken from the start; unlimited by default.
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

    /// Whether files of these splits are optional.
    pub fn held_out_may_be_missing(&self) -> bool {
        self.rule == SplitRule::FilesGiven
    }

    /// The official test split, under rules that use one.
    pub(crate) fn test_split(&self) -> &str {
        self.test.as_deref().unwrap_or("test")
    }
}

/// How predictions are scored.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsCard {
    /// All metrics; the first selects the best checkpoint.
    pub all: Vec<Metric>,
    /// The metric in the paper's tables; defaults to the first.
    #[serde(default)]
    pub report: Option<Metric>,
}

/// What rows may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowsCard {
    /// Whether an empty text is an error: true for tasks whose files were checked in full and have none.
    #[serde(default)]
    pub refuse_empty: bool,
    /// Whether rows without a label, or truncated before it, are skipped and counted instead of rejected. Of the
    /// paper's tasks only QQP's official files have such rows; without them it has the hub's 363,846 training rows.
    #[serde(default)]
    pub skip_unlabelled: bool,
}

/// A task's location on the hub.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubCard {
    /// The dataset's repository, for example `nyu-mll/glue`.
    pub repository: String,
    /// Commit, tag or branch.
    #[serde(default = "main_branch")]
    pub revision: String,
    /// Folder of the task's files in the repository; empty for its root.
    #[serde(default)]
    pub folder: String,
    /// Known checksums of files at this revision as listed by the hub, by name within the folder: SHA-256 of large
    /// files, Git blob id of others.
    #[serde(default)]
    pub checksums: BTreeMap<String, String>,
}

fn main_branch() -> String {
    "main".to_owned()
}

impl TaskCard {
    /// Parses a card. The message states the fault and its line.
    ///
    /// # Errors
    /// Invalid TOML, a key that is unknown, missing or of the wrong type, and inconsistent sections.
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

    /// Checks that a well-formed card is consistent.
    fn check(&self) -> Result<(), String> {
        if self.name.is_empty() || self.name.contains(['/', '\\', ' ']) {
            return Err(format!(
                "`name`: expected a word without spaces and slashes, found `{}`",
                self.name
            ));
        }
        let is_conversation = matches!(self.target, TargetCard::Conversation { .. });
        if is_conversation && !self.source.pieces.is_empty() {
            return Err("`source.pieces`: expected none beside the messages of a conversation".to_owned());
        }
        if is_conversation && self.template.is_some() {
            return Err("`template`: conversations have the tokenizer's chat template".to_owned());
        }
        if self.source.pieces.is_empty() && !is_conversation {
            return Err("`source.pieces`: expected at least one piece".to_owned());
        }
        for reference in [false, true] {
            let is_left_out = |piece: &&Piece| piece.field(reference).is_none();
            let left_out = self.source.pieces.iter().filter(is_left_out).count();
            if (left_out == self.source.pieces.len() && !is_conversation) || (left_out > 0 && !reference) {
                return Err(
                    "`source.pieces`: expected a piece with the name of a field, found an empty name".to_owned(),
                );
            }
        }
        let target = match self.target {
            TargetCard::Answer { max_length, .. }
            | TargetCard::Program { max_length, .. }
            | TargetCard::Conversation { max_length, .. } => Some(max_length),
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
            return Err("`target.stops`: expected non-empty texts, found an empty one".to_owned());
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
                    "`forms.each` of form `{}`: only JSON supports nested rows",
                    form.name
                ));
            }
        }
        Ok(())
    }

    /// How source and target are joined for a decoder-only backbone: by the card's template if it has one; otherwise a
    /// program directly follows its source, and any other target follows after a space.
    #[must_use]
    pub fn row_template(&self) -> RowTemplate {
        match (&self.template, &self.target) {
            (Some(template), _) => template.clone(),
            (None, TargetCard::Program { .. }) => RowTemplate::adjacent(),
            (None, _) => RowTemplate::spaced(),
        }
    }

    /// All fields used by the card, without duplicates, in order of first use.
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
            TargetCard::Score { field, .. }
            | TargetCard::Answer { field, .. }
            | TargetCard::Conversation { field, .. } => push(&mut fields, field),
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
    /// The field that is read; `None` if the reference omits the piece.
    pub fn field(&self, reference: bool) -> Option<&str> {
        let field = match &self.reference_field {
            Some(field) if reference => field,
            _ => &self.field,
        };
        (!field.is_empty()).then_some(field)
    }
}

impl Transform {
    /// Fields needed in addition to the text itself.
    pub fn further_fields(self) -> &'static [&'static str] {
        match self {
            Self::MarkSpans => &["span1_text", "span1_index", "span2_text", "span2_index"],
            Self::Docstring => &["examples"],
            Self::None | Self::PadPunctuation | Self::RemoveMarkup | Self::Highlights => &[],
        }
    }
}
