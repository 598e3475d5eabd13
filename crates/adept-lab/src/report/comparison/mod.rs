//! What may be claimed of two methods: their difference on the same test examples with the same seeds, an interval
//! over examples (paired bootstrap) and one over seeds (Student's t).
//!
//! A method is said to be above another only where both intervals exclude 0; nothing is said across backbones or data.

mod bootstrap;
mod measure;
mod random;
mod render;
mod sample;
mod student;

use std::collections::BTreeMap;

use adept_data::Metric;
use serde::Serialize;

use super::summary::RunSummary;
use super::table::Row;

pub use bootstrap::Bootstrap;
pub use random::Random;
pub(super) use render::{html, markdown};
pub use sample::{Sample, score};
pub use student::SeedInterval;

/// Two methods, the one with the higher mean over tasks first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Reference names of the methods.
    pub methods: [String; 2],
    /// Their ranks by the mean over tasks, from 1.
    pub ranks: [usize; 2],
    /// The difference of the means over tasks; examples are resampled within each task.
    pub overall: Separation,
    /// The difference on each task.
    pub tasks: BTreeMap<String, Separation>,
}

/// A difference between two methods, the first minus the second, and what it allows to be said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Separation {
    /// Seeds that both methods have.
    pub seeds: Vec<u64>,
    /// Mean difference of test scores over these seeds, times 100; `None` where the runs cannot be compared.
    pub difference: Option<f64>,
    /// Its spread over the test examples; `None` if a run did not keep its answers.
    pub examples: Option<Bootstrap>,
    /// Its spread over seeds; `None` with fewer than two.
    pub over_seeds: Option<SeedInterval>,
    /// What may be said.
    pub verdict: Verdict,
}

/// What a comparison allows to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The first method is above the second: both intervals are above 0.
    Above,
    /// The first method is below the second: both intervals are below 0.
    Below,
    /// At least one of the intervals has 0 inside.
    NotSeparated,
    /// There is one seed, which says nothing about others.
    OneSeed,
    /// A run did not keep its answers.
    NoAnswers,
    /// No seed is shared.
    NoSharedSeed,
    /// The backbones differ.
    OtherBackbone,
    /// The data or the metric differ.
    OtherData,
}

/// Compares neighbours in the ranking by the mean over tasks, and each method with the best one. Methods without a mean
/// have no rank.
#[must_use]
pub fn comparisons(rows: &[Row], runs: &[RunSummary], tasks: &[String]) -> Vec<Comparison> {
    let mut ranked: Vec<(&Row, f64)> = rows.iter().filter_map(|row| Some((row, row.mean?.mean))).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    let pairs = (1..ranked.len()).flat_map(|rank| {
        let with_best = (rank > 1).then_some((0, rank));
        [Some((rank - 1, rank)), with_best].into_iter().flatten()
    });
    let mut pairs: Vec<(usize, usize)> = pairs.collect();
    pairs.sort_unstable();
    let compare = |(first, second): (usize, usize)| {
        let (above, below) = (ranked[first].0, ranked[second].0);
        compared([above, below], [first + 1, second + 1], runs, tasks)
    };
    pairs.into_iter().map(compare).collect()
}

fn compared([above, below]: [&Row; 2], ranks: [usize; 2], runs: &[RunSummary], tasks: &[String]) -> Comparison {
    let of = |row: &Row, task: &str| -> BTreeMap<u64, &RunSummary> {
        let own = runs.iter().filter(|run| run.row == row.name && run.task == task);
        own.map(|run| (run.seed, run)).collect()
    };
    let mut found = BTreeMap::new();
    let mut by_task = Vec::new();
    for task in tasks {
        let on_task = OnTask::of(&of(above, task), &of(below, task), [&above.name, &below.name]);
        found.insert(task.clone(), on_task.separation());
        by_task.push(on_task);
    }
    Comparison {
        methods: [above.name.clone(), below.name.clone()],
        ranks,
        overall: overall(&by_task),
        tasks: found,
    }
}

