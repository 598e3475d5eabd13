//! BoolQ: a passage and a yes-or-no question, in lower case without a question mark, as people type it. Each passage has
//! a question of either answer, so that the passage alone tells nothing; questions to be answered with no are put
//! together from parts of the passage that do not belong together there.

use std::collections::HashSet;

use serde::Serialize;

use super::{Keyed, draw};
use crate::dice::Dice;
use crate::edits::{is_person, opposite};
use crate::grammar::sample::passive_sounds_well;
use crate::grammar::text::capitalised;
use crate::grammar::{Event, Np, Style, inverted, join};
use crate::lexicon::lexicon;
use crate::table4::length::text_fits;
use crate::table4::repeats;
use crate::table4::story::{DETAIL, Plan, Told, could_be_meant, story};
use crate::tasks::Exhausted;

/// The folder of the task in the archive.
pub(super) const FOLDER: &str = "BoolQ";

const PLAN: Plan = Plan {
    sentences: (4, 1),
    synonyms: 20,
    pronouns: 30,
    past: false,
    detail: DETAIL,
};

/// A line of the file.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    question: String,
    passage: String,
    idx: usize,
    label: bool,
}

/// A passage with a question that it answers with yes and one that it answers with no.
struct Twins {
    passage: String,
    yes: String,
    no: String,
}

impl Keyed for Twins {
    fn keys(&self) -> Vec<String> {
        vec![self.passage.to_lowercase()]
    }
}

/// Questions of a file, those of a passage beside each other.
///
/// # Errors
/// [`Exhausted`] where there are not so many.
pub(super) fn rows(count: usize, dice: &mut Dice, seen: &mut HashSet<String>) -> Result<Vec<Line>, Exhausted> {
    let mut lines = Vec::with_capacity(count + 1);
    while lines.len() < count {
        let Twins { passage, yes, no } = draw(FOLDER, (lines.len(), count), dice, seen, twins)?;
        let mut pair = [(yes, true), (no, false)];
        if dice.chance(50) {
            pair.swap(0, 1);
        }
        for (question, label) in pair {
            let (passage, idx) = (passage.clone(), lines.len());
            lines.push(Line {
                question,
                passage,
                idx,
                label,
            });
        }
    }
    lines.truncate(count);
    Ok(lines)
}

fn twins(dice: &mut Dice) -> Option<Twins> {
    let topic = dice.choose(&lexicon().topics);
    let told = story(topic, &PLAN, dice)?;
    let sentences: Vec<&str> = told.iter().map(|told| told.text.as_str()).collect();
    // The archive's passages begin with the title of their article.
    let passage = format!("{} -- {}", capitalised(topic.name), sentences.join(" "));
    let (yes, no) = (affirmed(&told, dice)?, denied(&told, dice)?);
    let fits = |question: &str| text_fits(&format!("{passage} {question}"));
    let good = yes != no && fits(&yes) && fits(&no) && !repeats(&passage) && !repeats(&yes) && !repeats(&no);
    good.then_some(Twins { passage, yes, no })
}

/// A question about what is told.
fn affirmed(told: &[Told], dice: &mut Dice) -> Option<String> {
    let at = dice.below(told.len());
    let mut asked = told[at].event.clone();
    if asked.negated {
        return None;
    }
    forget_details(&mut asked, |_| false, dice);
    Some(question(asked, Some(at), told, dice))
}

/// What a question says otherwise than the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slip {
    Negation,
    Place,
    Time,
    Reason,
    Agent,
    Object,
    Opposite,
}

/// A question about what is not told: what is said not to have happened, or what takes a part from another event of the
/// story.
fn denied(told: &[Told], dice: &mut Dice) -> Option<String> {
    let at = dice.below(told.len());
    let event = &told[at].event;
    let slip = dice.pick(&[
        Slip::Negation,
        Slip::Negation,
        Slip::Place,
        Slip::Place,
        Slip::Time,
        Slip::Time,
        Slip::Reason,
        Slip::Agent,
        Slip::Agent,
        Slip::Object,
        Slip::Object,
        Slip::Opposite,
    ]);
    if event.negated != (slip == Slip::Negation) {
        return None;
    }
    let mut asked = event.clone();
    asked.negated = false;
    let donor = &told[(at + 1 + dice.below(told.len() - 1)) % told.len()].event;
    // Of the event itself nothing is asked but the wrong part.
    let mut origin = Some(at);
    match slip {
        Slip::Negation => origin = None,
        Slip::Place => asked.place = differing(event.place, donor.place)?,
        Slip::Time => {
            let ((own, _), other) = (event.time?, donor.time?);
            if own == other.0 || !exclusive(own.words[0], other.0.words[0]) {
                return None;
            }
            asked.time = Some(other);
        }
        Slip::Reason => asked.reason = differing(event.reason, donor.reason)?,
        Slip::Agent => {
            origin = None;
            if event.frame.subjects != donor.frame.subjects {
                return None;
            }
            asked.agent = donor.agent.clone();
        }
        Slip::Object => {
            origin = None;
            let object = donor.object.as_ref()?;
            if is_person(object) || !event.frame.objects.contains(&object.as_noun()?.group) {
                return None;
            }
            asked.object = Some(object.clone());
        }
        Slip::Opposite => {
            origin = None;
            asked.verb = opposite(&asked)?;
        }
    }
    let found = |other: &&Told| could_be_meant(&asked, &other.event, false, false);
    if origin.is_none() && told.iter().any(|other| found(&other)) || themselves(&asked) {
        return None;
    }
    let kept = |detail: Slip| detail == slip;
    forget_details(&mut asked, kept, dice);
    Some(question(asked, origin, told, dice))
}

