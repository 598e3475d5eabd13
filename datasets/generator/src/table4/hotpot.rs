//! HotpotQA as MRQA has it: two titled paragraphs, and questions that need both. One paragraph says who two people
//! are or to whom two things belong; the other tells what they did or what was done with them, in the same words for
//! both but for the part that is asked for. The question names neither, but describes one.

use super::ask::{Asker, phrase, plain_question, whole_phrase};
use super::mrqa::Document;
use super::story::{Told, could_be_meant, tell};
use crate::dice::Dice;
use crate::edits::{Change, another, apply, sibling};
use crate::grammar::text::{capitalised, plain};
use crate::grammar::{Det, Detail, Event, Np, Role, Sampler, join};
use crate::lexicon::{Gender, Noun, PERSON_PHRASES, Topic, lexicon};
use crate::tasks::qnli::Part;

const DETAIL: Detail = Detail {
    manner: 0,
    place: 40,
    time: 40,
    reason: 0,
    adjective: 12,
    phrase: 0,
};

const ASKER: Asker = Asker {
    parts: &[Part::Agent, Part::Object, Part::Place, Part::Time],
    question: plain_question,
    answers: whole_phrase,
};

/// Groups of things that people own one by one.
const OWNED: &[&str] = &[
    "artwork",
    "bicycle",
    "boat",
    "book",
    "clothing",
    "cookware",
    "device",
    "document",
    "exhibit",
    "furniture",
    "gear",
    "instrument",
    "jewel",
    "livestock",
    "luggage",
    "parcel",
    "pet",
    "tackle",
    "tool",
    "toy",
    "vehicle",
];

/// Someone or something: as the story has it, as the question has it, and what joins the two.
struct Link {
    named: Np,
    described: Np,
    fact: String,
}

/// Two paragraphs with a question about each of the two.
pub(super) fn document(topic: &'static Topic, dice: &mut Dice) -> Option<Document> {
    let sampler = Sampler { topic, detail: DETAIL };
    let mut event = sampler.event(dice);
    let people = |groups: &[usize]| groups.iter().all(|&group| lexicon().groups[group].people);
    let frame = event.frame;
    let object_is_person = people(&frame.objects);
    let slot = match frame.objects.is_empty() {
        true => Part::Agent,
        false if dice.chance(55) => Part::Object,
        false => Part::Agent,
    };
    let links = match slot {
        Part::Agent => persons(&frame.subjects, dice)?,
        _ if object_is_person => persons(&frame.objects, dice)?,
        _ => belongings(event.object.as_ref()?, dice)?,
    };
    let asked = dice.pick(ASKER.parts);
    match asked {
        Part::Place => event.place = event.place.or_else(|| Some(dice.pick(&topic.places))),
        Part::Time if event.time.is_none() => event.time = Some((dice.pick(lexicon().times(event.tense)), 0)),
        _ => {}
    }
    if asked == slot || phrase(asked, &event).is_none() {
        return None;
    }
    let quantified = |np: &Np| np.quantified() || np.also.is_some();
    if quantified(&event.agent) || event.object.as_ref().is_some_and(quantified) {
        return None;
    }
    let mut events = [event.clone(), changed(asked, &event, &sampler, dice)?];
    for (event, link) in events.iter_mut().zip(&links) {
        put(event, slot, link.named.clone());
    }
    if events.iter().any(|event| meets_itself(event, slot, &links)) {
        return None;
    }
    let told = tale(&events, &sampler, dice)?;
    let context = paragraphs(&links, &told, topic, dice);
    let mut questions = Vec::new();
    for (event, link) in events.iter().zip(&links) {
        let said = &told
            .iter()
            .find(|told| told.event.agent == event.agent && told.event.object == event.object)?
            .said;
        let mut put_so = event.clone();
        put(&mut put_so, slot, link.described.clone());
        questions.push(ASKER.question(asked, &put_so, said, &context, dice)?);
    }
    dice.shuffle(&mut questions);
    Some(Document { context, questions })
}

fn put(event: &mut Event, slot: Part, np: Np) {
    if slot == Part::Agent {
        event.agent = np;
    } else {
        event.object = Some(np);
    }
}

/// Whether someone who is described also stands elsewhere in the event: `Anna thanked Anna`.
fn meets_itself(event: &Event, slot: Part, links: &[Link; 2]) -> bool {
    let agent = Some(&event.agent).filter(|_| slot != Part::Agent);
    let object = event.object.as_ref().filter(|_| slot != Part::Object);
    let recipient = event.recipient.as_ref().map(|(_, np)| np);
    let others = [agent, object, recipient];
    let is_linked = |np: &Np| {
        links
            .iter()
            .any(|link| np.head == link.named.head || np.head == link.described.head)
    };
    others.into_iter().flatten().any(is_linked)
}

