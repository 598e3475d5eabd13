//! SST-2: sentences and phrases of reviews, positive or negative. The sense of the whole is built from its parts: words
//! of praise and blame, negation that turns them round, contrasts in which the main clause decides, wishes and
//! expectations that were not met. Lower case with spaced punctuation, as the original.

use super::Row;
use crate::dice::Dice;
use crate::lexicon::Topic;
use crate::lexicon::opinion::{
    ART_BLAME, ART_FAULTS, ART_PRAISE, ART_VIRTUES, BLAME, DEGREES, DELIGHTS, DISAPPOINTS, DOMAINS, Domain, FALLS,
    FAULTS, LANDS, PRAISE, REVERSERS, VIRTUES,
};
use crate::morphology::article;

/// A review; label 1 is positive.
pub fn row(dice: &mut Dice, _: &'static [Topic], label: usize) -> Option<Row> {
    let domain = dice.choose(DOMAINS);
    let item = dice.word(domain.items);
    let text = opinion(domain, item, label == 1, dice);
    let end = if dice.chance(60) { " ." } else { "" };
    let (texts, label) = (vec![text + end], label.to_string());
    let source = "";
    Some(Row { texts, label, source })
}

/// One opinion of an item, good or bad as a whole, in the form of a row.
pub(crate) fn opinion(domain: &'static Domain, item: &'static str, good: bool, dice: &mut Dice) -> String {
    Review { item, dice, domain }.text(good)
}

struct Review<'a> {
    item: &'static str,
    dice: &'a mut Dice,
    domain: &'static Domain,
}

