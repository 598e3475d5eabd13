//! Reads the lexicon's tables; their forms are told where the tables stand.

use super::modifiers::{ADJECTIVES, MANNERS};
use super::nouns::THINGS;
use super::people::{MEN, PEOPLE, WOMEN};
use super::times::TIMES;
use super::topics::TOPICS;
use super::topics_more::TOPICS_MORE;
use super::{Adjective, Frame, Gender, Group, Lexicon, Noun, NounForm, Tense, Topic};
use crate::morphology::plural;

/// What is wrong with a table.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LexiconError {
    /// A line with too few or too many columns.
    #[error("{table}, line {line}: {found} columns, not {expected}")]
    Columns {
        /// The table.
        table: &'static str,
        /// From 1.
        line: usize,
        /// Columns a line has.
        expected: usize,
        /// Columns this line has.
        found: usize,
    },
    /// A name that nothing goes by.
    #[error("{table}, line {line}: there is no {kind} \"{found}\"")]
    Unknown {
        /// The table.
        table: &'static str,
        /// From 1.
        line: usize,
        /// What kind of thing was looked for.
        kind: &'static str,
        /// The name.
        found: &'static str,
    },
    /// A verb before the first topic.
    #[error("{table}, line {line}: no topic has begun")]
    NoTopic {
        /// The table.
        table: &'static str,
        /// From 1.
        line: usize,
    },
}

/// Reads every table.
pub(super) fn read() -> Result<Lexicon, LexiconError> {
    let sets = adjective_sets()?;
    let mut groups = Vec::new();
    read_groups("things", THINGS, false, &sets, &mut groups)?;
    read_groups("people", PEOPLE, true, &sets, &mut groups)?;
    let mut topics = Vec::new();
    read_topics("topics", TOPICS, &groups, &mut topics)?;
    read_topics("topics_more", TOPICS_MORE, &groups, &mut topics)?;
    let women = WOMEN.split_whitespace().map(|name| (name, Gender::Woman));
    let men = MEN.split_whitespace().map(|name| (name, Gender::Man));
    Ok(Lexicon {
        groups,
        manners: opposed(MANNERS.trim()),
        times: times()?,
        topics,
        names: women.chain(men).collect(),
    })
}

/// Lines with their numbers, cut at `|`.
fn rows(
    table: &'static str,
    text: &'static str,
    expected: usize,
) -> impl Iterator<Item = Result<(usize, Vec<&'static str>), LexiconError>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(move |(line, row)| {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        if columns.len() == expected {
            return Ok((line + 1, columns));
        }
        let (line, found) = (line + 1, columns.len());
        Err(LexiconError::Columns {
            table,
            line,
            expected,
            found,
        })
    })
}

