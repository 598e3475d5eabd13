//! The schema of a run's configuration: every field, its kind, its range and its meaning.
//!
//! One table serves three readers: the checks of files and `--set` overrides, the nearest-key hint of an unknown key,
//! and `docs/configuration.md` (a test keeps that page equal to [`super::document::page`]).

use std::sync::LazyLock;

use super::TrainMethod;
use super::own_fields::{groups, settings};
use adept_core::Method;
use adept_data::Task;

/// What values a field takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Any text, paths included.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A whole number within `min ..= max`.
    Integer {
        /// Smallest value allowed.
        min: i64,
        /// Largest value allowed.
        max: i64,
    },
    /// A finite number within `min ..= max`.
    Number {
        /// Smallest value allowed.
        min: f64,
        /// Largest value allowed.
        max: f64,
    },
    /// A number within `min ..= max`, or one word.
    NumberOr {
        /// The word that stands for "taken from elsewhere".
        word: &'static str,
        /// Smallest value allowed.
        min: f64,
        /// Largest value allowed.
        max: f64,
    },
    /// A list of whole numbers above zero.
    Widths,
    /// A list of texts, which may be empty.
    Texts,
    /// A method's name.
    Method,
    /// A built-in task's name, or the path of a card.
    Task,
    /// A list of tables (`[[name]]`), each with these fields; only a file can give it.
    Tables(&'static [Field]),
}

impl Kind {
    /// What a reader is told was expected.
    pub fn describe(&self) -> String {
        match self {
            Kind::Text => "text".into(),
            Kind::Choice(words) => format!("one of {}", words.join(", ")),
            Kind::Task => {
                let names: Vec<&str> = Task::built_in().iter().map(Task::name).collect();
                format!("one of {}, or the path of a card (.toml)", names.join(", "))
            }
            Kind::Method => {
                let names: Vec<&str> = TrainMethod::all().map(TrainMethod::name).collect();
                format!("one of {}", names.join(", "))
            }
            Kind::Flag => "true or false".into(),
            Kind::Integer { min, max } if *max == i64::MAX => format!("a whole number from {min}"),
            Kind::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Number { min, max } => format!("a number from {min} to {max}"),
            Kind::NumberOr { word, min, max } => format!("a number from {min} to {max}, or \"{word}\""),
            Kind::Widths => "a list of whole numbers above 0".into(),
            Kind::Texts => "a list of texts".into(),
            Kind::Tables(_) => "a list of tables in a file".into(),
        }
    }
}

/// One field of the configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    /// Dotted key, as in `--set` and as the TOML path.
    pub key: &'static str,
    /// Type and range.
    pub kind: Kind,
    /// Whether another value can change the trained adapter or its scores. A run resumes only with the same values of
    /// these; the others (folders, logging) may differ between a run and its continuation.
    pub decides: bool,
    /// What the field means.
    pub meaning: &'static str,
    /// The method that declares the field; none: a field of every run.
    pub method: Option<Method>,
}

/// A field of that key.
pub const fn field(key: &'static str, kind: Kind, decides: bool, meaning: &'static str) -> Field {
    Field {
        key,
        kind,
        decides,
        meaning,
        method: None,
    }
}

pub(crate) const fn whole(min: i64) -> Kind {
    Kind::Integer { min, max: i64::MAX }
}

pub(crate) const fn number(min: f64, max: f64) -> Kind {
    Kind::Number { min, max }
}

/// Upper end of half-open ranges such as Adam's betas: one is not allowed.
pub(crate) const BELOW_ONE: f64 = 0.999_999;

