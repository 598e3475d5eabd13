//! MultiRC: a passage, questions about it and several answers to each, every one right or wrong by itself. Right answers
//! to one question say the same in different words or, where it is asked what somebody did, are spread over the
//! passage, which may speak of them as *she* or *he*. Most wrong answers are parts of other events of the passage.

use std::collections::HashSet;

use serde::Serialize;

use super::{Keyed, draw};
use crate::dice::Dice;
use crate::edits::{Change, apply, is_person, sibling};
use crate::grammar::{Det, Detail, Event, Np, Role, Sampler, Style, clause, join};
use crate::lexicon::{Tense, Topic, lexicon};
use crate::table4::ask::{is_clear, phrase, plain_question, without_preposition, words};
use crate::table4::length::text_fits;
use crate::table4::repeats;
use crate::table4::story::{DETAIL, Plan, Told, could_be_meant, overlap, story};
use crate::tasks::Exhausted;
use crate::tasks::qnli::Part;

/// The folder of the task in the archive.
pub(super) const FOLDER: &str = "MultiRC";

const PLAN: Plan = Plan {
    sentences: (4, 1),
    synonyms: 15,
    pronouns: 60,
    past: true,
    detail: Detail { reason: 14, ..DETAIL },
};

/// A line of the file.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    passage: Passage,
    idx: usize,
}

#[derive(Debug, Serialize)]
struct Passage {
    text: String,
    questions: Vec<Question>,
}

#[derive(Debug, Serialize)]
struct Question {
    question: String,
    answers: Vec<Answer>,
    idx: usize,
}

#[derive(Debug, Serialize)]
struct Answer {
    text: String,
    idx: usize,
    label: u8,
}

impl Keyed for Passage {
    fn keys(&self) -> Vec<String> {
        vec![self.text.to_lowercase()]
    }
}

/// Passages with `count` answers in all.
///
/// # Errors
/// [`Exhausted`] where there are not so many.
pub(super) fn rows(count: usize, dice: &mut Dice, seen: &mut HashSet<String>) -> Result<Vec<Line>, Exhausted> {
    let (mut lines, mut questions, mut answers) = (Vec::new(), 0, 0);
    while answers < count {
        let mut passage = draw(FOLDER, (answers, count), dice, seen, passage)?;
        for question in &mut passage.questions {
            question.answers.truncate(count - answers);
            for answer in &mut question.answers {
                answer.idx = answers;
                answers += 1;
            }
            question.idx = questions;
            questions += usize::from(!question.answers.is_empty());
        }
        passage.questions.retain(|question| !question.answers.is_empty());
        let idx = lines.len();
        lines.push(Line { passage, idx });
    }
    Ok(lines)
}

/// Questions about a passage.
const QUESTIONS: usize = 2;

fn passage(dice: &mut Dice) -> Option<Passage> {
    let topic = dice.choose(&lexicon().topics);
    let told = story(topic, &PLAN, dice)?;
    let sentences: Vec<&str> = told.iter().map(|told| told.text.as_str()).collect();
    let text = sentences.join(" ");
    if repeats(&text) {
        return None;
    }
    let mut order: Vec<usize> = (0..told.len()).collect();
    dice.shuffle(&mut order);
    let mut questions: Vec<Question> = Vec::new();
    for at in order {
        if questions.len() == QUESTIONS {
            break;
        }
        let asked = if questions.is_empty() && dice.chance(60) {
            deeds(at, &told, topic, dice)
        } else {
            part(at, &told, topic, dice)
        };
        let asked = asked.and_then(|asked| asked.with_answers(&text, dice));
        questions.extend(asked.filter(|asked| questions.iter().all(|other| other.question != asked.question)));
    }
    (questions.len() == QUESTIONS).then_some(Passage { text, questions })
}

/// A question with all that could be offered as an answer.
struct Asked {
    question: String,
    right: Vec<String>,
    /// Of the passage.
    wrong: Vec<String>,
    /// Not of the passage.
    foreign: Vec<String>,
}

