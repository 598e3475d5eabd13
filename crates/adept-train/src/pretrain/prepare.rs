//! Preparation before the first step: corpus, tokenizer, token store, tasks.
//!
//! Tokenizer and store are in the run's folder and are reused if they were built from the same inputs, which is
//! recorded in a stamp next to the tokenizer and in the store's header.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use adept_data::pretrain::{
    CorpusFiles, CorpusOptions, DenoiseOptions, MixtureTask, PretrainError, Sentinels, TaskBatches, TaskOptions,
    TextBatches, TextOptions, TokenStore, UnigramOptions, UnigramProgress, mixing_rates, train_unigram,
};
use adept_data::{
    BatchOptions, Batcher, DataError, Encoded, Example, Layout, LoadOptions, RowEncoder, Task, TaskData, TextTokenizer,
    load_task,
};
use serde::{Deserialize, Serialize};

use super::evaluate::{Scored, ScoredTask};
use super::feed::Source;
use super::observer::{Phase, PretrainEvent, PretrainObserver};
use super::record::TaskRecord;
use super::sections::{PretrainConfig, TaskSection, TokenizerSection};
use crate::TrainError;
use crate::folder::{copy_files, file_sha256, finish_replacement, read_json, replace_folder, write_json};

/// Base folders for relative paths in a configuration.
#[derive(Debug, Clone)]
pub struct Roots {
    /// For paths that begin with `./` or `../`: the configuration's own folder.
    pub config: PathBuf,
    /// For all others.
    pub data: PathBuf,
}

impl Roots {
    /// Resolves a path from the configuration.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        match path.components().next() {
            Some(Component::CurDir | Component::ParentDir) => self.config.join(path),
            // Joining an absolute path replaces the base.
            _ => self.data.join(path),
        }
    }
}

/// Facts about the tokenizer in use.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    /// Its folder.
    pub folder: PathBuf,
    /// SHA-256 of its `tokenizer.json`.
    pub sha256: String,
    /// Number of its tokens.
    pub size: usize,
    /// Id of `<pad>`.
    pub pad: u32,
    /// Id of `</s>`.
    pub eos: u32,
}

/// A task of the mixture after reading.
pub(super) struct LoadedTask {
    pub(super) section: TaskSection,
    pub(super) task: Task,
    pub(super) data: TaskData,
}

impl LoadedTask {
    fn source(&self, example: &Example) -> String {
        format!("{}{}", self.section.prefix, example.source)
    }
}

/// Reads the corpus once.
pub(super) fn corpus(config: &PretrainConfig, roots: &Roots) -> Result<CorpusFiles, TrainError> {
    let paths: Vec<PathBuf> = config.text.files.iter().map(|path| roots.resolve(path)).collect();
    let options = CorpusOptions {
        min_characters: config.text.min_characters,
        drop_headings: config.text.drop_headings,
    };
    Ok(CorpusFiles::open(&paths, options)?)
}

/// Reads the tasks' files.
pub(super) fn tasks(config: &PretrainConfig, roots: &Roots) -> Result<Vec<LoadedTask>, TrainError> {
    let load = |section: &TaskSection| -> Result<LoadedTask, DataError> {
        let task: Task = section.name.parse()?;
        let data = load_task(&task, &roots.resolve(&section.data), &LoadOptions::default())?;
        if data.train.is_empty() {
            let task = section.label.clone();
            return Err(PretrainError::EmptyTask { task }.into());
        }
        Ok(LoadedTask {
            section: section.clone(),
            task,
            data,
        })
    };
    config
        .tasks
        .iter()
        .map(|section| {
            load(section).map_err(|source| TrainError::MixtureTask {
                label: section.label.clone(),
                source: Box::new(source),
            })
        })
        .collect()
}

/// Adds the sources of the tasks' training rows, without prefix or answer, to the corpus for tasks that are also used
/// as text.
pub(super) fn add_tasks(config: &PretrainConfig, corpus: &mut CorpusFiles, tasks: &[LoadedTask]) {
    if !config.text.tasks {
        return;
    }
    for task in tasks.iter().rev() {
        let texts = task.data.train.iter().map(|example| example.source.clone());
        corpus.prepend(format!("task {}", task.section.label), texts.collect());
    }
}

