//! The training loop's input for adapters and full fine-tuning on a task.
//!
//! A tracked pass is the backbone's [loss](crate::model::TaskModel::loss); the loss of a step is the mean over all its
//! target tokens, so that accumulation only affects memory. The best step on the validation split is kept in `best/`
//! and scored on the test split.

mod draws;
mod pass;

use std::collections::BTreeMap;
use std::time::Instant;

use adept_data::{Batch, Batcher, Metric};
use adept_models::Tape;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

use crate::TrainError;
use crate::answering::AnswerMethod;
use crate::checkpoint::{self, Identity, Progress};
use crate::config::BestBy;
use crate::evaluate::{self, EvaluationSet};
use crate::folder::RunFolder;
use crate::model::Forward;
use crate::model_card::ModelCard;
use crate::observer::{Event, Observer, Split};
use crate::optim::{self, GroupConfig, Optimizer};
use crate::record::{Evaluation, Line, RecordWriter, Resume, Scores, Selection, Start, Step, code_version};
use crate::target::Target;
use crate::training_loop::{Course, Figures, Pace, Pass, Taken, TrainingLoop};

use draws::Draws;
use pass::token_shares;
pub use pass::{LossAndGradients, distilled, loss, mix, one_graph, pass, step_gradients};

/// Everything the loop needs besides the trained module.
pub struct Job<'a> {
    /// Identity of the run.
    pub identity: &'a Identity,
    /// First line of the record.
    pub start: Start,
    /// Dropout inside the backbone.
    pub backbone_dropout: f64,
    /// What is trained on: one task, or several that are mixed as the configuration says.
    pub tasks: Vec<JobTask<'a>>,
}

/// One task of a run.
pub struct JobTask<'a> {
    /// Its name.
    pub name: String,
    /// Training batches; of several tasks, of the size of one task's part of a batch.
    pub train: Batcher<'a>,
    /// Used to choose the best step; `None` keeps the last one.
    pub validation: Option<&'a EvaluationSet>,
    /// Used for the reported score; `None` leaves scoring to the caller.
    pub test: Option<&'a EvaluationSet>,
    /// The task's metrics; the first one chooses the best step.
    pub metrics: &'a [Metric],
    /// Prediction method.
    pub answers: AnswerMethod<'a>,
}

/// Answers to a split of one task, and their scores by metric.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answered {
    /// Scores by metric name, times 100.
    pub scores: Scores,
    /// Answers in the split's order; none without such a split.
    pub texts: Vec<String>,
}

/// Name of the mean over several tasks of each one's first metric.
pub const MEAN: &str = "mean";

/// Scores of all tasks of a run. Of several, a metric's name stands behind the task's (`rte/accuracy`), and [`MEAN`] is
/// the mean of their first metrics.
fn together(tasks: &[JobTask<'_>], answered: &[Answered]) -> Scores {
    if let [only] = answered {
        return only.scores.clone();
    }
    let mut all = Scores::new();
    let mut sum = 0.0;
    for (task, answered) in tasks.iter().zip(answered) {
        let first = task
            .metrics
            .first()
            .and_then(|metric| answered.scores.get(metric.name()));
        sum += first.copied().unwrap_or(f64::NEG_INFINITY);
        let named = answered.scores.iter();
        all.extend(named.map(|(metric, score)| (format!("{}/{metric}", task.name), *score)));
    }
    all.insert(MEAN.to_owned(), sum / tasks.len().max(1) as f64);
    all
}

/// Result of training.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The step kept in `best/`, with its validation scores.
    pub selection: Selection,
    /// Of several tasks of which each one's best step is kept (`mixture.best`), those; none otherwise.
    pub of_each: Vec<Selection>,
    /// Scores of the best step on the test split; of each task's own where that is kept.
    pub test: Scores,
    /// Seconds in which the test split was answered.
    pub test_seconds: Option<f64>,
    /// Its answers to each task's test split.
    pub answered: Vec<Answered>,
    /// Progress at the end of the run.
    pub progress: Progress,
}

