//! MNLI: three classes, from premises of one sentence. The mismatched set is made of topics that training never sees.

use super::Row;
use super::entail::{self, Relation};
use crate::dice::Dice;
use crate::lexicon::Topic;

/// A pair; label 0 entailment, 1 neutral, 2 contradiction.
pub fn row(dice: &mut Dice, topics: &'static [Topic], label: usize) -> Option<Row> {
    let topic = dice.choose(topics);
    let relation = [Relation::Entailment, Relation::Neutral, Relation::Contradiction][label];
    let (premise, hypothesis) = entail::pair(topic, relation, dice)?;
    let texts = vec![premise, hypothesis];
    let label = ["entailment", "neutral", "contradiction"][label].to_string();
    let source = topic.name;
    Some(Row { texts, label, source })
}
