//! Yelp polarity: reviews of several sentences. Opinions are SST-2's; the greater part of them, and the last word, go
//! with the label, others are conceded on the way. Between them stand sentences without an opinion and the words of
//! others.

use super::length::text_fits;
use crate::dice::Dice;
use crate::grammar::text::capitalised;
use crate::lexicon::opinion::{DOMAINS, Domain};
use crate::lexicon::{Tense, Topic, lexicon};
use crate::tasks::{Row, sst2};

/// A review; label 1 is positive. Lines end as in the official files, with a backslash and an `n`.
pub(super) fn row(dice: &mut Dice, _: &'static [Topic], label: usize) -> Option<Row> {
    let domain = dice.choose(DOMAINS);
    let item = dice.word(domain.items);
    let good = label == 1;
    let mut parts = vec![opening(item, dice)];
    for _ in 0..1 + dice.below(2) {
        parts.push(opinion(domain, item, good, dice));
    }
    if dice.chance(35) {
        parts.push(quoted(domain, item, good, dice));
    }
    if dice.chance(45) {
        let conceded = sentence(&sst2::opinion(domain, item, !good, dice));
        parts.push(format!("{} {conceded}", dice.pick(CONCEDING)));
        parts.push(format!(
            "{} {}",
            dice.pick(STILL),
            sentence(&sst2::opinion(domain, item, good, dice))
        ));
    } else {
        parts.push(opinion(domain, item, good, dice));
    }
    let mut text = String::new();
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            text.push_str(if dice.chance(25) { "\\n\\n" } else { " " });
        }
        text.push_str(part);
    }
    if lists_a_word_twice(&text) || !text_fits(&text) {
        return None;
    }
    let (texts, label, source) = (vec![text], label.to_string(), "");
    Some(Row { texts, label, source })
}

const CONCEDING: &[&str] = &[
    "To be fair:",
    "My friends said this:",
    "Others may tell you:",
    "One could say this:",
];
const STILL: &[&str] = &[
    "My own view:",
    "But this is what counts:",
    "All in all:",
    "I see it in another way:",
];

/// `dismal and dismal`, `fine, dismal and fine`
fn lists_a_word_twice(text: &str) -> bool {
    let bare = |word: &str| word.trim_matches(|letter: char| !letter.is_alphabetic()).to_lowercase();
    let words: Vec<String> = text.split(' ').map(bare).collect();
    let beside = |ands: usize| ands > 0 && ands + 1 < words.len() && words[ands - 1] == words[ands + 1];
    let around = |ands: usize| ands > 1 && ands + 1 < words.len() && words[ands - 2] == words[ands + 1];
    let mut ands = (0..words.len()).filter(|&at| words[at] == "and");
    ands.any(|at| beside(at) || around(at))
}

/// A sentence of the occasion.
fn opening(item: &str, dice: &mut Dice) -> String {
    let time = dice.pick(lexicon().times(Tense::Past)).words[0];
    let (name, _) = dice.pick(&lexicon().names);
    match dice.below(6) {
        0 => format!("{name} and I spent some time with this {item} {time}."),
        1 => format!("I chose this {item} {time} because {name} had told me of it."),
        2 => format!("{}, I came across this {item}.", capitalised(time)),
        3 => format!("A few words on the {item} that we tried out {time}."),
        4 => format!("{name} and I have talked a lot about this {item}."),
        _ => format!("{name} asked me for a review of this {item}."),
    }
}

fn opinion(domain: &'static Domain, item: &'static str, good: bool, dice: &mut Dice) -> String {
    sentence(&sst2::opinion(domain, item, good, dice))
}

/// What somebody else said of it.
fn quoted(domain: &'static Domain, item: &'static str, good: bool, dice: &mut Dice) -> String {
    let opinion = opinion(domain, item, good, dice);
    let words = opinion.trim_end_matches('.');
    let (name, _) = dice.pick(&lexicon().names);
    match dice.below(3) {
        0 => format!("\"{words},\" {name} said, and I agree."),
        1 => format!("{name} put it like this: \"{words}.\""),
        _ => format!("\"{words}!\" That is what {name} told everybody, and rightly so."),
    }
}

/// SST-2's spaced lower case as people write it.
fn sentence(text: &str) -> String {
    let text = text.replace(" ,", ",").replace(" i ", " I ");
    let text = text.strip_prefix("i ").map_or(text.clone(), |rest| format!("I {rest}"));
    capitalised(&text) + "."
}
