//! Products of rows and a matrix, where burn's own are not to be relied on.

use burn::tensor::{Tensor, backend::Backend};

/// `[.., n, in]` times `[.., in, out]`, for any number of rows.
///
/// On GPUs burn chooses a product by timing and remembers the choice for sizes that round to the same powers of two.
/// For a single row it may have chosen one that cannot be launched at this size, which ends the process, or one that
/// gives wrong values (burn 0.21, issues 3683 and 5122). Except on the flex backend, a single row is therefore
/// multiplied as two.
pub fn product<B: Backend, const D: usize>(x: Tensor<B, D>, weight: Tensor<B, D>) -> Tensor<B, D> {
    #[cfg(feature = "flex")]
    if crate::flex::route::<B>().is_some() {
        return x.matmul(weight);
    }
    match x.dims()[D - 2] {
        1 => x.repeat_dim(D - 2, 2).matmul(weight).narrow(D - 2, 0, 1),
        _ => x.matmul(weight),
    }
}
