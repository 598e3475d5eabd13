//! Wordings of questions for QQP: what one may ask about doing something, and about two things.
//!
//! `{v}` is the verb, `{g}` its `-ing` form, `{x}` the object, `{y}` another thing, `{c}` a circumstance with a space
//! before it, or nothing.

/// Something that is asked, with all its wordings.
#[derive(Debug)]
pub struct Intent {
    /// Names from [`CIRCUMSTANCES`] that make sense here.
    pub circumstances: &'static str,
    /// Whether it is asked of a mishap instead of a deed.
    pub mishap: bool,
    /// Whether the first and the second thing may change places.
    pub symmetric: bool,
    /// All mean the same.
    pub wordings: &'static [&'static str],
}

const fn deed(circumstances: &'static str, wordings: &'static [&'static str]) -> Intent {
    let (mishap, symmetric) = (false, false);
    Intent {
        circumstances,
        mishap,
        symmetric,
        wordings,
    }
}

const fn comparison(symmetric: bool, wordings: &'static [&'static str]) -> Intent {
    let (circumstances, mishap) = ("", false);
    Intent {
        circumstances,
        mishap,
        symmetric,
        wordings,
    }
}

/// Questions about doing something.
pub const INTENTS: &[Intent] = &[
    deed(
        "home, alone, beginner, money, tools, quickly, winter, safely, children",
        &[
            "How do I {v} {x}{c}?",
            "How can I {v} {x}{c}?",
            "What is the best way to {v} {x}{c}?",
            "What is the right way of {g} {x}{c}?",
            "Can anyone tell me how to {v} {x}{c}?",
            "How should one go about {g} {x}{c}?",
            "Which steps do I need to take to {v} {x}{c}?",
        ],
    ),
    deed(
        "money, winter, summer, city, country, children, night",
        &[
            "Where can I {v} {x}{c}?",
            "What is a good place to {v} {x}{c}?",
            "Does anyone know a place where I can {v} {x}{c}?",
            "Where should I go if I want to {v} {x}{c}?",
            "Which place is good for {g} {x}{c}?",
        ],
    ),
    deed(
        "winter, summer, night, daily, country, city, abroad",
        &[
            "Why do people {v} {x}{c}?",
            "What is the reason for {g} {x}{c}?",
            "For what reason do people {v} {x}{c}?",
            "What makes people {v} {x}{c}?",
            "What is the point of {g} {x}{c}?",
        ],
    ),
    deed(
        "home, alone, beginner, tools, winter, children",
        &[
            "How long does it take to {v} {x}{c}?",
            "How much time do I need to {v} {x}{c}?",
            "How much time does {g} {x}{c} take?",
            "What is the usual time needed to {v} {x}{c}?",
            "How many hours should I plan for {g} {x}{c}?",
        ],
    ),
    deed(
        "city, country, abroad, winter, summer",
        &[
            "How much does it cost to {v} {x}{c}?",
            "What is the price of {g} {x}{c}?",
            "How much money do I need to {v} {x}{c}?",
            "What would I have to pay to {v} {x}{c}?",
            "How expensive is {g} {x}{c}?",
        ],
    ),
    deed(
        "home, night, city, country, abroad, work",
        &[
            "Is it legal to {v} {x}{c}?",
            "Does the law allow me to {v} {x}{c}?",
            "Is {g} {x}{c} against the law?",
            "Am I allowed by law to {v} {x}{c}?",
            "Could I be fined for {g} {x}{c}?",
        ],
    ),
    deed(
        "home, children, winter, summer, country",
        &[
            "When is the best time to {v} {x}{c}?",
            "What is the best time for {g} {x}{c}?",
            "At what time should I {v} {x}{c}?",
            "When should one {v} {x}{c}?",
        ],
    ),
    deed(
        "home, alone, beginner, winter, safely",
        &[
            "What do I need to {v} {x}{c}?",
            "Which things are needed to {v} {x}{c}?",
            "What equipment is required for {g} {x}{c}?",
            "What should I have at hand for {g} {x}{c}?",
        ],
    ),
    Intent {
        circumstances: "home, work, abroad, night, winter",
        mishap: true,
        symmetric: false,
        wordings: &[
            "How do I avoid {g} {x}{c}?",
            "How can I keep from {g} {x}{c}?",
            "What can I do so that I don't {v} {x}{c}?",
            "What is the best way not to {v} {x}{c}?",
        ],
    },
    deed(
        "home, alone, winter, night, daily, abroad, beginner",
        &[
            "Is it a good idea to {v} {x}{c}?",
            "Should I {v} {x}{c}?",
            "Would you advise me to {v} {x}{c}?",
            "Does it make sense to {v} {x}{c}?",
            "Would you recommend {g} {x}{c}?",
        ],
    ),
    deed(
        "home, alone, daily, night, children",
        &[
            "Is it dangerous to {v} {x}{c}?",
            "Is {g} {x}{c} risky?",
            "Can it do harm to {v} {x}{c}?",
            "Are there any dangers in {g} {x}{c}?",
        ],
    ),
];

/// Questions about two things.
pub const COMPARISONS: &[Intent] = &[
    comparison(
        true,
        &[
            "What is the difference between {x} and {y}?",
            "How does {x} differ from {y}?",
            "In what way are {x} and {y} different?",
            "What makes {x} different from {y}?",
        ],
    ),
    comparison(
        false,
        &[
            "Is {x} better than {y}?",
            "Should I prefer {x} to {y}?",
            "Is it better to have {x} than {y}?",
        ],
    ),
    comparison(
        false,
        &[
            "Is {x} more expensive than {y}?",
            "Does {x} cost more than {y}?",
            "Is {y} cheaper than {x}?",
            "Does {y} cost less than {x}?",
        ],
    ),
    comparison(
        false,
        &[
            "Can I use {x} instead of {y}?",
            "Is {x} a good replacement for {y}?",
            "Can {y} be replaced by {x}?",
            "Could {x} take the place of {y}?",
        ],
    ),
];

/// Circumstances by name, with all ways to say them.
pub const CIRCUMSTANCES: &[(&str, &str)] = &[
    ("home", "at home, in my own home"),
    ("alone", "on my own, by myself, without any help"),
    ("beginner", "as a beginner, without any experience"),
    ("money", "on a small budget, with little money, without spending much"),
    ("winter", "in winter, in the cold season"),
    ("summer", "in summer, in the warm season"),
    ("city", "in a big city, in a large town"),
    ("country", "in the countryside, in a rural area"),
    ("quickly", "quickly, in a short time, fast"),
    ("night", "at night, after dark"),
    ("children", "with small children, when I have young kids"),
    ("tools", "without special tools, with simple tools"),
    ("abroad", "abroad, in a foreign country"),
    ("safely", "safely, without any risk"),
    ("daily", "every day, daily"),
    ("work", "at work, in the office"),
];

/// Verbs that nobody does on purpose.
pub const MISHAPS: &str = "burn, drop, lose, forget, break, miss, damage, scorch, sink";

/// Verbs that make odd questions.
pub const UNASKED: &str = "wear, ignore, taste, eat, steal, shoot, mock, try on, hide, advertise, perform, pay for, finance, fund, \
    reject, oppose, announce, delay, publish, copy, file, support, discuss, criticise, explain, defend, stop, chase, search, \
    direct, praise, steer, use, lend, admire, miss, withhold, throw, measure, quote, describe, count, inspect, whistle";
