//! Architectures: each maps metadata to the fields of transformers' `config.json`, and tensors to those of Hugging
//! Face's checkpoint. An architecture is a file and a line in the table.

mod gemma;
mod gpt2;
mod gpt_neox;
mod llama;
mod llama_like;
mod phi3;
mod qwen;
mod rope;
mod smollm3;
mod source;
mod tensors;

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::container::Gguf;
use crate::error::GgufError;
use crate::nearest;
pub(crate) use source::Source;
pub(crate) use tensors::{Change, RowOrder, Wanted};

/// A model in Hugging Face's terms.
#[derive(Debug)]
pub(crate) struct Model {
    /// llama.cpp's name of its architecture.
    pub architecture: &'static str,
    /// `config.json` without token ids and element type.
    pub config: Map<String, Value>,
    /// Its tensors, in the order in which they are written.
    pub tensors: Vec<Wanted>,
    /// Rows of the embedding.
    pub vocabulary: usize,
    /// Positions it was trained for.
    pub positions: usize,
}

type Read = fn(&Source<'_>) -> Result<Model, GgufError>;

/// By `general.architecture`.
const ARCHITECTURES: [(&str, Read); 10] = [
    ("llama", llama::read),
    ("qwen2", qwen::read_2),
    ("qwen3", qwen::read_3),
    ("smollm3", smollm3::read),
    ("phi3", phi3::read),
    ("gemma", gemma::read_1),
    ("gemma2", gemma::read_2),
    ("gemma3", gemma::read_3),
    ("gptneox", gpt_neox::read),
    ("gpt2", gpt2::read),
];

/// Rotary factors, which become part of the configuration.
const FACTORS: [&str; 3] = [rope::LLAMA_3, rope::LONG, rope::SHORT];

/// Describes a model and checks its tensors' names and shapes against the architecture.
///
/// # Errors
/// Unknown architectures, missing or invalid metadata, missing or unexpected tensors, mismatched shapes.
pub(crate) fn model(gguf: &Gguf) -> Result<Model, GgufError> {
    const KEY: &str = "general.architecture";
    let found = gguf.metadata().text(KEY)?;
    let Some((name, read)) = ARCHITECTURES.iter().find(|(name, _)| *name == found) else {
        let known: Vec<&str> = ARCHITECTURES.iter().map(|(name, _)| *name).collect();
        return Err(nearest::unknown(gguf.metadata().path(), KEY, found, known));
    };
    let source = Source::new(gguf, name);
    if let Some(experts) = source.find_count("expert_count")?
        && experts > 0
    {
        return Err(source.refuse("expert_count", "0: mixtures of experts are not supported", experts));
    }
    let model = read(&source)?;
    for wanted in &model.tensors {
        wanted.check(gguf)?;
    }
    let wanted: HashSet<&str> = model.tensors.iter().map(|wanted| wanted.from.as_str()).collect();
    let is_known = |name: &str| FACTORS.contains(&name) || wanted.contains(name);
    match gguf
        .names()
        .find(|name| !is_known(name) && !source.is_copied_head(name))
    {
        None => Ok(model),
        Some(tensor) => Err(GgufError::UnexpectedTensor {
            path: gguf.metadata().path().to_owned(),
            tensor: tensor.to_owned(),
            architecture: name,
        }),
    }
}
