//! Stories: several events of one topic, told in a row. Some differ from an earlier one in a single part (another
//! person, thing or verb, elsewhere and at another time), so that a question about one of them is answered by nothing
//! but reading which of them it is about.

use crate::dice::Dice;
use crate::edits::{Change, another, apply, use_synonyms};
use crate::grammar::{Det, Detail, Event, Head, Np, Sampler, Style, clause, join};
use crate::lexicon::{Gender, Tense, Topic, lexicon};

/// What a story is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Fewest sentences, and how many more there may be.
    pub sentences: (usize, usize),
    /// Words that are said another way than in questions, in percent.
    pub synonyms: usize,
    /// Sentences that take up the person of the one before as `she` or `he`, in percent.
    pub pronouns: usize,
    /// Whether everything lies in the past.
    pub past: bool,
    /// What is said of each event.
    pub detail: Detail,
}

/// An event and its sentence.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// As questions speak of it.
    pub event: Event,
    /// The same in the sentence's words.
    pub said: Event,
    /// The sentence.
    pub text: String,
}

/// What most stories say of each event.
pub(crate) const DETAIL: Detail = Detail {
    manner: 6,
    place: 48,
    time: 48,
    reason: 8,
    adjective: 22,
    phrase: 0,
};

/// A story, where the topic gives so many events that can be told apart.
pub(crate) fn story(topic: &'static Topic, plan: &Plan, dice: &mut Dice) -> Option<Vec<Told>> {
    let sampler = Sampler {
        topic,
        detail: plan.detail,
    };
    let count = plan.sentences.0 + dice.below(plan.sentences.1 + 1);
    let mut events: Vec<Event> = Vec::new();
    for _ in 0..8 * count {
        if events.len() == count {
            break;
        }
        let next = next_event(&events, &sampler, plan, dice);
        if let Some(event) = next.filter(|event| events.iter().all(|other| !same(event, other))) {
            events.push(event);
        }
    }
    if events.len() < count {
        return None;
    }
    dice.shuffle(&mut events);
    let mut told: Vec<Told> = Vec::new();
    for mut event in events {
        let pronoun = told.last().and_then(|before| taken_up(before, &event));
        let pronoun = pronoun.filter(|_| dice.chance(plan.pronouns));
        if let Some((name, _)) = &pronoun {
            event.agent = name.clone();
        }
        if told.iter().any(|other| same(&event, &other.event)) {
            return None;
        }
        told.push(tell(event, pronoun.map(|(_, pronoun)| pronoun), plan.synonyms, dice));
    }
    Some(told)
}

/// Says an event, perhaps with a pronoun for who acts.
pub(crate) fn tell(event: Event, pronoun: Option<Np>, synonyms: usize, dice: &mut Dice) -> Told {
    let mut said = event.clone();
    use_synonyms(&mut said, synonyms, dice);
    let mut style = Sampler::style(&said, dice);
    let mut spoken = said.clone();
    if let Some(pronoun) = pronoun {
        (spoken.agent, style.passive) = (pronoun, false);
    }
    let text = join(&clause(&spoken, &style), ".");
    Told { event, said, text }
}

/// A near miss of an earlier event, or a new one.
fn next_event(events: &[Event], sampler: &Sampler, plan: &Plan, dice: &mut Dice) -> Option<Event> {
    if !events.is_empty() && dice.chance(68) {
        return near_miss(dice.choose(events), sampler, dice);
    }
    let mut event = sampler.event(dice);
    if plan.past && event.tense != Tense::Past {
        let past = Tense::Past;
        event.time = event.time.map(|_| (dice.pick(lexicon().times(past)), 0));
        event.tense = past;
    }
    // Someone in particular, who can be spoken of again.
    event.agent.det = match event.agent.det {
        Det::A | Det::Some | Det::Several => Det::The,
        det => det,
    };
    // People of a story act more than once.
    if !events.is_empty()
        && dice.chance(35)
        && let before = dice.choose(events)
        && before.frame.subjects == event.frame.subjects
    {
        event.agent = before.agent.clone();
    }
    Some(event)
}

