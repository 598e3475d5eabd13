//! CB: what somebody who says the premise is committed to. The hypothesis is a clause, and the premise embeds the same
//! clause or its negation in a context that holds it true, holds it false or leaves it open. Which of the three labels
//! follows depends on both: *it is not true that* entails a negated hypothesis. Some hypotheses say more than a premise
//! that holds its clause true, and are left open by that.

use std::collections::HashSet;

use serde::Serialize;

use super::{Keyed, draw, labels};
use crate::dice::Dice;
use crate::edits::add_detail;
use crate::grammar::text::plain;
use crate::grammar::{Det, Detail, Event, Np, Sampler, Style, Token, clause, join};
use crate::lexicon::{Topic, lexicon};
use crate::table4::length::text_fits;
use crate::table4::repeats;
use crate::tasks::Exhausted;
use crate::tasks::entail::aside_sentence;

/// The folder of the task in the archive.
pub(super) const FOLDER: &str = "CB";

/// A line of the file.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    premise: String,
    hypothesis: String,
    label: &'static str,
    idx: usize,
}

impl Keyed for Line {
    fn keys(&self) -> Vec<String> {
        vec![self.premise.to_lowercase()]
    }
}

const LABELS: [&str; 3] = ["entailment", "contradiction", "neutral"];

/// Contexts, `{n}` a name; after `?` the sentence is a question.
const HELD_TRUE: &[&str] = &[
    "{n} knows that",
    "{n} does not know that",
    "{n} noticed that",
    "{n} did not notice that",
    "{n} was glad that",
    "{n} was not glad that",
    "{n} regrets that",
    "{n} remembered that",
    "{n} forgot that",
    "it is true that",
    "I am certain that",
    "I believe that",
    "it surprised {n} that",
    "everyone knows that",
    "did {n} notice that ?",
    "does {n} know that ?",
    "was {n} glad that ?",
    "perhaps {n} noticed that",
];
const HELD_FALSE: &[&str] = &[
    "it is not true that",
    "it is false that",
    "it is a lie that",
    "I do not believe that",
    "it is wrong to think that",
    "there is no truth in the claim that",
    "{n} only dreamt that",
    "{n} pretended that",
    "{n} was wrong to say that",
    "{n} was wrong to think that",
    "why did {n} pretend that ?",
    "it was only a dream that",
    "{n} knows that it is not true that",
];
const LEFT_OPEN: &[&str] = &[
    "{n} thinks that",
    "{n} hopes that",
    "{n} claimed that",
    "{n} heard that",
    "{n} doubts that",
    "{n} did not say that",
    "I do not know whether",
    "I am not certain that",
    "it is possible that",
    "nobody knows whether",
    "{n} asked whether",
    "did {n} say that ?",
    "does {n} think that ?",
    "is it true that ?",
    "perhaps {n} hopes that",
];

/// Rows of a file.
///
/// # Errors
/// [`Exhausted`] where there are not so many.
pub(super) fn rows(count: usize, dice: &mut Dice, seen: &mut HashSet<String>) -> Result<Vec<Line>, Exhausted> {
    let mut lines = Vec::with_capacity(count);
    for label in labels(LABELS.len(), count, dice) {
        let mut line = draw(FOLDER, (lines.len(), count), dice, seen, |dice| line(label, dice))?;
        line.idx = lines.len();
        lines.push(line);
    }
    Ok(lines)
}

fn line(label: usize, dice: &mut Dice) -> Option<Line> {
    let topic = dice.choose(&lexicon().topics);
    let detail = Detail {
        manner: 8,
        place: 25,
        time: 25,
        reason: 0,
        adjective: 20,
        phrase: 0,
    };
    let sampler = Sampler { topic, detail };
    let embedded = event(&sampler, dice)?;
    let mut hypothesis = embedded.clone();
    let context = match LABELS[label] {
        // What is said more about something that did not happen is no more open.
        "neutral" if dice.chance(35) => {
            hypothesis = add_detail(&embedded, &sampler, dice).filter(|_| !embedded.negated)?;
            HELD_TRUE
        }
        "neutral" => {
            hypothesis.negated ^= dice.chance(50);
            LEFT_OPEN
        }
        wanted => {
            let turned = dice.chance(50);
            hypothesis.negated ^= turned;
            if turned == (wanted == "entailment") {
                HELD_FALSE
            } else {
                HELD_TRUE
            }
        }
    };
    let context = dice.pick(context);
    let premise = premise(context, &embedded, topic, dice);
    let style = Style {
        contracted: dice.chance(50),
        ..Style::PLAIN
    };
    let hypothesis = uncapitalised(&clause(&hypothesis, &style));
    let fits = text_fits(&format!("{premise} {hypothesis}")) && !repeats(&premise) && !repeats(&hypothesis);
    let (label, idx) = (LABELS[label], 0);
    fits.then_some(Line {
        premise,
        hypothesis,
        label,
        idx,
    })
}

/// An event of somebody in particular, which can be negated without a second reading.
fn event(sampler: &Sampler, dice: &mut Dice) -> Option<Event> {
    let mut event = sampler.event(dice);
    if event.agent.as_noun().is_some() {
        event.agent.det = Det::The;
    }
    let vague = |np: &Np| np.quantified() || matches!(np.det, Det::A | Det::Number(_));
    let recipient = event.recipient.as_ref().map(|(_, np)| np);
    if [event.object.as_ref(), recipient].into_iter().flatten().any(vague) || event.details() > 2 {
        return None;
    }
    event.negated = dice.chance(40);
    Some(event)
}

/// The sentence that embeds the event, among sentences about others.
fn premise(context: &str, embedded: &Event, topic: &'static Topic, dice: &mut Dice) -> String {
    let (name, _) = dice.pick(&lexicon().names);
    let (context, end) = match context.strip_suffix(" ?") {
        Some(question) => (question, "?"),
        None => (context, "."),
    };
    let style = Sampler::style(embedded, dice).unfronted();
    let mut tokens: Vec<Token> = vec![plain(&context.replace("{n}", name))];
    tokens.extend(clause(embedded, &style));
    let mut sentences = vec![join(&tokens, end)];
    if dice.chance(65) {
        sentences.insert(0, aside_sentence(topic, dice));
    }
    if dice.chance(25) {
        sentences.push(aside_sentence(topic, dice));
    }
    sentences.join(" ")
}

/// As it stands within a sentence.
fn uncapitalised(tokens: &[Token]) -> String {
    let text = join(tokens, "");
    let first = tokens.first().and_then(|token| token.text.chars().next());
    first.into_iter().chain(text.chars().skip(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Neither the context nor a negation tells entailment from contradiction.
    #[test]
    fn contexts_and_negation_occur_with_both_labels() {
        let mut dice = Dice::new(3, "cb");
        let rows = rows(900, &mut dice, &mut HashSet::new()).unwrap_or_else(|error| panic!("{error}"));
        for word in ["not true that", "only dreamt that", "knows that", "noticed that"] {
            for label in &LABELS[..2] {
                let with = rows
                    .iter()
                    .filter(|row| row.label == *label && row.premise.contains(word))
                    .count();
                assert!(with >= 5, "{word}, {label}: {with}");
            }
        }
        for label in LABELS {
            let negated = |row: &&Line| row.hypothesis.contains("n't ") || row.hypothesis.contains(" not ");
            let of_label = || rows.iter().filter(|row| row.label == label);
            let (negated, all) = (of_label().filter(negated).count(), of_label().count());
            assert!(
                (25..=65).contains(&(100 * negated / all)),
                "{label}: {negated} of {all}"
            );
        }
    }
}
