//! SearchQA as MRQA has it: a quiz's clue, which is no question but a statement with *this* or *where* in place of the
//! answer, and what a search engine finds for it: titled snippets, some cut short, some saying the same twice.

use super::ask::{Asker, phrase, without_preposition, words};
use super::mrqa::Document;
use super::story::{DETAIL, Plan, said_in, story, tell};
use crate::dice::Dice;
use crate::grammar::sample::passive_sounds_well;
use crate::grammar::text::capitalised;
use crate::grammar::{Det, Detail, Event, Head, Np, Style, sentence};
use crate::lexicon::{Gender, Topic, lexicon};
use crate::tasks::qnli::Part;

const PLAN: Plan = Plan {
    sentences: (3, 1),
    synonyms: 15,
    pronouns: 0,
    past: false,
    detail: Detail {
        place: 38,
        time: 38,
        reason: 0,
        ..DETAIL
    },
};

const ASKER: Asker = Asker {
    parts: &[
        Part::Agent,
        Part::Agent,
        Part::Object,
        Part::Object,
        Part::Object,
        Part::Recipient,
        Part::Place,
        Part::Time,
    ],
    question: clue,
    answers: bare_phrase,
};

/// Search results with two clues.
pub(super) fn document(topic: &'static Topic, dice: &mut Dice) -> Option<Document> {
    let told = story(topic, &PLAN, dice)?;
    let mut snippets: Vec<String> = told.iter().map(|told| told.text.clone()).collect();
    // The web says the same in many places.
    if dice.chance(65) {
        let again = tell(dice.choose(&told).event.clone(), None, 45, dice);
        if !snippets.contains(&again.text) {
            snippets.push(again.text);
        }
    }
    dice.shuffle(&mut snippets);
    let mut context = String::new();
    // Two or three pages, each with one or two sentences.
    for now in snippets.chunks(2) {
        if !context.is_empty() {
            context.push(' ');
        }
        let end = if dice.chance(40) { " ..." } else { "" };
        context += &format!("[DOC] [TLE] {} [PAR] {}{end}", title(topic, dice), now.join(" "));
    }
    let questions = ASKER.questions(&told, &context, 2, dice)?;
    Some(Document { context, questions })
}

fn title(topic: &Topic, dice: &mut Dice) -> String {
    let (name, _) = dice.pick(&lexicon().names);
    match dice.below(5) {
        0 => format!("{} news", capitalised(topic.name)),
        1 => format!("{name}'s diary"),
        2 => format!("All about the {}", topic.name),
        3 => format!("{} forum", capitalised(topic.name)),
        _ => format!("Letters to {name}"),
    }
}

/// A statement that leaves out the part.
fn clue(part: Part, event: &Event, dice: &mut Dice) -> Option<String> {
    let mut event = event.clone();
    event.place = event.place.filter(|_| dice.chance(45));
    event.time = event.time.filter(|_| dice.chance(45));
    event.reason = None;
    let likes_passive = if part == Part::Object { 70 } else { 15 };
    let style = Style {
        passive: dice.chance(likes_passive) && passive_sounds_well(&event),
        ..Style::PLAIN
    };
    match part {
        Part::Agent => event.agent = this(&event.agent)?,
        Part::Object => event.object = Some(this(event.object.as_ref()?)?),
        Part::Recipient => event.recipient = event.recipient.and_then(|(to, np)| Some((to, this(&np)?))),
        Part::Place => event.place = None,
        Part::Time => event.time = None,
        Part::Reason | Part::Manner | Part::Number => return None,
    }
    Some(match part {
        Part::Place => said_in(&event, &style, "where"),
        Part::Time => said_in(&event, &style, "when"),
        _ => sentence(&event, &style).trim_end_matches('.').to_string(),
    })
}

/// `this musical instrument` for `the old violin`, `this woman` for `Anna`.
fn this(np: &Np) -> Option<Np> {
    let noun = match np.head {
        Head::Noun(noun, _) => noun,
        Head::Name(..) if np.also.is_some() => return None,
        Head::Name(_, Gender::Woman) => return Some(Np::name("this woman", Gender::Woman)),
        Head::Name(_, Gender::Man) => return Some(Np::name("this man", Gender::Man)),
        _ => return None,
    };
    let hypernym = &lexicon().group(noun).hypernym;
    let odd =
        hypernym.text(0, false).starts_with("something") || hypernym.forms.iter().any(|form| noun.forms.contains(form));
    (!odd).then(|| Np::noun(Det::This, hypernym, np.plural))
}

/// The part without determiner and preposition, as quizzes want it; where it is described, also the mere noun.
fn bare_phrase(part: Part, said: &Event, dice: &mut Dice) -> Option<Vec<String>> {
    let np = match part {
        Part::Agent => Some(&said.agent),
        Part::Object => said.object.as_ref(),
        Part::Recipient => said.recipient.as_ref().map(|(_, person)| person),
        _ => None,
    };
    let Some(np) = np else {
        let phrase = phrase(part, said)?;
        let bare = without_preposition(&phrase).unwrap_or(&phrase);
        return Some(vec![bare.trim_start_matches("the ").to_string()]);
    };
    let mut bare = np.clone();
    bare.det = Det::Bare;
    let mut answers = vec![words(&bare)];
    if !bare.adjectives.is_empty() && dice.chance(40) {
        bare.adjectives.clear();
        answers.push(words(&bare));
    }
    Some(answers)
}
