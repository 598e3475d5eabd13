//! What the small Llama begins with: its configuration, its tokenizer and random weights; and its trained weights in
//! half the bytes.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::{Value, json};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use crate::dice::Dice;

/// Channels, blocks, heads, channels within the feed-forward layers, tokens, positions.
const WIDTH: usize = 128;
const BLOCKS: usize = 4;
const HEADS: usize = 4;
const INNER: usize = 352;
const TOKENS: usize = 512;
const POSITIONS: usize = 512;

/// Heads of each block whose queries begin as their keys, so that they find tokens that occur twice.
const MATCHING_HEADS: usize = 2;

/// Ends every text; token 0.
const END: &str = "<|endoftext|>";

/// Words, single digits, marks, line breaks with the indentation before them, and spaces. A digit of its own can be
/// copied whatever number it is part of.
const PATTERN: &str = r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The file of the weights.
pub const WEIGHTS: &str = "model.safetensors";

/// Why there is no folder.
#[derive(Debug, thiserror::Error)]
pub enum LlamaError {
    /// The tokenizer could not be trained.
    #[error("tokenizer: {0}")]
    Tokenizer(#[from] tokenizers::Error),
    /// The weights could not be read or written.
    #[error("{WEIGHTS}: {0}")]
    Weights(#[from] safetensors::SafeTensorError),
    /// A tensor of another kind of number than expected.
    #[error("{WEIGHTS}: {name} is {found:?}, not F32")]
    Kind {
        /// The tensor.
        name: String,
        /// What it is.
        found: Dtype,
    },
    /// A file could not be read.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The files of the folder that training begins with, by name: a pure function of the seed and the texts.
///
/// # Errors
/// [`LlamaError::Tokenizer`], [`LlamaError::Weights`].
pub fn start(seed: u64, texts: &[String]) -> Result<Vec<(&'static str, Vec<u8>)>, LlamaError> {
    let text = |value: &Value| format!("{value:#}\n").into_bytes();
    Ok(vec![
        ("config.json", text(&config())),
        (
            "generation_config.json",
            text(&json!({"eos_token_id": 0, "pad_token_id": 0})),
        ),
        ("tokenizer.json", tokenizer(texts)?.to_string(true)?.into_bytes()),
        (
            "tokenizer_config.json",
            text(&json!({
                "clean_up_tokenization_spaces": false,
                "eos_token": END,
                "model_max_length": POSITIONS,
                "pad_token": END,
                "tokenizer_class": "PreTrainedTokenizerFast",
            })),
        ),
        (WEIGHTS, weights(seed)?),
    ])
}

fn config() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": false,
        "attention_dropout": 0.0,
        "bos_token_id": null,
        "eos_token_id": 0,
        "hidden_act": "silu",
        "hidden_size": WIDTH,
        "initializer_range": 0.02,
        "intermediate_size": INNER,
        "max_position_embeddings": POSITIONS,
        "mlp_bias": false,
        "model_type": "llama",
        "num_attention_heads": HEADS,
        "num_hidden_layers": BLOCKS,
        "num_key_value_heads": HEADS,
        "pad_token_id": 0,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": true,
        "torch_dtype": "bfloat16",
        "vocab_size": TOKENS,
    })
}

/// Byte-level byte-pair encoding: every text has tokens, also of bytes that no text of the training has.
fn tokenizer(texts: &[String]) -> Result<Tokenizer, LlamaError> {
    let mut tokenizer = Tokenizer::new(BPE::default());
    let split = Split::new(
        SplitPattern::Regex(PATTERN.to_owned()),
        SplitDelimiterBehavior::Isolated,
        false,
    )?;
    let bytes = ByteLevel::new(false, true, false);
    tokenizer
        .with_pre_tokenizer(Some(Sequence::new(vec![split.into(), bytes.into()])))
        .with_decoder(Some(bytes));
    let trainer = BpeTrainer::builder()
        .vocab_size(TOKENS)
        .special_tokens(vec![AddedToken::from(END, true)])
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .show_progress(false)
        .build();
    tokenizer.train(&mut TrainerWrapper::BpeTrainer(trainer), texts.iter())?;
    Ok(tokenizer)
}

/// A number of a normal distribution, nearly: the sum of twelve uniform ones needs no function that differs from machine
/// to machine.
fn normal(dice: &mut Dice) -> f32 {
    const STEPS: usize = 1 << 24;
    let sum: usize = (0..12).map(|_| dice.below(STEPS)).sum();
    sum as f32 / STEPS as f32 - 6.0
}

