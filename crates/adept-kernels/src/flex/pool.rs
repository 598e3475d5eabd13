//! Reusable buffers for kernels: scratch space, and what a forward pass saves for its backward pass.
//!
//! Every step of a small model needs the same few dozen buffers. Reusing them instead of allocating saves zeroing (and,
//! for large ones, page faults): a buffer contains whatever its last user left in it.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Maximum number of idle elements: 256 MiB.
const KEPT: usize = 64 << 20;

/// Idle buffers, longest idle first.
static IDLE: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// Elements with unspecified values; returned to the pool on drop.
#[derive(Debug)]
pub(super) struct Buffer {
    values: Vec<f32>,
    length: usize,
}

/// A buffer of `length` elements with unspecified values: write every element before reading it.
pub(super) fn buffer(length: usize) -> Buffer {
    let fits = |values: &Vec<f32>| values.len() >= length && values.len() <= length + length / 4 + 1024;
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    // The most recent one that fits is the most likely to be in a cache.
    let found = idle.iter().rposition(fits).map(|at| idle.remove(at));
    drop(idle);
    Buffer {
        values: found.unwrap_or_else(|| vec![0.0; length]),
        length,
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[..self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(values);
        let mut total: usize = idle.iter().map(Vec::len).sum();
        let surplus = idle
            .iter()
            .take_while(|values| {
                let drop = total > KEPT;
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
        let mut first = buffer(123_457);
        first.fill(1.0);
        let at = first.as_ptr();
        drop(first);
        let second = buffer(123_400);
        assert_eq!((second.as_ptr(), second.len()), (at, 123_400));
        assert_eq!(buffer(123_457).len(), 123_457);
    }
}
