//! The training loop, shared by all kinds of runs: forward, loss, gradients, step, evaluation, checkpoints.
//!
//! Order and randomness are pure functions of (seed, step): the batches of a step are determined by its number, and the
//! device's random numbers (dropout) are reseeded before each pass. A checkpoint therefore only needs parameters,
//! optimiser state and a step, and a resumed run is identical, bit for bit on a CPU, to an uninterrupted one.
//!
//! Everything specific to a kind of run (origin of batches, record, evaluation) is in a [`Course`]: that of adapters
//! and full fine-tuning is in [`crate::learner`], that of pretraining in [`crate::pretrain`].

use std::time::Instant;

use adept_data::Batch;
use adept_models::Tape;
use burn::module::AutodiffModule;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use serde::Serialize;

use crate::TrainError;
use crate::checkpoint::{self, Position};
use crate::folder::RunFolder;
use crate::gradient::GradientSet;
use crate::learner::{mix, one_graph, pass};
use crate::optim::Optimizer;

/// Settings of the loop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Seed of the run.
    pub seed: u64,
    /// Optimiser steps.
    pub steps: usize,
    /// Passes per step.
    pub passes: usize,
    /// Steps between points of the loss curve.
    pub log_every: usize,
    /// Steps between evaluations.
    pub evaluate_every: usize,
    /// Steps between checkpoints.
    pub save_every: usize,
    /// Number of steps whose figures may stay on the device, since reading them waits for it. They are read before
    /// every evaluation and checkpoint, so that NaNs are never saved; with 1 they are read before the step is applied.
    pub check_every: usize,
    /// Number of checkpoints to keep.
    pub keep: usize,
    /// Maximum global gradient norm; 0 disables clipping.
    pub clip_norm: f64,
    /// Whether the norm is measured even without clipping.
    pub measure_norm: bool,
    /// Whether blocks are computed again on the way back.
    pub recompute: bool,
}

/// One pass over a batch.
pub(crate) struct Pass {
    /// The batch.
    pub batch: Batch,
    /// Weight of its gradient within the step.
    pub share: f64,
    /// Which of the run's tasks its rows are of.
    pub task: usize,
}

/// Figures of a step, read from the device.
pub(crate) struct Figures<N> {
    /// The step, from 0.
    pub step: usize,
    /// Mean loss of each pass.
    pub losses: Vec<f32>,
    /// Global gradient norm before clipping, if measured.
    pub norm: Option<f32>,
    /// Learning rate of each group.
    pub rates: Vec<f64>,
    /// The course's note on the step's passes.
    pub note: N,
}

/// A completed step.
pub(crate) struct Taken<'a> {
    /// Learning rate of each group.
    pub rates: &'a [f64],
    /// Duration in seconds.
    pub seconds: f64,
    /// Whether a point of the loss curve is due; all figures so far have been passed to [`Course::read`].
    pub is_logged: bool,
}

/// One kind of run.
pub(crate) trait Course<AB: AutodiffBackend> {
    /// The module whose parameters are trained.
    type Trained: AutodiffModule<AB>;
    /// Progress of the run, for checkpoints.
    type Position: Position;
    /// Identity of the run, for checkpoints.
    type Identity: Serialize + Clone;
    /// Note kept on a step's passes until its figures are read.
    type Note;

    /// Settings of the loop.
    fn pace(&self) -> Pace;

    /// Progress of the run.
    fn position(&self) -> &Self::Position;

    /// Identity of the run.
    fn identity(&self) -> &Self::Identity;

    /// Called before every pass. Once true, the run saves a checkpoint of the last complete step and ends.
    fn stop_requested(&mut self) -> bool;

    /// The passes of step `step`.
    fn passes(&mut self, step: usize) -> Result<(Vec<Pass>, Self::Note), TrainError>;

    /// Mean loss `[1]` of a pass's batch, tracked; on a tape if its blocks are to be computed again.
    fn loss(&self, trained: &Self::Trained, pass: &Pass, tape: Option<&Tape<AB>>) -> Tensor<AB, 1>;

    /// Learning rate of each group at step `step`.
    fn rates(&self, step: usize) -> Vec<f64>;

    /// Receives a step's figures, in order.
    ///
    /// # Errors
    /// Figures that are not finite.
    fn read(&mut self, figures: Figures<Self::Note>) -> Result<(), TrainError>;

    /// Counts a step, and writes a point of the loss curve if one is due.
    fn take(&mut self, taken: &Taken<'_>) -> Result<(), TrainError>;

    /// Whether the evaluation after the last step is done.
    fn is_evaluated(&self) -> bool;

    /// Evaluates the module; `false` if the run is to stop.
    fn evaluate(&mut self, trained: &Self::Trained) -> Result<bool, TrainError>;

    /// Syncs whatever a checkpoint relies on.
    fn before_save(&mut self) -> Result<(), TrainError>;

    /// Called when a checkpoint has been written.
    fn saved(&mut self);
}

/// A step whose figures have not yet been read from the device.
struct Pending<B: Backend, N> {
    step: usize,
    losses: Vec<Tensor<B, 1>>,
    norm: Option<Tensor<B, 1>>,
    rates: Vec<f64>,
    note: N,
}

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
    /// A loop at its course's position; `is_saved` says whether a checkpoint of that position exists.
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

    /// Trains until the end or the next stop request.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] after a stop request; errors of the course; files that cannot be written.
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

    /// One optimiser step; `false` if the run is to stop before it is applied.
    fn step(&mut self, trained: C::Trained, pace: &Pace) -> Result<(C::Trained, bool), TrainError> {
        let started = Instant::now();
        let step = self.course.position().step();
        let (passes, note) = self.course.passes(step)?;
        let mut gradients = GradientSet::default();
        let mut losses = Vec::with_capacity(passes.len());
        for (index, next) in passes.iter().enumerate() {
            if self.course.stop_requested() {
                return Ok((trained, false));
            }
            let number = (step * pace.passes + index) as u64;
            AB::seed(self.device, mix(pace.seed, number));
            let _alone = one_graph();
            let tape = pace.recompute.then(|| Tape::new(mix(pace.seed, number)));
            let loss = self.course.loss(&trained, next, tape.as_ref());
            let (loss, gradient) = pass::<AB, _>(&trained, loss, tape, next.share);
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

    /// Reads all pending figures from the device at once.
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

    /// Writes a checkpoint of the current module.
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

    /// Saves the last complete step and ends the run. An incomplete step is not counted; it is repeated on resume.
    fn interrupt<R>(&mut self, trained: &C::Trained) -> Result<R, TrainError> {
        self.read_pending()?;
        let step = self.course.position().step();
        if self.saved != Some(step) {
            self.save(trained)?;
        }
        Err(TrainError::Interrupted { step })
    }
}
