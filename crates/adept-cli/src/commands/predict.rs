//! `adept predict`: one prediction for each source text, in the order of the input.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use adept_core::PromptAdapter;
use adept_data::{
    BatchOptions, Batcher, Encoded, Layout, LossCounter, LossyText, Right, Task, default_buckets, split_losses,
};
use adept_train::TrainError;
use adept_train::config::{self, Told};
use adept_train::evaluate::{self, EvaluationSet, Predictor};
use adept_train::run::{self, LoadedBackbone};
use burn::tensor::backend::{AutodiffBackend, Backend};
use serde_json::{Map, Value};

use super::trained::{self, Subject};
use super::{Setting, hub, run_failure};
use crate::args::Predict;
use crate::device::{WithBackend, with_backend};
use crate::failure::{Failure, say};
use crate::progress::Loudness;

/// Texts that are read before any is predicted: enough to group them by length, few enough to hold.
const BLOCK: usize = 2048;

/// Source tokens kept, and tokens of the longest answer, where neither the training nor the command line says.
const SOURCE_TOKENS: usize = 256;
const NEW_TOKENS: usize = 20;

/// Reads texts and prints predictions.
pub fn run(setting: &Setting, arguments: Predict) -> Result<(), Failure> {
    let loudness = setting.loudness;
    with_backend(setting.device, Work { arguments, loudness })
}

struct Work {
    arguments: Predict,
    loudness: Loudness,
}

impl WithBackend for Work {
    fn run<AB: AutodiffBackend>(self, device: AB::Device) -> Result<(), Failure> {
        let (arguments, loudness) = (self.arguments, self.loudness);
        let mut input = open(&arguments.input)?;
        let backbone = run::load_backbone::<AB::InnerBackend>(&hub::backbone(&arguments.backbone)?, &device)
            .map_err(run_failure)?;
        let subject = trained::load(arguments.adapter.as_deref(), &backbone, &device)?;
        let (width, predictor) = settings(&arguments, loudness, &backbone, &subject)?;

        let mut lines = Lines {
            name: arguments.input.display().to_string(),
            number: 0,
            jsonl: arguments.jsonl,
        };
        let mut losses = LossCounter::new(LossyText::Source, width);
        let mut read = 0;
        loop {
            let before = lines.number;
            let block = lines.read(&mut input)?;
            if block.is_empty() {
                trained::say_losses(loudness, &split_losses("input", read, [losses]));
                return Ok(());
            }
            let texts: Vec<&str> = block.iter().map(|line| line.source.as_str()).collect();
            let encoded = backbone
                .tokenizer
                .encode_batch(&texts, usize::MAX)
                .map_err(Failure::input)?;
            for (text, ids) in texts.iter().zip(&encoded) {
                losses
                    .add(&backbone.tokenizer, read, text, ids)
                    .map_err(Failure::input)?;
                read += 1;
            }
            let rows: Vec<Encoded> = encoded
                .into_iter()
                .map(|source| Encoded {
                    source: backbone.tokenizer.cut(&source, width),
                    target: vec![backbone.model.eos_id()],
                })
                .collect();
            let options = BatchOptions {
                layout: Layout::Apart,
                batch_size: usize::from(arguments.batch_size),
                max_source_length: width,
                buckets: default_buckets(width),
                pad_to_max: false,
                pad_id: backbone.model.pad_id(),
                target_width: 1,
            };
            let place = |row: usize| format!("{}:{}", lines.name, before + row + 1);
            let predictions = predict(&rows, options, &backbone, &subject.adapter, &predictor, &device, &place)?;
            for (line, prediction) in block.iter().zip(predictions) {
                say(line.with(&prediction))?;
            }
        }
    }
}

