//! Premise and hypothesis for MNLI and RTE.
//!
//! The hypothesis comes first, from one distribution for all labels, so that it alone tells nothing. The premise is
//! then made to entail it, to contradict it, or to leave it open. Every device that is open to several labels
//! (extra circumstances, a second clause, embedding, governing verbs, synonyms, voice) is used with all of them.

use crate::dice::Dice;
use crate::edits::{is_person, other_style, use_synonyms};
use crate::grammar::text::plain;
use crate::grammar::{Det, Detail, Event, Head, Np, Sampler, Style, Token, clause, join, sentence};
use crate::lexicon::{Tense, Topic, lexicon};

/// What a premise says of a hypothesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Entailment,
    Neutral,
    Contradiction,
}

/// A premise and a hypothesis that stand in the relation; nothing if this draw did not work out.
pub(crate) fn pair(topic: &'static Topic, relation: Relation, dice: &mut Dice) -> Option<(String, String)> {
    let detail = Detail {
        manner: 11,
        place: 21,
        time: 20,
        reason: 5,
        adjective: 20,
        phrase: 0,
    };
    let sampler = Sampler { topic, detail };
    let mut maker = Maker { sampler, dice };
    if maker.dice.chance(22) {
        maker.quantified(relation)
    } else {
        maker.simple(relation)
    }
}

/// A whole sentence beside a premise, in the past.
pub(crate) fn aside_sentence(topic: &'static Topic, dice: &mut Dice) -> String {
    let detail = Detail::NONE;
    let mut beside = Sampler { topic, detail }.event(dice);
    beside.tense = Tense::Past;
    join(&aside(topic, &beside, dice), ".")
}

/// How a premise presents its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// Said outright.
    Plain,
    /// `Anna noticed that`: true.
    Factive,
    /// `Anna hopes that`: open.
    Open,
}

const FACTIVE: &[&str] = &[
    "noticed that",
    "knows that",
    "was glad that",
    "found out that",
    "remembered that",
    "regrets that",
    "saw that",
];
const OPEN: &[&str] = &[
    "hopes that",
    "thinks that",
    "claimed that",
    "doubts that",
    "heard that",
    "dreamt that",
    "denied that",
];
/// Verbs with `to` that make what follows true, false, or leave it open.
pub(super) const MADE_TRUE: &[&str] = &["manage", "remember", "happen"];
pub(super) const MADE_FALSE: &[&str] = &["fail", "refuse", "forget", "decline"];
pub(super) const LEFT_OPEN: &[&str] = &["want", "plan", "hope", "promise", "agree", "threaten"];

/// What premises are made with.
pub(super) struct Maker<'a> {
    pub sampler: Sampler,
    pub dice: &'a mut Dice,
}

/// A clause about another event of the topic. It has the same devices as the premises themselves (negation, governing
/// verbs, embedding, quantifiers), so that these alone do not tell the label.
fn aside(topic: &'static Topic, beside: &Event, dice: &mut Dice) -> Vec<Token> {
    let detail = Detail {
        adjective: 20,
        ..Detail::NONE
    };
    let sampler = Sampler { topic, detail };
    let mut event = loop {
        let event = sampler.event(dice);
        let told = event.frame.is_close_to(beside.frame) || beside.frame.opposite == Some(event.verb);
        if !told && (beside.tense != Tense::Progressive || event.frame.manner) {
            break event;
        }
    };
    event.tense = beside.tense;
    let mut tokens = Vec::new();
    let negatable = !event.agent.quantified() && !event.object.as_ref().is_some_and(Np::quantified);
    match dice.below(10) {
        0 | 1 if negatable => event.negated = true,
        2 | 3 if event.tense != Tense::Progressive => {
            let verbs = dice.pick(&[MADE_FALSE, LEFT_OPEN, LEFT_OPEN]);
            event.outer = Some(dice.pick(verbs));
        }
        4 | 5 => {
            let (name, _) = dice.pick(&lexicon().names);
            tokens.extend([plain(name), plain(dice.pick(OPEN))]);
        }
        6 if event.agent.as_noun().is_some() => {
            event.agent.det = dice.pick(&[Det::SomeOf, Det::NoneOf, Det::Most]);
            event.agent.plural = true;
        }
        7 if matches!(event.agent.head, Head::Name(..)) && event.agent.also.is_none() => {
            let (other, _) = dice.pick(&lexicon().names);
            event.agent.also = Some(("or", other));
        }
        _ => {}
    }
    tokens.extend(clause(&event, &Style::PLAIN));
    tokens
}