/// Two methods on one task.
struct OnTask {
    /// Differences by seed.
    differences: BTreeMap<u64, f64>,
    /// Differences in resamples of the examples.
    resampled: Option<Vec<f64>>,
    /// Why the runs cannot be compared.
    obstacle: Option<Verdict>,
}

impl OnTask {
    fn of(above: &BTreeMap<u64, &RunSummary>, below: &BTreeMap<u64, &RunSummary>, methods: [&str; 2]) -> Self {
        let seeds = above.keys().filter(|seed| below.contains_key(seed));
        let pairs: Vec<(&RunSummary, &RunSummary)> = seeds.map(|seed| (above[seed], below[seed])).collect();
        let obstacle = obstacle(&pairs);
        if obstacle.is_some() {
            return Self {
                differences: BTreeMap::new(),
                resampled: None,
                obstacle,
            };
        }
        Self {
            differences: pairs.iter().map(|(a, b)| (a.seed, a.test - b.test)).collect(),
            resampled: resampled(&pairs, methods),
            obstacle: None,
        }
    }

    fn separation(&self) -> Separation {
        let differences: Vec<f64> = self.differences.values().copied().collect();
        let seeds = self.differences.keys().copied().collect();
        separation(
            self.obstacle,
            seeds,
            mean(&differences),
            self.resampled.clone(),
            &differences,
        )
    }
}

/// Why paired runs on a task cannot be compared.
fn obstacle(pairs: &[(&RunSummary, &RunSummary)]) -> Option<Verdict> {
    let Some((first, _)) = pairs.first() else {
        return Some(Verdict::NoSharedSeed);
    };
    let mut all = pairs.iter().flat_map(|(above, below)| [above, below]);
    if all.clone().any(|run| run.fingerprint != first.fingerprint) {
        return Some(Verdict::OtherBackbone);
    }
    all.any(|run| run.metric != first.metric || run.data != first.data)
        .then_some(Verdict::OtherData)
}

/// Differences in resamples of the examples of one task.
fn resampled(pairs: &[(&RunSummary, &RunSummary)], methods: [&str; 2]) -> Option<Vec<f64>> {
    let above: Option<Vec<_>> = pairs.iter().map(|(above, _)| above.answers.as_ref()).collect();
    let below: Option<Vec<_>> = pairs.iter().map(|(_, below)| below.answers.as_ref()).collect();
    let first = pairs.first()?.0;
    let metric = Metric::ALL.into_iter().find(|metric| metric.name() == first.metric)?;
    let sample = Sample::of(metric, &above?, &below?)?;
    Some(sample.resampled(&mut Random::of(&[&first.task, methods[0], methods[1]])))
}

