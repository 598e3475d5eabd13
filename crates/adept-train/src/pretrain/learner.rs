//! The training loop's input for pretraining on a corpus and a mixture of tasks.
//!
//! One optimiser step has `accumulation` passes, each over one batch of text or of tasks (`feed`); its
//! gradient is the mean of the gradients of the passes' mean token losses.

use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use adept_core::Unchanged;
use adept_data::DataError;
use adept_models::{Seq2SeqBackbone, Tape, unfreeze};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

use super::evaluate::Scored;
use super::feed::{Fed, Kind, Source};
use super::observer::{PretrainEvent, PretrainObserver};
use super::record::{
    Continuation, PretrainEvaluation, PretrainIdentity, PretrainLine, PretrainPosition, PretrainStart, PretrainStep,
};
use super::sections::{OptimizerName, PretrainConfig};
use crate::TrainError;
use crate::checkpoint::Loaded;
use crate::folder::{RunFolder, replace_folder};
use crate::learner::loss;
use crate::optim::{Adafactor, AdafactorConfig, AdamW, AdamWConfig, GroupConfig, Optimizer};
use crate::record::{RecordWriter, Resume, code_version};
use crate::schedule::Schedule;
use crate::target::TrainBackbone;
use crate::training_loop::{Course, Figures, Pace, Pass, Taken, TrainingLoop};

/// Writes a model to the folder at the path, which it creates.
pub type WriteModel<'a, M> = dyn Fn(&M, &Path) -> Result<(), TrainError> + 'a;

/// A checkpoint of a pretraining run.
pub type Checkpoint = Loaded<PretrainPosition, PretrainIdentity>;

/// Everything the loop needs besides the model.
pub struct Job<'a, M> {
    /// Identity of the run.
    pub identity: &'a PretrainIdentity,
    /// First line of the record.
    pub start: &'a PretrainStart,
    /// Batches.
    pub source: &'a Source,
    /// Data for evaluations.
    pub scored: &'a Scored,
    /// Writes the model after an evaluation.
    pub write: &'a WriteModel<'a, M>,
}

/// The configured optimiser.
pub fn optimizer<B: Backend>(config: &PretrainConfig) -> Optimizer<B> {
    let section = &config.optimizer;
    let group = |name: &str, prefix: &str, factor: f64| GroupConfig {
        name: name.to_owned(),
        prefix: prefix.to_owned(),
        learning_rate: section.learning_rate * factor,
        weight_decay: section.weight_decay,
        // The schedule applies to the run, not to groups.
        warmup_steps: 0,
    };
    let groups = vec![
        group("embedding", "shared", section.embedding_factor),
        group("rest", "", 1.0),
    ];
    match section.name {
        OptimizerName::Adamw => {
            let config = AdamWConfig {
                beta1: section.beta1,
                beta2: section.beta2,
                epsilon: section.epsilon,
            };
            let plain = AdamW::new(config, groups);
            Optimizer::AdamW(match section.multiply_by_parameter_scale {
                true => plain.scaled(section.scale_epsilon),
                false => plain,
            })
        }
        OptimizerName::Adafactor => Optimizer::Adafactor(Adafactor::new(
            AdafactorConfig {
                decay_rate: section.decay_rate,
                clip_threshold: section.clip_threshold,
                factored: section.factored,
                multiply_by_parameter_scale: section.multiply_by_parameter_scale,
                square_epsilon: section.square_epsilon,
                scale_epsilon: section.scale_epsilon,
            },
            groups,
        )),
    }
}

/// Trains until the end or the next stop request. Resumes from `found` if given; the caller must have checked that its
/// identity matches.
pub fn train<AB, M>(
    job: &Job<'_, M::Inner>,
    initial: M::Inner,
    found: Option<Checkpoint>,
    folder: &RunFolder,
    device: &AB::Device,
    observer: &mut dyn PretrainObserver,
) -> Result<PretrainPosition, TrainError>
where
    AB: AutodiffBackend,
    M: TrainBackbone<AB>,
    M::Inner: Seq2SeqBackbone<AB::InnerBackend>,
{
    let config = &job.identity.config;
    let mut optimizer = optimizer(config);
    let mut model = unfreeze::<AB, M>(M::from_inner(initial));
    if let Some(found) = &found {
        model = found.restore::<AB, _, _>(model, &mut optimizer, device)?;
    }
    let is_saved = found.is_some();
    let mut course = PretrainCourse::<AB, M>::begin(job, found, folder, device, observer)?;
    let (section, step) = (&config.train, course.position.step);
    std::thread::scope(|scope| {
        let passes = step * section.accumulation..section.steps * section.accumulation;
        // Two steps in advance: text is read from disk, and an occasional slow read should not stall training.
        course.passes = Some(job.source.feed(scope, passes, 2 * section.accumulation));
        let done = TrainingLoop::new(course, optimizer, folder, device, is_saved).run(model)?;
        Ok(done.position)
    })
}

