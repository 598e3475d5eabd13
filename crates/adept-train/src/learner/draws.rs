//! Which task each batch of a run on several tasks is of.

use crate::config::MixtureSection;
use crate::learner::mix;
use adept_data::pretrain::mixing_rates;

/// Stands for the choice of tasks among the random streams of a seed.
const CHOICE: u64 = 0x7461_736b;

/// Draws of tasks, each with its probability; a pure function of (seed, number).
#[derive(Debug)]
pub(crate) struct Draws {
    /// Upper ends of the tasks' shares of [0, 1).
    ends: Vec<f64>,
    seed: u64,
    /// Number of the next draw.
    next: usize,
    /// How often each task was drawn before it.
    counts: Vec<usize>,
}

impl Draws {
    /// Draws among tasks of these numbers of training rows.
    pub(crate) fn new(sizes: &[usize], section: &MixtureSection, seed: u64) -> Self {
        let rates = mixing_rates(sizes, section.limit, section.temperature);
        let mut end = 0.0;
        let ends = rates.iter().map(|rate| {
            end += rate;
            end
        });
        Self {
            ends: ends.collect(),
            seed: mix(seed, CHOICE),
            next: 0,
            counts: vec![0; sizes.len()],
        }
    }

    /// The task of draw `number`, and how often it was drawn before: the number of its batch.
    pub(crate) fn at(&mut self, number: usize) -> (usize, usize) {
        if number < self.next {
            self.next = 0;
            self.counts.fill(0);
        }
        while self.next < number {
            let task = self.task(self.next);
            self.counts[task] += 1;
            self.next += 1;
        }
        let task = self.task(number);
        (task, self.counts[task])
    }

    fn task(&self, number: usize) -> usize {
        let drawn = (mix(self.seed, number as u64) >> 11) as f64 / (1u64 << 53) as f64;
        // Rounding may leave the last end a little below 1.
        let place = self.ends.iter().position(|end| drawn < *end);
        place.unwrap_or(self.ends.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(limit: usize, temperature: f64) -> MixtureSection {
        MixtureSection {
            limit,
            temperature,
            ..MixtureSection::default()
        }
    }

    #[test]
    fn shares_follow_sizes_limit_and_temperature() {
        const DRAWS: usize = 40_000;
        for (limit, temperature, expected) in [
            (usize::MAX, 1.0, [0.1, 0.9]),
            (300, 1.0, [0.25, 0.75]),
            (usize::MAX, 1e6, [0.5, 0.5]),
            (usize::MAX, 2.0, [0.25, 0.75]),
        ] {
            let mut draws = Draws::new(&[100, 900], &section(limit, temperature), 7);
            let mut counts = [0usize; 2];
            for number in 0..DRAWS {
                let (task, before) = draws.at(number);
                assert_eq!(before, counts[task], "batches of a task are numbered without gaps");
                counts[task] += 1;
            }
            for (count, expected) in counts.iter().zip(expected) {
                let share = *count as f64 / DRAWS as f64;
                // Five standard deviations of a share.
                assert!(
                    (share - expected).abs() < 0.0125,
                    "{limit} {temperature}: {share} for {expected}"
                );
            }
        }
    }

    #[test]
    fn a_draw_does_not_depend_on_those_asked_for_before() {
        let new = || Draws::new(&[5, 7, 11], &section(usize::MAX, 1.0), 3);
        let mut in_order = new();
        let all: Vec<_> = (0..50).map(|number| in_order.at(number)).collect();
        let mut resumed = new();
        assert_eq!(resumed.at(31), all[31]);
        assert_eq!(resumed.at(4), all[4]);
        let mut other = Draws::new(&[5, 7, 11], &section(usize::MAX, 1.0), 4);
        assert_ne!((0..50).map(|number| other.at(number)).collect::<Vec<_>>(), all);
    }

    #[test]
    fn one_task_is_drawn_always() {
        let mut draws = Draws::new(&[10], &section(1, 1.0), 3);
        assert_eq!([draws.at(0), draws.at(9)], [(0, 0), (0, 9)]);
    }
}
