//! What happened: a verb with its arguments and circumstances, apart from how it is said.

use super::np::Np;
use crate::lexicon::{Frame, Manner, Tense, Time};

/// An event, or its absence.
#[derive(Debug, Clone)]
pub struct Event {
    /// The verb's frame.
    pub frame: &'static Frame,
    /// The verb in use: the frame's own, its synonym, a more general one, its opposite.
    pub verb: &'static str,
    /// A verb that governs this one: `manage`, `fail`, `want`; then `to` and the verb follow.
    pub outer: Option<&'static str>,
    /// Who acts.
    pub agent: Np,
    /// What is acted on; none for intransitive verbs.
    pub object: Option<Np>,
    /// Who receives it, with the preposition.
    pub recipient: Option<(&'static str, Np)>,
    /// An adverb of manner and its form.
    pub manner: Option<(&'static Manner, usize)>,
    /// Where.
    pub place: Option<&'static str>,
    /// When, and its form.
    pub time: Option<(&'static Time, usize)>,
    /// Why.
    pub reason: Option<&'static str>,
    /// Tense and aspect.
    pub tense: Tense,
    /// That it did not happen.
    pub negated: bool,
}

/// What may stand first, before the subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// The subject.
    Nothing,
    /// The time.
    Time,
    /// The place.
    Place,
    /// The reason.
    Reason,
}

/// How an event is said; none of it changes what is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// The object becomes the subject.
    pub passive: bool,
    /// In the passive: who acted is left out. (This does drop a fact.)
    pub agentless: bool,
    /// What stands first.
    pub front: Front,
    /// `gave the guests the soup` instead of `gave the soup to the guests`.
    pub shifted: bool,
    /// `didn't` instead of `did not`.
    pub contracted: bool,
    /// The adverb before the verb.
    pub early_manner: bool,
}

impl Style {
    /// Active, in plain order.
    pub const PLAIN: Self = Self {
        passive: false,
        agentless: false,
        front: Front::Nothing,
        shifted: false,
        contracted: false,
        early_manner: false,
    };
}

impl Style {
    /// Without anything before the subject, as it stands in subordinate clauses.
    pub fn unfronted(self) -> Self {
        let front = Front::Nothing;
        Self { front, ..self }
    }
}

impl Event {
    /// How many circumstances it has: manner, place, time, reason.
    pub fn details(&self) -> usize {
        [
            self.manner.is_some(),
            self.place.is_some(),
            self.time.is_some(),
            self.reason.is_some(),
        ]
        .into_iter()
        .filter(|present| *present)
        .count()
    }

    /// Whether it can be put in the passive: it has an object and no governing verb.
    pub fn has_passive(&self) -> bool {
        self.object.is_some() && self.outer.is_none()
    }

    /// What stands first in a style, if the event has it.
    pub fn front(&self, style: &Style) -> Front {
        let present = match style.front {
            Front::Nothing => true,
            Front::Time => self.time.is_some(),
            Front::Place => self.place.is_some(),
            Front::Reason => self.reason.is_some(),
        };
        if present { style.front } else { Front::Nothing }
    }
}