/// Source tokens kept and how answers are made: as in the training, where the model says what it was trained with, and
/// otherwise where that is told.
fn settings<B: Backend>(
    arguments: &Predict,
    loudness: Loudness,
    backbone: &LoadedBackbone<B>,
    subject: &Subject<B>,
) -> Result<(usize, Predictor), Failure> {
    let trained = subject.trained.as_ref();
    // Adapters of before say the name of their task alone.
    let named = || subject.about.as_ref()?.task.as_deref()?.parse().ok();
    let task: Option<Task> = arguments
        .task
        .clone()
        .or_else(|| trained.map(|trained| trained.task.clone()))
        .or_else(named);
    let is_trained_on = trained
        .zip(task.as_ref())
        .is_some_and(|(trained, task)| task.has_card_of(&trained.task));
    let method = match (arguments.generate, arguments.labels) {
        (true, _) => Some("generate"),
        (_, true) => Some("labels"),
        _ if is_trained_on => None,
        _ => Some("auto"),
    };
    let mut told: Vec<String> = method
        .map(|method| format!("evaluation.method={method}"))
        .into_iter()
        .collect();
    let (mut config, mut differing) = match trained.zip(task.as_ref()) {
        Some((trained, task)) => {
            let (resolved, told) = trained.resolve(task, &told).map_err(run_failure)?;
            (resolved.config, told)
        }
        None => {
            told.push(format!("evaluation.max_new_tokens={NEW_TOKENS}"));
            (config::resolve(None, &told).map_err(Failure::input)?.config, Vec::new())
        }
    };
    if trained.is_none() {
        config.input.max_source_length = subject.source_length().unwrap_or(SOURCE_TOKENS);
    }
    let (labels, target_width) = match &task {
        None => (None, NEW_TOKENS),
        Some(task) => {
            let width = run::target_width(&config, task, &backbone.tokenizer).map_err(run_failure)?;
            let labels = run::label_ids(task, &backbone.tokenizer, width).map_err(run_failure)?;
            (labels, width)
        }
    };
    if config.evaluation.max_new_tokens == 0 {
        config.evaluation.max_new_tokens = target_width;
    }
    let mut tell = |key: &str, value: &mut usize, given: Option<u16>| {
        let Some(given) = given.map(usize::from) else { return };
        if given != *value {
            let number = |value| i64::try_from(value).unwrap_or(i64::MAX).into();
            differing.push(Told {
                key: key.to_owned(),
                told: number(given),
                trained: number(*value),
            });
        }
        *value = given;
    };
    let (input, evaluation) = (&mut config.input, &mut config.evaluation);
    tell(
        "input.max_source_length",
        &mut input.max_source_length,
        arguments.max_source_length,
    );
    tell(
        "evaluation.max_new_tokens",
        &mut evaluation.max_new_tokens,
        arguments.max_new_tokens,
    );
    if let Some(trained) = trained {
        trained::say_told(loudness, trained, task.as_ref(), &differing);
    }
    let width = config.input.max_source_length;
    let width = subject.most_source_tokens().map_or(width, |most| width.min(most));
    if arguments.labels && labels.is_none() {
        let message = match &task {
            Some(task) => format!("--labels: the task {task} has no labels"),
            None => "--labels: no task is known: add --task NAME".to_owned(),
        };
        return Err(Failure::input(message));
    }
    Ok((width, run::answers(&config, labels.as_ref(), target_width)))
}

fn predict<B: Backend>(
    rows: &[Encoded],
    options: BatchOptions,
    backbone: &LoadedBackbone<B>,
    adapter: &PromptAdapter<B>,
    predictor: &Predictor,
    device: &B::Device,
    place: &dyn Fn(usize) -> String,
) -> Result<Vec<String>, Failure> {
    let batches = Batcher::new(rows, options)
        .and_then(|batcher| batcher.evaluation_batches())
        .map_err(Failure::input)?;
    let set = EvaluationSet {
        batches,
        right: Right::of_targets(vec![String::new(); rows.len()]),
    };
    let decode = |ids: &[u32]| Ok(backbone.tokenizer.decode(ids, true)?);
    let predictions = evaluate::predict(
        &backbone.model,
        adapter,
        &set,
        predictor,
        &decode,
        device,
        &mut |_, _| true,
    );
    let failed = |cause: TrainError| match cause {
        TrainError::Generate(ref error) => {
            let place = error.row().map(place);
            let failure = run_failure(cause);
            match place {
                Some(place) => failure.context(place),
                None => failure,
            }
        }
        cause => run_failure(cause),
    };
    Ok(predictions.map_err(failed)?.unwrap_or_default())
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(path).map_err(|cause| Failure::input(cause).context(path.display()))?;
    Ok(Box::new(BufReader::new(file)))
}