/// A pretraining run.
struct PretrainCourse<'a, AB: AutodiffBackend, M: TrainBackbone<AB>> {
    job: &'a Job<'a, M::Inner>,
    /// Batches, in order; `None` before the loop starts.
    passes: Option<Receiver<Result<Fed, DataError>>>,
    folder: &'a RunFolder,
    device: &'a AB::Device,
    observer: &'a mut dyn PretrainObserver,
    schedule: Schedule,
    record: RecordWriter<PretrainLine>,
    position: PretrainPosition,
    /// Tokens and seconds since the last point of the loss curve.
    window: (usize, f64),
    /// Tokens of the current step.
    step_tokens: usize,
    /// Last gradient norm read from the device.
    norm: Option<f64>,
}

impl<'a, AB: AutodiffBackend, M: TrainBackbone<AB>> PretrainCourse<'a, AB, M> {
    /// Starts anew or at a checkpoint.
    fn begin(
        job: &'a Job<'a, M::Inner>,
        found: Option<Checkpoint>,
        folder: &'a RunFolder,
        device: &'a AB::Device,
        observer: &'a mut dyn PretrainObserver,
    ) -> Result<Self, TrainError> {
        let config = &job.identity.config;
        let start = PretrainPosition {
            step: 0,
            evaluation: None,
            text: (0.0, 0),
            tasks: (0.0, 0),
            seconds: 0.0,
            tokens: 0,
            record_bytes: 0,
        };
        let position = found.as_ref().map_or(start, |found| found.progress.clone());
        let mut record = RecordWriter::of_run(folder, position.record_bytes, config.train.tensorboard)?;
        observer.event(&PretrainEvent::Start(job.start));
        match found {
            None => record.write(&PretrainLine::Start(Box::new(job.start.clone())))?,
            Some(found) => {
                let resume = Resume {
                    step: position.step,
                    damaged: found.damaged,
                    code_version: code_version(),
                };
                observer.event(&PretrainEvent::Resume(&resume));
                record.write(&PretrainLine::Resume(Box::new(Continuation {
                    resume,
                    device: job.start.device.clone(),
                    config: config.clone(),
                })))?;
            }
        }
        record.flush()?;
        Ok(Self {
            job,
            passes: None,
            folder,
            device,
            observer,
            schedule: config.schedule(),
            record,
            position,
            window: (0, 0.0),
            step_tokens: 0,
            norm: None,
        })
    }

    fn config(&self) -> &'a PretrainConfig {
        &self.job.identity.config
    }
}

