//! The layers of the sandbox, and which of them a kernel really gave.

use serde::{Deserialize, Serialize};

/// One layer. The order is the one in which they are put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Layer {
    /// A user namespace, or for root another user: what runs inside is nobody outside.
    User,
    /// A process namespace: no process outside can be seen or signalled, and none inside outlives the run.
    Pid,
    /// A file tree of its own: the interpreter, read-only, and a scratch folder in memory of limited size.
    Mount,
    /// A network without any interface that is up, loopback included.
    Net,
    /// Message queues, semaphores and shared memory of its own.
    Ipc,
    /// A host name of its own.
    Uts,
    /// A view of the control groups of its own.
    Cgroup,
    /// Every capability given up, and the bounding set emptied.
    Capabilities,
    /// No program that is executed can gain rights.
    NoNewPrivileges,
    /// Limits of memory, processor time, file size, open files, processes and core dumps.
    Rlimits,
    /// Landlock: which files can be opened, no TCP, no signals or sockets to the outside.
    Landlock,
    /// Seccomp: a list of the system calls that exist; all others are refused.
    Seccomp,
}

impl Layer {
    /// All layers.
    pub const ALL: [Self; 12] = [
        Self::User,
        Self::Pid,
        Self::Mount,
        Self::Net,
        Self::Ipc,
        Self::Uts,
        Self::Cgroup,
        Self::Capabilities,
        Self::NoNewPrivileges,
        Self::Rlimits,
        Self::Landlock,
        Self::Seccomp,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Pid => "pid",
            Self::Mount => "mount",
            Self::Net => "net",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Cgroup => "cgroup",
            Self::Capabilities => "capabilities",
            Self::NoNewPrivileges => "no-new-privileges",
            Self::Rlimits => "rlimits",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
        }
    }

    /// The layer of a name in reports.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layer| layer.name() == name)
    }
}

impl std::fmt::Display for Layer {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(self.name())
    }
}

/// What became of one layer when it was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// The layer.
    pub layer: Layer,
    /// Whether it holds.
    pub held: bool,
    /// How far it reaches, or why it is missing, in the kernel's words.
    pub detail: String,
}

/// Which layers hold on this machine, measured by putting them on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layers {
    trials: Vec<Trial>,
}

impl Layers {
    /// Every layer is in the report: one that nobody spoke of is missing.
    pub(crate) fn new(found: Vec<Trial>) -> Self {
        let trials = Layer::ALL.map(|layer| {
            let of_layer = found.iter().filter(|trial| trial.layer == layer);
            // A layer that failed once does not hold.
            of_layer.min_by_key(|trial| trial.held).cloned().unwrap_or(Trial {
                layer,
                held: false,
                detail: "not reached".to_owned(),
            })
        });
        Self {
            trials: trials.to_vec(),
        }
    }

    /// All layers in order.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Whether this layer holds.
    pub fn holds(&self, layer: Layer) -> bool {
        self.trials.iter().any(|trial| trial.layer == layer && trial.held)
    }

    /// The layers that hold.
    pub fn held(&self) -> Vec<Layer> {
        let held = self.trials.iter().filter(|trial| trial.held);
        held.map(|trial| trial.layer).collect()
    }

    /// The layers that do not.
    pub fn missing(&self) -> Vec<Trial> {
        self.trials.iter().filter(|trial| !trial.held).cloned().collect()
    }
}

impl std::fmt::Display for Layers {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, trial) in self.trials.iter().enumerate() {
            let line_end = if index == 0 { "" } else { "\n" };
            let holds = if trial.held { "holds" } else { "MISSING" };
            write!(to, "{line_end}{:<18} {holds:<8} {}", trial.layer.name(), trial.detail)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn trial(layer: Layer, held: bool) -> Trial {
        Trial {
            layer,
            held,
            detail: String::new(),
        }
    }

    #[test]
    fn names_lead_back_to_their_layers() {
        for layer in Layer::ALL {
            assert_eq!(Layer::named(layer.name()), Some(layer));
        }
        assert_eq!(Layer::named("walls"), None);
    }

    #[test]
    fn a_layer_that_failed_once_or_was_never_tried_is_missing() {
        let layers = Layers::new(vec![
            trial(Layer::Net, true),
            trial(Layer::Seccomp, true),
            trial(Layer::Seccomp, false),
        ]);
        assert_eq!(layers.held(), [Layer::Net]);
        assert!(
            !layers.holds(Layer::Seccomp),
            "the judge's side held, the program's did not"
        );
        assert_eq!(layers.missing().len(), Layer::ALL.len() - 1);
    }
}
