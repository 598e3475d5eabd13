//! Python's values as far as the problems need them: made at random, and written as Python writes them.

use std::fmt;

use crate::dice::Dice;

/// A value of Python.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `int`
    Int(i64),
    /// `bool`
    Bool(bool),
    /// `str`, of letters and spaces only, so that quotation marks need no escapes.
    Text(String),
    /// `list[int]`
    Ints(Vec<i64>),
    /// `list[str]`
    Words(Vec<String>),
}

impl Value {
    /// The number; 0 for anything else.
    #[must_use]
    pub fn int(&self) -> i64 {
        match self {
            Self::Int(number) => *number,
            _ => 0,
        }
    }

    /// The text; empty for anything else.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }

    /// The numbers of a list; none for anything else.
    #[must_use]
    pub fn ints(&self) -> &[i64] {
        match self {
            Self::Ints(numbers) => numbers,
            _ => &[],
        }
    }

    /// The words of a list; none for anything else.
    #[must_use]
    pub fn words(&self) -> &[String] {
        match self {
            Self::Words(words) => words,
            _ => &[],
        }
    }
}

/// Written as Python's `repr` writes it.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, items: Vec<String>| write!(f, "[{}]", items.join(", "));
        match self {
            Self::Int(number) => write!(f, "{number}"),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::Text(text) => write!(f, "'{text}'"),
            Self::Ints(numbers) => list(f, numbers.iter().map(ToString::to_string).collect()),
            Self::Words(words) => list(f, words.iter().map(|word| format!("'{word}'")).collect()),
        }
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<i64>> for Value {
    fn from(numbers: Vec<i64>) -> Self {
        Self::Ints(numbers)
    }
}

impl From<Vec<String>> for Value {
    fn from(words: Vec<String>) -> Self {
        Self::Words(words)
    }
}

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number from 0 to 20, now and then up to 120.
    Int,
    /// A word of two to five letters.
    Text,
    /// Three to five numbers from 0 to 12.
    Ints,
    /// Two to four words.
    Words,
}

/// Words that occur in inputs, of our own choosing; some are the same from behind.
const WORDS: &str = "pea, fig, oat, rye, noon, level, plum, leek, corn, kale, radar, bean, lime, beet, mint, pear, pop, \
                     dill, chard, civic";

impl Kind {
    /// An input of the kind.
    pub fn draw(self, dice: &mut Dice) -> Value {
        let word = |dice: &mut Dice| dice.word(WORDS).to_owned();
        match self {
            Self::Int if dice.chance(15) => Value::Int(21 + dice.below(100) as i64),
            Self::Int => Value::Int(dice.below(21) as i64),
            Self::Text => Value::Text(word(dice)),
            Self::Ints => {
                let length = 3 + dice.below(3);
                Value::Ints((0..length).map(|_| dice.below(13) as i64).collect())
            }
            Self::Words => {
                let length = 2 + dice.below(3);
                Value::Words((0..length).map(|_| word(dice)).collect())
            }
        }
    }

    /// Names that an argument of the kind may have.
    pub(super) fn names(self) -> &'static str {
        match self {
            Self::Int => "n, x, y, z, value, num",
            Self::Text => "s, text, string, t",
            Self::Ints => "numbers, nums, values, xs, data",
            Self::Words => "words, parts, strings, ws",
        }
    }
}
