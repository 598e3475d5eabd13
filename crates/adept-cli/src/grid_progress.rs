//! Progress of a grid of runs on standard error: a single bar on a terminal; otherwise a line after each run and at
//! regular intervals.
//!
//! The bar advances by expected seconds, so that a run of a slow task or method covers more of it than a fast one; the
//! remaining time is the expected time of the rest, scaled by the pace so far.

use std::cell::RefCell;
use std::io::{self, IsTerminal as _};
use std::rc::Rc;
use std::time::{Duration, Instant};

use adept_data::SplitLosses;
use adept_lab::report::text::{duration, thousands};
use adept_lab::reproduce::{Cell, CellTime, Estimate, GridObserver, Plan};
use adept_train::TrainError;
use adept_train::observer::{Event, Observer};
use adept_train::record::RunResult;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::remark;
use crate::interrupt;
use crate::progress::{Loudness, Progress, missing_layers, scores, unjudged};

/// Interval between plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(30);

/// Resolution of the bar.
const RESOLUTION: u64 = 1_000;

/// Expected seconds of work at the expected pace to mix into the estimate: the first steps alone are unreliable.
const TRUSTED: f64 = 5.0;

/// Progress display of a grid.
pub struct GridProgress {
    loudness: Loudness,
    shared: Rc<RefCell<Whole>>,
}

impl GridProgress {
    /// Progress of the plan's unfinished runs. Without an estimate, runs are weighted by their number of steps.
    pub fn new(loudness: Loudness, plan: &Plan, expected: Option<&Estimate>) -> Self {
        let bar = (loudness == Loudness::Usual && io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{bar:20} {percent:>3} %  {wide_msg}");
            ProgressBar::with_draw_target(Some(RESOLUTION), ProgressDrawTarget::stderr_with_hz(8))
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        let runs: Vec<Share> = plan
            .waiting()
            .enumerate()
            .map(|(position, cell)| {
                let time = expected.and_then(|expected| expected.cells.get(position).copied());
                Share::new(cell, time)
            })
            .collect();
        let shared = Whole {
            loudness,
            bar,
            tally: Tally::new(runs),
            began: Instant::now(),
            last_line: Instant::now(),
            label: String::new(),
            loss: None,
            warned: false,
            losses: Vec::new(),
        };
        Self {
            loudness,
            shared: Rc::new(RefCell::new(shared)),
        }
    }
}

impl GridProgress {
    /// Shows a message on the bar between two runs; returns whether there is a bar.
    pub fn message(&self, text: &str) -> bool {
        let whole = self.shared.borrow();
        whole.bar.as_ref().map(|bar| bar.set_message(text.to_owned())).is_some()
    }

    /// Prints a permanent line.
    pub fn line(&self, text: &str) {
        self.shared.borrow().line(text, false);
    }
}

impl GridObserver for GridProgress {
    fn begin(&mut self, cell: &Cell, position: usize, total: usize) -> Box<dyn Observer> {
        let label = format!("{} {}, seed {}", cell.place(), cell.variant, cell.seed);
        let lines = match self.loudness {
            Loudness::Verbose => Some(Progress::new(
                self.loudness,
                format!("[{}/{total}] {label}", position + 1),
            )),
            _ => None,
        };
        let mut whole = self.shared.borrow_mut();
        whole.tally.current = position;
        whole.label = label;
        whole.loss = None;
        whole.show();
        drop(whole);
        Box::new(OneRun {
            shared: Rc::clone(&self.shared),
            lines,
        })
    }

    fn failed(&mut self, cell: &Cell, cause: &TrainError) {
        let whole = self.shared.borrow();
        whole.line(
            &format!("{} failed and is left out: {cause}", cell.folder.display()),
            true,
        );
    }
}

impl Drop for GridProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.shared.borrow().bar {
            bar.finish_and_clear();
        }
    }
}

/// Observes one run of the grid.
struct OneRun {
    shared: Rc<RefCell<Whole>>,
    /// Per-run output in verbose mode.
    lines: Option<Progress>,
}

impl Observer for OneRun {
    fn event(&mut self, event: &Event<'_>) {
        if let Some(lines) = &mut self.lines {
            lines.event(event);
        }
        self.shared.borrow_mut().event(event);
    }

    fn stop_requested(&mut self) -> bool {
        interrupt::requested()
    }
}

/// State shared by all views.
struct Whole {
    loudness: Loudness,
    bar: Option<ProgressBar>,
    tally: Tally,
    began: Instant,
    last_line: Instant,
    /// Label of the current run.
    label: String,
    loss: Option<f64>,
    /// Whether the warning about missing sandbox layers has been printed.
    warned: bool,
    /// Losses already reported.
    losses: Vec<Vec<SplitLosses>>,
}

