//! A task's examples as token ids, tokenised once.
//!
//! [`open_task`] reads a task's files, tokenises a few thousand rows at a time, and writes the ids to one
//! [store](layout) per official split. Stores are cached in a folder, keyed by a hash of everything that determines
//! their content: the files' bytes, the tokenizer, the card, the loader's options and the program's version. Training
//! examples are read back one by one, so that memory does not grow with the files; validation and test examples, which
//! are scored all at once, are held in memory.

mod layout;
mod store;
mod write;

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

pub use store::RowsOrigin;
use store::{RowStore, read_failed};
use write::RowWriter;

use crate::file::{beside, hex};
use crate::loss::{LossCounter, LossyText, SplitLosses, split_losses};
use crate::metric::finite_number;
use crate::read::{Sources, SplitFiles, hash};
use crate::split::{self, Division, Official, Picks, RowsOf, TRAIN};
use crate::tokenizer::{cut, cut_left};
use crate::{DataError, DataFile, Encoded, LoadOptions, Right, RowEncoder, Task};

/// Maximum source and target lengths in tokens, including special tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// Maximum source length.
    pub source: usize,
    /// Maximum target length.
    pub target: usize,
}

/// A tokenised task.
#[derive(Debug, Clone)]
pub struct TaskRows {
    /// Training examples, on disk.
    pub train: StoredRows,
    /// Validation examples, which select the best checkpoint, with their gold answers.
    pub validation: (Vec<Encoded>, Right),
    /// Test examples, whose score is reported, with their gold answers.
    pub test: (Vec<Encoded>, Right),
    /// The files read, in reading order.
    pub files: Vec<DataFile>,
    /// How the store of each official split was obtained.
    pub origins: BTreeMap<String, RowsOrigin>,
    /// What texts lose in tokenisation, for each split with losses, in the order training, validation, test.
    pub losses: Vec<SplitLosses>,
}

/// Examples of a split, read from disk one by one.
#[derive(Debug, Clone)]
pub struct StoredRows {
    store: Arc<RowStore>,
    picks: Arc<[usize]>,
    lengths: Lengths,
    /// See [`RowEncoder::kept_in_front`].
    kept_in_front: Option<usize>,
}

impl StoredRows {
    /// Number of examples.
    pub fn len(&self) -> usize {
        self.picks.len()
    }

    /// Whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.picks.is_empty()
    }

    /// Source tokens of an example, after truncation by [`read`](Self::read).
    pub fn source_length(&self, row: usize) -> usize {
        self.store.lengths(self.picks[row]).0.min(self.lengths.source)
    }

    /// Target tokens of an example, after truncation by [`read`](Self::read).
    pub fn target_length(&self, row: usize) -> usize {
        self.store.lengths(self.picks[row]).1.min(self.lengths.target)
    }

    /// An example's ids, truncated to the maximum lengths as by [`RowEncoder`].
    ///
    /// # Errors
    /// [`DataError::Io`] if the file can no longer be read.
    pub fn read(&self, row: usize) -> Result<Encoded, DataError> {
        encoded(&self.store, self.picks[row], self.lengths, self.kept_in_front)
    }

    /// An example's target text.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn target(&self, row: usize) -> Result<String, DataError> {
        Ok(self.store.texts(self.picks[row])?.target)
    }

    /// Mean of the numeric targets; `None` if there are none.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn mean_target(&self) -> Result<Option<f64>, DataError> {
        let (mut sum, mut count) = (0.0, 0_u32);
        for row in 0..self.len() {
            if let Some(number) = finite_number(&self.target(row)?) {
                sum += number;
                count += 1;
            }
        }
        Ok((count > 0).then(|| sum / f64::from(count)))
    }

    /// The most frequent target, ties resolved by value order; `None` if there are no examples. Targets are counted by
    /// a 64-bit hash.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn most_frequent_target(&self) -> Result<Option<String>, DataError> {
        // In file order.
        let mut rows: Vec<usize> = (0..self.len()).collect();
        rows.sort_unstable_by_key(|&row| self.picks[row]);
        let mut counts: HashMap<u64, (u32, usize)> = HashMap::new();
        for row in rows {
            let mut hasher = DefaultHasher::new();
            self.target(row)?.hash(&mut hasher);
            counts.entry(hasher.finish()).or_insert((0, row)).0 += 1;
        }
        let most = counts.values().map(|(count, _)| *count).max();
        let first = counts.values().filter(|(count, _)| Some(*count) == most);
        let targets: Vec<String> = first.map(|(_, row)| self.target(*row)).collect::<Result<_, _>>()?;
        Ok(targets.into_iter().min())
    }
}

