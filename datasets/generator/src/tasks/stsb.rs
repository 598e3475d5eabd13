//! STS-B: similarity from 0 to 5. A second sentence is made from the first by counted edits; every edit costs what it
//! takes from the meaning, synonyms and order cost nothing or little. The score is what is left, as the mean of five
//! raters who each err a little.

use super::Row;
use crate::dice::Dice;
use crate::edits::{Change, add_detail, apply, drop_detail, other_style, use_synonyms};
use crate::grammar::{Detail, Event, Np, Sampler, sentence};
use crate::lexicon::Topic;

/// A pair whose score lies in the wanted fifth of the scale.
pub fn row(dice: &mut Dice, topics: &'static [Topic], band: usize) -> Option<Row> {
    let topic = dice.choose(topics);
    let detail = Detail {
        manner: 11,
        place: 27,
        time: 22,
        reason: 4,
        adjective: 30,
        phrase: 3,
    };
    let sampler = Sampler { topic, detail };
    let event = sampler.event(dice);
    let style = Sampler::style(&event, dice);
    let (mut other, mut score) = match band {
        0 => unrelated(&event, &sampler, topics, dice)?,
        1 => loosely_related(&event, &sampler, dice)?,
        _ => edited(&event, &sampler, band, dice)?,
    };
    let changed = use_synonyms(&mut other, 40, dice);
    score -= 0.08 * changed as f64;
    let other_style = if dice.chance(60) {
        other_style(&other, &style, dice)
    } else {
        style
    };
    if other_style != style {
        score -= 0.05;
    }
    let score = rated(score, dice);
    if band != (score.min(4.99)) as usize {
        return None;
    }
    let (texts, label) = (
        vec![sentence(&event, &style), sentence(&other, &other_style)],
        format!("{score:.3}"),
    );
    let source = topic.name;
    Some(Row { texts, label, source })
}

/// What a change takes from the similarity.
fn cost(change: Change) -> f64 {
    match change {
        Change::Roles => 1.6,
        Change::Number => 1.0,
        Change::Negation => 2.1,
        Change::Object => 1.5,
        Change::Agent => 1.2,
        Change::Opposite => 2.2,
        Change::Verb => 1.8,
        Change::Antonym => 1.1,
        Change::Time => 0.9,
        Change::Place => 1.0,
        Change::Manner => 1.1,
        Change::Tense => 0.8,
    }
}

/// A few counted edits, as many as the band asks for.
fn edited(event: &Event, sampler: &Sampler, band: usize, dice: &mut Dice) -> Option<(Event, f64)> {
    // The middle of the band, at which further edits are no longer wanted.
    let goal = band as f64 + 0.6;
    let (mut new, mut score) = (event.clone(), 5.0);
    let mut used: Vec<Change> = Vec::new();
    for _ in 0..8 {
        if score <= goal + 0.3 {
            break;
        }
        let (next, price) = match dice.below(10) {
            0 | 1 => (drop_detail(&new, dice), 0.6),
            2 | 3 => (add_detail(&new, sampler, dice), 0.6),
            4 => (with_general_object(&new), 0.7),
            5 => (with_general_verb(&new), 0.6),
            _ => {
                let change = dice.pick(&Change::ALL);
                if used.contains(&change) {
                    continue;
                }
                used.push(change);
                (apply(change, &new, sampler, dice), cost(change))
            }
        };
        if let Some(next) = next {
            new = next;
            score -= price;
        }
    }
    Some((new, score))
}

fn with_general_object(event: &Event) -> Option<Event> {
    let mut new = event.clone();
    new.object = Some(event.object.as_ref().and_then(Np::generalised)?);
    Some(new)
}

fn with_general_verb(event: &Event) -> Option<Event> {
    let mut new = event.clone();
    new.verb = event.frame.general.filter(|_| event.verb == event.frame.verb)?;
    Some(new)
}

/// Another event of the topic that shares a participant or a circumstance.
fn loosely_related(event: &Event, sampler: &Sampler, dice: &mut Dice) -> Option<(Event, f64)> {
    let mut other = sampler.event(dice);
    if other.verb == event.verb {
        return None;
    }
    let mut score = 0.9;
    let same_subjects = other.frame.subjects == event.frame.subjects;
    if same_subjects && dice.chance(60) {
        other.agent = event.agent.clone();
        score += 0.5;
    }
    if event.place.is_some() && dice.chance(50) {
        other.place = event.place;
        score += 0.3;
    }
    if other.tense == event.tense && event.time.is_some() && dice.chance(50) {
        other.time = event.time;
        score += 0.2;
    }
    Some((other, score))
}

/// An event of another topic, or one of the same topic that shares nothing.
fn unrelated(event: &Event, sampler: &Sampler, topics: &'static [Topic], dice: &mut Dice) -> Option<(Event, f64)> {
    let topic = dice.choose(topics);
    let same = topic.name == sampler.topic.name;
    let other = Sampler { topic, ..*sampler }.event(dice);
    let shares = other.verb == event.verb || other.agent.head == event.agent.head;
    (!shares).then_some((other, if same { 0.7 } else { 0.1 }))
}

/// The mean of five raters, each off by up to one step of 0.5 and bound to the scale.
fn rated(score: f64, dice: &mut Dice) -> f64 {
    let rating = |dice: &mut Dice| {
        let error = [-0.5, 0.0, 0.0, 0.5][dice.below(4)];
        (score + error).clamp(0.0, 5.0)
    };
    let mean = (0..5).map(|_| rating(dice)).sum::<f64>() / 5.0;
    // Official scores are multiples of 0.05 and finer; one fifth of a point is what five whole ratings give.
    (mean * 5.0).round() / 5.0
}
