//! Field paths in a JSON row: keys separated by dots, with `[]` after a key to iterate over a list. The first key is a
//! name bound by the form's `each`, or a key of the row itself.

use serde_json::{Map, Value};

use super::cell::Cell;
use crate::conversation::RawMessages;
use crate::task::{Each, MessagesPlace, Place};

/// A row with the names bound in it, innermost last.
pub(super) struct Scope<'a, 'n> {
    row: &'a Map<String, Value>,
    bound: Vec<(&'n str, &'a Value)>,
}

/// Why a path does not resolve.
#[derive(Debug, PartialEq)]
pub(super) enum Absent {
    /// The key is missing; `found` lists the existing ones.
    Key { expected: String, found: Vec<String> },
    /// The value has another type.
    Kind { expected: &'static str, found: String },
}

impl<'a, 'n> Scope<'a, 'n> {
    pub(super) fn new(row: &'a Map<String, Value>) -> Self {
        Self { row, bound: Vec::new() }
    }

    /// Calls `visit` for every nested row: all combinations of items of the lists in `each`.
    pub(super) fn each<E>(
        &mut self,
        each: &'n [Each],
        fault: &dyn Fn(&str, Absent) -> E,
        visit: &mut dyn FnMut(&Self) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some((first, rest)) = each.split_first() else {
            return visit(self);
        };
        let list = self.find(&first.path).map_err(|absent| fault(&first.path, absent))?;
        let Value::Array(items) = list else {
            let found = cell(list).described();
            let expected = "an array";
            return Err(fault(&first.path, Absent::Kind { expected, found }));
        };
        for item in items {
            self.bound.push((&first.name, item));
            let result = self.each(rest, fault, visit);
            self.bound.pop();
            result?;
        }
        Ok(())
    }

    /// Resolves a place to its value.
    pub(super) fn get(&self, place: &Place) -> Result<Cell<'a>, Absent> {
        let list = match place {
            Place::Path(path) => return self.cell(path),
            Place::Paragraphs(place) => return paragraphs(self.find(&place.titles)?, self.find(&place.sentences)?),
            Place::Messages(place) => return self.messages(place),
            Place::List(list) => list,
        };
        let mut items = match &list.parts_of {
            None => match self.cell(&list.path)? {
                Cell::List(items) => items,
                other => return Err(wrong_kind("an array", &other)),
            },
            Some(text) => {
                let text = match self.cell(text)? {
                    Cell::Text(text) => text,
                    other => return Err(wrong_kind("a string", &other)),
                };
                parts(self.find(&list.path)?, &text)?
            }
        };
        if list.unique {
            items.sort_by(|a, b| match (a, b) {
                (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
                _ => std::cmp::Ordering::Equal,
            });
            items.dedup();
        }
        Ok(Cell::List(items))
    }

    fn cell(&self, path: &str) -> Result<Cell<'a>, Absent> {
        match path.split_once("[]") {
            None => self.find(path).map(cell),
            Some((list, rest)) => through(self.find(list)?, rest.strip_prefix('.').unwrap_or(rest)),
        }
    }

    fn messages(&self, place: &MessagesPlace) -> Result<Cell<'a>, Absent> {
        let list = |path: &str| match self.find(path)? {
            Value::Array(items) => Ok(items.iter()),
            other => Err(wrong_kind("an array of messages", &cell(other))),
        };
        let before = place.before.as_deref().map(list).transpose()?.into_iter().flatten();
        let mut items: Vec<&Value> = before.collect();
        let first_trained = items.len();
        items.extend(list(&place.messages)?);
        Ok(Cell::Messages(RawMessages {
            items,
            first_trained,
            row: self.row,
        }))
    }

    /// The value at a path without lists.
    fn find(&self, path: &str) -> Result<&'a Value, Absent> {
        let (first, rest) = path.split_once('.').map_or((path, None), |(a, b)| (a, Some(b)));
        let bound = self.bound.iter().rev().find(|(name, _)| *name == first);
        let start = match bound {
            Some((_, value)) => value,
            None => key(self.row, first)?,
        };
        rest.map_or(Ok(start), |rest| descend(start, rest))
    }
}

