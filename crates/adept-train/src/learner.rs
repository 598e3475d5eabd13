//! The training loop: forward, loss, gradients, step, evaluation, checkpoints.
//!
//! Order and randomness are pure functions of (seed, step): the batch of a micro-step comes from the seed and its
//! number, and the device's random numbers (dropout) are seeded anew before each one. So a checkpoint needs parameters,
//! AdamW's state and a step, and a run that goes on from one is the same, bit for bit on CPU, as one never stopped.
//!
//! A tracked pass is the backbone's [loss](crate::model::TaskModel::loss); the loss of a step is the mean over all its
//! target tokens, so that accumulation changes nothing but memory.

mod pass;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use adept_data::{Batch, Batcher, Metric};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

use crate::TrainError;
use crate::checkpoint::{self, Identity, Progress};
use crate::config::TrainSection;
use crate::evaluate::{self, Decode, EvaluationSet, Predictor};
use crate::folder::RunFolder;
use crate::gradient::GradientSet;
use crate::observer::{Event, Observer, Split};
use crate::optim::{AdamW, AdamWConfig, GroupConfig};
use crate::record::{Evaluation, Line, RecordWriter, Resume, Scores, Selection, Start, Step, code_version};
use crate::target::Target;

pub use pass::{StepGradients, loss, mix, step_gradients};

/// Everything the loop needs besides the module it trains.
pub struct Job<'a> {
    /// What the run is made of.
    pub identity: &'a Identity,
    /// First line of the record.
    pub start: Start,
    /// Parameter groups.
    pub groups: Vec<GroupConfig>,
    /// Dropout inside the backbone.
    pub backbone_dropout: f64,
    /// Training batches.
    pub train: Batcher<'a>,
    /// Chooses the best step; none: the last one is kept.
    pub validation: Option<&'a EvaluationSet>,
    /// Gives the reported score; none: whoever runs this scores what was kept.
    pub test: Option<&'a EvaluationSet>,
    /// The task's metrics; the first one chooses.
    pub metrics: &'a [Metric],
    /// How answers are made.
    pub predictor: Predictor,
    /// Turns token ids into text.
    pub decode: &'a Decode<'a>,
}

/// What the loop hands back.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Which step is in `best/`, with its scores on validation.
    pub selection: Selection,
    /// Scores of the best on test.
    pub test: Scores,
    /// Where the run ended.
    pub progress: Progress,
}

/// A step whose loss has not been read from the device yet.
struct Pending<B: Backend> {
    step: usize,
    /// Loss and gradient norm, `[2]`.
    figures: Tensor<B, 1>,
    rows: Vec<usize>,
    rates: Vec<f64>,
}

/// Trains to the end, or to the next request to stop, and scores the best on test.
///
/// Goes on from the folder's newest checkpoint where it has one. The caller has checked that its identity fits.
///
/// Some backends (flex among them) keep one random generator a process: with dropout, two runs in threads of one process
/// draw from each other's numbers. Run one at a time.
pub fn train<AB, T>(
    job: Job<'_>,
    target: &T,
    folder: &RunFolder,
    device: &AB::Device,
    observer: &mut dyn Observer,
) -> Result<Outcome, TrainError>
where
    AB: AutodiffBackend,
    T: Target<AB>,
{
    let (mut run, mut trained) = Run::<AB, T>::begin(job, target, folder, device, observer)?;
    let (total, every) = (run.config().steps, run.job.identity.config.evaluation.every);
    loop {
        let step = run.progress.step;
        let due = step > 0 && (step.is_multiple_of(every) || step == total);
        if due && run.progress.evaluated != Some(step) {
            run.check_pending()?;
            if !run.evaluate(&trained)? {
                return run.interrupt(&trained);
            }
            run.save(&trained)?;
        }
        if step == total {
            break;
        }
        let started = Instant::now();
        let Some(gradients) = run.gradients(&trained)? else {
            return run.interrupt(&trained);
        };
        let rates = run.optimizer.rates(step, total);
        trained = run.optimizer.step::<AB, _>(trained, gradients, &rates);
        run.finish_step(&rates, started)?;
        let done = run.progress.step;
        let evaluated_next = done.is_multiple_of(every) || done == total;
        if done.is_multiple_of(run.job.identity.config.checkpoint.every) && !evaluated_next {
            run.check_pending()?;
            run.save(&trained)?;
        }
    }
    run.score_best(&trained)
}