/// The fields of every run, in the order of the documentation.
const FIELDS: &[Field] = &[
    field(
        "preset",
        Kind::Choice(&["paper", "reference"]),
        true,
        "Which protocol gives the defaults: the paper's text or the published script.",
    ),
    field(
        "task",
        Kind::Task,
        true,
        "Task: the name of a built-in one, or the path of a card (docs/tasks.md). Where none is named and `data` is a file, \
         it is `text`: your own data.",
    ),
    field(
        "data",
        Kind::Text,
        false,
        "Folder that holds the task's own files, or your own file (docs/tasks.md); where it is not given, the hub's \
         cache. Resuming compares the files' checksums, not this path.",
    ),
    field(
        "backbone",
        Kind::Text,
        false,
        "Folder of the T5, CodeGen or Llama checkpoint in Hugging Face form, tokenizer included. Resuming compares the \
         fingerprint of its weights, not this path.",
    ),
    field(
        "seed",
        whole(0),
        true,
        "Decides initial values, order of the examples and dropout. Order and randomness are functions of (seed, step).",
    ),
    field(
        "adapter.method",
        Kind::Method,
        true,
        "What is trained: all of the backbone, or an adapter (docs/methods.md).",
    ),
    field(
        "adapter.virtual_tokens",
        Kind::Integer { min: 0, max: 4096 },
        true,
        "Prompt length m in tokens. 0 trains the offset alone. Method `pt` defaults to 100.",
    ),
    field(
        "adapter.rank",
        Kind::Integer { min: 0, max: 65536 },
        true,
        "Bottleneck of ADePT or rank of DePT, r. 0: the largest that the budget allows. Not used by `pt`.",
    ),
    field(
        "adapter.budget_tokens",
        Kind::Integer { min: 1, max: 4096 },
        true,
        "Budget l of trainable values, in rows of the model's width: l·d. Only used where `adapter.rank` is 0.",
    ),
    field(
        "adapter.dept_alpha",
        number(0.0, 1e6),
        true,
        "DePT's product A·B is scaled by alpha / sqrt(r), as in its published code. 0: not scaled.",
    ),
    field(
        "adapter.bottleneck_dropout",
        number(0.0, BELOW_ONE),
        true,
        "Share of ADePT's bottleneck values dropped before the activation, in training.",
    ),
    field(
        "adapter.init",
        Kind::Choice(&["vocabulary", "text", "random"]),
        true,
        "Initial prompt: embeddings of sampled frequent tokens, of a fixed text, or normal random values.",
    ),
    field(
        "adapter.init_text",
        Kind::Text,
        true,
        "Text of `init = \"text\"`; its tokens (with `</s>`) are repeated and cut to m.",
    ),
    field(
        "adapter.init_candidates",
        whole(1),
        true,
        "Number of tokens `init = \"vocabulary\"` samples from: the first of the vocabulary after the special ones, \
         which T5's tokenizer orders by frequency.",
    ),
    field(
        "adapter.init_std",
        number(0.0, 1e3),
        true,
        "Standard deviation of `init = \"random\"`.",
    ),
    field(
        "adapter.fan_in",
        Kind::Choice(&["reference", "standard"]),
        true,
        "Range of the first offset matrix: ±1/sqrt(r) as PyTorch's initialiser gives for a `[d, r]` tensor, or \
         ±1/sqrt(d).",
    ),
    field(
        "input.max_source_length",
        Kind::Integer { min: 2, max: 16384 },
        true,
        "Source tokens kept, `</s>` included and the prompt not counted; the default is on the task's card (256, MultiRC 348, \
         answers 512). Of a decoder-only backbone source and target together. Also the number of rows of DePT's A.",
    ),
    field(
        "input.buckets",
        Kind::Widths,
        true,
        "Widths that batches are padded to. Widths from the maximum on are dropped and the maximum is added.",
    ),
    field(
        "input.pad_to_max",
        Kind::Flag,
        true,
        "Pad every source to the maximum, as the published script does, instead of to the next bucket.",
    ),
    field(
        "input.stsb_rounding",
        Kind::Choice(&["tenth", "fifth"]),
        true,
        "STS-B targets: rounded to one decimal as the published script does, or to the nearest 0.2 as T5 does.",
    ),
    field(
        "input.reference_slips",
        Kind::Flag,
        true,
        "Make the published script's slips in texts as well: WinoGrande's two options are both the first one's text.",
    ),
    field(
        "input.few_shot",
        whole(0),
        true,
        "Training rows to draw by `seed`, as many of each class (Table 15: 4, 16 or 32); 0: all of them.",
    ),
    field(
        "input.max_target_length",
        Kind::Integer { min: 0, max: 16384 },
        true,
        "Target tokens kept, `</s>` included, of tasks whose targets are free text; at least 2. 0: as on the task's card \
         (20). Labels and scores are never cut.",
    ),
    field(
        "input.positions",
        Kind::Choice(&["tokens", "slots"]),
        true,
        "Decoder-only backbones: how the slots of a row with padding on its left are counted: `tokens` alone, so that a row \
         is the same in every batch, or all `slots`, as peft does.",
    ),
    field(
        "input.template",
        Kind::Text,
        true,
        "Decoder-only backbones: how source and target are joined, for example `{source} {target}`; `{target}` comes last, \
         and spaces before it belong to it (docs/tasks.md). Empty: as the task's card says.",
    ),
    field(
        "input.chat_template",
        Kind::Flag,
        true,
        "Decoder-only backbones: whether what stands before the target is a user's message in the tokenizer's chat template, \
         and the target the answer to it.",
    ),
    field(
        "train.steps",
        Kind::Integer {
            min: 1,
            max: 100_000_000,
        },
        true,
        "Optimiser steps. 300,000 for tasks of more than 70,000 training rows.",
    ),
    field(
        "train.batch_size",
        Kind::Integer { min: 1, max: 65536 },
        true,
        "Examples of one forward and backward pass. 16 for tasks of more than 70,000 training rows.",
    ),
    field(
        "train.accumulation",
        Kind::Integer { min: 1, max: 4096 },
        true,
        "Passes of one optimiser step. The step's loss is the mean over all its target tokens, however they fall into \
         passes. 2 for MNLI, QQP and QNLI.",
    ),
    field(
        "train.backbone_dropout",
        Kind::NumberOr {
            word: "model",
            min: 0.0,
            max: BELOW_ONE,
        },
        true,
        "Dropout inside the backbone in training; \"model\" takes `dropout_rate` of its config.json.",
    ),
    field(
        "train.log_every",
        whole(1),
        false,
        "Steps between two entries of the record's loss curve.",
    ),
    field(
        "train.check_every",
        whole(1),
        false,
        "Steps between two reads of loss and gradient norm from the device. 1 stops at a NaN before the step is taken; \
         more saves a GPU from waiting, and a NaN is then found before anything is evaluated or saved.",
    ),
    field(
        "optimizer.beta1",
        number(0.0, BELOW_ONE),
        true,
        "AdamW: decay of the first moment.",
    ),
    field(
        "optimizer.beta2",
        number(0.0, BELOW_ONE),
        true,
        "AdamW: decay of the second moment.",
    ),
    field(
        "optimizer.epsilon",
        number(1e-12, 1.0),
        true,
        "AdamW: added to the root of the second moment.",
    ),
    field(
        "optimizer.clip_norm",
        number(0.0, 1e6),
        true,
        "Largest global norm of the gradient; larger ones are scaled down. 0: no clipping.",
    ),
    field(
        "optimizer.prompt.learning_rate",
        number(0.0, 100.0),
        true,
        "Highest rate of the soft prompt.",
    ),
    field(
        "optimizer.prompt.weight_decay",
        number(0.0, 100.0),
        true,
        "Decoupled decay of the soft prompt.",
    ),
    field(
        "optimizer.prompt.warmup_steps",
        whole(0),
        true,
        "Steps of linear warm-up of the soft prompt; a linear decay to 0 follows.",
    ),
    field(
        "optimizer.offset.learning_rate",
        number(0.0, 100.0),
        true,
        "Highest rate of the offset's tensors.",
    ),
    field(
        "optimizer.offset.weight_decay",
        number(0.0, 100.0),
        true,
        "Decoupled decay of the offset's tensors.",
    ),
    field(
        "optimizer.offset.warmup_steps",
        whole(0),
        true,
        "Steps of linear warm-up of the offset's tensors.",
    ),
    field(
        "optimizer.full.learning_rate",
        number(0.0, 100.0),
        true,
        "Highest rate of the backbone's parameters, method `full` only.",
    ),
    field(
        "optimizer.full.weight_decay",
        number(0.0, 100.0),
        true,
        "Decoupled decay of the backbone's parameters, method `full` only.",
    ),
    field(
        "optimizer.full.warmup_steps",
        whole(0),
        true,
        "Steps of linear warm-up of the backbone's parameters, method `full` only.",
    ),
    field(
        "evaluation.every",
        whole(1),
        true,
        "Steps between two evaluations on the validation split; the last step is always evaluated.",
    ),
    field(
        "evaluation.method",
        Kind::Choice(&["generate", "labels", "auto"]),
        true,
        "How predictions are made: greedy generation, the label of highest probability, or (`auto`) by labels where \
         the task has them and by generation for STS-B.",
    ),
    field(
        "evaluation.batch_size",
        Kind::Integer { min: 1, max: 65536 },
        true,
        "Examples of one evaluation pass.",
    ),
    field(
        "evaluation.max_new_tokens",
        Kind::Integer { min: 0, max: 4096 },
        true,
        "Longest generated answer in tokens. 0: the task's longest label.",
    ),
    field(
        "evaluation.validation_rows",
        whole(0),
        true,
        "Rows of the validation split that choose the best step, taken evenly over the split. 0: all of them. The test \
         split is always scored whole.",
    ),
    field(
        "evaluation.metric",
        Kind::Choice(&[
            "task",
            "accuracy",
            "f1",
            "f1_multiclass",
            "matthews_correlation",
            "pearson",
            "spearmanr",
            "em",
            "token_f1",
            "em_max",
            "token_f1_max",
            "em_groups",
        ]),
        true,
        "The metric that chooses the best step (docs/tasks.md); `task`: the first of the task's card. One that the card \
         does not name is scored too.",
    ),
    field(
        "generation.samples",
        Kind::Integer { min: 1, max: 1000 },
        true,
        "Programs written for each problem (MBPP); pass@k is estimated from them.",
    ),
    field(
        "generation.temperature",
        number(0.0, 100.0),
        true,
        "Temperature of what is drawn; 0 takes the likeliest token.",
    ),
    field(
        "generation.top_p",
        number(1e-6, 1.0),
        true,
        "Tokens are drawn from the likeliest ones that together have this share of the probability.",
    ),
    field(
        "generation.top_k",
        whole(0),
        true,
        "Tokens are drawn from so many of the likeliest. 0: from all.",
    ),
    field(
        "generation.repetition_penalty",
        number(1e-3, 1e3),
        true,
        "Logits of tokens that a text has already, its prompt included, are divided by it where they are positive and \
         multiplied where they are negative. 1: none.",
    ),
    field(
        "generation.offset_new_tokens",
        Kind::Flag,
        true,
        "Whether a token that was written passes ADePT's or DePT's offset before it is read again, as in training. The \
         published script feeds plain embeddings.",
    ),
    field(
        "generation.tidy",
        Kind::Choice(&["auto", "always", "never"]),
        true,
        "Whether stray lines (`:`, `//`, `.`) are taken out of a program and its body is indented as its prompt; `auto`: of \
         those that a Llama writes.",
    ),
    field(
        "checkpoint.every",
        whole(1),
        false,
        "Steps between two checkpoints; one is also written after every evaluation and when a run is interrupted.",
    ),
    field(
        "checkpoint.keep",
        Kind::Integer { min: 1, max: 1000 },
        false,
        "Checkpoints kept. With two or more, a damaged newest one costs only the steps since the one before.",
    ),
];