/// Trains until the end or the next stop request, and scores the best step on the test split.
///
/// Resumes from the folder's newest checkpoint, if there is one. The caller must have checked that its identity
/// matches.
///
/// Some backends (flex among them) have one random generator per process: with dropout, two runs in threads of one
/// process would draw from each other's numbers. Run one at a time.
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
    let config = &job.identity.config;
    let optimizer = optim::adamw(target.adapter(), &config.optimizer)?;
    let groups = optimizer.groups().to_vec();
    let mut optimizer = Optimizer::AdamW(optimizer);
    let mut trained = target.initial();
    let found = checkpoint::newest::<Progress, Identity>(&folder.checkpoints())?;
    match &found {
        Some(found) => trained = found.restore::<AB, _, _>(trained, &mut optimizer, device)?,
        None => folder.clear_best()?,
    }
    let is_saved = found.is_some();
    let course = TaskCourse::begin(job, groups, target, found, (folder, device), observer)?;
    let course = TrainingLoop::new(course, optimizer, folder, device, is_saved).run(trained)?;
    course.score_best()
}

/// Whether a selection replaces the best one so far. Ties keep the earlier step; a resumed run repeats evaluations that
/// are kept already.
fn is_better(best: Option<&Selection>, next: &Selection) -> bool {
    best.is_none_or(|best| match best.step == next.step {
        true => best.score != next.score,
        false => next.score > best.score,
    })
}

/// A run on a task.
struct TaskCourse<'a, AB: AutodiffBackend, T: Target<AB>> {
    job: Job<'a>,
    draws: Draws,
    groups: Vec<GroupConfig>,
    target: &'a T,
    folder: &'a RunFolder,
    device: &'a AB::Device,
    observer: &'a mut dyn Observer,
    record: RecordWriter<Line>,
    progress: Progress,
    best: Option<Selection>,
    /// The same by each task's own score, if that is kept.
    best_of: Vec<Option<Selection>>,
    /// Examples, tokens and seconds since the last point of the loss curve.
    rate_window: (usize, usize, f64),
    /// Last gradient norm read from the device.
    gradient_norm: f32,
    /// Examples and tokens of the current step.
    step_size: (usize, usize),
}

/// Training rows of a step, and the weight of each of its passes.
struct StepNote {
    rows: Vec<usize>,
    shares: Vec<f64>,
}

impl<'a, AB: AutodiffBackend, T: Target<AB>> TaskCourse<'a, AB, T> {
    /// Starts anew or at a checkpoint.
    fn begin(
        job: Job<'a>,
        groups: Vec<GroupConfig>,
        target: &'a T,
        found: Option<checkpoint::Loaded>,
        (folder, device): (&'a RunFolder, &'a AB::Device),
        observer: &'a mut dyn Observer,
    ) -> Result<Self, TrainError> {
        let start = Progress {
            step: 0,
            evaluated: None,
            window: (0.0, 0),
            seconds: 0.0,
            samples: 0,
            record_bytes: 0,
        };
        let progress = found.as_ref().map_or(start, |found| found.progress.clone());
        let config = &job.identity.config;
        let tensorboard = config.train.tensorboard;
        let sizes: Vec<usize> = job.tasks.iter().map(|task| task.train.rows()).collect();
        let keeps_each = config.mixture.best == BestBy::Each && job.tasks.len() > 1;
        let kept = job.tasks.iter().filter(|_| keeps_each);
        let best_of: Result<Vec<_>, _> = kept
            .map(|task| RunFolder::selection_of(&folder.best_of(&task.name)))
            .collect();
        let mut course = Self {
            best_of: best_of?,
            draws: Draws::new(&sizes, &config.mixture, config.seed),
            record: RecordWriter::of_run(folder, progress.record_bytes, tensorboard)?,
            best: folder.selection()?,
            job,
            groups,
            target,
            folder,
            device,
            observer,
            progress,
            rate_window: (0, 0, 0.0),
            gradient_norm: f32::NAN,
            step_size: (0, 0),
        };
        match found {
            None => {
                course.record.write(&Line::Start(Box::new(course.job.start.clone())))?;
                course.observer.event(&Event::Start(&course.job.start));
            }
            Some(found) => {
                let resume = Resume {
                    step: course.progress.step,
                    damaged: found.damaged,
                    code_version: code_version(),
                };
                course.observer.event(&Event::Start(&course.job.start));
                course.observer.event(&Event::Resume(&resume));
                course.record.write(&Line::Resume(resume))?;
            }
        }
        course.record.flush()?;
        Ok(course)
    }