/// The loop's state.
struct Run<'a, AB: AutodiffBackend, T: Target<AB>> {
    job: Job<'a>,
    target: &'a T,
    folder: &'a RunFolder,
    device: &'a AB::Device,
    observer: &'a mut dyn Observer,
    optimizer: AdamW<AB::InnerBackend>,
    record: RecordWriter,
    progress: Progress,
    best: Option<Selection>,
    pending: VecDeque<Pending<AB::InnerBackend>>,
    /// Examples, tokens and seconds since the last point of the curve.
    rate_window: (usize, usize, f64),
    /// Last loss and gradient norm that were read.
    last: (f32, f32),
    /// Examples and tokens of the step in progress.
    step_size: (usize, usize),
    saved: Option<usize>,
}

impl<'a, AB: AutodiffBackend, T: Target<AB>> Run<'a, AB, T> {
    /// Starts anew or from the newest checkpoint.
    fn begin(
        job: Job<'a>,
        target: &'a T,
        folder: &'a RunFolder,
        device: &'a AB::Device,
        observer: &'a mut dyn Observer,
    ) -> Result<(Self, T::Trained), TrainError> {
        let section = &job.identity.config.optimizer;
        let config = AdamWConfig {
            beta1: section.beta1,
            beta2: section.beta2,
            epsilon: section.epsilon,
        };
        let mut optimizer = AdamW::new(config, job.groups.clone());
        let found = checkpoint::newest::<Progress, Identity>(&folder.checkpoints())?;
        let mut trained = target.initial();
        let progress = match &found {
            Some(found) => {
                trained = found.restore::<AB, _, _>(trained, &mut optimizer, device)?;
                found.progress.clone()
            }
            None => {
                folder.clear_best()?;
                Progress {
                    step: 0,
                    evaluated: None,
                    window: (0.0, 0),
                    seconds: 0.0,
                    samples: 0,
                    record_bytes: 0,
                }
            }
        };
        let record = RecordWriter::open(&folder.record(), progress.record_bytes)?;
        let best = folder.selection()?;
        let mut run = Self {
            job,
            target,
            folder,
            device,
            observer,
            optimizer,
            record,
            saved: found.as_ref().map(|_| progress.step),
            progress,
            best,
            pending: VecDeque::new(),
            rate_window: (0, 0, 0.0),
            last: (f32::NAN, f32::NAN),
            step_size: (0, 0),
        };
        match found {
            None => {
                run.record.write(&Line::Start(Box::new(run.job.start.clone())))?;
                run.observer.event(&Event::Start(&run.job.start));
            }
            Some(found) => {
                let resume = Resume {
                    step: run.progress.step,
                    damaged: found.damaged,
                    code_version: code_version(),
                };
                run.observer.event(&Event::Start(&run.job.start));
                run.observer.event(&Event::Resume(&resume));
                run.record.write(&Line::Resume(resume))?;
            }
        }
        run.record.flush()?;
        Ok((run, trained))
    }

    fn config(&self) -> &TrainSection {
        &self.job.identity.config.train
    }

