//! What an input makes the program hold: the allocator counts, and an input that takes too much ends the run.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that may be held for each byte of an input, beside what its target holds for any.
const MOST_A_BYTE: usize = 64;

/// Counts the bytes that are held.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
/// The most that was held for any input so far.
static MOST_EVER: AtomicUsize = AtomicUsize::new(0);
/// The largest multiple of an input that was held beside the base so far, in thousandths.
static LARGEST: AtomicUsize = AtomicUsize::new(0);

fn held(bytes: usize) {
    let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST.fetch_max(held, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        held(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        held(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    // A block that grows counts as one: large ones are moved page by page, and small ones matter little.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        held(size);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Gives an input to `check`, which may hold `base` bytes whatever the input, and 64 for each byte of it. The most that
/// was held, and the largest multiple of an input beside the base, are printed when either grows by a twentieth.
///
/// # Panics
/// Where more was held at a time.
pub fn measured<T>(input: &[u8], base: usize, check: impl FnOnce() -> T) {
    let before = HELD.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    drop(check());
    let most = MOST.load(Ordering::Relaxed).saturating_sub(before);
    let over = most.saturating_sub(base);
    let multiple = over * 1000 / input.len().max(1);
    if grows(&MOST_EVER, most) | grows(&LARGEST, multiple) {
        eprintln!(
            "held {most} bytes for an input of {}: {:.1} times its size beside the {base} of any input",
            input.len(),
            multiple as f64 / 1e3
        );
    }
    assert!(
        over <= MOST_A_BYTE * input.len(),
        "an input of {} bytes made the program hold {most}: more than {MOST_A_BYTE} times as many beside {base}",
        input.len()
    );
}

/// Keeps the larger of the two, and says whether it is new and larger by more than a twentieth.
fn grows(largest: &AtomicUsize, found: usize) -> bool {
    let before = largest.load(Ordering::Relaxed);
    let is_new = found > before + before / 20;
    if is_new {
        largest.store(found, Ordering::Relaxed);
    }
    is_new
}
