//! The identity inside: a user unknown to the system outside.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::fcntl::{OFlag, open, openat};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid, write};

use super::refused;

/// Id of the user and group `nobody`, the same on every distribution.
const NOBODY: u32 = 65534;
/// Ids that neither a distribution nor systemd gives away.
const UNUSED: std::ops::Range<u32> = 0x7000_0000..0x8000_0000;

/// A handle to this process's own `/proc` folder, which remains valid when the file tree changes.
pub(super) fn proc_self() -> Result<OwnedFd, String> {
    open(
        "/proc/self",
        OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
    .map_err(refused("/proc/self"))
}

/// Whether this user namespace has the user and group `nobody`, and lets its root drop supplementary groups.
pub(super) fn knows_nobody() -> bool {
    let text = |file: &str| fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
    has_id(&text("uid_map"), NOBODY) && has_id(&text("gid_map"), NOBODY) && text("setgroups").trim() != "deny"
}

/// Whether a map of ids contains this inside id: each line has the first id inside, the first id outside, and their
/// number.
fn has_id(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let numbers: Vec<u64> = line
            .split_whitespace()
            .map_while(|number| number.parse().ok())
            .collect();
        matches!(numbers[..], [first, _, count] if (first..first.saturating_add(count)).contains(&id.into()))
    })
}

/// Maps root inside to `uid` and `gid` outside, and no one else. An ordinary user can map only themselves.
pub(super) fn map(proc_self: &OwnedFd, uid: Uid, gid: Gid) -> Result<(), String> {
    let put = |file: &str, text: String| {
        let handle = openat(proc_self, file, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty());
        let handle = handle.map_err(refused(file))?;
        let written = write(handle, text.as_bytes()).map_err(refused(file))?;
        (written == text.len())
            .then_some(())
            .ok_or(format!("{file}: written in part"))
    };
    put("setgroups", "deny".to_owned())?;
    put("uid_map", format!("0 {uid} 1"))?;
    put("gid_map", format!("0 {gid} 1"))
}

/// Irrevocably changes from root to nobody; without a user namespace, where the kernel counts a user's processes over
/// all runs, to a user of this run's own if there are so many.
pub(super) fn become_nobody(proc_self: &OwnedFd, in_namespace: bool) -> Result<(), String> {
    let own = unused_id(proc_self).filter(|_| !in_namespace);
    let (uid, gid) = (Uid::from_raw(own.unwrap_or(NOBODY)), Gid::from_raw(NOBODY));
    setgroups(&[]).map_err(refused("setgroups"))?;
    setresgid(gid, gid, gid).map_err(refused("setresgid"))?;
    setresuid(uid, uid, uid).map_err(refused("setresuid"))?;
    // Both are reset by the change of user: without the first, the files in /proc/self would belong to root.
    prctl::set_dumpable(true).map_err(refused("prctl(PR_SET_DUMPABLE)"))?;
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(refused("prctl(PR_SET_PDEATHSIG)"))
}

/// An id that no other run has at the same time, as good as certainly.
fn unused_id(proc_self: &OwnedFd) -> Option<u32> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let id = UNUSED.start + now.subsec_nanos() % (UNUSED.end - UNUSED.start);
    let map = openat(proc_self, "uid_map", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
    has_id(&io::read_to_string(fs::File::from(map)).ok()?, id).then_some(id)
}

/// Enters a user namespace in which this user is root, so that processes are counted for this run only.
pub(super) fn enter_namespace(proc_self: &OwnedFd) -> Result<String, String> {
    let (uid, gid) = (Uid::effective(), Gid::effective());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(refused("unshare(CLONE_NEWUSER)"))?;
    map(proc_self, uid, gid)?;
    Ok(format!("root outside became user {uid}"))
}

/// Drops every capability. Emptying the bounding set requires a capability; a process that has neither that nor a user
/// namespace is an ordinary user already.
pub(super) fn drop_capabilities() -> Result<String, String> {
    use caps::CapSet::{Ambient, Bounding, Effective, Inheritable, Permitted};
    let bound = caps::has_cap(None, Effective, caps::Capability::CAP_SETPCAP).map_err(refused("capget"))?;
    let all = if bound {
        caps::runtime::thread_all_supported()
    } else {
        caps::CapsHashSet::new()
    };
    for capability in &all {
        caps::drop(None, Bounding, *capability).map_err(refused("bounding set"))?;
    }
    for set in [Ambient, Inheritable, Effective, Permitted] {
        caps::clear(None, set).map_err(refused("capset"))?;
    }
    Ok(format!("none left, {} out of reach", all.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_in_a_map_that_reaches_that_far() {
        assert!(has_id("         0          0 4294967295\n", NOBODY));
        assert!(!has_id("         0       1000          1\n", NOBODY));
        assert!(has_id("0 1000 1\n1 100000 65536\n", NOBODY));
        assert!(!has_id("", NOBODY));
    }
}
