//! Generates programs for problems, each up to the end of the program. The sandbox judges them afterwards.

use adept_data::TextTokenizer;
use adept_models::generate::Prefix;
use adept_models::{CausalBackbone, Seq2SeqBackbone};
use burn::tensor::backend::Backend;

use super::continuation::{Writing, write};
use super::{Answer, Answering, Asked, Continuation, prompts};
use crate::TrainError;
use crate::program::{Problem, end_of, tidied, truncated};

/// Completes the prompts of problems. Rows of a batch are indices into `asked_for`.
pub struct Programs<'a> {
    /// Problems, each with the index of the sample to generate.
    pub asked_for: &'a [(&'a Problem, usize)],
    /// Name of the task.
    pub task: &'a str,
    /// The tokenizer of the backbone.
    pub tokenizer: &'a TextTokenizer,
    /// Strings that end a program at the beginning of any line but the first.
    pub stops: &'a [String],
    /// Whether stray lines are removed and bodies reindented.
    pub is_tidied: bool,
    /// Maximum number of tokens of a program.
    pub max_new_tokens: usize,
    /// Minimum width in slots to which prompts are padded.
    pub width: usize,
    /// How programs are generated.
    pub rules: Continuation,
}

impl<B: Backend> Answering<B> for Programs<'_> {
    fn seq2seq<M: Seq2SeqBackbone<B>>(&self, _: &M, _: &Asked<'_, B>) -> Result<Vec<Answer>, TrainError> {
        Err(TrainError::Program {
            task: self.task.to_owned(),
        })
    }

    fn causal<M: CausalBackbone<B>>(
        &self,
        model: &M,
        prefix: &Prefix<M::Cache>,
        asked: &Asked<'_, B>,
    ) -> Result<Vec<Answer>, TrainError> {
        let rows: Vec<(&Problem, usize)> = asked.batch.rows.iter().map(|&row| self.asked_for[row]).collect();
        let draw = |(problem, sample): &(&Problem, usize)| (problem.id as u64, *sample as u64);
        let draws: Vec<(u64, u64)> = rows.iter().map(draw).collect();
        let writing = Writing {
            prompts: &prompts(asked.batch),
            draws: &draws,
            max_new_tokens: self.max_new_tokens,
            width: self.width,
        };
        let mut texts: Vec<_> = rows.iter().map(|_| self.tokenizer.stream(true)).collect();
        let mut failed = None;
        let mut stop = |row: usize, ids: &[u32]| -> bool {
            let last = ids.last().copied();
            match last.map(|id| texts[row].push(id).map(|_| ())).transpose() {
                Ok(_) => end_of(texts[row].text(), self.stops).is_some(),
                Err(cause) => {
                    failed.get_or_insert(cause);
                    true
                }
            }
        };
        let written = write(model, prefix, asked, &self.rules, &writing, &mut stop)?;
        if let Some(cause) = failed {
            return Err(cause.into());
        }
        rows.iter()
            .zip(written)
            .map(|((problem, _), written)| {
                let text = self.tokenizer.decode(written.text_ids(), true)?;
                let completion = truncated(&text, self.stops);
                Ok(Answer {
                    text: match self.is_tidied {
                        true => tidied(&problem.prompt, completion),
                        false => completion.to_owned(),
                    },
                    tokens: written.ids.len(),
                })
            })
            .collect()
    }
}
