//! Length-bucketed batches in a few fixed shapes.
//!
//! A row is padded to the narrowest of a few widths (buckets) that fits it, so that short texts do not pay for long
//! ones and a device sees few shapes. Within an epoch
//! - every row occurs once, in `ceil(rows / batch_size)` batches, the same number as without buckets: rows left over
//!   after a bucket's last full batch move to the next wider bucket, and only the very last batch of the epoch may be
//!   short;
//! - rows are shuffled within their bucket, then batches are shuffled, by a generator keyed with (seed, epoch): the
//!   batch of a micro-step is a pure function of (seed, step), so a run resumes without saved state.
//!
//! `pad_to_max` reproduces the published reference: one width, rows shuffled regardless of length.
//!
//! Rows of a decoder-only backbone are [`Layout::Joined`]: `[pads; source; target]`, with labels only at the target's
//! positions and at those of earlier answers of a conversation.
//!
//! Shape legend: `input_ids` and `mask` are `[batch, source_width]`, `labels` `[batch, target_width]`, row-major;
//! joined rows have a single width.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::mt19937::Mt19937;
use crate::rows::kept_answers;
use crate::{DataError, Encoded, Lengths, StoredRows};

/// Label at padding, ignored by the loss (PyTorch's convention).
pub const IGNORED_LABEL: i32 = -100;

/// Candidate widths of [`default_buckets`], in tokens.
const DEFAULT_WIDTHS: [usize; 6] = [16, 32, 64, 128, 256, 512];

/// How source and target are arranged in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// Separate, for an encoder-decoder: the source right-padded, the target as labels.
    #[default]
    Apart,
    /// Concatenated, for a decoder-only model: left padding, source, target. An overlong row loses the beginning of its
    /// source first, then the end of its target. Labels are aligned with the tokens of the target and of the source's
    /// answers; elsewhere they are [`IGNORED_LABEL`].
    Joined(Positions),
    /// The left-padded source only, as a decoder-only backbone's prompt. Truncated at the beginning.
    Prompts(Positions),
}

/// How positions of a left-padded row are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Positions {
    /// Padding does not count: a row has the same positions in every batch (transformers' generation).
    #[default]
    Tokens,
    /// Padding counts: positions are the slots' indices in the batch (peft).
    Slots,
}

impl Positions {
    /// All variants, in the order of the documentation.
    pub const ALL: [Self; 2] = [Self::Tokens, Self::Slots];
}

/// Shape and order of batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchOptions {
    /// How source and target are arranged.
    pub layout: Layout,
    /// Rows in a batch.
    pub batch_size: usize,
    /// Maximum source length in tokens (of source and target together for joined rows), without the soft prompt. Longer
    /// rows are truncated; a separate source keeps its last token at the end.
    pub max_source_length: usize,
    /// Permitted batch widths, ascending, ending with `max_source_length`.
    pub buckets: Vec<usize>,
    /// Pad every batch to `max_source_length` and shuffle rows regardless of length, as the reference does.
    pub pad_to_max: bool,
    /// Padding id.
    pub pad_id: u32,
    /// Width of the labels of every batch; longer targets are truncated, keeping their last token at the end. Unused
    /// for joined rows.
    pub target_width: usize,
}

impl BatchOptions {
    /// Sources and targets of an encoder-decoder, in batches of the [default widths](default_buckets).
    pub fn apart(batch_size: usize, lengths: Lengths, pad_id: u32) -> Self {
        Self {
            layout: Layout::Apart,
            batch_size,
            max_source_length: lengths.source,
            buckets: default_buckets(lengths.source),
            pad_to_max: false,
            pad_id,
            target_width: lengths.target,
        }
    }
}

/// One micro-batch, ready for a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Each example's index in the rows given to the [`Batcher`].
    pub rows: Vec<usize>,
    /// Number of rows.
    pub batch: usize,
    /// Tokens per row.
    pub source_width: usize,
    /// Labels per row.
    pub target_width: usize,
    /// Source ids, padded with the pad id. `[batch, source_width]`
    pub input_ids: Vec<i32>,
    /// True at tokens, false at padding. `[batch, source_width]`
    pub mask: Vec<bool>,
    /// Target ids, padded with [`IGNORED_LABEL`]. `[batch, target_width]`
    pub labels: Vec<i32>,
    /// Position of each slot of joined rows, from 0, without the soft prompt; empty for separate rows.
    /// `[batch, source_width]`
    pub positions: Vec<i32>,
}