    fn keep_last(&mut self, trained: &T::Trained) -> Result<(), TrainError> {
        let step = self.progress.step;
        if step == self.job.identity.config.train.steps && self.best.as_ref().is_none_or(|best| best.step != step) {
            let mut selection = Selection {
                step,
                metric: String::new(),
                score: 0.0,
                scores: BTreeMap::new(),
                files: BTreeMap::new(),
            };
            self.keep(None, &mut selection, trained)?;
            self.best = Some(selection);
        }
        self.progress.evaluated = Some(step);
        Ok(())
    }

    /// Puts the module into `best/`, or where one of several tasks has its best.
    fn keep(&self, task: Option<&str>, selection: &mut Selection, trained: &T::Trained) -> Result<(), TrainError> {
        let (start, test) = (&self.job.start, None);
        let card = ModelCard { start, selection, test }.text();
        self.folder
            .replace_best(task, selection, &card, |path| self.target.save(trained, path))
    }

    /// Answers one task's split; `None` if the run is to stop.
    fn predict(
        &mut self,
        trained: &T::Trained,
        task: usize,
        set: &EvaluationSet,
        split: Split,
    ) -> Result<Option<Answered>, TrainError> {
        let (backbone, adapter) = self.target.inner_parts(trained, task);
        let observer = &mut *self.observer;
        let mut proceed = |done, total| {
            observer.event(&Event::EvaluationProgress { split, done, total });
            done == total || !observer.stop_requested()
        };
        let job = &self.job.tasks[task];
        let predictions = evaluate::predict::<AB::InnerBackend, _>(
            &backbone,
            &*adapter,
            set,
            &job.answers,
            self.device,
            &mut proceed,
        )?;
        Ok(predictions.map(|texts| Answered {
            scores: evaluate::scores(job.metrics, &texts, &set.right),
            texts,
        }))
    }

    /// Keeps the module for every task whose own score is its best so far.
    fn keep_of_each(&mut self, trained: &T::Trained, answered: &[Answered], step: usize) -> Result<(), TrainError> {
        for (task, answered) in answered.iter().enumerate().take(self.best_of.len()) {
            let JobTask { name, metrics, .. } = &self.job.tasks[task];
            let (name, metric) = (name.clone(), metrics.first().map_or("", |metric| metric.name()));
            let score = answered.scores.get(metric).copied();
            let mut selection = Selection {
                step,
                metric: metric.to_owned(),
                score: score.unwrap_or(f64::NEG_INFINITY),
                scores: answered.scores.clone(),
                files: BTreeMap::new(),
            };
            if is_better(self.best_of[task].as_ref(), &selection) {
                self.keep(Some(&name), &mut selection, trained)?;
                self.best_of[task] = Some(selection);
            }
        }
        Ok(())
    }

    /// Answers a split of every task that has it; `None` if the run is to stop.
    fn predict_all(&mut self, trained: &T::Trained, split: Split) -> Result<Option<Vec<Answered>>, TrainError> {
        let mut all = Vec::with_capacity(self.job.tasks.len());
        for task in 0..self.job.tasks.len() {
            let set = match split {
                Split::Validation => self.job.tasks[task].validation,
                Split::Test => self.job.tasks[task].test,
            };
            let Some(set) = set else {
                all.push(Answered::default());
                continue;
            };
            match self.predict(trained, task, set, split)? {
                Some(answered) => all.push(answered),
                None => return Ok(None),
            }
        }
        Ok(Some(all))
    }

    /// Answers each task's test split with what is kept for it; `None` if the run is to stop.
    fn test_of_each(&mut self, kept: &[Selection]) -> Result<Option<Vec<Answered>>, TrainError> {
        let mut all = Vec::with_capacity(kept.len());
        for (task, selection) in kept.iter().enumerate() {
            let Some(set) = self.job.tasks[task].test else {
                all.push(Answered::default());
                continue;
            };
            let folder = self.folder.best_of(&self.job.tasks[task].name);
            RunFolder::verify_best(&folder, selection)?;
            let best = self.target.load(&folder, self.device)?;
            match self.predict(&best, task, set, Split::Test)? {
                Some(answered) => all.push(answered),
                None => return Ok(None),
            }
        }
        Ok(Some(all))
    }