/// Every field of a run: those of every run, and those that methods declare, each behind its like.
pub fn fields() -> &'static [Field] {
    static ALL: LazyLock<Vec<Field>> = LazyLock::new(|| {
        let mut all = Vec::new();
        for (place, field) in FIELDS.iter().enumerate() {
            all.push(*field);
            let section = |field: &Field| field.key.split('.').next();
            let is_last = FIELDS.get(place + 1).is_none_or(|next| section(next) != section(field));
            match section(field).filter(|_| is_last) {
                Some("adapter") => all.extend(Method::ALL.iter().flat_map(|method| settings(*method))),
                Some("optimizer") => all.extend(Method::ALL.iter().flat_map(|method| groups(*method))),
                _ => {}
            }
        }
        all
    });
    &ALL
}

/// A kind of configuration: its fields and the page that explains them.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// Every field.
    pub fields: &'static [Field],
    /// Page of the documentation.
    pub page: &'static str,
}

/// A run that adapts a backbone.
pub static RUN: LazyLock<Schema> = LazyLock::new(|| Schema {
    fields: fields(),
    page: "docs/configuration.md",
});

impl Schema {
    /// The field of that key.
    pub fn find(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// The known key that reads most like `key`, compared in full and by its last part.
    pub fn nearest(&self, key: &str) -> &'static str {
        let last = |text: &str| text.rsplit('.').next().unwrap_or(text).to_owned();
        self.fields
            .iter()
            .min_by_key(|field| distance(key, field.key).min(distance(&last(key), &last(field.key)) * 2 + 1))
            .map_or("", |field| field.key)
    }
}

/// The field of a run of that key.
pub fn find(key: &str) -> Option<&'static Field> {
    RUN.find(key)
}

/// Levenshtein distance in characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let substitute = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_keys() {
        for (typed, expected) in [
            ("train.step", "train.steps"),
            ("train.batchsize", "train.batch_size"),
            ("optimizer.promt.learning_rate", "optimizer.prompt.learning_rate"),
            ("virtual_tokens", "adapter.virtual_tokens"),
            ("sed", "seed"),
        ] {
            assert_eq!(RUN.nearest(typed), expected, "for {typed}");
        }
    }
}
