//! Networks that make the virtual tokens `[m, d]` of a trained embedding `[m, d]`.
//!
//! - Residual prompt tuning (Razdaibiedina et al., 2023, section 3): `P' = P + LN(W2·relu(W1·P + b1) + b2)`, one
//!   network for all tokens; LN has the biased variance and eps 1e-5.
//! - P-tuning (Liu et al., 2021, section 3), with PEFT's two encoders: `d → h → h → d` with ReLU between, or a
//!   bidirectional LSTM of two layers (h in each direction) followed by `2h → 2h → d` with ReLU between.
//!
//! The networks see no input of the model: after training, their result is a plain soft prompt. Weights are
//! `[out, in]`, gates of the LSTM in the order input, forget, cell, output, as in PyTorch.

use adept_kernels::product;
use burn::module::{Module, Param};
use burn::tensor::activation::{relu, sigmoid, tanh};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use crate::init::site_values;

/// PyTorch's default for layer norms.
pub(crate) const EPSILON: f64 = 1e-5;
/// Layers of the LSTM.
const LSTM_LAYERS: usize = 2;
/// Suffixes of the two directions' tensors.
const DIRECTIONS: [&str; 2] = ["", "_reverse"];

/// The kind of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NetworkKind {
    /// Residual prompt tuning.
    Residual,
    /// P-tuning's perceptron.
    Mlp,
    /// P-tuning's LSTM.
    Lstm,
}

/// A network's kind and sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NetworkSizes {
    pub kind: NetworkKind,
    /// Width `d` of the embedding and of the result.
    pub d_model: usize,
    /// Hidden width `h`.
    pub hidden: usize,
}

/// Initial values of a tensor, as in PyTorch.
#[derive(Debug, Clone, Copy)]
enum Start {
    /// Uniform within `±1/sqrt(n)`.
    FanIn(usize),
    Constant(f32),
}

/// A tensor of a network: its name in files, its shape, its initial values.
type Part = (String, Vec<usize>, Start);

impl NetworkSizes {
    /// The network's tensors, in file order.
    fn parts(&self) -> Vec<Part> {
        let (d, h) = (self.d_model, self.hidden);
        match self.kind {
            NetworkKind::Residual => {
                let mut parts = dense("up", d, h).to_vec();
                parts.extend(dense("down", h, d));
                parts.push(("norm.weight".to_owned(), vec![d], Start::Constant(1.0)));
                parts.push(("norm.bias".to_owned(), vec![d], Start::Constant(0.0)));
                parts
            }
            NetworkKind::Mlp => head(&[d, h, h, d]),
            NetworkKind::Lstm => {
                let mut parts = Vec::new();
                for layer in 0..LSTM_LAYERS {
                    let input = if layer == 0 { d } else { 2 * h };
                    for direction in DIRECTIONS {
                        let part = |name: &str, shape| {
                            let name = format!("lstm_head.{name}_l{layer}{direction}");
                            (name, shape, Start::FanIn(h))
                        };
                        parts.push(part("weight_ih", vec![4 * h, input]));
                        parts.push(part("weight_hh", vec![4 * h, h]));
                        parts.push(part("bias_ih", vec![4 * h]));
                        parts.push(part("bias_hh", vec![4 * h]));
                    }
                }
                parts.extend(head(&[2 * h, 2 * h, d]));
                parts
            }
        }
    }

    /// Names and shapes of the network's tensors, in file order.
    pub(crate) fn shapes(&self) -> impl Iterator<Item = (String, Vec<usize>)> {
        self.parts().into_iter().map(|(name, shape, _)| (name, shape))
    }

    /// Name in files of the embedding that the network reads.
    pub(crate) fn input_name(&self) -> &'static str {
        match self.kind {
            NetworkKind::Residual => "prompt",
            NetworkKind::Mlp | NetworkKind::Lstm => "embedding.weight",
        }
    }

    /// A newly initialised network.
    pub(crate) fn start<B: Backend>(self, seed: u64, device: &B::Device) -> PromptNetwork<B> {
        let values = |place: usize, (_, shape, start): Part| {
            let count = shape.iter().product();
            let values = match start {
                Start::FanIn(inputs) => site_values(count, 1.0 / (inputs as f64).sqrt(), seed, place),
                Start::Constant(value) => vec![value; count],
            };
            TensorData::new(values, shape)
        };
        let parts = self.parts().into_iter().enumerate();
        let data: Vec<TensorData> = parts.map(|(place, part)| values(place, part)).collect();
        self.build(data, device)
    }

    /// A network of these tensors, in file order and of the shapes of [`NetworkSizes::shapes`].
    pub(crate) fn build<B: Backend>(self, data: Vec<TensorData>, device: &B::Device) -> PromptNetwork<B> {
        let mut data = Loader::new(data, device);
        match self.kind {
            NetworkKind::Residual => PromptNetwork::Residual(ResidualNetwork {
                up: data.dense(),
                down: data.dense(),
                norm: NetworkNorm {
                    weight: data.take(),
                    bias: data.take(),
                },
            }),
            NetworkKind::Mlp => PromptNetwork::Encoder(PromptEncoder {
                lstm: Vec::new(),
                head: (0..3).map(|_| data.dense()).collect(),
            }),
            NetworkKind::Lstm => PromptNetwork::Encoder(PromptEncoder {
                lstm: (0..2 * LSTM_LAYERS).map(|_| data.lstm()).collect(),
                head: (0..2).map(|_| data.dense()).collect(),
            }),
        }
    }
}

