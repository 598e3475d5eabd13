//! What a run on several tasks leaves of each: a folder as if the task had been trained on alone, with its adapter, its
//! answers and its scores.

use std::fs;
use std::path::Path;

use adept_models::Model;
use adept_train::TrainError;
use adept_train::config::RunConfig;
use adept_train::folder;
use adept_train::learner::Outcome;
use adept_train::record::{Scores, Start};
use adept_train::target::Target;
use adept_train::test_answers::{TEST_ANSWERS, TestAnswers};
use adept_train::trained::Trained;
use burn::tensor::backend::AutodiffBackend;

use super::{Begun, PreparedTask, metrics};

/// Writes `tasks/` of the run's folder.
pub(super) fn write<AB: AutodiffBackend, T: Target<AB, Backbone = Model<AB>>>(
    begun: &Begun<'_, AB>,
    tasks: &[PreparedTask],
    start: &Start,
    outcome: &Outcome,
    answers: &[TestAnswers],
    target: &T,
) -> Result<(), TrainError> {
    let shared = target.load(&begun.folder.best(), begun.device)?;
    let family = begun.backbone.model.family();
    begun.folder.replace_tasks(|folder| {
        for (place, (task, answers)) in tasks.iter().zip(answers).enumerate() {
            let own = folder.join(task.task.name());
            create(&own)?;
            let config = begun.resolved.config.of_task(place);
            let about = Trained::new(&config, &task.task, family, Some(task.target_width));
            let kept = outcome.of_each.get(place);
            let best = match kept {
                Some(_) => &target.load(&begun.folder.best_of(task.task.name()), begun.device)?,
                None => &shared,
            };
            target.save_task(best, place, &about, &own.join("best"))?;
            answers.write(&own.join(TEST_ANSWERS))?;
            let mut result = begun.result(start.clone(), outcome, Some(task.majority.clone()));
            result.task = task.task.name().to_owned();
            result.card = task.task.own_card().map(str::to_owned);
            result.config = config;
            result.data = task.files.clone();
            result.selection_metric = task_metric(&begun.resolved.config, task);
            result.validation = match kept {
                Some(kept) => kept.scores.clone(),
                None => of_task(&outcome.selection.scores, task.task.name()),
            };
            if let Some(kept) = kept {
                result.best_step = kept.step;
            }
            result.test = outcome.answered[place].scores.clone();
            folder::write_json(&own.join("result.json"), &result)?;
        }
        Ok(())
    })
}

/// The metric of a task that counts for the choice of the best step.
fn task_metric(config: &RunConfig, task: &PreparedTask) -> String {
    let metrics = metrics(config, &task.task);
    metrics
        .first()
        .map_or_else(String::new, |metric| metric.name().to_owned())
}

/// The scores of one task among those of all.
fn of_task(all: &Scores, task: &str) -> Scores {
    let own = all.iter().filter_map(|(name, score)| {
        let (of, metric) = name.rsplit_once('/')?;
        (of == task).then(|| (metric.to_owned(), *score))
    });
    own.collect()
}

fn create(path: &Path) -> Result<(), TrainError> {
    fs::create_dir_all(path).map_err(|source| TrainError::Io {
        action: "create",
        path: path.to_owned(),
        source,
    })
}
