//! The program's allocator, and how long it retains freed memory.
//!
//! Training allocates and frees the same large tensors at every step. By default the allocator returns freed pages to
//! the system after ten milliseconds, so a step that takes a second faults most of them in again, zeroed by the kernel:
//! about a tenth of its time. The delay counts from the first page that waits, so that it has to be far longer than a
//! step.

use std::ffi::c_long;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` in mimalloc's header; its Rust bindings cover only some of the options.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Milliseconds for which a freed page is retained.
const KEEP: c_long = 600_000;

/// Returns retained pages to the system.
pub fn give_back() {
    // SAFETY: the call takes no pointer, and may be made at any time.
    #[allow(unsafe_code)]
    unsafe {
        libmimalloc_sys::mi_collect(true);
    }
}

/// Sets the delay, unless mimalloc's own environment variable does.
pub fn keep_freed_pages() {
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
        // SAFETY: the call stores a number in a table of options; the index is within that table.
        #[allow(unsafe_code)]
        unsafe {
            libmimalloc_sys::mi_option_set(PURGE_DELAY, KEEP);
        }
    }
}
