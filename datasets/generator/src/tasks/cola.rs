//! CoLA: acceptable or not. Clauses of the grammar, half of them faulty in one place of their structure, and the
//! constructions of `cola_forms`, each in a good and a bad form made of the same words.

use super::{Row, cola_forms};
use crate::dice::Dice;
use crate::grammar::text::{capitalised, plain};
use crate::grammar::{Detail, Event, Role, Sampler, Style, Tag, Token, clause, join};
use crate::lexicon::{Tense, Topic, lexicon};
use crate::morphology::past;

/// A sentence; label 1 is acceptable.
pub fn row(dice: &mut Dice, topics: &'static [Topic], label: usize) -> Option<Row> {
    let topic = dice.choose(topics);
    let good = label == 1;
    let (text, source) = if dice.chance(58) {
        (clause_sentence(dice, topic, good)?, "cl26")
    } else {
        (cola_forms::sentence(dice, topic, good)?, "fo26")
    };
    let (texts, label) = (vec![text], label.to_string());
    Some(Row { texts, label, source })
}

/// Detail as in textbook examples: short, and often with a phrase between subject and verb.
const DETAIL: Detail = Detail {
    manner: 16,
    place: 28,
    time: 34,
    reason: 6,
    adjective: 25,
    phrase: 35,
};

fn clause_sentence(dice: &mut Dice, topic: &'static Topic, good: bool) -> Option<String> {
    let sampler = Sampler { topic, detail: DETAIL };
    let mut event = sampler.event(dice);
    // Agreement shows in the present and in `be` and `have` only, so that the past is less common here than elsewhere.
    if event.tense == Tense::Past && dice.chance(55) {
        event.tense = if event.frame.manner {
            Tense::Habit
        } else {
            Tense::Perfect
        };
        event.time = dice
            .chance(DETAIL.time)
            .then(|| (dice.pick(lexicon().times(event.tense)), 0));
    }
    if dice.chance(15) && !event.agent.quantified() && !event.object.as_ref().is_some_and(|np| np.quantified()) {
        event.negated = true;
    }
    let embedded = dice.chance(18);
    let style = Sampler::style(&event, dice);
    let style = if embedded { style.unfronted() } else { style };
    let mut tokens = clause(&event, &style);
    if !good {
        tokens = fault(tokens, &event, &style, dice)?;
    }
    if embedded {
        let (name, _) = dice.pick(&lexicon().names);
        let opener = dice.pick(OPENERS);
        let mut all = vec![plain(name), plain(opener)];
        all.append(&mut tokens);
        tokens = all;
    }
    Some(capitalised(&join(&tokens, ".")))
}

/// What a clause can depend on.
const OPENERS: &[&str] = &[
    "says that",
    "thinks that",
    "heard that",
    "believes that",
    "knows that",
    "told us that",
];

/// One fault of structure, of a kind that the clause has room for.
fn fault(tokens: Vec<Token>, event: &Event, style: &Style, dice: &mut Dice) -> Option<Vec<Token>> {
    match dice.below(12) {
        0..=2 => agreement(tokens),
        3 => verb_form(tokens),
        4 => noun_number(tokens),
        5 => swap_determiner(tokens, dice),
        6 => adverb_before_object(tokens, event, style, dice),
        7 => missing_object(tokens, event, style),
        8 => extra_object(tokens, event, dice),
        9 => missing_determiner(tokens),
        10 => tense_clash(event, style, dice),
        _ => verb_misplaced(tokens, dice),
    }
}

/// `the cooks slices`, `the cook have sliced`
fn agreement(mut tokens: Vec<Token>) -> Option<Vec<Token>> {
    let finite = tokens
        .iter_mut()
        .find(|token| token.role == Role::Predicate && token.tag != Tag::Adverb)?;
    if !matches!(finite.tag, Tag::Auxiliary | Tag::Verb) {
        return None;
    }
    let wrong = finite.wrong.take()?;
    // `Nina read` is a past as good as any.
    if wrong == past(&wrong) {
        return None;
    }
    finite.text = wrong;
    Some(tokens)
}

