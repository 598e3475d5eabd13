//! Judges programs by running each, prompt and completion, against the problem's tests in the sandbox.

use std::collections::BTreeMap;
use std::time::Duration;

use adept_sandbox::{Limits, Outcome, Program, Sandbox, SandboxError, Verdict, run_all};
use serde::{Deserialize, Serialize};

use super::{Completion, Problem, pass_at_k};
use crate::TrainError;
use crate::record::{ProgramTally, Scores};

/// File with the verdict on each program in a run's folder.
pub const JUDGED: &str = "judged.json";

/// Verdict on one program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Row of the problem in the task's file.
    pub problem: usize,
    /// Index of the sample, from 0.
    pub sample: usize,
    /// `pass`, `fail`, `timeout`, `memory`, `syntax error`, or `unsupported`: the tests require something of the
    /// program that cannot cross the boundary between the two interpreters, so there is no verdict.
    pub outcome: String,
    /// Message of a failure, or why there is no verdict.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Run time in seconds.
    pub seconds: f64,
}

/// Called with the numbers done and in total; returns whether to continue.
pub type Proceed<'a> = dyn FnMut(usize, usize) -> bool + 'a;

/// Programs per worker between two calls of `proceed`.
const PIECE: usize = 8;

/// Time limit of a reference solution, which is trusted to terminate.
const REFERENCE_WALL: Duration = Duration::from_secs(60);

/// Outcome of a program without a verdict.
const UNSUPPORTED: &str = "unsupported";