/// The difference of means over tasks.
fn overall(tasks: &[OnTask]) -> Separation {
    let obstacle = tasks.iter().find_map(|task| task.obstacle);
    let means: Vec<f64> = tasks
        .iter()
        .filter_map(|task| mean(&task.differences.values().copied().collect::<Vec<_>>()))
        .collect();
    let seeds: Vec<u64> = tasks.first().map_or_else(Vec::new, |first| {
        let shared = |seed: &&u64| tasks.iter().all(|task| task.differences.contains_key(seed));
        first.differences.keys().filter(shared).copied().collect()
    });
    let by_seed: Vec<f64> = seeds
        .iter()
        .filter_map(|seed| mean(&tasks.iter().map(|task| task.differences[seed]).collect::<Vec<_>>()))
        .collect();
    let resampled: Option<Vec<&Vec<f64>>> = tasks.iter().map(|task| task.resampled.as_ref()).collect();
    // Tasks have draws of their own; a large split has fewer of them.
    let resampled = resampled.and_then(|tasks| {
        let draws = tasks.iter().map(|draws| draws.len()).min()?;
        let mean = |draw| tasks.iter().map(|draws| draws[draw]).sum::<f64>() / tasks.len() as f64;
        Some((0..draws).map(mean).collect())
    });
    separation(obstacle, seeds, mean(&means), resampled, &by_seed)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn separation(
    obstacle: Option<Verdict>,
    seeds: Vec<u64>,
    difference: Option<f64>,
    resampled: Option<Vec<f64>>,
    by_seed: &[f64],
) -> Separation {
    if let Some(verdict) = obstacle {
        return Separation {
            seeds,
            difference: None,
            examples: None,
            over_seeds: None,
            verdict,
        };
    }
    let examples = resampled.and_then(Bootstrap::of);
    let over_seeds = SeedInterval::of(by_seed);
    let verdict = match (&examples, &over_seeds) {
        (None, _) => Verdict::NoAnswers,
        (Some(_), None) => Verdict::OneSeed,
        (Some(examples), Some(seeds)) => {
            let ends = [examples.interval, seeds.interval];
            if ends.iter().all(|interval| interval[0] > 0.0) {
                Verdict::Above
            } else if ends.iter().all(|interval| interval[1] < 0.0) {
                Verdict::Below
            } else {
                Verdict::NotSeparated
            }
        }
    };
    Separation {
        seeds,
        difference,
        examples,
        over_seeds,
        verdict,
    }
}

#[cfg(test)]
mod tests {
    use adept_data::{DataFile, Right};
    use adept_train::test_answers::TestAnswers;

    use super::super::Report;
    use super::super::tests::run;
    use super::*;

    /// A run whose answers to 200 rows are right but for every `wrong`th, from row `seed` on.
    fn answered(task: &str, method: &str, seed: u64, wrong: usize) -> RunSummary {
        let targets: Vec<String> = (0..200).map(|row: usize| (row % 2).to_string()).collect();
        let answer = |(row, target): (usize, &String)| {
            let is_wrong = (row + seed as usize).is_multiple_of(wrong);
            if is_wrong { "neither".to_owned() } else { target.clone() }
        };
        let answers: Vec<String> = targets.iter().enumerate().map(answer).collect();
        let right = Right::of_targets(targets);
        let answers = TestAnswers::of(
            &[Metric::Accuracy],
            Some(&["0".to_owned(), "1".to_owned()]),
            &answers,
            &right,
        );
        RunSummary {
            test: score(Metric::Accuracy, &answers).expect("there are answers"),
            answers: Some(answers),
            ..run(task, method, seed, 0.0)
        }
    }

    fn compare(runs: Vec<RunSummary>) -> Vec<Comparison> {
        Report::new(None, runs, Vec::new()).comparisons
    }

    #[track_caller]
    fn check(runs: Vec<RunSummary>, overall: Verdict) {
        let found = compare(runs);
        let [only] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(only.overall.verdict, overall, "{only:?}");
        assert_eq!(
            only.overall.difference.is_some(),
            !only.overall.seeds.is_empty(),
            "{only:?}"
        );
    }

    /// Two tasks, three seeds, errors of one row in 20 against one in 4.
    fn apart() -> Vec<RunSummary> {
        let mut runs = Vec::new();
        for task in ["sst2", "rte"] {
            for seed in 1..4 {
                runs.push(answered(task, "adept", seed, 20));
                // The seeds differ, so that the interval over them is no point.
                runs.push(answered(task, "pt", seed, 3 + seed as usize));
            }
        }
        runs
    }

    #[test]
    fn a_method_is_above_another_only_where_both_intervals_are() {
        check(apart(), Verdict::Above);
        let found = compare(apart());
        let overall = &found[0].overall;
        assert_eq!(
            (found[0].methods.clone(), found[0].ranks),
            (["adept", "pt"].map(str::to_owned), [1, 2])
        );
        assert_eq!(overall.seeds, [1, 2, 3]);
        assert!((overall.difference.expect("comparable") - (95.0 - (75.0 + 80.0 + 83.17) / 3.0)).abs() < 0.5);
        assert!(overall.examples.expect("answers").p < 0.01 && overall.over_seeds.expect("seeds").n == 3);
        assert!(found[0].tasks.values().all(|task| task.verdict == Verdict::Above));

        // The same answers: neither interval excludes 0.
        let same = |method| (1..4).map(move |seed| answered("rte", method, seed, 10));
        check(same("adept").chain(same("pt")).collect(), Verdict::NotSeparated);
        // One seed of three turns the order round: the examples are separated, the seeds are not.
        let uneven = |method, wrong: [usize; 3]| {
            (1..4)
                .zip(wrong)
                .map(move |(seed, wrong)| answered("rte", method, seed, wrong))
        };
        let found = compare(uneven("adept", [40, 40, 4]).chain(uneven("pt", [4, 4, 5])).collect());
        let task = &found[0].tasks["rte"];
        assert!(task.examples.expect("answers").interval[0] > 0.0, "{task:?}");
        assert!(task.over_seeds.expect("seeds").interval[0] < 0.0, "{task:?}");
        assert_eq!(task.verdict, Verdict::NotSeparated);
        // Five errors against six in 200 rows, the same in every seed: only the seeds are separated.
        let found = compare(
            (1..4)
                .flat_map(|seed| [answered("rte", "adept", seed, 40), answered("rte", "pt", seed, 33)])
                .collect(),
        );
        let task = &found[0].tasks["rte"];
        assert!(task.over_seeds.expect("seeds").interval[0] > 0.0, "{task:?}");
        assert!(task.examples.expect("answers").interval[0] < 0.0, "{task:?}");
        assert_eq!(task.verdict, Verdict::NotSeparated);
    }

    #[test]
    fn nothing_is_claimed_of_one_seed_without_answers_or_across_data_and_backbones() {
        check(
            vec![answered("rte", "adept", 1, 40), answered("rte", "pt", 1, 2)],
            Verdict::OneSeed,
        );
        let but_one = |change: fn(&mut RunSummary)| {
            let mut runs = apart();
            change(&mut runs[3]);
            runs
        };
        check(but_one(|run| run.answers = None), Verdict::NoAnswers);
        check(but_one(|run| run.fingerprint.push('0')), Verdict::OtherBackbone);
        check(but_one(|run| run.metric = "f1".to_owned()), Verdict::OtherData);
        let file = DataFile {
            name: "dev.tsv".to_owned(),
            sha256: "00".to_owned(),
            rows: 1,
            skipped: 0,
            empty_fields: 0,
        };
        let mut runs = apart();
        runs[3].data = vec![file];
        check(runs, Verdict::OtherData);
        let mut runs = apart();
        runs.iter_mut()
            .filter(|run| run.method == "pt")
            .for_each(|run| run.seed += 10);
        check(runs, Verdict::NoSharedSeed);
        // The right answers differ though the files' hashes do not: the rows are not the same.
        let mut runs = apart();
        let labels = runs[3].answers.as_mut().and_then(|answers| answers.labels.as_mut());
        labels.expect("labels").right[0] = 1;
        check(runs, Verdict::NoAnswers);
    }

    #[test]
    fn neighbours_and_the_best_are_compared_and_methods_without_a_mean_are_not() {
        let mut runs = Vec::new();
        for (method, wrong) in [("pt", 4), ("dept", 5), ("adept", 10), ("lora", 20)] {
            runs.extend([answered("rte", method, 1, wrong), answered("sst2", method, 1, wrong)]);
        }
        runs.push(answered("rte", "full", 1, 50));
        let ranks: Vec<[usize; 2]> = compare(runs.clone()).iter().map(|one| one.ranks).collect();
        assert_eq!(ranks, [[1, 2], [1, 3], [1, 4], [2, 3], [3, 4]]);
        // The same runs give the same figures, whatever other methods there are.
        let fewer = runs
            .iter()
            .filter(|run| ["lora", "pt"].contains(&run.method.as_str()))
            .cloned()
            .collect();
        assert_eq!(compare(fewer)[0].overall, compare(runs)[2].overall);
    }
}