/// `has slice`, `did not sliced`, `will be slice`
fn verb_form(mut tokens: Vec<Token>) -> Option<Vec<Token>> {
    let finite = tokens.iter().position(|token| token.tag == Tag::Auxiliary)?;
    let later = &mut tokens[finite + 1..];
    let verb = later
        .iter_mut()
        .find(|token| token.tag == Tag::Verb && token.wrong.is_some())?;
    verb.text = verb.wrong.take()?;
    Some(tokens)
}

/// `a onions`, `three onion`
fn noun_number(mut tokens: Vec<Token>) -> Option<Vec<Token>> {
    let tells = |token: &Token| {
        token.tag == Tag::Number
            || token.tag == Tag::Determiner && matches!(token.text.as_str(), "a" | "several" | "all the")
    };
    let at = tokens.iter().position(tells)?;
    let noun = tokens[at..].iter_mut().find(|token| token.tag == Tag::Noun)?;
    noun.text = noun.wrong.take()?;
    Some(tokens)
}

/// `cook the sliced`
fn swap_determiner(mut tokens: Vec<Token>, dice: &mut Dice) -> Option<Vec<Token>> {
    let starts: Vec<usize> = (0..tokens.len().saturating_sub(1))
        .filter(|&at| tokens[at].tag == Tag::Determiner && matches!(tokens[at + 1].tag, Tag::Noun | Tag::Adjective))
        .collect();
    if starts.is_empty() {
        return None;
    }
    let at = dice.pick(&starts);
    tokens.swap(at, at + 1);
    Some(tokens)
}

/// `sliced carefully the onions`
fn adverb_before_object(mut tokens: Vec<Token>, event: &Event, style: &Style, dice: &mut Dice) -> Option<Vec<Token>> {
    if event.object.is_none() || style.passive || event.agent.phrase.is_some() {
        return None;
    }
    let moved = tokens.iter().position(|token| token.tag == Tag::Adverb).or_else(|| {
        tokens
            .iter()
            .rposition(|token| token.tag == Tag::Adjunct && token.role == Role::Adjunct)
    })?;
    let token = tokens.remove(moved);
    // The comma after a fronted phrase goes with it.
    if tokens.get(moved).is_some_and(|next| next.text == ",") {
        tokens.remove(moved);
    }
    let object = tokens.iter().position(|token| token.role == Role::Object)?;
    let inside = object + 1 < tokens.len() && tokens[object + 1].role == Role::Object && dice.chance(35);
    tokens.insert(if inside { object + 1 } else { object }, token);
    Some(tokens)
}

/// Verbs that cannot do without an object.
const TRANSITIVE: &[&str] = &[
    "slice",
    "peel",
    "borrow",
    "store",
    "hide",
    "buy",
    "return",
    "wrap",
    "repair",
    "choose",
    "admire",
    "exchange",
    "recommend",
    "postpone",
    "organise",
    "lend",
    "thank",
    "congratulate",
    "compose",
    "carry",
    "hire",
    "photograph",
    "sharpen",
    "sign",
    "delete",
    "copy",
    "solve",
    "treat",
    "examine",
    "visit",
    "inform",
    "describe",
    "correct",
    "attend",
    "praise",
    "scold",
    "hug",
    "invite",
    "rent",
    "miss",
    "rescue",
    "arrest",
    "find",
    "destroy",
    "identify",
    "support",
    "reject",
    "announce",
    "discuss",
    "defend",
    "finance",
    "direct",
    "insult",
    "restore",
    "discover",
    "donate",
    "damage",
    "build",
    "demolish",
    "measure",
    "drop",
    "publish",
    "lose",
    "fund",
    "accuse",
    "wear",
    "release",
    "send",
    "employ",
    "water",
    "trim",
    "plant",
];

