//! The training loop, of whatever is trained: forward, loss, gradients, step, evaluation, checkpoints.
//!
//! Order and randomness are pure functions of (seed, step): the batches of a step come from its number, and the device's
//! random numbers (dropout) are seeded anew before each pass. So a checkpoint needs parameters, the optimiser's state and
//! a step, and a run that is resumed from one is the same, bit for bit on CPU, as one never stopped.
//!
//! What differs from one kind of run to another (where batches come from, what is recorded, what an evaluation is) is a
//! [`Course`]: [`crate::learner`] has that of adapters and full fine-tuning, [`crate::pretrain`] that of pretraining.

use std::time::Instant;

use adept_data::Batch;
use burn::module::AutodiffModule;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use serde::Serialize;

use crate::TrainError;
use crate::checkpoint::{self, Position};
use crate::folder::RunFolder;
use crate::gradient::GradientSet;
use crate::learner::{mix, pass};
use crate::optim::Optimizer;

/// What the loop is told about a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Seed of the run.
    pub seed: u64,
    /// Optimiser steps.
    pub steps: usize,
    /// Passes of a step.
    pub accumulation: usize,
    /// Steps from one point of the loss curve to the next.
    pub log_every: usize,
    /// Steps from one evaluation to the next.
    pub evaluate_every: usize,
    /// Steps from one checkpoint to the next.
    pub save_every: usize,
    /// Steps whose figures may stay on the device: reading them waits for it. They are read before anything is evaluated
    /// or saved, so that no NaN ever is; with 1 they are read before the step is taken.
    pub check_every: usize,
    /// Checkpoints that are kept.
    pub keep: usize,
    /// Largest global gradient norm; 0: none.
    pub clip_norm: f64,
    /// Whether the norm is measured where it does not clip.
    pub measure_norm: bool,
}

/// One pass over a batch.
pub(crate) struct Pass {
    /// The batch.
    pub batch: Batch,
    /// What part of the step's gradient it gives.
    pub share: f64,
}

/// What a step has come to, read from the device.
pub(crate) struct Figures<N> {
    /// The step, from 0.
    pub step: usize,
    /// Mean loss of each pass.
    pub losses: Vec<f32>,
    /// Global gradient norm before clipping, where it is measured.
    pub norm: Option<f32>,
    /// Learning rate of each group.
    pub rates: Vec<f64>,
    /// What the course noted of the step's passes.
    pub note: N,
}

/// A step that was taken.
pub(crate) struct Taken<'a> {
    /// Learning rate of each group.
    pub rates: &'a [f64],
    /// Seconds that it took.
    pub seconds: f64,
    /// Whether a point of the loss curve is due; all figures up to here were given to [`Course::read`].
    pub is_logged: bool,
}

/// One kind of run.
pub(crate) trait Course<AB: AutodiffBackend> {
    /// The module whose parameters are stepped.
    type Trained: AutodiffModule<AB>;
    /// Where the run stands, for checkpoints.
    type Position: Position;
    /// What the run is made of, for checkpoints.
    type Identity: Serialize + Clone;
    /// What is kept of a step's passes until its figures are read.
    type Note;

    /// What the loop is told.
    fn pace(&self) -> Pace;

    /// Where the run stands.
    fn position(&self) -> &Self::Position;

    /// What the run is made of.
    fn identity(&self) -> &Self::Identity;

    /// Asked before every pass. Once true, the run saves a checkpoint of the last whole step and ends.
    fn stop_requested(&mut self) -> bool;

    /// The passes of step `step`.
    fn passes(&mut self, step: usize) -> Result<(Vec<Pass>, Self::Note), TrainError>;

    /// Mean loss `[1]` of a batch, tracked.
    fn loss(&self, trained: &Self::Trained, batch: &Batch) -> Tensor<AB, 1>;

    /// Learning rate of each group at step `step`.
    fn rates(&self, step: usize) -> Vec<f64>;

    /// Takes a step's figures, in order.
    ///
    /// # Errors
    /// One that is not finite.
    fn read(&mut self, figures: Figures<Self::Note>) -> Result<(), TrainError>;

    /// Counts a step and writes a point of the loss curve where one is due.
    fn take(&mut self, taken: &Taken<'_>) -> Result<(), TrainError>;

    /// Whether the evaluation after the position's last step is done.
    fn is_evaluated(&self) -> bool;

    /// Evaluates the module; `false` where the run is to stop.
    fn evaluate(&mut self, trained: &Self::Trained) -> Result<bool, TrainError>;

    /// Flushes what a checkpoint counts on.
    fn before_save(&mut self) -> Result<(), TrainError>;

    /// A checkpoint is on disk.
    fn saved(&mut self);
}

/// A step whose figures have not been read from the device yet.
struct Pending<B: Backend, N> {
    step: usize,
    losses: Vec<Tensor<B, 1>>,
    norm: Option<Tensor<B, 1>>,
    rates: Vec<f64>,
    note: N,
}

/// The loop's state.
pub(crate) struct TrainingLoop<'a, AB: AutodiffBackend, C: Course<AB>> {
    course: C,
    optimizer: Optimizer<AB::InnerBackend>,
    folder: &'a RunFolder,
    device: &'a AB::Device,
    pending: Vec<Pending<AB::InnerBackend, C::Note>>,
    /// Step of the newest checkpoint.
    saved: Option<usize>,
}

