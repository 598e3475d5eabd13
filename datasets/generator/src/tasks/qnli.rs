//! QNLI: does the sentence answer the question? The question asks for one part of an event (who, what, where, when,
//! why, how, how many). Answers say the event in other words and with more about it; the other sentences share topic,
//! people and words, but leave the asked part out or speak of another event.

use super::Row;
use crate::dice::Dice;
use crate::edits::{Change, add_detail, apply, is_person, other_style, use_synonyms};
use crate::grammar::text::plain;
use crate::grammar::{Det, Detail, Event, Np, Sampler, Style, clause, inverted, join};
use crate::lexicon::{Gender, Tense, Topic};

/// A question and a sentence; label 0 is an answer.
pub fn row(dice: &mut Dice, topics: &'static [Topic], label: usize) -> Option<Row> {
    let topic = dice.choose(topics);
    let sampler = Sampler { topic, detail: DETAIL };
    let event = sampler.event(dice);
    if event.object.as_ref().is_some_and(Np::quantified) {
        return None;
    }
    let asked = dice.pick(&[
        Part::Agent,
        Part::Agent,
        Part::Object,
        Part::Object,
        Part::Place,
        Part::Time,
        Part::Reason,
        Part::Manner,
        Part::Number,
        Part::Recipient,
    ]);
    // Questions in the passive need not say who acted, and then the sentence need not either.
    let impersonal = matches!(asked, Part::Place | Part::Time | Part::Reason | Part::Manner)
        && dice.chance(30)
        && crate::grammar::sample::passive_sounds_well(&event);
    let question = asked.question(&event, impersonal, dice)?;
    let mut told = if label == 0 {
        event
    } else {
        elsewhere(asked, &event, &sampler, dice)?
    };
    for _ in 0..dice.weighted(&[55, 35, 10]) {
        told = with_more(asked, label == 0, &told, &sampler, dice);
    }
    use_synonyms(&mut told, 40, dice);
    let style = Sampler::style(&told, dice);
    let mut style = other_style(&told, &style, dice);
    if told.agent == Np::someone() || impersonal && dice.chance(60) {
        (style.passive, style.agentless) = (true, true);
    }
    let mut tokens = clause(&told, &style);
    if dice.chance(14) {
        let short = Sampler {
            detail: Detail {
                adjective: 30,
                place: 20,
                ..Detail::NONE
            },
            ..sampler
        };
        let mut other = short.event(dice);
        other.tense = if other.frame.manner { told.tense } else { Tense::Past };
        if told.tense != other.tense {
            return None;
        }
        tokens.push(plain(","));
        tokens.push(plain(dice.pick(&["and", "but", "while"])));
        tokens.extend(clause(&other, &Style::PLAIN));
    }
    let texts = vec![question, join(&tokens, ".")];
    let label = ["entailment", "not_entailment"][label].to_string();
    let source = topic.name;
    Some(Row { texts, label, source })
}

const DETAIL: Detail = Detail {
    manner: 21,
    place: 40,
    time: 40,
    reason: 20,
    adjective: 24,
    phrase: 3,
};

/// What a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Agent,
    Object,
    Place,
    Time,
    Reason,
    Manner,
    Number,
    Recipient,
}

