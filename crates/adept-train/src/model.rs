//! What the training loop and evaluation ask of a backbone, whatever its family: a loss to train on, answers to score.

mod causal;
mod outputs;
mod seq2seq;

use adept_core::Intervention;
use adept_data::Batch;
use adept_models::auto::{AnyBackbone, Pretrained, Visitor};
use adept_models::causal::CausalCache;
use adept_models::generate::Prefix;
use adept_models::{CausalBackbone, Seq2SeqBackbone, Tape};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

pub use outputs::{Outputs, States};

use crate::TrainError;
use crate::answering::{self, Answer, Answering, Asked};

/// The start of every row that an adapter gives a decoder-only backbone, read once for all batches. An encoder reads a
/// soft prompt with each row, which sees it in both directions: it has none.
pub type ReadPrefix<B> = Option<Prefix<CausalCache<B>>>;

/// How a pass runs.
#[derive(Clone, Copy)]
pub struct Forward<'a, B: Backend> {
    /// The backbone's own dropout rate.
    pub dropout: f64,
    /// Where its blocks are to be segments whose activations are computed again.
    pub tape: Option<&'a Tape<B>>,
}

/// A dropout rate; everything is kept.
impl<B: Backend> From<f64> for Forward<'_, B> {
    fn from(dropout: f64) -> Self {
        Self { dropout, tape: None }
    }
}

/// A backbone that a task can be trained on and scored with: any that says which kind it is.
pub trait TaskModel<B: Backend>: AnyBackbone<B> {
    /// Mean cross-entropy `[1]` of a batch over its labels that count.
    fn loss(
        &self,
        adapter: &dyn Intervention<B>,
        batch: &Batch,
        forward: Forward<'_, B>,
        device: &B::Device,
    ) -> Tensor<B, 1> {
        self.by_kind(Loss {
            adapter,
            batch,
            forward,
            device,
        })
    }

    /// What a batch leaves of a pass besides its loss, for a student or its teacher.
    fn outputs(
        &self,
        adapter: &dyn Intervention<B>,
        batch: &Batch,
        forward: Forward<'_, B>,
        device: &B::Device,
    ) -> Outputs<B> {
        self.by_kind(OutputsOf(Loss {
            adapter,
            batch,
            forward,
            device,
        }))
    }

    /// Reads the adapter's soft prompt.
    fn prefix(&self, adapter: &dyn Intervention<B>) -> ReadPrefix<B> {
        self.by_kind(ReadPrompt { adapter })
    }

    /// The answer to each row of a batch, in the batch's order; not differentiated. `prefix` is from
    /// [`TaskModel::prefix`].
    ///
    /// # Errors
    /// As [`Answering`].
    fn answers(
        &self,
        method: &impl Answering<B>,
        prefix: &ReadPrefix<B>,
        asked: &Asked<'_, B>,
    ) -> Result<Vec<Answer>, TrainError> {
        self.by_kind(Answers { method, prefix, asked })
    }
}

impl<B: Backend, M: AnyBackbone<B>> TaskModel<B> for M {}

struct Loss<'a, B: Backend> {
    adapter: &'a dyn Intervention<B>,
    batch: &'a Batch,
    forward: Forward<'a, B>,
    device: &'a B::Device,
}

impl<B: Backend> Visitor<B> for Loss<'_, B> {
    type Output = Tensor<B, 1>;

    fn seq2seq<M: Seq2SeqBackbone<B> + Pretrained<B>>(self, model: &M) -> Tensor<B, 1> {
        seq2seq::loss(model, self.adapter, self.batch, self.forward, self.device)
    }

    fn causal<M: CausalBackbone<B, Cache = CausalCache<B>> + Pretrained<B>>(self, model: &M) -> Tensor<B, 1> {
        causal::loss(model, self.adapter, self.batch, self.forward, self.device)
    }
}

struct OutputsOf<'a, B: Backend>(Loss<'a, B>);

impl<B: Backend> Visitor<B> for OutputsOf<'_, B> {
    type Output = Outputs<B>;

    fn seq2seq<M: Seq2SeqBackbone<B> + Pretrained<B>>(self, model: &M) -> Outputs<B> {
        let Loss {
            adapter,
            batch,
            forward,
            device,
        } = self.0;
        seq2seq::outputs(model, adapter, batch, forward, device)
    }

    fn causal<M: CausalBackbone<B, Cache = CausalCache<B>> + Pretrained<B>>(self, model: &M) -> Outputs<B> {
        let Loss {
            adapter,
            batch,
            forward,
            device,
        } = self.0;
        causal::outputs(model, adapter, batch, forward, device)
    }
}

struct ReadPrompt<'a, B: Backend> {
    adapter: &'a dyn Intervention<B>,
}

impl<B: Backend> Visitor<B> for ReadPrompt<'_, B> {
    type Output = ReadPrefix<B>;

    fn seq2seq<M: Seq2SeqBackbone<B> + Pretrained<B>>(self, _: &M) -> ReadPrefix<B> {
        None
    }

    fn causal<M: CausalBackbone<B, Cache = CausalCache<B>> + Pretrained<B>>(self, model: &M) -> ReadPrefix<B> {
        Some(answering::prefix(model, self.adapter))
    }
}

struct Answers<'a, B: Backend, A> {
    method: &'a A,
    prefix: &'a ReadPrefix<B>,
    asked: &'a Asked<'a, B>,
}

impl<B: Backend, A: Answering<B>> Visitor<B> for Answers<'_, B, A> {
    type Output = Result<Vec<Answer>, TrainError>;

    fn seq2seq<M: Seq2SeqBackbone<B> + Pretrained<B>>(self, model: &M) -> Self::Output {
        self.method.seq2seq(model, self.asked)
    }

    fn causal<M: CausalBackbone<B, Cache = CausalCache<B>> + Pretrained<B>>(self, model: &M) -> Self::Output {
        let prefix = self.prefix.as_ref();
        let prefix = prefix.expect("`prefix` reads one of every decoder-only backbone");
        self.method.causal(model, prefix, self.asked)
    }
}