/// The other event's part, where both have one and they differ.
fn differing<T: PartialEq>(own: Option<T>, other: Option<T>) -> Option<Option<T>> {
    let differs = own.is_some() && other.is_some() && own != other;
    differs.then_some(other)
}

/// Whether two phrases of time are of one kind, so that what happened at the one did not happen at the other: *at noon*
/// says nothing against *on Tuesday*.
fn exclusive(one: &str, other: &str) -> bool {
    const HOURS: &[&str] = &[
        "in the morning",
        "in the afternoon",
        "in the evening",
        "at noon",
        "before dawn",
        "shortly before midnight",
        "before breakfast",
        "after lunch",
    ];
    const MONTHS: &[&str] = &["in March", "in October", "in April", "in November"];
    let kind = |phrase: &str| {
        if HOURS.contains(&phrase) {
            Some("hour")
        } else if MONTHS.contains(&phrase) {
            Some("month")
        } else if phrase.starts_with("on ") && phrase.ends_with("day") {
            Some("weekday")
        } else if phrase.starts_with("in 1") || phrase.starts_with("in 2") {
            Some("year")
        } else if phrase.ends_with(" ago") || phrase.starts_with("last ") || phrase.starts_with("next ") {
            Some("distance")
        } else {
            None
        }
    };
    kind(one).is_some() && kind(one) == kind(other)
}

/// Whether somebody would act on themselves.
fn themselves(event: &Event) -> bool {
    let others = [event.object.as_ref(), event.recipient.as_ref().map(|(_, np)| np)];
    let same = |np: &Np| crate::table4::story::overlap(np, &event.agent);
    others.into_iter().flatten().any(same)
}

/// Leaves out circumstances, as who asks does not know or care; some have to stay.
fn forget_details(event: &mut Event, kept: impl Fn(Slip) -> bool, dice: &mut Dice) {
    event.place = event.place.filter(|_| kept(Slip::Place) || dice.chance(55));
    event.time = event.time.filter(|_| kept(Slip::Time) || dice.chance(55));
    event.reason = event.reason.filter(|_| kept(Slip::Reason) || dice.chance(40));
    event.manner = event.manner.filter(|_| dice.chance(40));
}

/// The question, perhaps with the word for a group where no other event of the story can be meant by it. `origin` is the
/// event that it is about, if the story has it.
fn question(mut asked: Event, origin: Option<usize>, told: &[Told], dice: &mut Dice) -> String {
    let wider = dice.chance(25);
    let mut others = told.iter().enumerate().filter(|(at, _)| Some(*at) != origin);
    let alone = !others.any(|(_, other)| could_be_meant(&asked, &other.event, false, true));
    if wider
        && alone
        && let Some(object) = &asked.object
        && !is_person(object)
        && let Some(general) = object.generalised()
    {
        asked.object = Some(general);
    }
    let style = Style {
        passive: dice.chance(15) && passive_sounds_well(&asked),
        ..Style::PLAIN
    };
    let (auxiliary, subject, rest) = inverted(&asked, &style);
    let tokens: Vec<_> = std::iter::once(auxiliary).chain(subject).chain(rest).collect();
    join(&tokens, "").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_one_kind_exclude_each_other() {
        for (one, other, expected) in [
            ("on Monday", "on Tuesday", true),
            ("at noon", "in the evening", true),
            ("in 1998", "in 2014", true),
            ("on Tuesday", "at noon", false),
            ("today", "this week", false),
            ("on the first day of the year", "in March", false),
        ] {
            assert_eq!(exclusive(one, other), expected, "{one}, {other}");
        }
    }

    #[test]
    fn a_passage_has_both_answers() {
        let mut dice = Dice::new(3, "boolq");
        let rows = rows(200, &mut dice, &mut HashSet::new()).unwrap_or_else(|error| panic!("{error}"));
        for twins in rows.chunks(2) {
            assert_eq!(twins[0].passage, twins[1].passage);
            assert_ne!(twins[0].label, twins[1].label);
            assert_ne!(twins[0].question, twins[1].question);
        }
    }
}
