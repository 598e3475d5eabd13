//! Random noun phrases, events and styles.

use super::event::{Event, Front, Style};
use super::np::{Det, Np};
use crate::dice::Dice;
use crate::lexicon::{Frame, Group, Noun, PERSON_PHRASES, THING_PHRASES, Tense, Topic, lexicon};

/// How likely each circumstance is, in percent.
#[derive(Debug, Clone, Copy)]
pub struct Detail {
    /// Adverb of manner.
    pub manner: usize,
    /// Place.
    pub place: usize,
    /// Time.
    pub time: usize,
    /// Reason.
    pub reason: usize,
    /// An adjective at a noun.
    pub adjective: usize,
    /// A narrowing phrase at the subject.
    pub phrase: usize,
}

impl Detail {
    /// A sentence of about ten words.
    pub const SOME: Self = Self {
        manner: 18,
        place: 45,
        time: 45,
        reason: 18,
        adjective: 35,
        phrase: 8,
    };
    /// Subject, verb, object.
    pub const NONE: Self = Self {
        manner: 0,
        place: 0,
        time: 0,
        reason: 0,
        adjective: 0,
        phrase: 0,
    };
}

/// Draws from one topic.
#[derive(Debug, Clone, Copy)]
pub struct Sampler {
    /// The topic.
    pub topic: &'static Topic,
    /// How much is said.
    pub detail: Detail,
}

impl Sampler {
    /// An event of a random frame.
    pub fn event(&self, dice: &mut Dice) -> Event {
        let frame = self.frame(dice);
        self.event_of(frame, dice)
    }