impl Asked {
    /// Chooses some answers of both kinds; nothing where there are not enough or the source would be too long.
    fn with_answers(self, passage: &str, dice: &mut Dice) -> Option<Question> {
        let Self {
            question,
            right,
            wrong,
            foreign,
        } = self;
        let asked = question.to_lowercase();
        let mut offered: Vec<String> = Vec::new();
        let mut chosen = |from: Vec<String>, dice: &mut Dice, wanted: usize| {
            let mut from = from;
            dice.shuffle(&mut from);
            let before = offered.len();
            for text in from {
                let known = offered.iter().any(|other| other.eq_ignore_ascii_case(&text));
                let fits = text_fits(&format!("{passage} {question} {text}"));
                if offered.len() < before + wanted && fits && !known && !asked.contains(&text.to_lowercase()) {
                    offered.push(text);
                }
            }
            offered.len() - before
        };
        let wanted = 1 + dice.weighted(&[25, 50, 25]);
        let right = chosen(right, dice, wanted);
        if right == 0 {
            return None;
        }
        let wanted = right + dice.weighted(&[65, 35]);
        // Most of what is wrong stands in the passage, as what is right does.
        let strangers = usize::from(dice.chance(25));
        let from_passage = chosen(wrong, dice, wanted - strangers);
        let wrong = from_passage + chosen(foreign, dice, wanted - from_passage);
        if wrong == 0 {
            return None;
        }
        let labelled = offered.into_iter().enumerate();
        let label = |at: usize| u8::from(at < right);
        let mut answers: Vec<Answer> = labelled
            .map(|(at, text)| Answer {
                text,
                idx: 0,
                label: label(at),
            })
            .collect();
        dice.shuffle(&mut answers);
        let idx = 0;
        Some(Question { question, answers, idx })
    }
}

const PARTS: [Part; 9] = [
    Part::Agent,
    Part::Agent,
    Part::Object,
    Part::Object,
    Part::Recipient,
    Part::Place,
    Part::Time,
    Part::Reason,
    Part::Reason,
];

/// A question for a part of an event.
fn part(at: usize, told: &[Told], topic: &'static Topic, dice: &mut Dice) -> Option<Asked> {
    let part = dice.pick(&PARTS);
    if !is_clear(part, at, told) {
        return None;
    }
    let Told { event, said, .. } = &told[at];
    let question = plain_question(part, event, dice)?;
    let others = || told.iter().enumerate().filter(|(other, _)| *other != at);
    let Some(np) = noun_phrase(part, event) else {
        let right: Vec<String> = [forms_of(part, said), forms_of(part, event)].concat();
        let not_right = |text: &String| !right.contains(text);
        let wrong = others().flat_map(|(_, other)| forms_of(part, &other.said));
        let wrong: Vec<String> = wrong.filter(not_right).collect();
        let foreign: Vec<String> = match part {
            Part::Place => topic.places.iter().map(ToString::to_string).collect(),
            Part::Reason => topic.reasons.iter().map(ToString::to_string).collect(),
            _ => lexicon()
                .times(Tense::Past)
                .iter()
                .map(|time| time.words[0].to_owned())
                .collect(),
        };
        let foreign = foreign
            .into_iter()
            .filter(|text| not_right(text) && !wrong.contains(text));
        let foreign = foreign.collect();
        return Some(Asked {
            question,
            right,
            wrong,
            foreign,
        });
    };
    let said = noun_phrase(part, said)?;
    let right = [names_of(said, &question, true), names_of(np, &question, true)].concat();
    let group = np.as_noun().map(|noun| noun.group);
    let mut wrong = Vec::new();
    for (_, other) in others() {
        for part in [Part::Agent, Part::Object, Part::Recipient] {
            let other = noun_phrase(part, &other.said);
            // A thing is no answer to who.
            if let Some(other) = other.filter(|other| !overlap(other, np) && is_person(other) == is_person(np)) {
                let apart = other.as_noun().map(|noun| noun.group) != group;
                wrong.extend(names_of(other, &question, apart));
            }
        }
    }
    let foreign = (0..3)
        .filter_map(|_| sibling(np, dice))
        .filter(|other| !overlap(other, np));
    let foreign: Vec<Np> = foreign.collect();
    let foreign = foreign.iter().flat_map(|other| names_of(other, &question, false));
    let foreign = foreign.filter(|text| !wrong.contains(text)).collect();
    Some(Asked {
        question,
        right,
        wrong,
        foreign,
    })
}

fn noun_phrase(part: Part, event: &Event) -> Option<&Np> {
    match part {
        Part::Agent => Some(&event.agent),
        Part::Object => event.object.as_ref(),
        Part::Recipient => event.recipient.as_ref().map(|(_, person)| person),
        _ => None,
    }
}

/// Ways to name somebody or something in an answer; `wider`: also by the word for the group, if it is a thing.
fn names_of(np: &Np, question: &str, wider: bool) -> Vec<String> {
    let mut names = vec![words(np)];
    if !np.adjectives.is_empty() {
        let mut bare = np.clone();
        bare.adjectives.clear();
        names.push(words(&bare));
    }
    if wider && !is_person(np) {
        names.extend(np.generalised().as_ref().map(words));
    }
    if question.starts_with("Who ") && !question.starts_with("Who did ") {
        names.push(format!("{} did", names[0]));
    } else if !np.agrees_plural() {
        names.push(format!("It was {}", names[0]));
    }
    names
}

