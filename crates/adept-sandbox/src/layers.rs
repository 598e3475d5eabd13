//! The layers of the sandbox, and which of them a kernel really gave.

use serde::{Deserialize, Serialize};

use crate::remedy::Surroundings;

/// Why a layer is missing that the settings leave out.
pub(crate) const LEFT_OUT: &str = "left out by the settings";

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
    /// What all processes of a run hold together is bounded, by a control group or by a watchdog outside.
    Memory,
}

impl Layer {
    /// All layers.
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
            Self::Memory => "memory",
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
    /// What to do about a layer that is missing; empty where it holds or was left out.
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

/// The layer, why it is missing, and what to do about it.
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

/// Which layers hold on this machine, measured by putting them on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layers {
    trials: Vec<Trial>,
}

impl Layers {
    /// Every layer is in the report: one that nobody spoke of is missing. What can be done about those that are missing
    /// depends on what surrounds this process.
    pub(crate) fn new(found: Vec<Trial>, around: &Surroundings) -> Self {
        let of = |layer| {
            let of_layer = found.iter().filter(move |trial| trial.layer == layer);
            // A layer that failed once does not hold.
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