    /// Loads the best module and scores it on the test split.
    fn score_best(mut self) -> Result<Outcome, TrainError> {
        let selection = self.folder.selection()?.ok_or_else(|| {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            TrainError::read("read the best module in", &self.folder.best())(missing)
        })?;
        RunFolder::verify_best(&self.folder.best(), &selection)?;
        let of_each: Vec<Selection> = self.best_of.iter().flatten().cloned().collect();
        let mut test_seconds = None;
        let mut answered = vec![Answered::default(); self.job.tasks.len()];
        if self.job.tasks.iter().any(|task| task.test.is_some()) {
            let began = Instant::now();
            let found = match of_each.is_empty() {
                true => {
                    let best = self.target.load(&self.folder.best(), self.device)?;
                    self.predict_all(&best, Split::Test)?
                }
                false => self.test_of_each(&of_each)?,
            };
            match found {
                Some(found) => {
                    test_seconds = Some(began.elapsed().as_secs_f64());
                    answered = found;
                }
                // The last step was saved before the loop ended.
                None => {
                    return Err(TrainError::Interrupted {
                        step: self.progress.step,
                    });
                }
            }
        }
        self.record.flush()?;
        Ok(Outcome {
            selection,
            of_each,
            test: match test_seconds {
                Some(_) => together(&self.job.tasks, &answered),
                None => Scores::new(),
            },
            test_seconds,
            answered,
            progress: self.progress,
        })
    }
}

