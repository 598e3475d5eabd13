//! Turns the fields of a row into examples: the only place where labels are interpreted and sources and targets are
//! assembled, independent of the file format.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::cell::Cell;
use super::label::{ClassNames, Meaning};
use super::transform;
use crate::conversation::{Conversation, ConversationPlace, EndsWith};
use crate::table::TableFault;
use crate::task::{Answers, FormCard, MessagesPlace, Piece, Place, TargetCard, Task, Transform};
use crate::{DataError, Example, LoadOptions, score_target};

/// The fields that a task needs and their places in rows of one form.
#[derive(Debug)]
pub(super) struct Plan {
    /// Name on the card and place in the row, without duplicates.
    pub fields: Vec<(String, Place)>,
    pieces: Vec<PiecePlan>,
    /// Index of the field with the label, score or answers.
    pub target: usize,
    group: Vec<usize>,
    /// Fields with a program's tests and, if there is one, the field with its entry point.
    tests: Vec<usize>,
    entry_point: Option<usize>,
    /// Class names as written in this form.
    classes: ClassNames,
}

/// A piece of the source text.
#[derive(Debug)]
struct PiecePlan {
    marker: String,
    field: usize,
    transform: Transform,
    /// Indices of [`Transform::further_fields`].
    further: Vec<usize>,
}

impl Plan {
    pub(super) fn new(task: &Task, form: &FormCard, reference: bool) -> Self {
        let card = task.card();
        let names = card.fields(reference);
        let at = |field: &str| names.iter().position(|name| *name == field).unwrap_or_default();
        let piece = |piece: &Piece| {
            Some(PiecePlan {
                marker: piece.marker.clone(),
                field: at(piece.field(reference)?),
                transform: piece.transform,
                further: piece.transform.further_fields().iter().map(|field| at(field)).collect(),
            })
        };
        let (target, group, classes): (&str, &[String], &[String]) = match &card.target {
            TargetCard::Class { field, classes, group } => (
                field,
                group,
                if form.classes.is_empty() {
                    classes
                } else {
                    &form.classes
                },
            ),
            TargetCard::Score { field, .. }
            | TargetCard::Answer { field, .. }
            | TargetCard::Program { field, .. }
            | TargetCard::Conversation { field, .. } => (field, &[], &[]),
        };
        let (tests, entry_point): (&[String], Option<&str>) = match &card.target {
            TargetCard::Program { tests, entry_point, .. } => (tests, entry_point.as_deref()),
            _ => (&[], None),
        };
        let place = |name: &&str| {
            let place = form.fields.get(*name).cloned();
            match place.unwrap_or_else(|| Place::Path((*name).to_owned())) {
                Place::Path(messages) if task.is_conversation() => {
                    let before = None;
                    Place::Messages(MessagesPlace { messages, before })
                }
                place => place,
            }
        };
        Self {
            fields: names.iter().map(|name| ((*name).to_owned(), place(name))).collect(),
            pieces: card.source.pieces.iter().filter_map(piece).collect(),
            target: at(target),
            tests: tests.iter().map(|field| at(field)).collect(),
            entry_point: entry_point.map(at),
            group: group.iter().map(|field| at(field)).collect(),
            classes: ClassNames(
                classes
                    .iter()
                    .map(|names| names.split('|').map(str::to_owned).collect())
                    .collect(),
            ),
        }
    }

    /// How errors refer to a field: the column or path where it was expected.
    fn shown(&self, field: usize) -> String {
        match &self.fields[field].1 {
            Place::Path(path) => path.clone(),
            Place::List(list) => list.path.clone(),
            Place::Paragraphs(paragraphs) => paragraphs.sentences.clone(),
            Place::Messages(place) => place.messages.clone(),
        }
    }
}

/// Receives examples as they are produced.
pub(crate) type Sink<'a> = dyn FnMut(Example) -> Result<(), DataError> + 'a;

/// State shared by the files of a split.
#[derive(Debug, Default)]
pub(super) struct SplitRows {
    /// Rows kept so far; ids continue from here.
    pub rows: usize,
    /// First row of each group, keyed by a hash of the group's fields.
    groups: HashMap<[u8; 16], usize>,
}

/// Produces the examples of one file.
pub(super) struct Rows<'r> {
    task: &'r Task,
    form: &'r FormCard,
    plan: &'r Plan,
    options: &'r LoadOptions,
    pub(super) file: PathBuf,
    /// The same, for what examples keep of it.
    shared_file: Arc<Path>,
    split: &'r mut SplitRows,
    /// Rows of this file kept so far.
    pub(super) kept: usize,
    sink: &'r mut Sink<'r>,
    pub(super) skipped: usize,
    pub(super) empty_fields: usize,
}

