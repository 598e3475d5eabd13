//! What a sandbox is made with.

use std::path::PathBuf;

use crate::Layer;

/// What a sandbox is made with. The default promises every layer.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The interpreter; a plain name is looked up in `PATH`.
    pub python: PathBuf,
    /// The program that sets up the sandbox from within: one that calls [`child_main`](crate::child_main) first thing
    /// in
    /// `main`. Without it, the running program itself.
    pub helper: Option<PathBuf>,
    /// Run even where layers are missing. What holds all the same is in [`Sandbox::layers`](crate::Sandbox::layers).
    pub allow_missing: bool,
    /// Layers that are not put on and count as missing: for a machine on which one misbehaves, and for tests that ask
    /// what the other layers hold alone.
    pub leave_out: Vec<Layer>,
    /// A control group of memory in which this process may make others (a folder, usually under `/sys/fs/cgroup`): the
    /// kernel then bounds what the processes of a run hold together. Without it, one that systemd has handed over is
    /// used if there is one, else a watchdog.
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