    /// Gradients of one optimiser step, clipped; `None` where the run is to stop.
    fn gradients(&mut self, trained: &T::Trained) -> Result<Option<GradientSet<AB::InnerBackend>>, TrainError> {
        let (seed, passes) = (self.job.identity.config.seed, self.config().accumulation);
        let first = self.progress.step * passes;
        let batches: Vec<Batch> = (first..first + passes)
            .map(|step| self.job.train.train_batch(seed, step))
            .collect::<Result<_, _>>()?;
        let (target, device, observer) = (self.target, self.device, &mut *self.observer);
        let mut before_pass = |index: usize| {
            let proceed = !observer.stop_requested();
            AB::seed(device, mix(seed, (first + index) as u64));
            proceed
        };
        let dropout = self.job.backbone_dropout;
        let Some((loss, mut gradients)) =
            step_gradients::<AB, T>(target, trained, &batches, dropout, device, &mut before_pass)
        else {
            return Ok(None);
        };
        let norm = gradients
            .global_norm()
            .unwrap_or_else(|| Tensor::zeros([1], self.device));
        let clip = self.job.identity.config.optimizer.clip_norm;
        if clip > 0.0 {
            gradients.clip(&norm, clip);
        }
        let (step, total) = (self.progress.step, self.config().steps);
        let rows = batches.iter().flat_map(|batch| batch.rows.iter().copied()).collect();
        let rates = self.optimizer.rates(step, total);
        self.pending.push_back(Pending {
            step,
            figures: Tensor::cat(vec![loss, norm], 0),
            rows,
            rates,
        });
        // Reading the figures waits for the device, so a GPU may put it off; a NaN is always found before the module
        // is evaluated or saved, and with `check_every` 1 before it is stepped.
        if self.pending.len() >= self.config().check_every {
            self.check_pending()?;
        }
        self.step_size = (
            batches.iter().map(|batch| batch.batch).sum(),
            batches
                .iter()
                .map(|batch| batch.mask.iter().filter(|real| **real).count())
                .sum(),
        );
        Ok(Some(gradients))
    }

    /// Reads the losses and norms that are still on the device and ends the run at the first that is not finite.
    fn check_pending(&mut self) -> Result<(), TrainError> {
        while let Some(pending) = self.pending.pop_front() {
            let figures: Vec<f32> = pending
                .figures
                .into_data()
                .convert::<f32>()
                .into_vec()
                .expect("the data was just converted to f32");
            let (loss, gradient_norm) = (figures[0], figures[1]);
            if !loss.is_finite() || !gradient_norm.is_finite() {
                let names = self.optimizer.groups().iter().map(|group| group.name.clone());
                let rates = names.zip(pending.rates).collect();
                return Err(TrainError::NotFinite {
                    step: pending.step,
                    loss,
                    gradient_norm,
                    rows: pending.rows,
                    rates,
                });
            }
            self.progress.window.0 += f64::from(loss);
            self.progress.window.1 += 1;
            self.last = (loss, gradient_norm);
        }
        Ok(())
    }

    /// Counts a step that was taken, and logs it where it is due.
    fn finish_step(&mut self, rates: &[f64], started: Instant) -> Result<(), TrainError> {
        let total = self.config().steps;
        let (samples, tokens) = self.step_size;
        self.progress.step += 1;
        self.progress.samples += samples;
        let log = self.progress.step.is_multiple_of(self.config().log_every) || self.progress.step == total;
        if log {
            self.check_pending()?;
        }
        let seconds = started.elapsed().as_secs_f64();
        self.progress.seconds += seconds;
        self.rate_window = (
            self.rate_window.0 + samples,
            self.rate_window.1 + tokens,
            self.rate_window.2 + seconds,
        );
        self.observer.event(&Event::Progress {
            step: self.progress.step,
            total,
            samples,
        });
        if log {
            let (samples, tokens, seconds) = std::mem::take(&mut self.rate_window);
            let (sum, count) = std::mem::take(&mut self.progress.window);
            let names = self.optimizer.groups().iter().map(|group| group.name.clone());
            let step = Step {
                step: self.progress.step,
                loss: sum / count.max(1) as f64,
                gradient_norm: f64::from(self.last.1),
                learning_rates: names.zip(rates.iter().copied()).collect::<BTreeMap<_, _>>(),
                samples_per_second: samples as f64 / seconds.max(1e-9),
                tokens_per_second: tokens as f64 / seconds.max(1e-9),
                seconds: self.progress.seconds,
            };
            self.observer.event(&Event::Step(&step));
            self.record.write(&Line::Step(step))?;
        }
        Ok(())
    }

