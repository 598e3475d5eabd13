//! Limits the patterns of a `tokenizer.json` before the library compiles them, which it does without a limit: `\w{200}`
//! alone takes 38 MB, and a megabyte of file may contain ten thousand of them.

use std::fmt;

use fancy_regex::Expr;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Maximum number of character classes in a file's patterns, counted with repetition (`\p{N}{1,3}` counts three times).
/// A compiled Unicode class takes up to 190 KB. Published patterns have about twenty.
pub(super) const MOST_CLASSES: usize = 128;

/// This many individually compiled characters weigh as much as one class.
const CHARACTERS_A_CLASS: usize = 32;

/// Number of character classes in all patterns of a file, counted with repetition. Patterns and files that do not parse
/// count as zero: the library reports their errors.
pub(super) fn classes(text: &[u8]) -> usize {
    let mut parser = serde_json::Deserializer::from_slice(text);
    let mut found = 0;
    // On an error the partial count is irrelevant, since loading the tokenizer fails as well.
    let _ = Patterns(&mut found).deserialize(&mut parser);
    found / CHARACTERS_A_CLASS
}

/// Sums the weights of all strings under a `Regex` key, at any depth.
struct Patterns<'a>(&'a mut usize);

impl<'de> DeserializeSeed<'de> for Patterns<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Patterns<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Patterns(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                // The vocabulary: most of the file, and without patterns.
                "model" | "added_tokens" => drop(map.next_value::<IgnoredAny>()?),
                "Regex" => {
                    let Pattern(pattern) = map.next_value()?;
                    let tree = pattern.and_then(|pattern| Expr::parse_tree(&pattern).ok());
                    *self.0 = self.0.saturating_add(tree.map_or(0, |tree| weight(&tree.expr)));
                }
                _ => map.next_value_seed(Patterns(self.0))?,
            }
        }
        Ok(())
    }
}

/// A pattern's text; `None` for any other type.
struct Pattern(Option<String>);

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(Self(value.as_str().map(str::to_owned)))
    }
}

/// Compiled size of an expression, in units of characters.
fn weight(expression: &Expr) -> usize {
    let sum = |parts: &[Expr]| parts.iter().map(weight).fold(0, usize::saturating_add);
    match expression {
        Expr::Literal { val, .. } => val.len(),
        Expr::Delegate { inner, .. } => CHARACTERS_A_CLASS.max(inner.len()),
        Expr::Any { .. } => CHARACTERS_A_CLASS,
        Expr::Concat(parts) | Expr::Alt(parts) => sum(parts),
        Expr::Group(part) | Expr::LookAround(part, _) | Expr::AtomicGroup(part) => weight(part),
        Expr::Repeat { child, lo, hi, .. } => {
            let copies = if *hi == usize::MAX { *lo } else { *hi };
            weight(child).saturating_mul(copies.max(1))
        }
        Expr::Conditional {
            condition,
            true_branch,
            false_branch,
        } => [condition, true_branch, false_branch]
            .into_iter()
            .map(|part| weight(part))
            .fold(0, usize::saturating_add),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, expected: usize) {
        let step = |pattern| serde_json::json!({"pattern": {"Regex": pattern}});
        let text = serde_json::json!({
            "model": {"Regex": r"\w{1000}"},
            "normalizer": step("a"),
            "pre_tokenizer": {"steps": [1, null, step(pattern)]},
        });
        assert_eq!(classes(text.to_string().as_bytes()), expected, "{pattern}");
    }

    #[test]
    fn classes_count_as_often_as_they_are_repeated() {
        check("[a-z]+", 1);
        check(r"\w{200}", 200);
        check(r"(?:\w{10}|\d){2,9}", 99);
        check(r"(?=\w{5,})", 5);
        check(
            r"(?:(?:.{99999999}){99999999}){99999999}",
            usize::MAX / CHARACTERS_A_CLASS,
        );
        check("a{64}", 2);
        check("(", 0);
    }

    /// The patterns of GPT-2 and Llama 3.
    #[test]
    fn published_patterns_are_far_below_the_limit() {
        check(
            r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
            7,
        );
        let llama = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
        check(llama, 12);
    }

    #[test]
    fn what_cannot_be_parsed_counts_for_nothing() {
        assert_eq!(classes(b""), 0);
        assert_eq!(classes(br#"{"Regex": 1, "a": {"Regex": ["\\w"]}"#), 0);
    }
}
