//! Reusable buffers for kernels: scratch space, and what a forward pass saves for its backward pass.
//!
//! Every step of a small model needs the same few dozen buffers. Reusing them instead of allocating saves zeroing (and,
//! for large ones, page faults): a buffer contains whatever its last user left in it.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use super::packed::Line;

/// Idle buffers of one kind of element, longest idle first.
pub(super) type Idle<T> = Mutex<Vec<Vec<T>>>;

/// Elements that buffers are made of.
pub(super) trait Pooled: Copy + 'static {
    /// What new buffers contain.
    const FIRST: Self;
    /// Maximum number of idle elements.
    const KEPT: usize;

    /// Their idle buffers.
    fn idle() -> &'static Idle<Self>;
}

/// Makes a type an element of buffers: what new ones contain, how many may be idle.
macro_rules! pooled {
    ($element:ty, $first:expr, $kept:expr) => {
        impl Pooled for $element {
            const FIRST: Self = $first;
            const KEPT: usize = $kept;

            fn idle() -> &'static Idle<Self> {
                static IDLE: Idle<$element> = Mutex::new(Vec::new());
                &IDLE
            }
        }
    };
}

// 256 MiB of numbers, 128 MiB of packed lines.
pooled!(f32, 0.0, 64 << 20);
pooled!(Line, Line::ZERO, 2 << 20);

/// Elements with unspecified values; returned to the pool on drop.
#[derive(Debug)]
pub(super) struct Buffer<T: Pooled = f32> {
    values: Vec<T>,
    length: usize,
}

/// A buffer of `length` elements with unspecified values: write every element before reading it.
pub(super) fn buffer<T: Pooled>(length: usize) -> Buffer<T> {
    let fits = |values: &Vec<T>| values.len() >= length && values.len() <= length + length / 4 + 1024;
    let mut idle = T::idle().lock().unwrap_or_else(PoisonError::into_inner);
    // The most recent one that fits is the most likely to be in a cache.
    let found = idle.iter().rposition(fits).map(|at| idle.remove(at));
    drop(idle);
    Buffer {
        values: found.unwrap_or_else(|| vec![T::FIRST; length]),
        length,
    }
}

impl<T: Pooled> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values[..self.length]
    }
}

impl<T: Pooled> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values[..self.length]
    }
}

impl<T: Pooled> Drop for Buffer<T> {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        let mut idle = T::idle().lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(values);
        let mut total: usize = idle.iter().map(Vec::len).sum();
        let surplus = idle
            .iter()
            .take_while(|values| {
                let drop = total > T::KEPT;
                total -= if drop { values.len() } else { 0 };
                drop
            })
            .count();
        let dropped: Vec<_> = idle.drain(..surplus).collect();
        // Freed after the lock is released.
        drop(idle);
        drop(dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::buffer;

    #[test]
    fn a_buffer_comes_back_with_the_length_that_was_asked_for() {
        // A length not used anywhere else in these tests.
        let mut first = buffer::<f32>(123_457);
        first.fill(1.0);
        let at = first.as_ptr();
        drop(first);
        let second = buffer::<f32>(123_400);
        assert_eq!((second.as_ptr(), second.len()), (at, 123_400));
        assert_eq!(buffer::<f32>(123_457).len(), 123_457);
    }
}