impl Review<'_> {
    fn text(&mut self, good: bool) -> String {
        match self.dice.weighted(&[76, 18, 6]) {
            0 => self.statement(good),
            1 => self.contrast(good),
            _ => self.turned_phrase(good),
        }
    }

    fn one(&mut self, list: &'static str) -> &'static str {
        self.dice.word(list)
    }

    fn aspect(&mut self) -> &'static str {
        self.one(self.domain.aspects)
    }

    fn aspects(&mut self) -> &'static str {
        self.one(self.domain.plural_aspects)
    }

    /// One word of praise or blame that fits any part.
    fn word(&mut self, good: bool) -> &'static str {
        let (any, art) = if good { (PRAISE, ART_PRAISE) } else { (BLAME, ART_BLAME) };
        if self.domain.art && self.dice.chance(45) {
            self.one(art)
        } else {
            self.one(any)
        }
    }

    /// One word for the whole: those that only fit such items too.
    fn verdict(&mut self, good: bool) -> &'static str {
        let own = if good { self.domain.praise } else { self.domain.blame };
        if self.dice.chance(40) {
            self.one(own)
        } else {
            self.word(good)
        }
    }

    /// A word for the whole that can stand before the noun.
    fn attribute(&mut self, good: bool) -> &'static str {
        loop {
            let word = self.verdict(good);
            if !word.starts_with("hard to") && !word.starts_with("easy to") {
                return word;
            }
        }
    }

    fn quality(&mut self, good: bool) -> &'static str {
        let (any, art) = if good {
            (VIRTUES, ART_VIRTUES)
        } else {
            (FAULTS, ART_FAULTS)
        };
        if self.domain.art && self.dice.chance(60) {
            self.one(art)
        } else {
            self.one(any)
        }
    }

    fn deed(&mut self, good: bool) -> &'static str {
        self.one(if good { DELIGHTS } else { DISAPPOINTS })
    }

    /// `really good`, `not at all dull`, of the whole or of a part.
    fn judgement(&mut self, good: bool, whole: bool) -> String {
        let mut word = |good| if whole { self.verdict(good) } else { self.word(good) };
        let (first, second, third, reverse) = (word(good), word(good), word(good), word(!good));
        match self.dice.below(12) {
            0..=2 => first.to_string(),
            3..=6 => format!("{} {first}", self.one(DEGREES)),
            7 | 8 => format!("{first} and {second}"),
            9 => format!("{first} , {second} and {third}"),
            _ => format!("{} {reverse}", self.one(REVERSERS)),
        }
    }

    /// `full of wit`, `without a trace of wit`
    fn possession(&mut self, good: bool) -> String {
        if self.dice.chance(66) {
            let full = self.one("full of, packed with, bursting with, rich in, loaded with");
            format!("{full} {}", self.quality(good))
        } else {
            let free = self.one("free of, without a trace of, devoid of, refreshingly short on, without any");
            let free = if good {
                free
            } else {
                free.trim_start_matches("refreshingly ")
            };
            format!("{free} {}", self.quality(!good))
        }
    }

    /// A full clause.
    fn clause(&mut self, good: bool) -> String {
        let item = self.item;
        let this = self.one("the, this, the whole, the new");
        match self.dice.below(7) {
            0 => format!("the {} is {}", self.aspect(), self.judgement(good, false)),
            1 => format!("the {} are {}", self.aspects(), self.judgement(good, false)),
            2 => format!("{this} {item} {}", self.deed(good)),
            3 => format!("{this} {item} is {}", self.possession(good)),
            4 => format!("{this} {item} is {}", self.judgement(good, true)),
            5 if self.dice.chance(40) => {
                let fate = if good { LANDS } else { FALLS };
                format!("it {}", self.one(fate))
            }
            5 => {
                let verb = match (good, self.dice.chance(50)) {
                    (true, true) => self.one("avoids, escapes, steers clear of, knows nothing of"),
                    (false, true) => self.one("avoids, lacks, has lost all, knows nothing of"),
                    (_, false) => self.one("has plenty of, shows, is all about, never runs out of"),
                };
                let kept = verb.starts_with("has plenty") || verb.starts_with("shows") || verb.starts_with("is all");
                let kept = kept || verb.starts_with("never");
                format!("{this} {item} {verb} {}", self.quality(good == kept))
            }
            _ => format!(
                "it is {} with {} {}",
                self.liking(good),
                self.word(good),
                self.aspects()
            ),
        }
    }

    fn liking(&mut self, good: bool) -> String {
        let item = self.item;
        let word = self.attribute(good);
        format!("{} {word} {item}", article(word))
    }

    /// One judgement, said straight.
    fn statement(&mut self, good: bool) -> String {
        match self.dice.below(7) {
            0..=2 => self.clause(good),
            3 => {
                let first = self.attribute(good);
                format!("{} {first} , {} {}", article(first), self.attribute(good), self.item)
            }
            4 => {
                let (one, two) = (self.word(good), self.word(good));
                format!("{one} {} and {two} {}", self.aspect(), self.aspects())
            }
            5 => format!("{} , and {}", self.clause(good), self.clause(good)),
            _ => {
                let place =
                    self.one("from start to finish, in every way, at every turn, all the way through, this time");
                format!("{} {place}", self.judgement(good, true))
            }
        }
    }

    /// Praise and blame in one sentence: the main clause decides.
    fn contrast(&mut self, good: bool) -> String {
        match self.dice.below(9) {
            0 => format!(
                "despite {} {} , {}",
                self.word(!good),
                self.aspects(),
                self.clause(good)
            ),
            1 => format!("{} , but {}", self.clause(!good), self.clause(good)),
            2 => format!("{} , yet {}", self.clause(!good), self.clause(good)),
            3 => format!("although {} , {}", self.clause(!good), self.clause(good)),
            4 => format!("{} , even though {}", self.clause(good), self.clause(!good)),
            5 => format!("for all its {} , {}", self.quality(!good), self.clause(good)),
            6 => format!(
                "{} in spite of its {} {}",
                self.clause(good),
                self.word(!good),
                self.aspect()
            ),
            7 => format!("it may be {} , but {}", self.judgement(!good, true), self.clause(good)),
            _ => format!("while {} , {}", self.clause(!good), self.clause(good)),
        }
    }

    /// Phrases whose words say one thing and whose whole says the other as often as not.
    fn turned_phrase(&mut self, good: bool) -> String {
        let item = self.item;
        match (self.dice.below(7), good) {
            (0, true) => {
                let word = self.attribute(false);
                format!(
                    "i expected {} {word} {item} and got {}",
                    article(word),
                    self.a_thing(true)
                )
            }
            (0, false) => {
                let word = self.attribute(true);
                format!(
                    "i expected {} {word} {item} and got {}",
                    article(word),
                    self.a_thing(false)
                )
            }
            (1, true) => format!("it is hard to imagine a more {} {item}", self.attribute(true)),
            (1, false) => format!("it is hard to imagine a more {} {item}", self.attribute(false)),
            (2, true) => format!("there is nothing {} about this {item}", self.verdict(false)),
            (2, false) => format!("there is nothing {} about this {item}", self.verdict(true)),
            (3, true) => format!("the {item} could have been {} , and it is not", self.verdict(false)),
            (3, false) => format!("the {item} could have been {} , and it is not", self.verdict(true)),
            (4, true) => format!("nobody who knows it would call this {item} {}", self.verdict(false)),
            (4, false) => format!("nobody who knows it would call this {item} {}", self.verdict(true)),
            (5, true) => format!("more {} than {}", self.attribute(true), self.attribute(false)),
            (5, false) => format!("more {} than {}", self.attribute(false), self.attribute(true)),
            (_, true) => format!(
                "too {} for anyone to call it {}",
                self.attribute(true),
                self.attribute(false)
            ),
            (_, false) => format!(
                "too {} for anyone to call it {}",
                self.attribute(false),
                self.attribute(true)
            ),
        }
    }

    fn a_thing(&mut self, good: bool) -> String {
        let word = self.attribute(good);
        format!("{} {word} one", article(word))
    }
}
