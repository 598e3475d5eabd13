//! How much of the changes of scores is explained by the positions of query and key, and how much by their tokens.
//!
//! Both are one-way analyses of variance over the same changes, those between frequent tokens; the groups are pairs of
//! positions, or pairs of tokens, in a head. They overlap: where sources are made by a template, the same token stands
//! at the same place, and either explains what the other does. What a group leaves unexplained is unambiguous: changes
//! that differ for the same two tokens are not a function of the tokens, and changes that differ at the same two
//! positions are not a function of the positions.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use adept_data::Encoded;

use super::Explained;
use crate::analysis::{Moments, TokenCounts};

/// Number of tokens, the most frequent ones, whose pairs are analysed: bounds the number of groups.
const FREQUENT: usize = 256;

/// Changes in groups.
#[derive(Debug)]
pub(super) struct Changes {
    frequent: HashSet<u32>,
    /// All changes, by head.
    total: Vec<Moments>,
    positions: HashMap<(usize, usize, usize), Group>,
    tokens: HashMap<(usize, u32, u32), Group>,
}

#[derive(Debug, Clone, Copy)]
struct Group {
    moments: Moments,
    least: f64,
    most: f64,
}

impl Changes {
    /// For the sources that changes will be added of.
    pub(super) fn new(rows: &[Encoded]) -> Self {
        let mut counts: Vec<(u32, u64)> = TokenCounts::of(rows).ids.into_iter().collect();
        counts.sort_by_key(|(id, count)| (std::cmp::Reverse(*count), *id));
        Self {
            frequent: counts.iter().take(FREQUENT).map(|(id, _)| *id).collect(),
            total: Vec::new(),
            positions: HashMap::new(),
            tokens: HashMap::new(),
        }
    }

    /// Adds the change of the score of the query at `i` for the key at `j` in a head.
    pub(super) fn add(&mut self, head: usize, (i, j): (usize, usize), ids: &[u32], change: f64) {
        if !self.frequent.contains(&ids[i]) || !self.frequent.contains(&ids[j]) {
            return;
        }
        if self.total.len() <= head {
            self.total.resize(head + 1, Moments::default());
        }
        self.total[head].push(change);
        push(&mut self.positions, (head, i, j), change);
        push(&mut self.tokens, (head, ids[i], ids[j]), change);
    }

    /// What pairs of positions explain.
    pub(super) fn by_position(&self) -> Explained {
        self.explained(self.positions.values())
    }

    /// What pairs of tokens explain.
    pub(super) fn by_tokens(&self) -> Explained {
        self.explained(self.tokens.values())
    }

    fn explained<'a>(&self, groups: impl Iterator<Item = &'a Group>) -> Explained {
        let (mut within, mut count, mut spread) = (0.0, 0, 0.0_f64);
        for group in groups {
            within += squares(&group.moments);
            count += 1;
            spread = spread.max(group.most - group.least);
        }
        let values: u64 = self.total.iter().map(Moments::count).sum();
        let total: f64 = self.total.iter().map(squares).sum();
        let heads = self.total.len() as u64;
        let share = (values > count && total > 0.0).then(|| {
            let (inside, overall) = (within / (values - count) as f64, total / (values - heads) as f64);
            (1.0 - inside / overall).max(0.0)
        });
        Explained {
            share,
            spread,
            values,
            groups: count,
        }
    }
}

fn squares(moments: &Moments) -> f64 {
    moments.variance() * moments.count() as f64
}

fn push<K: Eq + Hash>(groups: &mut HashMap<K, Group>, key: K, change: f64) {
    let group = groups.entry(key).or_insert(Group {
        moments: Moments::default(),
        least: f64::INFINITY,
        most: f64::NEG_INFINITY,
    });
    group.moments.push(change);
    group.least = group.least.min(change);
    group.most = group.most.max(change);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Encoded> {
        // Every token stands at every place once.
        let row = |source: [u32; 3]| Encoded::new(source.to_vec(), vec![1]);
        vec![row([5, 6, 7]), row([6, 7, 5]), row([7, 5, 6])]
    }

    fn changes(of: impl Fn((usize, usize), (u32, u32)) -> f64) -> Changes {
        let rows = rows();
        let mut changes = Changes::new(&rows);
        for row in &rows {
            let ids = &row.source;
            for i in 0..3 {
                for j in 0..3 {
                    changes.add(0, (i, j), ids, of((i, j), (ids[i], ids[j])));
                }
            }
        }
        changes
    }

    #[test]
    fn a_function_of_the_tokens_is_explained_by_them_and_not_by_positions() {
        let found = changes(|_, (a, b)| f64::from(a * a) - 3.0 * f64::from(b));
        assert_eq!(found.by_tokens().share, Some(1.0));
        assert_eq!(found.by_tokens().spread, 0.0);
        assert!(found.by_position().share < Some(0.5) && found.by_position().spread > 1.0);
        assert_eq!((found.by_tokens().values, found.by_tokens().groups), (27, 9));
    }

    #[test]
    fn a_function_of_the_positions_is_explained_by_them_and_not_by_tokens() {
        let found = changes(|(i, j), _| (i * i) as f64 - 3.0 * j as f64);
        assert_eq!(found.by_position().share, Some(1.0));
        assert_eq!(found.by_position().spread, 0.0);
        assert!(found.by_tokens().share < Some(0.5) && found.by_tokens().spread > 1.0);
    }

    #[test]
    fn the_share_is_the_adjusted_one_worked_out_by_hand() {
        // Two groups in one head: 0, 2 and 4, 6. Squares within: 2 + 2 = 4 of 4 - 2; in total: 9 + 1 + 1 + 9 = 20 of
        // 4 - 1.
        let rows = [Encoded::new(vec![5, 6], vec![1])];
        let mut changes = Changes::new(&rows);
        for (pair, change) in [((0, 1), 0.0), ((0, 1), 2.0), ((1, 0), 4.0), ((1, 0), 6.0)] {
            changes.add(0, pair, &rows[0].source, change);
        }
        let share = changes.by_position().share.expect("groups have two changes");
        assert!((share - (1.0 - 2.0 / (20.0 / 3.0))).abs() < 1e-12, "{share}");
        assert_eq!(changes.by_position().spread, 2.0);
        // Singletons say nothing.
        let mut single = Changes::new(&rows);
        single.add(0, (0, 1), &rows[0].source, 1.0);
        single.add(0, (1, 0), &rows[0].source, 2.0);
        assert_eq!(single.by_position().share, None);
    }
}
