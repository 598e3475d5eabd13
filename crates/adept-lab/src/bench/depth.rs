//! Numbers of blocks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::BenchError;

/// The blocks of a backbone's stacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Depth {
    /// Of the encoder, or of the only stack.
    pub first: usize,
    /// Of an encoder-decoder's decoder.
    pub second: Option<usize>,
}

impl Depth {
    /// Number of stacks.
    pub(crate) fn stacks(self) -> usize {
        1 + usize::from(self.second.is_some())
    }

    /// The smallest model with as many blocks of the first stack to each of the second, and how many times it is this.
    pub(crate) fn unit(self) -> (Self, usize) {
        let (mut count, mut rest) = (self.first, self.second.unwrap_or(0));
        while rest > 0 {
            (count, rest) = (rest, count % rest);
        }
        let unit = Self {
            first: self.first / count,
            second: self.second.map(|second| second / count),
        };
        (unit, count)
    }

    /// How many times it has at least that many blocks in one stack.
    pub(crate) fn reaching(self, blocks: usize) -> usize {
        blocks.div_ceil(self.first.max(self.second.unwrap_or(0)))
    }

    /// So many times the blocks.
    #[must_use]
    pub(crate) fn times(self, count: usize) -> Self {
        Self {
            first: self.first * count,
            second: self.second.map(|second| second * count),
        }
    }
}

/// `12 + 12`, or `20` for a model of one stack.
impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.second {
            Some(second) => write!(f, "{} + {second}", self.first),
            None => write!(f, "{}", self.first),
        }
    }
}

impl FromStr for Depth {
    type Err = BenchError;

    fn from_str(text: &str) -> Result<Self, BenchError> {
        let unknown = || BenchError::Depth { found: text.to_owned() };
        let blocks = |text: &str| match text.trim().parse() {
            Ok(0) | Err(_) => Err(unknown()),
            Ok(blocks) => Ok(blocks),
        };
        let (first, second) = match text.split_once('+') {
            Some((first, second)) => (first, Some(blocks(second)?)),
            None => (text, None),
        };
        Ok(Self {
            first: blocks(first)?,
            second,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_several_times_the_smallest_one_of_its_proportions() {
        for (text, unit, count) in [
            ("12+12", "1 + 1", 12),
            ("24+12", "2 + 1", 12),
            ("7+3", "7 + 3", 1),
            ("20", "1", 20),
        ] {
            let (found, times) = text.parse::<Depth>().unwrap().unit();
            assert_eq!((found.to_string().as_str(), times), (unit, count));
            assert_eq!(found.times(times), text.parse().unwrap());
        }
        assert_eq!("2+1".parse::<Depth>().unwrap().reaching(3), 2);
    }

    #[test]
    fn depths_are_written_as_they_are_read() {
        for text in ["20", "12 + 12"] {
            assert_eq!(text.parse::<Depth>().unwrap().to_string(), text);
        }
        assert_eq!(
            "4+1".parse::<Depth>().unwrap(),
            Depth {
                first: 4,
                second: Some(1)
            }
        );
        for text in ["", "0", "4+", "+4", "-1", "4+0", "a", "1+2+3"] {
            assert!(text.parse::<Depth>().is_err(), "{text}");
        }
    }
}
