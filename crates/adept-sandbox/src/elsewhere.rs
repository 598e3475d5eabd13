//! Stub for systems other than Linux, where the sandbox is not available.

use std::time::Duration;

use crate::{Layers, Limits, Program, SandboxError, Settings, Verdict};

/// A place to run untrusted programs in. Not available on this system: [`Sandbox::new`] returns an error.
#[derive(Debug)]
pub struct Sandbox {
    layers: Layers,
}

fn refused() -> SandboxError {
    SandboxError::System {
        system: std::env::consts::OS,
    }
}

impl Sandbox {
    /// Always an error on this system.
    pub fn new(_: Settings) -> Result<Self, SandboxError> {
        Err(refused())
    }

    /// The layers of the sandbox.
    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    /// Always an error on this system.
    pub fn run(&self, _: &Program<'_>, _: &Limits) -> Result<Verdict, SandboxError> {
        Err(refused())
    }

    /// Always an error on this system.
    pub fn time(&self, _: &Program<'_>, _: &Limits) -> Result<Duration, SandboxError> {
        Err(refused())
    }
}
