//! Values of files and overrides, each checked against the schema where it enters, so that an error names its place.

use std::path::Path;

use adept_data::Task;
use toml::Value;
use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::fields::Kind;
use super::layers::{Origin, Values};
use super::schema::Schema;

/// Reads a TOML text into dotted keys, each checked and with its line.
pub(crate) fn parse_file(schema: &Schema, path: &Path, text: &str) -> Result<Values, ConfigError> {
    let place = |offset: usize| Origin::File {
        path: path.to_owned(),
        line: text.as_bytes()[..offset.min(text.len())]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1,
    };
    let document = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        place: place(error.span().map_or(0, |span| span.start)).to_string(),
        message: error.message().to_owned(),
    })?;
    let mut values = Values::new();
    collect(schema, document.get_ref(), "", &place, &mut values)?;
    Ok(values)
}

/// Walks one table of the file and adds its values, each checked and with its place.
pub fn collect(
    schema: &Schema,
    table: &DeTable<'_>,
    prefix: &str,
    place: &dyn Fn(usize) -> Origin,
    values: &mut Values,
) -> Result<(), ConfigError> {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{prefix}.{}", name.get_ref())
        };
        let origin = place(name.span().start);
        if let DeValue::Table(inner) = value.get_ref()
            && schema.find(&key).is_none()
        {
            if !schema
                .fields
                .iter()
                .any(|field| field.key.starts_with(&format!("{key}.")))
                && inner.is_empty()
            {
                return Err(unknown(schema, &key, &origin));
            }
            collect(schema, inner, &key, place, values)?;
            continue;
        }
        let field = schema.find(&key).ok_or_else(|| unknown(schema, &key, &origin))?;
        if let (Kind::Tables(inner), DeValue::Array(items)) = (&field.kind, value.get_ref()) {
            let tables = items
                .iter()
                .map(|item| match item.get_ref() {
                    DeValue::Table(item) => collect_item(inner, item, &key, place),
                    _ => Err(ConfigError::Value {
                        place: origin.to_string(),
                        key: key.clone(),
                        expected: field.kind.describe(),
                        found: "a list of something else".into(),
                    }),
                })
                .collect::<Result<_, _>>()?;
            values.insert(key, (Value::Array(tables), origin));
            continue;
        }
        let plain = plain(value.get_ref()).ok_or_else(|| ConfigError::Value {
            place: origin.to_string(),
            key: key.clone(),
            expected: field.kind.describe(),
            found: "a value of another type".into(),
        })?;
        let checked = check(&field.key, &field.kind, plain, &origin)?;
        values.insert(field.key.clone(), (checked, origin));
    }
    Ok(())
}

/// One table of a list of tables.
fn collect_item(
    inner: &Schema,
    item: &DeTable<'_>,
    key: &str,
    place: &dyn Fn(usize) -> Origin,
) -> Result<Value, ConfigError> {
    let mut values = Values::new();
    collect(inner, item, "", place, &mut values).map_err(|error| error.inside(key))?;
    Ok(Value::Table(
        values.into_iter().map(|(key, (value, _))| (key, value)).collect(),
    ))
}

/// Reads `key=value`, the value typed by the field.
pub(super) fn parse_override(schema: &Schema, assignment: &str) -> Result<(String, Value), ConfigError> {
    let (key, text) = assignment.split_once('=').ok_or_else(|| ConfigError::Assignment {
        text: assignment.to_owned(),
    })?;
    // `key = value` is set apart by spaces. Without one before the sign a text is taken to the letter: a path may begin
    // or end with a space.
    let spaced = key.ends_with(char::is_whitespace);
    let (key, verbatim, text) = (key.trim(), if spaced { text.trim() } else { text }, text.trim());
    let field = schema
        .find(key)
        .ok_or_else(|| unknown(schema, key, &Origin::Override))?;
    let value = match &field.kind {
        Kind::Text | Kind::Task => Value::String(verbatim.to_owned()),
        Kind::Choice(_) | Kind::Tables(_) => Value::String(text.to_owned()),
        Kind::Flag => text
            .parse()
            .map_or_else(|_| Value::String(text.to_owned()), Value::Boolean),
        Kind::Integer { .. } => text
            .replace('_', "")
            .parse()
            .map_or_else(|_| Value::String(text.to_owned()), Value::Integer),
        Kind::Number { .. } | Kind::NumberOr { .. } => text
            .parse()
            .map_or_else(|_| Value::String(text.to_owned()), Value::Float),
        Kind::Widths => text
            .trim_matches(['[', ']'])
            .split(',')
            .map(|part| part.trim().parse().map(Value::Integer))
            .collect::<Result<Vec<_>, _>>()
            .map_or_else(|_| Value::String(text.to_owned()), Value::Array),
        Kind::Texts => {
            let list = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
            let parts = list.unwrap_or(text).split(',').map(str::trim);
            let parts = parts.map(|part| if list.is_some() { part.trim_matches('"') } else { part });
            Value::Array(
                parts
                    .filter(|part| list.is_none() || !part.is_empty())
                    .map(|part| Value::String(part.to_owned()))
                    .collect(),
            )
        }
    };
    Ok((
        field.key.clone(),
        check(&field.key, &field.kind, value, &Origin::Override)?,
    ))
}

pub(super) fn unknown(schema: &Schema, key: &str, origin: &Origin) -> ConfigError {
    ConfigError::UnknownKey {
        place: origin.to_string(),
        key: key.to_owned(),
        nearest: schema.nearest(key).to_owned(),
        page: schema.page,
    }
}

/// Holds a value against its field; whole numbers become numbers where the field is one.
pub(super) fn check(key: &str, kind: &Kind, value: Value, origin: &Origin) -> Result<Value, ConfigError> {
    let within = |value: f64, min: &f64, max: &f64| value.is_finite() && (min..=max).contains(&&value);
    let accepted = match (kind, &value) {
        (Kind::Text, Value::String(_)) | (Kind::Flag, Value::Boolean(_)) => true,
        (Kind::Choice(words), Value::String(text)) => words.contains(text),
        (Kind::Task, Value::String(text)) => {
            text.is_empty() || text.ends_with(".toml") || Task::built_in().iter().any(|task| task.name() == text)
        }
        (Kind::Integer { min, max }, Value::Integer(number)) => (min..=max).contains(&number),
        (Kind::NumberOr { word, .. }, Value::String(text)) => text == word,
        (Kind::Number { min, max } | Kind::NumberOr { min, max, .. }, Value::Float(number)) => {
            within(*number, min, max)
        }
        (Kind::Number { min, max } | Kind::NumberOr { min, max, .. }, Value::Integer(number)) => {
            let number = *number as f64;
            if within(number, min, max) {
                return Ok(Value::Float(number));
            }
            false
        }
        (Kind::Widths, Value::Array(items)) => {
            !items.is_empty()
                && items
                    .iter()
                    .all(|item| item.as_integer().is_some_and(|width| width > 0))
        }
        (Kind::Texts, Value::Array(items)) => items.iter().all(Value::is_str),
        _ => false,
    };
    if accepted {
        return Ok(value);
    }
    Err(ConfigError::Value {
        place: origin.to_string(),
        key: key.to_owned(),
        expected: kind.describe(),
        found: value.to_string(),
    })
}

/// The owned value of a parsed one; `None` for what no field takes (dates, tables) and for numbers out of range.
fn plain(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()?),
        DeValue::Float(number) => Value::Float(number.as_str().parse().ok()?),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| plain(item.get_ref()))
                .collect::<Option<Vec<_>>>()?,
        ),
        DeValue::Datetime(_) | DeValue::Table(_) => return None,
    })
}
