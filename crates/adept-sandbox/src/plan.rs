//! Messages between the parent and the stages of the sandbox.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Layer;

/// First argument of the helper's first stage, which runs outside of the namespaces.
pub(crate) const OUTER: &str = "--adept-sandbox-outer";
/// First argument of its second stage, the first process inside.
pub(crate) const INNER: &str = "--adept-sandbox-inner";

/// Which of the two interpreters a sandbox runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    /// The trusted interpreter, which runs the tests.
    Judge,
    /// The untrusted interpreter, which runs the solution.
    Player,
}

/// Limits in the form the kernel expects.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Bounds {
    pub memory: u64,
    pub scratch: u64,
    pub processes: u64,
    pub open_files: u64,
    pub cpu_seconds: u64,
}

/// The interpreter and the parts of the file tree that it needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Interpreter {
    /// The executable, with symbolic links resolved.
    pub program: PathBuf,
    /// Readable folders and files, with symbolic links resolved.
    pub readable: Vec<PathBuf>,
    /// Executable files.
    pub executable: Vec<PathBuf>,
    /// Symbolic links in the root folder with their targets (`/lib` to `usr/lib`).
    pub links: Vec<(PathBuf, PathBuf)>,
}

/// Complete description of a sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub role: Role,
    pub interpreter: Interpreter,
    pub bounds: Bounds,
    /// Layers to apply.
    pub wanted: Vec<Layer>,
    /// Whether a layer that cannot be applied is fatal. Only the probe continues.
    pub strict: bool,
    /// The scratch folder, for use without a separate file tree.
    pub scratch: PathBuf,
    /// Set by the first stage: whether this is root with root's capabilities.
    pub privileged: bool,
    /// The file through which the first stage enters its control group, if there is one.
    pub group: Option<PathBuf>,
}

/// One line on the report pipe, which programs in a sandbox have no access to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The result of applying a layer.
    Layer { layer: Layer, held: bool, detail: String },
    /// The sandbox cannot be set up.
    Error { message: String },
    /// The interpreter ended, having used this much processor time.
    End {
        code: Option<i32>,
        signal: Option<i32>,
        #[serde(default)]
        cpu_seconds: f64,
    },
}
