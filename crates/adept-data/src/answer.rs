//! Exact match and token F1 of answers, as in SQuAD's official script (Rajpurkar et al. 2016): both sides are
//! normalised, and a prediction is scored against its best-matching gold answer.

use std::collections::HashMap;

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// Splits an answer into lower-case words, dropping ASCII punctuation and the articles *a*, *an* and *the*.
fn words_of_answer(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let plain: String = lower.chars().filter(|c| !c.is_ascii_punctuation()).collect();
    without_articles(&plain)
}

/// Python's `\w`, as the script's regular expression uses it: letters, numbers and `_`, but neither combining marks nor
/// circled letters, which Rust's `is_alphanumeric` includes.
fn is_word(c: char) -> bool {
    use GeneralCategoryGroup::{Letter, Number};
    c == '_' || matches!(c.general_category_group(), Letter | Number)
}

/// White space according to Python's `str.split`: Unicode's, plus the four ASCII separators.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// Splits into words without articles. An article lies between two word boundaries, as in the script's
/// `\b(a|an|the)\b`; its neighbours need not be white space (`the–end` loses its article, `the_end` does not).
fn without_articles(text: &str) -> Vec<String> {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_word(c) != is_word(first)).unwrap_or(rest.len());
        let (piece, behind) = rest.split_at(end);
        match piece {
            "a" | "an" | "the" => kept.push(' '),
            _ => kept.push_str(piece),
        }
        rest = behind;
    }
    kept.split(is_space)
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// 1 if both are equal after normalisation, else 0.
pub(crate) fn exact_match(prediction: &str, gold: &str) -> f64 {
    f64::from(u8::from(words_of_answer(prediction) == words_of_answer(gold)))
}

/// Harmonic mean of precision and recall over the words in common, counted with multiplicity; 0 if there are none.
pub(crate) fn token_f1(prediction: &str, gold: &str) -> f64 {
    let (prediction, gold) = (words_of_answer(prediction), words_of_answer(gold));
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for word in &gold {
        *counts.entry(word).or_default() += 1;
    }
    let mut common = 0;
    for word in &prediction {
        if let Some(count) = counts.get_mut(word.as_str()).filter(|count| **count > 0) {
            *count -= 1;
            common += 1;
        }
    }
    if common == 0 {
        return 0.0;
    }
    let precision = common as f64 / prediction.len() as f64;
    let recall = common as f64 / gold.len() as f64;
    2.0 * precision * recall / (precision + recall)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_normalised_before_they_are_compared() {
        for (a, b, same) in [
            ("The  Beatles!", "beatles", 1.0),
            ("a-b", "ab", 1.0),
            ("the–end", "–end", 1.0),
            ("another", "other", 0.0),
            ("", "the", 1.0),
            ("U.S.", "us", 1.0),
            ("théâtre", "théâtre", 1.0),
        ] {
            assert_eq!(exact_match(a, b), same, "{a} and {b}");
        }
    }

    #[test]
    fn shared_words_count_as_often_as_both_have_them() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} and {b}");
        close(token_f1("new york city", "New York"), 0.8);
        close(token_f1("york york", "york"), 2.0 / 3.0);
        close(token_f1("boston", "york"), 0.0);
        close(token_f1("", ""), 0.0);
    }
}