impl Maker<'_> {
    /// A hypothesis about particular people and things. One in three is negated, so that a negation in the premise
    /// speaks for no label by itself.
    fn hypothesis(&mut self) -> Event {
        loop {
            let mut event = self.sampler.event(self.dice);
            // Part of a set is the business of `quantified`.
            let vague = |np: &Np| np.quantified();
            if event.object.as_ref().is_some_and(vague) || event.details() > 2 {
                continue;
            }
            // Bare events leave a neutral premise little to leave out.
            if event.details() == 0 && self.dice.chance(50) {
                continue;
            }
            if let Some(object) = &event.object
                && !is_person(object)
                && self.dice.chance(30)
                && let Some(general) = object.generalised()
            {
                event.object = Some(general);
            }
            // Someone in particular: `a cook sang` and `a cook did not sing` can both be true.
            if event.agent.as_noun().is_some() {
                event.agent.det = Det::The;
            }
            if self.dice.chance(25)
                && event.agent.adjectives.is_empty()
                && let Some(general) = event.agent.generalised()
            {
                event.agent = Np {
                    det: Det::The,
                    ..general
                };
            }
            if let Some(general) = event.frame.general
                && event.recipient.is_none()
                && self.dice.chance(50)
            {
                event.verb = general;
            }
            event.negated = self.dice.chance(36) && event.reason.is_none();
            // `did not slice some onions` has two readings.
            if event.negated && event.object.as_ref().is_some_and(vague) {
                continue;
            }
            return event;
        }
    }

    fn simple(&mut self, relation: Relation) -> Option<(String, String)> {
        let hypothesis = self.hypothesis();
        let style = Style {
            contracted: self.dice.chance(50),
            passive: self.dice.chance(15) && hypothesis.has_passive(),
            ..Sampler::style(&hypothesis, self.dice)
        };
        let (mut premise, frame) = match (relation, hypothesis.negated) {
            (Relation::Entailment, false) => self.entails(&hypothesis),
            (Relation::Entailment, true) => self.entails_negation(&hypothesis),
            (Relation::Contradiction, false) => self.contradicts(&hypothesis),
            (Relation::Contradiction, true) => self.contradicts_negation(&hypothesis),
            (Relation::Neutral, false) => self.leaves_open(&hypothesis),
            (Relation::Neutral, true) => self.leaves_negation_open(&hypothesis),
        };
        use_synonyms(&mut premise, 35, self.dice);
        let premise_style = other_style(&premise, &style, self.dice);
        let premise = self.presented(&premise, &premise_style, frame);
        Some((premise, sentence(&hypothesis, &style)))
    }

    /// The premise's sentence, perhaps with a second clause beside it.
    fn presented(&mut self, event: &Event, style: &Style, frame: Frame) -> String {
        let mut tokens = Vec::new();
        if frame != Frame::Plain {
            let (name, _) = self.dice.pick(&lexicon().names);
            let openers = if frame == Frame::Factive { FACTIVE } else { OPEN };
            tokens.extend([plain(name), plain(self.dice.pick(openers))]);
            tokens.extend(clause(event, &style.unfronted()));
        } else {
            tokens.extend(clause(event, style));
        }
        if frame == Frame::Plain && self.dice.chance(24) {
            tokens.push(plain(","));
            tokens.push(plain(self.dice.pick(&["and", "and", "but", "while"])));
            tokens.extend(aside(self.sampler.topic, event, self.dice));
        }
        join(&tokens, ".")
    }

    pub(super) fn factive(&mut self) -> Frame {
        if self.dice.chance(14) {
            Frame::Factive
        } else {
            Frame::Plain
        }
    }

    /// Says more than the event: other words for the group, further circumstances, adjectives.
    pub(super) fn strengthened(&mut self, event: &Event) -> Event {
        let mut new = event.clone();
        if let Some(object) = &mut new.object {
            self.specialise(object, 85);
        }
        self.specialise(&mut new.agent, 85);
        if new.frame.general == Some(new.verb) && self.dice.chance(85) {
            new.verb = new.frame.verb;
        }
        for _ in 0..self.dice.weighted(&[38, 42, 20]) {
            if let Some(more) = crate::edits::add_detail(&new, &self.sampler, self.dice) {
                new = more;
            }
        }
        new
    }

    /// A member instead of the group's word.
    fn specialise(&mut self, np: &mut Np, percent: usize) {
        let Some(noun) = np.as_noun() else { return };
        let group = lexicon().group(noun);
        if group.hypernym.forms != noun.forms || !self.dice.chance(percent) {
            return;
        }
        let member = self.dice.choose(&group.members);
        np.head = Head::Noun(member, 0);
        if member.mass {
            (np.plural, np.det) = (false, Det::Some);
        } else if noun.mass {
            np.plural = self.dice.chance(60);
            np.det = if np.plural { Det::Some } else { Det::A };
        }
    }

    /// All, most, some, none of a set of people.
    fn quantified(&mut self, relation: Relation) -> Option<(String, String)> {
        use Relation::{Contradiction, Entailment, Neutral};
        let mut hypothesis = self.sampler.event(self.dice);
        let noun = hypothesis.agent.as_noun()?;
        if hypothesis.object.as_ref().is_some_and(Np::quantified) {
            return None;
        }
        let claimed = self
            .dice
            .pick(&[Det::All, Det::SomeOf, Det::SomeOf, Det::Most, Det::NoneOf]);
        hypothesis.agent = Np::noun(claimed, noun, true);
        let options: &[(Det, bool)] = match (claimed, relation) {
            (Det::All, Entailment) => &[(Det::All, false)],
            (Det::All, Contradiction) => &[(Det::NoneOf, false), (Det::SomeOf, true), (Det::Most, true)],
            (Det::All, Neutral) => &[(Det::SomeOf, false), (Det::Most, false)],
            (Det::SomeOf, Entailment) => &[(Det::All, false), (Det::Most, false), (Det::SomeOf, false)],
            (Det::SomeOf, Contradiction) => &[(Det::NoneOf, false)],
            (Det::SomeOf, Neutral) => &[(Det::SomeOf, true)],
            (Det::Most, Entailment) => &[(Det::All, false), (Det::Most, false)],
            (Det::Most, Contradiction) => &[(Det::NoneOf, false), (Det::Most, true)],
            (Det::Most, Neutral) => &[(Det::SomeOf, false), (Det::SomeOf, true)],
            (_, Entailment) => &[(Det::NoneOf, false)],
            (_, Contradiction) => &[(Det::All, false), (Det::SomeOf, false), (Det::Most, false)],
            (_, Neutral) => &[(Det::SomeOf, true), (Det::Most, true)],
        };
        let (det, negated) = self.dice.pick(options);
        let mut premise = hypothesis.clone();
        premise.agent.det = det;
        premise.negated = negated;
        let upward = !negated && det != Det::NoneOf;
        if upward {
            premise = self.strengthened(&premise);
        } else if claimed == Det::NoneOf && relation == Entailment && self.dice.chance(50) {
            self.generalise(&mut premise);
        } else if let Some(less) = crate::edits::drop_detail(&premise, self.dice)
            && claimed != Det::SomeOf
        {
            // What was not done at all was not done there: the premise may say less under its negation.
            premise = less;
        }
        let style = Style {
            passive: false,
            ..Sampler::style(&hypothesis, self.dice)
        };
        use_synonyms(&mut premise, 35, self.dice);
        let premise_style = Style {
            passive: false,
            ..other_style(&premise, &style, self.dice)
        };
        let frame = self.factive();
        let premise = self.presented(&premise, &premise_style, frame);
        Some((premise, sentence(&hypothesis, &style)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hypothesis is drawn before the relation plays a part, but draws that do not work out are thrown away; this
    /// bounds what that lets through.
    #[test]
    fn negation_in_the_hypothesis_does_not_tell_the_label() {
        let mut dice = Dice::new(5, "entail");
        let mut share = |relation| {
            let (mut negated, mut all) = (0.0, 0.0);
            while all < 3000.0 {
                let topic = dice.choose(&lexicon().topics);
                let Some((_, hypothesis)) = pair(topic, relation, &mut dice) else {
                    continue;
                };
                let hypothesis = hypothesis.to_lowercase();
                negated += f64::from(u8::from(
                    ["n't ", " not ", "none "].iter().any(|word| hypothesis.contains(word)),
                ));
                all += 1.0;
            }
            negated / all
        };
        let shares = [Relation::Entailment, Relation::Neutral, Relation::Contradiction].map(&mut share);
        for share in shares {
            assert!((share - shares[0]).abs() < 0.06, "{shares:?}");
        }
    }
}
