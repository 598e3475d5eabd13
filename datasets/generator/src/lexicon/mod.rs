//! The lexicon: nouns in groups with hypernyms and synonyms, adjectives with antonyms, verbs with argument frames,
//! topics.
//!
//! The words stand in plain tables (`nouns`, `people`, `modifiers`, `times`, `topics`, `topics_more`), read once by
//! `parse`. Everything else holds references into the one lexicon that [`lexicon()`] gives.

mod modifiers;
mod nouns;
pub mod opinion;
mod parse;
mod people;
pub mod questions;
mod times;
mod topics;
mod topics_more;

use std::sync::LazyLock;

pub use modifiers::{PERSON_PHRASES, THING_PHRASES};
pub use parse::LexiconError;

/// Grammatical gender of a person, where the word tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gender {
    /// She.
    Woman,
    /// He.
    Man,
    /// The word does not say.
    Open,
}

/// One way to say a noun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NounForm {
    /// For a mass noun the only form.
    pub singular: String,
    /// For a mass noun the same as the singular.
    pub plural: String,
}

/// A noun: its usual form first, then synonyms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noun {
    /// At least one.
    pub forms: Vec<NounForm>,
    /// Not countable: no plural, no `a`.
    pub mass: bool,
    /// For people.
    pub gender: Gender,
    /// Index into [`Lexicon::groups`].
    pub group: usize,
}

/// Nouns that can stand for each other in a sentence, and the word for all of them.
#[derive(Debug)]
pub struct Group {
    /// The name that verbs refer to.
    pub name: &'static str,
    /// A noun that every member is.
    pub hypernym: Noun,
    /// The nouns.
    pub members: Vec<Noun>,
    /// What can be said of them.
    pub adjectives: Vec<&'static Adjective>,
    /// Whether they are people.
    pub people: bool,
}

/// An adjective: its usual form first, then synonyms.
#[derive(Debug, PartialEq, Eq)]
pub struct Adjective {
    /// At least one.
    pub words: Vec<&'static str>,
    /// Words that cannot be true at the same time.
    pub opposites: Vec<&'static str>,
}

/// An adverb of manner, likewise.
pub type Manner = Adjective;

/// A phrase of time, likewise; it has no opposites.
pub type Time = Adjective;

/// Tense and aspect of a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tense {
    /// `sliced`
    Past,
    /// `will slice`
    Future,
    /// `slices`
    Habit,
    /// `has sliced`
    Perfect,
    /// `is slicing`
    Progressive,
}

impl Tense {
    /// All of them, in the order of [`Lexicon::times`].
    pub const ALL: [Self; 5] = [Self::Past, Self::Future, Self::Habit, Self::Perfect, Self::Progressive];
}

