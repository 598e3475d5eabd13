//! Ctrl-C in a training command: the first makes the run stop at the next step and save a checkpoint, the second ends
//! the process immediately. Files are replaced atomically, so even that leaves nothing half-written.

use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::{Failure, remark};

static REQUESTED: AtomicBool = AtomicBool::new(false);
static INSTALLED: OnceLock<()> = OnceLock::new();

/// Starts listening for Ctrl-C and termination requests from the system.
pub fn listen() -> Result<(), Failure> {
    if INSTALLED.set(()).is_err() {
        return Ok(());
    }
    ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            process::exit(130);
        }
        remark("\nstopping after this step and saving a checkpoint (once more: stop at once)");
    })
    .map_err(|cause| Failure::run(cause).context("listening for Ctrl-C"))
}

/// Whether a stop has been requested.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}
