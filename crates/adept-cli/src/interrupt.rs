//! Ctrl-C in a training command: the first makes the run stop at the next step and save a checkpoint, the second ends
//! the process immediately. Files are replaced atomically, so even that leaves nothing half-written.
//!
//! A job of a scheduler is patient: it may be asked to stop by the scheduler and by its script at once, and is killed if
//! it takes too long.

use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::{Failure, remark};

static REQUESTED: AtomicBool = AtomicBool::new(false);
static PATIENT: AtomicBool = AtomicBool::new(false);
static INSTALLED: OnceLock<()> = OnceLock::new();

/// Starts listening for Ctrl-C and termination requests from the system.
pub fn listen() -> Result<(), Failure> {
    if INSTALLED.set(()).is_err() {
        return Ok(());
    }
    ctrlc::set_handler(|| {
        let patient = PATIENT.load(Ordering::SeqCst);
        match (REQUESTED.swap(true, Ordering::SeqCst), patient) {
            (false, false) => remark("\nstopping after this step and saving a checkpoint (once more: stop at once)"),
            (false, true) => remark("stopping after this step and saving a checkpoint"),
            (true, false) => process::exit(130),
            (true, true) => {}
        }
    })
    .map_err(|cause| Failure::run(cause).context("listening for Ctrl-C"))
}

/// The same for a job of a scheduler, which any number of requests ask to stop after the current step.
pub fn listen_patiently() -> Result<(), Failure> {
    PATIENT.store(true, Ordering::SeqCst);
    listen()
}

/// Whether a stop has been requested.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}
