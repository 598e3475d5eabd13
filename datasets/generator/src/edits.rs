//! Changes to an event, sorted by what they do to its meaning. The labels of the pair tasks follow from them.

use crate::dice::Dice;
use crate::grammar::sample::passive_sounds_well;
use crate::grammar::{Det, Event, Front, Head, Np, Sampler, Style};
use crate::lexicon::{Adjective, Tense, lexicon};

/// Says words another way where the lexicon has one, each with a chance in percent. Returns how many were changed.
pub fn use_synonyms(event: &mut Event, percent: usize, dice: &mut Dice) -> usize {
    let mut changed = 0;
    let recipient = event.recipient.as_mut().map(|(_, np)| np);
    for np in [Some(&mut event.agent), event.object.as_mut(), recipient]
        .into_iter()
        .flatten()
    {
        if let Head::Noun(noun, form) = &mut np.head {
            changed += other_form(form, noun.forms.len(), percent, dice);
        }
        for (adjective, form) in &mut np.adjectives {
            changed += other_form(form, adjective.words.len(), percent, dice);
        }
    }
    if let Some((manner, form)) = &mut event.manner {
        changed += other_form(form, manner.words.len(), percent, dice);
    }
    if let Some((time, form)) = &mut event.time {
        changed += other_form(form, time.words.len(), percent, dice);
    }
    if let Some(synonym) = event.frame.synonym
        && dice.chance(percent)
    {
        if event.verb == event.frame.verb {
            event.verb = synonym;
            changed += 1;
        } else if event.verb == synonym {
            event.verb = event.frame.verb;
            changed += 1;
        }
    }
    changed
}

fn other_form(form: &mut usize, forms: usize, percent: usize, dice: &mut Dice) -> usize {
    if forms < 2 || !dice.chance(percent) {
        return 0;
    }
    *form = (*form + 1 + dice.below(forms - 1)) % forms;
    1
}

/// Another way to say the same event: a style that differs in at least one visible thing, if the event allows.
pub fn other_style(event: &Event, style: &Style, dice: &mut Dice) -> Style {
    let mut other = *style;
    let fronts: Vec<Front> = [Front::Nothing, Front::Time, Front::Place, Front::Reason]
        .into_iter()
        .filter(|&front| {
            let candidate = Style { front, ..*style };
            front == Front::Nothing || event.front(&candidate) == front
        })
        .collect();
    if passive_sounds_well(event) && dice.chance(45) {
        other.passive = !style.passive;
    }
    if dice.chance(60) {
        other.front = dice.pick(&fronts);
    }
    if dice.chance(60) {
        other.shifted = !style.shifted;
    }
    if dice.chance(50) {
        other.contracted = !style.contracted;
    }
    if dice.chance(50) {
        other.early_manner = !style.early_manner;
    }
    other
}

/// A change that makes it another event, though its sentence stays close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// Who acts and who is acted on change places.
    Roles,
    /// Another number.
    Number,
    /// Negation added or taken away.
    Negation,
    /// Another thing of the same group.
    Object,
    /// Another person.
    Agent,
    /// The verb that excludes it.
    Opposite,
    /// Another verb that takes the same object.
    Verb,
    /// An adjective's antonym.
    Antonym,
    /// Another time.
    Time,
    /// Another place.
    Place,
    /// The opposite manner.
    Manner,
    /// Another tense.
    Tense,
}

impl Change {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Roles,
        Self::Number,
        Self::Negation,
        Self::Object,
        Self::Agent,
        Self::Opposite,
        Self::Verb,
        Self::Antonym,
        Self::Time,
        Self::Place,
        Self::Manner,
        Self::Tense,
    ];
}

