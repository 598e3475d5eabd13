//! WinoGrande: sentences with a gap that one of two people or things fills. They come as twins, which differ in what is
//! said of the gap and so in what fills it. Neither the order of the two in the sentence nor that of the options tells.

use std::collections::HashSet;

use super::relations::{PEOPLE, Relation, THINGS};
use crate::dice::Dice;
use crate::grammar::text::capitalised;
use crate::lexicon::lexicon;
use crate::tasks::{ATTEMPTS, Exhausted};

/// A sentence with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Has one `_`.
    pub sentence: String,
    /// Both stand in the sentence.
    pub options: [String; 2],
    /// `1` or `2`
    pub answer: &'static str,
}

/// The folder of the task.
pub(crate) const FOLDER: &str = "WinoGrande";

/// Rows of a split, twins beside each other; `seen` holds sentences that must not come again.
///
/// # Errors
/// [`Exhausted`] where there are not so many.
pub(crate) fn rows(count: usize, dice: &mut Dice, seen: &mut HashSet<String>) -> Result<Vec<Gap>, Exhausted> {
    let mut rows = Vec::with_capacity(count + 1);
    while rows.len() < count {
        let twins = (0..ATTEMPTS).find_map(|_| {
            let twins = twins(dice)?;
            let new = twins.iter().all(|row| !seen.contains(&row.sentence));
            new.then_some(twins)
        });
        let (task, expected, found) = (FOLDER, count, rows.len());
        let twins = twins.ok_or(Exhausted { task, expected, found })?;
        seen.extend(twins.iter().map(|row| row.sentence.clone()));
        rows.extend(twins);
    }
    rows.truncate(count);
    Ok(rows)
}

/// Two sentences with the same beginning and the same options, and with different answers.
fn twins(dice: &mut Dice) -> Option<[Gap; 2]> {
    let (relation, [x, y], told) = if dice.chance(65) { people(dice)? } else { things(dice)? };
    let (first, second) = dice.pick(relation.sides);
    let swapped = dice.chance(50);
    let options = if swapped { [y, x] } else { [x, y] };
    let gap = |clause: &str, is_first: bool| Gap {
        sentence: match relation.joined {
            "so" => format!("{told}, so {clause}."),
            joined => format!("{told} {joined} {clause}."),
        },
        options: options.clone(),
        answer: if is_first == swapped { "2" } else { "1" },
    };
    let mut twins = [gap(first, true), gap(second, false)];
    if dice.chance(50) {
        twins.swap(0, 1);
    }
    Some(twins)
}

type Drawn = (&'static Relation, [String; 2], String);

fn people(dice: &mut Dice) -> Option<Drawn> {
    let relation = dice.choose(PEOPLE);
    let (x, y) = (dice.pick(&lexicon().names).0, dice.pick(&lexicon().names).0);
    let object = thing(dice.pick(relation.things), dice)?;
    let told = dice.pick(relation.told);
    let told = told.replace("{x}", x).replace("{y}", y).replace("{o}", object);
    (x != y).then(|| (relation, [x, y].map(str::to_string), told))
}

fn things(dice: &mut Dice) -> Option<Drawn> {
    let relation = dice.choose(THINGS);
    let (x, y) = (thing(relation.things[0], dice)?, thing(relation.things[1], dice)?);
    let (name, _) = dice.pick(&lexicon().names);
    let told = dice.pick(relation.told);
    let told = told.replace("{x}", x).replace("{y}", y).replace("{p}", name);
    (x != y).then(|| (relation, [x, y].map(str::to_string), capitalised(&told)))
}

/// A countable noun of a group.
pub(crate) fn thing(group: &str, dice: &mut Dice) -> Option<&'static str> {
    let group = lexicon().groups.iter().find(|known| known.name == group)?;
    let noun = dice.choose(&group.members);
    let form = dice.below(noun.forms.len());
    Some(noun.text(form, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_about_groups_that_exist() {
        for relation in PEOPLE.iter().chain(THINGS) {
            for group in relation.things {
                assert!(lexicon().groups.iter().any(|known| known.name == *group), "{group}");
            }
            for (first, second) in relation.sides {
                for side in [first, second] {
                    assert_eq!(side.matches('_').count(), 1, "{side}");
                }
            }
        }
    }

    #[test]
    fn twins_differ_in_their_answers() {
        let mut dice = Dice::new(3, "twins");
        let rows = rows(200, &mut dice, &mut HashSet::new()).unwrap_or_else(|error| panic!("{error}"));
        for twins in rows.chunks(2) {
            assert_ne!(twins[0].answer, twins[1].answer);
            assert_eq!(twins[0].options, twins[1].options);
            for row in twins {
                for option in &row.options {
                    assert!(row.sentence.contains(option.as_str()), "{row:?}");
                }
            }
        }
    }
}
