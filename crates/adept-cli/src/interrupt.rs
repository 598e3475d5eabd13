//! Ctrl-C in a training command: the first asks the run to stop at the next step and to save a checkpoint, the second
//! ends the process at once. Files are replaced whole, so even that leaves nothing half-written.

use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::{Failure, remark};

static REQUESTED: AtomicBool = AtomicBool::new(false);
static INSTALLED: OnceLock<()> = OnceLock::new();

/// Starts to listen for Ctrl-C and for the system's request to end.
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

/// Whether the run should stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}
