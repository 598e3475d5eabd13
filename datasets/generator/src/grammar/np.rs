//! Noun phrases.

use super::text::{Role, Tag, Token};
use crate::lexicon::{Adjective, Gender, Noun, lexicon};

/// Number words.
pub const NUMBERS: [&str; 13] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
];

/// What a noun phrase begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Det {
    /// Nothing: plurals and mass nouns.
    Bare,
    /// `the`
    The,
    /// `a`
    A,
    /// `some`; `any` after a negation.
    Some,
    /// A number from 2 to 12.
    Number(usize),
    /// `all the`
    All,
    /// `most of the`
    Most,
    /// `some of the`
    SomeOf,
    /// `none of the`
    NoneOf,
    /// `no`
    No,
    /// `this` or `these`
    This,
    /// `that` or `those`
    That,
    /// `several`
    Several,
    /// `Anna's`
    Of(&'static str),
}

/// What a noun phrase is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// A noun in one of its forms.
    Noun(&'static Noun, usize),
    /// A person.
    Name(&'static str, Gender),
    /// `someone`
    Someone,
}

/// A noun phrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Np {
    /// What it begins with; nothing before names.
    pub det: Det,
    /// Each with the form that is used.
    pub adjectives: Vec<(&'static Adjective, usize)>,
    /// What it is about.
    pub head: Head,
    /// More than one.
    pub plural: bool,
    /// A phrase that narrows it: `from the village`.
    pub phrase: Option<&'static str>,
    /// Another person with a conjunction: `and Peter`, `or Peter`.
    pub also: Option<(&'static str, &'static str)>,
}

impl Np {
    /// A person by name.
    pub fn name(name: &'static str, gender: Gender) -> Self {
        Self::with(Det::Bare, Head::Name(name, gender), false)
    }

    /// `someone`
    pub fn someone() -> Self {
        Self::with(Det::Bare, Head::Someone, false)
    }

    /// A noun.
    pub fn noun(det: Det, noun: &'static Noun, plural: bool) -> Self {
        Self::with(det, Head::Noun(noun, 0), plural && !noun.mass)
    }

    fn with(det: Det, head: Head, plural: bool) -> Self {
        let (adjectives, phrase, also) = (Vec::new(), None, None);
        Self {
            det,
            adjectives,
            head,
            plural,
            phrase,
            also,
        }
    }

    /// Whether the verb that agrees with it is plural.
    pub fn agrees_plural(&self) -> bool {
        self.plural || matches!(self.also, Some(("and", _)))
    }

    /// The noun, if it is one.
    pub fn as_noun(&self) -> Option<&'static Noun> {
        match self.head {
            Head::Noun(noun, _) => Some(noun),
            _ => None,
        }
    }

    /// Whether it speaks of part of a set only: such phrases do not stand under a negation here.
    pub fn quantified(&self) -> bool {
        matches!(
            self.det,
            Det::All | Det::Most | Det::SomeOf | Det::NoneOf | Det::No | Det::Some | Det::Several
        )
    }

    /// The same people or things called by the word for their group: `three violins` become `three musical
    /// instruments`. Nothing where the group's word is the noun's own.
    pub fn generalised(&self) -> Option<Self> {
        let noun = self.as_noun()?;
        let hypernym = &lexicon().group(noun).hypernym;
        if hypernym.forms.iter().any(|form| noun.forms.contains(form)) {
            return None;
        }
        let counted = matches!(self.det, Det::Number(_) | Det::Several | Det::No);
        let det = match self.det {
            _ if hypernym.mass || self.plural && !counted => Det::Some,
            _ if counted => self.det,
            _ if noun.mass => Det::Some,
            _ => Det::A,
        };
        let countless = noun.mass && !hypernym.mass;
        if counted && hypernym.mass || countless {
            return None;
        }
        Some(Self::noun(det, hypernym, self.plural))
    }

    /// Its words.
    pub fn tokens(&self, role: Role, negated: bool) -> Vec<Token> {
        let mut tokens = Vec::new();
        let mut push = |text: &str, tag| tokens.push(Token::new(text, tag, role));
        match self.det {
            Det::Bare => {}
            Det::The => push("the", Tag::Determiner),
            Det::A => push("a", Tag::Determiner),
            Det::Some if negated => push("any", Tag::Determiner),
            Det::Some => push("some", Tag::Determiner),
            Det::Number(number) => push(NUMBERS[number], Tag::Number),
            Det::All => push("all the", Tag::Determiner),
            Det::Most => push("most of the", Tag::Determiner),
            Det::SomeOf => push("some of the", Tag::Determiner),
            Det::NoneOf => push("none of the", Tag::Determiner),
            Det::No => push("no", Tag::Determiner),
            Det::This => push(if self.plural { "these" } else { "this" }, Tag::Determiner),
            Det::That => push(if self.plural { "those" } else { "that" }, Tag::Determiner),
            Det::Several => push("several", Tag::Determiner),
            Det::Of(name) => push(&format!("{name}'s"), Tag::Determiner),
        }
        for (adjective, form) in &self.adjectives {
            push(adjective.words[*form], Tag::Adjective);
        }
        match &self.head {
            Head::Noun(noun, form) => {
                let token = Token::new(noun.text(*form, self.plural), Tag::Noun, role);
                tokens.push(token.or_wrong(noun.text(*form, !self.plural)));
            }
            Head::Name(name, _) => push(name, Tag::Name),
            Head::Someone => push("someone", Tag::Other),
        }
        if let Some((conjunction, name)) = self.also {
            tokens.push(Token::new(conjunction, Tag::Other, role));
            tokens.push(Token::new(name, Tag::Name, role));
        }
        if let Some(phrase) = self.phrase {
            tokens.push(Token::new(phrase, Tag::Adjunct, role));
        }
        tokens
    }
}
