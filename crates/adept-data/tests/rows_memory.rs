//! Memory is constant: a training file three times as long needs no more. A counting allocator measures it.
#![allow(unsafe_code, reason = "an allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use adept_data::{Lengths, LoadOptions, RowEncoder, Task, TextTokenizer, load_task, open_task};

/// Counts the bytes currently allocated.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is forwarded unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(held, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Peak memory of `work` beyond what was allocated before.
fn most<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let result = work();
    (result, MOST.load(Ordering::Relaxed) - before)
}

fn data(rows: usize) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a temporary folder");
    let mut train = fs::File::create(root.path().join("train.jsonl")).expect("a writable folder");
    for row in 0..rows {
        let words: String = (0..40)
            .map(|word| format!("word {} ", (row * 31 + word * 17) % 977))
            .collect();
        writeln!(train, "{{\"source\": \"{words}\", \"target\": \"{row}\"}}").expect("a writable folder");
    }
    for name in ["validation.jsonl", "test.jsonl"] {
        fs::write(root.path().join(name), "{\"source\": \"a\", \"target\": \"b\"}\n").expect("a writable folder");
    }
    root
}

#[test]
fn memory_does_not_grow_with_the_file() {
    let backbone = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/backbones/t5-nano");
    let tokenizer = TextTokenizer::from_dir(&backbone).expect("the project's own tokenizer");
    let (task, options) = (Task::named("text").expect("a task"), LoadOptions::default());
    let lengths = Lengths { source: 64, target: 8 };
    let open =
        |root: &Path| open_task(&task, root, &options, RowEncoder::apart(&tokenizer), lengths, None).expect("a task");
    // The tokenizer's own word cache fills up first.
    drop(open(data(5_000).path()));
    let (short, long) = (data(8_000), data(24_000));
    let bytes = |root: &Path| fs::metadata(root.join("train.jsonl")).expect("a file").len() as usize;
    let grown = bytes(long.path()) - bytes(short.path());
    let (rows, few) = most(|| open(short.path()));
    assert_eq!(rows.train.len(), 8_000);
    drop(rows);
    let (rows, many) = most(|| open(long.path()));
    assert_eq!(rows.train.len(), 24_000);
    assert!(
        many < few + grown / 4,
        "{few} bytes for the short file, {many} for one longer by {grown}"
    );
    // The same file in memory: the count includes it.
    drop(rows);
    let (held, all) = most(|| load_task(&task, long.path(), &options).expect("a task"));
    assert_eq!(held.train.len(), 24_000);
    assert!(
        all > grown / 2,
        "{all} bytes are few for a file of {}",
        bytes(long.path())
    );
}
