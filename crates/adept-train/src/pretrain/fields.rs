//! The schema of a pretraining configuration: every field, its kind, its range and its meaning.
//!
//! Files and overrides are checked against it as those of a run are ([`crate::config::fields`]), and
//! `docs/pretraining.md` has a table made from it.

use crate::config::fields::{BELOW_ONE, Field, Kind, Schema, field, number, whole};

/// Fields of one `[[tasks]]` table.
pub const TASK_FIELDS: &[Field] = &[
    field(
        "name",
        Kind::Task,
        true,
        "Task: the name of a built-in one, or the path of a card (docs/tasks.md).",
    ),
    field(
        "data",
        Kind::Text,
        false,
        "Folder of GLUE's own files. Its training rows are trained on, its validation rows are scored; its test rows are \
         not used.",
    ),
    field(
        "label",
        Kind::Text,
        true,
        "Name in the record; left out, `name`. Two tables of one task need two labels.",
    ),
    field(
        "prefix",
        Kind::Text,
        true,
        "Put before every source; left out, `name` and a space.",
    ),
];

/// Every field, in the order of the documentation.
pub const FIELDS: &[Field] = &[
    field(
        "seed",
        whole(0),
        true,
        "Decides initial values, order, noise and dropout. All are functions of (seed, step).",
    ),
    field(
        "tasks",
        Kind::Tables(TASK_FIELDS),
        true,
        "Supervised tasks of the mixture, one `[[tasks]]` table each.",
    ),
    field(
        "model.init",
        Kind::Text,
        false,
        "Folder of a T5 checkpoint to go on from. Its `config.json` then gives the architecture and the fields below \
         are not used; its tokenizer is used unless `tokenizer.path` names another. Empty: random weights by Hugging \
         Face's scheme. Resuming compares the fingerprint of its weights, not this path.",
    ),
    field(
        "model.d_model",
        Kind::Integer { min: 1, max: 65_536 },
        true,
        "Channels of the residual stream.",
    ),
    field(
        "model.d_kv",
        Kind::Integer { min: 1, max: 65_536 },
        true,
        "Channels of one attention head.",
    ),
    field(
        "model.d_ff",
        Kind::Integer { min: 1, max: 1_048_576 },
        true,
        "Inner channels of the feed-forward layers.",
    ),
    field(
        "model.layers",
        Kind::Integer { min: 1, max: 1000 },
        true,
        "Encoder blocks.",
    ),
    field(
        "model.decoder_layers",
        Kind::Integer { min: 0, max: 1000 },
        true,
        "Decoder blocks. 0: as many as the encoder's.",
    ),
    field(
        "model.heads",
        Kind::Integer { min: 1, max: 1024 },
        true,
        "Attention heads.",
    ),
    field(
        "model.matching_heads",
        whole(0),
        true,
        "Heads of each encoder layer and cross-attention whose queries begin as their keys, so that they find words that \
         stand twice (Trockman and Kolter 2023). Tasks over pairs of sentences are learnt many times sooner.",
    ),
    field(
        "model.feed_forward",
        Kind::Choice(&["relu", "gated-gelu"]),
        true,
        "Form of the feed-forward layers: T5 v1.0's or v1.1's.",
    ),
    field(
        "model.tie_word_embeddings",
        Kind::Flag,
        true,
        "Whether the output head is the embedding matrix, as in T5 v1.0 (the decoder's output is then scaled by \
         d_model^-0.5), or has weights of its own, as in v1.1.",
    ),
    field(
        "model.dropout",
        number(0.0, BELOW_ONE),
        true,
        "`dropout_rate` of the written `config.json`, for whoever fine-tunes the model; `train.dropout` is the rate of \
         this run.",
    ),
    field(
        "tokenizer.path",
        Kind::Text,
        false,
        "Folder of a tokenizer (`tokenizer.json`) with sentinels to use. Empty: one is trained on the corpus and the \
         tasks' training rows. Resuming compares the file's checksum, not this path.",
    ),
    field(
        "tokenizer.vocab_size",
        Kind::Integer {
            min: 16,
            max: 1_000_000,
        },
        true,
        "Tokens of a trained tokenizer, the special ones and the sentinels included.",
    ),
    field(
        "tokenizer.sentinels",
        Kind::Integer { min: 1, max: 1000 },
        true,
        "Sentinels (`<extra_id_0>` and so on) of a trained tokenizer: at least as many as a window has noise spans.",
    ),
    field(
        "tokenizer.max_characters",
        whole(1000),
        true,
        "Characters of the corpus that a tokenizer is trained on, spread evenly over it.",
    ),
    field(
        "tokenizer.character_coverage",
        number(0.5, 1.0),
        true,
        "Share of the text's characters that get a piece of their own; the rarest others become `<unk>`.",
    ),
    field(
        "tokenizer.max_piece_length",
        Kind::Integer { min: 1, max: 64 },
        true,
        "Longest piece of a trained tokenizer in characters.",
    ),
    field(
        "text.files",
        Kind::Texts,
        false,
        "Corpus: files (plain or gzip) and folders (all `.txt` and `.txt.gz` below them), one paragraph a line. \
         Resuming compares the files' checksums, not these paths.",
    ),
    field(
        "text.tasks",
        Kind::Flag,
        true,
        "The tasks' training sources are text too, as they will be seen later but without prefix and answer; they come \
         before the files. What a pair of sentences has in common is then learnt from every word that one of them lacks, \
         not from labels alone.",
    ),
    field(
        "text.min_characters",
        whole(0),
        true,
        "Lines with fewer characters (headings, page numbers) are left out.",
    ),
    field(
        "text.drop_headings",
        Kind::Flag,
        true,
        "Leave out headings: lines with `::::` and lines whose letters are all upper-case.",
    ),
    field(
        "text.input_length",
        Kind::Integer { min: 8, max: 16_384 },
        true,
        "Tokens of a corrupted input, `</s>` included. A window holds as many tokens of text as corrupt to that.",
    ),
    field(
        "text.noise_density",
        number(0.01, 0.9),
        true,
        "Share of a window's tokens that are noise.",
    ),
    field(
        "text.mean_span_length",
        number(1.0, 100.0),
        true,
        "Mean length of a noise span in tokens.",
    ),
    field(
        "text.batch_size",
        Kind::Integer { min: 1, max: 65_536 },
        true,
        "Windows of one pass over text.",
    ),
    field(
        "text.holdout_windows",
        Kind::Integer { min: 1, max: 1_000_000 },
        true,
        "Windows at the end of the corpus that are never trained on; their loss is the held-out loss.",
    ),
    field(
        "mixture.task_share",
        number(0.0, 1.0),
        true,
        "Share of the passes that are over tasks, spread evenly by error diffusion over the passes' numbers.",
    ),
    field(
        "mixture.limit",
        whole(1),
        true,
        "Examples-proportional mixing: a task counts with at most so many rows.",
    ),
    field(
        "mixture.temperature",
        number(0.01, 1000.0),
        true,
        "A task's rate is its (limited) size to the power of 1/temperature: 1 is proportional, large is even.",
    ),
    field(
        "mixture.batch_size",
        Kind::Integer { min: 1, max: 65_536 },
        true,
        "Examples of one pass over tasks.",
    ),
    field(
        "mixture.max_source_length",
        Kind::Integer { min: 2, max: 16_384 },
        true,
        "Source tokens of a task's example kept, `</s>` included.",
    ),
    field(
        "mixture.buckets",
        Kind::Widths,
        true,
        "Widths that task batches are padded to. Widths from the maximum on are dropped and the maximum is added.",
    ),
    field(
        "optimizer.name",
        Kind::Choice(&["adamw", "adafactor"]),
        true,
        "AdamW (as PyTorch's) or Adafactor (as transformers', without relative step).",
    ),
    field("optimizer.learning_rate", number(0.0, 100.0), true, "Highest rate."),
    field(
        "optimizer.weight_decay",
        number(0.0, 100.0),
        true,
        "Decoupled decay of all parameters, norm weights and relative biases included.",
    ),
    field(
        "optimizer.clip_norm",
        number(0.0, 1e6),
        true,
        "Largest global norm of the gradient; larger ones are scaled down. 0: no clipping.",
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
        "optimizer.embedding_factor",
        number(0.0, 1000.0),
        true,
        "The embedding matrix's rate is the highest rate times this.",
    ),
    field(
        "optimizer.decay_rate",
        number(0.01, 1.0),
        true,
        "Adafactor: the second moment's decay at step t is 1 - t^-decay_rate.",
    ),
    field(
        "optimizer.clip_threshold",
        number(1e-6, 1e6),
        true,
        "Adafactor: an update whose root mean square is larger is scaled down to it.",
    ),
    field(
        "optimizer.factored",
        Kind::Flag,
        true,
        "Adafactor: keep only row and column means of a matrix's second moment.",
    ),
    field(
        "optimizer.multiply_by_parameter_scale",
        Kind::Flag,
        true,
        "Multiply the rate by the parameter's root mean square. T5's matrices begin with standard deviations from 1/64 to 1; \
         one rate for all of them is too high for the small ones or too low for the others.",
    ),
    field(
        "optimizer.square_epsilon",
        number(0.0, 1.0),
        true,
        "Adafactor: added to the squared gradient (epsilon_1).",
    ),
    field(
        "optimizer.scale_epsilon",
        number(0.0, 1.0),
        true,
        "Least value of a parameter's scale (Adafactor's epsilon_2).",
    ),
    field(
        "schedule.name",
        Kind::Choice(&["constant", "linear", "inverse-sqrt", "decay-at-end"]),
        true,
        "What follows a linear warm-up: a constant rate; a linear decay to 0 over all steps; sqrt(warmup_steps / step); \
         or a constant rate and a linear decay to 0 over the last `decay_steps`. On resume it may change as \
         `train.steps` may.",
    ),
    field(
        "schedule.warmup_steps",
        whole(0),
        true,
        "Steps of linear warm-up. On resume it may change as `train.steps` may.",
    ),
    field(
        "schedule.decay_steps",
        whole(0),
        true,
        "Steps of the decay of `decay-at-end`. On resume it may change as `train.steps` may.",
    ),
    field(
        "train.steps",
        Kind::Integer {
            min: 1,
            max: 100_000_000,
        },
        true,
        "Optimiser steps. On resume it may change where the rates of the steps already done stay the same.",
    ),
    field(
        "train.accumulation",
        Kind::Integer { min: 1, max: 4096 },
        true,
        "Passes of one optimiser step, each over text or over tasks. The gradient is the mean of the passes' own.",
    ),
    field(
        "train.dropout",
        number(0.0, BELOW_ONE),
        true,
        "Dropout inside the model.",
    ),
    field(
        "train.log_every",
        whole(1),
        false,
        "Steps between two entries of the record's loss curve. Losses are read from the device, and a NaN is found, at \
         these, before evaluations and before checkpoints.",
    ),
    field(
        "train.evaluate_every",
        whole(1),
        false,
        "Steps between two evaluations; the model is written after each, and the last step is always evaluated.",
    ),
    field(
        "train.evaluation_rows",
        whole(1),
        false,
        "Rows of a task's validation split that an evaluation scores, spread evenly over the split.",
    ),
    field(
        "train.save_every",
        whole(1),
        false,
        "Steps between two checkpoints; one is also written after every evaluation and when a run is interrupted.",
    ),
    field(
        "train.keep",
        Kind::Integer { min: 1, max: 1000 },
        false,
        "Checkpoints kept.",
    ),
];

/// The schema.
pub const PRETRAIN: Schema = Schema {
    fields: FIELDS,
    page: "docs/pretraining.md",
};
