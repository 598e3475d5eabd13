//! From an event and a style to words.

use super::event::{Event, Front, Style};
use super::np::{Det, Np};
use super::text::{Role, Tag, Token, join, plain};
use crate::lexicon::Tense;
use crate::morphology::{gerund, participle, past, third};

/// A sentence that says an event.
pub fn sentence(event: &Event, style: &Style) -> String {
    join(&clause(event, style), ".")
}

/// The words of an event.
pub fn clause(event: &Event, style: &Style) -> Vec<Token> {
    let mut tokens = Vec::new();
    let front = event.front(style);
    let fronted = match front {
        Front::Nothing => None,
        Front::Time => event.time.map(|(time, form)| time.words[form]),
        Front::Place => event.place,
        Front::Reason => event.reason,
    };
    if let Some(phrase) = fronted {
        tokens.push(Token::new(phrase, Tag::Adjunct, Role::Adjunct));
        tokens.push(plain(","));
    }
    let passive = style.passive && event.has_passive();
    let subject = match &event.object {
        Some(object) if passive => object,
        _ => &event.agent,
    };
    let negated = event.negated;
    tokens.extend(subject.tokens(Role::Subject, false));

    let manner = event.manner.map(|(manner, form)| manner.words[form]);
    let early = manner.filter(|_| passive || style.early_manner && !negated);
    tokens.extend(verb_group(event, subject, passive, style.contracted, early));
    tokens.extend(arguments(event, style, passive));
    if early.is_none()
        && let Some(manner) = manner
    {
        tokens.push(Token::new(manner, Tag::Adverb, Role::Adjunct));
    }
    let mut adjunct = |phrase: Option<&str>| {
        if let Some(phrase) = phrase {
            tokens.push(Token::new(phrase, Tag::Adjunct, Role::Adjunct));
        }
    };
    adjunct(event.place.filter(|_| front != Front::Place));
    adjunct(
        event
            .time
            .map(|(time, form)| time.words[form])
            .filter(|_| front != Front::Time),
    );
    adjunct(event.reason.filter(|_| front != Front::Reason));
    tokens
}

/// What follows the verb: objects, or in the passive who acted.
fn arguments(event: &Event, style: &Style, passive: bool) -> Vec<Token> {
    let mut tokens = Vec::new();
    let object = event.object.as_ref().filter(|_| !passive);
    // `none of the guests ordered any soup`: such a subject negates what follows it.
    let negated = event.negated || !passive && matches!(event.agent.det, Det::No | Det::NoneOf);
    let shifted = style.shifted && can_shift(event) && object.is_some();
    if shifted && let Some((_, recipient)) = &event.recipient {
        tokens.extend(recipient.tokens(Role::Recipient, negated));
    }
    if let Some(object) = object {
        tokens.extend(object.tokens(Role::Object, negated));
    }
    if !shifted && let Some((preposition, recipient)) = &event.recipient {
        tokens.push(Token::new(*preposition, Tag::Other, Role::Recipient));
        tokens.extend(recipient.tokens(Role::Recipient, negated));
    }
    if passive && !style.agentless {
        tokens.push(Token::new("by", Tag::Other, Role::Object));
        tokens.extend(event.agent.tokens(Role::Object, negated));
    }
    tokens
}

/// Verbs whose recipient can stand before the object without a preposition.
const DATIVE: &[&str] = &[
    "serve", "sell", "show", "lend", "teach", "send", "give", "mail", "write", "throw", "toss", "bring",
];

fn can_shift(event: &Event) -> bool {
    DATIVE.contains(&event.verb)
}

/// A question's parts: the auxiliary that comes first, the subject, and what follows. The event is not negated.
pub fn inverted(event: &Event, style: &Style) -> (Token, Vec<Token>, Vec<Token>) {
    let passive = style.passive && event.has_passive();
    let subject = match &event.object {
        Some(object) if passive => object,
        _ => &event.agent,
    };
    let mut verbs = verb_group(event, subject, passive, false, None);
    let auxiliary = if verbs[0].tag == Tag::Auxiliary {
        verbs.remove(0)
    } else {
        let verb = event.outer.unwrap_or(event.verb);
        verbs[0] = Token::new(verb, Tag::Verb, Role::Predicate).or_wrong(past(verb));
        let plural = subject.agrees_plural();
        match event.tense {
            Tense::Habit if plural => Token::new("do", Tag::Auxiliary, Role::Predicate).or_wrong("does"),
            Tense::Habit => Token::new("does", Tag::Auxiliary, Role::Predicate).or_wrong("do"),
            _ => Token::new("did", Tag::Auxiliary, Role::Predicate),
        }
    };
    verbs.extend(arguments(event, style, passive));
    if let Some((manner, form)) = event.manner {
        verbs.push(Token::new(manner.words[form], Tag::Adverb, Role::Adjunct));
    }
    let time = event.time.map(|(time, form)| time.words[form]);
    for phrase in [event.place, time, event.reason].into_iter().flatten() {
        verbs.push(Token::new(phrase, Tag::Adjunct, Role::Adjunct));
    }
    (auxiliary, subject.tokens(Role::Subject, false), verbs)
}