impl Part {
    /// The question, if the event has the part. Some circumstances are left out of it.
    pub(crate) fn question(self, event: &Event, impersonal: bool, dice: &mut Dice) -> Option<String> {
        let mut event = event.clone();
        let missing = match self {
            Self::Agent => false,
            Self::Object => event.object.is_none(),
            Self::Place => event.place.is_none(),
            Self::Time => event.time.is_none(),
            Self::Reason => event.reason.is_none(),
            Self::Manner => event.manner.is_none(),
            Self::Number => !event.object.as_ref().is_some_and(|np| matches!(np.det, Det::Number(_))),
            Self::Recipient => event.recipient.is_none(),
        };
        if missing {
            return None;
        }
        let keep = |dice: &mut Dice| dice.chance(40);
        event.place = event.place.filter(|_| self != Self::Place && keep(dice));
        event.time = event.time.filter(|_| self != Self::Time && keep(dice));
        event.reason = event.reason.filter(|_| self != Self::Reason && dice.chance(15));
        event.manner = event.manner.filter(|_| self != Self::Manner && dice.chance(20));
        if let Some(object) = &mut event.object
            && dice.chance(50)
        {
            object.adjectives.clear();
        }
        let passive = impersonal || dice.chance(25) && crate::grammar::sample::passive_sounds_well(&event);
        let ask = |event: &Event, passive: bool, wh: &str| {
            let style = Style {
                passive,
                agentless: impersonal,
                ..Style::PLAIN
            };
            let (auxiliary, subject, rest) = inverted(event, &style);
            let mut tokens = vec![plain(wh), auxiliary];
            tokens.extend(subject);
            tokens.extend(rest);
            join(&tokens, "?")
        };
        Some(match self {
            Self::Agent => who(&event, passive && !event.object.as_ref().is_some_and(is_person)),
            Self::Place => ask(&event, passive, "where"),
            Self::Time if event.tense == Tense::Habit => ask(&event, passive, dice.pick(&["how often", "when"])),
            Self::Time => ask(&event, passive, "when"),
            Self::Reason => ask(&event, passive, dice.pick(&["why", "for what reason"])),
            Self::Manner => ask(&event, passive, dice.pick(&["how", "in what way"])),
            Self::Object => {
                let object = event.object.take()?;
                ask(&event, false, if is_person(&object) { "who" } else { "what" })
            }
            Self::Number => {
                let object = event.object.take()?;
                let noun = object.as_noun()?;
                ask(&event, false, &format!("how many {}", noun.text(0, true)))
            }
            Self::Recipient => {
                let (preposition, _) = event.recipient.take()?;
                let question = ask(&event, false, "who");
                format!("{} {preposition}?", question.trim_end_matches('?'))
            }
        })
    }
}

/// `who sliced the onions?`, `who were the onions sliced by?`
pub(super) fn who(event: &Event, passive: bool) -> String {
    let mut event = event.clone();
    event.agent = Np::name("who", Gender::Open);
    if passive {
        let (auxiliary, subject, rest) = inverted(
            &event,
            &Style {
                passive: true,
                agentless: true,
                ..Style::PLAIN
            },
        );
        let mut tokens = vec![plain("by whom"), auxiliary];
        tokens.extend(subject);
        tokens.extend(rest);
        return join(&tokens, "?");
    }
    let late = Style::PLAIN;
    join(&clause(&event, &late), "?")
}

/// A telling that does not answer: the part is left out, or it is about something else.
fn elsewhere(asked: Part, event: &Event, sampler: &Sampler, dice: &mut Dice) -> Option<Event> {
    let mut told = event.clone();
    // Another event of the same people, which has the asked part too.
    if dice.chance(62) {
        let changes = match asked {
            Part::Agent => &[Change::Object, Change::Verb, Change::Opposite][..],
            Part::Object | Part::Number => &[Change::Agent, Change::Verb, Change::Opposite],
            _ => &[Change::Agent, Change::Object, Change::Verb, Change::Opposite],
        };
        let change = dice.pick(changes);
        // How many pears is not how many plums.
        let change = if asked == Part::Number && dice.chance(50) {
            Change::Object
        } else {
            change
        };
        told = apply(change, &told, sampler, dice)?;
        return Some(told);
    }
    match asked {
        Part::Agent => {
            if !crate::grammar::sample::passive_sounds_well(event) {
                return None;
            }
            told.agent = Np::someone();
        }
        Part::Place => told.place = None,
        Part::Time => told.time = None,
        Part::Reason => told.reason = None,
        Part::Manner => told.manner = None,
        Part::Number => {
            let object = told.object.as_mut()?;
            object.det = dice.pick(&[Det::The, Det::Some, Det::Several]);
        }
        Part::Recipient => told.recipient = None,
        // A person's action without its object cannot be told: another one takes its place.
        Part::Object => {
            told = sampler.event(dice);
            if told.verb == event.verb {
                return None;
            }
            told.agent = event.agent.clone();
            (told.place, told.time, told.tense) = (event.place, event.time, event.tense);
        }
    }
    Some(told)
}

/// More circumstances, but not the asked one where it must stay out.
fn with_more(asked: Part, answers: bool, event: &Event, sampler: &Sampler, dice: &mut Dice) -> Event {
    let Some(more) = add_detail(event, sampler, dice) else {
        return event.clone();
    };
    let spoils = !answers
        && match asked {
            Part::Place => more.place != event.place,
            Part::Time => more.time != event.time,
            Part::Reason => more.reason != event.reason,
            Part::Manner => more.manner != event.manner,
            _ => false,
        };
    if spoils { event.clone() } else { more }
}