    /// A frame of the topic; those with an object more often, for they are the greater part of what is said.
    pub fn frame(&self, dice: &mut Dice) -> &'static Frame {
        let mut frame = dice.choose(&self.topic.frames);
        if frame.objects.is_empty() && dice.chance(40) {
            frame = dice.choose(&self.topic.frames);
        }
        frame
    }

    /// An event of a frame.
    pub fn event_of(&self, frame: &'static Frame, dice: &mut Dice) -> Event {
        let agent = self.agent(frame, dice);
        let object = (!frame.objects.is_empty()).then(|| self.object(frame, &agent, dice));
        let recipient = match &frame.recipient {
            Some((preposition, groups)) if dice.chance(60) => {
                Some((*preposition, self.other_person(groups, &agent, dice)))
            }
            _ => None,
        };
        let tense = self.tense(frame, dice);
        Event {
            frame,
            verb: frame.verb,
            outer: None,
            agent,
            object,
            recipient,
            manner: (frame.manner && dice.chance(self.detail.manner)).then(|| (dice.pick(&lexicon().manners), 0)),
            place: dice.chance(self.detail.place).then(|| dice.pick(&self.topic.places)),
            time: dice
                .chance(self.detail.time)
                .then(|| (dice.pick(lexicon().times(tense)), 0)),
            reason: (frame.manner && dice.chance(self.detail.reason)).then(|| dice.pick(&self.topic.reasons)),
            tense,
            negated: false,
        }
    }

    /// A tense that goes with the verb.
    pub fn tense(&self, frame: &Frame, dice: &mut Dice) -> Tense {
        let progressive = if frame.manner { 9 } else { 0 };
        Tense::ALL[dice.weighted(&[56, 12, 12, 11, progressive])]
    }

    /// Who acts.
    pub fn agent(&self, frame: &Frame, dice: &mut Dice) -> Np {
        let mut agent = self.person(&frame.subjects, dice);
        if dice.chance(self.detail.phrase) && agent.as_noun().is_some() && agent.det == Det::The {
            let (one, many) = dice.pick(PERSON_PHRASES);
            agent.phrase = Some(if dice.chance(50) { one } else { many });
        }
        agent
    }

    /// A person or some people of the groups.
    pub fn person(&self, groups: &[usize], dice: &mut Dice) -> Np {
        if dice.chance(30) {
            let (name, gender) = dice.pick(&lexicon().names);
            let mut np = Np::name(name, gender);
            if dice.chance(10) {
                let (other, _) = dice.pick(&lexicon().names);
                np.also = (other != name).then_some(("and", other));
            }
            return np;
        }
        let group = &lexicon().groups[dice.pick(groups)];
        let noun = dice.choose(&group.members);
        let (det, plural) = match dice.weighted(&[48, 18, 16, 8, 5, 5]) {
            0 => (Det::The, false),
            1 => (Det::The, true),
            2 => (Det::A, false),
            3 => (Det::Number(2 + dice.below(5)), true),
            4 => (Det::Some, true),
            _ => (Det::Several, true),
        };
        self.described(Np::noun(det, noun, plural), group, dice)
    }

    /// Someone else than the agent.
    pub fn other_person(&self, groups: &[usize], agent: &Np, dice: &mut Dice) -> Np {
        loop {
            let person = self.person(groups, dice);
            let same = person.head == agent.head || person.as_noun().is_some() && person.as_noun() == agent.as_noun();
            if !same && person.also.is_none() {
                return person;
            }
        }
    }

    /// What is acted on.
    pub fn object(&self, frame: &Frame, agent: &Np, dice: &mut Dice) -> Np {
        let group = &lexicon().groups[dice.pick(&frame.objects)];
        if group.people {
            return self.other_person(&frame.objects, agent, dice);
        }
        let noun = dice.choose(&group.members);
        let mut np = self.described(Self::thing(noun, dice), group, dice);
        if dice.chance(self.detail.phrase / 2) && matches!(np.det, Det::The) && !noun.mass {
            let (one, many) = dice.pick(THING_PHRASES);
            if PHRASED.contains(&group.name) {
                np.phrase = Some(if dice.chance(50) { one } else { many });
            }
        }
        np
    }

    /// A thing with a determiner that its number allows.
    pub fn thing(noun: &'static Noun, dice: &mut Dice) -> Np {
        if noun.mass {
            return Np::noun(if dice.chance(65) { Det::The } else { Det::Some }, noun, false);
        }
        let (name, _) = dice.pick(&lexicon().names);
        let (det, plural) = match dice.weighted(&[32, 16, 24, 13, 7, 4, 4]) {
            0 => (Det::The, false),
            1 => (Det::The, true),
            2 => (Det::A, false),
            3 => (Det::Number(2 + dice.below(8)), true),
            4 => (Det::Some, true),
            5 => (Det::Several, true),
            _ => (Det::Of(name), dice.chance(30)),
        };
        Np::noun(det, noun, plural)
    }

    /// Perhaps with an adjective or, rarely, two.
    pub fn described(&self, mut np: Np, group: &'static Group, dice: &mut Dice) -> Np {
        if !group.adjectives.is_empty() && dice.chance(self.detail.adjective) {
            let adjective = dice.pick(&group.adjectives);
            np.adjectives.push((adjective, 0));
        }
        np
    }

    /// A way to say an event: in plain order, or with a circumstance first or in the passive.
    pub fn style(event: &Event, dice: &mut Dice) -> Style {
        Style {
            passive: dice.chance(22) && passive_sounds_well(event),
            front: match dice.weighted(&[55, 25, 12, 8]) {
                0 => Front::Nothing,
                1 => Front::Time,
                2 => Front::Place,
                _ => Front::Reason,
            },
            shifted: dice.chance(45),
            contracted: dice.chance(45),
            early_manner: dice.chance(50),
            agentless: false,
        }
    }
}

/// Groups that stand in a room, so that `in the corner` can narrow them.
const PHRASED: &[&str] = &[
    "cookware",
    "furniture",
    "device",
    "book",
    "toy",
    "luggage",
    "parcel",
    "artwork",
    "exhibit",
    "instrument",
    "tool",
];

/// Passives of a few verbs are stiff, and a progressive or perfect one with a future in it does not exist.
pub fn passive_sounds_well(event: &Event) -> bool {
    const STIFF: &[&str] = &[
        "enter",
        "miss",
        "lose",
        "forget",
        "wear",
        "try on",
        "leave behind",
        "wait for",
        "listen to",
        "go to",
        "get on",
        "work",
        "take part in",
        "get",
    ];
    event.has_passive() && !STIFF.contains(&event.verb)
}
