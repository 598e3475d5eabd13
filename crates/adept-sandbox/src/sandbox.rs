//! The public interface of the sandbox: created once, then used from any number of threads.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::family::Lookup;
use crate::group::Parent;
use crate::plan::{Bounds, Interpreter, Plan, Role};
use crate::python::Programs;
use crate::remedy::Surroundings;
use crate::{HOOKED, Layer, Layers, Limits, Outcome, Program, SandboxError, Settings, Trial, Verdict};
use crate::{finish, interpreter, run};

/// A place to run untrusted programs in.
#[derive(Debug)]
pub struct Sandbox {
    helper: PathBuf,
    interpreter: Interpreter,
    programs: Programs,
    layers: Layers,
    bounds: MemoryBounds,
}

/// How the total memory of a run is bounded.
#[derive(Debug, Default)]
pub(crate) struct MemoryBounds {
    /// Where control groups are created.
    pub groups: Option<Parent>,
    /// How the watchdog finds the processes.
    pub watch: Option<Lookup>,
}

impl Sandbox {
    /// Finds the interpreter, and determines which layers hold by applying all of them. An error if one is missing,
    /// unless the settings allow it.
    pub fn new(settings: Settings) -> Result<Self, SandboxError> {
        let helper = match settings.helper {
            Some(helper) => helper,
            None if HOOKED.load(Ordering::Relaxed) => {
                std::env::current_exe().map_err(SandboxError::io("finding this program"))?
            }
            None => return Err(SandboxError::NoHook),
        };
        let interpreter = interpreter::find(&settings.python)?;
        let programs = Programs::compile(&interpreter.program)?;
        let bounds = match settings.leave_out.contains(&Layer::Memory) {
            true => MemoryBounds::default(),
            false => MemoryBounds {
                groups: match &settings.group {
                    Some(folder) => Some(Parent::named(folder)?),
                    None => Parent::delegated(),
                },
                watch: Lookup::find().ok(),
            },
        };
        let mut sandbox = Self {
            helper,
            interpreter,
            programs,
            layers: Layers::new(Vec::new(), &Surroundings::default()),
            bounds,
        };
        let mut wanted = Layer::ALL.to_vec();
        wanted.retain(|layer| !settings.leave_out.contains(layer));
        sandbox.layers = sandbox.probe(&wanted)?;
        if !settings.allow_missing && !sandbox.layers.missing().is_empty() {
            return Err(SandboxError::Missing(sandbox.layers.missing()));
        }
        Ok(sandbox)
    }

    /// Which layers hold on this machine.
    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    /// Runs a program within limits. Returns only after everything in the sandbox has ended.
    pub fn run(&self, program: &Program<'_>, limits: &Limits) -> Result<Verdict, SandboxError> {
        let plan = |role| self.plan(role, limits, self.layers.held(), true);
        run::run(&self.helper, &self.programs, plan, &self.bounds, program, limits)?.verdict(limits)
    }

    /// The running time of a reference solution, for [`Limits::from_reference`]. It must pass its tests.
    pub fn time(&self, reference: &Program<'_>, limits: &Limits) -> Result<Duration, SandboxError> {
        let verdict = self.run(reference, limits)?;
        match verdict.outcome {
            Outcome::Pass => Ok(Duration::from_secs_f64(verdict.seconds)),
            outcome => Err(SandboxError::Reference { outcome }),
        }
    }

    /// Applies the wanted layers to a program that does nothing, and collects the results.
    fn probe(&self, wanted: &[Layer]) -> Result<Layers, SandboxError> {
        let limits = Limits {
            wall: Duration::from_secs(10),
            ..Limits::default()
        };
        let nothing = Program {
            solution: "",
            tests: "",
            names: &[],
        };
        let plan = |role| self.plan(role, &limits, wanted.to_vec(), false);
        let ended = run::run(&self.helper, &self.programs, plan, &self.bounds, &nothing, &limits)?;
        let left_out = Layer::ALL.into_iter().filter(|layer| !wanted.contains(layer));
        let mut trials = finish::trials(&ended, left_out);
        if wanted.contains(&Layer::Memory) {
            let (held, detail) = self.bounds.described();
            trials.push(Trial::new(Layer::Memory, held, detail));
        }
        let layers = Layers::new(trials, &Surroundings::find());
        match ended.verdict(&limits)?.outcome {
            Outcome::Pass => Ok(layers),
            outcome => Err(SandboxError::Start {
                message: format!("an empty program does not pass: {outcome}\n{layers}"),
            }),
        }
    }

    fn plan(&self, role: Role, limits: &Limits, wanted: Vec<Layer>, strict: bool) -> Plan {
        Plan {
            role,
            interpreter: self.interpreter.clone(),
            bounds: Bounds {
                memory: limits.memory,
                scratch: limits.scratch,
                processes: limits.processes,
                open_files: limits.open_files,
                cpu_seconds: limits.cpu_seconds(),
            },
            wanted,
            strict,
            scratch: PathBuf::new(),
            privileged: false,
            group: None,
        }
    }
}

impl MemoryBounds {
    /// Whether there is a bound, and a description of it.
    fn described(&self) -> (bool, String) {
        let watch = self.watch.map(|lookup| match lookup {
            Lookup::Lists => "a watchdog",
            Lookup::Scan => "a watchdog, slow: the kernel does not list a process's children",
        });
        match (&self.groups, watch) {
            (Some(parent), _) => (true, format!("control groups in {}", parent.folder().display())),
            (None, Some(watch)) => (true, watch.to_owned()),
            (None, None) => (false, "neither a control group nor `/proc`".to_owned()),
        }
    }
}
