//! What a side network has in common whatever the family: the maps and gates between a stack of the model and the
//! blocks beside it, and the modules of those blocks. The formula is [`SideNetwork`]'s.

use adept_core::{LinearSite, NormSite, SideNetwork, SidePart, Stack};
use burn::module::{Module, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;
use burn::tensor::backend::Backend;

use crate::linear::Linear;
use crate::norm::RmsNorm;

/// A parameter of a model that is a method's tensor: gradients go to the method's.
pub(crate) fn shared<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Param<Tensor<B, D>> {
    Param::initialized(ParamId::new(), tensor)
}

/// A linear map of a side network.
pub(crate) fn linear<B: Backend>(side: &SideNetwork<B>, part: SidePart) -> Linear<B> {
    Linear::new(shared(side.matrix(part)), side.bias(part).map(shared))
}

/// The map of a side block at the place of the model's.
pub(crate) fn map<B: Backend>(side: &SideNetwork<B>, site: LinearSite) -> Linear<B> {
    linear(side, SidePart::Linear(site))
}

/// A root-mean-square norm of a side network.
pub(crate) fn rms_norm<B: Backend>(side: &SideNetwork<B>, site: NormSite) -> RmsNorm<B> {
    RmsNorm::new(shared(side.vector(SidePart::Norm(site))))
}

/// The way from a stack of the model into the blocks beside it; `w` is their width.
#[derive(Module, Debug)]
pub struct Rungs<B: Backend> {
    /// From what enters the stack, `[d, w]`.
    first: Linear<B>,
    /// From what leaves each kept block, `[d, w]`.
    down: Vec<Linear<B>>,
    /// `sigmoid(α / T)` of every block, `[blocks]`.
    gates: Tensor<B, 1>,
    #[module(skip)]
    kept: Vec<usize>,
}

impl<B: Backend> Rungs<B> {
    pub(crate) fn new(side: &SideNetwork<B>, stack: Stack) -> Self {
        let kept = side.kept(stack).to_vec();
        let down = kept.iter().map(|block| linear(side, SidePart::Down(stack, *block)));
        Self {
            first: linear(side, SidePart::First(stack)),
            down: down.collect(),
            gates: sigmoid(side.vector(SidePart::Gates(stack)).div_scalar(side.temperature)),
            kept,
        }
    }

    /// Begins with what enters the model's stack, `[b, n, d]`.
    pub(crate) fn begin(&self, entering: Tensor<B, 3>) -> Climb<'_, B> {
        Climb {
            rungs: self,
            state: self.first.forward(entering),
            reached: 0,
            place: 0,
        }
    }
}

/// The state of a side network while the model's blocks run.
#[derive(Debug)]
pub(crate) struct Climb<'a, B: Backend> {
    rungs: &'a Rungs<B>,
    /// `[b, n, w]`.
    state: Tensor<B, 3>,
    /// The model's next block.
    reached: usize,
    /// The next side block.
    place: usize,
}

impl<B: Backend> Climb<'_, B> {
    /// Reads what leaves the model's next block, `[b, n, d]`. If there is one beside it, `block` runs it: it is given
    /// its number among the side blocks and its input.
    pub(crate) fn pass(&mut self, leaving: &Tensor<B, 3>, block: impl FnOnce(usize, Tensor<B, 3>) -> Tensor<B, 3>) {
        let (rungs, reached) = (self.rungs, self.reached);
        self.reached += 1;
        if rungs.kept.get(self.place) != Some(&reached) {
            return;
        }
        let gate = rungs.gates.clone().narrow(0, reached, 1).unsqueeze::<3>();
        let below = rungs.down[self.place].forward(leaving.clone());
        // g·s + (1 − g)·below
        let mixed = (self.state.clone() - below.clone()) * gate + below;
        self.state = block(self.place, mixed);
        self.place += 1;
    }

    /// What leaves the last side block, `[b, n, w]`.
    pub(crate) fn top(self) -> Tensor<B, 3> {
        self.state
    }
}
