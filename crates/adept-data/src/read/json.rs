//! JSON: either one object per line, or one document whose outermost list of rows is read item by item. Blank lines are
//! skipped.

use std::io::BufRead;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::lines::TextLines;
use super::once::Once;
use super::path::{Absent, Scope};
use super::rows::Rows;
use crate::DataError;
use crate::table::TableFault;
use crate::task::Each;
use crate::text::json_object;

/// Reads one object per line.
pub(super) fn read_lines(reader: &mut dyn BufRead, rows: &mut Rows<'_>) -> Result<(), DataError> {
    let path = rows.file.clone();
    let form = rows.form();
    let mut lines = TextLines::new(reader, &path);
    let mut first = true;
    while let Some((line, json)) = lines.next_filled()? {
        if json.trim().is_empty() {
            continue;
        }
        let object = json_object(&path, line, json)?;
        let is_header = first && form.header_key.as_ref().is_some_and(|key| object.contains_key(key));
        first = false;
        if !is_header {
            push(rows, line, &object, &form.each)?;
        }
    }
    Ok(())
}

/// Reads one document: an object whose key `form.each[0].path` is the list of rows or, for a form without `each`, a
/// list of rows. Rows count from 0.
pub(super) fn read_document(reader: &mut dyn BufRead, rows: &mut Rows<'_>) -> Result<(), DataError> {
    let path = rows.file.clone();
    let mut fault = None;
    let mut parser = serde_json::Deserializer::from_reader(reader);
    let document = Document {
        rows,
        fault: &mut fault,
    };
    let result = document.deserialize(&mut parser).and_then(|()| parser.end());
    // A fault in a row aborts parsing and is more specific than the parser's error.
    match (fault, result) {
        (Some(fault), _) => Err(fault),
        (None, Ok(())) => Ok(()),
        (None, Err(source)) if source.is_io() => Err(DataError::Io {
            file: path,
            source: source.into(),
        }),
        (None, Err(source)) => Err(DataError::JsonDocument { file: path, source }),
    }
}

/// Adds the rows nested in an object.
fn push(rows: &mut Rows<'_>, line: usize, object: &Map<String, Value>, each: &[Each]) -> Result<(), DataError> {
    let file = rows.file.clone();
    let fault = |field: &str, absent| absent_at(&file, line, field, absent);
    let plan = rows.plan();
    Scope::new(object).each(each, &fault, &mut |scope| {
        let cells = plan
            .fields
            .iter()
            .map(|(field, place)| scope.get(place).map_err(|absent| fault(field, absent)))
            .collect::<Result<Vec<_>, _>>()?;
        rows.push(line, &cells)
    })
}

fn absent_at(file: &std::path::Path, line: usize, field: &str, absent: Absent) -> DataError {
    let file = file.to_path_buf();
    match absent {
        Absent::Key { expected, found } => DataError::MissingField {
            file,
            line,
            expected,
            found,
        },
        Absent::Kind { expected, found } => DataError::FieldType {
            file,
            line,
            field: field.to_owned(),
            expected,
            found,
        },
    }
}

/// Descends to the outermost list of rows, then reads it row by row.
struct Document<'a, 'r> {
    rows: &'a mut Rows<'r>,
    fault: &'a mut Option<DataError>,
}

impl<'de> DeserializeSeed<'de> for Document<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.rows.form().each.first() {
            Some(each) => write!(f, "an object with a list `{}`", each.path),
            None => f.write_str("a list of objects"),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let form = self.rows.form();
        let Some(each) = form.each.first() else {
            return Err(serde::de::Error::invalid_type(serde::de::Unexpected::Map, &self));
        };
        let mut found = false;
        while let Some(key) = map.next_key::<String>()? {
            if key == each.path && found {
                return Err(serde::de::Error::custom(format_args!("duplicate key `{key}`")));
            }
            if key == each.path {
                found = true;
                map.next_value_seed(Items {
                    rows: self.rows,
                    fault: self.fault,
                    each: &form.each,
                })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        if !found {
            return Err(serde::de::Error::custom(format_args!(
                "expected a list `{}`",
                each.path
            )));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        if !self.rows.form().each.is_empty() {
            return Err(serde::de::Error::invalid_type(serde::de::Unexpected::Seq, &self));
        }
        Items {
            rows: self.rows,
            fault: self.fault,
            each: &[],
        }
        .visit_seq(list)
    }
}

struct Items<'a, 'r, 'f> {
    rows: &'a mut Rows<'r>,
    fault: &'a mut Option<DataError>,
    each: &'f [Each],
}

impl<'de> DeserializeSeed<'de> for Items<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut number = 0;
        let mut twice = None;
        loop {
            let item = list.next_element_seed(Once(&mut twice)).inspect_err(|_| {
                *self.fault = twice.take().map(|key| DataError::Table {
                    file: self.rows.file.clone(),
                    line: number,
                    fault: TableFault::DoubleKey { key },
                });
            })?;
            let Some(item) = item else { return Ok(()) };
            // Wraps the item in a list of one to bind its name: a document's outermost list is bound by `each` like any
            // other.
            let (object, each) = match self.each.first() {
                Some(first) => (
                    Map::from_iter([(first.path.clone(), Value::Array(vec![item]))]),
                    self.each,
                ),
                None => match item {
                    Value::Object(object) => (object, self.each),
                    _ => {
                        return Err(serde::de::Error::invalid_type(
                            serde::de::Unexpected::Other("another value"),
                            &self,
                        ));
                    }
                },
            };
            if let Err(fault) = push(self.rows, number, &object, each) {
                *self.fault = Some(fault);
                return Err(serde::de::Error::custom("an invalid row"));
            }
            number += 1;
        }
    }
}
