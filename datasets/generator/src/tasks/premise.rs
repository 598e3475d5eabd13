//! Premises for a hypothesis about particular people and things: what makes it true, what makes it false, what leaves
//! it open; each for a positive and for a negated hypothesis.

use super::entail::{Frame, LEFT_OPEN, MADE_FALSE, MADE_TRUE, Maker};
use crate::edits::{add_detail, antonym, drop_detail, is_person, number_phrase, opposite, sibling};
use crate::grammar::{Det, Event, Head};
use crate::lexicon::{Tense, lexicon};

impl Maker<'_> {
    /// Says it with more, or with another word for it.
    pub(super) fn entails(&mut self, hypothesis: &Event) -> (Event, Frame) {
        let mut premise = self.strengthened(hypothesis);
        if self.dice.chance(12) && premise.manner.is_none() && premise.tense != Tense::Progressive {
            premise.outer = Some(self.dice.pick(MADE_TRUE));
        }
        (premise, self.factive())
    }

    /// Premises of a negated hypothesis say it outright, of a wider group, or with a verb of failing. No circumstances
    /// are added: what did not happen in the kitchen may have happened elsewhere.
    pub(super) fn entails_negation(&mut self, hypothesis: &Event) -> (Event, Frame) {
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

    pub(super) fn generalise(&mut self, event: &mut Event) {
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

    /// One of the ways to contradict that the hypothesis has room for.
    pub(super) fn contradicts(&mut self, hypothesis: &Event) -> (Event, Frame) {
        loop {
            if let Some(premise) = self.contradiction(hypothesis) {
                return (premise, self.factive());
            }
        }
    }

    fn contradiction(&mut self, hypothesis: &Event) -> Option<Event> {
        let mut premise = hypothesis.clone();
        // `bought a chair` and `sold a chair` go together, `bought the chair` and `sold the chair` less so.
        let particular = hypothesis
            .object
            .as_ref()
            .is_none_or(|np| matches!(np.det, Det::The | Det::Of(_) | Det::Bare));
        let can_fail = premise.manner.is_none() && premise.tense != Tense::Progressive;
        match self.dice.below(7) {
            0 | 1 => {
                premise.negated = true;
                self.describe_agent(&mut premise);
                return Some(premise);
            }
            2 if can_fail => {
                premise.outer = Some(self.dice.pick(MADE_FALSE));
                self.describe_agent(&mut premise);
                return Some(premise);
            }
            3 | 4 if particular => premise.verb = opposite(&premise)?,
            5 => {
                let np = number_phrase(&mut premise)?;
                let Det::Number(old) = np.det else { return None };
                let (less, more) = (old.saturating_sub(2 + self.dice.below(3)), old + 2 + self.dice.below(4));
                np.det = Det::Number(if old > 6 { less } else { more });
            }
            6 if particular => {
                if let Some((manner, _)) = premise.manner {
                    let all = &lexicon().manners;
                    let other = all.iter().find(|other| manner.opposites.contains(&other.words[0]))?;
                    premise.manner = Some((other, 0));
                } else {
                    let object = premise.object.as_mut()?;
                    object.adjectives = vec![antonym(object, self.dice)?];
                }
            }
            _ => return None,
        }
        Some(self.strengthened(&premise))
    }

    pub(super) fn contradicts_negation(&mut self, hypothesis: &Event) -> (Event, Frame) {
        let mut positive = hypothesis.clone();
        positive.negated = false;
        self.entails(&positive)
    }

    /// One of the ways to leave it open that the hypothesis has room for.
    pub(super) fn leaves_open(&mut self, hypothesis: &Event) -> (Event, Frame) {
        loop {
            if let Some(found) = self.openness(hypothesis) {
                return found;
            }
        }
    }

    fn openness(&mut self, hypothesis: &Event) -> Option<(Event, Frame)> {
        let mut premise = hypothesis.clone();
        match self.dice.below(10) {
            // Less is said than the hypothesis says; something else may be added.
            0..=4 => {
                premise = drop_detail(&premise, self.dice)?;
                if self.dice.chance(60) {
                    premise = self.with_other_detail(&premise, hypothesis);
                }
            }
            5 => {
                let object = premise.object.as_ref()?;
                premise.object = Some(object.generalised()?);
                premise = self.with_other_detail(&premise, hypothesis);
            }
            6 if premise.manner.is_none() && premise.tense != Tense::Progressive => {
                premise.outer = Some(self.dice.pick(LEFT_OPEN));
                self.describe_agent(&mut premise);
            }
            7 => return Some((self.strengthened(&premise), Frame::Open)),
            8 => {
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
        let Some(more) = add_detail(premise, &self.sampler, self.dice) else {
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
    pub(super) fn leaves_negation_open(&mut self, hypothesis: &Event) -> (Event, Frame) {
        loop {
            if let Some(found) = self.openness_of_negation(hypothesis) {
                return found;
            }
        }
    }

    fn openness_of_negation(&mut self, hypothesis: &Event) -> Option<(Event, Frame)> {
        let mut premise = hypothesis.clone();
        match self.dice.below(5) {
            0 => {
                let object = premise.object.as_ref().filter(|object| !is_person(object))?;
                premise.object = Some(sibling(object, self.dice)?);
            }
            1 => premise = self.with_other_detail(&premise, hypothesis),
            2 if premise.manner.is_none() && premise.tense != Tense::Progressive => {
                premise.outer = Some(self.dice.pick(LEFT_OPEN));
                premise.negated = self.dice.chance(50);
            }
            3 if self.dice.chance(60) => return Some((premise, Frame::Open)),
            _ => {
                premise.negated = false;
                return Some((self.strengthened(&premise), Frame::Open));
            }
        }
        let same =
            premise.details() == hypothesis.details() && premise.object == hypothesis.object && premise.outer.is_none();
        (!same).then(|| (premise, self.factive()))
    }
}