impl<'r> Rows<'r> {
    pub(super) fn new(
        task: &'r Task,
        form: &'r FormCard,
        plan: &'r Plan,
        options: &'r LoadOptions,
        file: &Path,
        split: &'r mut SplitRows,
        sink: &'r mut Sink<'r>,
    ) -> Self {
        Self {
            task,
            form,
            plan,
            options,
            file: file.to_path_buf(),
            shared_file: file.into(),
            split,
            kept: 0,
            sink,
            skipped: 0,
            empty_fields: 0,
        }
    }

    pub(super) fn form(&self) -> &'r FormCard {
        self.form
    }

    pub(super) fn plan(&self) -> &'r Plan {
        self.plan
    }

    pub(super) fn skips_unlabelled(&self) -> bool {
        self.task.card().rows.skip_unlabelled
    }

    /// Column indices of the plan's fields in a table.
    pub(super) fn columns(&self, names: &[&str]) -> Result<Vec<usize>, DataError> {
        let position = |field: usize| {
            let expected = self.plan.shown(field);
            let Some(column) = names.iter().position(|name| *name == expected) else {
                return Err(DataError::MissingColumn {
                    file: self.file.clone(),
                    expected,
                    found: names.iter().map(ToString::to_string).collect(),
                });
            };
            match names[column + 1..].iter().position(|name| *name == expected) {
                None => Ok(column),
                Some(behind) => Err(DataError::DoubleColumn {
                    file: self.file.clone(),
                    column: expected,
                    first: column + 1,
                    second: column + behind + 2,
                }),
            }
        };
        (0..self.plan.fields.len()).map(position).collect()
    }

    /// Adds a row with `cells` in the order of the plan's fields. Errors report `line`.
    pub(super) fn push(&mut self, line: usize, cells: &[Cell<'_>]) -> Result<(), DataError> {
        let unlabelled = match &cells[self.plan.target] {
            Cell::Text(text) => text.is_empty(),
            cell => *cell == Cell::Null,
        };
        if unlabelled && self.skips_unlabelled() {
            self.skipped += 1;
            return Ok(());
        }
        self.refuse_header(line, cells)?;
        if self.task.is_conversation() {
            return self.push_conversation(line, &cells[self.plan.target]);
        }
        let source = self.source(line, cells)?;
        let targets = self.targets(line, &cells[self.plan.target])?;
        let id = self.split.rows;
        self.split.rows += 1;
        self.kept += 1;
        let group = self.group_of(id, line, cells)?;
        let golds = match &self.task.card().target {
            TargetCard::Answer { .. } => targets.clone(),
            TargetCard::Class { .. } | TargetCard::Score { .. } | TargetCard::Conversation { .. } => Vec::new(),
            TargetCard::Program { .. } => self.test_program(line, cells)?,
        };
        let kept = match &self.task.card().target {
            TargetCard::Answer { answers, .. } if *answers == Answers::Each => targets.len(),
            _ => 1,
        };
        for target in targets.into_iter().take(kept) {
            (self.sink)(Example {
                id,
                group,
                source: source.clone(),
                target,
                golds: golds.clone(),
                conversation: None,
            })?;
        }
        Ok(())
    }

    fn push_conversation(&mut self, line: usize, cell: &Cell<'_>) -> Result<(), DataError> {
        let Cell::Messages(messages) = cell else {
            let expected = "an array of messages, in JSON";
            return Err(self.wrong_kind(line, self.plan.target, expected, cell));
        };
        let place = ConversationPlace {
            file: Arc::clone(&self.shared_file),
            line,
        };
        let field = self.plan.shown(self.plan.target);
        let told = Conversation::read(&field, messages, EndsWith::Answer, place);
        let told = told.map_err(|(field, fault)| DataError::Conversation {
            file: self.file.clone(),
            line,
            field,
            fault,
        })?;
        let id = self.split.rows;
        self.split.rows += 1;
        self.kept += 1;
        (self.sink)(Example {
            id,
            group: id,
            source: told.last_question().to_owned(),
            target: told.last().to_owned(),
            golds: vec![told.last().to_owned()],
            conversation: Some(Box::new(told)),
        })
    }

    /// `marker text marker text …`, joined by single spaces; texts are used verbatim, including surrounding white
    /// space.
    fn source(&mut self, line: usize, cells: &[Cell<'_>]) -> Result<String, DataError> {
        let mut source = String::new();
        for piece in &self.plan.pieces {
            let text = self.text(line, piece.field, &cells[piece.field])?;
            if text.is_empty() {
                if self.task.card().rows.refuse_empty {
                    return Err(DataError::EmptyField {
                        file: self.file.clone(),
                        line,
                        field: self.plan.shown(piece.field),
                    });
                }
                self.empty_fields += 1;
            }
            let text = match piece.transform {
                Transform::None => text,
                Transform::PadPunctuation => transform::pad_punctuation(&text),
                Transform::RemoveMarkup => transform::remove_markup(&text),
                Transform::Highlights => transform::highlights(&text),
                Transform::MarkSpans => self.mark_spans(line, &text, &piece.further, cells)?,
                Transform::Docstring => {
                    let examples = self.items(line, piece.further[0], cells)?;
                    transform::docstring(&text, &examples)
                }
            };
            if !source.is_empty() {
                source.push(' ');
            }
            source.push_str(&piece.marker);
            if !piece.marker.is_empty() {
                source.push(' ');
            }
            source.push_str(&text);
        }
        Ok(source)
    }

    /// A text, or a list of texts joined by `, `.
    fn text(&self, line: usize, field: usize, cell: &Cell<'_>) -> Result<String, DataError> {
        match cell {
            Cell::Text(text) => Ok(text.to_string()),
            Cell::List(items) => {
                let texts: Vec<String> = items
                    .iter()
                    .map(|item| match item {
                        Cell::Text(text) => Ok(text.to_string()),
                        other => Err(self.wrong_kind(line, field, "a list of strings", other)),
                    })
                    .collect::<Result<_, _>>()?;
                Ok(texts.join(", "))
            }
            other => Err(self.wrong_kind(line, field, "a string", other)),
        }
    }

    fn mark_spans(&self, line: usize, text: &str, further: &[usize], cells: &[Cell<'_>]) -> Result<String, DataError> {
        let span = |text: usize, index: usize| {
            let word = match &cells[index] {
                Cell::Integer(number) => usize::try_from(*number).ok(),
                Cell::Text(number) => number.parse().ok(),
                _ => None,
            };
            let word = word.ok_or_else(|| self.wrong_kind(line, index, "a word's number", &cells[index]))?;
            let text = self.text(line, text, &cells[text])?;
            Ok::<_, DataError>((text, word))
        };
        let (first, second) = (span(further[0], further[1])?, span(further[2], further[3])?);
        Ok(transform::mark_spans(text, (&first.0, first.1), (&second.0, second.1)))
    }

    /// The items of a list, or a text as the only item.
    fn items(&self, line: usize, field: usize, cells: &[Cell<'_>]) -> Result<Vec<String>, DataError> {
        let items = match &cells[field] {
            Cell::List(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        items.iter().map(|item| self.text(line, field, item)).collect()
    }

    /// The program that decides whether a solution is correct: its tests, then the names that they use from the
    /// solution. With an entry point that is the only name, and `check` is called with it; otherwise the names are what
    /// the solution defines, and its imports precede the tests.
    fn test_program(&self, line: usize, cells: &[Cell<'_>]) -> Result<Vec<String>, DataError> {
        let mut program = String::new();
        for &field in &self.plan.tests {
            for item in self.items(line, field, cells)? {
                program.push_str(&item);
                program.push('\n');
            }
        }
        if let Some(field) = self.plan.entry_point {
            let name = self.text(line, field, &cells[field])?;
            program += &format!("check({name})\n");
            return Ok(vec![program, name]);
        }
        let solution = self.text(line, self.plan.target, &cells[self.plan.target])?;
        let program = transform::imports(&solution) + &program;
        let names = transform::defined(&solution).into_iter().map(str::to_owned);
        Ok(std::iter::once(program).chain(names).collect())
    }

    /// Rejects a header line in a file that should have none, instead of reading it as a row.
    fn refuse_header(&self, line: usize, cells: &[Cell<'_>]) -> Result<(), DataError> {
        let is_name = |(field, cell): (usize, &Cell<'_>)| *cell == Cell::text(&self.plan.shown(field));
        if self.kept > 0 || self.form.header.is_empty() || !cells.iter().enumerate().all(is_name) {
            return Ok(());
        }
        Err(DataError::Table {
            file: self.file.clone(),
            line,
            fault: TableFault::HeaderRow {
                form: self.form.name.clone(),
            },
        })
    }

    /// The row's own number or, in a task with groups, that of the split's first row with the same group fields.
    fn group_of(&mut self, id: usize, line: usize, cells: &[Cell<'_>]) -> Result<usize, DataError> {
        if self.plan.group.is_empty() {
            return Ok(id);
        }
        let mut hash = Sha256::new();
        for &field in &self.plan.group {
            // Numbers yield the same key in every format.
            let key = match &cells[field] {
                Cell::Integer(number) => number.to_string(),
                Cell::Number(number) => number.to_string(),
                Cell::Flag(flag) => flag.to_string(),
                cell => self.text(line, field, cell)?,
            };
            hash.update((key.len() as u64).to_le_bytes());
            hash.update(key);
        }
        let mut key = [0; 16];
        key.copy_from_slice(&hash.finalize()[..16]);
        Ok(*self.split.groups.entry(key).or_insert(id))
    }

    /// All accepted answers; exactly one for classes and scores.
    fn targets(&self, line: usize, cell: &Cell<'_>) -> Result<Vec<String>, DataError> {
        let field = self.plan.target;
        let one = match &self.task.card().target {
            TargetCard::Class { .. } => self.class(line, cell)?,
            TargetCard::Score { min, max, .. } => self.score(line, cell, *min, *max)?,
            TargetCard::Program { .. } | TargetCard::Conversation { .. } => Some(self.text(line, field, cell)?),
            TargetCard::Answer { transform, missing, .. } => {
                let mut answers = match cell {
                    Cell::Text(text) => vec![text.to_string()],
                    Cell::List(items) => items
                        .iter()
                        .map(|item| self.text(line, field, item))
                        .collect::<Result<_, _>>()?,
                    other => return Err(self.wrong_kind(line, field, "a string or a list of strings", other)),
                };
                if *transform == Transform::PadPunctuation {
                    answers
                        .iter_mut()
                        .for_each(|answer| *answer = transform::pad_punctuation(answer));
                }
                if answers.is_empty() {
                    answers = vec![missing.clone().ok_or_else(|| DataError::NoAnswer {
                        file: self.file.clone(),
                        line,
                        field: self.plan.shown(field),
                    })?];
                }
                return Ok(answers);
            }
        };
        one.map(|target| vec![target])
            .ok_or_else(|| self.unknown_label(line, cell))
    }

    /// The class number as a digit; `None` if the label denotes no class.
    fn class(&self, line: usize, cell: &Cell<'_>) -> Result<Option<String>, DataError> {
        match self.plan.classes.meaning(cell) {
            Some(Meaning::Class(class)) => Ok(Some(class.to_string())),
            Some(Meaning::None) => Ok(None),
            Some(Meaning::Either(class, other)) => Err(DataError::AmbiguousLabel {
                file: self.file.clone(),
                line,
                field: self.plan.shown(self.plan.target),
                found: cell.shown().into(),
                meanings: Box::new([self.plan.classes.0[class][0].clone(), other]),
            }),
            None => Err(self.wrong_kind(line, self.plan.target, "a number or a class name", cell)),
        }
    }

    fn score(&self, line: usize, cell: &Cell<'_>, min: f32, max: f32) -> Result<Option<String>, DataError> {
        // The hub stores scores as 32-bit floats, and the reference rounds those: 2.35 is 2.3499999 there.
        let score = match cell {
            Cell::Text(text) => text.trim().parse::<f64>().ok().map(|score| score as f32),
            Cell::Integer(number) => Some(*number as f32),
            Cell::Number(number) => Some(*number as f32),
            other => return Err(self.wrong_kind(line, self.plan.target, "a number", other)),
        };
        Ok(score
            .filter(|score| (min..=max).contains(score))
            .map(|score| score_target(score, self.options.rounding)))
    }

    fn unknown_label(&self, line: usize, cell: &Cell<'_>) -> DataError {
        let (file, field, expected) = (
            self.file.clone(),
            self.plan.shown(self.plan.target),
            self.expected_label(),
        );
        let found = cell.shown();
        if matches!(found.trim(), "-1" | "-1.0") {
            return DataError::HiddenLabel {
                file,
                line,
                field,
                expected,
            };
        }
        DataError::UnknownLabel {
            file,
            line,
            field,
            expected: expected.into(),
            found: found.into(),
        }
    }

    fn expected_label(&self) -> String {
        if let TargetCard::Score { min, max, .. } = self.task.card().target {
            return format!("a score from {min} to {max}");
        }
        let classes = self.plan.classes.0.iter().enumerate();
        let names: Vec<String> = classes
            .map(|(number, names)| format!("{number} ({})", names.join(" or ")))
            .collect();
        names.join(", ")
    }

    fn wrong_kind(&self, line: usize, field: usize, expected: &'static str, found: &Cell<'_>) -> DataError {
        DataError::FieldType {
            file: self.file.clone(),
            line,
            field: self.plan.shown(field),
            expected,
            found: found.described(),
        }
    }
}
