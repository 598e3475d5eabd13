//! Progress of a pretraining run on standard error: a bar on a terminal, otherwise plain lines at regular intervals.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use adept_lab::report::text::{duration, thousands};
use adept_train::pretrain::record::{PretrainEvaluation, PretrainStep};
use adept_train::pretrain::{Phase, PretrainEvent, PretrainObserver};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::remark;
use crate::interrupt;
use crate::progress::Loudness;

/// Interval between plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(30);

/// Progress display of one run.
pub struct PretrainProgress {
    loudness: Loudness,
    bar: Option<ProgressBar>,
    phase: Option<Phase>,
    losses: String,
    tokens_per_second: f64,
    /// Start time and step of this session's training, for the time remaining.
    began: Option<(Instant, usize)>,
    last_line: Instant,
}

impl PretrainProgress {
    pub fn new(loudness: Loudness) -> Self {
        let bar = (loudness == Loudness::Usual && io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg}");
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8))
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self {
            loudness,
            bar,
            phase: None,
            losses: String::new(),
            tokens_per_second: 0.0,
            began: None,
            last_line: Instant::now(),
        }
    }

    /// Prints a permanent line, above the bar if there is one.
    fn line(&self, text: &str) {
        match (&self.bar, self.loudness) {
            (_, Loudness::Quiet) => {}
            (Some(bar), _) => bar.println(text),
            (None, _) => remark(text),
        }
    }

    /// Shows the position, on the bar or as an occasional line.
    fn at(&mut self, prefix: &str, done: usize, total: usize, message: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_prefix(prefix.to_owned());
                bar.set_length(total as u64);
                bar.set_position(done as u64);
                bar.set_message(message.to_owned());
            }
            None if self.loudness != Loudness::Quiet && self.last_line.elapsed() >= PLAIN_EVERY => {
                self.last_line = Instant::now();
                let (done, total) = (thousands(done), thousands(total));
                self.line(&format!("{prefix} {done} of {total} {message}"));
            }
            None => {}
        }
    }

    fn preparing(&mut self, phase: Phase, done: usize, total: usize) {
        let name = match phase {
            Phase::Corpus => "reading the corpus",
            Phase::Tokenizer => "training the tokenizer",
            Phase::Tokens => "tokenising the corpus",
            Phase::Tasks => "reading the tasks",
        };
        if self.phase != Some(phase) {
            self.phase = Some(phase);
            self.line(name);
        }
        let message = match phase {
            Phase::Tokenizer if total > 0 && done >= total => "(the pieces are chosen, a minute or more)",
            _ => "",
        };
        self.at(name, done, total, message);
    }

    fn step(&mut self, step: usize, total: usize) {
        let (began, first) = *self
            .began
            .get_or_insert_with(|| (Instant::now(), step.saturating_sub(1)));
        let done = step.saturating_sub(first);
        let left = began.elapsed().as_secs_f64() / done.max(1) as f64 * total.saturating_sub(step) as f64;
        let rate = if self.tokens_per_second > 0.0 {
            format!("{} tokens/s, ", thousands(self.tokens_per_second as usize))
        } else {
            String::new()
        };
        let message = format!("{}{rate}{} left", self.losses, duration(left));
        self.at("step", step, total, &message);
    }

    fn point(&mut self, point: &PretrainStep) {
        let loss = |name: &str, loss: Option<f64>| loss.map_or(String::new(), |loss| format!("{name} {loss:.3}, "));
        self.losses = format!("{}{}", loss("text", point.loss_text), loss("tasks", point.loss_tasks));
        self.tokens_per_second = point.tokens_per_second;
        if self.loudness == Loudness::Verbose {
            let norm = point
                .gradient_norm
                .map_or(String::new(), |norm| format!("gradient norm {norm:.3}, "));
            self.line(&format!(
                "step {}: {}{norm}rate {:.2e}, {} tokens/s",
                thousands(point.step),
                self.losses,
                point.learning_rate,
                thousands(point.tokens_per_second as usize)
            ));
        }
    }
}

/// `step 1,000: held-out loss 3.123; sst2 loss 0.301, 87.50 %; …`.
pub fn evaluation_text(evaluation: &PretrainEvaluation) -> String {
    let mut text = format!(
        "step {}: held-out loss {:.4}",
        thousands(evaluation.step),
        evaluation.held_out_loss
    );
    for (label, score) in &evaluation.tasks {
        text.push_str(&format!("; {label} loss {:.3}", score.loss));
        if let Some(accuracy) = score.accuracy {
            text.push_str(&format!(", {accuracy:.2} %"));
        }
    }
    text
}

impl PretrainObserver for PretrainProgress {
    fn event(&mut self, event: &PretrainEvent<'_>) {
        match event {
            PretrainEvent::Preparing { phase, done, total } => self.preparing(*phase, *done, *total),
            PretrainEvent::Start(start) => self.line(&format!(
                "{} parameters, {} tokens of text in {} windows to train on, {} tokens in the vocabulary, on {}",
                thousands(start.parameters),
                thousands(start.corpus_tokens as usize),
                thousands(start.train_windows as usize),
                thousands(start.vocab_size),
                start.device
            )),
            PretrainEvent::Resume(resume) => {
                for damaged in &resume.damaged {
                    self.line(&format!("left aside a damaged checkpoint: {damaged}"));
                }
                self.line(&format!("resumed at step {}", thousands(resume.step)));
            }
            PretrainEvent::Progress { step, total, .. } => self.step(*step, *total),
            PretrainEvent::Step(point) => self.point(point),
            PretrainEvent::EvaluationProgress { done, total } => {
                if let Some(bar) = &self.bar {
                    bar.set_message(format!("evaluation {done}/{total}"));
                }
            }
            PretrainEvent::Evaluation(evaluation) => self.line(&evaluation_text(evaluation)),
            PretrainEvent::Checkpoint { step } if self.loudness == Loudness::Verbose => {
                self.line(&format!("checkpoint at step {}", thousands(*step)));
            }
            PretrainEvent::Checkpoint { .. } => {}
            PretrainEvent::End(end) => {
                if let Some(bar) = &self.bar {
                    bar.finish_and_clear();
                }
                self.line(&format!(
                    "done: {} steps, {} tokens, {} of training",
                    thousands(end.step),
                    thousands(end.tokens as usize),
                    duration(end.seconds)
                ));
            }
        }
    }

    fn stop_requested(&mut self) -> bool {
        interrupt::requested()
    }
}

impl Drop for PretrainProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
