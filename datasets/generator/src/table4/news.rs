//! NewsQA as MRQA has it: longer stories in paragraphs, all of the past, whose people are taken up as *she* or *he*,
//! and several questions about each.

use super::ask::{Asker, plain_question, whole_phrase};
use super::mrqa::Document;
use super::story::{DETAIL, Plan, story};
use crate::dice::Dice;
use crate::grammar::Detail;
use crate::lexicon::Topic;
use crate::tasks::qnli::Part;

const PLAN: Plan = Plan {
    sentences: (6, 2),
    synonyms: 15,
    pronouns: 80,
    past: true,
    detail: Detail { reason: 16, ..DETAIL },
};

const ASKER: Asker = Asker {
    parts: &[
        Part::Agent,
        Part::Agent,
        Part::Object,
        Part::Object,
        Part::Recipient,
        Part::Place,
        Part::Time,
        Part::Time,
        Part::Reason,
        Part::Reason,
    ],
    question: plain_question,
    answers: whole_phrase,
};

/// A story with three questions.
pub(super) fn document(topic: &'static Topic, dice: &mut Dice) -> Option<Document> {
    let told = story(topic, &PLAN, dice)?;
    let mut context = String::new();
    for (at, told) in told.iter().enumerate() {
        if at > 0 {
            context.push_str(if at % 2 == 0 && dice.chance(70) { "\n\n" } else { " " });
        }
        context.push_str(&told.text);
    }
    let questions = ASKER.questions(&told, &context, 3, dice)?;
    Some(Document { context, questions })
}