fn dense(name: &str, input: usize, output: usize) -> [Part; 2] {
    [
        (format!("{name}.weight"), vec![output, input], Start::FanIn(input)),
        (format!("{name}.bias"), vec![output], Start::FanIn(input)),
    ]
}

/// Linear maps with an activation between each two; activations count in the names.
fn head(widths: &[usize]) -> Vec<Part> {
    let maps = widths.windows(2).enumerate();
    maps.flat_map(|(map, pair)| dense(&format!("mlp_head.{}", 2 * map), pair[0], pair[1]))
        .collect()
}

/// Takes tensors in file order.
pub(crate) struct Loader<'a, B: Backend> {
    data: std::vec::IntoIter<TensorData>,
    device: &'a B::Device,
}

impl<'a, B: Backend> Loader<'a, B> {
    pub(crate) fn new(data: Vec<TensorData>, device: &'a B::Device) -> Self {
        Self {
            data: data.into_iter(),
            device,
        }
    }

    /// The next tensor.
    ///
    /// # Panics
    /// If there is none; callers check names and shapes before.
    pub(crate) fn take<const D: usize>(&mut self) -> Param<Tensor<B, D>> {
        let data = self.data.next().expect("as many as `parts` lists");
        Param::from_tensor(Tensor::from_data(data, self.device))
    }

    pub(crate) fn dense(&mut self) -> Dense<B> {
        Dense {
            weight: self.take(),
            bias: self.take(),
        }
    }

    fn lstm(&mut self) -> LstmDirection<B> {
        LstmDirection {
            weight_ih: self.take(),
            weight_hh: self.take(),
            bias_ih: self.take(),
            bias_hh: self.take(),
        }
    }
}

/// A linear map with a bias.
#[derive(Module, Debug)]
pub struct Dense<B: Backend> {
    /// `[out, in]`.
    pub weight: Param<Tensor<B, 2>>,
    /// `[out]`.
    pub bias: Param<Tensor<B, 1>>,
}

impl<B: Backend> Dense<B> {
    pub(crate) fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        product(x, self.weight.val().transpose()) + self.bias.val().unsqueeze()
    }
}

/// Weight and bias of a layer norm, `[d]`.
#[derive(Module, Debug)]
pub struct NetworkNorm<B: Backend> {
    /// Factors, `[d]`.
    pub weight: Param<Tensor<B, 1>>,
    /// Added after them, `[d]`.
    pub bias: Param<Tensor<B, 1>>,
}

impl<B: Backend> NetworkNorm<B> {
    pub(crate) fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        self.with_epsilon(x, EPSILON)
    }

    pub(crate) fn with_epsilon(&self, x: Tensor<B, 2>, epsilon: f64) -> Tensor<B, 2> {
        layer_norm(x, self.weight.val(), self.bias.val(), epsilon)
    }
}

/// A layer norm of each row of `x [n, d]`, with the biased variance.
pub(crate) fn layer_norm<B: Backend>(
    x: Tensor<B, 2>,
    weight: Tensor<B, 1>,
    bias: Tensor<B, 1>,
    epsilon: f64,
) -> Tensor<B, 2> {
    let centred = x.clone() - x.mean_dim(1);
    let variance = (centred.clone() * centred.clone()).mean_dim(1);
    let scaled = centred * variance.add_scalar(epsilon).sqrt().recip();
    scaled * weight.unsqueeze() + bias.unsqueeze()
}

/// The network of residual prompt tuning, shared by all virtual tokens.
#[derive(Module, Debug)]
pub struct ResidualNetwork<B: Backend> {
    /// `W1 [h, d]` and `b1`.
    pub up: Dense<B>,
    /// `W2 [d, h]` and `b2`.
    pub down: Dense<B>,
    /// LN.
    pub norm: NetworkNorm<B>,
}

impl<B: Backend> ResidualNetwork<B> {
    /// `P + LN(W2·relu(W1·P + b1) + b2)`.
    pub fn forward(&self, prompt: Tensor<B, 2>) -> Tensor<B, 2> {
        let hidden = relu(self.up.forward(prompt.clone()));
        prompt + self.norm.forward(self.down.forward(hidden))
    }
}

