//! Writes into a key/value cache, as in every step of generation.

use burn::tensor::{Tensor, backend::Backend};

/// Writes `new` `[b, n, d]` to the slots `at..at + n` of `into` `[b, room, d]`, in place if the backend supports it and
/// the storage of `into` is not shared. (On flex, burn's own assignment always copies the whole tensor.)
///
/// # Panics
/// If the shapes do not match.
/// Where the shapes do not fit each other.
pub fn write_slots<B: Backend>(into: Tensor<B, 3>, at: usize, new: Tensor<B, 3>) -> Tensor<B, 3> {
    let ([rows, room, d], [b, n, width]) = (into.dims(), new.dims());
    assert_eq!((rows, d), (b, width), "write_slots: rows or channels differ");
    assert!(at + n <= room, "write_slots: slots {at}..{} of {room}", at + n);
    #[cfg(feature = "flex")]
    if crate::flex::route::<B>() == Some(crate::flex::Route::Plain) {
        return crate::flex::write_slots(into, at, new);
    }
    into.slice_assign([0..b, at..at + n, 0..d], new)
}