/// Pieces between a mark, without the empty ones.
fn pieces(text: &'static str, mark: char) -> impl Iterator<Item = &'static str> {
    text.split(mark).map(str::trim).filter(|piece| !piece.is_empty())
}

/// `a=b - c=d, e / f / g`: words that exclude each other. They live as long as the program, as the tables do.
fn opposed(text: &'static str) -> Vec<&'static Adjective> {
    let mut all = Vec::new();
    for entry in pieces(text, ',') {
        let mark = if entry.contains('/') { "/" } else { " - " };
        let sides: Vec<Vec<&'static str>> = entry.split(mark).map(|side| pieces(side, '=').collect()).collect();
        for (at, words) in sides.iter().enumerate() {
            let others = sides.iter().enumerate().filter(|(other, _)| *other != at);
            let adjective = Adjective {
                words: words.clone(),
                opposites: others.flat_map(|(_, words)| words.iter().copied()).collect(),
            };
            all.push(&*Box::leak(Box::new(adjective)));
        }
    }
    all
}

type Sets = Vec<(&'static str, Vec<&'static Adjective>)>;

fn adjective_sets() -> Result<Sets, LexiconError> {
    rows("adjectives", ADJECTIVES, 2)
        .map(|row| row.map(|(_, columns)| (columns[0], opposed(columns[1]))))
        .collect()
}

fn times() -> Result<[Vec<&'static Adjective>; 5], LexiconError> {
    const NAMES: [&str; Tense::ALL.len()] = ["past", "future", "habit", "perfect", "progressive"];
    let mut times = [const { Vec::new() }; NAMES.len()];
    for row in rows("times", TIMES, 2) {
        let (line, columns) = row?;
        let (table, kind, found) = ("times", "tense", columns[0]);
        let tense = NAMES.iter().position(|name| *name == found);
        times[tense.ok_or(LexiconError::Unknown {
            table,
            line,
            kind,
            found,
        })?] = opposed(columns[1]);
    }
    Ok(times)
}

fn read_groups(
    table: &'static str,
    text: &'static str,
    people: bool,
    sets: &Sets,
    groups: &mut Vec<Group>,
) -> Result<(), LexiconError> {
    for row in rows(table, text, 4) {
        let (line, columns) = row?;
        let group = groups.len();
        let mut adjectives = Vec::new();
        for found in columns[2].split_whitespace() {
            let kind = "set of adjectives";
            let set = sets.iter().find(|(name, _)| *name == found);
            let (_, set) = set.ok_or(LexiconError::Unknown {
                table,
                line,
                kind,
                found,
            })?;
            adjectives.extend(set);
        }
        groups.push(Group {
            name: columns[0],
            hypernym: noun(columns[1], group),
            members: pieces(columns[3], ',').map(|entry| noun(entry, group)).collect(),
            adjectives,
            people,
        });
    }
    Ok(())
}

/// `~singular/plural=synonym+f`
fn noun(entry: &str, group: usize) -> Noun {
    let (entry, gender) = match (entry.strip_suffix("+f"), entry.strip_suffix("+m")) {
        (Some(entry), _) => (entry, Gender::Woman),
        (_, Some(entry)) => (entry, Gender::Man),
        _ => (entry, Gender::Open),
    };
    let (entry, mass) = entry.strip_prefix('~').map_or((entry, false), |entry| (entry, true));
    let form = |text: &str| match text.split_once('/') {
        Some((singular, other)) => {
            // `loaf/loaves of bread` and `piece/pieces of furniture` share what follows the plural's first word.
            let tail = other.find(' ').map_or("", |space| &other[space..]);
            NounForm {
                singular: format!("{singular}{tail}"),
                plural: other.to_string(),
            }
        }
        None => NounForm {
            singular: text.to_string(),
            plural: if mass { text.to_string() } else { plural(text) },
        },
    };
    Noun {
        forms: entry.split('=').map(form).collect(),
        mass,
        gender,
        group,
    }
}

fn read_topics(
    table: &'static str,
    text: &'static str,
    groups: &[Group],
    topics: &mut Vec<Topic>,
) -> Result<(), LexiconError> {
    for (line, row) in text.lines().enumerate().filter(|(_, row)| !row.trim().is_empty()) {
        let line = line + 1;
        if let Some(name) = row.strip_prefix("topic ") {
            topics.push(Topic {
                name,
                ..Topic::default()
            });
            continue;
        }
        let number = topics.len();
        let topic = topics.last_mut().ok_or(LexiconError::NoTopic { table, line })?;
        let groups = |names: &'static str| group_numbers(table, line, names, groups);
        match row.split_once(' ') {
            Some(("people", names)) => topic.people = groups(names)?,
            Some(("places", places)) => topic.places = pieces(places, ';').collect(),
            Some(("reasons", reasons)) => topic.reasons = pieces(reasons, ';').collect(),
            _ => {
                let mut frame = Frame {
                    verb: "",
                    objects: Vec::new(),
                    subjects: topic.people.clone(),
                    synonym: None,
                    general: None,
                    opposite: None,
                    recipient: None,
                    manner: true,
                    topic: number - 1,
                };
                let columns: Vec<&'static str> = row.split('|').map(str::trim).collect();
                let &[verb, objects, options] = columns.as_slice() else {
                    let (expected, found) = (3, columns.len());
                    return Err(LexiconError::Columns {
                        table,
                        line,
                        expected,
                        found,
                    });
                };
                frame.verb = verb;
                frame.objects = groups(objects)?;
                for option in options_of(options) {
                    let (mark, value) = option.split_at(1);
                    match mark {
                        "=" => frame.synonym = Some(value),
                        "<" => frame.general = Some(value),
                        "!" => frame.opposite = Some(value),
                        "@" => frame.subjects = groups(value)?,
                        ">" => {
                            let (preposition, names) = value.split_once(' ').unwrap_or((value, ""));
                            frame.recipient = Some((preposition, groups(names)?));
                        }
                        _ => frame.manner = false,
                    }
                }
                topic.frames.push(frame);
            }
        }
    }
    Ok(())
}

/// Cuts `=mend !break @cooks -m` before each mark.
fn options_of(text: &'static str) -> Vec<&'static str> {
    let starts: Vec<usize> = text
        .char_indices()
        .filter(|&(at, mark)| {
            let first = at == 0 || text[..at].ends_with(' ');
            first && matches!(mark, '=' | '<' | '!' | '@' | '>' | '-')
        })
        .map(|(at, _)| at)
        .collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(&start, end)| text[start..end].trim())
        .collect()
}

fn group_numbers(
    table: &'static str,
    line: usize,
    names: &'static str,
    groups: &[Group],
) -> Result<Vec<usize>, LexiconError> {
    let number = |found| {
        let kind = "noun group";
        groups
            .iter()
            .position(|group| group.name == found)
            .ok_or(LexiconError::Unknown {
                table,
                line,
                kind,
                found,
            })
    };
    names.split_whitespace().map(number).collect()
}
