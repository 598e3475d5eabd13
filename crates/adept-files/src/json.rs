//! Parses JSON objects of unknown content with bounded memory overhead.
//!
//! serde_json reserves room for at least four entries of 72 bytes in every list and object, and doubles it when full:
//! `[[1],[1],…]` takes 92 bytes per byte of the file. Here lists and objects are shrunk to their content and grow by a
//! quarter; no input takes more than 50 times its length.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Parses a JSON object. Of duplicate keys, the last wins.
///
/// # Errors
/// If the text is not valid JSON or not an object.
pub fn json_object(text: &[u8]) -> serde_json::Result<Map<String, Value>> {
    serde_json::from_slice(text).map(|Object(map)| map)
}

struct Object(Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object, A::Error> {
                entries(map).map(Object)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Any JSON value, its lists without spare capacity.
struct Compact(Value);

impl<'de> Deserialize<'de> for Compact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any valid JSON value")
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
            }

            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(Value::String(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
                let mut values = Vec::new();
                while let Some(Compact(value)) = list.next_element()? {
                    push(&mut values, value);
                }
                values.shrink_to_fit();
                Ok(Value::Array(values))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
                entries(map).map(Value::Object)
            }
        }
        deserializer.deserialize_any(Any).map(Self)
    }
}

fn entries<'de, A: MapAccess<'de>>(mut map: A) -> Result<Map<String, Value>, A::Error> {
    let mut found = Vec::new();
    while let Some((key, Compact(value))) = map.next_entry::<String, Compact>()? {
        push(&mut found, (key, value));
    }
    let mut entries = Map::with_capacity(found.len());
    entries.extend(found);
    Ok(entries)
}

fn push<T>(values: &mut Vec<T>, value: T) {
    if values.len() == values.capacity() {
        values.reserve_exact((values.len() / 4).max(1));
    }
    values.push(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str) {
        let expected: Map<String, Value> = serde_json::from_str(text).unwrap();
        let found = json_object(text.as_bytes()).unwrap();
        assert_eq!(found, expected);
        // Key order must agree as well.
        assert_eq!(
            serde_json::to_string(&found).unwrap(),
            serde_json::to_string(&expected).unwrap()
        );
    }

    #[test]
    fn what_is_read_is_what_serde_json_reads() {
        check("{}");
        check(r#" {"a": null, "b": [true, false, [], {}, [[1]]], "c": {"d": "é\u0041\n", "": 0}} "#);
        check(r#"{"z": -1, "y": 18446744073709551615, "x": 0.1, "w": 1e300, "v": -0.0, "u": 3.0, "t": 1e2}"#);
        check(r#"{"twice": 1, "other": 2, "twice": [3]}"#);
    }

    #[test]
    fn errors_are_those_of_serde_json() {
        for text in [
            "",
            "{",
            "[]",
            "1",
            r#"{"a": 1e999}"#,
            r#"{"a": 1} x"#,
            r#"{1: 2}"#,
            &format!("{{\"a\": {}", "[".repeat(200)),
        ] {
            let expected = serde_json::from_str::<Map<String, Value>>(text).unwrap_err();
            let found = json_object(text.as_bytes()).unwrap_err();
            assert_eq!(found.to_string(), expected.to_string(), "{text}");
        }
    }

    /// Bytes allocated for the lists in a value.
    fn room(value: &Value) -> usize {
        match value {
            Value::Array(values) => values.capacity() * size_of::<Value>() + values.iter().map(room).sum::<usize>(),
            _ => 0,
        }
    }

    #[test]
    fn lists_have_no_room_to_spare() {
        for text in ["[1]", "1", "[[1]]", "[]"] {
            // Just past a power of two, where a doubling list wastes the most.
            let list = vec![text; 1025].join(",");
            let object = json_object(format!("{{\"a\":[{list}]}}").as_bytes()).unwrap();
            let held = room(&object["a"]);
            assert!(held <= 50 * list.len(), "{text}: {held} bytes for {}", list.len());
        }
    }
}
