//! The loop of pretraining.
//!
//! One optimiser step is `accumulation` passes, each over one batch of text or of tasks ([`super::feed`]); its gradient is
//! the mean of the gradients of the passes' mean token losses. Order, noise and dropout are functions of (seed, pass), so
//! a checkpoint needs parameters, the optimiser's state and a step, and on CPU a run that goes on from one is the run
//! that was never stopped, bit for bit.
//!
//! Losses stay on the device until they are needed: at points of the curve, before evaluations and before checkpoints.
//! A NaN is found then, so none is ever saved.

use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use adept_core::Unchanged;
use adept_data::{Batch, DataError};
use adept_models::Seq2SeqBackbone;
use adept_models::unfreeze;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

use super::config::{OptimizerName, PretrainConfig};
use super::evaluate::Scored;
use super::feed::{Fed, Kind, Source};
use super::observer::{PretrainEvent, PretrainObserver};
use super::record::{
    Continuation, PretrainEvaluation, PretrainIdentity, PretrainLine, PretrainPosition, PretrainStart, PretrainStep,
};
use crate::TrainError;
use crate::checkpoint::{self, Loaded};
use crate::folder::{RunFolder, replace_folder};
use crate::gradient::GradientSet;
use crate::learner::{loss, mix};
use crate::optim::{Adafactor, AdafactorConfig, AdamW, AdamWConfig, GroupConfig, Optimizer};
use crate::record::{RecordWriter, Resume, code_version};
use crate::schedule::Schedule;
use crate::target::TrainBackbone;

/// Writes a model into the folder at the path, which it creates.
pub type WriteModel<'a, M> = dyn Fn(&M, &Path) -> Result<(), TrainError> + 'a;

/// A checkpoint of such a run.
pub type Checkpoint = Loaded<PretrainPosition, PretrainIdentity>;

/// Everything the loop needs besides the model.
pub struct Job<'a, M> {
    /// What the run is made of.
    pub identity: &'a PretrainIdentity,
    /// First line of the record.
    pub start: &'a PretrainStart,
    /// Batches.
    pub source: &'a Source,
    /// What evaluations score.
    pub scored: &'a Scored,
    /// Writes the model after an evaluation.
    pub write: &'a WriteModel<'a, M>,
}

/// The optimiser of a configuration.
pub fn optimizer<B: Backend>(config: &PretrainConfig) -> Optimizer<B> {
    let section = &config.optimizer;
    let group = |name: &str, prefix: &str, factor: f64| GroupConfig {
        name: name.to_owned(),
        prefix: prefix.to_owned(),
        learning_rate: section.learning_rate * factor,
        weight_decay: section.weight_decay,
        // The schedule is the run's, not the groups'.
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

/// One pass over a batch: its mean token loss, `[1]` on the device, and `share` times the gradient of that.
pub fn pass<AB: AutodiffBackend, M: TrainBackbone<AB>>(
    model: &M,
    batch: &Batch,
    share: f64,
    dropout: f64,
    device: &AB::Device,
) -> (Tensor<AB::InnerBackend, 1>, GradientSet<AB::InnerBackend>) {
    let loss = loss::<AB, M>(model, &Unchanged, batch, dropout, device);
    let value = loss.clone().inner();
    let mut gradients = loss.mul_scalar(share).backward();
    (value, GradientSet::collect::<AB, _>(model, &mut gradients))
}

/// Trains to the end, or to the next request to stop. Goes on from `found` where it is given; the caller has checked that
/// its identity fits.
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
    let (mut run, mut model) = Run::<AB, M>::begin(job, initial, found, folder, device, observer)?;
    let section = run.config().train.clone();
    std::thread::scope(|scope| {
        let (first, last) = (
            run.position.step * section.accumulation,
            section.steps * section.accumulation,
        );
        // Two steps ahead: text is read from disk, and a slow read now and then should not be seen.
        let passes = job.source.feed(scope, first..last, 2 * section.accumulation);
        loop {
            let step = run.position.step;
            let due = step > 0 && (step.is_multiple_of(section.evaluate_every) || step == section.steps);
            let evaluated = run.position.evaluation.as_ref().map(|evaluation| evaluation.step);
            if due && evaluated != Some(step) {
                if !run.evaluate(&model)? {
                    return run.interrupt(&model);
                }
                run.save(&model)?;
            }
            if step == section.steps {
                return Ok(run.position);
            }
            match run.step(model, &passes)? {
                (next, true) => model = next,
                (unchanged, false) => return run.interrupt(&unchanged),
            }
            let done = run.position.step;
            let evaluated_next = done.is_multiple_of(section.evaluate_every) || done == section.steps;
            if done.is_multiple_of(section.save_every) && !evaluated_next {
                run.save(&model)?;
            }
        }
    })
}

/// A step whose figures have not been read from the device yet.
struct Pending<B: Backend> {
    step: usize,
    rate: f64,
    losses: Vec<(Kind, Tensor<B, 1>)>,
    norm: Option<Tensor<B, 1>>,
}

/// The loop's state.
struct Run<'a, AB: AutodiffBackend, M: TrainBackbone<AB>> {
    job: &'a Job<'a, M::Inner>,
    folder: &'a RunFolder,
    device: &'a AB::Device,
    observer: &'a mut dyn PretrainObserver,
    optimizer: Optimizer<AB::InnerBackend>,
    schedule: Schedule,
    record: RecordWriter,
    position: PretrainPosition,
    pending: Vec<Pending<AB::InnerBackend>>,
    /// Tokens and seconds since the last point of the curve.
    window: (usize, f64),
    /// Last gradient norm that was read.
    norm: Option<f64>,
    saved: Option<usize>,
}

