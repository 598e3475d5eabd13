//! Single-pass random sampling of texts from a stream of unknown length.

use std::collections::BinaryHeap;

use super::draws::{Draws, Purpose};
use crate::DataError;

/// Samples whole texts of at most `max_characters` characters in total, uniformly and in their original order. Every
/// text gets a random rank; those with the smallest are kept. A text longer than `max_characters` is skipped. Memory is
/// proportional to the texts kept. A pure function of the texts and the seed.
///
/// # Errors
/// The first error of the iterator.
pub fn sample_texts(
    texts: impl Iterator<Item = Result<String, DataError>>,
    max_characters: usize,
    seed: u64,
) -> Result<Vec<String>, DataError> {
    let mut draws = Draws::of(Purpose::Sample, seed, 0);
    let mut kept: BinaryHeap<Kept> = BinaryHeap::new();
    let mut characters = 0;
    for (number, text) in texts.enumerate() {
        let text = text?;
        let rank = (u64::from(draws.word()) << 32) | u64::from(draws.word());
        let length = text.chars().count();
        if length > max_characters {
            continue;
        }
        characters += length;
        kept.push(Kept {
            rank,
            number,
            length,
            text,
        });
        while characters > max_characters {
            characters -= kept.pop().map_or(0, |last| last.length);
        }
    }
    let mut kept = kept.into_vec();
    kept.sort_unstable_by_key(|kept| kept.number);
    Ok(kept.into_iter().map(|kept| kept.text).collect())
}

/// A candidate, ordered by its random rank (the first field).
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    rank: u64,
    number: usize,
    length: usize,
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(texts: &[&str], max_characters: usize, seed: u64) -> Vec<String> {
        let texts = texts.iter().map(|text| Ok((*text).to_string()));
        sample_texts(texts, max_characters, seed).expect("texts without errors")
    }

    #[test]
    fn what_fits_is_kept_in_its_order() {
        let texts = ["one", "two", "three", "four"];
        assert_eq!(sample(&texts, 15, 0), texts);
        assert_eq!(sample(&texts, 0, 0), Vec::<String>::new());
        for seed in 0..50 {
            let some = sample(&texts, 8, seed);
            let characters: usize = some.iter().map(String::len).sum();
            assert!((3..=8).contains(&characters), "{some:?}");
            let places: Vec<_> = some.iter().map(|text| texts.iter().position(|t| t == text)).collect();
            assert!(places.is_sorted());
        }
        assert_eq!(sample(&["long text", "a"], 3, 1), ["a"]);
    }

    #[test]
    fn texts_are_drawn_evenly() {
        let texts: Vec<String> = (0..1000).map(|number| format!("{number:04}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let some = sample(&texts, 4 * 200, 7);
        assert_eq!(some.len(), 200);
        // 50 of each quarter are expected; 5 standard deviations are 5·√(50 · 3/4 · 4/5) ≈ 27.
        for quarter in 0..4 {
            let range = format!("{:04}", 250 * quarter)..format!("{:04}", 250 * (quarter + 1));
            let count = some.iter().filter(|&text| range.contains(text)).count();
            assert!((23..=77).contains(&count), "{count} of quarter {quarter}");
        }
        assert_eq!(some, sample(&texts, 4 * 200, 7));
        assert_ne!(some, sample(&texts, 4 * 200, 8));
    }

    #[test]
    fn an_error_ends_it() {
        let texts = [Ok("a".to_string()), Err(DataError::NoRows)];
        assert!(matches!(sample_texts(texts.into_iter(), 10, 0), Err(DataError::NoRows)));
    }
}
