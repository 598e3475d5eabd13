//! QQP: questions that ask the same, or nearly the same. A question is an intent (how to, where, why, how long, what it
//! costs, …) with its arguments; each intent has several wordings. Duplicates are two wordings of one intent with
//! synonyms; the others differ in an argument, in the intent, or in the direction of a comparison.

use super::Row;
use crate::dice::Dice;
use crate::edits::is_person;
use crate::grammar::text::{capitalised, plain};
use crate::grammar::{Detail, Event, Sampler, Style, join};
use crate::lexicon::questions::{CIRCUMSTANCES, COMPARISONS, INTENTS, Intent, MISHAPS, UNASKED};
use crate::lexicon::{Frame, Noun, Tense, Topic, lexicon};
use crate::morphology::{article, gerund};

/// Two questions; label 1 is a duplicate.
pub fn row(dice: &mut Dice, topics: &'static [Topic], label: usize) -> Option<Row> {
    let topic = dice.choose(topics);
    let (first, second) = if dice.chance(72) {
        let intent = Asked::sample(topic, dice)?;
        let other = if label == 1 {
            intent.clone()
        } else {
            intent.near_miss(topic, dice)?
        };
        let (a, first) = intent.wording(None, dice);
        let second = match (label, dice.chance(25)) {
            // A near-miss in the same wording; a duplicate never, for it would be the same sentence.
            (0, true) => other.wording(Some(a), dice).1,
            _ => other.synonymous(dice).wording(None, dice).1,
        };
        (first, second)
    } else {
        fact(topic, label == 1, dice)?
    };
    let (texts, label) = (vec![capitalised(&first), capitalised(&second)], label.to_string());
    let source = topic.name;
    Some(Row { texts, label, source })
}

