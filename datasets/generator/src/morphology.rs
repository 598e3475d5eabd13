//! English inflection: plurals, verb forms, and `a` or `an` by sound.

/// Verbs whose past or participle is not `-ed`: base, past, participle.
const IRREGULAR: &str = "
be was been, beat beat beaten, become became become, begin began begun, break broke broken, bring brought brought,
build built built, buy bought bought, catch caught caught, choose chose chosen, come came come, cut cut cut, deal dealt dealt,
dig dug dug, do did done, draw drew drawn, drink drank drunk, drive drove driven, eat ate eaten, fall fell fallen,
feed fed fed, feel felt felt, fight fought fought, find found found, fly flew flown, forbid forbade forbidden,
forget forgot forgotten, freeze froze frozen, get got got, give gave given, go went gone, grow grew grown, hang hung hung,
have had had, hear heard heard, hide hid hidden, hit hit hit, hold held held, keep kept kept, know knew known,
lead led led, leave left left, lend lent lent, let let let, light lit lit, lose lost lost, make made made,
mean meant meant, meet met met, mislay mislaid mislaid, mislead misled misled, pay paid paid, put put put, read read read,
ride rode ridden, ring rang rung, rise rose risen, run ran run, say said said, see saw seen, sell sold sold, send sent sent,
set set set, shake shook shaken, shoot shot shot, show showed shown, shut shut shut, sing sang sung, sink sank sunk,
sit sat sat, sleep slept slept, sow sowed sown, speak spoke spoken, speed sped sped, spend spent spent, stand stood stood,
steal stole stolen, sweep swept swept, swim swam swum, take took taken, teach taught taught, tear tore torn, tell told told,
think thought thought, throw threw thrown, understand understood understood, wake woke woken, wear wore worn, weep wept wept,
win won won, withdraw withdrew withdrawn, withhold withheld withheld, write wrote written";

/// Verbs that double their last consonant before `-ed` and `-ing`.
const DOUBLING: &[&str] = &[
    "admit", "beg", "begin", "chop", "clap", "cut", "dig", "drop", "forbid", "forget", "get", "grab", "hit", "hug",
    "hum", "jog", "knit", "let", "pat", "plan", "prefer", "put", "quit", "quiz", "regret", "rob", "rub", "run", "set",
    "shop", "shut", "sip", "sit", "skip", "slip", "stir", "stop", "swap", "swim", "trim", "trip", "unwrap", "win",
    "wrap", "shrug", "scrub", "quarrel", "step", "sob", "spin", "travel", "label", "cancel", "model", "nod", "spot",
];

/// Words that begin with a vowel letter and a consonant's sound.
const CONSONANT_SOUND: &[&str] = &["uni", "use", "usu", "euro", "one"];
/// Words that begin with a silent `h`.
const SILENT_H: &[&str] = &["hour", "honest", "honour"];

/// The plural of a noun or of a phrase whose last word is the noun.
pub fn plural(noun: &str) -> String {
    let bytes = noun.as_bytes();
    let before_last = bytes.len().checked_sub(2).map(|at| bytes[at]);
    if let Some(stem) = noun.strip_suffix('y')
        && before_last.is_some_and(|letter| !b"aeiou".contains(&letter))
    {
        return format!("{stem}ies");
    }
    if ["s", "x", "ch", "sh", "z"].iter().any(|end| noun.ends_with(end)) {
        return format!("{noun}es");
    }
    format!("{noun}s")
}

/// A verb's first word and what follows it: `look`, ` at`.
fn split(verb: &str) -> (&str, &str) {
    verb.find(' ').map_or((verb, ""), |space| verb.split_at(space))
}

/// The third person singular of the present.
pub fn third(verb: &str) -> String {
    let (word, particle) = split(verb);
    let inflected = match word {
        "have" => "has".to_string(),
        "be" => "is".to_string(),
        _ if word.ends_with('o') => format!("{word}es"),
        _ => plural(word),
    };
    inflected + particle
}

/// The simple past.
pub fn past(verb: &str) -> String {
    irregular(verb, 1).unwrap_or_else(|| regular(verb))
}

/// The past participle.
pub fn participle(verb: &str) -> String {
    irregular(verb, 2).unwrap_or_else(|| regular(verb))
}

/// The present participle.
pub fn gerund(verb: &str) -> String {
    let (word, particle) = split(verb);
    let stem = match word {
        _ if word.ends_with("ie") => format!("{}y", &word[..word.len() - 2]),
        _ if word.ends_with('e') && !word.ends_with("ee") && word != "be" => word[..word.len() - 1].to_string(),
        _ => doubled(word),
    };
    format!("{stem}ing{particle}")
}

/// `a` or `an` before a word.
pub fn article(next: &str) -> &'static str {
    let next = next.to_lowercase();
    let starts = |starts: &[&str]| starts.iter().any(|start| next.starts_with(start));
    let vowel = next.starts_with(['a', 'e', 'i', 'o', 'u']) && !starts(CONSONANT_SOUND);
    if vowel || starts(SILENT_H) { "an" } else { "a" }
}

fn irregular(verb: &str, form: usize) -> Option<String> {
    let (word, particle) = split(verb);
    IRREGULAR.split(',').find_map(|entry| {
        let mut forms = entry.split_whitespace();
        let found = forms.next() == Some(word);
        found
            .then(|| forms.nth(form - 1).map(|form| format!("{form}{particle}")))
            .flatten()
    })
}

fn regular(verb: &str) -> String {
    let (word, particle) = split(verb);
    let bytes = word.as_bytes();
    let before_last = bytes.len().checked_sub(2).map(|at| bytes[at]);
    let inflected = match word {
        _ if word.ends_with('e') => format!("{word}d"),
        _ if word.ends_with('y') && before_last.is_some_and(|letter| !b"aeiou".contains(&letter)) => {
            format!("{}ied", &word[..word.len() - 1])
        }
        _ => format!("{}ed", doubled(word)),
    };
    inflected + particle
}

fn doubled(word: &str) -> String {
    match word.chars().last() {
        Some(last) if DOUBLING.contains(&word) => format!("{word}{last}"),
        _ => word.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(verb: &str, expected: [&str; 4]) {
        assert_eq!([third(verb), past(verb), participle(verb), gerund(verb)], expected);
    }

    #[test]
    fn verbs() {
        check("slice", ["slices", "sliced", "sliced", "slicing"]);
        check("fry", ["fries", "fried", "fried", "frying"]);
        check("stop", ["stops", "stopped", "stopped", "stopping"]);
        check("enjoy", ["enjoys", "enjoyed", "enjoyed", "enjoying"]);
        check("steal", ["steals", "stole", "stolen", "stealing"]);
        check(
            "throw away",
            ["throws away", "threw away", "thrown away", "throwing away"],
        );
        check("go to", ["goes to", "went to", "gone to", "going to"]);
        check("free", ["frees", "freed", "freed", "freeing"]);
    }

    #[test]
    fn nouns() {
        for (singular, expected) in [
            ("box", "boxes"),
            ("toy", "toys"),
            ("cherry", "cherries"),
            ("yo-yo", "yo-yos"),
        ] {
            assert_eq!(plural(singular), expected);
        }
    }

    #[test]
    fn articles() {
        for (word, expected) in [
            ("apple", "an"),
            ("useful", "a"),
            ("honest", "an"),
            ("horse", "a"),
            ("unusual", "an"),
        ] {
            assert_eq!(article(word), expected);
        }
    }
}