/// Widths 16, 32, 64 and so on, ending with the maximum: five for the paper's 256 tokens. Doubling keeps the number of
/// shapes small, since GPU backends autotune each one; half of SST-2's and most of CoLA's sources fit into the
/// narrowest.
pub fn default_buckets(max_source_length: usize) -> Vec<usize> {
    let narrower = DEFAULT_WIDTHS.into_iter().filter(|&width| width < max_source_length);
    narrower.chain([max_source_length]).collect()
}

/// Tokenised rows in memory or on disk.
#[derive(Debug, Clone, Copy)]
pub enum BatchRows<'a> {
    /// In memory.
    Held(&'a [Encoded]),
    /// On disk, read when a batch is made.
    Stored(&'a StoredRows),
}

impl<'a> From<&'a [Encoded]> for BatchRows<'a> {
    fn from(rows: &'a [Encoded]) -> Self {
        Self::Held(rows)
    }
}

impl<'a> From<&'a Vec<Encoded>> for BatchRows<'a> {
    fn from(rows: &'a Vec<Encoded>) -> Self {
        Self::Held(rows)
    }
}

impl<'a> From<&'a StoredRows> for BatchRows<'a> {
    fn from(rows: &'a StoredRows) -> Self {
        Self::Stored(rows)
    }
}

impl<'a> BatchRows<'a> {
    fn len(&self) -> usize {
        match self {
            Self::Held(rows) => rows.len(),
            Self::Stored(rows) => rows.len(),
        }
    }

    /// Tokens of a row's input, before truncation.
    fn input_length(&self, row: usize, layout: Layout) -> usize {
        match (self, layout) {
            (Self::Held(rows), Layout::Apart | Layout::Prompts(_)) => rows[row].source.len(),
            (Self::Held(rows), Layout::Joined(_)) => rows[row].source.len() + rows[row].target.len(),
            (Self::Stored(rows), Layout::Apart | Layout::Prompts(_)) => rows.source_length(row),
            (Self::Stored(rows), Layout::Joined(_)) => rows.source_length(row) + rows.target_length(row),
        }
    }

    /// Reads a row, rejecting ids of 2^31 and above.
    fn read(&self, row: usize) -> Result<Cow<'a, Encoded>, DataError> {
        let encoded = match self {
            Self::Held(rows) => Cow::Borrowed(&rows[row]),
            Self::Stored(rows) => Cow::Owned(rows.read(row)?),
        };
        match encoded.source.iter().chain(&encoded.target).find(|id| too_large(**id)) {
            Some(&found) => Err(DataError::TokenId { row, found }),
            None => Ok(encoded),
        }
    }
}

fn too_large(id: u32) -> bool {
    i32::try_from(id).is_err()
}

/// Rows of each batch of an epoch, in order.
type Plan = Vec<Vec<usize>>;

/// Groups tokenised rows into batches.
#[derive(Debug)]
pub struct Batcher<'a> {
    rows: BatchRows<'a>,
    options: BatchOptions,
    /// The most recently requested (seed, epoch) and its plan.
    planned: Mutex<Option<(u64, u64, Arc<Plan>)>>,
}

impl<'a> Batcher<'a> {
    /// Validates the options against `rows`.
    ///
    /// # Errors
    /// [`DataError::NoRows`], [`DataError::ZeroOption`], [`DataError::Buckets`], [`DataError::TokenId`].
    pub fn new(rows: impl Into<BatchRows<'a>>, options: BatchOptions) -> Result<Self, DataError> {
        let rows = rows.into();
        if rows.len() == 0 {
            return Err(DataError::NoRows);
        }
        for (option, value) in [
            ("batch_size", options.batch_size),
            ("max_source_length", options.max_source_length),
            ("target_width", options.target_width),
        ] {
            if value == 0 {
                return Err(DataError::ZeroOption { option });
            }
        }
        let ascending = options.buckets.windows(2).all(|pair| pair[0] < pair[1]);
        let starts = options.buckets.first().is_some_and(|&width| width > 0);
        if !ascending || !starts || options.buckets.last() != Some(&options.max_source_length) {
            return Err(DataError::Buckets {
                expected: options.max_source_length,
                found: options.buckets,
            });
        }
        if too_large(options.pad_id) {
            return Err(DataError::TokenId {
                row: 0,
                found: options.pad_id,
            });
        }
        Ok(Self {
            rows,
            options,
            planned: Mutex::new(None),
        })
    }

