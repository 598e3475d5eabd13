//! NaturalQuestions as MRQA has it: what people type into a search engine, lower case without a question mark, and one
//! paragraph in the tags of a web page.

use super::ask::{Asker, plain_question, whole_phrase};
use super::mrqa::Document;
use super::story::{DETAIL, Plan, story};
use crate::dice::Dice;
use crate::grammar::Event;
use crate::lexicon::Topic;
use crate::tasks::qnli::Part;

const PLAN: Plan = Plan {
    sentences: (4, 2),
    synonyms: 20,
    pronouns: 0,
    past: false,
    detail: DETAIL,
};

const ASKER: Asker = Asker {
    parts: &[
        Part::Agent,
        Part::Agent,
        Part::Object,
        Part::Object,
        Part::Recipient,
        Part::Place,
        Part::Place,
        Part::Time,
        Part::Time,
    ],
    question: typed,
    answers: whole_phrase,
};

/// A paragraph with two questions.
pub(super) fn document(topic: &'static Topic, dice: &mut Dice) -> Option<Document> {
    let told = story(topic, &PLAN, dice)?;
    let sentences: Vec<&str> = told.iter().map(|told| told.text.as_str()).collect();
    let context = format!("<P> {} </P>", sentences.join(" "));
    let questions = ASKER.questions(&told, &context, 2, dice)?;
    Some(Document { context, questions })
}

fn typed(part: Part, event: &Event, dice: &mut Dice) -> Option<String> {
    let question = plain_question(part, event, dice)?;
    Some(question.trim_end_matches('?').to_lowercase())
}
