//! In-place writes into slots.

use burn::tensor::{Tensor, backend::Backend};

use super::bridge::{contiguous, elements, elements_mut, from_plain, plain};

pub(crate) fn write_slots<B: Backend>(into: Tensor<B, 3>, at: usize, new: Tensor<B, 3>) -> Tensor<B, 3> {
    let ([_, room, d], [_, n, _]) = (into.dims(), new.dims());
    let (mut into, new) = (contiguous(plain(into)), contiguous(plain(new)));
    let rows = elements_mut(&mut into).chunks_exact_mut(room * d);
    for (row, new) in rows.zip(elements(&new).chunks_exact(n * d)) {
        row[at * d..][..n * d].copy_from_slice(new);
    }
    from_plain(into)
}

#[cfg(test)]
mod tests {
    use burn_flex::Flex;

    use super::*;
    use crate::write_slots;

    fn place(tensor: &Tensor<Flex, 3>) -> *const f32 {
        elements(&plain(tensor.clone())).as_ptr()
    }

    #[test]
    fn a_store_that_nobody_else_holds_stays_where_it_is() {
        let device = Default::default();
        let store = Tensor::<Flex, 3>::zeros([2, 4, 3], &device);
        let before = place(&store);
        let store = write_slots(store, 1, Tensor::ones([2, 2, 3], &device));
        assert_eq!(place(&store), before);

        let held = store.clone();
        let written = write_slots(store, 0, Tensor::ones([2, 4, 3], &device));
        assert_ne!(place(&written), before);
        assert_eq!(held.sum().into_scalar(), 12.0);
        assert_eq!(written.sum().into_scalar(), 24.0);
    }
}