/// Sampling rates of the tasks.
pub(super) fn rates(config: &PretrainConfig, tasks: &[LoadedTask]) -> Vec<f64> {
    let sizes: Vec<usize> = tasks.iter().map(|task| task.data.train.len()).collect();
    mixing_rates(&sizes, config.mixture.limit, config.mixture.temperature)
}

/// The inputs a tokenizer was trained on.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Stamp {
    code_version: String,
    options: TokenizerSection,
    seed: u64,
    /// Minimum length of a line to count as a paragraph.
    min_characters: usize,
    drop_headings: bool,
    corpus: Vec<String>,
    tasks: BTreeMap<String, (String, Vec<String>)>,
    tokenizer_sha256: String,
}

/// Folder of the configured tokenizer; `None` if one is to be trained.
pub(super) fn given_tokenizer(config: &PretrainConfig, roots: &Roots) -> Option<PathBuf> {
    [&config.tokenizer.path, &config.model.init]
        .into_iter()
        .find(|path| !path.as_os_str().is_empty())
        .map(|path| roots.resolve(path))
}

/// Checksum of the configured tokenizer.
pub(super) fn given_tokenizer_sha256(config: &PretrainConfig, roots: &Roots) -> Result<Option<String>, TrainError> {
    given_tokenizer(config, roots)
        .map(|folder| tokenizer_sha256(&folder))
        .transpose()
}

/// The tokenizer in the run's folder, built there if missing. One with the checksum `known` (from a checkpoint with the
/// settings and files of this run) is the run's own.
pub(super) fn tokenizer(
    config: &PretrainConfig,
    roots: &Roots,
    out: &Path,
    corpus: &CorpusFiles,
    tasks: &[LoadedTask],
    known: Option<&str>,
    observer: &mut dyn PretrainObserver,
) -> Result<(TextTokenizer, Vocabulary), TrainError> {
    finish_replacement(out, "tokenizer")?;
    let folder = out.join("tokenizer");
    let is_known = known.is_some_and(|known| tokenizer_sha256(&folder).is_ok_and(|found| found == known));
    match given_tokenizer(config, roots) {
        _ if is_known => {}
        Some(path) => copy_tokenizer(&path, out)?,
        None => train_tokenizer(config, out, corpus, tasks, observer)?,
    }
    let tokenizer = TextTokenizer::from_dir(&folder)?;
    let token = |expected| -> Result<u32, TrainError> {
        let id = tokenizer.token_id(expected);
        Ok(id.ok_or(DataError::from(PretrainError::MissingToken { expected }))?)
    };
    let vocabulary = Vocabulary {
        sha256: tokenizer_sha256(&folder)?,
        folder,
        size: tokenizer.vocab_size(),
        pad: token("<pad>")?,
        eos: token("</s>")?,
    };
    Ok((tokenizer, vocabulary))
}

fn tokenizer_sha256(folder: &Path) -> Result<String, TrainError> {
    let file = folder.join("tokenizer.json");
    file_sha256(&file).map_err(TrainError::read("read", &file))
}

/// Copies a tokenizer's files unless the run's folder already contains the same.
fn copy_tokenizer(from: &Path, out: &Path) -> Result<(), TrainError> {
    // Load it first for a clear error if the folder has no tokenizer.
    TextTokenizer::from_dir(from)?;
    let there = out.join("tokenizer");
    if there.join("tokenizer.json").exists() && tokenizer_sha256(&there)? == tokenizer_sha256(from)? {
        return Ok(());
    }
    replace_folder(out, "tokenizer", |path| {
        fs::create_dir(path).map_err(TrainError::io("create", path))?;
        let names = [
            "tokenizer.json",
            "tokenizer_config.json",
            "special_tokens_map.json",
            "spiece.model",
        ];
        copy_files(&names, from, path)
    })
}

