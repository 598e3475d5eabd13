//! What WinoGrande's sentences are about: relations between two people or two things, and what is true of one side of
//! them and not of the other.

/// A relation of a first `{x}` and a second `{y}`; `{o}` is a thing that it is about.
#[derive(Debug)]
pub(crate) struct Relation {
    /// Groups of the things it is about, or, where the sides themselves are things, of the first and the second side.
    pub things: &'static [&'static str],
    /// Ways to say it, some of which name the second first.
    pub told: &'static [&'static str],
    /// The word that joins what follows.
    pub joined: &'static str,
    /// What is true of the first, and in the same words as far as may be, of the second.
    pub sides: &'static [(&'static str, &'static str)],
}

/// Things that change hands, and things to be worked with.
const GOODS: &[&str] = &[
    "furniture",
    "bicycle",
    "instrument",
    "device",
    "tool",
    "toy",
    "jewel",
    "luggage",
    "artwork",
    "boat",
    "vehicle",
];
const LOANS: &[&str] = &[
    "tool",
    "instrument",
    "device",
    "book",
    "bicycle",
    "luggage",
    "gear",
    "cookware",
];
const CRAFT: &[&str] = &["bicycle", "furniture", "device", "vehicle", "instrument", "boat"];
const TEXTS: &[&str] = &["document", "book", "homework", "message"];

/// Between two people.
pub(crate) const PEOPLE: &[Relation] = &[
    Relation {
        things: LOANS,
        told: &["{x} lent the {o} to {y}", "{y} borrowed the {o} from {x}"],
        joined: "because",
        sides: &[
            ("_ had two of them", "_ had none"),
            ("_ did not need it that day", "_ needed it that day"),
            ("_ is known to share everything", "_ is known to own nothing"),
            ("_ liked to be generous", "_ wanted to save money"),
        ],
    },
    Relation {
        things: LOANS,
        told: &["{x} lent the {o} to {y}", "{y} borrowed the {o} from {x}"],
        joined: "so",
        sides: &[
            ("_ had to do without it", "_ could use it"),
            ("_ later asked for it back", "_ later had to give it back"),
            ("_ was thanked", "_ said thank you"),
        ],
    },
    Relation {
        things: GOODS,
        told: &["{x} sold the {o} to {y}", "{y} bought the {o} from {x}"],
        joined: "so",
        sides: &[
            ("_ got the money", "_ paid the money"),
            ("_ no longer has it", "_ has it now"),
            ("_ is a little richer", "_ is a little poorer"),
            ("_ had to explain how old it was", "_ had to ask how old it was"),
        ],
    },
    Relation {
        things: GOODS,
        told: &["{x} sold the {o} to {y}", "{y} bought the {o} from {x}"],
        joined: "because",
        sides: &[
            ("_ needed cash", "_ needed one like it"),
            ("_ wanted to get rid of it", "_ wanted to own it"),
            ("_ had used it too rarely", "_ had looked for it too long"),
        ],
    },
    Relation {
        things: CRAFT,
        told: &["{x} repaired the {o} of {y}", "The {o} of {y} was repaired by {x}"],
        joined: "because",
        sides: &[
            ("_ knows how to do it", "_ does not know how to do it"),
            ("_ has the right tools", "_ lacks the right tools"),
            ("_ likes to help", "_ had asked for help"),
            ("_ is skilful", "_ is clumsy"),
        ],
    },
    Relation {
        things: CRAFT,
        told: &["{x} damaged the {o} of {y}", "The {o} of {y} was damaged by {x}"],
        joined: "so",
        sides: &[
            ("_ had to apologise", "_ got an apology"),
            ("_ offered to pay", "_ asked to be paid"),
            ("_ felt guilty", "_ felt angry"),
        ],
    },
    Relation {
        things: TEXTS,
        told: &[
            "{x} asked {y} for help with the {o}",
            "{y} was asked by {x} for help with the {o}",
        ],
        joined: "because",
        sides: &[
            ("_ found it too difficult", "_ would find it easy"),
            ("_ is a beginner", "_ is an expert"),
            ("_ had little experience", "_ had much experience"),
            ("_ did not understand it", "_ understood it well"),
        ],
    },
    Relation {
        things: TEXTS,
        told: &["{x} explained the {o} to {y}", "{y} had the {o} explained by {x}"],
        joined: "because",
        sides: &[
            ("_ had understood it", "_ had not understood it"),
            ("_ is the teacher", "_ is the pupil"),
            ("_ knew more about it", "_ knew less about it"),
        ],
    },
    Relation {
        things: GOODS,
        told: &["{x} stole the {o} of {y}", "The {o} of {y} was stolen by {x}"],
        joined: "so",
        sides: &[
            ("_ was arrested", "_ called the police"),
            ("_ was sent to prison", "_ was sent a letter of regret"),
            ("_ hid from the police", "_ reported it to the police"),
        ],
    },
    Relation {
        things: LOANS,
        told: &["{x} found the {o} of {y}", "The {o} of {y} was found by {x}"],
        joined: "so",
        sides: &[
            ("_ got a reward", "_ paid a reward"),
            ("_ handed it over", "_ got it back"),
            ("_ was told how welcome that was", "_ said how welcome that was"),
        ],
    },
    Relation {
        things: &["contest"],
        told: &["{x} beat {y} in the {o}", "{y} lost the {o} to {x}"],
        joined: "because",
        sides: &[
            ("_ had trained hard", "_ had trained too little"),
            ("_ was in better shape", "_ was in worse shape"),
            ("_ was the stronger one", "_ was the weaker one"),
            ("_ had slept well", "_ had slept badly"),
        ],
    },
    Relation {
        things: &["contest"],
        told: &["{x} beat {y} in the {o}", "{y} lost the {o} to {x}"],
        joined: "so",
        sides: &[
            ("_ got the medal", "_ went home without a medal"),
            ("_ celebrated", "_ was disappointed"),
            ("_ was congratulated", "_ was comforted"),
        ],
    },
    Relation {
        things: &["remedy"],
        told: &["{x} gave the {o} to {y}", "{y} got the {o} from {x}"],
        joined: "because",
        sides: &[
            ("_ is a doctor", "_ is a patient"),
            ("_ had found the illness", "_ had caught the illness"),
            ("_ was on duty as a nurse", "_ was in bed with a fever"),
        ],
    },
    Relation {
        things: &["message", "parcel"],
        told: &["{x} sent the {o} to {y}", "{y} received the {o} from {x}"],
        joined: "so",
        sides: &[
            ("_ waited for an answer", "_ had to write an answer"),
            ("_ paid for the stamp", "_ opened it with surprise"),
        ],
    },
    Relation {
        things: &["drink", "dish"],
        told: &["{x} served the {o} to {y}", "{y} was served the {o} by {x}"],
        joined: "because",
        sides: &[
            ("_ works as a waiter", "_ came as a guest"),
            ("_ was the host", "_ was the visitor"),
            ("_ had cooked enough", "_ had not eaten yet"),
        ],
    },
];