/// A question with its arguments.
#[derive(Debug, Clone)]
struct Asked {
    intent: &'static Intent,
    verb: &'static str,
    frame: &'static Frame,
    object: (&'static Noun, usize),
    /// The second thing of a comparison.
    other: Option<(&'static Noun, usize)>,
    /// The name of a circumstance.
    circumstance: Option<&'static str>,
    plural: bool,
}

/// Whether a verb stands in a list.
fn listed(verb: &str, list: &'static str) -> bool {
    list.split(", ").any(|one| one == verb)
}

/// A frame about things that anyone might do, or that happens to anyone.
fn asked_about(topic: &'static Topic, mishap: bool, dice: &mut Dice) -> Option<&'static Frame> {
    let frame = dice.choose(&topic.frames);
    let things = frame.objects.iter().all(|&group| !lexicon().groups[group].people);
    let lawful = frame
        .subjects
        .iter()
        .all(|&group| lexicon().groups[group].name != "villains");
    let fits = if mishap {
        listed(frame.verb, MISHAPS)
    } else {
        frame.manner && !listed(frame.verb, MISHAPS) && !listed(frame.verb, UNASKED)
    };
    (!frame.objects.is_empty() && things && lawful && fits).then_some(frame)
}

impl Asked {
    fn sample(topic: &'static Topic, dice: &mut Dice) -> Option<Self> {
        let compares = dice.chance(22);
        let intent = dice.choose(if compares { COMPARISONS } else { INTENTS });
        let frame = asked_about(topic, intent.mishap, dice)?;
        let group = &lexicon().groups[dice.pick(&frame.objects)];
        let object = (dice.choose(&group.members), 0);
        let other = compares.then(|| (dice.choose(&group.members), 0));
        if other.is_some_and(|(other, _)| other.forms == object.0.forms) {
            return None;
        }
        let (verb, plural) = (frame.verb, !compares && dice.chance(45));
        let circumstance = (!compares && dice.chance(60)).then(|| dice.word(intent.circumstances));
        Some(Self {
            intent,
            verb,
            frame,
            object,
            other,
            circumstance,
            plural,
        })
    }

    /// Another question that shares most words.
    fn near_miss(&self, topic: &'static Topic, dice: &mut Dice) -> Option<Self> {
        let mut new = self.clone();
        let member = |dice: &mut Dice| -> Option<(&'static Noun, usize)> {
            let group = lexicon().group(self.object.0);
            let noun = dice.choose(&group.members);
            let known = [Some(self.object.0), self.other.map(|(noun, _)| noun)];
            (!known.contains(&Some(noun))).then_some((noun, 0))
        };
        if let Some(other) = self.other {
            match dice.below(4) {
                0 if !self.intent.symmetric => (new.object, new.other) = (other, Some(self.object)),
                1 => new.object = member(dice)?,
                2 => new.other = Some(member(dice)?),
                _ => {
                    new.intent = dice.choose(COMPARISONS);
                    if std::ptr::eq(new.intent, self.intent) {
                        return None;
                    }
                }
            }
            return Some(new);
        }
        match dice.weighted(&[30, 22, 20, 20, 8]) {
            0 => new.object = member(dice)?,
            1 => {
                let frame = asked_about(topic, self.intent.mishap, dice)?;
                let same = self.frame.is_close_to(frame);
                if same || !frame.objects.contains(&self.object.0.group) {
                    return None;
                }
                (new.frame, new.verb) = (frame, frame.verb);
            }
            2 => {
                new.intent = dice.choose(INTENTS);
                let unfit = new
                    .circumstance
                    .is_some_and(|name| !listed(name, new.intent.circumstances));
                if std::ptr::eq(new.intent, self.intent) || new.intent.mishap != self.intent.mishap || unfit {
                    return None;
                }
            }
            3 => {
                new.circumstance = dice.chance(70).then(|| dice.word(self.intent.circumstances));
                if new.circumstance == self.circumstance {
                    return None;
                }
            }
            _ => return Self::sample(topic, dice),
        }
        Some(new)
    }

    /// The same with other words for its parts.
    fn synonymous(&self, dice: &mut Dice) -> Self {
        let mut new = self.clone();
        if let Some(synonym) = new.frame.synonym
            && dice.chance(45)
        {
            new.verb = synonym;
        }
        new.object.1 = dice.below(new.object.0.forms.len());
        if let Some((noun, form)) = &mut new.other {
            *form = dice.below(noun.forms.len());
        }
        new
    }

    /// The question in the given wording or in a random one, with the wording's number. The circumstance is said in any
    /// of its ways.
    fn wording(&self, given: Option<usize>, dice: &mut Dice) -> (usize, String) {
        let wordings = self.intent.wordings;
        let number = given
            .filter(|&one| one < wordings.len())
            .unwrap_or_else(|| dice.below(wordings.len()));
        let thing = |(noun, form): (&'static Noun, usize)| {
            let text = noun.text(form, self.plural);
            if noun.mass || self.plural {
                text.to_string()
            } else {
                format!("{} {text}", article(text))
            }
        };
        let ways = CIRCUMSTANCES.iter().find(|(name, _)| self.circumstance == Some(*name));
        let circumstance = ways
            .map(|(_, ways)| format!(" {}", dice.word(ways)))
            .unwrap_or_default();
        let text = wordings[number]
            .replace("{v}", self.verb)
            .replace("{g}", &gerund(self.verb))
            .replace("{x}", &thing(self.object))
            .replace("{y}", &self.other.map(thing).unwrap_or_default())
            .replace("{c}", &circumstance);
        (number, text)
    }
}

/// Questions about something that happened: who, where, when.
fn fact(topic: &'static Topic, duplicate: bool, dice: &mut Dice) -> Option<(String, String)> {
    let detail = Detail {
        place: 45,
        time: 45,
        adjective: 40,
        ..Detail::NONE
    };
    let sampler = Sampler { topic, detail };
    let mut event = sampler.event(dice);
    event.object.as_ref()?;
    if event.agent.quantified() || matches!(event.tense, Tense::Future) {
        return None;
    }
    event.recipient = None;
    let kind = dice.below(4);
    match kind {
        1 => event.place = None,
        2 => event.time = None,
        3 => event.reason = None,
        _ => {}
    }
    let mut other = event.clone();
    let mut other_kind = kind;
    if !duplicate {
        if dice.chance(25) {
            other_kind = dice.below(4);
            if other_kind == kind {
                return None;
            }
        } else {
            let change = dice.pick(&crate::edits::Change::ALL);
            other = crate::edits::apply(change, &event, &sampler, dice)?;
            if other.negated || kind == 0 && other.agent != event.agent {
                return None;
            }
        }
    }
    crate::edits::use_synonyms(&mut other, 60, dice);
    let passive = dice.chance(50) && crate::grammar::sample::passive_sounds_well(&event);
    let turned = if dice.chance(70) && crate::grammar::sample::passive_sounds_well(&event) {
        !passive
    } else {
        passive
    };
    Some((ask(kind, &event, passive)?, ask(other_kind, &other, turned)?))
}

/// One question: 0 who, 1 where, 2 when, 3 why.
fn ask(kind: usize, event: &Event, passive: bool) -> Option<String> {
    let mut event = event.clone();
    let style = Style {
        passive,
        ..Style::PLAIN
    };
    match kind {
        0 => {
            if event.object.as_ref().is_some_and(is_person) && passive {
                return None;
            }
            return Some(super::qnli::who(&event, passive));
        }
        1 => event.place = None,
        2 => event.time = None,
        _ => event.reason = None,
    }
    let (auxiliary, subject, rest) = crate::grammar::inverted(&event, &style);
    let mut tokens = vec![plain(["who", "where", "when", "why"][kind]), auxiliary];
    tokens.extend(subject);
    tokens.extend(rest);
    Some(join(&tokens, "?"))
}