impl Whole {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Resume(resume) if self.loudness == Loudness::Usual => {
                for damaged in &resume.damaged {
                    self.line(
                        &format!("{}: left aside a damaged checkpoint: {damaged}", self.label),
                        false,
                    );
                }
                self.line(
                    &format!("{}: resumed at step {}", self.label, thousands(resume.step)),
                    false,
                );
            }
            Event::Progress { step, .. } => {
                self.tally.run().step = *step;
                self.show();
            }
            Event::Step(step) => self.loss = Some(step.loss),
            Event::EvaluationProgress { done, total, .. } => {
                self.tally.run().part = *done as f64 / (*total).max(1) as f64;
                self.show();
            }
            Event::Evaluation(_) => {
                let run = self.tally.run();
                run.evaluations += 1;
                run.part = 0.0;
                self.show();
            }
            Event::End(result) => {
                self.tally.run().done = true;
                self.end(result);
            }
            // In verbose mode each run reports both itself.
            Event::Start(start) => {
                if self.loudness == Loudness::Usual {
                    self.losses(&start.losses);
                }
                if self.loudness != Loudness::Verbose && !self.warned {
                    // Once per grid is enough.
                    if let Some(warning) = missing_layers(&start.missing_layers) {
                        self.warned = true;
                        self.line(&warning, true);
                    }
                }
            }
            Event::Resume(_) | Event::Checkpoint { .. } | Event::JudgingProgress { .. } => {}
        }
    }

    /// Reports losses of a task's texts, once for all of its runs.
    fn losses(&mut self, losses: &[SplitLosses]) {
        if losses.is_empty() || self.losses.iter().any(|known| known == losses) {
            return;
        }
        self.losses.push(losses.to_vec());
        for line in losses.iter().flat_map(SplitLosses::lines) {
            self.line(&format!("{}: {line}", self.label), false);
        }
    }

    /// Prints the line for a finished run.
    fn end(&mut self, result: &RunResult) {
        let (done, total) = (self.tally.done(), self.tally.runs.len());
        let left = match self.left() {
            Some(seconds) if done < total => format!("; {} left", duration(seconds)),
            _ => String::new(),
        };
        let line = match self.loudness {
            Loudness::Quiet => return,
            // Scores and times are already in the run's own lines.
            Loudness::Verbose => format!("{done} of {total} runs done{left}"),
            Loudness::Usual => format!(
                "[{done}/{total}] {}: test {} (step {}){left}",
                self.label,
                scores(&result.test),
                thousands(result.best_step)
            ),
        };
        self.last_line = Instant::now();
        self.line(&line, false);
        if let (Loudness::Usual, Some(text)) = (self.loudness, result.programs.as_ref().and_then(unjudged)) {
            self.line(&format!("{}: {text}", self.label), false);
        }
        self.show();
    }

    /// Advances the bar, or without one prints a line if it is due.
    fn show(&mut self) {
        if self.loudness != Loudness::Usual {
            return;
        }
        let plain = self.bar.is_none();
        if plain && self.last_line.elapsed() < PLAIN_EVERY {
            return;
        }
        let share = self.tally.share();
        let left = self
            .left()
            .map_or_else(String::new, |left| format!(", {} left", duration(left)));
        let loss = self.loss.map_or_else(String::new, |loss| format!(", loss {loss:.3}"));
        let (steps, all_steps) = self.tally.steps();
        let text = format!(
            "{}/{} runs, {}/{} steps{left} | {}{loss}",
            self.tally.done(),
            self.tally.runs.len(),
            thousands(steps),
            thousands(all_steps),
            self.label
        );
        match &self.bar {
            Some(bar) => {
                bar.set_position((share * RESOLUTION as f64) as u64);
                bar.set_message(text);
            }
            None => {
                self.last_line = Instant::now();
                self.line(&format!("{:.0} % done, {text}", 100.0 * share), false);
            }
        }
    }

    /// Expected seconds remaining.
    fn left(&self) -> Option<f64> {
        self.tally.left(self.began.elapsed().as_secs_f64())
    }

    /// Prints a permanent line, above the bar if there is one. Errors are shown even in quiet mode.
    fn line(&self, text: &str, error: bool) {
        match (&self.bar, self.loudness) {
            (_, Loudness::Quiet) if !error => {}
            (Some(bar), _) => bar.println(text),
            (None, _) => remark(text),
        }
    }
}

/// Progress of one run.
#[derive(Debug, Clone, PartialEq)]
struct Share {
    /// Expected seconds, or steps if no time is known.
    expected: CellTime,
    timed: bool,
    /// Steps done before this session, done now, and in total.
    first: usize,
    step: usize,
    steps: usize,
    /// Evaluations done now, and due at the start, including that of the test split.
    evaluations: usize,
    due: usize,
    /// Fraction of the current evaluation.
    part: f64,
    done: bool,
}