/// Runs every completion. The time limit of a problem is four times that of its reference solution, but at least one
/// second; it is one second if the solution does not pass its tests here (because of a missing module, say).
///
/// `None` if `proceed` requested a stop.
///
/// # Errors
/// [`TrainError::Judging`]: a failure of the sandbox, or tests that are not valid Python; these never count as a
/// program's failure.
pub fn judge(
    sandbox: &Sandbox,
    problems: &[Problem],
    completions: &BTreeMap<(usize, usize), Completion>,
    workers: usize,
    proceed: &mut Proceed<'_>,
) -> Result<Option<Vec<Judged>>, TrainError> {
    let by_id: BTreeMap<usize, &Problem> = problems.iter().map(|problem| (problem.id, problem)).collect();
    let wanted: Vec<(&Problem, &Completion)> = completions
        .values()
        .filter_map(|completion| Some((*by_id.get(&completion.problem)?, completion)))
        .collect();
    let all = problems.len() + wanted.len();
    let names: Vec<Vec<&str>> = problems
        .iter()
        .map(|problem| problem.names.iter().map(String::as_str).collect())
        .collect();
    let place: BTreeMap<usize, usize> = problems
        .iter()
        .enumerate()
        .map(|(place, problem)| (problem.id, place))
        .collect();

    let solutions: Vec<String> = problems
        .iter()
        .map(|problem| format!("{}{}", problem.prompt, problem.solution))
        .collect();
    let generous = Limits {
        wall: REFERENCE_WALL,
        ..Limits::default()
    };
    let references: Vec<(Program<'_>, Limits)> = problems
        .iter()
        .zip(&solutions)
        .zip(&names)
        .map(|((problem, solution), names)| (program(solution, problem, names), generous))
        .collect();
    let broken = |problem: usize| move |source| TrainError::Judging { problem, source };
    let mut limits = Vec::with_capacity(problems.len());
    let Some(verdicts) = in_pieces(sandbox, &references, workers, &mut |done| proceed(done, all)) else {
        return Ok(None);
    };
    for (problem, verdict) in problems.iter().zip(verdicts) {
        limits.push(match verdict {
            Ok(verdict) if verdict.outcome.is_pass() => {
                Limits::from_reference(Duration::from_secs_f64(verdict.seconds))
            }
            Ok(_) | Err(SandboxError::Unsupported { .. }) => Limits::default(),
            Err(source) => return Err(broken(problem.id)(source)),
        });
    }

    let texts: Vec<String> = wanted
        .iter()
        .map(|(problem, completion)| format!("{}{}", problem.prompt, completion.completion))
        .collect();
    let programs: Vec<(Program<'_>, Limits)> = wanted
        .iter()
        .zip(&texts)
        .map(|((problem, _), text)| {
            let place = place[&problem.id];
            (program(text, problem, &names[place]), limits[place])
        })
        .collect();
    let mut judged = Vec::with_capacity(wanted.len());
    let done_before = problems.len();
    let Some(verdicts) = in_pieces(sandbox, &programs, workers, &mut |done| {
        proceed(done_before + done, all)
    }) else {
        return Ok(None);
    };
    for ((_, completion), verdict) in wanted.iter().zip(verdicts) {
        let (outcome, message, seconds) = match verdict {
            Ok(Verdict { outcome, seconds, .. }) => {
                let (outcome, message) = said(outcome);
                (outcome, message, seconds)
            }
            Err(SandboxError::Unsupported { message }) => (UNSUPPORTED, message, 0.0),
            Err(source) => return Err(broken(completion.problem)(source)),
        };
        judged.push(Judged {
            problem: completion.problem,
            sample: completion.sample,
            outcome: outcome.to_owned(),
            message,
            seconds,
        });
    }
    proceed(all, all);
    Ok(Some(judged))
}

/// Name and message of an outcome.
fn said(outcome: Outcome) -> (&'static str, String) {
    match outcome {
        Outcome::Pass => (adept_data::PASSED, String::new()),
        Outcome::Fail { message } => ("fail", message),
        Outcome::Timeout { limit } => ("timeout", format!("timed out after {:.1} s", limit.as_secs_f64())),
        Outcome::Memory => ("memory", String::new()),
        Outcome::SyntaxError { message } => ("syntax error", message),
    }
}

/// Runs programs in parallel on all workers; `None` if `proceed` requested a stop.
fn in_pieces(
    sandbox: &Sandbox,
    programs: &[(Program<'_>, Limits)],
    workers: usize,
    proceed: &mut dyn FnMut(usize) -> bool,
) -> Option<Vec<Result<Verdict, SandboxError>>> {
    let mut verdicts = Vec::with_capacity(programs.len());
    for piece in programs.chunks(PIECE * workers.max(1)) {
        if !proceed(verdicts.len()) {
            return None;
        }
        verdicts.extend(run_all(sandbox, piece, workers, &|_| true));
    }
    Some(verdicts)
}

fn program<'a>(solution: &'a str, problem: &'a Problem, names: &'a [&'a str]) -> Program<'a> {
    Program {
        solution,
        tests: &problem.tests,
        names,
    }
}

/// Values of k for which pass@k is reported.
const REPORTED: [usize; 3] = [1, 10, 100];

/// Counts programs by outcome, and by reason for those without a verdict.
pub fn tally(judged: &[Judged]) -> ProgramTally {
    let mut tally = ProgramTally::default();
    for one in judged {
        *tally.outcomes.entry(one.outcome.clone()).or_default() += 1;
        if one.outcome == UNSUPPORTED {
            *tally.unsupported.entry(one.message.clone()).or_default() += 1;
        }
    }
    tally
}

/// pass@1, pass@10 and pass@100, times 100, as means over the problems, for each k with enough samples. A program
/// without a verdict counts as not passed, so that a score is never too high.
pub fn scores(judged: &[Judged]) -> Scores {
    let mut by_problem: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for one in judged {
        let (samples, passed) = by_problem.entry(one.problem).or_default();
        *samples += 1;
        *passed += usize::from(one.outcome == adept_data::PASSED);
    }
    let mean = |k: usize| -> Option<f64> {
        let each: Option<Vec<f64>> = by_problem
            .values()
            .map(|&(samples, passed)| pass_at_k(samples, passed, k))
            .collect();
        let each = each.filter(|each| !each.is_empty())?;
        Some(100.0 * each.iter().sum::<f64>() / each.len() as f64)
    };
    REPORTED
        .iter()
        .filter_map(|&k| Some((format!("pass_at_{k}"), mean(k)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pass_at_k_is_a_mean_over_problems() {
        let judged = |problem, sample, outcome: &str| Judged {
            problem,
            sample,
            outcome: outcome.to_owned(),
            message: String::new(),
            seconds: 0.0,
        };
        let one = [
            judged(1, 0, "pass"),
            judged(2, 0, "fail"),
            judged(3, 0, "timeout"),
            judged(4, 0, "pass"),
        ];
        assert_eq!(scores(&one), [("pass_at_1".to_owned(), 50.0)].into());
        let ten: Vec<Judged> = (0..10)
            .flat_map(|sample| {
                [
                    judged(1, sample, if sample < 3 { "pass" } else { "memory" }),
                    judged(2, sample, "fail"),
                ]
            })
            .collect();
        let found = scores(&ten);
        assert!(
            (found["pass_at_1"] - 15.0).abs() < 1e-9 && (found["pass_at_10"] - 50.0).abs() < 1e-9,
            "{found:?}"
        );
        assert_eq!(scores(&[]), Scores::new());
    }

    #[test]
    fn programs_without_a_verdict_are_counted_with_their_reasons_and_do_not_pass() {
        let judged = |problem, outcome: &str, message: &str| Judged {
            problem,
            sample: 0,
            outcome: outcome.to_owned(),
            message: message.to_owned(),
            seconds: 0.0,
        };
        let all = [
            judged(1, "pass", ""),
            judged(2, "unsupported", "a class"),
            judged(3, "fail", "AssertionError"),
            judged(4, "unsupported", "a file"),
            judged(5, "unsupported", "a file"),
        ];
        let found = tally(&all);
        let outcomes = [("fail", 1), ("pass", 1), ("unsupported", 3)].map(|(name, count)| (name.to_owned(), count));
        assert_eq!(found.outcomes, outcomes.into());
        assert_eq!((found.unjudged(), found.reason()), (3, Some("a file")));
        assert_eq!(
            found.unsupported["a class"], 1,
            "the reasons of failures are not among them"
        );
        assert_eq!(scores(&all)["pass_at_1"], 20.0, "of all five");
        assert_eq!(tally(&all[..1]).reason(), None);
    }
}