fn encoded(
    store: &RowStore,
    example: usize,
    lengths: Lengths,
    kept_in_front: Option<usize>,
) -> Result<Encoded, DataError> {
    let Encoded {
        source,
        target,
        answers,
    } = store.ids(example)?;
    Ok(match kept_in_front {
        None => Encoded::new(
            cut(&source, lengths.source, store.suffix),
            cut(&target, lengths.target, store.suffix),
        ),
        Some(front) => Encoded {
            answers: kept_answers(&answers, source.len().saturating_sub(lengths.source)),
            source: cut_left(&source, lengths.source, front),
            target: cut(&target, lengths.target, 1),
        },
    })
}

/// What is left of ranges of a source whose first `lost` tokens are cut off. A source with answers keeps nothing in
/// front of what is cut, so that there is nothing from which its first token could be predicted.
pub(crate) fn kept_answers(answers: &[Range<usize>], lost: usize) -> Vec<Range<usize>> {
    let first = usize::from(lost > 0);
    let kept = answers
        .iter()
        .map(|answer| answer.start.saturating_sub(lost).max(first)..answer.end.saturating_sub(lost));
    kept.filter(|answer| !answer.is_empty()).collect()
}

/// Opens a task's stores in `folder`, building those that are missing or corrupt. Without a folder they are built in
/// anonymous temporary files, which disappear with the process.
///
/// # Errors
/// Those of [`load_task`](crate::load_task) and of the tokenizer; [`DataError::Write`] if a store cannot be written.
pub fn open_task(
    task: &Task,
    root: &Path,
    options: &LoadOptions,
    encoder: RowEncoder<'_>,
    lengths: Lengths,
    folder: Option<&Path>,
) -> Result<TaskRows, DataError> {
    let sources = Sources::open(task, root, options)?;
    let mut files: Vec<DataFile> = task.card_file().into_iter().collect();
    let (mut stores, mut origins) = (BTreeMap::new(), BTreeMap::new());
    for (name, found) in sources.splits()? {
        let (store, mut read, origin) = open_split(&sources, task, &found, encoder, options, folder)?;
        files.append(&mut read);
        origins.insert(name.clone(), origin);
        stores.insert(name, Arc::new(store));
    }
    let rows_of = |store: &Arc<RowStore>| match &store.ids {
        Some(ids) => RowsOf::of_ids(ids.iter().copied()),
        None => RowsOf::of_ids(0..store.len()),
    };
    let official: Official = stores
        .iter()
        .map(|(name, store)| (name.clone(), rows_of(store)))
        .collect();
    let Division {
        mut train,
        validation,
        test,
    } = split::divide(task, &official, options)?;
    if let Some(few) = options.few_shot {
        let store = &stores[&train.split];
        train = split::few_shot(task, &train, few, |example| Ok(store.texts(example)?.target))?;
    }
    let mut losses = Vec::new();
    for (name, picks) in [("training", &train), ("validation", &validation), ("test", &test)] {
        if let Some(store) = stores.get(&picks.split) {
            losses.extend(lost(name, store, picks, encoder, lengths)?);
        }
    }
    let held = |picks: Picks| -> Result<(Vec<Encoded>, Right), DataError> {
        let (mut rows, mut right) = (Vec::new(), Right::default());
        let Some(store) = stores.get(&picks.split) else {
            return Ok((rows, right));
        };
        for example in picks.examples {
            rows.push(encoded(store, example, lengths, encoder.kept_in_front())?);
            let texts = store.texts(example)?;
            right.targets.push(texts.target);
            right.golds.push(texts.golds);
            right.groups.push(texts.group);
        }
        Ok((rows, right))
    };
    Ok(TaskRows {
        validation: held(validation)?,
        test: held(test)?,
        train: StoredRows {
            store: Arc::clone(&stores[TRAIN]),
            picks: train.examples.into(),
            lengths,
            kept_in_front: encoder.kept_in_front(),
        },
        files,
        origins,
        losses,
    })
}