impl Share {
    fn new(cell: &Cell, time: Option<CellTime>) -> Self {
        let config = &cell.resolved.config;
        let (steps, first) = (config.train.steps, cell.steps_done());
        let untimed = CellTime {
            training: steps.saturating_sub(first) as f64,
            evaluation: 0.0,
        };
        Self {
            expected: time.unwrap_or(untimed),
            timed: time.is_some(),
            first,
            step: first,
            steps,
            evaluations: 0,
            due: steps.div_ceil(config.evaluation.every) - first / config.evaluation.every + 1,
            part: 0.0,
            done: false,
        }
    }

    /// Expected seconds of completed work.
    fn passed(&self) -> f64 {
        if self.done {
            return self.expected.seconds();
        }
        let trained = self.step.saturating_sub(self.first) as f64 / self.steps.saturating_sub(self.first).max(1) as f64;
        let evaluated = (self.evaluations as f64 + self.part) / self.due.max(1) as f64;
        trained.min(1.0) * self.expected.training + evaluated.min(1.0) * self.expected.evaluation
    }
}

/// Progress of all runs.
#[derive(Debug, Clone, PartialEq)]
struct Tally {
    runs: Vec<Share>,
    current: usize,
}

impl Tally {
    fn new(runs: Vec<Share>) -> Self {
        Self { runs, current: 0 }
    }

    /// The current run.
    fn run(&mut self) -> &mut Share {
        &mut self.runs[self.current]
    }

    fn done(&self) -> usize {
        self.runs.iter().filter(|run| run.done).count()
    }

    /// Steps done, and in total.
    fn steps(&self) -> (usize, usize) {
        let steps = |run: &Share| if run.done { run.steps } else { run.step };
        (
            self.runs.iter().map(steps).sum(),
            self.runs.iter().map(|run| run.steps).sum(),
        )
    }

    /// Expected seconds in total.
    fn expected(&self) -> f64 {
        self.runs.iter().map(|run| run.expected.seconds()).sum()
    }

    /// Fraction of all work done. Runs before the current one count as complete, even if they failed.
    fn share(&self) -> f64 {
        let passed: f64 = self.runs.iter().map(Share::passed).sum();
        let failed: f64 = self.failed().map(|run| run.expected.seconds() - run.passed()).sum();
        (passed / (self.expected() - failed).max(f64::MIN_POSITIVE)).min(1.0)
    }

    /// Seconds remaining after `elapsed` of work; `None` if nothing is known yet.
    fn left(&self, elapsed: f64) -> Option<f64> {
        let passed: f64 = self.runs.iter().map(Share::passed).sum();
        let failed: f64 = self.failed().map(|run| run.expected.seconds() - run.passed()).sum();
        let rest = (self.expected() - failed - passed).max(0.0);
        let timed = self.runs.iter().all(|run| run.timed);
        let trusted = if timed { TRUSTED } else { 0.0 };
        (passed + trusted > 0.0).then(|| rest * (elapsed + trusted) / (passed + trusted))
    }

    fn failed(&self) -> impl Iterator<Item = &Share> {
        self.runs[..self.current].iter().filter(|run| !run.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(training: f64, evaluation: f64, first: usize) -> Share {
        Share {
            expected: CellTime { training, evaluation },
            timed: true,
            first,
            step: first,
            steps: 100,
            evaluations: 0,
            due: 5,
            part: 0.0,
            done: false,
        }
    }

    #[test]
    fn progress_is_counted_in_expected_time() {
        // Runs of 100, 40 (half done) and 60 expected seconds.
        let mut tally = Tally::new(vec![share(90.0, 10.0, 0), share(40.0, 0.0, 50), share(60.0, 0.0, 0)]);
        assert_eq!((tally.share(), tally.steps(), tally.done()), (0.0, (50, 300), 0));
        assert_eq!(tally.left(0.0), Some(200.0), "nothing is known but the estimate");
        tally.run().step = 50;
        tally.run().evaluations = 2;
        tally.run().part = 0.5;
        assert_eq!(tally.run().passed(), 45.0 + 5.0);
        assert_eq!(tally.share(), 0.25);
        tally.run().done = true;
        assert_eq!((tally.share(), tally.done()), (0.5, 1));
        // Half as fast as expected: the rest takes nearly twice as long.
        let left = tally.left(200.0).expect("something is done");
        assert!((left - 100.0 * 205.0 / 105.0).abs() < 1e-9, "{left}");
        tally.current = 1;
        tally.run().step = 75;
        assert_eq!(tally.run().passed(), 20.0);

        // The second run failed at that point: its remaining work is no longer due.
        tally.current = 2;
        assert!((tally.share() - 120.0 / 180.0).abs() < 1e-9);
        tally.run().done = true;
        assert_eq!((tally.share(), tally.left(300.0)), (1.0, Some(0.0)));
    }

    #[test]
    fn without_an_estimate_steps_count() {
        let mut tally = Tally::new(vec![Share {
            timed: false,
            ..share(100.0, 0.0, 0)
        }]);
        assert_eq!(tally.left(0.0), None);
        tally.run().step = 20;
        assert_eq!(tally.left(10.0), Some(40.0));
    }
}
