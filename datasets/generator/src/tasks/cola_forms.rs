//! CoLA's constructions: each makes a good or a bad sentence of the same words, so that only the structure tells them
//! apart. The phenomena are those of textbooks on syntax: binding, case, control, questions, relative clauses,
//! comparison, expletives, negative polarity, raising, datives, causatives, particles, quantifiers, subordination.

use super::{cola_clauses as clauses, cola_words as words};
use crate::dice::Dice;
use crate::grammar::text::{capitalised, plain};
use crate::grammar::{Detail, Event, Sampler, Token, join};
use crate::lexicon::{Gender, Noun, Tense, Topic, lexicon};

/// What a construction is built from.
pub(super) struct Kit<'a> {
    pub dice: &'a mut Dice,
    topic: &'static Topic,
}

/// A sentence of a random construction.
pub(super) fn sentence(dice: &mut Dice, topic: &'static Topic, good: bool) -> Option<String> {
    const FORMS: &[fn(&mut Kit<'_>, bool) -> Option<String>] = &[
        clauses::reflexive,
        clauses::reflexive,
        clauses::pronoun_case,
        clauses::control,
        clauses::control,
        clauses::question,
        clauses::question,
        clauses::relative,
        clauses::relative,
        words::comparison,
        words::there,
        words::polarity,
        words::raising,
        words::dative,
        words::causative,
        words::particle,
        words::quantifier,
        words::subordination,
        words::correlative,
        words::manner,
    ];
    let form = dice.pick(FORMS);
    form(&mut Kit { dice, topic }, good).map(|text| capitalised(&text))
}

impl Kit<'_> {
    /// One of a list of words.
    pub fn one(&mut self, list: &'static str) -> &'static str {
        self.dice.word(list)
    }

    /// A first name.
    pub fn name(&mut self) -> (&'static str, Gender) {
        self.dice.pick(&lexicon().names)
    }

    /// A person of the topic.
    pub fn person(&mut self) -> &'static Noun {
        let group = &lexicon().groups[self.dice.pick(&self.topic.people)];
        self.dice.choose(&group.members)
    }

    /// A countable thing that the topic has to do with.
    pub fn thing(&mut self) -> &'static Noun {
        loop {
            let frame = self.dice.choose(&self.topic.frames);
            let Some(&group) = frame.objects.first() else { continue };
            let noun = self.dice.choose(&lexicon().groups[group].members);
            if !noun.mass && !lexicon().groups[group].people {
                return noun;
            }
        }
    }

    /// A place of the topic.
    pub fn place(&mut self) -> &'static str {
        self.dice.pick(&self.topic.places)
    }

    /// An event of the topic.
    pub fn event(&mut self, detail: Detail) -> Event {
        Sampler {
            topic: self.topic,
            detail,
        }
        .event(self.dice)
    }

    /// A past event with an object, plainly said.
    pub fn transitive(&mut self) -> Event {
        loop {
            let mut event = self.event(Detail {
                adjective: 15,
                ..Detail::NONE
            });
            event.tense = Tense::Past;
            if event.object.is_some() && event.recipient.is_none() {
                return event;
            }
        }
    }
}

/// Words without the capital of a sentence's start.
pub(super) fn join_lower(tokens: &[Token]) -> String {
    let mut words = vec![plain("_")];
    words.extend(tokens.iter().cloned());
    join(&words, "")[2..].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every construction makes both forms, and the two are told apart by structure: no bad sentence is also a good
    /// one.
    #[test]
    fn good_and_bad_forms_are_disjoint() {
        let mut dice = Dice::new(3, "forms");
        let mut draw = |good| {
            (0..4000)
                .filter_map(|_| {
                    let topic = dice.choose(&lexicon().topics);
                    sentence(&mut dice, topic, good)
                })
                .collect::<std::collections::HashSet<_>>()
        };
        let (good, bad) = (draw(true), draw(false));
        assert!(good.len() > 3000 && bad.len() > 3000);
        assert_eq!(good.intersection(&bad).next(), None);
    }
}
