//! Loads the checkpoint in a folder, whatever its family, and answers a text (T5) or continues it (decoders).
//!
//! ```text
//! cargo run -p adept-models --features flex --example generate -- datasets/backbones/t5-nano "sst2 sentence: a fine
//! view ."
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use adept_data::TextTokenizer;
use adept_models::auto::{AnyBackbone, Model, Pretrained, Visitor};
use adept_models::causal::CausalCache;
use adept_models::generate::{GenerateError, GenerationOptions, Prefix, Request, complete, greedy};
use adept_models::{CausalBackbone, Seq2SeqBackbone};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor};
use burn_flex::Flex;

const MAX_NEW_TOKENS: usize = 32;

/// Greedy decoding after `ids`. It differs by kind of model, not by family.
struct Likeliest<'a, B: Backend> {
    ids: &'a [u32],
    device: &'a B::Device,
}

impl<B: Backend> Visitor<B> for Likeliest<'_, B> {
    type Output = Result<Vec<u32>, GenerateError>;

    fn seq2seq<M: Seq2SeqBackbone<B> + Pretrained<B>>(self, model: &M) -> Self::Output {
        let ids = Tensor::<B, 1, Int>::from_data(self.ids, self.device).unsqueeze();
        let mask = Tensor::<B, 2, Bool>::full(ids.dims(), true, self.device);
        let encoded = model.encode(model.embed(ids), mask.clone(), 0.0);
        Ok(greedy(model, encoded, mask, MAX_NEW_TOKENS, true)?.concat())
    }

    fn causal<M: CausalBackbone<B, Cache = CausalCache<B>> + Pretrained<B>>(self, model: &M) -> Self::Output {
        let (prefix, request) = (Prefix::new(model, None), Request::new(self.ids));
        let options = GenerationOptions::greedy(MAX_NEW_TOKENS, model.eos_ids());
        let embed = |ids, _positions, _part| model.embed(ids);
        let written = complete(
            model,
            &prefix,
            &[request],
            &options,
            &embed,
            &mut |_, _| false,
            self.device,
        )?;
        Ok(written[0].text_ids().to_vec())
    }
}

fn answer(arguments: &[String]) -> Result<String, Box<dyn Error>> {
    let [folder, text] = arguments else {
        return Err("expected two arguments: the folder of a checkpoint and a text".into());
    };
    let (folder, device) = (Path::new(folder), Default::default());
    let model = Model::<Flex>::load(folder, &device)?.model;
    let tokenizer = TextTokenizer::from_dir(folder)?;
    let ids = tokenizer.encode(text, 512)?;
    let written = model.by_kind(Likeliest {
        ids: &ids,
        device: &device,
    })?;
    Ok(tokenizer.decode(&written, true)?)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match answer(&arguments) {
        Ok(text) => println!("{text}"),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