/// What the texts of a split lose in tokenisation and by truncation to `lengths`.
fn lost(
    name: &str,
    store: &RowStore,
    picks: &Picks,
    encoder: RowEncoder<'_>,
    lengths: Lengths,
) -> Result<Option<SplitLosses>, DataError> {
    let texts = [LossyText::Source, LossyText::Target];
    let limits = [lengths.source, lengths.target];
    let mut counters = [0, 1].map(|which| LossCounter::new(texts[which], limits[which]));
    let mut examples = picks.examples.clone();
    // The example reported is the first one in the file.
    examples.sort_unstable();
    for example in examples {
        let row = store.row(example);
        let tokens: [usize; 2] = store.lengths(example).into();
        for (which, counter) in counters.iter_mut().enumerate() {
            if let Some(kind) = store.lost(example)[which] {
                let excerpts = || Ok(store.texts(example)?.excerpts[which].take().unwrap_or_default());
                counter.note(kind, row, excerpts)?;
            }
            counter.add_length(row, tokens[which], || {
                let row = store.ids(example)?;
                encoder.cut_excerpts(texts[which], [&row.source, &row.target][which], limits[which])
            })?;
        }
    }
    Ok(split_losses(name, picks.examples.len(), counters))
}

/// The store of one official split, and the files it was built from.
fn open_split(
    sources: &Sources<'_>,
    task: &Task,
    found: &[SplitFiles<'_>],
    encoder: RowEncoder<'_>,
    options: &LoadOptions,
    folder: Option<&Path>,
) -> Result<(RowStore, Vec<DataFile>, RowsOrigin), DataError> {
    let paths: Vec<&Path> = found[0].files.iter().map(|(path, _)| path.as_path()).collect();
    let hashes = paths
        .iter()
        .map(|path| hash(path).map(|(sha256, _)| sha256))
        .collect::<Result<Vec<_>, _>>()?;
    let key = key(task, found, &hashes, encoder, options);
    let place = folder.map(|folder| folder.join(format!("{}-{}.rows", task.name(), &hex(&key)[..24])));
    let origin = match &place {
        None => RowsOrigin::Made,
        Some(place) => match RowStore::open(place, &key)? {
            Ok(store) => {
                let file = |((path, sha256), &[rows, skipped, empty_fields]): ((&&Path, String), &[u64; 3])| DataFile {
                    name: sources.name(path),
                    sha256,
                    rows: rows as usize,
                    skipped: skipped as usize,
                    empty_fields: empty_fields as usize,
                };
                let files = paths.iter().zip(hashes).zip(&store.files).map(file).collect();
                return Ok((store, files, RowsOrigin::Reused));
            }
            Err(origin) => origin,
        },
    };
    let shown = place.clone().unwrap_or_else(|| PathBuf::from("a temporary file"));
    let failed = |source| DataError::Write {
        file: shown.clone(),
        source,
    };
    let make = |out: std::fs::File| -> Result<(std::fs::File, Vec<DataFile>), DataError> {
        let mut writer = RowWriter::new(out, &shown, encoder, key)?;
        let files = sources.read(found, &mut |example| writer.push(example))?;
        if let Some(file) = files.iter().zip(&hashes).find(|(file, hash)| file.sha256 != **hash) {
            let changed = std::io::Error::other("it changed while it was read");
            return Err(read_failed(Path::new(&file.0.name), changed));
        }
        Ok((writer.finish(&files)?, files))
    };
    let (file, files) = match (&place, folder) {
        (Some(place), Some(folder)) => {
            std::fs::create_dir_all(folder).map_err(failed)?;
            let (temporary, path) = beside(folder).map_err(failed)?.into_parts();
            let (file, files) = make(temporary)?;
            file.sync_all().map_err(failed)?;
            path.persist(place).map_err(|error| failed(error.error))?;
            (file, files)
        }
        _ => make(tempfile::tempfile().map_err(failed)?)?,
    };
    let bytes = file.metadata().map_err(failed)?.len();
    let store = RowStore::read_whole(&shown, file, bytes, &key).map_err(|source| read_failed(&shown, source))?;
    let damaged = || read_failed(&shown, std::io::Error::other("it differs from what was written"));
    Ok((store.ok_or_else(damaged)?, files, origin))
}

/// Hash of everything that determines the content of a store.
fn key(
    task: &Task,
    found: &[SplitFiles<'_>],
    hashes: &[String],
    encoder: RowEncoder<'_>,
    options: &LoadOptions,
) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |part: &str| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    add(env!("CARGO_PKG_VERSION"));
    add(&layout::VERSION.to_string());
    add(task.sha256());
    add(encoder.tokenizer().sha256());
    if let Some(form) = encoder.key() {
        add(&form);
    }
    add(&format!("{:?} {}", options.rounding, options.reference));
    for candidate in found {
        let readers: Vec<_> = candidate.files.iter().map(|(_, reader)| reader).collect();
        add(&format!("{} {readers:?}", candidate.form.name));
    }
    for sha256 in hashes {
        add(sha256);
    }
    hash.finalize().into()
}
