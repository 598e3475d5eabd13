//! The kernel's limits per process.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::refused;
use crate::plan::Bounds;

pub(super) fn set(bounds: &Bounds) -> Result<String, String> {
    let each = [
        (Resource::RLIMIT_AS, bounds.memory, bounds.memory),
        // The soft limit's signal comes first and is distinguishable from others.
        (Resource::RLIMIT_CPU, bounds.cpu_seconds, bounds.cpu_seconds + 1),
        (Resource::RLIMIT_FSIZE, bounds.scratch, bounds.scratch),
        (Resource::RLIMIT_NOFILE, bounds.open_files, bounds.open_files),
        (Resource::RLIMIT_NPROC, bounds.processes, bounds.processes),
        (Resource::RLIMIT_CORE, 0, 0),
        (Resource::RLIMIT_MEMLOCK, 0, 0),
        (Resource::RLIMIT_MSGQUEUE, 0, 0),
    ];
    for (resource, soft, hard) in each {
        let (_, highest) = getrlimit(resource).map_err(refused(&format!("{resource:?}")))?;
        // The lower limit could be accepted, but verdicts would then depend on the shell that the sandbox is started
        // from.
        if hard > highest {
            return Err(format!(
                "{resource:?}: this process may have {highest} at most, a program is promised {hard}"
            ));
        }
        setrlimit(resource, soft, hard).map_err(refused(&format!("{resource:?}")))?;
    }
    Ok(format!("{} limits", each.len()))
}