/// The event with a change, where it has what the change needs.
pub fn apply(change: Change, event: &Event, sampler: &Sampler, dice: &mut Dice) -> Option<Event> {
    let mut new = event.clone();
    match change {
        Change::Roles => {
            let other = match (&mut new.object, &mut new.recipient) {
                (Some(object), None) if is_person(object) => object,
                (_, Some((_, recipient))) => recipient,
                _ => return None,
            };
            // Only definite people: `a nurse thanked a doctor` says the same of anyone.
            if other.quantified() || event.agent.quantified() || event.agent.also.is_some() {
                return None;
            }
            std::mem::swap(other, &mut new.agent);
        }
        Change::Number => {
            let np = number_phrase(&mut new)?;
            let Det::Number(old) = np.det else { return None };
            np.det = Det::Number(loop {
                let number = 2 + dice.below(9);
                if number != old {
                    break number;
                }
            });
        }
        Change::Negation => {
            if event.agent.quantified() || event.object.as_ref().is_some_and(Np::quantified) {
                return None;
            }
            new.negated = !new.negated;
        }
        Change::Object => {
            let object = new.object.as_mut()?;
            *object = sibling(object, dice)?;
        }
        Change::Agent => {
            new.agent = match &event.agent.head {
                Head::Name(..) => loop {
                    let (name, gender) = dice.pick(&lexicon().names);
                    let other = Np::name(name, gender);
                    if other.head != event.agent.head {
                        break other;
                    }
                },
                Head::Noun(..) => sibling(&event.agent, dice)?,
                Head::Someone => return None,
            };
        }
        Change::Opposite => new.verb = opposite(event)?,
        Change::Verb => {
            let kept = event.object.as_ref().and_then(Np::as_noun).map(|noun| noun.group);
            let fits = |frame: &&crate::lexicon::Frame| {
                let mine = frame.objects.is_empty() == event.frame.objects.is_empty();
                let takes = kept.is_none_or(|group| frame.objects.contains(&group));
                let same_people = frame.subjects == event.frame.subjects;
                mine && takes && same_people && frame.recipient.is_none() && !frame.is_close_to(event.frame)
            };
            let frames: Vec<_> = sampler.topic.frames.iter().filter(fits).collect();
            if frames.is_empty() || event.recipient.is_some() || event.verb != event.frame.verb {
                return None;
            }
            new.frame = dice.pick(&frames);
            new.verb = new.frame.verb;
            if !new.frame.manner {
                new.manner = None;
                if new.tense == Tense::Progressive {
                    return None;
                }
            }
        }
        Change::Antonym => {
            let recipient = new.recipient.as_mut().map(|(_, np)| np);
            let mut phrases = [new.object.as_mut(), Some(&mut new.agent), recipient];
            let np = phrases.iter_mut().flatten().find(|np| !np.adjectives.is_empty())?;
            np.adjectives[0] = antonym(np, dice)?;
        }
        Change::Time => {
            let (old, _) = event.time?;
            new.time = Some((another(lexicon().times(event.tense), &old, dice)?, 0));
        }
        Change::Place => new.place = Some(another(&sampler.topic.places, &event.place?, dice)?),
        Change::Manner => {
            let (old, _) = event.manner?;
            let opposite = lexicon()
                .manners
                .iter()
                .find(|manner| old.opposites.contains(&manner.words[0]));
            new.manner = Some((opposite?, 0));
        }
        Change::Tense => {
            if event.time.is_some() {
                return None;
            }
            new.tense = match event.tense {
                Tense::Past | Tense::Perfect => Tense::Future,
                Tense::Future | Tense::Habit | Tense::Progressive => Tense::Past,
            };
        }
    }
    Some(new)
}

/// The verb that excludes the event's own. With a recipient there is none: the frames differ.
pub fn opposite(event: &Event) -> Option<&'static str> {
    let own = event.verb == event.frame.verb || Some(event.verb) == event.frame.synonym;
    event
        .frame
        .opposite
        .filter(|_| own && event.recipient.is_none() && event.outer.is_none())
}

/// A noun phrase that counts: the object, or who acts.
pub fn number_phrase(event: &mut Event) -> Option<&mut Np> {
    let phrases = [event.object.as_mut(), Some(&mut event.agent)];
    phrases
        .into_iter()
        .flatten()
        .find(|np| matches!(np.det, Det::Number(_)))
}

