//! Questions about stories, with answers that stand in them.

use super::mrqa::{Question, literal};
use super::story::{Told, could_be_meant};
use crate::dice::Dice;
use crate::grammar::{Det, Event, Np, Role, join};
use crate::tasks::qnli::Part;

/// How a task asks.
pub(crate) struct Asker {
    /// Parts that are asked for, frequent ones more than once.
    pub parts: &'static [Part],
    /// A question for a part of an event, if it can be asked for.
    pub question: fn(Part, &Event, &mut Dice) -> Option<String>,
    /// What answers it, the usual answer first, as phrases of the event as it was said.
    pub answers: fn(Part, &Event, &mut Dice) -> Option<Vec<String>>,
}

impl Asker {
    /// Questions about different events of a story; nothing where it does not have so many. `context` is its text.
    pub(crate) fn questions(
        &self,
        told: &[Told],
        context: &str,
        wanted: usize,
        dice: &mut Dice,
    ) -> Option<Vec<Question>> {
        let mut order: Vec<usize> = (0..told.len()).collect();
        dice.shuffle(&mut order);
        let mut found = Vec::new();
        for at in order {
            if found.len() == wanted {
                break;
            }
            found.extend((0..4).find_map(|_| {
                let part = dice.pick(self.parts);
                let clear = is_clear(part, at, told);
                clear.then(|| self.question(part, &told[at].event, &told[at].said, context, dice))?
            }));
        }
        (found.len() == wanted).then_some(found)
    }

    /// A question about an event with the answers that the text has for it, unless it gives one of them away.
    pub(crate) fn question(
        &self,
        part: Part,
        event: &Event,
        said: &Event,
        context: &str,
        dice: &mut Dice,
    ) -> Option<Question> {
        let text = (self.question)(part, event, dice)?;
        let phrases = (self.answers)(part, said, dice)?;
        let answers: Option<Vec<String>> = phrases.iter().map(|phrase| literal(context, phrase)).collect();
        let answers = answers?;
        let asked = text.to_lowercase();
        let given = answers.iter().any(|answer| asked.contains(&answer.to_lowercase()));
        (!given).then_some(Question { text, answers })
    }
}

/// Whether a question for a part of this event means no other one, and another one's part could be taken for the
/// answer.
pub(crate) fn is_clear(part: Part, at: usize, told: &[Told]) -> bool {
    let event = &told[at].event;
    let asked = phrase(part, event);
    let object_unclear = event.object.as_ref().is_some_and(Np::quantified) && part != Part::Object;
    if event.negated || object_unclear || asked.is_none() {
        return false;
    }
    let others = told.iter().enumerate().filter(|(other, _)| *other != at);
    let others: Vec<&Event> = others.map(|(_, told)| &told.event).collect();
    let rival = |other: &&Event| phrase(part, other).is_some_and(|other| Some(other) != asked);
    let rivalled = part == Part::Recipient || others.iter().any(rival);
    let (agent_open, object_open) = (part == Part::Agent, part == Part::Object);
    let meant = |other: &&Event| could_be_meant(event, other, agent_open, object_open);
    rivalled && !others.iter().any(meant)
}

/// The words of a part of an event.
pub(crate) fn phrase(part: Part, event: &Event) -> Option<String> {
    match part {
        Part::Agent => Some(words(&event.agent)),
        Part::Object => event.object.as_ref().map(words),
        Part::Recipient => event.recipient.as_ref().map(|(_, person)| words(person)),
        Part::Place => event.place.map(str::to_string),
        Part::Time => event.time.map(|(time, form)| time.words[form].to_string()),
        Part::Reason => event.reason.map(str::to_string),
        Part::Manner | Part::Number => None,
    }
}

/// The words of a noun phrase within a sentence.
pub(crate) fn words(np: &Np) -> String {
    let text = join(&np.tokens(Role::Object, false), "");
    // `join` begins with a capital, which within a sentence is right for names only.
    if np.as_noun().is_none() || matches!(np.det, Det::Of(_)) {
        return text;
    }
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// The question that QNLI has for the part; in stories *how often* would rule out too little.
pub(crate) fn plain_question(part: Part, event: &Event, dice: &mut Dice) -> Option<String> {
    let question = part.question(event, false, dice)?;
    Some(match question.strip_prefix("How often ") {
        Some(rest) => format!("When {rest}"),
        None => question,
    })
}

/// The part as it was said; for some places and times also without the preposition, as a second reader would mark it.
pub(crate) fn whole_phrase(part: Part, said: &Event, dice: &mut Dice) -> Option<Vec<String>> {
    let mut answers = vec![phrase(part, said)?];
    if matches!(part, Part::Place | Part::Time)
        && dice.chance(50)
        && let Some(bare) = without_preposition(&answers[0])
    {
        answers.push(bare.to_string());
    }
    Some(answers)
}

/// `the kitchen` of `in the kitchen`.
pub(crate) fn without_preposition(phrase: &str) -> Option<&str> {
    const PREPOSITIONS: &[&str] = &["in", "at", "on", "behind", "near", "beside", "during", "outside"];
    let (first, rest) = phrase.split_once(' ')?;
    PREPOSITIONS.contains(&first).then_some(rest)
}
