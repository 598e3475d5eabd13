//! What running the programs has found: every completion behind its prompt, against the problem's tests, in the
//! sandbox.

use std::collections::BTreeMap;
use std::time::Duration;

use adept_sandbox::{Limits, Outcome, Program, Sandbox, SandboxError, Verdict, run_all};
use serde::{Deserialize, Serialize};

use super::{Completion, Problem, pass_at_k};
use crate::TrainError;
use crate::record::{ProgramTally, Scores};

/// The file of a run's folder that says what became of each program.
pub const JUDGED: &str = "judged.json";

/// What became of one program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Row of the problem in the task's file.
    pub problem: usize,
    /// Which of the problem's samples it is, from 0.
    pub sample: usize,
    /// `pass`, `fail`, `timeout`, `memory`, `syntax error`, or `unsupported`: the tests ask of the program what cannot
    /// be asked from one interpreter to the other, so that there is no verdict.
    pub outcome: String,
    /// What a failure said; why there is no verdict.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Seconds that it ran.
    pub seconds: f64,
}

/// Told how many are done and how many there are, answers whether to go on.
pub type Proceed<'a> = dyn FnMut(usize, usize) -> bool + 'a;

/// Programs for each worker between two questions whether to go on.
const PIECE: usize = 8;

/// The limit of a reference solution, which is trusted to end.
const REFERENCE_WALL: Duration = Duration::from_secs(60);

/// The outcome of a program on which there is no verdict.
const UNSUPPORTED: &str = "unsupported";

/// Runs every completion. The time limit of a problem is four times that of its own solution, and one second at least;
/// a solution that does not pass its tests here (a module that is not installed, say) leaves one second.
///
/// None where `proceed` has said to stop.
///
/// # Errors
/// [`TrainError::Judging`]: a sandbox that did not work, or tests that are no Python; that is never counted as a
/// failure of a program.
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

/// An outcome's name, and what it says.
fn said(outcome: Outcome) -> (&'static str, String) {
    match outcome {
        Outcome::Pass => (adept_data::PASSED, String::new()),
        Outcome::Fail { message } => ("fail", message),
        Outcome::Timeout { limit } => ("timeout", format!("not done after {:.1} s", limit.as_secs_f64())),
        Outcome::Memory => ("memory", String::new()),
        Outcome::SyntaxError { message } => ("syntax error", message),
    }
}

/// Runs programs, as many at a time as there are workers; none where `proceed` has said to stop.
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

/// The numbers of samples that pass@k is reported for.
const REPORTED: [usize; 3] = [1, 10, 100];

/// How many programs came to what, and why there was no verdict on some.
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

/// pass@1, pass@10 and pass@100, times 100, as means over the problems: those of them that there are samples enough
/// for. A program on which there is no verdict counts as one that does not pass, so that a score is never too high.
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
