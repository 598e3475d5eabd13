//! What an input makes the program hold: the allocator counts, and an input that takes too much ends the run. Two
//! limits hold: one for each block, one for the sum of all that is held at a time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most bytes in one block for each byte of an input, and in sum where a target does not say otherwise.
const MOST_A_BYTE: usize = 64;

/// Counts the bytes that are held.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
/// The largest block of the present input.
static BLOCK: AtomicUsize = AtomicUsize::new(0);
/// The most that was held for any input so far.
static MOST_EVER: AtomicUsize = AtomicUsize::new(0);
/// The largest multiple of an input that was held beside the base so far, in thousandths.
static LARGEST: AtomicUsize = AtomicUsize::new(0);
/// Size of a block that is not counted while it is the only one of its size; see [`Allowance::except_block`].
static EXCEPT: AtomicUsize = AtomicUsize::new(usize::MAX);
/// Blocks of that size.
static EXCEPTED: AtomicUsize = AtomicUsize::new(0);

fn take(size: usize) {
    if size == EXCEPT.load(Ordering::Relaxed) && EXCEPTED.fetch_add(1, Ordering::Relaxed) == 0 {
        return;
    }
    BLOCK.fetch_max(size, Ordering::Relaxed);
    let held = HELD.fetch_add(size, Ordering::Relaxed) + size;
    MOST.fetch_max(held, Ordering::Relaxed);
}

fn give_back(size: usize) {
    if size == EXCEPT.load(Ordering::Relaxed) && EXCEPTED.fetch_sub(1, Ordering::Relaxed) == 1 {
        return;
    }
    HELD.fetch_sub(size, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        give_back(layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }

    // A block that grows counts as one: large ones are moved page by page, and small ones matter little.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        give_back(layout.size());
        take(size);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a target may hold.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    base: usize,
    times: usize,
}

impl Allowance {
    /// `base` bytes whatever the input, and 64 for each byte of it.
    pub const fn base(base: usize) -> Self {
        Self {
            base,
            times: MOST_A_BYTE,
        }
    }

    /// Another sum for each byte of the input; a single block keeps its limit.
    pub const fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// Leaves out one block of that size, which is as large for any input. To be called before anything is measured.
    pub fn except_block(bytes: usize) {
        EXCEPT.store(bytes, Ordering::Relaxed);
    }
}

/// Gives an input to `check`. The most that was held, and the largest multiple of an input beside the base, are printed
/// when either grows by a twentieth.
///
/// # Panics
/// Where more than the allowance was held at a time, or in one block.
pub fn measured<T>(input: &[u8], allowance: Allowance, check: impl FnOnce() -> T) {
    let Allowance { base, times } = allowance;
    let before = HELD.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    BLOCK.store(0, Ordering::Relaxed);
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
        over <= times * input.len(),
        "an input of {} bytes made the program hold {most}: more than {times} times as many beside {base}",
        input.len()
    );
    let block = BLOCK.load(Ordering::Relaxed);
    assert!(
        block.saturating_sub(base) <= MOST_A_BYTE * input.len(),
        "an input of {} bytes led to a block of {block}: more than {MOST_A_BYTE} times as many beside {base}",
        input.len()
    );
}

/// Does work on a thread of its own, which takes with it what libraries keep for a thread.
pub fn on_a_thread(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| scope.spawn(work).join()).expect("a panic ends the run");
}

/// Does work until what libraries build once, and once for several threads, is there: it belongs to no input.
pub fn built_once(work: impl Fn() + Sync) {
    for _ in 0..32 {
        on_a_thread(&work);
    }
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
