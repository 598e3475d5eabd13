//! Progress of a run on standard error: a bar on a terminal, otherwise plain lines at regular intervals. Only results
//! go to standard output.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use adept_data::SplitLosses;
use adept_lab::report::text::{duration, thousands};
use adept_train::observer::{Event, Observer, Split};
use adept_train::record::{Evaluation, MissingLayer, ProgramTally, RunResult, Scores};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::remark;
use crate::interrupt;

/// Verbosity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loudness {
    /// No progress.
    Quiet,
    /// A bar on a terminal; otherwise a line every half minute and one per evaluation.
    Usual,
    /// A line for every evaluation, checkpoint and point of the loss curve.
    Verbose,
}

/// Interval between plain lines about steps.
const PLAIN_EVERY: Duration = Duration::from_secs(30);

/// Progress display of one run.
pub struct Progress {
    loudness: Loudness,
    label: String,
    bar: Option<ProgressBar>,
    loss: Option<f64>,
    rate: f64,
    /// Start time and step of this session, for the time remaining.
    began: Option<(Instant, usize)>,
    last_line: Instant,
}

impl Progress {
    /// Progress of the run with this label.
    pub fn new(loudness: Loudness, label: impl Into<String>) -> Self {
        let label = label.into();
        let bar = (loudness == Loudness::Usual && io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg}");
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8))
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(label.clone());
            bar
        });
        Self {
            loudness,
            label,
            bar,
            loss: None,
            rate: 0.0,
            began: None,
            last_line: Instant::now(),
        }
    }

    /// Prints a permanent line, above the bar if there is one.
    fn line(&self, text: &str) {
        match (&self.bar, self.loudness) {
            (_, Loudness::Quiet) => {}
            (Some(bar), _) => bar.println(format!("{}: {text}", self.label)),
            (None, _) => remark(format_args!("{}: {text}", self.label)),
        }
    }

    fn step(&mut self, step: usize, total: usize) {
        let (began, first) = *self
            .began
            .get_or_insert_with(|| (Instant::now(), step.saturating_sub(1)));
        let done = step.saturating_sub(first);
        let left = began.elapsed().as_secs_f64() / done.max(1) as f64 * total.saturating_sub(step) as f64;
        let loss = self.loss.map_or_else(String::new, |loss| format!("loss {loss:.4}, "));
        let rate = if self.rate > 0.0 {
            format!("{:.1} samples/s, ", self.rate)
        } else {
            String::new()
        };
        let text = format!("{loss}{rate}{} left", duration(left));
        match &self.bar {
            Some(bar) => {
                bar.set_length(total as u64);
                bar.set_position(step as u64);
                bar.set_message(text);
            }
            None if self.loudness == Loudness::Usual && self.last_line.elapsed() >= PLAIN_EVERY => {
                self.last_line = Instant::now();
                self.line(&format!("step {} of {}, {text}", thousands(step), thousands(total)));
            }
            None => {}
        }
    }

    fn evaluation(&self, evaluation: &Evaluation) {
        let best = if evaluation.best { ", best so far" } else { "" };
        self.line(&format!(
            "step {}, validation {}{best}",
            thousands(evaluation.step),
            scores(&evaluation.scores)
        ));
    }

    fn end(&self, result: &RunResult) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.line(&format!(
            "done, test {} with the checkpoint of step {}; {} of training, {:.1} samples/s",
            scores(&result.test),
            thousands(result.best_step),
            duration(result.training_seconds),
            result.samples_per_second
        ));
        if let Some(text) = result.programs.as_ref().and_then(unjudged) {
            self.line(&text);
        }
    }
}

/// Warning, shown even in quiet mode, that programs will run in an incomplete sandbox.
pub fn missing_layers(layers: &[MissingLayer]) -> Option<String> {
    if layers.is_empty() {
        return None;
    }
    let each = layers.iter().map(|missing| {
        let remedy = if missing.remedy.is_empty() { "" } else { ": " };
        format!("\n  {} ({}){remedy}{}", missing.layer, missing.reason, missing.remedy)
    });
    let each: String = each.collect();
    Some(format!(
        "warning: what the model writes will run in a sandbox that lacks{each}"
    ))
}

/// Number of programs the sandbox could not judge, with reasons.
pub fn unjudged(programs: &ProgramTally) -> Option<String> {
    Some(format!(
        "{} programs were not judged and count as not passed, most often because: {}",
        thousands(programs.unjudged()),
        programs.reason()?
    ))
}

/// `accuracy 91.20, f1 90.11`.
pub fn scores(scores: &Scores) -> String {
    let parts: Vec<String> = scores
        .iter()
        .map(|(metric, score)| format!("{metric} {score:.2}"))
        .collect();
    parts.join(", ")
}

impl Observer for Progress {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(start) => {
                if let Some(warning) = missing_layers(&start.missing_layers) {
                    match &self.bar {
                        Some(bar) => bar.println(warning),
                        None => remark(warning),
                    }
                }
                if self.loudness == Loudness::Verbose {
                    self.line(&format!(
                        "{} of {} parameters are trained, on {}",
                        thousands(start.trainable_parameters),
                        thousands(start.backbone_parameters),
                        start.device
                    ));
                }
                for line in start.losses.iter().flat_map(SplitLosses::lines) {
                    self.line(&line);
                }
            }
            Event::Resume(resume) => {
                for damaged in &resume.damaged {
                    self.line(&format!("left aside a damaged checkpoint: {damaged}"));
                }
                self.line(&format!("resumed at step {}", thousands(resume.step)));
            }
            Event::Progress { step, total, .. } => self.step(*step, *total),
            Event::Step(step) => {
                self.loss = Some(step.loss);
                self.rate = step.samples_per_second;
                if self.loudness == Loudness::Verbose {
                    self.line(&format!(
                        "step {}, loss {:.4}, gradient norm {:.3}, {:.1} samples/s",
                        thousands(step.step),
                        step.loss,
                        step.gradient_norm,
                        step.samples_per_second
                    ));
                }
            }
            Event::JudgingProgress { done, total } => {
                if let Some(bar) = &self.bar {
                    bar.set_message(format!("gradients of examples {done}/{total}"));
                }
            }
            Event::EvaluationProgress { split, done, total } => {
                if let Some(bar) = &self.bar {
                    let name = match split {
                        Split::Validation => "validation",
                        Split::Test => "test",
                    };
                    bar.set_message(format!("{name} {done}/{total}"));
                }
            }
            Event::Evaluation(evaluation) => self.evaluation(evaluation),
            Event::Checkpoint { step } if self.loudness == Loudness::Verbose => {
                self.line(&format!("checkpoint at step {}", thousands(*step)));
            }
            Event::Checkpoint { .. } => {}
            Event::End(result) => self.end(result),
        }
    }

    fn stop_requested(&mut self) -> bool {
        interrupt::requested()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
