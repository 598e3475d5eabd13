//! QQP: questions that ask the same, or nearly the same. A question is an intent (how to, where, why, how long, what it
//! costs, …) with its arguments; each intent has several wordings. Duplicates are two wordings of one intent with
//! synonyms; the others differ in an argument, in the intent, or in the direction of a comparison.

use super::Row;
use crate::dice::Dice;
use crate::edits::is_person;
use crate::grammar::text::{capitalised, plain};
use crate::grammar::{Detail, Event, Sampler, Style, join};
use crate::lexicon::{Frame, Noun, Tense, Topic, lexicon};
use crate::morphology::{article, gerund};

/// Two questions; label 1 is a duplicate.
pub fn row(dice: &mut Dice, topics: &'static [Topic], label: usize) -> Option<Row> {
    let topic = dice.choose(topics);
    let (first, second) = if dice.chance(72) {
        let intent = Intent::sample(topic, dice)?;
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

/// What is asked about doing something. `{v}` is the verb, `{g}` its `-ing` form, `{x}` the object, `{c}` the circumstance,
/// `{y}` another thing.
const INTENTS: &[&[&str]] = &[
    &[
        "How do I {v} {x}{c}?",
        "How can I {v} {x}{c}?",
        "What is the best way to {v} {x}{c}?",
        "What is the right way of {g} {x}{c}?",
        "Can anyone tell me how to {v} {x}{c}?",
        "How should one go about {g} {x}{c}?",
        "Which steps do I need to take to {v} {x}{c}?",
    ],
    &[
        "Where can I {v} {x}{c}?",
        "What is a good place to {v} {x}{c}?",
        "Does anyone know a place where I can {v} {x}{c}?",
        "Where should I go if I want to {v} {x}{c}?",
        "Which place is good for {g} {x}{c}?",
    ],
    &[
        "Why do people {v} {x}{c}?",
        "What is the reason for {g} {x}{c}?",
        "For what reason do people {v} {x}{c}?",
        "What makes people {v} {x}{c}?",
        "What is the point of {g} {x}{c}?",
    ],
    &[
        "How long does it take to {v} {x}{c}?",
        "How much time do I need to {v} {x}{c}?",
        "How much time does {g} {x}{c} take?",
        "What is the usual time needed to {v} {x}{c}?",
        "How many hours should I plan for {g} {x}{c}?",
    ],
    &[
        "How much does it cost to {v} {x}{c}?",
        "What is the price of {g} {x}{c}?",
        "How much money do I need to {v} {x}{c}?",
        "What would I have to pay to {v} {x}{c}?",
        "How expensive is {g} {x}{c}?",
    ],
    &[
        "Is it legal to {v} {x}{c}?",
        "Does the law allow me to {v} {x}{c}?",
        "Is {g} {x}{c} against the law?",
        "Am I allowed by law to {v} {x}{c}?",
        "Could I be fined for {g} {x}{c}?",
    ],
    &[
        "When is the best time to {v} {x}{c}?",
        "What is the best time for {g} {x}{c}?",
        "At what time should I {v} {x}{c}?",
        "When should one {v} {x}{c}?",
    ],
    &[
        "What do I need to {v} {x}{c}?",
        "Which things are needed to {v} {x}{c}?",
        "What equipment is required for {g} {x}{c}?",
        "What should I have at hand for {g} {x}{c}?",
    ],
    &[
        "How do I avoid {g} {x}{c}?",
        "How can I keep from {g} {x}{c}?",
        "What can I do so that I don't {v} {x}{c}?",
        "What is the best way not to {v} {x}{c}?",
    ],
    &[
        "Is it a good idea to {v} {x}{c}?",
        "Should I {v} {x}{c}?",
        "Would you advise me to {v} {x}{c}?",
        "Does it make sense to {v} {x}{c}?",
        "Would you recommend {g} {x}{c}?",
    ],
];

/// Comparisons of two things, in which order matters only where it says so.
const COMPARISONS: &[&[&str]] = &[
    &[
        "What is the difference between {x} and {y}?",
        "How does {x} differ from {y}?",
        "In what way are {x} and {y} different?",
        "What makes {x} different from {y}?",
    ],
    &[
        "Is {x} better than {y}?",
        "Should I prefer {x} to {y}?",
        "Is it better to have {x} than {y}?",
    ],
    &[
        "Is {x} more expensive than {y}?",
        "Does {x} cost more than {y}?",
        "Is {y} cheaper than {x}?",
        "Does {y} cost less than {x}?",
    ],
    &[
        "Can I use {x} instead of {y}?",
        "Is {x} a good replacement for {y}?",
        "Can {y} be replaced by {x}?",
        "Could {x} take the place of {y}?",
    ],
];

/// Circumstances with other ways to say them.
const CIRCUMSTANCES: &[&[&str]] = &[
    &[""],
    &[""],
    &[""],
    &["at home", "in my own home"],
    &["on my own", "by myself", "without any help"],
    &["as a beginner", "without any experience", "for the first time"],
    &["on a small budget", "with little money", "without spending much"],
    &["in winter", "in the cold season"],
    &["in summer", "in the warm season"],
    &["in a big city", "in a large town"],
    &["in the countryside", "in a rural area"],
    &["quickly", "in a short time", "fast"],
    &["at night", "after dark"],
    &["with small children", "when I have young kids"],
    &["without special tools", "with simple tools"],
    &["abroad", "in a foreign country"],
    &["online", "over the internet"],
    &["safely", "without any risk"],
    &["every day", "daily"],
    &["at work", "in the office"],
];

#[derive(Debug, Clone)]
struct Intent {
    wordings: &'static [&'static str],
    verb: &'static str,
    frame: &'static Frame,
    object: (&'static Noun, usize),
    /// The second thing of a comparison.
    other: Option<(&'static Noun, usize)>,
    circumstance: (&'static [&'static str], usize),
}

/// A frame about things that anyone might do.
fn asked_about(topic: &'static Topic, dice: &mut Dice) -> Option<&'static Frame> {
    let frame = dice.choose(&topic.frames);
    let things = frame.objects.iter().all(|&group| !lexicon().groups[group].people);
    let lawful = frame
        .subjects
        .iter()
        .all(|&group| lexicon().groups[group].name != "villains");
    (!frame.objects.is_empty() && things && lawful && frame.manner).then_some(frame)
}

impl Intent {
    fn sample(topic: &'static Topic, dice: &mut Dice) -> Option<Self> {
        let frame = asked_about(topic, dice)?;
        let group = &lexicon().groups[dice.pick(&frame.objects)];
        let object = (dice.choose(&group.members), 0);
        if dice.chance(22) {
            let other = dice.choose(&group.members);
            let (wordings, circumstance) = (dice.pick(COMPARISONS), (CIRCUMSTANCES[0], 0));
            let (other, verb) = (Some((other, 0)).filter(|_| other.forms != object.0.forms), frame.verb);
            other?;
            return Some(Self {
                wordings,
                verb,
                frame,
                object,
                other,
                circumstance,
            });
        }
        Some(Self {
            wordings: dice.pick(INTENTS),
            verb: frame.verb,
            frame,
            object,
            other: None,
            circumstance: (dice.pick(CIRCUMSTANCES), 0),
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
            let symmetric = std::ptr::eq(self.wordings, COMPARISONS[0]);
            match dice.below(4) {
                0 if !symmetric => (new.object, new.other) = (other, Some(self.object)),
                1 => new.object = member(dice)?,
                2 => new.other = Some(member(dice)?),
                _ => {
                    new.wordings = dice.pick(COMPARISONS);
                    if new.wordings == self.wordings {
                        return None;
                    }
                }
            }
            return Some(new);
        }
        match dice.weighted(&[30, 22, 18, 20, 10]) {
            0 => new.object = member(dice)?,
            1 => {
                let group = self.object.0.group;
                let frame = asked_about(topic, dice)?;
                let same = [Some(self.frame.verb), self.frame.synonym, self.frame.general].contains(&Some(frame.verb));
                if same || !frame.objects.contains(&group) {
                    return None;
                }
                (new.frame, new.verb) = (frame, frame.verb);
            }
            2 => {
                new.wordings = dice.pick(INTENTS);
                if new.wordings == self.wordings {
                    return None;
                }
            }
            3 => {
                new.circumstance = (dice.pick(CIRCUMSTANCES), 0);
                if new.circumstance.0 == self.circumstance.0 {
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
        new.circumstance.1 = dice.below(new.circumstance.0.len());
        new
    }

    /// The question in the given wording or in a random one, with the wording's number.
    fn wording(&self, given: Option<usize>, dice: &mut Dice) -> (usize, String) {
        let number = given
            .filter(|&one| one < self.wordings.len())
            .unwrap_or_else(|| dice.below(self.wordings.len()));
        let thing = |(noun, form): (&'static Noun, usize)| {
            let text = noun.text(form, false);
            if noun.mass {
                text.to_string()
            } else {
                format!("{} {text}", article(text))
            }
        };
        let circumstance = self.circumstance.0[self.circumstance.1];
        let circumstance = if circumstance.is_empty() {
            String::new()
        } else {
            format!(" {circumstance}")
        };
        let text = self.wordings[number]
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
