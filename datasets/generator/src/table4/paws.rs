//! PAWS: two sentences of nearly the same words. Paraphrases say it in another voice or order. The others had two of
//! their people, things, places or clauses exchanged first and are then rephrased in the same ways, so that neither
//! shared words nor their order tells.

use crate::dice::Dice;
use crate::edits::{Change, apply, is_person, other_style};
use crate::grammar::text::plain;
use crate::grammar::{Det, Detail, Event, Head, Np, Sampler, Style, Token, clause, join};
use crate::lexicon::{Tense, Topic};
use crate::tasks::Row;
use crate::tasks::mrpc::Link;

const DETAIL: Detail = Detail {
    manner: 6,
    place: 40,
    time: 30,
    reason: 0,
    adjective: 25,
    phrase: 0,
};

/// A pair; label 1 is a paraphrase.
pub(super) fn row(dice: &mut Dice, topics: &'static [Topic], label: usize) -> Option<Row> {
    let topic = dice.choose(topics);
    let sampler = Sampler { topic, detail: DETAIL };
    let first = if dice.chance(40) {
        Report::simple(&sampler, dice)?
    } else {
        Report::joined(&sampler, dice)?
    };
    // Drawn for both labels, so that both have events that allow it.
    let exchanged = first.exchanged(&sampler, dice)?;
    let second = if label == 1 { first.clone() } else { exchanged };
    let rephrasing = first.rephrasing(dice);
    if first.text(&rephrasing) == first.text(&first.manner) {
        return None;
    }
    let texts = vec![first.text(&first.manner), second.text(&rephrasing)];
    let (label, source) = (label.to_string(), topic.name);
    Some(Row { texts, label, source })
}

/// One or two events.
#[derive(Debug, Clone)]
struct Report {
    first: Event,
    second: Option<(Link, Event)>,
    manner: Manner,
}

/// How a report is said.
#[derive(Debug, Clone, Copy)]
struct Manner {
    first: Style,
    second: Style,
    /// The other order of what is joined.
    turned: bool,
}

impl Report {
    /// Someone does something to or for someone else.
    fn simple(sampler: &Sampler, dice: &mut Dice) -> Option<Self> {
        let event = sampler.event(dice);
        let definite = |np: &Np| matches!(np.det, Det::The) || matches!(np.head, Head::Name(..)) && np.also.is_none();
        let other = match (&event.object, &event.recipient) {
            (_, Some((_, person))) => person,
            (Some(object), None) => object,
            _ => return None,
        };
        if !definite(&event.agent) || !definite(other) || !is_person(other) {
            return None;
        }
        let manner = Manner {
            first: Sampler::style(&event, dice),
            second: Style::PLAIN,
            turned: false,
        };
        Some(Self {
            first: event,
            second: None,
            manner,
        })
    }

    /// Two events of different people.
    fn joined(sampler: &Sampler, dice: &mut Dice) -> Option<Self> {
        let (mut one, mut other) = (sampler.event(dice), sampler.event(dice));
        if one.frame.is_close_to(other.frame) || one.agent.head == other.agent.head {
            return None;
        }
        for event in [&mut one, &mut other] {
            (event.tense, event.time, event.manner) = (Tense::Past, None, None);
        }
        let manner = Manner {
            first: Sampler::style(&one, dice),
            second: Sampler::style(&other, dice),
            turned: dice.chance(50),
        };
        let link = dice.pick(&[Link::And, Link::And, Link::Before, Link::While]);
        Some(Self {
            first: one,
            second: Some((link, other)),
            manner,
        })
    }

    /// The same with two parts in each other's place.
    fn exchanged(&self, sampler: &Sampler, dice: &mut Dice) -> Option<Self> {
        let mut new = self.clone();
        let Some((link, other)) = &mut new.second else {
            new.first = apply(Change::Roles, &self.first, sampler, dice)?;
            return Some(new);
        };
        let one = &mut new.first;
        match dice.below(5) {
            0 | 1 if one.frame.subjects == other.frame.subjects => std::mem::swap(&mut one.agent, &mut other.agent),
            2 => {
                let group = |event: &Event| event.object.as_ref().and_then(Np::as_noun).map(|noun| noun.group);
                let (mine, theirs) = (group(one)?, group(other)?);
                if !one.frame.objects.contains(&theirs) || !other.frame.objects.contains(&mine) {
                    return None;
                }
                std::mem::swap(&mut one.object, &mut other.object);
            }
            3 if one.place.is_some() && other.place.is_some() && one.place != other.place => {
                std::mem::swap(&mut one.place, &mut other.place);
            }
            4 if *link == Link::Before => std::mem::swap(one, other),
            _ => return None,
        }
        Some(new)
    }

    fn rephrasing(&self, dice: &mut Dice) -> Manner {
        let second = self.second.as_ref().map(|(_, event)| event);
        Manner {
            first: other_style(&self.first, &self.manner.first, dice),
            second: second.map_or(Style::PLAIN, |event| other_style(event, &self.manner.second, dice)),
            turned: dice.chance(50),
        }
    }

    fn text(&self, manner: &Manner) -> String {
        let Some((link, other)) = &self.second else {
            return join(&clause(&self.first, &manner.first), ".");
        };
        // A phrase before the subject only where it opens the sentence.
        let opening = |event: &Event, style: &Style| clause(event, style);
        let within = |event: &Event, style: &Style| clause(event, &style.unfronted());
        let (one, styles) = (&self.first, (&manner.first, &manner.second));
        let between = |first: Vec<Token>, word: &str, second: Vec<Token>| {
            let middle = [plain(","), plain(word)];
            first.into_iter().chain(middle).chain(second).collect::<Vec<_>>()
        };
        let before = |word: &str, first: Vec<Token>, second: Vec<Token>| {
            let opened = std::iter::once(plain(word)).chain(first);
            opened.chain([plain(",")]).chain(second).collect::<Vec<_>>()
        };
        let tokens = match (link, manner.turned) {
            (Link::And, false) => between(opening(one, styles.0), "and", within(other, styles.1)),
            (Link::And, true) => between(opening(other, styles.1), "and", within(one, styles.0)),
            (Link::Before, false) => between(opening(one, styles.0), "before", within(other, styles.1)),
            (Link::Before, true) => before("after", within(one, styles.0), within(other, styles.1)),
            (Link::While, false) => between(opening(one, styles.0), "while", within(other, styles.1)),
            (Link::While, true) => before("while", within(other, styles.1), within(one, styles.0)),
        };
        join(&tokens, ".")
    }
}