impl<'a, AB: AutodiffBackend, C: Course<AB>> TrainingLoop<'a, AB, C> {
    /// A loop that stands where its course does; `is_saved` says whether that is a checkpoint's place.
    pub fn new(
        course: C,
        optimizer: Optimizer<AB::InnerBackend>,
        folder: &'a RunFolder,
        device: &'a AB::Device,
        is_saved: bool,
    ) -> Self {
        Self {
            saved: is_saved.then(|| course.position().step()),
            course,
            optimizer,
            folder,
            device,
            pending: Vec::new(),
        }
    }

    /// Trains to the end, or to the next request to stop.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] where the run was asked to stop; what the course refuses; files that cannot be written.
    pub fn run(mut self, mut trained: C::Trained) -> Result<C, TrainError> {
        let pace = self.course.pace();
        loop {
            let step = self.course.position().step();
            let due = step > 0 && (step.is_multiple_of(pace.evaluate_every) || step == pace.steps);
            if due && !self.course.is_evaluated() {
                self.read_pending()?;
                if !self.course.evaluate(&trained)? {
                    return self.interrupt(&trained);
                }
                self.save(&trained)?;
            }
            if step == pace.steps {
                return Ok(self.course);
            }
            trained = match self.step(trained, &pace)? {
                (next, true) => next,
                (unchanged, false) => return self.interrupt(&unchanged),
            };
            let done = self.course.position().step();
            let evaluated_next = done.is_multiple_of(pace.evaluate_every) || done == pace.steps;
            if done.is_multiple_of(pace.save_every) && !evaluated_next {
                self.save(&trained)?;
            }
        }
    }

    /// One optimiser step; `false` where the run is to stop before it is taken.
    fn step(&mut self, trained: C::Trained, pace: &Pace) -> Result<(C::Trained, bool), TrainError> {
        let started = Instant::now();
        let step = self.course.position().step();
        let (passes, note) = self.course.passes(step)?;
        let mut gradients = GradientSet::default();
        let mut losses = Vec::with_capacity(passes.len());
        for (index, Pass { batch, share }) in passes.iter().enumerate() {
            if self.course.stop_requested() {
                return Ok((trained, false));
            }
            let number = (step * pace.accumulation + index) as u64;
            AB::seed(self.device, mix(pace.seed, number));
            let loss = self.course.loss(&trained, batch);
            let (loss, gradient) = pass::<AB, _>(&trained, loss, *share);
            losses.push(loss);
            gradients.accumulate(gradient);
        }
        let is_clipped = pace.clip_norm > 0.0;
        let norm = (is_clipped || pace.measure_norm)
            .then(|| gradients.global_norm())
            .flatten();
        if let Some(norm) = norm.as_ref().filter(|_| is_clipped) {
            gradients.clip(norm, pace.clip_norm);
        }
        let rates = self.course.rates(step);
        self.pending.push(Pending {
            step,
            losses,
            norm,
            rates: rates.clone(),
            note,
        });
        if self.pending.len() >= pace.check_every {
            self.read_pending()?;
        }
        let trained = self.optimizer.step::<AB, _>(trained, gradients, &rates);
        let done = step + 1;
        let is_logged = done.is_multiple_of(pace.log_every) || done == pace.steps;
        if is_logged {
            self.read_pending()?;
        }
        self.course.take(&Taken {
            rates: &rates,
            seconds: started.elapsed().as_secs_f64(),
            is_logged,
        })?;
        Ok((trained, true))
    }

    /// Reads what is still on the device, all at once.
    fn read_pending(&mut self) -> Result<(), TrainError> {
        let pending = std::mem::take(&mut self.pending);
        let tensors: Vec<_> = pending
            .iter()
            .flat_map(|step| step.losses.iter().chain(&step.norm))
            .cloned()
            .collect();
        if tensors.is_empty() {
            return Ok(());
        }
        let read = Tensor::cat(tensors, 0).into_data().convert::<f32>();
        let read: Vec<f32> = read.into_vec().expect("the data was just converted to f32");
        let mut read = read.into_iter();
        for step in pending {
            let losses = read.by_ref().take(step.losses.len()).collect();
            let norm = step.norm.and_then(|_| read.next());
            self.course.read(Figures {
                step: step.step,
                losses,
                norm,
                rates: step.rates,
                note: step.note,
            })?;
        }
        Ok(())
    }

    /// Writes a checkpoint of the module as it is.
    fn save(&mut self, trained: &C::Trained) -> Result<(), TrainError> {
        self.read_pending()?;
        self.course.before_save()?;
        let (position, identity) = (self.course.position(), self.course.identity());
        let path = self.folder.checkpoints();
        let keep = self.course.pace().keep;
        checkpoint::save::<AB, _, _, _, _>(&path, position, identity, trained, &self.optimizer, keep)?;
        self.saved = Some(position.step());
        self.course.saved();
        Ok(())
    }

    /// Saves the last whole step and ends the run. A step that was begun and not taken is not counted; the continuation
    /// begins it again.
    fn interrupt<R>(&mut self, trained: &C::Trained) -> Result<R, TrainError> {
        self.read_pending()?;
        let step = self.course.position().step();
        if self.saved != Some(step) {
            self.save(trained)?;
        }
        Err(TrainError::Interrupted { step })
    }
}