impl<AB: AutodiffBackend, M: TrainBackbone<AB>> Course<AB> for PretrainCourse<'_, AB, M>
where
    M::Inner: Seq2SeqBackbone<AB::InnerBackend>,
{
    type Trained = M;
    type Position = PretrainPosition;
    type Identity = PretrainIdentity;
    type Note = Vec<Kind>;

    fn pace(&self) -> Pace {
        let config = self.config();
        Pace {
            seed: config.seed,
            steps: config.train.steps,
            passes: config.train.accumulation,
            log_every: config.train.log_every,
            evaluate_every: config.train.evaluate_every,
            save_every: config.train.save_every,
            check_every: usize::MAX,
            keep: config.train.keep,
            clip_norm: config.optimizer.clip_norm,
            measure_norm: false,
            recompute: false,
        }
    }

    fn position(&self) -> &PretrainPosition {
        &self.position
    }

    fn identity(&self) -> &PretrainIdentity {
        self.job.identity
    }

    fn stop_requested(&mut self) -> bool {
        self.observer.stop_requested()
    }

    fn passes(&mut self, _step: usize) -> Result<(Vec<Pass>, Vec<Kind>), TrainError> {
        let accumulation = self.config().train.accumulation;
        let passes = self.passes.as_ref().expect("the feed begins before the loop");
        let (mut batches, mut kinds) = (Vec::with_capacity(accumulation), Vec::with_capacity(accumulation));
        self.step_tokens = 0;
        for _ in 0..accumulation {
            let fed = passes
                .recv()
                .expect("the feeding thread sends every pass of the run, or an error before it ends")?;
            self.step_tokens += fed.tokens;
            kinds.push(fed.kind);
            batches.push(Pass {
                batch: fed.batch,
                share: 1.0 / accumulation as f64,
                task: 0,
            });
        }
        Ok((batches, kinds))
    }

    fn loss(&self, model: &M, pass: &Pass, _: Option<&Tape<AB>>) -> Tensor<AB, 1> {
        let dropout = self.config().train.dropout;
        loss::<AB, M>(model, &Unchanged, &pass.batch, dropout.into(), self.device)
    }

    /// Rates of the embedding and of the other parameters.
    fn rates(&self, step: usize) -> Vec<f64> {
        let section = &self.config().optimizer;
        let rate = section.learning_rate * self.schedule.multiplier(step);
        vec![rate * section.embedding_factor, rate]
    }

    fn read(&mut self, figures: Figures<Vec<Kind>>) -> Result<(), TrainError> {
        let (step, rate) = (figures.step, rest_rate(&figures.rates));
        let finite = |what, found: f32| match found.is_finite() {
            true => Ok(f64::from(found)),
            false => Err(TrainError::Diverged {
                step,
                what,
                found,
                rate,
            }),
        };
        for (kind, loss) in figures.note.into_iter().zip(figures.losses) {
            let (window, what) = match kind {
                Kind::Text => (&mut self.position.text, "loss on text"),
                Kind::Tasks => (&mut self.position.tasks, "loss on tasks"),
            };
            window.0 += finite(what, loss)?;
            window.1 += 1;
        }
        if let Some(norm) = figures.norm {
            self.norm = Some(finite("gradient norm", norm)?);
        }
        Ok(())
    }

    fn take(&mut self, taken: &Taken<'_>) -> Result<(), TrainError> {
        let tokens = self.step_tokens;
        self.position.step += 1;
        self.position.tokens += tokens as u64;
        self.position.seconds += taken.seconds;
        self.window = (self.window.0 + tokens, self.window.1 + taken.seconds);
        self.observer.event(&PretrainEvent::Progress {
            step: self.position.step,
            total: self.config().train.steps,
            tokens,
        });
        if taken.is_logged {
            let (tokens, seconds) = std::mem::take(&mut self.window);
            let mean = |(sum, count): (f64, usize)| (count > 0).then(|| sum / count as f64);
            let point = PretrainStep {
                step: self.position.step,
                loss_text: mean(std::mem::take(&mut self.position.text)),
                loss_tasks: mean(std::mem::take(&mut self.position.tasks)),
                gradient_norm: self.norm,
                learning_rate: rest_rate(taken.rates),
                tokens_per_second: tokens as f64 / seconds.max(1e-9),
                tokens: self.position.tokens,
                seconds: self.position.seconds,
            };
            self.observer.event(&PretrainEvent::Step(&point));
            self.record.write(&PretrainLine::Step(point))?;
        }
        Ok(())
    }

    fn is_evaluated(&self) -> bool {
        let evaluated = self.position.evaluation.as_ref().map(|evaluation| evaluation.step);
        evaluated == Some(self.position.step)
    }

    /// Evaluates the model and writes it.
    fn evaluate(&mut self, model: &M) -> Result<bool, TrainError> {
        let started = Instant::now();
        let inner = model.valid();
        let total = self.job.scored.batches();
        let observer = &mut *self.observer;
        let mut proceed = |done| {
            observer.event(&PretrainEvent::EvaluationProgress { done, total });
            !observer.stop_requested()
        };
        let scores = self
            .job
            .scored
            .score::<AB::InnerBackend, _>(&inner, self.device, &mut proceed)?;
        let Some((held_out_loss, tasks)) = scores else {
            return Ok(false);
        };
        replace_folder(self.folder.path(), "model", |path| (self.job.write)(&inner, path))?;
        let evaluation = PretrainEvaluation {
            step: self.position.step,
            held_out_loss,
            tasks,
            seconds: started.elapsed().as_secs_f64(),
        };
        self.observer.event(&PretrainEvent::Evaluation(&evaluation));
        self.record.write(&PretrainLine::Evaluation(evaluation.clone()))?;
        self.position.evaluation = Some(evaluation);
        Ok(true)
    }

    fn before_save(&mut self) -> Result<(), TrainError> {
        self.position.record_bytes = self.record.flush()?;
        Ok(())
    }

    fn saved(&mut self) {
        self.observer.event(&PretrainEvent::Checkpoint {
            step: self.position.step,
        });
    }
}

/// Learning rate of all parameters except the embedding.
fn rest_rate(rates: &[f64]) -> f64 {
    rates.last().copied().unwrap_or_default()
}