/// One direction of an LSTM layer; the rows of all tensors are the four gates'.
#[derive(Module, Debug)]
pub struct LstmDirection<B: Backend> {
    /// Weights of the input, `[4h, in]`.
    pub weight_ih: Param<Tensor<B, 2>>,
    /// Weights of the state, `[4h, h]`.
    pub weight_hh: Param<Tensor<B, 2>>,
    /// Bias beside the input's weights, `[4h]`.
    pub bias_ih: Param<Tensor<B, 1>>,
    /// Bias beside the state's weights, `[4h]`.
    pub bias_hh: Param<Tensor<B, 1>>,
}

impl<B: Backend> LstmDirection<B> {
    /// States for `x [m, in]` in the order of `x`, `[m, h]`.
    fn forward(&self, x: Tensor<B, 2>, is_reverse: bool) -> Tensor<B, 2> {
        let (steps, [_, h]) = (x.dims()[0], self.weight_hh.dims());
        let bias = self.bias_ih.val() + self.bias_hh.val();
        let of_inputs = product(x, self.weight_ih.val().transpose()) + bias.unsqueeze();
        let recurrent = self.weight_hh.val().transpose();
        let mut state = Tensor::zeros([1, h], &of_inputs.device());
        let mut cell = state.clone();
        let mut states = Vec::with_capacity(steps);
        for step in 0..steps {
            let place = if is_reverse { steps - 1 - step } else { step };
            let gates = of_inputs.clone().narrow(0, place, 1) + product(state, recurrent.clone());
            let gate = |number: usize| gates.clone().narrow(1, number * h, h);
            cell = sigmoid(gate(1)) * cell + sigmoid(gate(0)) * tanh(gate(2));
            state = sigmoid(gate(3)) * tanh(cell.clone());
            states.push(state.clone());
        }
        if is_reverse {
            states.reverse();
        }
        Tensor::cat(states, 0)
    }
}

/// P-tuning's encoder.
#[derive(Module, Debug)]
pub struct PromptEncoder<B: Backend> {
    /// Both directions of each layer; empty for the perceptron.
    pub lstm: Vec<LstmDirection<B>>,
    /// Linear maps with ReLU between.
    pub head: Vec<Dense<B>>,
}

impl<B: Backend> PromptEncoder<B> {
    /// `[m, d]` to `[m, d]`.
    pub fn forward(&self, embedding: Tensor<B, 2>) -> Tensor<B, 2> {
        let mut x = embedding;
        for layer in self.lstm.chunks(DIRECTIONS.len()) {
            let directions = layer.iter().zip([false, true]);
            let states = directions.map(|(direction, is_reverse)| direction.forward(x.clone(), is_reverse));
            x = Tensor::cat(states.collect(), 1);
        }
        for (number, map) in self.head.iter().enumerate() {
            x = map.forward(if number == 0 { x } else { relu(x) });
        }
        x
    }
}

/// Either kind of network. (Parameter paths contain the variant's name: `network.Residual.up.weight`.)
#[derive(Module, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one network for each adapter: a few hundred bytes are not worth a box"
)]
pub enum PromptNetwork<B: Backend> {
    /// Residual prompt tuning's.
    Residual(ResidualNetwork<B>),
    /// P-tuning's.
    Encoder(PromptEncoder<B>),
}

impl<B: Backend> PromptNetwork<B> {
    /// Virtual tokens of an embedding, `[m, d]` to `[m, d]`.
    pub fn forward(&self, embedding: Tensor<B, 2>) -> Tensor<B, 2> {
        match self {
            Self::Residual(network) => network.forward(embedding),
            Self::Encoder(network) => network.forward(embedding),
        }
    }

    /// Kind and sizes.
    pub(crate) fn sizes(&self) -> NetworkSizes {
        let (kind, [d_model, hidden]) = match self {
            Self::Residual(network) => (NetworkKind::Residual, network.down.weight.dims()),
            Self::Encoder(network) => {
                let outputs = network.head.last().map_or(0, |map| map.weight.dims()[0]);
                match network.lstm.first() {
                    Some(direction) => (NetworkKind::Lstm, [outputs, direction.weight_hh.dims()[1]]),
                    None => (NetworkKind::Mlp, [outputs, network.head[0].weight.dims()[0]]),
                }
            }
        };
        NetworkSizes { kind, d_model, hidden }
    }

    /// Tensors named as in files, in file order.
    pub(crate) fn tensors(&self) -> Vec<(String, TensorData)> {
        let dense = |map: &Dense<B>| [map.weight.val().into_data(), map.bias.val().into_data()];
        let mut data = Vec::new();
        match self {
            Self::Residual(network) => {
                data.extend(dense(&network.up));
                data.extend(dense(&network.down));
                data.push(network.norm.weight.val().into_data());
                data.push(network.norm.bias.val().into_data());
            }
            Self::Encoder(network) => {
                for direction in &network.lstm {
                    data.push(direction.weight_ih.val().into_data());
                    data.push(direction.weight_hh.val().into_data());
                    data.push(direction.bias_ih.val().into_data());
                    data.push(direction.bias_hh.val().into_data());
                }
                data.extend(network.head.iter().flat_map(dense));
            }
        }
        self.sizes().shapes().map(|(name, _)| name).zip(data).collect()
    }
}
