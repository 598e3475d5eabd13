//! How a method changes one linear map. Every method that acts on weights reduces to this form:
//!
//! `y = ((s_in ⊙ x)·W + b + scale · drop(x)·A·B) ⊙ s_out + b'`
//!
//! Shapes: `x` `[batch, seq, in]`, `W` `[in, out]`, `A` `[in, r]`, `B` `[r, out]`, `s_in` `[in]`, `s_out` and `b'`
//! `[out]`.

use adept_kernels::product;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Low-rank update beside a weight (LoRA).
#[derive(Module, Debug)]
pub struct LowRank<B: Backend> {
    /// `[in, r]`.
    pub a: Tensor<B, 2>,
    /// `[r, out]`.
    pub b: Tensor<B, 2>,
    /// Factor of the product.
    pub scale: f64,
    /// Rate of dropout on the product's input, on backends with autodiff only.
    pub dropout: f64,
}

/// Dropout on backends with autodiff, which training runs on; elsewhere nothing.
pub(crate) fn dropped_in_training<B: Backend>(x: Tensor<B, 2>, rate: f64) -> Tensor<B, 2> {
    match B::ad_enabled(&x.device()) {
        true => adept_kernels::dropout(x, rate),
        false => x,
    }
}

impl<B: Backend> LowRank<B> {
    /// The product of `a` `[in, r]` and `b` `[r, out]`.
    pub fn new(a: Tensor<B, 2>, b: Tensor<B, 2>, scale: f64, dropout: f64) -> Self {
        Self { a, b, scale, dropout }
    }

    /// The update for inputs `[n, in]`: `[n, out]`.
    fn added(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        // Scaling the thin factor costs r multiplications per row instead of `out`.
        let thin = product(dropped_in_training(x, self.dropout), self.a.clone());
        let thin = if self.scale == 1.0 { thin } else { thin * self.scale };
        product(thin, self.b.clone())
    }

    /// The full product, `[in, out]`.
    fn product(&self) -> Tensor<B, 2> {
        product(self.a.clone() * self.scale, self.b.clone())
    }
}

/// The changes a method makes to one linear map; `None` leaves that part unchanged.
#[derive(Module, Debug)]
pub struct LinearChange<B: Backend> {
    /// Factors of the input channels, `[in]`.
    pub input_scale: Option<Tensor<B, 1>>,
    /// Low-rank update beside the weight.
    pub low_rank: Option<LowRank<B>>,
    /// Factors of the output channels, `[out]`.
    pub output_scale: Option<Tensor<B, 1>>,
    /// Added to the output, `[out]`.
    pub bias: Option<Tensor<B, 1>>,
}

impl<B: Backend> LinearChange<B> {
    /// No change.
    pub fn none() -> Self {
        Self {
            input_scale: None,
            low_rank: None,
            output_scale: None,
            bias: None,
        }
    }

    /// Applies the changed map to inputs `[batch, seq, in]`; `linear` is the unchanged map, bias included.
    pub fn apply(&self, x: Tensor<B, 3>, linear: impl FnOnce(Tensor<B, 3>) -> Tensor<B, 3>) -> Tensor<B, 3> {
        let [batch, seq, input] = x.dims();
        let scaled = match &self.input_scale {
            Some(scale) => x.clone() * scale.clone().unsqueeze(),
            None => x.clone(),
        };
        let mut y = linear(scaled);
        if let Some(low_rank) = &self.low_rank {
            let added = low_rank.added(x.reshape([batch * seq, input]));
            y = y.clone() + added.reshape(y.dims());
        }
        if let Some(scale) = &self.output_scale {
            y = y * scale.clone().unsqueeze();
        }
        match &self.bias {
            Some(bias) => y + bias.clone().unsqueeze(),
            None => y,
        }
    }

    /// Weight `[in, out]` and bias `[out]` of a plain linear map that computes the same (dropout aside).
    pub fn merged(&self, weight: Tensor<B, 2>, bias: Option<Tensor<B, 1>>) -> (Tensor<B, 2>, Option<Tensor<B, 1>>) {
        let mut weight = match &self.input_scale {
            Some(scale) => weight * scale.clone().unsqueeze_dim(1),
            None => weight,
        };
        if let Some(low_rank) = &self.low_rank {
            weight = weight + low_rank.product();
        }
        let (weight, bias) = match &self.output_scale {
            Some(scale) => (
                weight * scale.clone().unsqueeze(),
                bias.map(|bias| bias * scale.clone()),
            ),
            None => (weight, bias),
        };
        let bias = match (bias, &self.bias) {
            (Some(bias), Some(added)) => Some(bias + added.clone()),
            (bias, added) => bias.or_else(|| added.clone()),
        };
        (weight, bias)
    }

    /// Inverse of [`LinearChange::merged`] up to rounding; zero factors cannot be inverted.
    pub fn unmerged(&self, weight: Tensor<B, 2>, bias: Option<Tensor<B, 1>>) -> (Tensor<B, 2>, Option<Tensor<B, 1>>) {
        let bias = match (bias, &self.bias) {
            (Some(bias), Some(added)) => Some(bias - added.clone()),
            (bias, _) => bias,
        };
        let (mut weight, bias) = match &self.output_scale {
            Some(scale) => (
                weight / scale.clone().unsqueeze(),
                bias.map(|bias| bias / scale.clone()),
            ),
            None => (weight, bias),
        };
        if let Some(low_rank) = &self.low_rank {
            weight = weight - low_rank.product();
        }
        match &self.input_scale {
            Some(scale) => (weight / scale.clone().unsqueeze_dim(1), bias),
            None => (weight, bias),
        }
    }

    /// Whether [`LinearChange::unmerged`] would divide by zero. Reads the factors back from the device.
    pub fn has_zero_factor(&self) -> bool {
        [&self.input_scale, &self.output_scale]
            .into_iter()
            .flatten()
            .any(|scale| scale.to_data().iter::<f32>().any(|factor| factor == 0.0))
    }
}
