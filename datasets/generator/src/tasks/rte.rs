//! RTE: two classes. The premise is longer than MNLI's, often two sentences, of which one matters.

use super::Row;
use super::entail::{self, Relation};
use crate::dice::Dice;
use crate::lexicon::Topic;

/// A pair; label 0 is `entailment`.
pub fn row(dice: &mut Dice, topics: &'static [Topic], label: usize) -> Option<Row> {
    let topic = dice.choose(topics);
    let relation = match label {
        0 => Relation::Entailment,
        _ if dice.chance(50) => Relation::Neutral,
        _ => Relation::Contradiction,
    };
    let (mut premise, hypothesis) = entail::pair(topic, relation, dice)?;
    if dice.chance(38) {
        let other = entail::aside_sentence(topic, dice);
        premise = if dice.chance(50) {
            format!("{premise} {other}")
        } else {
            format!("{other} {premise}")
        };
    }
    let texts = vec![premise, hypothesis];
    let label = if label == 0 { "entailment" } else { "not_entailment" }.to_string();
    let source = topic.name;
    Some(Row { texts, label, source })
}