    /// Micro-steps of an epoch: `ceil(rows / batch_size)`.
    pub fn batches_per_epoch(&self) -> usize {
        self.rows.len().div_ceil(self.options.batch_size)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The batch of a micro-step, counted from 0 across epochs: a pure function of (seed, step). The most recent
    /// epoch's plan is cached, so stepping in order plans each epoch once.
    ///
    /// # Errors
    /// [`DataError::Io`] if stored rows can no longer be read, [`DataError::TokenId`] for an id beyond 31 bits.
    pub fn train_batch(&self, seed: u64, step: usize) -> Result<Batch, DataError> {
        let per_epoch = self.batches_per_epoch();
        let plan = self.plan(seed, (step / per_epoch) as u64);
        self.batch(plan[step % per_epoch].clone())
    }

    /// Batches for evaluation: every row once, narrow buckets first, original order within a bucket.
    ///
    /// # Errors
    /// As [`train_batch`](Self::train_batch).
    pub fn evaluation_batches(&self) -> Result<Vec<Batch>, DataError> {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|&row| self.bucket(self.input_length(row)));
        order
            .chunks(self.options.batch_size)
            .map(|rows| self.batch(rows.to_vec()))
            .collect()
    }

    fn plan(&self, seed: u64, epoch: u64) -> Arc<Plan> {
        // A panicking thread leaves either a whole plan or none, so a poisoned lock is safe to use.
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        match &*planned {
            Some((known_seed, known_epoch, plan)) if (*known_seed, *known_epoch) == (seed, epoch) => Arc::clone(plan),
            _ => {
                let plan = Arc::new(self.make_plan(seed, epoch));
                *planned = Some((seed, epoch, Arc::clone(&plan)));
                plan
            }
        }
    }

    fn make_plan(&self, seed: u64, epoch: u64) -> Plan {
        let words = |value: u64| [value as u32, (value >> 32) as u32];
        let key = [words(seed), words(epoch)].concat();
        let mut generator = Mt19937::from_key(&key);
        let mut buckets = vec![
            Vec::new();
            if self.options.pad_to_max {
                1
            } else {
                self.options.buckets.len()
            }
        ];
        for row in 0..self.rows.len() {
            buckets[self.bucket(self.input_length(row))].push(row);
        }

        let mut plan: Plan = Vec::with_capacity(self.batches_per_epoch());
        let mut left: Vec<usize> = Vec::new();
        for mut bucket in buckets {
            bucket.append(&mut left);
            generator.shuffle(&mut bucket);
            let full = bucket.len() - bucket.len() % self.options.batch_size;
            left = bucket.split_off(full);
            plan.extend(bucket.chunks(self.options.batch_size).map(<[usize]>::to_vec));
        }
        generator.shuffle(&mut plan);
        if !left.is_empty() {
            plan.push(left);
        }
        plan
    }

    /// Index of the narrowest bucket that fits `tokens`.
    fn bucket(&self, tokens: usize) -> usize {
        if self.options.pad_to_max {
            return 0;
        }
        let last = self.options.buckets.len() - 1;
        self.options.buckets.partition_point(|&width| width < tokens).min(last)
    }

    /// Pads rows to the narrowest bucket that fits the longest of them. This may be narrower than the bucket the rows
    /// are planned in, if all of them moved up from a narrower one.
    fn batch(&self, rows: Vec<usize>) -> Result<Batch, DataError> {
        let BatchOptions {
            max_source_length,
            pad_to_max,
            pad_id,
            target_width,
            ..
        } = self.options;
        let longest = rows.iter().map(|&row| self.input_length(row)).max();
        let source_width = if pad_to_max {
            max_source_length
        } else {
            self.options.buckets[self.bucket(longest.unwrap_or_default())]
        };
        let encoded: Vec<Cow<'_, Encoded>> = rows.iter().map(|&row| self.rows.read(row)).collect::<Result<_, _>>()?;
        let encoded = encoded.iter().map(Cow::as_ref);
        Ok(match self.options.layout {
            Layout::Apart => padded(rows, encoded, (source_width, target_width), pad_id),
            Layout::Joined(positions) => {
                let texts = encoded.map(|row| (row.source.as_slice(), row.target.as_slice(), row.answers.as_slice()));
                joined(rows, texts, source_width, pad_id, positions)
            }
            Layout::Prompts(positions) => {
                let texts = encoded.map(|row| (row.source.as_slice(), [].as_slice(), [].as_slice()));
                joined(rows, texts, source_width, pad_id, positions)
            }
        })
    }

