//! Values of `sbatch` options, checked here so that a mistake is found before anything is written or submitted.

use std::fmt;
use std::str::FromStr;

/// A value in a form that Slurm does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found:?}")]
pub struct NotAccepted {
    /// The accepted forms.
    pub expected: &'static str,
    /// The text as written.
    pub found: String,
}

/// A text option with a form of its own.
trait TextOption {
    /// The accepted forms.
    const EXPECTED: &'static str;
}

fn refuse<T: TextOption>(text: &str) -> NotAccepted {
    NotAccepted {
        expected: T::EXPECTED,
        found: text.to_owned(),
    }
}

/// Name of a partition, an account or a type of GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word(String);

impl TextOption for Word {
    const EXPECTED: &'static str = "a name of letters, digits and -_.,+@:";
}

impl FromStr for Word {
    type Err = NotAccepted;

    fn from_str(text: &str) -> Result<Self, NotAccepted> {
        let is_plain = |letter: char| letter.is_alphanumeric() || "-_.,+@:".contains(letter);
        if text.is_empty() || text.starts_with('-') || !text.chars().all(is_plain) {
            return Err(refuse::<Self>(text));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A time limit in one of Slurm's forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeLimit {
    text: String,
    seconds: Option<u64>,
}

impl TimeLimit {
    /// The limit in seconds; `None` if there is none.
    #[must_use]
    pub fn seconds(&self) -> Option<u64> {
        self.seconds
    }
}

impl TextOption for TimeLimit {
    const EXPECTED: &'static str =
        "minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes[:seconds] or UNLIMITED";
}

impl FromStr for TimeLimit {
    type Err = NotAccepted;

    fn from_str(text: &str) -> Result<Self, NotAccepted> {
        let limit = |seconds| Self {
            text: text.to_owned(),
            seconds,
        };
        if ["unlimited", "infinite"].contains(&text.to_ascii_lowercase().as_str()) {
            return Ok(limit(None));
        }
        match seconds(text) {
            // Slurm takes 0 for no limit, which is more likely a slip.
            None | Some(0) => Err(refuse::<Self>(text)),
            some => Ok(limit(some)),
        }
    }
}

/// Seconds of a limit; `None` for a text of another form.
fn seconds(text: &str) -> Option<u64> {
    let (days, rest) = match text.split_once('-') {
        Some((days, rest)) => (Some(number(days)?), rest),
        None => (None, text),
    };
    let parts: Vec<u64> = rest.split(':').map(number).collect::<Option<_>>()?;
    let (hours, minutes, seconds) = match (days, parts.as_slice()) {
        (None, &[minutes]) => (0, minutes, 0),
        (None, &[minutes, seconds]) => (0, minutes, seconds),
        (_, &[hours, minutes, seconds]) => (hours, minutes, seconds),
        (Some(_), &[hours]) => (hours, 0, 0),
        (Some(_), &[hours, minutes]) => (hours, minutes, 0),
        _ => return None,
    };
    Some(((days.unwrap_or(0) * 24 + hours) * 60 + minutes) * 60 + seconds)
}

/// A whole number of at most nine digits, without a sign.
fn number(text: &str) -> Option<u64> {
    let is_short = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_short.then(|| text.parse().ok())?
}

/// Memory per node: a whole number of mebibytes, or with K, M, G or T.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory(String);

impl TextOption for Memory {
    const EXPECTED: &'static str = "a whole number with K, M, G or T behind it, such as 32G";
}

impl FromStr for Memory {
    type Err = NotAccepted;

    fn from_str(text: &str) -> Result<Self, NotAccepted> {
        let digits = text
            .strip_suffix(['K', 'M', 'G', 'T', 'k', 'm', 'g', 't'])
            .unwrap_or(text);
        // 0 asks Slurm for all of a node's memory.
        match number(digits) {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(refuse::<Self>(text)),
        }
    }
}

/// Another option of `sbatch` in its long or short form, such as `--qos=long`, with or without `#SBATCH` before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SbatchOption(String);

impl TextOption for SbatchOption {
    const EXPECTED: &'static str = "an option of sbatch on one line, such as --qos=long";
}

impl FromStr for SbatchOption {
    type Err = NotAccepted;

    fn from_str(text: &str) -> Result<Self, NotAccepted> {
        let option = text.trim();
        let option = option.strip_prefix("#SBATCH").map_or(option, str::trim_start);
        let names_one = option.strip_prefix('-').is_some_and(|rest| !rest.is_empty());
        if !names_one || option.contains(char::is_control) {
            return Err(refuse::<Self>(text));
        }
        Ok(Self(option.to_owned()))
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SbatchOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_limits_are_slurms() {
        for (text, expected) in [
            ("90", Some(Some(5_400))),
            ("1:30", Some(Some(90))),
            ("02:00:00", Some(Some(7_200))),
            ("1-12", Some(Some(129_600))),
            ("1-12:30", Some(Some(131_400))),
            ("1-12:30:15", Some(Some(131_415))),
            ("UNLIMITED", Some(None)),
            ("infinite", Some(None)),
            ("0", None),
            ("", None),
            ("2h", None),
            ("1-", None),
            ("1:2:3:4", None),
            ("1-1:2:3:4", None),
            ("-1", None),
            ("+5", None),
            ("1 0", None),
            ("99999999999", None),
        ] {
            let found = text.parse::<TimeLimit>();
            assert_eq!(found.as_ref().ok().map(TimeLimit::seconds), expected, "{text}");
        }
        let error = "2h".parse::<TimeLimit>().expect_err("it is not Slurm's");
        assert!(
            error.to_string().starts_with("expected minutes, minutes:seconds,")
                && error.to_string().ends_with("\"2h\""),
            "{error}"
        );
    }

    #[track_caller]
    fn check<T: FromStr<Err = NotAccepted> + fmt::Display>(text: &str, expected: Option<&str>) {
        let found = text.parse::<T>().ok().map(|value| value.to_string());
        assert_eq!(found.as_deref(), expected, "{text:?}");
    }

    #[test]
    fn other_texts_cannot_leave_their_line() {
        for (text, expected) in [
            ("gpu,long", true),
            ("", false),
            ("a b", false),
            ("a\nb", false),
            ("-p", false),
            ("a#", false),
        ] {
            check::<Word>(text, expected.then_some(text));
        }
        for (text, expected) in [
            ("32G", true),
            ("500m", true),
            ("4096", true),
            ("0", true),
            ("G", false),
            ("3.5G", false),
            ("32GB", false),
        ] {
            check::<Memory>(text, expected.then_some(text));
        }
        check::<SbatchOption>("#SBATCH  --qos=long ", Some("--qos=long"));
        check::<SbatchOption>("-C a100", Some("-C a100"));
        for text in ["qos=long", "-", "", "--qos=a\n#SBATCH -N2", "rm"] {
            check::<SbatchOption>(text, None);
        }
    }
}