impl<AB: AutodiffBackend, T: Target<AB>> Course<AB> for TaskCourse<'_, AB, T> {
    type Trained = T::Trained;
    type Position = Progress;
    type Identity = Identity;
    type Note = StepNote;

    fn pace(&self) -> Pace {
        let config = &self.job.identity.config;
        Pace {
            seed: config.seed,
            steps: config.train.steps,
            passes: config.train.accumulation * config.mixture.tasks_per_batch,
            log_every: config.train.log_every,
            evaluate_every: config.evaluation.every,
            save_every: config.checkpoint.every,
            check_every: config.train.check_every,
            keep: config.checkpoint.keep,
            clip_norm: config.optimizer.clip_norm,
            measure_norm: true,
            recompute: config.train.recompute,
        }
    }

    fn position(&self) -> &Progress {
        &self.progress
    }

    fn identity(&self) -> &Identity {
        self.job.identity
    }

    fn stop_requested(&mut self) -> bool {
        self.observer.stop_requested()
    }

    fn passes(&mut self, step: usize) -> Result<(Vec<Pass>, StepNote), TrainError> {
        let config = &self.job.identity.config;
        let count = config.train.accumulation * config.mixture.tasks_per_batch;
        let mut tasks = Vec::with_capacity(count);
        let mut batches = Vec::with_capacity(count);
        for number in step * count..(step + 1) * count {
            let (task, before) = self.draws.at(number);
            tasks.push(task);
            batches.push(self.job.tasks[task].train.train_batch(config.seed, before)?);
        }
        let real = |batch: &Batch| batch.mask.iter().filter(|real| **real).count();
        self.step_size = (
            batches.iter().map(|batch| batch.batch).sum(),
            batches.iter().map(real).sum(),
        );
        let note = StepNote {
            rows: batches.iter().flat_map(|batch| batch.rows.iter().copied()).collect(),
            shares: token_shares(&batches),
        };
        let passes = batches.into_iter().zip(&note.shares).zip(tasks);
        let passes = passes.map(|((batch, &share), task)| Pass { batch, share, task });
        Ok((passes.collect(), note))
    }

    fn loss(&self, trained: &T::Trained, pass: &Pass, tape: Option<&Tape<AB>>) -> Tensor<AB, 1> {
        let (backbone, adapter) = self.target.parts(trained);
        let of_task = adapter.of_task(pass.task);
        let adapter = of_task.as_deref().unwrap_or(adapter);
        let (batch, dropout) = (&pass.batch, self.job.backbone_dropout);
        let forward = Forward { dropout, tape };
        match self.target.teacher(pass.task) {
            None => loss::<AB, _>(backbone, adapter, batch, forward, self.device),
            Some(teacher) => {
                let weight = self.job.identity.config.distillation.weight;
                distilled::<AB, _>((backbone, adapter), teacher, weight, batch, forward, self.device)
            }
        }
    }

    fn rates(&self, step: usize) -> Vec<f64> {
        let total = self.job.identity.config.train.steps;
        self.groups.iter().map(|group| group.rate(step, total)).collect()
    }

    fn read(&mut self, figures: Figures<StepNote>) -> Result<(), TrainError> {
        let StepNote { rows, shares } = figures.note;
        let parts = figures.losses.iter().zip(shares);
        let loss: f32 = parts.map(|(loss, share)| loss * share as f32).sum();
        let gradient_norm = figures.norm.unwrap_or(0.0);
        if !loss.is_finite() || !gradient_norm.is_finite() {
            let names = self.groups.iter().map(|group| group.name.clone());
            return Err(TrainError::NotFinite {
                step: figures.step,
                loss,
                gradient_norm,
                rows,
                rates: names.zip(figures.rates).collect(),
            });
        }
        self.progress.window.0 += f64::from(loss);
        self.progress.window.1 += 1;
        self.gradient_norm = gradient_norm;
        Ok(())
    }

    fn take(&mut self, taken: &Taken<'_>) -> Result<(), TrainError> {
        let (samples, tokens) = self.step_size;
        self.progress.step += 1;
        self.progress.samples += samples;
        self.progress.seconds += taken.seconds;
        self.rate_window = (
            self.rate_window.0 + samples,
            self.rate_window.1 + tokens,
            self.rate_window.2 + taken.seconds,
        );
        self.observer.event(&Event::Progress {
            step: self.progress.step,
            total: self.job.identity.config.train.steps,
            samples,
        });
        if taken.is_logged {
            let (samples, tokens, seconds) = std::mem::take(&mut self.rate_window);
            let (sum, count) = std::mem::take(&mut self.progress.window);
            let names = self.groups.iter().map(|group| group.name.clone());
            let step = Step {
                step: self.progress.step,
                loss: sum / count.max(1) as f64,
                gradient_norm: f64::from(self.gradient_norm),
                learning_rates: names.zip(taken.rates.iter().copied()).collect::<BTreeMap<_, _>>(),
                samples_per_second: samples as f64 / seconds.max(1e-9),
                tokens_per_second: tokens as f64 / seconds.max(1e-9),
                seconds: self.progress.seconds,
            };
            self.observer.event(&Event::Step(&step));
            self.record.write(&Line::Step(step))?;
        }
        Ok(())
    }

    fn is_evaluated(&self) -> bool {
        self.progress.evaluated == Some(self.progress.step)
    }

    /// Scores the module on the validation split and keeps it if it is the best; without a validation set, keeps the
    /// last one.
    fn evaluate(&mut self, trained: &T::Trained) -> Result<bool, TrainError> {
        let started = Instant::now();
        if self.job.tasks.iter().any(|task| task.validation.is_none()) {
            return self.keep_last(trained).map(|()| true);
        }
        let Some(answered) = self.predict_all(trained, Split::Validation)? else {
            return Ok(false);
        };
        let scores = together(&self.job.tasks, &answered);
        let step = self.progress.step;
        let metric = match self.job.tasks.as_slice() {
            [only] => only.metrics.first().map_or("", |metric| metric.name()),
            _ => MEAN,
        };
        let score = scores.get(metric).copied().unwrap_or(f64::NEG_INFINITY);
        // Ties keep the earlier step. A resumed run repeats evaluations already in its `best/`, which are ties too.
        let best = self
            .best
            .as_ref()
            .is_none_or(|best| score > best.score || best.step == step);
        let mut selection = Selection {
            step,
            metric: metric.to_owned(),
            score,
            scores: scores.clone(),
            files: BTreeMap::new(),
        };
        if is_better(self.best.as_ref(), &selection) {
            self.keep(None, &mut selection, trained)?;
            self.best = Some(selection);
        }
        self.keep_of_each(trained, &answered, step)?;
        let evaluation = Evaluation {
            step,
            scores,
            best,
            seconds: started.elapsed().as_secs_f64(),
        };
        self.observer.event(&Event::Evaluation(&evaluation));
        self.record.write(&Line::Evaluation(evaluation))?;
        self.progress.evaluated = Some(step);
        Ok(true)
    }

    fn before_save(&mut self) -> Result<(), TrainError> {
        self.progress.record_bytes = self.record.flush()?;
        Ok(())
    }

    fn saved(&mut self) {
        self.observer.event(&Event::Checkpoint {
            step: self.progress.step,
        });
    }
}
