//! CoLA's constructions: each makes a good or a bad sentence of the same words, so that only the structure tells them
//! apart. The phenomena are those of textbooks on syntax: binding, case, control, questions, relative clauses, comparison,
//! expletives, negative polarity, raising, datives, causatives, particles, quantifiers, subordination.

use crate::dice::Dice;
use crate::grammar::np::NUMBERS;
use crate::grammar::text::{capitalised, plain};
use crate::grammar::{Detail, Event, Np, Role, Sampler, Style, Tag, Token, clause, inverted, join};
use crate::lexicon::{Gender, Group, Noun, Tense, Topic, lexicon};
use crate::morphology::{article, gerund, past};

/// What a construction is built from.
struct Kit<'a> {
    dice: &'a mut Dice,
    topic: &'static Topic,
}

/// A sentence of a random construction.
pub(super) fn sentence(dice: &mut Dice, topic: &'static Topic, good: bool) -> Option<String> {
    const FORMS: &[fn(&mut Kit<'_>, bool) -> Option<String>] = &[
        reflexive,
        reflexive,
        pronoun_case,
        control,
        control,
        question,
        question,
        relative,
        relative,
        comparison,
        there,
        polarity,
        raising,
        dative,
        causative,
        particle,
        quantifier,
        subordination,
        correlative,
        manner,
    ];
    let form = dice.pick(FORMS);
    form(&mut Kit { dice, topic }, good).map(|text| capitalised(&text))
}

impl Kit<'_> {
    fn one(&mut self, list: &'static str) -> &'static str {
        self.dice.word(list)
    }

    fn name(&mut self) -> (&'static str, Gender) {
        self.dice.pick(&lexicon().names)
    }

    fn people(&mut self) -> &'static Group {
        &lexicon().groups[self.dice.pick(&self.topic.people)]
    }

    fn person(&mut self) -> &'static Noun {
        let group = self.people();
        self.dice.choose(&group.members)
    }

    /// A countable thing that the topic has to do with.
    fn thing(&mut self) -> &'static Noun {
        loop {
            let frame = self.dice.choose(&self.topic.frames);
            let Some(&group) = frame.objects.first() else { continue };
            let noun = self.dice.choose(&lexicon().groups[group].members);
            if !noun.mass && !lexicon().groups[group].people {
                return noun;
            }
        }
    }

    fn place(&mut self) -> &'static str {
        self.dice.pick(&self.topic.places)
    }

    fn event(&mut self, detail: Detail) -> Event {
        Sampler {
            topic: self.topic,
            detail,
        }
        .event(self.dice)
    }

    /// A past event with an object, plainly said.
    fn transitive(&mut self) -> Event {
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

/// `Anna hurt herself`, `*Anna hurt himself`
fn reflexive(kit: &mut Kit<'_>, good: bool) -> Option<String> {
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
fn pronoun_case(kit: &mut Kit<'_>, good: bool) -> Option<String> {
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
fn control(kit: &mut Kit<'_>, good: bool) -> Option<String> {
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

fn join_lower(tokens: &[Token]) -> String {
    let mut words = vec![plain("_")];
    words.extend(tokens.iter().cloned());
    join(&words, "")[2..].to_string()
}

/// `what did the cook slice?`, `*what did the cook slice the onions?`
fn question(kit: &mut Kit<'_>, good: bool) -> Option<String> {
    let event = kit.transitive();
    let (auxiliary, subject, rest) = inverted(&event, &Style::PLAIN);
    let object = join_lower(&event.object.as_ref()?.tokens(Role::Object, false));
    let (subject, verb) = (join_lower(&subject), event.verb);
    let person = crate::edits::is_person(event.object.as_ref()?);
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
fn relative(kit: &mut Kit<'_>, good: bool) -> Option<String> {
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

/// `older than`, `*more older than`, `*old than`
fn comparison(kit: &mut Kit<'_>, good: bool) -> Option<String> {
    const SHORT: &[(&str, &str)] = &[
        ("old", "older"),
        ("young", "younger"),
        ("tall", "taller"),
        ("short", "shorter"),
        ("rich", "richer"),
        ("kind", "kinder"),
        ("clever", "cleverer"),
        ("quick", "quicker"),
        ("strong", "stronger"),
        ("calm", "calmer"),
    ];
    const LONG: &str = "famous, patient, nervous, experienced, generous, honest, careful, talented";
    let (first, _) = kit.name();
    let other = kit.person().text(0, false).to_string();
    let intensity = kit.one(", much , a little , far ");
    let (base, right, wrong) = if kit.dice.chance(50) {
        let (base, comparative) = kit.dice.pick(SHORT);
        let wrong = [
            format!("more {comparative} than"),
            format!("{base} than"),
            format!("{comparative} as"),
        ];
        (base, format!("{comparative} than"), wrong)
    } else {
        let base = kit.one(LONG);
        let wrong = [
            format!("{base}er than"),
            format!("more {base} as"),
            format!("{base} than"),
        ];
        (base, format!("more {base} than"), wrong)
    };
    if kit.dice.chance(30) {
        let equal = if good {
            format!("as {base} as")
        } else {
            format!("as {}", right)
        };
        return Some(format!("{first} is {equal} the {other}."));
    }
    let middle = if good { right } else { kit.dice.choose(&wrong).clone() };
    Some(format!("{first} is {intensity}{middle} the {other}."))
}

/// `there are three cats in the garden`, `*there is three cats`
fn there(kit: &mut Kit<'_>, good: bool) -> Option<String> {
    let noun = kit.thing();
    let place = kit.place();
    let number = NUMBERS[2 + kit.dice.below(8)];
    let plural = kit.dice.chance(50);
    let past_tense = kit.dice.chance(40);
    let be = match (plural == good, past_tense) {
        (true, true) => "were",
        (true, false) => "are",
        (false, true) => "was",
        (false, false) => "is",
    };
    let right = match (plural, past_tense) {
        (true, true) => "were",
        (true, false) => "are",
        (false, true) => "was",
        (false, false) => "is",
    };
    let phrase = if plural {
        format!("{number} {}", noun.text(0, true))
    } else {
        format!("{} {}", article(noun.text(0, false)), noun.text(0, false))
    };
    Some(match (good, kit.dice.below(3)) {
        (true, 0) => format!("{right} there {phrase} {place}?"),
        (true, _) => format!("there {right} {phrase} {place}."),
        (false, 0) => format!("there {phrase} {right} {place}."),
        (false, 1) => format!("it {right} {phrase} {place} there."),
        (false, _) => format!("there {be} {phrase} {place}."),
    })
}

/// `nobody has ever seen it`, `*everybody has ever seen it`
fn polarity(kit: &mut Kit<'_>, good: bool) -> Option<String> {
    let thing = kit.thing();
    let person = kit.person().text(0, true).to_string();
    let phrase = format!("{} {}", kit.one("such, this kind of"), "_");
    let object = match phrase.split_once(" _") {
        Some(("such", _)) => format!("such {} {}", article(thing.text(0, false)), thing.text(0, false)),
        _ => format!("this kind of {}", thing.text(0, false)),
    };
    let verb = kit.one("seen, owned, wanted, liked, bought, needed, lost");
    let (licensed, bare) = kit.dice.pick(&[
        ("nobody has", "everybody has"),
        ("none of the _ have", "all of the _ have"),
        ("no _ have", "some _ have"),
        ("few _ have", "many _ have"),
        ("the _ have not", "the _ have"),
    ]);
    let subject = if good { licensed } else { bare }.replace('_', &person);
    Some(if kit.dice.chance(60) {
        format!("{subject} ever {verb} {object}.")
    } else {
        format!("{subject} {verb} any {} {}.", thing.text(0, true), kit.place())
    })
}

/// `Anna seems to be tired`, `*Anna seems that she is tired`
fn raising(kit: &mut Kit<'_>, good: bool) -> Option<String> {
    let (name, gender) = kit.name();
    let pronoun = if gender == Gender::Woman { "she" } else { "he" };
    let state = kit.one("tired, happy, worried about the guests, proud of the result, ready, ill, very busy, in love");
    let verb = kit.one("seems, appears");
    let place = kit.place();
    Some(match (good, kit.dice.below(4)) {
        (true, 0) => format!("{name} {verb} to be {state}."),
        (true, 1) => format!("it {verb} that {name} is {state}."),
        (true, 2) => format!("{name} is likely to be {place}."),
        (true, _) => format!("it is likely that {name} is {place}."),
        (false, 0) => format!("{name} {verb} that {pronoun} is {state}."),
        (false, 1) => format!("it {verb} {name} to be {state}."),
        (false, 2) => format!("{name} is likely that {pronoun} is {place}."),
        (false, _) => format!("{verb} that {name} is {state}."),
    })
}

/// `gave the pupils a book`, `*explained the pupils a book`
fn dative(kit: &mut Kit<'_>, good: bool) -> Option<String> {
    let (name, _) = kit.name();
    let person = kit.person().text(0, true).to_string();
    let thing = kit.thing().text(0, false).to_string();
    let a = article(&thing);
    let both = kit.one("gave, showed, sent, sold, lent, offered, promised, handed");
    let only_to = kit.one("explained, described, donated, returned, mentioned, presented, delivered");
    Some(match (good, kit.dice.below(3)) {
        (true, 0) => format!("{name} {both} the {person} {a} {thing}."),
        (true, 1) => format!("{name} {only_to} {a} {thing} to the {person}."),
        (true, _) => format!("{name} {both} {a} {thing} to the {person}."),
        (false, 0) => format!("{name} {only_to} the {person} {a} {thing}."),
        (false, 1) => format!("{name} {both} to the {person}."),
        (false, _) => format!("{name} {both} to the {person} {a} {thing} it."),
    })
}

/// `the magician made the coin disappear`, `*the magician disappeared the coin`
fn causative(kit: &mut Kit<'_>, good: bool) -> Option<String> {
    const ONLY_INTRANSITIVE: &str = "disappear, laugh, arrive, cry, fall, sneeze, vanish, tremble, cough, sleep";
    const BOTH: &str = "move, roll, spin, turn, sink, stop, shake, burn, dry, change";
    let (name, _) = kit.name();
    let thing = kit.thing().text(0, false).to_string();
    let person = kit.person().text(0, false).to_string();
    let rigid = kit.one(ONLY_INTRANSITIVE);
    let free = kit.one(BOTH);
    let place = kit.place();
    Some(match (good, kit.dice.below(4)) {
        (true, 0) => format!("{name} made the {person} {rigid} {place}."),
        (true, 1) => format!("the {person} {} {place}.", past(rigid)),
        (true, 2) => format!("{name} let the {thing} {free} {place}."),
        (true, _) => format!("the {thing} {} {place}.", past(free)),
        (false, 0) => format!("{name} {} the {person} {place}.", past(rigid)),
        (false, 1) => format!(
            "the {person} was {} by {name} {place}.",
            past(rigid).replace("fell", "fallen")
        ),
        (false, 2) => format!("{name} made the {thing} to {free} {place}."),
        (false, _) => format!("{name} made {free} the {thing} {place}.", free = past(free)),
    })
}

/// `switched it off`, `*switched off it`
fn particle(kit: &mut Kit<'_>, good: bool) -> Option<String> {
    let (verb, particle) = kit.dice.pick(&[
        ("picked", "up"),
        ("threw", "away"),
        ("put", "down"),
        ("gave", "back"),
        ("looked", "up"),
        ("took", "away"),
        ("brought", "back"),
        ("wrote", "down"),
        ("handed", "in"),
        ("filled", "up"),
    ]);
    let (name, _) = kit.name();
    let thing = kit.thing();
    let plural = kit.dice.chance(50);
    let pronoun = if plural { "them" } else { "it" };
    let noun = format!("the {}", thing.text(0, plural));
    let place = kit.place();
    Some(match (good, kit.dice.below(3)) {
        (true, 0) => format!("{name} {verb} {pronoun} {particle} {place}."),
        (true, 1) => format!("{name} {verb} {noun} {particle} {place}."),
        (true, _) => format!("{name} {verb} {particle} {noun} {place}."),
        (false, 0) => format!("{name} {particle} {verb} {noun} {place}."),
        (false, 1) => format!("{name} {verb} {particle} {pronoun} {place}."),
        (false, _) => format!("{name} {verb} {pronoun} {noun} {particle} {place}."),
    })
}

/// `every cook`, `*every cooks`; `many onions`, `*many flour`
fn quantifier(kit: &mut Kit<'_>, good: bool) -> Option<String> {
    let (name, _) = kit.name();
    let person = kit.person();
    let thing = kit.thing();
    let verb = kit.one("saw, wanted, found, mentioned, needed, counted");
    let place = kit.place();
    let plural = kit.dice.chance(50);
    let quantity = if plural {
        kit.one("many, a few, both, several, these, fewer, a number of")
    } else {
        kit.one("every, each, this, another, neither, that")
    };
    if kit.dice.chance(50) {
        return Some(format!(
            "{name} {verb} {quantity} {} {place}.",
            thing.text(0, plural == good)
        ));
    }
    let tail = kit.one("arrived, laughed, waited, spoke, stayed, worked");
    Some(format!("{quantity} {} {tail} {place}.", person.text(0, plural == good)))
}

/// `because it rained`, `*because of it rained`
fn subordination(kit: &mut Kit<'_>, good: bool) -> Option<String> {
    let mut event = kit.event(Detail {
        adjective: 20,
        ..Detail::NONE
    });
    event.tense = Tense::Past;
    let words = clause(&event, &Style::PLAIN);
    let main = join_lower(&words);
    let (finite, nominal) = kit.dice.pick(&[
        ("it was raining", "the rain"),
        ("it was late", "the late hour"),
        ("the road was closed", "the closed road"),
        ("everybody was tired", "the long day"),
        ("the shops were shut", "the holiday"),
        ("the noise was terrible", "the terrible noise"),
    ]);
    let (with_clause, with_noun) = kit.dice.pick(&[
        ("because", "because of"),
        ("although", "despite"),
        ("while", "during"),
        ("although", "in spite of"),
    ]);
    let during = with_noun == "during" && nominal.contains("road");
    if during {
        return None;
    }
    let (link, rest) = match (good, kit.dice.chance(50)) {
        (true, true) => (with_clause, finite),
        (true, false) => (with_noun, nominal),
        (false, true) => (with_noun, finite),
        (false, false) => (with_clause, nominal),
    };
    Some(if kit.dice.chance(40) {
        format!("{link} {rest}, {main}.")
    } else {
        format!("{main} {link} {rest}.")
    })
}

/// `both Anna and Peter`, `*both Anna or Peter`
fn correlative(kit: &mut Kit<'_>, good: bool) -> Option<String> {
    let event = kit.transitive();
    let (first, _) = kit.name();
    let (second, _) = kit.name();
    if first == second {
        return None;
    }
    let (open, close, wrong) = kit.dice.pick(&[
        ("both", "and", "or"),
        ("either", "or", "and"),
        ("neither", "nor", "and"),
        ("not only", "but also", "or also"),
    ]);
    let close = if good { close } else { wrong };
    let object = join_lower(&event.object.as_ref()?.tokens(Role::Object, open == "neither"));
    let place = if kit.dice.chance(50) {
        format!(" {}", kit.place())
    } else {
        String::new()
    };
    Some(format!(
        "{open} {first} {close} {second} {} {object}{place}.",
        past(event.verb)
    ))
}

/// `spoke quietly`, `*spoke quiet`; `a quiet man`, `*a quietly man`
fn manner(kit: &mut Kit<'_>, good: bool) -> Option<String> {
    const WORDS: &[(&str, &str)] = &[
        ("quiet", "quietly"),
        ("slow", "slowly"),
        ("careful", "carefully"),
        ("polite", "politely"),
        ("nervous", "nervously"),
        ("proud", "proudly"),
        ("patient", "patiently"),
        ("calm", "calmly"),
        ("clumsy", "clumsily"),
        ("honest", "honestly"),
    ];
    let (adjective, adverb) = kit.dice.pick(WORDS);
    let noun = kit.person();
    let person = Np::noun(crate::grammar::Det::The, noun, kit.dice.chance(35));
    let subject = join_lower(&person.tokens(Role::Subject, false));
    let (be, _) = if person.plural {
        ("were", "was")
    } else {
        ("was", "were")
    };
    let place = kit.place();
    let (said_of_act, said_of_person) = if good { (adverb, adjective) } else { (adjective, adverb) };
    Some(match kit.dice.below(3) {
        0 => {
            let event = kit.transitive();
            let object = event.object.as_ref()?;
            let object = join_lower(&object.tokens(Role::Object, false));
            let words = [Token::new(past(event.verb), Tag::Verb, Role::Predicate)];
            format!("{subject} {} {object} very {said_of_act} {place}.", words[0].text)
        }
        1 => format!("{subject} {be} very {said_of_person} {place}."),
        _ => {
            let tail = kit.one("arrived, answered, waited, left, smiled");
            format!(
                "the very {said_of_person} {} {tail} {place}.",
                noun.text(0, person.plural)
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every construction makes both forms, and the two are told apart by structure: no bad sentence is also a good one.
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
