//! MRPC: two sentences that say the same, or nearly the same. Each row starts from one or two events with their
//! circumstances. The second sentence is another way to say them (synonyms, voice, order of circumstances and clauses);
//! where the label is 0, something in it has been changed first. Punctuation is spaced, as in the original.

use super::Row;
use crate::dice::Dice;
use crate::edits::{Change, apply, other_style, use_synonyms};
use crate::grammar::text::{capitalised, plain};
use crate::grammar::{Detail, Event, Sampler, Style, Token, clause, join};
use crate::lexicon::{Tense, Topic, lexicon};

/// A pair; label 1 is equivalent.
pub fn row(dice: &mut Dice, topics: &'static [Topic], label: usize) -> Option<Row> {
    let topic = dice.choose(topics);
    let detail = Detail {
        manner: 15,
        place: 32,
        time: 34,
        reason: 8,
        adjective: 24,
        phrase: 3,
    };
    let sampler = Sampler { topic, detail };
    let first = Report::sample(&sampler, dice);
    let mut second = first.clone();
    if label == 0 {
        second.change(&sampler, dice)?;
    }
    let steps = second.rephrase(dice);
    // A pair without any rephrasing is no paraphrase; a near-miss may keep every other word.
    if steps == 0 && (label == 1 || dice.chance(50)) {
        return None;
    }
    let (texts, label) = (vec![first.text(), second.text()], label.to_string());
    let source = topic.name;
    Some(Row { texts, label, source })
}

/// What joins two events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    And,
    Before,
    While,
}

/// One or two events, perhaps on somebody's word.
#[derive(Debug, Clone)]
struct Report {
    first: (Event, Style),
    second: Option<(Link, Event, Style)>,
    /// Who says so, and the verb.
    speaker: Option<(&'static str, &'static str)>,
    /// The other order of what is joined, and the speaker first.
    turned: bool,
    speaker_first: bool,
}

impl Report {
    fn sample(sampler: &Sampler, dice: &mut Dice) -> Self {
        let mut event = sampler.event(dice);
        let second = dice.chance(20).then(|| {
            let short = Sampler {
                detail: Detail {
                    adjective: 25,
                    place: 25,
                    ..Detail::NONE
                },
                ..*sampler
            };
            let mut other = short.event(dice);
            event.tense = Tense::Past;
            event.time = None;
            event.reason = None;
            event.place = event.place.filter(|place| other.place != Some(*place));
            other.tense = Tense::Past;
            let link = dice.pick(&[Link::And, Link::Before, Link::Before, Link::While]);
            let style = Style {
                passive: false,
                ..Sampler::style(&other, dice)
            };
            (link, other, style)
        });
        let speaker = dice.chance(15).then(|| {
            let (name, _) = dice.pick(&lexicon().names);
            (name, dice.pick(SAYING))
        });
        let style = Sampler::style(&event, dice);
        Self {
            first: (event, style),
            second,
            speaker,
            turned: dice.chance(50),
            speaker_first: dice.chance(50),
        }
    }

    /// Another fact in one place.
    fn change(&mut self, sampler: &Sampler, dice: &mut Dice) -> Option<()> {
        if let Some((link, ..)) = &mut self.second
            && *link == Link::Before
            && dice.chance(35)
        {
            let (_, other, style) = self.second.take()?;
            let (event, event_style) = std::mem::replace(&mut self.first, (other, style));
            self.second = Some((Link::Before, event, event_style));
            return Some(());
        }
        let change = dice.pick(&Change::ALL);
        // Tenses of joined events go together.
        if change == Change::Tense && self.second.is_some() {
            return None;
        }
        match &mut self.second {
            Some((_, event, _)) if dice.chance(45) => *event = apply(change, event, sampler, dice)?,
            _ => self.first.0 = apply(change, &self.first.0, sampler, dice)?,
        }
        Some(())
    }

    /// Says it another way; returns how many things differ.
    fn rephrase(&mut self, dice: &mut Dice) -> usize {
        let before = self.clone();
        let percent = dice.pick(&[35, 65, 95]);
        let mut steps = use_synonyms(&mut self.first.0, percent, dice);
        self.first.1 = other_style(&self.first.0, &self.first.1, dice);
        if let Some((_, event, style)) = &mut self.second {
            steps += use_synonyms(event, percent, dice);
            *style = other_style(event, style, dice);
        }
        self.turned = dice.chance(50);
        self.speaker_first = dice.chance(50);
        if let Some((_, verb)) = &mut self.speaker
            && dice.chance(50)
        {
            *verb = dice.pick(SAYING);
        }
        steps + usize::from(self.text() != before.text())
    }

    fn text(&self) -> String {
        let mut tokens = self.clauses();
        match self.speaker {
            Some((name, verb)) if self.speaker_first => {
                let mut all = vec![plain(name), plain(verb), plain("that")];
                all.append(&mut tokens);
                tokens = all;
            }
            Some((name, verb)) => tokens.extend([plain(","), plain(name), plain(verb)]),
            None => {}
        }
        spaced(&join(&tokens, " ."))
    }

    fn clauses(&self) -> Vec<Token> {
        let embedded = self.speaker.is_some() && self.speaker_first;
        // Only a clause that opens the sentence has room for a phrase before its subject.
        let words = |event: &Event, style: &Style, opens: bool| {
            let style = if opens && !embedded { *style } else { style.unfronted() };
            clause(event, &style)
        };
        let (event, style) = &self.first;
        let Some((link, second, second_style)) = &self.second else {
            return words(event, style, true);
        };
        let first = words(event, style, !self.turned);
        let second = words(second, second_style, self.turned && *link == Link::And);
        let joined = |first: Vec<Token>, word: &str, second: Vec<Token>| {
            let mut all = first;
            all.extend([plain(word)]);
            all.extend(second);
            all
        };
        let opened = |word: &str, first: Vec<Token>, second: Vec<Token>| {
            let mut all = vec![plain(word)];
            all.extend(first);
            all.push(plain(","));
            all.extend(second);
            all
        };
        match (link, self.turned) {
            (Link::And, false) => joined(first, "and", second),
            (Link::And, true) => joined(second, "and", first),
            (Link::Before, false) => joined(first, "before", second),
            (Link::Before, true) => opened("after", first, second),
            (Link::While, false) => joined(first, "while", second),
            (Link::While, true) => opened("while", second, first),
        }
    }
}

const SAYING: &[&str] = &["said", "reported", "stated", "told reporters"];

/// A space before every mark and before `'s` and `n't`, as a tokenizer of newspaper text leaves it.
pub(super) fn spaced(text: &str) -> String {
    let text = text.replace(',', " ,").replace("'s", " 's").replace("n't", " n't");
    capitalised(&text.replace("  ", " "))
}