/// A place, time or reason in its words, also without the preposition.
fn forms_of(part: Part, event: &Event) -> Vec<String> {
    let mut forms: Vec<String> = phrase(part, event).into_iter().collect();
    if let Some((time, _)) = event.time.filter(|_| part == Part::Time) {
        forms.extend(time.words.iter().map(ToString::to_string));
    }
    if part != Part::Reason {
        let bare = forms.iter().filter_map(|form| without_preposition(form));
        let bare: Vec<String> = bare.map(str::to_owned).collect();
        forms.extend(bare);
    }
    forms
}

/// *What did she do?* Right is what the passage tells of her, wrong what others did, what she is said not to have done,
/// and her own deeds with a part changed.
fn deeds(at: usize, told: &[Told], topic: &'static Topic, dice: &mut Dice) -> Option<Asked> {
    let who = &told[at].event.agent;
    if who.also.is_some() || who.as_noun().is_some() && !matches!(who.det, Det::The) {
        return None;
    }
    let (theirs, others): (Vec<&Told>, Vec<&Told>) = told.iter().partition(|told| told.event.agent == *who);
    // Two cooks, or Anna alone and Anna with Peter: not clear who is asked about.
    if others.iter().any(|other| overlap(&other.event.agent, who)) {
        return None;
    }
    let question = format!("What did {} do?", words(who));
    let did = |event: &Event| {
        theirs
            .iter()
            .any(|told| could_be_meant(event, &told.event, true, false))
    };
    let on_themselves = |event: &Event| {
        let acted_on = [event.object.as_ref(), event.recipient.as_ref().map(|(_, np)| np)];
        acted_on.into_iter().flatten().any(|np| overlap(np, who))
    };
    let (mut right, mut wrong, mut foreign) = (Vec::new(), Vec::new(), Vec::new());
    for told in &theirs {
        if !told.event.negated {
            right.push(deed(&told.event, who, dice));
            right.push(deed(&told.said, who, dice));
        }
    }
    let not_theirs = others.iter().chain(theirs.iter().filter(|told| told.event.negated));
    for told in not_theirs {
        if !did(&told.event) && !on_themselves(&told.event) {
            wrong.push(deed(&told.event, who, dice));
            wrong.push(deed(&told.said, who, dice));
        }
    }
    let sampler = Sampler {
        topic,
        detail: PLAN.detail,
    };
    for told in &theirs {
        for change in [Change::Object, Change::Verb, Change::Opposite] {
            let changed = apply(change, &told.event, &sampler, dice);
            if let Some(changed) = changed.filter(|changed| !did(changed) && !on_themselves(changed)) {
                foreign.push(deed(&changed, who, dice));
            }
        }
    }
    // What somebody else did as well is no stranger to the passage.
    foreign.retain(|text| !wrong.contains(text) && !right.contains(text));
    Some(Asked {
        question,
        right,
        wrong,
        foreign,
    })
}

/// `sliced the onions in the kitchen`, sometimes as a whole sentence.
fn deed(event: &Event, who: &Np, dice: &mut Dice) -> String {
    let mut event = event.clone();
    (event.negated, event.agent) = (false, who.clone());
    event.place = event.place.filter(|_| dice.chance(40));
    event.time = event.time.filter(|_| dice.chance(40));
    event.reason = event.reason.filter(|_| dice.chance(40));
    let tokens = clause(&event, &Style::PLAIN);
    if dice.chance(30) {
        return join(&tokens, "");
    }
    let predicate: Vec<_> = tokens.into_iter().filter(|token| token.role != Role::Subject).collect();
    let text = join(&predicate, "");
    // A verb comes first: `join` begins with a capital, which it does not want.
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_has_right_and_wrong_answers_that_differ() {
        let mut dice = Dice::new(3, "multirc");
        let rows = rows(600, &mut dice, &mut HashSet::new()).unwrap_or_else(|error| panic!("{error}"));
        let (last, whole) = rows.split_last().expect("there are rows");
        assert!(!last.passage.questions.is_empty());
        for question in whole.iter().flat_map(|line| &line.passage.questions) {
            let texts: HashSet<String> = question
                .answers
                .iter()
                .map(|answer| answer.text.to_lowercase())
                .collect();
            assert_eq!(texts.len(), question.answers.len(), "{question:?}");
            let labels: HashSet<u8> = question.answers.iter().map(|answer| answer.label).collect();
            assert_eq!(labels.len(), 2, "{question:?}");
        }
    }
}