fn train_tokenizer(
    config: &PretrainConfig,
    out: &Path,
    corpus: &CorpusFiles,
    tasks: &[LoadedTask],
    observer: &mut dyn PretrainObserver,
) -> Result<(), TrainError> {
    let (folder, stamp_file) = (out.join("tokenizer"), out.join("tokenizer-made-of.json"));
    let sums = |files: &[adept_data::DataFile]| files.iter().map(|file| file.sha256.clone()).collect();
    let mut stamp = Stamp {
        code_version: crate::record::code_version(),
        options: config.tokenizer.clone(),
        seed: config.seed,
        min_characters: config.text.min_characters,
        drop_headings: config.text.drop_headings,
        corpus: sums(corpus.files()),
        tasks: tasks
            .iter()
            .map(|task| {
                let section = &task.section;
                (section.label.clone(), (section.prefix.clone(), sums(&task.data.files)))
            })
            .collect(),
        tokenizer_sha256: String::new(),
    };
    if stamp_file.exists() && folder.join("tokenizer.json").exists() {
        stamp.tokenizer_sha256 = tokenizer_sha256(&folder)?;
        if read_json::<Stamp>(&stamp_file).is_ok_and(|found| found == stamp) {
            return Ok(());
        }
    }

    let task_texts = || {
        let examples = |task: &LoadedTask| -> Vec<String> {
            let source = |example: &Example| match config.text.tasks {
                // The corpus already contains the rest.
                true => task.section.prefix.clone(),
                false => task.source(example),
            };
            let pair = |example: &Example| [source(example), example.target.clone()];
            task.data.train.iter().flat_map(pair).collect()
        };
        tasks.iter().flat_map(examples).map(Ok)
    };
    let options = UnigramOptions {
        vocab_size: config.tokenizer.vocab_size,
        sentinels: config.tokenizer.sentinels,
        max_characters: config.tokenizer.max_characters,
        character_coverage: config.tokenizer.character_coverage,
        max_piece_length: config.tokenizer.max_piece_length,
        seed: config.seed,
    };
    let rows: usize = tasks.iter().map(|task| task.data.train.len()).sum();
    let total = corpus.paragraphs() + 2 * rows;
    let mut progress = |at: UnigramProgress| {
        let done = match at {
            UnigramProgress::Reading { texts } => texts,
            // The stage after reading takes most of the time and reports no progress.
            _ => total,
        };
        observer.event(&PretrainEvent::Preparing {
            phase: Phase::Tokenizer,
            done,
            total,
        });
    };
    let trained = train_unigram(corpus.lines().chain(task_texts()), &options, &mut progress)?;
    replace_folder(out, "tokenizer", |path| {
        fs::create_dir(path).map_err(TrainError::io("create", path))?;
        Ok(trained.save(path)?)
    })?;
    stamp.tokenizer_sha256 = tokenizer_sha256(&folder)?;
    write_json(&stamp_file, &stamp)
}

/// Batches for training and evaluation.
pub(super) struct Batches {
    pub(super) source: Source,
    pub(super) scored: Scored,
    pub(super) tasks: Vec<TaskRecord>,
    pub(super) corpus_tokens: u64,
    pub(super) window_tokens: usize,
    pub(super) train_windows: u64,
}