    fn input_length(&self, row: usize) -> usize {
        self.rows.input_length(row, self.options.layout)
    }
}

/// Pads or truncates (keeping the last token at the end) sources and targets to `widths`. Ids must fit `i32`.
pub(crate) fn padded<'a>(
    rows: Vec<usize>,
    encoded: impl Iterator<Item = &'a Encoded>,
    (source_width, target_width): (usize, usize),
    pad_id: u32,
) -> Batch {
    let batch = rows.len();
    let mut input_ids = Vec::with_capacity(batch * source_width);
    let mut mask = Vec::with_capacity(batch * source_width);
    let mut labels = Vec::with_capacity(batch * target_width);
    for Encoded { source, target, .. } in encoded {
        push_padded(&mut input_ids, source, source_width, signed(pad_id));
        let tokens = source.len().min(source_width);
        mask.extend((0..source_width).map(|position| position < tokens));
        push_padded(&mut labels, target, target_width, IGNORED_LABEL);
    }
    Batch {
        rows,
        batch,
        source_width,
        target_width,
        input_ids,
        mask,
        labels,
        positions: Vec::new(),
    }
}

/// Source, target, and the source's answers.
type JoinedParts<'a> = (&'a [u32], &'a [u32], &'a [Range<usize>]);

/// Concatenates source and target of each row, left-padded to `width`.
fn joined<'a>(
    rows: Vec<usize>,
    texts: impl Iterator<Item = JoinedParts<'a>>,
    width: usize,
    pad_id: u32,
    counted: Positions,
) -> Batch {
    let batch = rows.len();
    let mut input_ids = Vec::with_capacity(batch * width);
    let mut mask = Vec::with_capacity(batch * width);
    let mut labels = Vec::with_capacity(batch * width);
    let mut positions = Vec::with_capacity(batch * width);
    for (source, target, answers) in texts {
        let target = &target[..target.len().min(width)];
        let lost = source.len().saturating_sub(width - target.len());
        let source = &source[lost..];
        let pads = width - source.len() - target.len();
        input_ids.extend(std::iter::repeat_n(signed(pad_id), pads));
        input_ids.extend(source.iter().chain(target).map(|&id| signed(id)));
        mask.extend((0..width).map(|position| position >= pads));
        labels.extend(std::iter::repeat_n(IGNORED_LABEL, width - target.len()));
        let own = labels.len() - source.len();
        for answer in kept_answers(answers, lost) {
            for (label, &id) in labels[own..][answer.clone()].iter_mut().zip(&source[answer]) {
                *label = signed(id);
            }
        }
        labels.extend(target.iter().map(|&id| signed(id)));
        let before = match counted {
            Positions::Slots => 0,
            Positions::Tokens => pads,
        };
        positions.extend((0..width).map(|slot| slot.saturating_sub(before) as i32));
    }
    Batch {
        rows,
        batch,
        source_width: width,
        target_width: width,
        input_ids,
        mask,
        labels,
        positions,
    }
}

/// Appends exactly `width` entries: the ids and padding or, if there are too many ids, the first `width - 1` and the
/// last.
fn push_padded(out: &mut Vec<i32>, ids: &[u32], width: usize, padding: i32) {
    let end = out.len() + width;
    match ids {
        [head @ .., last] if ids.len() > width => {
            out.extend(head[..width - 1].iter().map(|&id| signed(id)));
            out.push(signed(*last));
        }
        _ => out.extend(ids.iter().map(|&id| signed(id))),
    }
    out.resize(end, padding);
}

fn signed(id: u32) -> i32 {
    i32::try_from(id).expect("ids beyond i32 were refused when their row was read")
}