/// A verb with what it takes.
#[derive(Debug)]
pub struct Frame {
    /// The base form, perhaps with a particle: `look at`.
    pub verb: &'static str,
    /// Groups of the object; none for an intransitive verb.
    pub objects: Vec<usize>,
    /// Groups of the subject.
    pub subjects: Vec<usize>,
    /// A verb that says the same.
    pub synonym: Option<&'static str>,
    /// A verb that follows from this one.
    pub general: Option<&'static str>,
    /// A verb that excludes this one.
    pub opposite: Option<&'static str>,
    /// Preposition of a recipient and the groups it comes from.
    pub recipient: Option<(&'static str, Vec<usize>)>,
    /// Whether it can be done quickly, gladly, secretly.
    pub manner: bool,
    /// Index into [`Lexicon::topics`].
    pub topic: usize,
}

impl Frame {
    /// Whether the two can be said with the same word, or one follows from the other.
    pub fn is_close_to(&self, other: &Self) -> bool {
        let words = |frame: &Self| [Some(frame.verb), frame.synonym, frame.general];
        words(self)
            .iter()
            .flatten()
            .any(|word| words(other).contains(&Some(word)))
    }
}

/// A field of life.
#[derive(Debug, Default)]
pub struct Topic {
    /// For example `kitchen`.
    pub name: &'static str,
    /// Groups of people met there.
    pub people: Vec<usize>,
    /// Prepositional phrases of place.
    pub places: Vec<&'static str>,
    /// Phrases of cause or purpose.
    pub reasons: Vec<&'static str>,
    /// What is done there.
    pub frames: Vec<Frame>,
}

/// All words.
#[derive(Debug)]
pub struct Lexicon {
    /// Noun groups.
    pub groups: Vec<Group>,
    /// Adverbs of manner.
    pub manners: Vec<&'static Manner>,
    /// Phrases of time for each of [`Tense::ALL`].
    pub times: [Vec<&'static Time>; 5],
    /// Topics; the last [`UNSEEN_TOPICS`] never occur in MNLI's training set.
    pub topics: Vec<Topic>,
    /// First names.
    pub names: Vec<(&'static str, Gender)>,
}

/// How many topics MNLI's mismatched set has to itself.
pub const UNSEEN_TOPICS: usize = 5;

/// The lexicon.
pub fn lexicon() -> &'static Lexicon {
    static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| parse::read().expect("the tables are well-formed: tested"));
    &LEXICON
}

impl Lexicon {
    /// The topics that occur everywhere.
    pub fn common_topics(&self) -> &[Topic] {
        &self.topics[..self.topics.len() - UNSEEN_TOPICS]
    }

    /// The topics of MNLI's mismatched set.
    pub fn unseen_topics(&self) -> &[Topic] {
        &self.topics[self.topics.len() - UNSEEN_TOPICS..]
    }

    /// Phrases of time that fit a tense.
    pub fn times(&self, tense: Tense) -> &[&'static Time] {
        &self.times[tense as usize]
    }

    /// The group of a noun.
    pub fn group(&self, noun: &Noun) -> &Group {
        &self.groups[noun.group]
    }
}

impl Noun {
    /// One of its forms.
    pub fn text(&self, form: usize, plural: bool) -> &str {
        let form = &self.forms[form];
        if plural && !self.mass {
            &form.plural
        } else {
            &form.singular
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_tables_are_well_formed() {
        let lexicon = parse::read().unwrap_or_else(|error| panic!("{error}"));
        let nouns: usize = lexicon.groups.iter().map(|group| group.members.len()).sum();
        let frames: usize = lexicon.topics.iter().map(|topic| topic.frames.len()).sum();
        assert!(nouns > 600, "{nouns} nouns");
        assert!(frames > 280, "{frames} verb frames");
        assert_eq!(lexicon.topics.len(), 18);
    }

    #[test]
    fn every_frame_can_be_filled() {
        for topic in &lexicon().topics {
            assert!(topic.places.len() >= 5 && topic.reasons.len() >= 5, "{}", topic.name);
            for frame in &topic.frames {
                assert!(!frame.subjects.is_empty(), "{}: {}", topic.name, frame.verb);
                for &group in &frame.subjects {
                    assert!(lexicon().groups[group].people, "{}: {}", topic.name, frame.verb);
                }
            }
        }
    }

    #[test]
    fn no_group_names_a_noun_twice() {
        for group in &lexicon().groups {
            let mut seen = HashSet::new();
            for form in group.members.iter().flat_map(|noun| &noun.forms) {
                assert!(seen.insert(&form.singular), "{}: {}", group.name, form.singular);
            }
        }
    }

    #[test]
    fn a_word_is_not_its_own_opposite() {
        for group in &lexicon().groups {
            for adjective in &group.adjectives {
                assert!(adjective.words.iter().all(|word| !adjective.opposites.contains(word)));
            }
        }
        for frame in lexicon().topics.iter().flat_map(|topic| &topic.frames) {
            assert!(
                frame.opposite.is_none() || frame.opposite != frame.synonym,
                "{}",
                frame.verb
            );
            assert!(
                frame.opposite.is_none() || frame.opposite != frame.general,
                "{}",
                frame.verb
            );
        }
    }
}
