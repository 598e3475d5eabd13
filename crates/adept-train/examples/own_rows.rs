//! Trains ADePT on rows of your own with a learning rate for each parameter group, scores it and saves it.
//!
//! `cargo run -p adept-train --features adept-models/flex --example own_rows`
#![allow(clippy::print_stdout)]

use std::path::Path;

use adept_core::{Adapter, AdapterConfig, AdapterInit, AdapterMetadata};
use adept_data::{BatchOptions, Batcher, Lengths, LoadOptions, RowEncoder, Task, TextTokenizer, open_task};
use adept_models::{Backbone, Loaded, Model};
use adept_train::optim::{AdamW, AdamWConfig, GroupConfig};
use adept_train::target::{AdapterTarget, Target};
use adept_train::{TrainError, answering::Generate, evaluate, learner::step_gradients, record::Scores};
use burn::{backend::Autodiff, tensor::backend::AutodiffBackend};
use burn_flex::Flex;

fn train<B: AutodiffBackend>(folder: &Path, rows: &Path, out: &Path, device: &B::Device) -> Result<Scores, TrainError> {
    let Loaded { model, fingerprint } = Model::<B::InnerBackend>::load(folder, device)?;
    let (tokenizer, task) = (TextTokenizer::from_dir(folder)?, Task::named("text")?);
    let (encoder, lengths) = (RowEncoder::apart(&tokenizer), Lengths { source: 64, target: 4 });
    // A tenth of the file's rows is held out for validation and a tenth for the test.
    let data = open_task(&task, rows, &LoadOptions::default(), encoder, lengths, None)?;
    let options = BatchOptions::apart(16, lengths, model.pad_id());
    let batches = Batcher::new(&data.train, options.clone())?;

    let config = AdapterConfig::adept(model.d_model(), 20, 8);
    let adapter = Adapter::new(&config, &model.sites(), AdapterInit::random(7), device)?;
    let about = AdapterMetadata::new(config, "t5-nano").with_fingerprint(fingerprint);
    let target = AdapterTarget::<B, Model<B>>::new(&model, adapter, about);
    let (mut trained, steps) = (target.initial(), 200);
    let prompt = GroupConfig::new("prompt", "Adept.prompt", 0.3);
    let offset = GroupConfig::new("offset", "Adept.offset", 0.01);
    let mut optimizer = AdamW::new(AdamWConfig::default(), vec![prompt, offset]);
    for step in 0..steps {
        let batch = [batches.train_batch(7, step)?];
        let (_, gradients) = step_gradients::<B, _>(&target, &trained, &batch, (0.0, false), device);
        trained = optimizer.step::<B, _>(trained, gradients, &optimizer.rates(step, steps));
    }
    target.save(&trained, out)?;

    let (batches, right) = (Batcher::new(&data.test.0, options)?.evaluation_batches()?, data.test.1);
    let (test, (model, adapter)) = (
        evaluate::EvaluationSet { batches, right },
        target.inner_parts(&trained, 0),
    );
    let decode = |ids: &[u32]| Ok(tokenizer.decode(ids, true)?);
    let answers = Generate::new(lengths.target, &decode);
    let texts = evaluate::predict(&model, &*adapter, &test, &answers, device, &mut |_, _| true)?;
    let texts = texts.expect("nobody stops this evaluation");
    Ok(evaluate::scores(task.metrics(), &texts, &test.right))
}

fn main() -> Result<(), TrainError> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("../../datasets/backbones/t5-nano");
    let rows = root.join("examples/reviews.jsonl");
    let out = std::env::temp_dir().join("adept-own-rows");
    let scores = train::<Autodiff<Flex>>(&folder, &rows, &out, &Default::default())?;
    println!("{scores:?}, saved in {}", out.display());
    Ok(())
}
