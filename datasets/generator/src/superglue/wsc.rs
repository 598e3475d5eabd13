//! WSC: whether a pronoun means a person or a thing named before it. The sentences are WinoGrande's with a pronoun in
//! the gap, of two people of one gender or of two things, so that only what is said decides. They come as twins that
//! differ in the statement and so in the label.

use std::collections::HashSet;

use serde::Serialize;

use super::{Keyed, draw};
use crate::dice::Dice;
use crate::grammar::text::capitalised;
use crate::lexicon::{Gender, lexicon};
use crate::table4::relations::{PEOPLE, Relation, THINGS};
use crate::table4::winogrande::thing;
use crate::tasks::Exhausted;

/// The folder of the task in the archive.
pub(super) const FOLDER: &str = "WSC";

/// A line of the file.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    text: String,
    target: Target,
    idx: usize,
    label: bool,
}

/// The two phrases, each with the number of its first word.
#[derive(Debug, Serialize)]
struct Target {
    span1_text: String,
    span1_index: usize,
    span2_text: String,
    span2_index: usize,
}

struct Twins([Line; 2]);

impl Keyed for Twins {
    fn keys(&self) -> Vec<String> {
        self.0.iter().map(|line| line.text.to_lowercase()).collect()
    }
}

/// Rows of a file, twins beside each other.
///
/// # Errors
/// [`Exhausted`] where there are not so many.
pub(super) fn rows(count: usize, dice: &mut Dice, seen: &mut HashSet<String>) -> Result<Vec<Line>, Exhausted> {
    let mut lines: Vec<Line> = Vec::with_capacity(count + 1);
    while lines.len() < count {
        let Twins(twins) = draw(FOLDER, (lines.len(), count), dice, seen, twins)?;
        lines.extend(twins);
    }
    lines.truncate(count);
    for (idx, line) in lines.iter_mut().enumerate() {
        line.idx = idx;
    }
    Ok(lines)
}

/// A relation with its sides as the text names them and the beginning of the text.
struct Scene {
    relation: &'static Relation,
    sides: [String; 2],
    told: String,
    pronoun: &'static str,
}

fn twins(dice: &mut Dice) -> Option<Twins> {
    let scene = if dice.chance(65) { people(dice)? } else { things(dice)? };
    let (first, second) = dice.pick(scene.relation.sides);
    let side = dice.below(2);
    let mut twins = [
        line(&scene, first, side, side == 0)?,
        line(&scene, second, side, side == 1)?,
    ];
    if dice.chance(50) {
        twins.swap(0, 1);
    }
    Some(Twins(twins))
}

fn line(scene: &Scene, statement: &str, side: usize, label: bool) -> Option<Line> {
    // A thing is `the _`, and `it` for short.
    let statement = statement.replace("the _", "_").replace('_', scene.pronoun);
    let before = match scene.relation.joined {
        "so" => format!("{}, so ", scene.told),
        joined => format!("{} {joined} ", scene.told),
    };
    // All statements begin with the gap.
    let span2_index = before.split(' ').count() - 1;
    let (span1_text, span1_index) = place(&scene.told, &scene.sides[side])?;
    let text = format!("{before}{statement}.");
    let target = Target {
        span1_text,
        span1_index,
        span2_text: scene.pronoun.to_owned(),
        span2_index,
    };
    let idx = 0;
    Some(Line {
        text,
        target,
        idx,
        label,
    })
}

/// A phrase as the text has it, which may begin with a capital there, and the number of its first word.
fn place(text: &str, phrase: &str) -> Option<(String, usize)> {
    let words: Vec<&str> = text.split(' ').collect();
    let length = phrase.split(' ').count();
    let at = words.windows(length).position(|window| {
        let found = window.join(" ");
        found.trim_end_matches(',') == phrase || found == capitalised(phrase)
    })?;
    let found = words[at..at + length].join(" ");
    Some((found.trim_end_matches(',').to_owned(), at))
}

fn people(dice: &mut Dice) -> Option<Scene> {
    let relation = dice.choose(PEOPLE);
    let ((x, one), (y, other)) = (dice.pick(&lexicon().names), dice.pick(&lexicon().names));
    let pronoun = match (one, other) {
        (Gender::Woman, Gender::Woman) => "she",
        (Gender::Man, Gender::Man) => "he",
        _ => return None,
    };
    let object = thing(dice.pick(relation.things), dice)?;
    let told = dice.pick(relation.told);
    let told = told.replace("{x}", x).replace("{y}", y).replace("{o}", object);
    let sides = [x, y].map(str::to_owned);
    (x != y).then_some(Scene {
        relation,
        sides,
        told,
        pronoun,
    })
}

fn things(dice: &mut Dice) -> Option<Scene> {
    let relation = dice.choose(THINGS);
    let (x, y) = (thing(relation.things[0], dice)?, thing(relation.things[1], dice)?);
    let (name, _) = dice.pick(&lexicon().names);
    let told = dice.pick(relation.told);
    let told = capitalised(&told.replace("{x}", x).replace("{y}", y).replace("{p}", name));
    let sides = [x, y].map(|noun| format!("the {noun}"));
    (x != y).then_some(Scene {
        relation,
        sides,
        told,
        pronoun: "it",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_begin_with_their_gap() {
        for relation in PEOPLE.iter().chain(THINGS) {
            for (first, second) in relation.sides {
                for side in [first, second] {
                    assert!(side.starts_with("_ ") || side.starts_with("the _ "), "{side}");
                }
            }
        }
    }

    #[test]
    fn a_phrase_is_found_as_whole_words() {
        assert_eq!(place("Anna beat Annabel", "Annabel"), Some(("Annabel".to_owned(), 2)));
        assert_eq!(place("The pan of Eva", "the pan"), Some(("The pan".to_owned(), 0)));
        assert_eq!(place("Eva took the panda", "the pan"), None);
    }
}