/// Between two things; a person named `{p}` may act.
pub(crate) const THINGS: &[Relation] = &[
    Relation {
        things: &["tool", "parcel"],
        told: &["The {x} does not fit into the {y}", "The {y} cannot hold the {x}"],
        joined: "because",
        sides: &[
            ("the _ is too large", "the _ is too small"),
            ("the _ is too wide", "the _ is too narrow"),
            ("the _ has grown too big", "the _ has got too tight"),
        ],
    },
    Relation {
        things: &["cookware", "luggage"],
        told: &[
            "{p} could not put the {x} into the {y}",
            "The {y} had no room for the {x} of {p}",
        ],
        joined: "because",
        sides: &[
            ("the _ was too large", "the _ was too small"),
            ("the _ was too wide", "the _ was too full"),
        ],
    },
    Relation {
        things: &["clothing", "clothing"],
        told: &[
            "{p} wore the {x} instead of the {y}",
            "{p} left the {y} at home and wore the {x}",
        ],
        joined: "because",
        sides: &[
            ("the _ was clean", "the _ was dirty"),
            ("the _ was dry", "the _ was wet"),
            ("the _ fitted well", "the _ fitted badly"),
            ("the _ looked beautiful", "the _ looked ugly"),
        ],
    },
    Relation {
        things: &["furniture", "furniture"],
        told: &[
            "{p} bought the {x} rather than the {y}",
            "{p} did not buy the {y} but the {x}",
        ],
        joined: "because",
        sides: &[
            ("the _ was cheap", "the _ was expensive"),
            ("the _ was comfortable", "the _ was uncomfortable"),
            ("the _ was in good condition", "the _ was in bad condition"),
        ],
    },
    Relation {
        things: &["device", "device"],
        told: &[
            "{p} replaced the {x} with the {y}",
            "{p} uses the {y} in place of the {x}",
        ],
        joined: "because",
        sides: &[
            ("the _ was out of order", "the _ was in order"),
            ("the _ was out of date", "the _ was up to date"),
            ("the _ was slow", "the _ was fast"),
            ("the _ was unreliable", "the _ was reliable"),
        ],
    },
    Relation {
        things: &["dish", "dish"],
        told: &[
            "{p} ate the {x} but not the {y}",
            "{p} did not touch the {y} but ate the {x}",
        ],
        joined: "because",
        sides: &[
            ("the _ tasted delicious", "the _ tasted awful"),
            ("the _ was warm", "the _ was cold"),
            ("the _ smelled good", "the _ smelled bad"),
        ],
    },
    Relation {
        things: &["book", "book"],
        told: &[
            "{p} read the {x} faster than the {y}",
            "{p} read the {y} more slowly than the {x}",
        ],
        joined: "because",
        sides: &[
            ("the _ was short", "the _ was long"),
            ("the _ was easy", "the _ was difficult"),
            ("the _ was exciting", "the _ was boring"),
        ],
    },
    Relation {
        things: &["boat", "transit"],
        told: &[
            "{p} took the {x} instead of the {y}",
            "{p} did not take the {y} but the {x}",
        ],
        joined: "because",
        sides: &[
            ("the _ was on time", "the _ was late"),
            ("the _ was empty", "the _ was crowded"),
            ("the _ was safe", "the _ was dangerous"),
        ],
    },
    Relation {
        things: &["pet", "livestock"],
        told: &["The {x} ran away from the {y}", "The {y} chased the {x} away"],
        joined: "because",
        sides: &[
            ("the _ was frightened", "the _ was frightening"),
            ("the _ was timid", "the _ was fierce"),
            ("the _ feared a bite", "the _ wanted to bite"),
        ],
    },
];