/// The verb with its auxiliaries, agreeing with the subject.
fn verb_group(event: &Event, subject: &Np, passive: bool, contracted: bool, early: Option<&str>) -> Vec<Token> {
    let mut tokens = Vec::new();
    let plural = subject.agrees_plural();
    let verb = event.outer.unwrap_or(event.verb);
    let (one, many) = ("is", "are");
    let be_now = Token::new(if plural { many } else { one }, Tag::Auxiliary, Role::Predicate);
    let be_now = be_now.or_wrong(if plural { one } else { many });
    let be_past = Token::new(if plural { "were" } else { "was" }, Tag::Auxiliary, Role::Predicate);
    let be_past = be_past.or_wrong(if plural { "was" } else { "were" });
    let have = Token::new(if plural { "have" } else { "has" }, Tag::Auxiliary, Role::Predicate);
    let have = have.or_wrong(if plural { "has" } else { "have" });
    let does = Token::new(if plural { "do" } else { "does" }, Tag::Auxiliary, Role::Predicate);
    let does = does.or_wrong(if plural { "does" } else { "do" });
    let auxiliary = |text: &str| Token::new(text, Tag::Auxiliary, Role::Predicate);
    let main = |text: String| Token::new(text, Tag::Verb, Role::Predicate);

    let (auxiliaries, word) = match (event.tense, passive) {
        (Tense::Past, false) if event.negated => (vec![auxiliary("did")], main(verb.to_string()).or_wrong(past(verb))),
        (Tense::Past, false) => (vec![], main(past(verb))),
        (Tense::Past, true) => (vec![be_past], main(participle(verb)).or_wrong(gerund(verb))),
        (Tense::Future, false) => (vec![auxiliary("will")], main(verb.to_string()).or_wrong(past(verb))),
        (Tense::Future, true) => (
            vec![auxiliary("will"), auxiliary("be").or_wrong("is")],
            main(participle(verb)).or_wrong(verb),
        ),
        (Tense::Habit, false) if event.negated => (vec![does], main(verb.to_string()).or_wrong(third(verb))),
        (Tense::Habit, false) if plural => (vec![], main(verb.to_string()).or_wrong(third(verb))),
        (Tense::Habit, false) => (vec![], main(third(verb)).or_wrong(verb)),
        (Tense::Habit, true) => (vec![be_now], main(participle(verb)).or_wrong(verb)),
        (Tense::Perfect, false) => (vec![have], main(participle(verb)).or_wrong(verb)),
        (Tense::Perfect, true) => (
            vec![have, auxiliary("been").or_wrong("being")],
            main(participle(verb)).or_wrong(verb),
        ),
        (Tense::Progressive, false) => (vec![be_now], main(gerund(verb)).or_wrong(verb)),
        (Tense::Progressive, true) => (
            vec![be_now, auxiliary("being").or_wrong("been")],
            main(participle(verb)).or_wrong(verb),
        ),
    };
    for (at, mut token) in auxiliaries.into_iter().enumerate() {
        if at > 0 || !event.negated {
            tokens.push(token);
        } else if contracted {
            token.text = without(&token.text);
            token.wrong = token.wrong.map(|wrong| without(&wrong));
            tokens.push(token);
        } else {
            tokens.push(token);
            tokens.push(Token::new("not", Tag::Not, Role::Predicate));
        }
    }
    tokens.extend(early.map(|manner| Token::new(manner, Tag::Adverb, Role::Predicate)));
    tokens.push(word);
    if event.outer.is_some() {
        tokens.push(Token::new("to", Tag::Other, Role::Predicate));
        tokens.push(Token::new(event.verb, Tag::Verb, Role::Predicate).or_wrong(past(event.verb)));
    }
    tokens
}

/// An auxiliary with the negation drawn together.
fn without(auxiliary: &str) -> String {
    match auxiliary {
        "will" => "won't".to_string(),
        _ => format!("{auxiliary}n't"),
    }
}
