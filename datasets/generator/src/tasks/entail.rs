//! Premise and hypothesis for MNLI and RTE.
//!
//! The hypothesis comes first, from one distribution for all labels, so that it alone tells nothing. The premise is
//! then made to entail it, to contradict it, or to leave it open. Every device that is open to several labels
//! (extra circumstances, a second clause, embedding, governing verbs, synonyms, voice) is used with all of them.

use crate::dice::Dice;
use crate::edits::{antonym, is_person, number_phrase, opposite, other_style, use_synonyms};
use crate::grammar::text::plain;
use crate::grammar::{Det, Detail, Event, Head, Np, Sampler, Style, clause, join, sentence};
use crate::lexicon::{Tense, Topic, lexicon};

/// What a premise says of a hypothesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Entailment,
    Neutral,
    Contradiction,
}

/// A premise and a hypothesis that stand in the relation; nothing if this draw did not work out.
pub(super) fn pair(topic: &'static Topic, relation: Relation, dice: &mut Dice) -> Option<(String, String)> {
    let detail = Detail {
        manner: 12,
        place: 24,
        time: 24,
        reason: 7,
        adjective: 22,
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

/// How a premise presents its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
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
const MADE_TRUE: &[&str] = &["manage", "remember", "happen"];
const MADE_FALSE: &[&str] = &["fail", "refuse", "forget", "decline"];
const LEFT_OPEN: &[&str] = &["want", "plan", "hope", "promise", "agree", "threaten"];

struct Maker<'a> {
    sampler: Sampler,
    dice: &'a mut Dice,
}

impl Maker<'_> {
    /// A hypothesis about particular people and things. One in six is negated.
    fn hypothesis(&mut self) -> Event {
        loop {
            let mut event = self.sampler.event(self.dice);
            // Part of a set is the business of `quantified`.
            let vague = |np: &Np| np.quantified();
            if vague(&event.agent) || event.object.as_ref().is_some_and(vague) || event.details() > 2 {
                continue;
            }
            if let Some(object) = &event.object
                && !is_person(object)
                && self.dice.chance(30)
                && let Some(general) = object.generalised()
            {
                event.object = Some(general);
            }
            if self.dice.chance(25)
                && event.agent.adjectives.is_empty()
                && let Some(general) = event.agent.generalised()
            {
                event.agent = general;
            }
            if let Some(general) = event.frame.general
                && event.recipient.is_none()
                && self.dice.chance(50)
            {
                event.verb = general;
            }
            event.negated = self.dice.chance(17) && !vague(&event.agent) && event.reason.is_none();
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
            (Relation::Contradiction, false) => self.contradicts(&hypothesis)?,
            (Relation::Contradiction, true) => self.contradicts_negation(&hypothesis),
            (Relation::Neutral, false) => self.leaves_open(&hypothesis)?,
            (Relation::Neutral, true) => self.leaves_negation_open(&hypothesis)?,
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
        if frame == Frame::Plain && self.dice.chance(14) {
            let short = Sampler {
                detail: Detail {
                    adjective: 25,
                    ..Detail::NONE
                },
                ..self.sampler
            };
            let mut other = short.event(self.dice);
            other.tense = event.tense;
            if other.verb != event.verb && (event.tense != Tense::Progressive || other.frame.manner) {
                tokens.push(plain(","));
                tokens.push(plain(self.dice.pick(&["and", "and", "but", "while"])));
                other.negated = self.dice.chance(20) && !other.agent.quantified();
                tokens.extend(clause(&other, &Style::PLAIN));
            }
        }
        join(&tokens, ".")
    }

    fn factive(&mut self) -> Frame {
        if self.dice.chance(14) {
            Frame::Factive
        } else {
            Frame::Plain
        }
    }

    /// Says more than the event: other words for the group, further circumstances, adjectives.
    fn strengthened(&mut self, event: &Event) -> Event {
        let mut new = event.clone();
        if let Some(object) = &mut new.object {
            self.specialise(object, 85);
        }
        self.specialise(&mut new.agent, 85);
        if new.frame.general == Some(new.verb) && self.dice.chance(85) {
            new.verb = new.frame.verb;
        }
        for _ in 0..self.dice.weighted(&[30, 40, 30]) {
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

    fn entails(&mut self, hypothesis: &Event) -> (Event, Frame) {
        let mut premise = self.strengthened(hypothesis);
        if self.dice.chance(12) && premise.manner.is_none() && premise.tense != Tense::Progressive {
            premise.outer = Some(self.dice.pick(MADE_TRUE));
        }
        (premise, self.factive())
    }

    /// Premises of a negated hypothesis say it outright, of a wider group, or with a verb of failing. No circumstances are
    /// added: what did not happen in the kitchen may have happened elsewhere.
    fn entails_negation(&mut self, hypothesis: &Event) -> (Event, Frame) {
        let mut premise = hypothesis.clone();
        match self.dice.below(3) {
            0 => self.generalise(&mut premise),
            1 if premise.manner.is_none() && premise.tense != Tense::Progressive => {
                premise.negated = false;
                premise.outer = Some(self.dice.pick(MADE_FALSE));
            }
            _ => self.describe_agent(&mut premise),
        }
        (premise, self.factive())
    }

    fn generalise(&mut self, event: &mut Event) {
        if let Some(object) = &event.object
            && let Some(mut general) = object.generalised()
        {
            // `did not buy any fruit`: of none of the group.
            general.det = Det::Some;
            general.plural = general.as_noun().is_some_and(|noun| !noun.mass);
            event.object = Some(general);
        } else if let Some(general) = event.frame.general.filter(|_| event.recipient.is_none()) {
            event.verb = general;
        }
    }

    /// More about who it was: `the cook` is `the young cook` by then.
    fn describe_agent(&mut self, event: &mut Event) {
        if event.agent.det == Det::The
            && let Some(noun) = event.agent.as_noun()
            && event.agent.adjectives.is_empty()
        {
            let adjectives = &lexicon().group(noun).adjectives;
            if !adjectives.is_empty() {
                event.agent.adjectives.push((self.dice.pick(adjectives), 0));
            }
        }
    }

    fn contradicts(&mut self, hypothesis: &Event) -> Option<(Event, Frame)> {
        let mut premise = hypothesis.clone();
        let frame = self.factive();
        match self.dice.below(7) {
            0 | 1 => {
                premise.negated = true;
                if premise
                    .object
                    .as_ref()
                    .is_some_and(|np| matches!(np.det, Det::Number(_)))
                {
                    return None;
                }
                self.describe_agent(&mut premise);
            }
            2 if premise.manner.is_none() && premise.tense != Tense::Progressive => {
                premise.outer = Some(self.dice.pick(MADE_FALSE));
                self.describe_agent(&mut premise);
            }
            3 | 4 => {
                premise.verb = opposite(&premise)?;
                premise = self.strengthened(&premise);
            }
            5 => {
                let np = number_phrase(&mut premise)?;
                let Det::Number(old) = np.det else { return None };
                np.det = Det::Number(if old > 6 {
                    old - 2 - self.dice.below(3)
                } else {
                    old + 2 + self.dice.below(4)
                });
                premise = self.strengthened(&premise);
            }
            _ => {
                if let Some((manner, _)) = premise.manner {
                    let all = &lexicon().manners;
                    let other = all.iter().find(|other| manner.opposites.contains(&other.words[0]))?;
                    premise.manner = Some((other, 0));
                } else {
                    let object = premise.object.as_mut()?;
                    object.adjectives = vec![antonym(object, self.dice)?];
                }
                premise = self.strengthened(&premise);
            }
        }
        Some((premise, frame))
    }

    fn contradicts_negation(&mut self, hypothesis: &Event) -> (Event, Frame) {
        let mut positive = hypothesis.clone();
        positive.negated = false;
        self.entails(&positive)
    }

    fn leaves_open(&mut self, hypothesis: &Event) -> Option<(Event, Frame)> {
        let mut premise = hypothesis.clone();
        match self.dice.below(8) {
            // Less is said than the hypothesis says; something else may be added.
            0..=2 => {
                premise = crate::edits::drop_detail(&premise, self.dice)?;
                if self.dice.chance(60) {
                    premise = self.with_other_detail(&premise, hypothesis);
                }
            }
            3 => {
                let object = premise.object.as_ref()?;
                premise.object = Some(object.generalised()?);
                premise = self.with_other_detail(&premise, hypothesis);
            }
            4 if premise.manner.is_none() && premise.tense != Tense::Progressive => {
                premise.outer = Some(self.dice.pick(LEFT_OPEN));
                self.describe_agent(&mut premise);
            }
            5 => return Some((self.strengthened(&premise), Frame::Open)),
            6 => {
                let Head::Name(name, _) = premise.agent.head else {
                    return None;
                };
                let (other, _) = self.dice.pick(&lexicon().names);
                if other == name || premise.agent.also.is_some() {
                    return None;
                }
                premise.agent.also = Some(("or", other));
                premise = self.with_other_detail(&premise, hypothesis);
            }
            _ => {
                let object = premise.object.as_mut().filter(|object| is_person(object))?;
                if premise.recipient.is_some() || premise.agent.also.is_some() {
                    return None;
                }
                std::mem::swap(object, &mut premise.agent);
                premise = self.with_other_detail(&premise, hypothesis);
            }
        }
        Some((premise, self.factive()))
    }

    /// Adds a circumstance of a kind that the hypothesis does not speak of.
    fn with_other_detail(&mut self, premise: &Event, hypothesis: &Event) -> Event {
        let Some(more) = crate::edits::add_detail(premise, &self.sampler, self.dice) else {
            return premise.clone();
        };
        let clash = hypothesis.manner.is_some() && more.manner != premise.manner
            || hypothesis.place.is_some() && more.place != premise.place
            || hypothesis.time.is_some() && more.time != premise.time
            || hypothesis.reason.is_some() && more.reason != premise.reason
            || more.object.as_ref().map(|np| &np.adjectives) != premise.object.as_ref().map(|np| &np.adjectives)
                && hypothesis.object.as_ref().is_some_and(|np| !np.adjectives.is_empty());
        if clash { premise.clone() } else { more }
    }

    /// What did not happen in one way may have happened in another.
    fn leaves_negation_open(&mut self, hypothesis: &Event) -> Option<(Event, Frame)> {
        let mut premise = hypothesis.clone();
        match self.dice.below(5) {
            0 => {
                let object = premise.object.as_ref().filter(|object| !is_person(object))?;
                premise.object = Some(crate::edits::sibling(object, self.dice)?);
            }
            1 => premise = self.with_other_detail(&premise, hypothesis),
            2 if premise.manner.is_none() && premise.tense != Tense::Progressive => {
                premise.outer = Some(self.dice.pick(LEFT_OPEN));
                premise.negated = self.dice.chance(50);
            }
            3 => return Some((premise, Frame::Open)),
            _ => {
                premise.negated = false;
                return Some((self.strengthened(&premise), Frame::Open));
            }
        }
        let same =
            premise.details() == hypothesis.details() && premise.object == hypothesis.object && premise.outer.is_none();
        (!same).then(|| (premise, self.factive()))
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