/// Whether a phrase is about people.
pub fn is_person(np: &Np) -> bool {
    np.as_noun().is_none_or(|noun| lexicon().group(noun).people)
}

/// The same phrase about another member of the group.
pub fn sibling(np: &Np, dice: &mut Dice) -> Option<Np> {
    let Head::Noun(noun, _) = &np.head else {
        let (name, gender) = dice.pick(&lexicon().names);
        let other = Np::name(name, gender);
        return (other.head != np.head).then_some(other);
    };
    let others: Vec<_> = lexicon()
        .group(noun)
        .members
        .iter()
        .filter(|other| other.forms != noun.forms && other.mass == noun.mass)
        .collect();
    if others.is_empty() {
        return None;
    }
    let mut new = np.clone();
    new.head = Head::Noun(dice.pick(&others), 0);
    Some(new)
}

/// An antonym of the phrase's first adjective, as the phrase's group has it.
pub fn antonym(np: &Np, dice: &mut Dice) -> Option<(&'static Adjective, usize)> {
    let (adjective, _) = np.adjectives.first()?;
    let noun = np.as_noun()?;
    let fits = |other: &&&'static Adjective| adjective.opposites.contains(&other.words[0]);
    let others: Vec<_> = lexicon().group(noun).adjectives.iter().filter(fits).collect();
    (!others.is_empty()).then(|| (*dice.pick(&others), 0))
}

/// Another of several.
pub fn another<T: Copy + PartialEq>(all: &[T], old: &T, dice: &mut Dice) -> Option<T> {
    let others: Vec<T> = all.iter().copied().filter(|one| one != old).collect();
    (!others.is_empty()).then(|| dice.pick(&others))
}

/// Takes away one circumstance or adjective at random. Nothing where there is none.
pub fn drop_detail(event: &Event, dice: &mut Dice) -> Option<Event> {
    let mut options: Vec<fn(&mut Event)> = Vec::new();
    let object_described = event.object.as_ref().is_some_and(|np| !np.adjectives.is_empty());
    for (present, drop) in [
        (event.manner.is_some(), (|event| event.manner = None) as fn(&mut Event)),
        (event.place.is_some(), |event| event.place = None),
        (event.time.is_some(), |event| event.time = None),
        (event.reason.is_some(), |event| event.reason = None),
        (!event.agent.adjectives.is_empty(), |event| {
            event.agent.adjectives.clear()
        }),
        (event.agent.phrase.is_some(), |event| event.agent.phrase = None),
        (object_described, |event| {
            if let Some(object) = &mut event.object {
                object.adjectives.clear();
            }
        }),
    ] {
        if present {
            options.push(drop);
        }
    }
    if options.is_empty() {
        return None;
    }
    let mut new = event.clone();
    dice.pick(&options)(&mut new);
    Some(new)
}

/// Adds one circumstance or adjective that the event lacks.
pub fn add_detail(event: &Event, sampler: &Sampler, dice: &mut Dice) -> Option<Event> {
    let mut new = event.clone();
    for _ in 0..6 {
        match dice.below(5) {
            0 if event.manner.is_none() && event.frame.manner && event.outer.is_none() => {
                new.manner = Some((dice.pick(&lexicon().manners), 0));
            }
            1 if event.place.is_none() => new.place = Some(dice.pick(&sampler.topic.places)),
            2 if event.time.is_none() => new.time = Some((dice.pick(lexicon().times(event.tense)), 0)),
            3 if event.reason.is_none() && event.frame.manner && !event.negated => {
                new.reason = Some(dice.pick(&sampler.topic.reasons))
            }
            4 => {
                let Some(object) = new.object.as_mut().filter(|np| np.adjectives.is_empty()) else {
                    continue;
                };
                let Some(noun) = object
                    .as_noun()
                    .filter(|noun| !lexicon().group(noun).adjectives.is_empty())
                else {
                    continue;
                };
                object
                    .adjectives
                    .push((dice.pick(&lexicon().group(noun).adjectives), 0));
            }
            _ => continue,
        }
        return Some(new);
    }
    None
}
