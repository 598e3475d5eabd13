//! The sandbox where the kernel is not Linux: there is none.

use std::time::Duration;

use crate::{Layers, Limits, Program, SandboxError, Settings, Verdict};

/// A place to run untrusted programs in. There is none on this system: [`Sandbox::new`] refuses.
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
    /// Refuses.
    pub fn new(_: Settings) -> Result<Self, SandboxError> {
        Err(refused())
    }

    /// Which layers hold.
    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    /// Refuses.
    pub fn run(&self, _: &Program<'_>, _: &Limits) -> Result<Verdict, SandboxError> {
        Err(refused())
    }

    /// Refuses.
    pub fn time(&self, _: &Program<'_>, _: &Limits) -> Result<Duration, SandboxError> {
        Err(refused())
    }
}
