//! Progress of a fetch, and how to abort it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{HubError, RemoteFile};

/// Observer of a fetch. Called from several threads.
pub trait Progress: Sync {
    /// `bytes` more bytes are there (negative if some have to be downloaded again).
    fn arrived(&self, bytes: i64);

    /// A file is complete and in place.
    fn finished(&self, file: &RemoteFile);

    /// A transient failure: the request is retried after this many seconds.
    fn waiting(&self, _why: &HubError, _seconds: f64) {}

    /// Whether to continue; called before each file, and often during transfers and waits.
    fn proceed(&self) -> bool {
        true
    }
}

/// No-op observer.
impl Progress for () {
    fn arrived(&self, _bytes: i64) {}

    fn finished(&self, _file: &RemoteFile) {}
}

/// State shared by the parts of a fetch: its observer, and whether another part has failed.
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

    /// Aborts all parts.
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
