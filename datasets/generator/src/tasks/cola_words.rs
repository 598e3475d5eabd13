//! CoLA's constructions in which a word decides what may stand beside it: comparison, expletives, negative polarity,
//! raising, datives, causatives, particles, quantifiers, subordination, correlatives, adverbs.

use super::cola_forms::{Kit, join_lower};
use crate::grammar::np::NUMBERS;
use crate::grammar::{Det, Detail, Np, Role, Style, Tag, Token, clause};
use crate::lexicon::{Gender, Tense};
use crate::morphology::{article, past};

/// `older than`, `*more older than`, `*old than`
pub(super) fn comparison(kit: &mut Kit<'_>, good: bool) -> Option<String> {
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
pub(super) fn there(kit: &mut Kit<'_>, good: bool) -> Option<String> {
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
pub(super) fn polarity(kit: &mut Kit<'_>, good: bool) -> Option<String> {
    let thing = kit.thing();
    let person = kit.person().text(0, true).to_string();
    let name = thing.text(0, false);
    let object = if kit.dice.chance(50) {
        format!("such {} {name}", article(name))
    } else {
        format!("this kind of {name}")
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
pub(super) fn raising(kit: &mut Kit<'_>, good: bool) -> Option<String> {
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
pub(super) fn dative(kit: &mut Kit<'_>, good: bool) -> Option<String> {
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
pub(super) fn causative(kit: &mut Kit<'_>, good: bool) -> Option<String> {
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
pub(super) fn particle(kit: &mut Kit<'_>, good: bool) -> Option<String> {
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
pub(super) fn quantifier(kit: &mut Kit<'_>, good: bool) -> Option<String> {
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
pub(super) fn subordination(kit: &mut Kit<'_>, good: bool) -> Option<String> {
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
pub(super) fn correlative(kit: &mut Kit<'_>, good: bool) -> Option<String> {
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
pub(super) fn manner(kit: &mut Kit<'_>, good: bool) -> Option<String> {
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
    let person = Np::noun(Det::The, noun, kit.dice.chance(35));
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