/// The event with another value of the asked part.
fn changed(asked: Part, event: &Event, sampler: &Sampler, dice: &mut Dice) -> Option<Event> {
    let mut new = event.clone();
    match asked {
        Part::Agent => new = apply(Change::Agent, event, sampler, dice)?,
        Part::Object => new.object = Some(sibling(event.object.as_ref()?, dice)?),
        Part::Place => new.place = Some(another(&sampler.topic.places, &event.place?, dice)?),
        _ => new.time = Some((another(lexicon().times(event.tense), &event.time?.0, dice)?, 0)),
    }
    Some(new)
}

/// The two events among others that cannot be taken for them, in random order.
fn tale(events: &[Event; 2], sampler: &Sampler, dice: &mut Dice) -> Option<Vec<Told>> {
    let mut told: Vec<Told> = events.iter().map(|event| tell(event.clone(), None, 15, dice)).collect();
    for _ in 0..dice.pick(&[1, 1, 2]) {
        let other = sampler.event(dice);
        if told.iter().any(|told| could_be_meant(&told.event, &other, true, true)) {
            return None;
        }
        told.push(tell(other, None, 0, dice));
    }
    dice.shuffle(&mut told);
    Some(told)
}

fn paragraphs(links: &[Link; 2], told: &[Told], topic: &Topic, dice: &mut Dice) -> String {
    let [first, second] = links;
    let facts = if dice.chance(50) {
        [first, second]
    } else {
        [second, first]
    };
    let whose = |np: &Np| match (&np.det, &np.head) {
        (Det::Of(name), _) | (_, crate::grammar::Head::Name(name, _)) => Some(*name),
        _ => None,
    };
    let names: Vec<&str> = facts
        .iter()
        .filter_map(|link| whose(&link.named).or_else(|| whose(&link.described)))
        .collect();
    let facts: Vec<&str> = facts.iter().map(|link| link.fact.as_str()).collect();
    let sentences: Vec<&str> = told.iter().map(|told| told.text.as_str()).collect();
    let mut both = [
        format!("[PAR] [TLE] {} [SEP] {}", names.join(" and "), facts.join(" ")),
        format!("[PAR] [TLE] {} [SEP] {}", capitalised(topic.name), sentences.join(" ")),
    ];
    if dice.chance(50) {
        both.swap(0, 1);
    }
    both.join(" ")
}

/// Two people by name: what each of them is.
fn persons(groups: &[usize], dice: &mut Dice) -> Option<[Link; 2]> {
    let [(one, one_gender), (other, other_gender)] = two_names(dice)?;
    let first = person(groups, one, one_gender, dice)?;
    let second = person(groups, other, other_gender, dice)?;
    (first.described.head != second.described.head).then_some([first, second])
}

fn person(groups: &[usize], name: &'static str, gender: Gender, dice: &mut Dice) -> Option<Link> {
    let group = &lexicon().groups[dice.pick(groups)];
    let noun = dice.choose(&group.members);
    if noun.gender != Gender::Open && noun.gender != gender {
        return None;
    }
    let mut described = Np::noun(Det::The, noun, false);
    if dice.chance(40) {
        described.adjectives.push((dice.pick(&group.adjectives), 0));
    }
    if dice.chance(25) {
        described.phrase = Some(dice.pick(PERSON_PHRASES).0);
    }
    let named = Np::name(name, gender);
    let mut fact = named.tokens(Role::Subject, false);
    if dice.chance(70) {
        let a = Np {
            det: Det::A,
            ..described.clone()
        };
        fact.push(plain("is"));
        fact.extend(a.tokens(Role::Object, false));
    } else {
        fact = described.tokens(Role::Subject, false);
        fact.push(plain(dice.pick(&["is called", "goes by the name of"])));
        fact.push(plain(name));
    }
    let fact = join(&fact, ".");
    Some(Link { named, described, fact })
}

/// Two things of a group: whose each of them is.
fn belongings(thing: &Np, dice: &mut Dice) -> Option<[Link; 2]> {
    let noun = thing.as_noun()?;
    let group = lexicon().group(noun);
    let owned = OWNED.contains(&group.name) && !noun.mass && !group.hypernym.mass;
    if !owned || thing.plural || thing.generalised().is_none() {
        return None;
    }
    let other = sibling(&Np::noun(Det::The, noun, false), dice)?.as_noun()?;
    let [(one, _), (another, _)] = two_names(dice)?;
    let link = |noun: &'static Noun, owner: &'static str, dice: &mut Dice| {
        let named = Np::noun(Det::The, noun, false);
        let described = Np::noun(Det::Of(owner), &group.hypernym, false);
        let belongs = dice.pick(&["belongs to", "is the property of", "was given to"]);
        let mut fact = named.tokens(Role::Subject, false);
        if dice.chance(60) {
            fact.extend([plain(belongs), plain(owner)]);
        } else {
            fact.splice(0..0, [plain(owner), plain(dice.pick(&["owns", "is the owner of"]))]);
        }
        let fact = join(&fact, ".");
        Link { named, described, fact }
    };
    Some([link(noun, one, dice), link(other, another, dice)])
}

fn two_names(dice: &mut Dice) -> Option<[(&'static str, Gender); 2]> {
    let names = [dice.pick(&lexicon().names), dice.pick(&lexicon().names)];
    (names[0].0 != names[1].0).then_some(names)
}