/// Random weights in bfloat16; norms are 1.
fn weights(seed: u64) -> Result<Vec<u8>, LlamaError> {
    let random = |name: &str, rows: usize, columns: usize, scale: f32| {
        let mut dice = Dice::new(seed, &format!("programs/llama/{name}"));
        let values: Vec<f32> = (0..rows * columns).map(|_| scale * normal(&mut dice)).collect();
        (name.to_owned(), vec![rows, columns], values)
    };
    let ones = |name: String| (name, vec![WIDTH], vec![1.0; WIDTH]);
    // Matrices keep the size of what they are multiplied with; what enters the residual stream is smaller.
    let (inner, wide) = (1.0 / (INNER as f32).sqrt(), 1.0 / (WIDTH as f32).sqrt());
    let small = 1.0 / (2.0 * BLOCKS as f32).sqrt();
    let mut tensors = vec![
        random("model.embed_tokens.weight", TOKENS, WIDTH, 0.05),
        ones("model.norm.weight".to_owned()),
    ];
    for block in 0..BLOCKS {
        let name = |part: &str| format!("model.layers.{block}.{part}.weight");
        let keys = random(&name("self_attn.k_proj"), WIDTH, WIDTH, wide);
        let mut queries = random(&name("self_attn.q_proj"), WIDTH, WIDTH, wide);
        let shared = MATCHING_HEADS * WIDTH / HEADS * WIDTH;
        queries.2[..shared].copy_from_slice(&keys.2[..shared]);
        tensors.extend([
            ones(name("input_layernorm")),
            ones(name("post_attention_layernorm")),
            queries,
            keys,
            random(&name("self_attn.v_proj"), WIDTH, WIDTH, wide),
            random(&name("self_attn.o_proj"), WIDTH, WIDTH, wide * small),
            random(&name("mlp.gate_proj"), INNER, WIDTH, wide),
            random(&name("mlp.up_proj"), INNER, WIDTH, wide),
            random(&name("mlp.down_proj"), WIDTH, INNER, inner * small),
        ]);
    }
    written(tensors)
}

/// Tensors as a file in bfloat16.
fn written(tensors: Vec<(String, Vec<usize>, Vec<f32>)>) -> Result<Vec<u8>, LlamaError> {
    let halved: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, shape, values)| {
            let bytes = values.iter().flat_map(|&value| bfloat16(value).to_le_bytes()).collect();
            (name, shape, bytes)
        })
        .collect();
    let views: Vec<(&str, TensorView<'_>)> = halved
        .iter()
        .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::BF16, shape.clone(), bytes)?)))
        .collect::<Result<_, safetensors::SafeTensorError>>()?;
    let about = [("format".to_owned(), "pt".to_owned())].into_iter().collect();
    Ok(serialize(views, Some(about))?)
}

/// The nearest bfloat16, of two equally near ones the even one. Weights are finite.
fn bfloat16(value: f32) -> u16 {
    let bits = value.to_bits();
    let even = (bits >> 16) & 1;
    ((bits + 0x7fff + even) >> 16) as u16
}

/// The weights of a trained folder, which training writes as 32-bit numbers, in bfloat16.
///
/// # Errors
/// A file that cannot be read, or whose tensors are of another kind.
pub fn halved(folder: &Path) -> Result<Vec<u8>, LlamaError> {
    let file = folder.join(WEIGHTS);
    let bytes = std::fs::read(&file).map_err(|source| LlamaError::Io { file, source })?;
    let mut tensors = Vec::new();
    for (name, view) in SafeTensors::deserialize(&bytes)?.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(LlamaError::Kind {
                name: name.to_owned(),
                found: view.dtype(),
            });
        }
        let (numbers, _) = view.data().as_chunks::<4>();
        let values = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
        tensors.push((name.to_owned(), view.shape().to_vec(), values));
    }
    written(tensors)
}

#[cfg(test)]
mod tests {
    use super::{bfloat16, normal};
    use crate::dice::Dice;

    #[test]
    fn bfloat16_is_the_nearest_even_number() {
        for (value, expected) in [
            (1.0, 0x3f80),
            (-2.0, 0xc000),
            // Half of a step above 1 and above the next number.
            (1.0 + 1.0 / 256.0, 0x3f80),
            (1.0 + 3.0 / 256.0, 0x3f82),
            (1.004, 0x3f81),
        ] {
            assert_eq!(bfloat16(value), expected, "{value}");
        }
    }

    #[test]
    fn random_weights_have_mean_0_and_variance_1() {
        let mut dice = Dice::new(3, "normal");
        let values: Vec<f32> = (0..10_000).map(|_| normal(&mut dice)).collect();
        let mean = values.iter().sum::<f32>() / 10_000.0;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / 10_000.0;
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
