//! Configuration of the sandbox.

use std::path::PathBuf;

use crate::Layer;

/// Settings for [`Sandbox::new`](crate::Sandbox::new). By default every layer is required.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The interpreter; a bare name is looked up in `PATH`.
    pub python: PathBuf,
    /// The program that sets up the sandbox from within: one that calls [`child_main`](crate::child_main) first in
    /// `main`. Defaults to the running program itself.
    pub helper: Option<PathBuf>,
    /// Run even if layers are missing. Those that hold are listed by [`Sandbox::layers`](crate::Sandbox::layers).
    pub allow_missing: bool,
    /// Layers to skip and count as missing: for machines on which one misbehaves, and for tests of the remaining
    /// layers.
    pub leave_out: Vec<Layer>,
    /// A memory control group in which this process may create sub-groups (a folder, usually under `/sys/fs/cgroup`):
    /// the kernel then bounds the total memory of a run. By default a group delegated by systemd is used if there is
    /// one, else a watchdog.
    pub group: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            python: PathBuf::from("python3"),
            helper: None,
            allow_missing: false,
            leave_out: Vec::new(),
            group: None,
        }
    }
}
