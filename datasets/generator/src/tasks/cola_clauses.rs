//! CoLA's constructions in which clauses are built: binding, case, complements, questions, relative clauses.

use super::cola_forms::{Kit, join_lower};
use crate::edits::is_person;
use crate::grammar::{Role, Style, inverted, join};
use crate::lexicon::Gender;
use crate::morphology::{gerund, past};

/// `Anna hurt herself`, `*Anna hurt himself`
pub(super) fn reflexive(kit: &mut Kit<'_>, good: bool) -> Option<String> {
    let verb = kit.one("hurt, blamed, admired, introduced, defended, described, praised, saw, taught, washed, criticised, photographed, forgot about, talked about, laughed at, was proud of, looked at, bought something for");
    let (subject, right) = match kit.dice.below(4) {
        0 | 1 => {
            let (name, gender) = kit.name();
            (
                name.to_string(),
                if gender == Gender::Woman { "herself" } else { "himself" },
            )
        }
        2 => {
            let noun = kit.person();
            (format!("the {}", noun.text(0, true)), "themselves")
        }
        // The possessor agrees with nothing.
        _ => {
            let (name, _) = kit.name();
            let (kin, right) = kit.dice.pick(&[
                ("mother", "herself"),
                ("brother", "himself"),
                ("sisters", "themselves"),
                ("uncle", "himself"),
                ("aunt", "herself"),
                ("parents", "themselves"),
            ]);
            (format!("{name}'s {kin}"), right)
        }
    };
    let verb = if right == "themselves" {
        verb.replace("was proud", "were proud")
    } else {
        verb.to_string()
    };
    let tail = match kit.dice.below(3) {
        0 => format!(" {}", kit.place()),
        1 => format!(
            " {}",
            kit.one("last night, yesterday, again, in the end, without a reason")
        ),
        _ => String::new(),
    };
    if good {
        return Some(format!("{subject} {verb} {right}{tail}."));
    }
    Some(match kit.dice.below(4) {
        0 => format!("{right} {verb} {subject}{tail}."),
        1 => format!(
            "{subject} {verb} {}{tail}.",
            kit.one("hisself, theirselves, themself's")
        ),
        _ => {
            let wrong: Vec<&str> = ["herself", "himself", "themselves"]
                .into_iter()
                .filter(|one| *one != right)
                .collect();
            let wrong = kit.dice.pick(&wrong);
            format!("{subject} {verb} {wrong}{tail}.")
        }
    })
}

/// `she saw him`, `*her saw him`
pub(super) fn pronoun_case(kit: &mut Kit<'_>, good: bool) -> Option<String> {
    let pronouns = [
        ("she", "her"),
        ("he", "him"),
        ("they", "them"),
        ("we", "us"),
        ("I", "me"),
    ];
    let (subject, oblique) = kit.dice.pick(&pronouns);
    let verb = kit.one("thanked, invited, warned, visited, followed, called, ignored, recognised, helped");
    let person = kit.person().text(0, false).to_string();
    let place = kit.place();
    let preposition = kit.one("with, behind, after, without, near, for");
    let (as_subject, as_object) = if good { (subject, oblique) } else { (oblique, subject) };
    Some(match kit.dice.below(4) {
        0 => format!("{as_subject} {verb} the {person} {place}."),
        1 => format!("the {person} {verb} {as_object} {place}."),
        2 => format!("the {person} arrived {place} {preposition} {as_object}."),
        _ => {
            let (name, _) = kit.name();
            format!("{name} knows that {as_subject} {verb} the {person}.")
        }
    })
}

/// `wants to paint`, `*wants painting`; `enjoys painting`, `*enjoys to paint`
pub(super) fn control(kit: &mut Kit<'_>, good: bool) -> Option<String> {
    const WITH_TO: &str = "decided, hoped, refused, promised, planned, agreed, managed, offered, pretended";
    const WITH_ING: &str = "enjoyed, avoided, finished, kept, suggested, denied, gave up, postponed, risked";
    let event = kit.transitive();
    let subject = join(&event.agent.tokens(Role::Subject, false), "");
    let object = join_lower(&event.object.as_ref()?.tokens(Role::Object, false));
    let place = if kit.dice.chance(50) {
        format!(" {}", kit.place())
    } else {
        String::new()
    };
    let (takes_to, outer) = if kit.dice.chance(50) {
        (true, kit.one(WITH_TO))
    } else {
        (false, kit.one(WITH_ING))
    };
    let complement = match (takes_to == good, kit.dice.chance(20) && !good) {
        (_, true) if takes_to => event.verb.to_string(),
        (_, true) => past(event.verb),
        (true, _) => format!("to {}", event.verb),
        (false, _) => gerund(event.verb),
    };
    Some(format!("{subject} {outer} {complement} {object}{place}."))
}

