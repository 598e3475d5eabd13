//! The layers of the sandbox, and which of them are actually in effect.

use serde::{Deserialize, Serialize};

use crate::remedy::Surroundings;

/// Reason given for a layer that the settings exclude.
pub(crate) const LEFT_OUT: &str = "excluded by the settings";

/// A layer of isolation, in the order of application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Layer {
    /// A user namespace, or for root another user: processes inside have no identity outside.
    User,
    /// A process namespace: no outside process can be seen or signalled, and no inside process outlives the run.
    Pid,
    /// A separate file tree: the interpreter, read-only, and an in-memory scratch folder of limited size.
    Mount,
    /// A network without any active interface, loopback included.
    Net,
    /// Separate message queues, semaphores and shared memory.
    Ipc,
    /// A separate host name.
    Uts,
    /// A separate view of control groups.
    Cgroup,
    /// All capabilities dropped, and the bounding set emptied.
    Capabilities,
    /// Executing a program cannot gain privileges.
    NoNewPrivileges,
    /// Limits on memory, processor time, file size, open files, processes and core dumps.
    Rlimits,
    /// Landlock: restricts which files can be opened; no TCP, no signals or sockets to the outside.
    Landlock,
    /// Seccomp: an allow-list of system calls; all others are denied.
    Seccomp,
    /// A bound on the total memory of a run's processes, by a control group or an outside watchdog.
    Memory,
}

impl Layer {
    /// All layers, in the order of application.
    pub const ALL: [Self; 13] = [
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
        Self::Memory,
    ];

    /// Name in reports.
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
            Self::Memory => "memory",
        }
    }

    /// The layer with this name in reports.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layer| layer.name() == name)
    }
}

impl std::fmt::Display for Layer {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(self.name())
    }
}

/// The result of applying one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// The layer applied.
    pub layer: Layer,
    /// Whether it is in effect.
    pub held: bool,
    /// Its extent or, if it is missing, the kernel's reason.
    pub detail: String,
    /// How to obtain a missing layer; empty if it holds or was excluded.
    pub remedy: String,
}

impl Trial {
    pub(crate) fn new(layer: Layer, held: bool, detail: impl Into<String>) -> Self {
        Self {
            layer,
            held,
            detail: detail.into(),
            remedy: String::new(),
        }
    }
}

/// The layer, why it is missing, and the remedy.
impl std::fmt::Display for Trial {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{} ({})", self.layer, self.detail)?;
        if self.remedy.is_empty() {
            Ok(())
        } else {
            write!(to, ": {}", self.remedy)
        }
    }
}

/// Which layers hold on this machine, determined by applying them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layers {
    trials: Vec<Trial>,
}

impl Layers {
    /// Completes the report: layers not mentioned are missing. Remedies depend on the environment of this process.
    pub(crate) fn new(found: Vec<Trial>, around: &Surroundings) -> Self {
        let of = |layer| {
            let of_layer = found.iter().filter(move |trial| trial.layer == layer);
            // A layer that failed in any report does not hold.
            of_layer.min_by_key(|trial| trial.held)
        };
        let has_user = of(Layer::User).is_some_and(|trial| trial.held);
        let trials = Layer::ALL.map(|layer| {
            let mut trial = of(layer)
                .cloned()
                .unwrap_or_else(|| Trial::new(layer, false, "not reached"));
            if !trial.held && trial.detail != LEFT_OUT {
                trial.remedy = around.remedy(layer, &trial.detail, has_user);
            }
            trial
        });
        Self {
            trials: trials.to_vec(),
        }
    }

    /// All layers, in order.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Whether this layer is in effect.
    pub fn holds(&self, layer: Layer) -> bool {
        self.trials.iter().any(|trial| trial.layer == layer && trial.held)
    }

    /// The layers in effect.
    pub fn held(&self) -> Vec<Layer> {
        let held = self.trials.iter().filter(|trial| trial.held);
        held.map(|trial| trial.layer).collect()
    }

    /// The layers not in effect.
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
            if !trial.remedy.is_empty() {
                write!(to, "\n{:<27} {}", "", trial.remedy)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn layers(found: &[(Layer, bool)]) -> Layers {
        let found = found.iter().map(|(layer, held)| Trial::new(*layer, *held, ""));
        Layers::new(found.collect(), &Surroundings::default())
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
        let layers = layers(&[(Layer::Net, true), (Layer::Seccomp, true), (Layer::Seccomp, false)]);
        assert_eq!(layers.held(), [Layer::Net]);
        assert!(
            !layers.holds(Layer::Seccomp),
            "the judge's side held, the program's did not"
        );
        assert_eq!(layers.missing().len(), Layer::ALL.len() - 1);
    }

    #[test]
    fn every_layer_that_is_missing_has_a_remedy() {
        let layers = layers(&[(Layer::Net, true)]);
        for trial in layers.trials() {
            assert_eq!(trial.remedy.is_empty(), trial.held, "{trial}");
            assert!(layers.to_string().contains(&trial.remedy), "{layers}");
        }
        let left_out = vec![Trial::new(Layer::Net, false, LEFT_OUT)];
        let layers = Layers::new(left_out, &Surroundings::default());
        assert!(
            layers
                .missing()
                .iter()
                .any(|trial| trial.layer == Layer::Net && trial.remedy.is_empty())
        );
    }
}
