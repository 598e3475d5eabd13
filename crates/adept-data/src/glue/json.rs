//! JSONL files with the hub's field names: one object a line, `label` as a number or as a class name, -1 where it is
//! hidden. Blank lines are passed over and a byte-order mark at the start is dropped.

use serde_json::{Map, Value};

use super::rows::{RawLabel, Rows};
use super::tsv::lines;
use crate::DataError;

/// Reads a whole file into `rows`.
pub(super) fn read(text: &str, rows: &mut Rows) -> Result<(), DataError> {
    // A bare carriage return is white space in JSON, so it may end a line here as well.
    for (line, json) in lines(text).filter(|(_, json)| !json.trim().is_empty()) {
        let object: Map<String, Value> = serde_json::from_str(json).map_err(|source| {
            let column = source.column();
            DataError::Json {
                file: rows.file.clone(),
                line,
                column,
                source,
            }
        })?;
        let texts = rows
            .text_fields()
            .iter()
            .map(|field| match get(rows, line, &object, field)? {
                Value::String(text) => Ok(text.as_str()),
                other => Err(wrong_type(rows, line, field, "a string", other)),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let field = rows.label_field();
        let label = get(rows, line, &object, field)?;
        let label = match label {
            Value::String(name) => RawLabel::Text(name),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => RawLabel::Integer(whole),
                (None, Some(real)) => RawLabel::Number(real),
                (None, None) => return Err(wrong_type(rows, line, field, "a number in 64 bits", label)),
            },
            other => return Err(wrong_type(rows, line, field, "a number or a class name", other)),
        };
        rows.push(line, &texts, label)?;
    }
    Ok(())
}

fn get<'a>(
    rows: &Rows,
    line: usize,
    object: &'a Map<String, Value>,
    expected: &'static str,
) -> Result<&'a Value, DataError> {
    object.get(expected).ok_or_else(|| DataError::MissingField {
        file: rows.file.clone(),
        line,
        expected,
        found: object.keys().cloned().collect(),
    })
}

fn wrong_type(rows: &Rows, line: usize, field: &'static str, expected: &'static str, found: &Value) -> DataError {
    let found = match found {
        Value::Null => "null".to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(_) => "a string".to_string(),
        Value::Array(_) => "an array".to_string(),
        Value::Object(_) => "an object".to_string(),
    };
    DataError::FieldType {
        file: rows.file.clone(),
        line,
        field,
        expected,
        found,
    }
}
