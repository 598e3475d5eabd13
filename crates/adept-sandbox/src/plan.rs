//! What the parent tells the stages of the sandbox, and what they report.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Layer;

/// The first argument of the helper's first stage, which runs outside of the namespaces.
pub(crate) const OUTER: &str = "--adept-sandbox-outer";
/// That of its second stage, which is the first process inside.
pub(crate) const INNER: &str = "--adept-sandbox-inner";

/// Which of the two interpreters runs in a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    /// The trusted one, which runs the tests.
    Judge,
    /// The untrusted one, which runs the solution.
    Player,
}

/// Limits as the kernel takes them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Bounds {
    pub memory: u64,
    pub scratch: u64,
    pub processes: u64,
    pub open_files: u64,
    pub cpu_seconds: u64,
}

/// The interpreter and what of the file tree it needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Interpreter {
    /// The program, without symbolic links.
    pub program: PathBuf,
    /// Folders and files that can be read, without symbolic links.
    pub readable: Vec<PathBuf>,
    /// Files that can be executed.
    pub executable: Vec<PathBuf>,
    /// Symbolic links of the root folder and where they lead (`/lib` to `usr/lib`).
    pub links: Vec<(PathBuf, PathBuf)>,
}

/// Everything a sandbox is set up from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub role: Role,
    pub interpreter: Interpreter,
    pub bounds: Bounds,
    /// Layers that are put on.
    pub wanted: Vec<Layer>,
    /// Whether a layer that cannot be put on ends it. Only the probe goes on.
    pub strict: bool,
    /// The scratch folder where there is no file tree of its own.
    pub scratch: PathBuf,
    /// Set by the first stage: this is root, with root's powers.
    pub privileged: bool,
    /// The file by which the first stage enters its control group, where there is one.
    pub group: Option<PathBuf>,
}

/// One line on the report pipe, which no interpreter inside a sandbox of a program has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Report {
    /// A layer was tried.
    Layer { layer: Layer, held: bool, detail: String },
    /// The sandbox cannot be set up.
    Error { message: String },
    /// The interpreter ended, having had this much of the processor's time.
    End {
        code: Option<i32>,
        signal: Option<i32>,
        #[serde(default)]
        cpu_seconds: f64,
    },
}
