//! The backbones' generic code for the flex backend, compiled once here instead of in every program and test that uses
//! it: rustc shares what an upstream crate has made of a generic function. Nothing calls these functions. Only where
//! debug assertions are on: at a release's level of optimisation nothing is shared.

use adept_core::Intervention;
use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor};
use burn_flex::Flex;

use crate::linear::MergeDirection;
use crate::{Backbone, CausalBackbone, Decoder, Model, Seq2SeqBackbone, T5};

/// A batch: embeddings, mask, ids.
type Rows<B> = (Tensor<B, 3>, Tensor<B, 2, Bool>, Tensor<B, 2, Int>);

fn backbone<B: Backend, M: Backbone<B>>(model: &M, adapter: &dyn Intervention<B>, rows: &Rows<B>) {
    let _ = model.look_up(adapter, rows.2.clone());
    let _ = (
        model.embedding_weight(),
        model.sites(),
        model.weights(),
        model.num_params(),
    );
    let _ = model.merged(adapter, MergeDirection::In);
    let _ = model.adapted(adapter);
}

fn seq2seq<B: Backend, M: Seq2SeqBackbone<B>>(model: &M, adapter: &dyn Intervention<B>, rows: Rows<B>) {
    backbone(model, adapter, &rows);
    let (embeddings, mask, ids) = rows;
    let encoded = model.encode(embeddings.clone(), mask.clone(), 0.1);
    let _ = model.first_attention(embeddings, mask.clone());
    let _ = model.decode(ids.clone(), encoded.clone(), mask.clone(), 0.1);
    let _ = model.decode_states(ids.clone(), encoded.clone(), mask.clone(), 0.1);
    let _ = model.decode_loss(ids.clone(), encoded.clone(), mask.clone(), ids.clone(), 0.1);
    let _ = model.decode_candidates(ids.clone(), encoded.clone(), mask.clone());
    let _ = model.score_candidates(ids.clone(), encoded.clone(), mask.clone(), ids.clone());
    let mut cache = model.start(encoded, mask);
    let logits = model.step(ids, &mut cache);
    let _ = model.head(logits);
}

fn causal<B: Backend, M: CausalBackbone<B>>(model: &M, adapter: &dyn Intervention<B>, rows: Rows<B>) {
    backbone(model, adapter, &rows);
    let (embeddings, mask, ids) = rows;
    let hidden = model.hidden(embeddings.clone(), mask.clone(), ids.clone(), 0.1);
    let _ = model.forward(embeddings.clone(), mask.clone(), ids.clone(), 0.1);
    let cache = model.new_cache();
    let cache = model.repeat_cache(&cache, 2);
    let mut cache = model.select_cache(&cache, Tensor::zeros([1], &hidden.device()));
    let _ = model.read_hidden(embeddings.clone(), mask.clone(), ids.clone(), &mut cache);
    let logits = model.read(embeddings, mask, ids, &mut cache);
    let _ = model.head_loss(model.head(logits), Tensor::zeros([1], &hidden.device()));
}

macro_rules! instances {
    ($($name:ident: $kind:ident, $model:ty, $backend:ty;)*) => {
        $(
            #[doc(hidden)]
            pub fn $name(model: &$model, adapter: &dyn Intervention<$backend>, rows: Rows<$backend>) {
                $kind(model, adapter, rows);
            }
        )*
    };
}

instances! {
    t5: seq2seq, T5<Flex>, Flex;
    t5_tracked: seq2seq, T5<Autodiff<Flex>>, Autodiff<Flex>;
    decoder: causal, Decoder<Flex>, Flex;
    decoder_tracked: causal, Decoder<Autodiff<Flex>>, Autodiff<Flex>;
}

#[doc(hidden)]
pub fn model(model: Model<Flex>) -> Model<Autodiff<Flex>> {
    use burn::module::AutodiffModule;
    let tracked = crate::unfreeze::<Autodiff<Flex>, _>(Model::<Autodiff<Flex>>::from_inner(model.clone()));
    let _ = (tracked.valid(), model.save_pretrained("".as_ref()));
    let _ = Model::<Flex>::load("".as_ref(), &Default::default());
    tracked
}