impl<'a, AB: AutodiffBackend, M: TrainBackbone<AB>> Run<'a, AB, M>
where
    M::Inner: Seq2SeqBackbone<AB::InnerBackend>,
{
    fn begin(
        job: &'a Job<'a, M::Inner>,
        initial: M::Inner,
        found: Option<Checkpoint>,
        folder: &'a RunFolder,
        device: &'a AB::Device,
        observer: &'a mut dyn PretrainObserver,
    ) -> Result<(Self, M), TrainError> {
        let config = &job.identity.config;
        let mut optimizer = optimizer(config);
        let mut model = unfreeze::<AB, M>(M::from_inner(initial));
        let position = match &found {
            Some(found) => {
                model = found.restore::<AB, _, _>(model, &mut optimizer, device)?;
                found.progress.clone()
            }
            None => PretrainPosition {
                step: 0,
                evaluation: None,
                text: (0.0, 0),
                tasks: (0.0, 0),
                seconds: 0.0,
                tokens: 0,
                record_bytes: 0,
            },
        };
        let mut record = RecordWriter::open(&folder.record(), position.record_bytes)?;
        observer.event(&PretrainEvent::Start(job.start));
        match &found {
            None => record.write(&PretrainLine::Start(Box::new(job.start.clone())))?,
            Some(found) => {
                let resume = Resume {
                    step: position.step,
                    damaged: found.damaged.clone(),
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
        let run = Self {
            job,
            folder,
            device,
            observer,
            optimizer,
            schedule: config.schedule(),
            record,
            saved: found.as_ref().map(|_| position.step),
            position,
            pending: Vec::new(),
            window: (0, 0.0),
            norm: None,
        };
        Ok((run, model))
    }

    fn config(&self) -> &PretrainConfig {
        &self.job.identity.config
    }

    /// One optimiser step; `false` where the run is to stop before it is taken.
    fn step(&mut self, model: M, passes: &Receiver<Result<Fed, DataError>>) -> Result<(M, bool), TrainError> {
        let started = Instant::now();
        let config = &self.job.identity.config;
        let (accumulation, step) = (config.train.accumulation, self.position.step);
        let mut gradients = GradientSet::default();
        let mut losses = Vec::with_capacity(accumulation);
        let mut tokens = 0;
        for index in 0..accumulation {
            if self.observer.stop_requested() {
                return Ok((model, false));
            }
            let fed = passes
                .recv()
                .expect("the feeding thread sends every pass of the run, or an error before it ends")?;
            tokens += fed.tokens;
            if config.train.dropout > 0.0 {
                AB::seed(self.device, mix(config.seed, (step * accumulation + index) as u64));
            }
            let (dropout, share) = (config.train.dropout, 1.0 / accumulation as f64);
            let (loss, gradient) = pass::<AB, M>(&model, &fed.batch, share, dropout, self.device);
            losses.push((fed.kind, loss));
            gradients.accumulate(gradient);
        }
        let norm = match config.optimizer.clip_norm {
            0.0 => None,
            clip => gradients.global_norm().inspect(|norm| gradients.clip(norm, clip)),
        };
        let rate = config.optimizer.learning_rate * self.schedule.multiplier(step);
        let rates = [rate * config.optimizer.embedding_factor, rate];
        let model = self.optimizer.step::<AB, _>(model, gradients, &rates);
        self.pending.push(Pending {
            step,
            rate,
            losses,
            norm,
        });
        self.finish_step(rate, tokens, started)?;
        Ok((model, true))
    }

    /// Counts a step that was taken, and logs it where it is due.
    fn finish_step(&mut self, rate: f64, tokens: usize, started: Instant) -> Result<(), TrainError> {
        let section = &self.job.identity.config.train;
        self.position.step += 1;
        self.position.tokens += tokens as u64;
        let step = self.position.step;
        let log = step.is_multiple_of(section.log_every) || step == section.steps;
        if log {
            self.read_pending()?;
        }
        let seconds = started.elapsed().as_secs_f64();
        self.position.seconds += seconds;
        self.window = (self.window.0 + tokens, self.window.1 + seconds);
        self.observer.event(&PretrainEvent::Progress {
            step,
            total: section.steps,
            tokens,
        });
        if log {
            let (tokens, seconds) = std::mem::take(&mut self.window);
            let mean = |(sum, count): (f64, usize)| (count > 0).then(|| sum / count as f64);
            let point = PretrainStep {
                step,
                loss_text: mean(std::mem::take(&mut self.position.text)),
                loss_tasks: mean(std::mem::take(&mut self.position.tasks)),
                gradient_norm: self.norm,
                learning_rate: rate,
                tokens_per_second: tokens as f64 / seconds.max(1e-9),
                tokens: self.position.tokens,
                seconds: self.position.seconds,
            };
            self.observer.event(&PretrainEvent::Step(&point));
            self.record.write(&PretrainLine::Step(point))?;
        }
        Ok(())
    }

    /// Reads what is still on the device, all at once, and ends the run at the first figure that is not finite.
    fn read_pending(&mut self) -> Result<(), TrainError> {
        let pending = std::mem::take(&mut self.pending);
        let tensors: Vec<_> = pending
            .iter()
            .flat_map(|step| step.losses.iter().map(|(_, loss)| loss).chain(&step.norm))
            .cloned()
            .collect();
        if tensors.is_empty() {
            return Ok(());
        }
        let read = Tensor::cat(tensors, 0).into_data().convert::<f32>();
        let read: Vec<f32> = read.into_vec().expect("the data was just converted to f32");
        let mut read = read.into_iter();
        let mut figure = |step: &Pending<AB::InnerBackend>, what| {
            let found = read.next().expect("there are as many figures as tensors were read");
            if found.is_finite() {
                return Ok(f64::from(found));
            }
            Err(TrainError::Diverged {
                step: step.step,
                what,
                found,
                rate: step.rate,
            })
        };
        for step in &pending {
            for (kind, _) in &step.losses {
                let (window, what) = match kind {
                    Kind::Text => (&mut self.position.text, "loss on text"),
                    Kind::Tasks => (&mut self.position.tasks, "loss on tasks"),
                };
                window.0 += figure(step, what)?;
                window.1 += 1;
            }
            if step.norm.is_some() {
                self.norm = Some(figure(step, "gradient norm")?);
            }
        }
        Ok(())
    }

    /// Scores the model and writes it; `false` where the run is to stop.
    fn evaluate(&mut self, model: &M) -> Result<bool, TrainError> {
        self.read_pending()?;
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
        self.saved = None;
        Ok(true)
    }

    /// Writes a checkpoint of the model as it is.
    fn save(&mut self, model: &M) -> Result<(), TrainError> {
        self.read_pending()?;
        self.position.record_bytes = self.record.flush()?;
        let keep = self.config().train.keep;
        checkpoint::save::<AB, _, _, _, _>(
            &self.folder.checkpoints(),
            &self.position,
            self.job.identity,
            model,
            &self.optimizer,
            keep,
        )?;
        self.saved = Some(self.position.step);
        self.observer.event(&PretrainEvent::Checkpoint {
            step: self.position.step,
        });
        Ok(())
    }

    /// Saves the last whole step and ends the run.
    fn interrupt<R>(&mut self, model: &M) -> Result<R, TrainError> {
        // A step that was begun and not taken is not counted; the continuation begins it again.
        let step = self.position.step;
        if self.saved != Some(step) {
            self.save(model)?;
        }
        Err(TrainError::Interrupted { step })
    }
}
