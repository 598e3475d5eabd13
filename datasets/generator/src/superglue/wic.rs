//! WiC: a word in two sentences, in one sense or in two. The sentences of a pair are always made from two patterns, and
//! patterns of both senses are filled with the same people, things and times, so that what stands around the word
//! decides.

use std::collections::HashSet;

use serde::Serialize;

use super::senses::WORDS;
use super::{Keyed, draw, labels};
use crate::dice::Dice;
use crate::grammar::text::capitalised;
use crate::lexicon::{Tense, lexicon};
use crate::table4::repeats;
use crate::table4::winogrande::thing;
use crate::tasks::Exhausted;

/// The folder of the task in the archive.
pub(super) const FOLDER: &str = "WiC";

/// A line of the file; places count characters, and `end` is the one after the word.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    word: &'static str,
    sentence1: String,
    sentence2: String,
    idx: usize,
    label: bool,
    start1: usize,
    start2: usize,
    end1: usize,
    end2: usize,
    version: f32,
}

impl Keyed for Line {
    /// No sentence comes twice, so that no pair is another one turned round.
    fn keys(&self) -> Vec<String> {
        [&self.sentence1, &self.sentence2]
            .map(|text| text.to_lowercase())
            .to_vec()
    }
}

/// Rows of a file.
///
/// # Errors
/// [`Exhausted`] where there are not so many.
pub(super) fn rows(count: usize, dice: &mut Dice, seen: &mut HashSet<String>) -> Result<Vec<Line>, Exhausted> {
    let mut lines = Vec::with_capacity(count);
    for label in labels(2, count, dice) {
        let mut line = draw(FOLDER, (lines.len(), count), dice, seen, |dice| line(label == 1, dice))?;
        line.idx = lines.len();
        lines.push(line);
    }
    Ok(lines)
}

fn line(label: bool, dice: &mut Dice) -> Option<Line> {
    let (word, senses) = dice.choose(WORDS);
    let one = dice.below(senses.len());
    let other = if label { one } else { 1 - one };
    let (first, second) = (dice.pick(senses[one]), dice.pick(senses[other]));
    if first == second {
        return None;
    }
    let (sentence1, start1, end1) = sentence(first, dice)?;
    let (sentence2, start2, end2) = sentence(second, dice)?;
    Some(Line {
        word,
        sentence1,
        sentence2,
        idx: 0,
        label,
        start1,
        start2,
        end1,
        end2,
        version: 1.1,
    })
}

/// Fills a pattern: `{p}` and `{q}` are people, any other name in braces is a thing of that group of the lexicon, and the
/// word stands in brackets. All patterns are in the past tense, so that a time can be added.
fn sentence(pattern: &str, dice: &mut Dice) -> Option<(String, usize, usize)> {
    let mut text = String::new();
    let mut rest = pattern;
    let mut people: Vec<String> = Vec::new();
    while let Some((before, after)) = rest.split_once('{') {
        let (slot, after) = after.split_once('}')?;
        text.push_str(before);
        match slot {
            "p" | "q" => {
                let person = person(dice);
                if people.contains(&person) {
                    return None;
                }
                text.push_str(&person);
                people.push(person);
            }
            group => text.push_str(thing(group, dice)?),
        }
        rest = after;
    }
    text.push_str(rest);
    let time = dice.pick(lexicon().times(Tense::Past)).words[0];
    match dice.below(10) {
        0..=3 => text = format!("{text} {time}"),
        4 | 5 => text = format!("{time}, {text}"),
        _ => {}
    }
    let text = capitalised(&text) + ".";
    let start = text.find('[')?;
    let end = text.find(']')? - 1;
    let text = text.replace(['[', ']'], "");
    let characters = |at: usize| text[..at].chars().count();
    let (start, end) = (characters(start), characters(end));
    // A word that begins the sentence could not be capitalised within its bracket.
    (start > 0 && !repeats(&text)).then_some((text, start, end))
}

/// A name or somebody by what they are.
fn person(dice: &mut Dice) -> String {
    if dice.chance(60) {
        return dice.pick(&lexicon().names).0.to_owned();
    }
    let people: Vec<_> = lexicon().groups.iter().filter(|group| group.people).collect();
    let group = dice.pick(&people);
    let noun = dice.choose(&group.members);
    format!("the {}", noun.text(0, false))
}