fn key<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a Value, Absent> {
    object.get(name).ok_or_else(|| Absent::Key {
        expected: name.to_owned(),
        found: object.keys().cloned().collect(),
    })
}

fn descend<'a>(start: &'a Value, path: &str) -> Result<&'a Value, Absent> {
    path.split('.').try_fold(start, |value, name| match value {
        Value::Object(object) => key(object, name),
        other => Err(wrong_kind("an object", &cell(other))),
    })
}

/// The value at `rest` in each item of a list.
fn through<'a>(list: &'a Value, rest: &str) -> Result<Cell<'a>, Absent> {
    let Value::Array(items) = list else {
        return Err(wrong_kind("an array", &cell(list)));
    };
    let item = |item: &'a Value| match rest.split_once("[]") {
        Some((list, rest)) => through(descend(item, list)?, rest.strip_prefix('.').unwrap_or(rest)),
        None if rest.is_empty() => Ok(cell(item)),
        None => descend(item, rest).map(cell),
    };
    items.iter().map(item).collect::<Result<_, _>>().map(Cell::List)
}

/// Substrings of a text, given by the positions of their first and last characters.
fn parts<'a>(list: &'a Value, text: &str) -> Result<Vec<Cell<'a>>, Absent> {
    let Value::Array(items) = list else {
        return Err(wrong_kind("an array", &cell(list)));
    };
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let part = |item: &'a Value| {
        let end = |name: &str| {
            item.get(name)
                .and_then(Value::as_u64)
                .and_then(|n| usize::try_from(n).ok())
        };
        let bytes = match (end("start"), end("end")) {
            (Some(start), Some(end)) if start <= end => starts
                .get(start)
                .zip(end.checked_add(1).and_then(|end| starts.get(end))),
            _ => None,
        };
        let (from, to) = bytes.ok_or_else(|| Absent::Kind {
            expected: "`start` and `end` within the text",
            found: item.to_string(),
        })?;
        Ok(Cell::Text(text[*from..*to].to_owned().into()))
    };
    items.iter().map(part).collect()
}

/// Concatenates all paragraphs, each with its title, into one text.
fn paragraphs<'a>(titles: &Value, sentences: &Value) -> Result<Cell<'a>, Absent> {
    let list = |value: &Value| match value {
        Value::Array(items) => Ok(items.clone()),
        other => Err(wrong_kind("an array", &cell(other))),
    };
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.trim().to_owned()),
        other => Err(wrong_kind("a string", &cell(other))),
    };
    let (titles, sentences) = (list(titles)?, list(sentences)?);
    if titles.len() != sentences.len() {
        return Err(Absent::Kind {
            expected: "as many lists of sentences as titles",
            found: format!("{} for {} titles", sentences.len(), titles.len()),
        });
    }
    let mut words: Vec<String> = Vec::new();
    for (title, sentences) in titles.iter().zip(&sentences) {
        words.push(format!("[PAR] [TLE] {} [SEP]", text(title)?));
        for sentence in list(sentences)? {
            words.push(text(&sentence)?);
        }
    }
    Ok(Cell::Text(words.join(" ").into()))
}

fn wrong_kind(expected: &'static str, found: &Cell<'_>) -> Absent {
    Absent::Kind {
        expected,
        found: found.described(),
    }
}

fn cell(value: &Value) -> Cell<'_> {
    match value {
        Value::Null => Cell::Null,
        Value::Bool(value) => Cell::Flag(*value),
        Value::Number(number) => number
            .as_i64()
            .map(Cell::Integer)
            .or_else(|| number.as_f64().map(Cell::Number))
            .unwrap_or(Cell::Object),
        Value::String(text) => Cell::text(text),
        Value::Array(items) => Cell::List(items.iter().map(cell).collect()),
        Value::Object(_) => Cell::Object,
    }
}