/// Tokenises corpus and tasks.
pub(super) fn batches(
    config: &PretrainConfig,
    out: &Path,
    corpus: &CorpusFiles,
    tasks: Vec<LoadedTask>,
    (tokenizer, vocabulary): (&TextTokenizer, &Vocabulary),
    observer: &mut dyn PretrainObserver,
) -> Result<Batches, TrainError> {
    let mut progress = |at: adept_data::pretrain::StoreProgress| {
        observer.event(&PretrainEvent::Preparing {
            phase: Phase::Tokens,
            done: at.paragraphs,
            total: at.total,
        });
    };
    let store = TokenStore::open_or_build(&out.join("tokens.bin"), corpus, tokenizer, &mut progress)?;
    let corpus_tokens = store.len();
    let section = &config.text;
    let text = TextBatches::new(
        store,
        TextOptions {
            input_length: section.input_length,
            batch_size: section.batch_size,
            denoise: DenoiseOptions {
                noise_density: section.noise_density,
                mean_span_length: section.mean_span_length,
            },
            holdout_windows: section.holdout_windows,
            sentinels: Sentinels::of(tokenizer),
            eos: vocabulary.eos,
            pad: vocabulary.pad,
        },
    )?;
    let (window_tokens, train_windows) = (text.window_length(), text.train_windows());
    let mut scored = Scored {
        text: text.held_out(config.seed)?,
        tasks: Vec::new(),
    };

    let rates = rates(config, &tasks);
    let (mut mixture, mut records) = (Vec::new(), Vec::new());
    for (task, rate) in tasks.into_iter().zip(&rates) {
        let width = RowEncoder::apart(tokenizer).target_length(&task.task.target_length())?;
        let encode = |examples: &[Example]| -> Result<Vec<Encoded>, DataError> {
            let prefixed: Vec<Example> = examples
                .iter()
                .map(|example| Example {
                    source: task.source(example),
                    ..example.clone()
                })
                .collect();
            tokenizer.encode_examples(&prefixed, config.mixture.max_source_length, width)
        };
        let validation = spread(&task.data.validation, config.train.evaluation_rows);
        let rows = encode(&validation)?;
        let scored_task = scored_task(config, &task, &validation, &rows, tokenizer, vocabulary, width)?;
        scored.tasks.push(scored_task);
        records.push(TaskRecord {
            label: task.section.label.clone(),
            name: task.section.name.clone(),
            prefix: task.section.prefix.clone(),
            files: task.data.files.clone(),
            rows: task.data.train.len(),
            rate: *rate,
            scored_rows: validation.len(),
        });
        mixture.push(MixtureTask {
            name: task.section.label.clone(),
            rows: encode(&task.data.train)?,
        });
    }
    let task_batches = if config.mixture.task_share > 0.0 {
        let options = TaskOptions {
            batch_size: config.mixture.batch_size,
            buckets: config.mixture.widths(),
            pad: vocabulary.pad,
        };
        Some(TaskBatches::new(mixture, &rates, options)?)
    } else {
        None
    };
    Ok(Batches {
        source: Source {
            text,
            tasks: task_batches,
            task_share: config.mixture.task_share,
            seed: config.seed,
        },
        scored,
        tasks: records,
        corpus_tokens,
        window_tokens,
        train_windows,
    })
}

/// At most `count` rows, evenly spaced.
fn spread(examples: &[Example], count: usize) -> Vec<Example> {
    let count = count.min(examples.len());
    (0..count)
        .map(|number| examples[number * examples.len() / count].clone())
        .collect()
}

fn scored_task(
    config: &PretrainConfig,
    task: &LoadedTask,
    validation: &[Example],
    rows: &[Encoded],
    tokenizer: &TextTokenizer,
    vocabulary: &Vocabulary,
    width: usize,
) -> Result<ScoredTask, TrainError> {
    let options = BatchOptions {
        layout: Layout::Apart,
        batch_size: config.mixture.batch_size,
        max_source_length: config.mixture.max_source_length,
        buckets: config.mixture.widths(),
        pad_to_max: false,
        pad_id: vocabulary.pad,
        target_width: width,
    };
    let batches = Batcher::new(rows, options)?.evaluation_batches()?;
    let labels = match task.task.labels() {
        None => None,
        Some(labels) => {
            let ids = labels
                .iter()
                .map(|label| tokenizer.encode(label, width))
                .collect::<Result<Vec<_>, _>>()?;
            let answers = validation
                .iter()
                .map(|example| labels.iter().position(|label| *label == example.target))
                .collect::<Option<Vec<_>>>();
            answers.map(|answers| (ids, answers))
        }
    };
    Ok(ScoredTask {
        label: task.section.label.clone(),
        batches,
        labels,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn paths_begin_where_they_say() {
        let roots = Roots {
            config: "conf".into(),
            data: "data".into(),
        };
        for (path, expected) in [
            ("corpora/a.txt", "data/corpora/a.txt"),
            ("../sample", "conf/../sample"),
            ("./a", "conf/./a"),
            ("/a/b", "/a/b"),
        ] {
            assert_eq!(roots.resolve(Path::new(path)), Path::new(expected));
        }
    }
}
