//! SciTail: a premise and a hypothesis, which follows from it or does not. Made as MNLI's pairs of these two kinds are,
//! with a further sentence in some premises.

use crate::dice::Dice;
use crate::lexicon::Topic;
use crate::tasks::Row;
use crate::tasks::entail::{Relation, aside_sentence, pair};

/// A pair; label 0 is `entails`.
pub(super) fn row(dice: &mut Dice, topics: &'static [Topic], label: usize) -> Option<Row> {
    let topic = dice.choose(topics);
    let relation = [Relation::Entailment, Relation::Neutral][label];
    let (mut premise, hypothesis) = pair(topic, relation, dice)?;
    if dice.chance(25) {
        premise = format!("{premise} {}", aside_sentence(topic, dice));
    }
    let texts = vec![premise, hypothesis];
    let (label, source) = (["entails", "neutral"][label].to_string(), topic.name);
    Some(Row { texts, label, source })
}