/// One line of the input.
struct Line {
    source: String,
    /// The object that the source came from, for `--jsonl`.
    object: Option<Map<String, Value>>,
}

impl Line {
    /// The line of the output.
    fn with(&self, prediction: &str) -> String {
        match &self.object {
            Some(object) => {
                let mut object = object.clone();
                object.insert("prediction".to_owned(), prediction.into());
                Value::Object(object).to_string()
            }
            // One line a text, whatever a model writes.
            None => prediction.replace(['\n', '\r'], " "),
        }
    }
}

/// Reads lines and counts them for messages.
struct Lines {
    name: String,
    number: usize,
    jsonl: bool,
}

impl Lines {
    /// The next block; empty at the end.
    fn read(&mut self, input: &mut dyn BufRead) -> Result<Vec<Line>, Failure> {
        let mut block = Vec::new();
        let mut bytes = Vec::new();
        while block.len() < BLOCK {
            bytes.clear();
            let read = input.read_until(b'\n', &mut bytes);
            self.number += 1;
            if read.map_err(|cause| Failure::input(cause).context(self.place()))? == 0 {
                break;
            }
            while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
                bytes.pop();
            }
            let text = std::str::from_utf8(&bytes).map_err(|cause| {
                let found = bytes.get(cause.valid_up_to()).copied().unwrap_or_default();
                let byte = cause.valid_up_to() + 1;
                Failure::input(format!("expected UTF-8, found 0x{found:02x} at byte {byte}")).context(self.place())
            })?;
            block.push(self.line(text)?);
        }
        Ok(block)
    }

    fn line(&self, text: &str) -> Result<Line, Failure> {
        if !self.jsonl {
            return Ok(Line {
                source: text.to_owned(),
                object: None,
            });
        }
        let object: Map<String, Value> =
            serde_json::from_str(text).map_err(|cause| Failure::input(cause).context(self.place()))?;
        let found = match object.get("source") {
            Some(Value::String(source)) => {
                return Ok(Line {
                    source: source.clone(),
                    object: Some(object),
                });
            }
            Some(other) => other.to_string(),
            None => "nothing".to_owned(),
        };
        Err(Failure::input(format!("field `source`: expected text, found {found}")).context(self.place()))
    }

    fn place(&self) -> String {
        format!("{}:{}", self.name, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &[u8], jsonl: bool, expected: Result<&[&str], &str>) {
        let mut lines = Lines {
            name: "in".to_owned(),
            number: 0,
            jsonl,
        };
        let found = lines
            .read(&mut io::Cursor::new(input))
            .map_err(|failure| failure.to_string());
        let found = found.map(|block| block.iter().map(|line| line.with("7")).collect::<Vec<_>>());
        match expected {
            Ok(expected) => assert_eq!(found.expect("the input is well formed"), expected),
            Err(expected) => assert!(found.expect_err("the input is bad").contains(expected)),
        }
    }

    #[test]
    fn every_line_gives_a_line_and_bad_ones_are_named() {
        check(b"one\r\n\nthree", false, Ok(&["7", "7", "7"]));
        check(b"", false, Ok(&[]));
        check(
            b"one\ntw\xff\n",
            false,
            Err("in:2: expected UTF-8, found 0xff at byte 3"),
        );
        check(
            b"{\"id\":1,\"source\":\"a\"}\n",
            true,
            Ok(&["{\"id\":1,\"source\":\"a\",\"prediction\":\"7\"}"]),
        );
        check(
            b"{\"id\":1}\n",
            true,
            Err("in:1: field `source`: expected text, found nothing"),
        );
        check(b"{\"id\":\n", true, Err("in:1"));
    }
}
