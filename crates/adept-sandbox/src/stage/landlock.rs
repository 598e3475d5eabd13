//! Landlock: restricts which files can be opened, and all interaction with the outside.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};

use super::refused;
use crate::plan::Plan;

/// The newest version whose rights are requested. An older kernel enforces those that it knows.
const VERSION: ABI = ABI::V6;

/// `own_tree`: the scratch folder is in memory.
pub(super) fn restrict(plan: &Plan, scratch: &Path, own_tree: bool) -> Result<String, String> {
    let failed = || refused::<landlock::RulesetError>("landlock");
    let handled = Ruleset::default()
        .handle_access(AccessFs::from_all(VERSION))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(VERSION)))
        .and_then(|rules| rules.scope(Scope::from_all(VERSION)));
    let mut rules = handled.and_then(Ruleset::create).map_err(failed())?;
    let mut allow = |path: &Path, access: BitFlags<AccessFs>| {
        let handle = PathFd::new(path).map_err(refused(&path.to_string_lossy()))?;
        (&mut rules)
            .add_rule(PathBeneath::new(handle, access))
            .map(|_| ())
            .map_err(failed())
    };
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    for path in &plan.interpreter.readable {
        allow(path, if path.is_dir() { read } else { AccessFs::ReadFile.into() })?;
    }
    for path in &plan.interpreter.executable {
        allow(path, AccessFs::ReadFile | AccessFs::Execute)?;
    }
    allow(Path::new("/dev/null"), AccessFs::ReadFile | AccessFs::WriteFile)?;
    // No devices, named sockets or named pipes, and no executables.
    let mut scratch_access = read
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeSym
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer;
    // The parent removes a scratch folder on disk, and may be unable to remove thousands of nested levels.
    scratch_access.set(AccessFs::MakeDir, own_tree);
    allow(scratch, scratch_access)?;
    let status = rules.restrict_self().map_err(failed())?;
    match status.ruleset {
        RulesetStatus::FullyEnforced => Ok(format!("all rights of {VERSION:?}")),
        RulesetStatus::PartiallyEnforced => Ok(format!("some rights of {VERSION:?}: the kernel is older")),
        RulesetStatus::NotEnforced => Err(match status.landlock {
            LandlockStatus::NotEnabled => "EOPNOTSUPP: supported by the kernel but not enabled".to_owned(),
            _ => "ENOSYS: not in this kernel, or hidden by a filter".to_owned(),
        }),
    }
}
