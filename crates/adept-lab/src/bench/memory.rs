//! Resident memory of this process, as Linux reports it.

use serde::{Deserialize, Serialize};

/// Resident memory in bytes, before and during timed steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The most while the backbone was made.
    pub loading_peak_bytes: u64,
    /// Before the first step.
    pub loaded_bytes: u64,
    /// The most during the steps.
    pub step_peak_bytes: u64,
}

/// A figure of `/proc/self/status`; `None` elsewhere.
fn status(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The most of it so far, or since [`forget_peak`].
pub(super) fn peak() -> Option<u64> {
    status("VmHWM")
}

/// What is resident now.
pub(super) fn resident() -> Option<u64> {
    status("VmRSS")
}

/// Makes the peak what is resident now; `None` if the system cannot.
pub(super) fn forget_peak() -> Option<()> {
    std::fs::write("/proc/self/clear_refs", "5").ok()
}
