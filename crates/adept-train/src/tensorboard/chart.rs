//! What is charted of a line of a record.

use std::collections::BTreeMap;

use toml::Value;

use crate::config::fields::RUN;
use crate::pretrain::config::PRETRAIN;
use crate::pretrain::record::{PretrainEvaluation, PretrainLine, PretrainStart};
use crate::record::{Line, Scores, Start};

/// A line of a record that may have an event.
pub trait Charted {
    /// The event; `None` for lines without one.
    fn chart(&self) -> Option<Chart>;
}

/// Content of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Steps done.
    pub step: usize,
    /// Values by tag.
    pub scalars: Vec<(String, f64)>,
    /// Whether the run starts or ends.
    pub session: Option<Session>,
}

/// Start or end of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Session {
    /// The run starts with these settings.
    Start(BTreeMap<String, Value>),
    /// The run is done.
    End,
}

impl Charted for Line {
    fn chart(&self) -> Option<Chart> {
        match self {
            Line::Start(start) => Some(begun(settings(start))),
            Line::Resume(_) => None,
            Line::Step(step) => {
                let mut scalars = vec![
                    ("train/loss".to_owned(), step.loss),
                    ("train/gradient_norm".to_owned(), step.gradient_norm),
                    ("train/samples_per_second".to_owned(), step.samples_per_second),
                    ("train/tokens_per_second".to_owned(), step.tokens_per_second),
                ];
                let rates = step.learning_rates.iter();
                scalars.extend(rates.map(|(group, rate)| (format!("train/learning_rate/{group}"), *rate)));
                Some(point(step.step, scalars))
            }
            Line::Evaluation(evaluation) => Some(point(
                evaluation.step,
                tagged("validation", &evaluation.scores).collect(),
            )),
            // Scores of the step kept in `best/`, at the last step: an earlier one would read as a restart.
            Line::End(result) => Some(Chart {
                step: result.config.train.steps,
                scalars: tagged("best/validation", &result.validation)
                    .chain(tagged("best/test", &result.test))
                    .collect(),
                session: Some(Session::End),
            }),
        }
    }
}

impl Charted for PretrainLine {
    fn chart(&self) -> Option<Chart> {
        match self {
            PretrainLine::Start(start) => Some(begun(pretrain_settings(start))),
            PretrainLine::Resume(_) => None,
            PretrainLine::Step(step) => {
                let values = [
                    ("loss_text", step.loss_text),
                    ("loss_tasks", step.loss_tasks),
                    ("gradient_norm", step.gradient_norm),
                    ("learning_rate", Some(step.learning_rate)),
                    ("tokens_per_second", Some(step.tokens_per_second)),
                ];
                let known = values.into_iter().filter_map(|(name, value)| Some((name, value?)));
                let scalars = known.map(|(name, value)| (format!("train/{name}"), value));
                Some(point(step.step, scalars.collect()))
            }
            PretrainLine::Evaluation(evaluation) => Some(point(evaluation.step, held_out(evaluation))),
            // Its last evaluation has an event of its own.
            PretrainLine::End(end) => Some(Chart {
                step: end.step,
                scalars: Vec::new(),
                session: Some(Session::End),
            }),
        }
    }
}

fn begun(settings: BTreeMap<String, Value>) -> Chart {
    Chart {
        step: 0,
        scalars: Vec::new(),
        session: Some(Session::Start(settings)),
    }
}

fn point(step: usize, scalars: Vec<(String, f64)>) -> Chart {
    Chart {
        step,
        scalars,
        session: None,
    }
}

fn tagged<'a>(prefix: &'a str, scores: &'a Scores) -> impl Iterator<Item = (String, f64)> + 'a {
    scores
        .iter()
        .map(move |(metric, score)| (format!("{prefix}/{metric}"), *score))
}

fn held_out(evaluation: &PretrainEvaluation) -> Vec<(String, f64)> {
    let mut scalars = vec![("validation/held_out_loss".to_owned(), evaluation.held_out_loss)];
    for (label, score) in &evaluation.tasks {
        scalars.push((format!("validation/{label}/loss"), score.loss));
        let accuracy = score.accuracy;
        scalars.extend(accuracy.map(|accuracy| (format!("validation/{label}/accuracy"), accuracy)));
    }
    scalars
}

/// The settings that decide what is trained, and the sizes that follow from them. A card's path is replaced by its
/// task's name: the file may be shared, and paths belong to one machine.
fn settings(start: &Start) -> BTreeMap<String, Value> {
    let mut settings: BTreeMap<String, Value> = start
        .resolved
        .config
        .values()
        .into_iter()
        .filter(|(key, _)| RUN.find(key).is_some_and(|field| field.decides))
        .collect();
    settings.insert("task".to_owned(), start.task_name().into());
    settings.insert("backbone".to_owned(), start.backbone.clone().into());
    for (key, count) in [
        ("virtual_tokens", start.virtual_tokens),
        ("rank", start.rank),
        ("trainable_parameters", start.trainable_parameters),
    ] {
        settings.insert(key.to_owned(), whole(count));
    }
    settings
}

/// Like [`settings`]; of the tasks only the labels.
fn pretrain_settings(start: &PretrainStart) -> BTreeMap<String, Value> {
    let mut settings: BTreeMap<String, Value> = start
        .resolved
        .config
        .values()
        .into_iter()
        .filter(|(key, _)| PRETRAIN.find(key).is_some_and(|field| field.decides))
        .collect();
    let labels: Vec<&str> = start.tasks.iter().map(|task| task.label.as_str()).collect();
    settings.insert("tasks".to_owned(), labels.join(", ").into());
    settings.insert("parameters".to_owned(), whole(start.parameters));
    settings
}

fn whole(count: usize) -> Value {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}
