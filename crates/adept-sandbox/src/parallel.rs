//! Runs many programs concurrently.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::{Limits, Program, Sandbox, SandboxError, Verdict};

/// Runs programs, each within its own limits, `workers` at a time. The verdicts are in the programs' order.
///
/// Whenever a program has finished, `proceed` is called with the number of finished programs, and returns whether to
/// continue. Programs not started by then yield [`SandboxError::Stopped`].
pub fn run_all(
    sandbox: &Sandbox,
    programs: &[(Program<'_>, Limits)],
    workers: usize,
    proceed: &(dyn Fn(usize) -> bool + Sync),
) -> Vec<Result<Verdict, SandboxError>> {
    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    let results: Vec<Mutex<Option<Result<Verdict, SandboxError>>>> =
        programs.iter().map(|_| Mutex::default()).collect();
    let work = || {
        while !stopped.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((program, limits)) = programs.get(index) else {
                break;
            };
            let result = sandbox.run(program, limits);
            *results[index].lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(result);
            if !proceed(done.fetch_add(1, Ordering::Relaxed) + 1) {
                stopped.store(true, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..workers.clamp(1, programs.len().max(1)) {
            scope.spawn(work);
        }
    });
    let result = |slot: Mutex<Option<_>>| slot.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    results
        .into_iter()
        .map(|slot| result(slot).unwrap_or(Err(SandboxError::Stopped)))
        .collect()
}
