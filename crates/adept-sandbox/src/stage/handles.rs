//! Closes inherited handles: whatever the caller has open without close-on-exec, for whatever reason.

use std::fs;
use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::unistd::close;

use super::refused;

/// The handles given to a stage: 0, 1 and the report pipe.
const GIVEN: RawFd = 3;

/// Closes all handles except those given to a stage. Files, folders, connections, locks and pipes of the host program
/// (`make -j` passes one to all of its children) would otherwise be open in the interpreter, and no other layer checks
/// a handle that is already open.
pub(super) fn close_inherited() -> Result<(), String> {
    // The folder's own handle is listed as well, but closed by the time the list is processed.
    let listed: Vec<RawFd> = fs::read_dir("/proc/self/fd")
        .map_err(refused("/proc/self/fd"))?
        .map(|entry| Ok(entry?.file_name().to_str().and_then(|name| name.parse().ok())))
        .filter_map(Result::transpose)
        .collect::<Result<_, std::io::Error>>()
        .map_err(refused("/proc/self/fd"))?;
    for handle in listed.into_iter().filter(|handle| *handle >= GIVEN) {
        match close(handle) {
            // A handle is closed whatever error its file reports.
            Ok(()) | Err(Errno::EBADF | Errno::EINTR | Errno::EIO | Errno::ENOSPC | Errno::EDQUOT) => {}
            Err(error) => return Err(refused(&format!("closing handle {handle}"))(error)),
        }
    }
    Ok(())
}