/// `the cook borrowed in the kitchen`
fn missing_object(tokens: Vec<Token>, event: &Event, style: &Style) -> Option<Vec<Token>> {
    if style.passive || !TRANSITIVE.contains(&event.verb) {
        return None;
    }
    Some(tokens.into_iter().filter(|token| token.role != Role::Object).collect())
}

/// Verbs that never take one.
const INTRANSITIVE: &[&str] = &[
    "sleep", "arrive", "laugh", "faint", "stumble", "yawn", "giggle", "recover", "complain", "rest", "wait",
    "hesitate", "cry", "jog", "bow", "swim", "argue", "whisper", "escape", "work", "slip", "hike",
];

/// `the baby slept the suitcase`
fn extra_object(mut tokens: Vec<Token>, event: &Event, dice: &mut Dice) -> Option<Vec<Token>> {
    if event.object.is_some() || !INTRANSITIVE.contains(&event.verb) {
        return None;
    }
    let verb = tokens.iter().rposition(|token| token.tag == Tag::Verb)?;
    let things: Vec<_> = lexicon().groups.iter().filter(|group| !group.people).collect();
    let noun = {
        let group = dice.pick(&things);
        dice.choose(&group.members)
    };
    let object = Sampler::thing(noun, dice);
    let words = object.tokens(Role::Object, event.negated);
    tokens.splice(verb + 1..verb + 1, words);
    Some(tokens)
}

/// `young cook sliced`
fn missing_determiner(mut tokens: Vec<Token>) -> Option<Vec<Token>> {
    let at = tokens.iter().position(|token| {
        token.tag == Tag::Determiner && matches!(token.text.as_str(), "a" | "the") && token.role != Role::Adjunct
    })?;
    let noun = tokens[at..].iter().find(|token| token.tag == Tag::Noun)?;
    // Plurals and mass nouns stand alone well enough: only a singular misses its determiner.
    let singular = noun
        .wrong
        .as_ref()
        .is_some_and(|other| other.len() >= noun.text.len() && other != &noun.text);
    if !singular || tokens[at].text == "the" && noun.text.ends_with('s') {
        return None;
    }
    tokens.remove(at);
    Some(tokens)
}

/// `yesterday the cook will slice`
fn tense_clash(event: &Event, style: &Style, dice: &mut Dice) -> Option<Vec<Token>> {
    const PAST: &[&str] = &[
        "yesterday",
        "last week",
        "two days ago",
        "last night",
        "in 1998",
        "last summer",
    ];
    const FUTURE: &[&str] = &[
        "tomorrow",
        "next week",
        "tomorrow morning",
        "next summer",
        "in the coming year",
    ];
    let clashing = match event.tense {
        Tense::Future | Tense::Progressive | Tense::Perfect if !event.negated => PAST,
        Tense::Past => FUTURE,
        _ => return None,
    };
    let phrase = dice.pick(clashing);
    let mut event = event.clone();
    let time = lexicon()
        .times
        .iter()
        .flatten()
        .find(|time| time.words.contains(&phrase))?;
    let form = time.words.iter().position(|word| *word == phrase)?;
    event.time = Some((time, form));
    Some(clause(&event, style))
}

/// `sliced the cook has`, `the cook the onions sliced`
fn verb_misplaced(mut tokens: Vec<Token>, dice: &mut Dice) -> Option<Vec<Token>> {
    let verb = tokens.iter().rposition(|token| token.tag == Tag::Verb)?;
    let auxiliary = tokens.iter().position(|token| token.tag == Tag::Auxiliary);
    if let Some(auxiliary) = auxiliary
        && dice.chance(50)
    {
        tokens.swap(auxiliary, verb);
        return Some(tokens);
    }
    let last_object = tokens.iter().rposition(|token| token.role == Role::Object)?;
    if last_object < verb {
        return None;
    }
    let token = tokens.remove(verb);
    tokens.insert(last_object, token);
    Some(tokens)
}
