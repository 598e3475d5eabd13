//! Passes that keep less: blocks whose activations are computed again on the way back (Chen et al., 2016, "Training
//! Deep Nets with Sublinear Memory Cost").
//!
//! A [`Tape`] cuts a pass into segments. Of a segment only the input is kept; its graph is dropped as soon as its
//! output is there. [`Tape::backward`] goes from the last segment to the first, builds the graph of one at a time again
//! and hands its gradient on. Each operation is the same as without a tape, in the same order, and so are the
//! gradients.
//!
//! What a segment computes may read tensors of its own from outside: frozen ones, and parameters, whose gradients come
//! with the segment's. What is computed of parameters and read by several segments belongs into none of them: the first
//! backward pass through it would free it for the others.

use std::cell::RefCell;

use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

/// A part of a pass, `[b, n, d]` to the same shape.
struct Segment<B: Backend> {
    input: Tensor<B, 3>,
    output: Tensor<B, 3>,
    /// Of the device's random numbers, the same both times. A method may draw some where the model draws none.
    seed: u64,
    compute: Box<dyn Fn(Tensor<B, 3>) -> Tensor<B, 3>>,
}

/// The segments of one pass, in order.
pub struct Tape<B: Backend> {
    segments: RefCell<Vec<Segment<B>>>,
    seed: u64,
}

impl<B: Backend> Tape<B> {
    /// A tape for one pass; random numbers of its segments follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            segments: RefCell::new(Vec::new()),
            seed,
        }
    }

    /// What `compute` makes of `input`, as a new leaf of the graph.
    pub(crate) fn segment(
        &self,
        input: Tensor<B, 3>,
        compute: impl Fn(Tensor<B, 3>) -> Tensor<B, 3> + 'static,
    ) -> Tensor<B, 3> {
        let number = self.segments.borrow().len() as u64;
        let seed = self.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let untracked = input.clone().detach().set_require_grad(false);
        let output = run(&compute, untracked, seed).detach().set_require_grad(true);
        self.segments.borrow_mut().push(Segment {
            input,
            output: output.clone(),
            seed,
            compute: Box::new(compute),
        });
        output
    }
}

fn run<B: Backend>(compute: &dyn Fn(Tensor<B, 3>) -> Tensor<B, 3>, input: Tensor<B, 3>, seed: u64) -> Tensor<B, 3> {
    B::seed(&input.device(), seed);
    compute(input)
}

/// A segment, and the gradient of its output so far.
type Waiting<AB> = (Segment<AB>, Option<Tensor<<AB as AutodiffBackend>::InnerBackend, 3>>);

impl<AB: AutodiffBackend> Tape<AB> {
    /// The backward pass from `loss` through all segments. `each` sees the gradients of each part of the graph, from
    /// the loss to the input; a parameter may have some in several of them.
    pub fn backward(self, loss: Tensor<AB, 1>, mut each: impl FnMut(&mut AB::Gradients)) {
        let segments = self.segments.into_inner().into_iter();
        let mut waiting: Vec<Waiting<AB>> = segments.map(|segment| (segment, None)).collect();
        let mut take = |gradients: &mut AB::Gradients, waiting: &mut Vec<Waiting<AB>>| {
            for (segment, sum) in waiting {
                if let Some(gradient) = segment.output.grad_remove(gradients) {
                    *sum = Some(match sum.take() {
                        Some(sum) => sum + gradient,
                        None => gradient,
                    });
                }
            }
            each(gradients);
        };
        take(&mut loss.backward(), &mut waiting);
        while let Some((segment, gradient)) = waiting.pop() {
            let Some(gradient) = gradient else {
                continue;
            };
            let input = segment.input.clone().detach().require_grad();
            let output = run(&segment.compute, input.clone(), segment.seed);
            let mut gradients = weighed(output, gradient).backward();
            let passed_on = input.grad_remove(&mut gradients);
            take(&mut gradients, &mut waiting);
            if let Some(gradient) = passed_on {
                take(&mut weighed(segment.input, gradient).backward(), &mut waiting);
            }
        }
    }
}

/// A value whose gradient with respect to `x` is `gradient`.
fn weighed<AB: AutodiffBackend>(x: Tensor<AB, 3>, gradient: Tensor<AB::InnerBackend, 3>) -> Tensor<AB, 1> {
    (x * Tensor::from_inner(gradient)).sum()
}
