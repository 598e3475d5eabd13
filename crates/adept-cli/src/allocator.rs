//! The allocator of the program, and how long it keeps memory that was freed.
//!
//! Training allocates and frees the same large tensors at every step. The allocator gives freed pages back to the system
//! after ten milliseconds by default, and a step of a second then pays for most of them again, zeroed by the kernel: about
//! a tenth of its time. They are kept for longer than a step instead.

use std::ffi::c_long;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` in mimalloc's header; its Rust bindings name only some of the options.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Milliseconds that a freed page stays with the program.
const KEEP: c_long = 5_000;

/// Sets the delay, unless the environment variable that mimalloc documents for it has.
pub fn keep_freed_pages() {
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
        // SAFETY: the call stores one number in a table of options; the index lies inside that table.
        #[allow(unsafe_code)]
        unsafe {
            libmimalloc_sys::mi_option_set(PURGE_DELAY, KEEP);
        }
    }
}