/// `what did the cook slice?`, `*what did the cook slice the onions?`
pub(super) fn question(kit: &mut Kit<'_>, good: bool) -> Option<String> {
    let event = kit.transitive();
    let (auxiliary, subject, rest) = inverted(&event, &Style::PLAIN);
    let object = join_lower(&event.object.as_ref()?.tokens(Role::Object, false));
    let (subject, verb) = (join_lower(&subject), event.verb);
    let person = is_person(event.object.as_ref()?);
    let wh = if person {
        "who"
    } else {
        kit.one("what, which of these things")
    };
    let adverbial = kit.one("when, where, why, how often");
    let tail = if kit.dice.chance(45) {
        format!(" {}", kit.place())
    } else {
        String::new()
    };
    let auxiliary = auxiliary.text;
    if good {
        return Some(match kit.dice.below(4) {
            0 => format!("{wh} {auxiliary} {subject} {verb}{tail}?"),
            1 => format!("{adverbial} {auxiliary} {subject} {}?", join_lower(&rest)),
            2 => format!("{auxiliary} {subject} {verb} {object}{tail}?"),
            _ => format!("nobody knows {wh} {subject} {}{tail}.", past(verb)),
        });
    }
    Some(match kit.dice.below(6) {
        0 => format!("{wh} {subject} {}{tail}?", past(verb)),
        1 => format!("{wh} {auxiliary} {subject} {verb} {object}{tail}?"),
        2 => format!("{wh} {auxiliary} {subject} {}{tail}?", past(verb)),
        3 => format!("{adverbial} {subject} {verb} {object}?"),
        4 => format!("{adverbial} {verb} {auxiliary} {subject} {object}?"),
        _ => format!("nobody knows {wh} {auxiliary} {subject} {verb}{tail}."),
    })
}

/// `the cook who sliced the onions was late`, `*the cook sliced the onions was late`
pub(super) fn relative(kit: &mut Kit<'_>, good: bool) -> Option<String> {
    let event = kit.transitive();
    let noun = event.agent.as_noun()?;
    let plural = kit.dice.chance(40);
    let subject = format!("the {}", noun.text(0, plural));
    let object = event.object.as_ref()?;
    let words = join_lower(&object.tokens(Role::Object, false));
    let verb = past(event.verb);
    let tail = kit.one("late, tired, at home, very proud, in a hurry, surprised, quite old");
    let (be, not_be) = if plural { ("are", "is") } else { ("is", "are") };
    if kit.dice.chance(55) {
        let who = kit.one("who, that");
        return Some(match (good, kit.dice.below(4)) {
            (true, _) => format!("{subject} {who} {verb} {words} {be} {tail}."),
            (false, 0) => format!("{subject} {verb} {words} {be} {tail}."),
            (false, 1) => format!("{subject} which did {verb} {words} {be} {tail}."),
            (false, 2) => format!("{subject} {who} {words} {verb} {be} {tail}."),
            (false, _) => format!("{subject} {who} {verb} {words} {not_be} {tail}."),
        });
    }
    let thing = object.as_noun()?;
    let many = object.plural;
    let (be, not_be) = if many { ("were", "was") } else { ("was", "were") };
    let head = format!("the {}", thing.text(0, many));
    let tail = kit.one("remarkable, strange, well known, not here yesterday, hard to find, rather unusual");
    let who = kit.one("that, that, ");
    let link = if who.is_empty() {
        " ".to_string()
    } else {
        format!(" {who} ")
    };
    let pronoun = if many { "them" } else { "it" };
    Some(match (good, kit.dice.below(3)) {
        (true, _) => format!("{head}{link}{subject} {verb} {be} {tail}."),
        (false, 0) => format!("{head}{link}{subject} {verb} {pronoun} {be} {tail}."),
        (false, 1) => format!("{head}{link}{verb} {subject} them {be} {tail}."),
        (false, _) => format!("{head}{link}{subject} {verb} {not_be} {tail}."),
    })
}
