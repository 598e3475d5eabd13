//! What a fetch tells while it runs, and how it is stopped.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{HubError, RemoteFile};

/// Hears how far a fetch is. Called from several threads.
pub trait Progress: Sync {
    /// So many bytes more are there (fewer, where some have to come again).
    fn arrived(&self, bytes: i64);

    /// A file is whole and in its place.
    fn finished(&self, file: &RemoteFile);

    /// Something failed that may pass: it is tried again after so many seconds.
    fn waiting(&self, _why: &HubError, _seconds: f64) {}

    /// Whether to go on; asked before each file, and often while bytes come or something is waited for.
    fn proceed(&self) -> bool {
        true
    }
}

/// One fetch as its parts see it: whom to tell, and whether another part has failed.
pub(crate) struct Watch<'a> {
    pub(crate) progress: &'a dyn Progress,
    stopped: AtomicBool,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(progress: &'a dyn Progress) -> Self {
        Self {
            progress,
            stopped: AtomicBool::new(false),
        }
    }

    /// Ends all parts where they are.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// # Errors
    /// [`HubError::Stopped`] where the fetch is to end.
    pub(crate) fn go_on(&self) -> Result<(), HubError> {
        if self.stopped.load(Ordering::Relaxed) || !self.progress.proceed() {
            return Err(HubError::Stopped);
        }
        Ok(())
    }
}