    /// Scores the module on validation and keeps it where it is the best, or, without a validation set, where it is the
    /// last; `false` where the run is to stop.
    fn evaluate(&mut self, trained: &T::Trained) -> Result<bool, TrainError> {
        let started = Instant::now();
        let Some(set) = self.job.validation else {
            return self.keep_last(trained).map(|()| true);
        };
        let Some(scores) = self.predict(trained, set, Split::Validation)? else {
            return Ok(false);
        };
        let step = self.progress.step;
        let metric = self.job.metrics.first().map_or("", |metric| metric.name());
        let score = scores.get(metric).copied().unwrap_or(f64::NEG_INFINITY);
        // Ties keep the earlier. A run that goes on replays evaluations its `best/` already knows: that is a tie too.
        let best = self
            .best
            .as_ref()
            .is_none_or(|best| score > best.score || best.step == step);
        if best
            && self
                .best
                .as_ref()
                .is_none_or(|best| best.step != step || best.score != score)
        {
            let mut selection = Selection {
                step,
                metric: metric.to_owned(),
                score,
                scores: scores.clone(),
                files: BTreeMap::new(),
            };
            self.folder
                .replace_best(&mut selection, |path| self.target.save(trained, path))?;
            self.best = Some(selection);
        }
        let evaluation = Evaluation {
            step,
            scores,
            best,
            seconds: started.elapsed().as_secs_f64(),
        };
        self.observer.event(&Event::Evaluation(&evaluation));
        self.record.write(&Line::Evaluation(evaluation))?;
        self.progress.evaluated = Some(step);
        self.saved = None;
        Ok(true)
    }

    fn keep_last(&mut self, trained: &T::Trained) -> Result<(), TrainError> {
        let step = self.progress.step;
        if step == self.config().steps && self.best.as_ref().is_none_or(|best| best.step != step) {
            let mut selection = Selection {
                step,
                metric: String::new(),
                score: 0.0,
                scores: BTreeMap::new(),
                files: BTreeMap::new(),
            };
            self.folder
                .replace_best(&mut selection, |path| self.target.save(trained, path))?;
            self.best = Some(selection);
        }
        self.progress.evaluated = Some(step);
        self.saved = None;
        Ok(())
    }

    fn predict(
        &mut self,
        trained: &T::Trained,
        set: &EvaluationSet,
        split: Split,
    ) -> Result<Option<Scores>, TrainError> {
        let (backbone, adapter) = self.target.inner_parts(trained);
        let observer = &mut *self.observer;
        let mut proceed = |done, total| {
            observer.event(&Event::EvaluationProgress { split, done, total });
            done == total || !observer.stop_requested()
        };
        let job = &self.job;
        let predictions = evaluate::predict::<AB::InnerBackend, _>(
            &backbone,
            &*adapter,
            set,
            &job.predictor,
            job.decode,
            self.device,
            &mut proceed,
        )?;
        Ok(predictions.map(|predictions| evaluate::scores(job.metrics, &predictions, &set.right)))
    }

    /// Writes a checkpoint of the module as it is.
    fn save(&mut self, trained: &T::Trained) -> Result<(), TrainError> {
        self.progress.record_bytes = self.record.flush()?;
        let keep = self.job.identity.config.checkpoint.keep;
        let path = self.folder.checkpoints();
        checkpoint::save::<AB, _, _, _, _>(&path, &self.progress, self.job.identity, trained, &self.optimizer, keep)?;
        self.saved = Some(self.progress.step);
        self.observer.event(&Event::Checkpoint {
            step: self.progress.step,
        });
        Ok(())
    }

    /// Saves the last whole step and ends the run.
    fn interrupt<R>(&mut self, trained: &T::Trained) -> Result<R, TrainError> {
        // A step that was begun and not taken is not counted; the continuation begins it again.
        self.check_pending()?;
        let step = self.progress.step;
        if self.saved != Some(step) {
            self.save(trained)?;
        }
        Err(TrainError::Interrupted { step })
    }

    /// Reads the best back and scores it on test.
    fn score_best(mut self, trained: &T::Trained) -> Result<Outcome, TrainError> {
        let selection = self.folder.selection()?.ok_or_else(|| {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            TrainError::read("read the best module in", &self.folder.best())(missing)
        })?;
        self.folder.verify_best(&selection)?;
        let test = match self.job.test {
            None => Scores::new(),
            Some(set) => {
                let best = self.target.load(&self.folder.best(), self.device)?;
                match self.predict(&best, set, Split::Test)? {
                    Some(scores) => scores,
                    None => return self.interrupt(trained),
                }
            }
        };
        self.record.flush()?;
        Ok(Outcome {
            selection,
            test,
            progress: self.progress,
        })
    }
}
