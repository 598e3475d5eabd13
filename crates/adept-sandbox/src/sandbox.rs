//! The sandbox as its user sees it: made once, then run from as many threads as one likes.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::plan::{Bounds, Interpreter, Plan, Role};
use crate::{HOOKED, Layer, Layers, Limits, Outcome, Program, SandboxError, Settings, Verdict};
use crate::{finish, interpreter, run};

/// A place to run untrusted programs in.
#[derive(Debug)]
pub struct Sandbox {
    helper: PathBuf,
    interpreter: Interpreter,
    layers: Layers,
}

impl Sandbox {
    /// Finds the interpreter, and finds out which layers hold by putting on all of them. Refuses where one is missing,
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
        let mut sandbox = Self {
            helper,
            interpreter,
            layers: Layers::new(Vec::new()),
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

    /// Runs a program within limits. It returns when nothing of it runs any more.
    pub fn run(&self, program: &Program<'_>, limits: &Limits) -> Result<Verdict, SandboxError> {
        let plan = |role| self.plan(role, limits, self.layers.held(), true);
        run::run(&self.helper, plan, program, limits)?.verdict(limits)
    }

    /// How long a reference solution takes, for [`Limits::from_reference`]. It has to pass its tests.
    pub fn time(&self, reference: &Program<'_>, limits: &Limits) -> Result<Duration, SandboxError> {
        let verdict = self.run(reference, limits)?;
        match verdict.outcome {
            Outcome::Pass => Ok(Duration::from_secs_f64(verdict.seconds)),
            outcome => Err(SandboxError::Reference { outcome }),
        }
    }

    /// Puts on the wanted layers for a program that does nothing, and hears what became of each.
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
        let ended = run::run(&self.helper, plan, &nothing, &limits)?;
        let left_out = Layer::ALL.into_iter().filter(|layer| !wanted.contains(layer));
        let layers = Layers::new(finish::trials(&ended, left_out));
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
                cpu_seconds: limits.wall.as_secs() + 2,
            },
            wanted,
            strict,
            scratch: PathBuf::new(),
            privileged: false,
        }
    }
}