/// Another event that shares most of its words with this one, at another place and time.
pub(crate) fn near_miss(event: &Event, sampler: &Sampler, dice: &mut Dice) -> Option<Event> {
    let change = dice.pick(&[Change::Agent, Change::Object, Change::Verb, Change::Opposite]);
    let mut new = apply(change, event, sampler, dice)?;
    if change == Change::Agent
        && new.manner.is_none()
        && new.reason.is_none()
        && !new.agent.quantified()
        && !new.object.as_ref().is_some_and(Np::quantified)
        && dice.chance(20)
    {
        new.negated = !event.negated;
    }
    elsewhere(&mut new, sampler, dice);
    Some(new)
}

/// Gives an event another place, time and reason, where it has them.
pub(crate) fn elsewhere(event: &mut Event, sampler: &Sampler, dice: &mut Dice) {
    if let Some(place) = event.place {
        event.place = another(&sampler.topic.places, &place, dice);
    }
    if let Some(reason) = event.reason {
        event.reason = another(&sampler.topic.reasons, &reason, dice);
    }
    if let Some((time, _)) = event.time {
        event.time = another(lexicon().times(event.tense), &time, dice).map(|time| (time, 0));
    }
}

/// Who acted before as the one who acts now, by name and by pronoun, where both are clear.
fn taken_up(before: &Told, event: &Event) -> Option<(Np, Np)> {
    let Head::Name(_, gender) = before.event.agent.head else {
        return None;
    };
    let pronoun = match gender {
        Gender::Woman => "she",
        Gender::Man => "he",
        Gender::Open => return None,
    };
    let alone = |event: &Event| {
        let others = [event.object.as_ref(), event.recipient.as_ref().map(|(_, np)| np)];
        others.into_iter().flatten().all(|np| !crate::edits::is_person(np))
    };
    let clear = before.event.agent.also.is_none()
        && before.event.frame.subjects == event.frame.subjects
        && !event.negated
        && alone(&before.event)
        && alone(event);
    clear.then(|| (before.event.agent.clone(), Np::name(pronoun, gender)))
}

/// Whether two events say the same of the same people and things, apart from circumstances.
fn same(one: &Event, other: &Event) -> bool {
    close(one, other) && overlap(&one.agent, &other.agent) && objects_overlap(one, other)
}

/// Whether another event could be what a question means, when it asks for who acts or for what is acted on, or for
/// neither. Wrong only in calling too much alike.
pub(crate) fn could_be_meant(asked: &Event, other: &Event, agent_open: bool, object_open: bool) -> bool {
    !other.negated
        && close(asked, other)
        && (agent_open || overlap(&asked.agent, &other.agent))
        && (object_open || objects_overlap(asked, other))
}

fn objects_overlap(one: &Event, other: &Event) -> bool {
    match (&one.object, &other.object) {
        (Some(one), Some(other)) => overlap(one, other),
        (None, None) => true,
        _ => false,
    }
}

/// Whether two phrases may be about the same; adjectives, numbers and owners do not count.
pub(crate) fn overlap(one: &Np, other: &Np) -> bool {
    let names = |np: &Np| match np.head {
        Head::Name(name, _) => [Some(name), np.also.map(|(_, other)| other)],
        _ => [None, None],
    };
    match (one.as_noun(), other.as_noun()) {
        (Some(one), Some(other)) => one.forms == other.forms,
        (None, None) => {
            let mine = names(one);
            names(other).iter().flatten().any(|name| mine.contains(&Some(name)))
        }
        _ => false,
    }
}

/// Whether two verbs may be said of the same action.
fn close(one: &Event, other: &Event) -> bool {
    let verbs = |event: &Event| {
        let own = event.verb == event.frame.verb || Some(event.verb) == event.frame.synonym;
        let [verb, synonym, general] = [Some(event.frame.verb), event.frame.synonym, event.frame.general];
        if own {
            [verb, synonym, general]
        } else {
            [Some(event.verb), None, None]
        }
    };
    let mine = verbs(one);
    verbs(other).iter().flatten().any(|verb| mine.contains(&Some(verb)))
}

/// A sentence of a question's event without what is asked for.
pub(crate) fn said_in(event: &Event, style: &Style, opener: &str) -> String {
    let mut tokens = vec![crate::grammar::text::plain(opener)];
    tokens.extend(clause(event, &style.unfronted()));
    join(&tokens, "")
}
