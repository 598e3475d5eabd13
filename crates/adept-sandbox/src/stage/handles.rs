//! Handles that this process was born with: what its caller has open without close-on-exec, however it came by it.

use std::fs;
use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::unistd::close;

use super::refused;

/// The handles that a stage is given: 0, 1 and the report pipe.
const GIVEN: RawFd = 3;

/// Closes all handles but those a stage is given. Files, folders, connections, locks and pipes (`make -j` hands one to
/// all of its children) of the host program would otherwise be open in the interpreter, where no other layer looks at a
/// handle that is open already.
pub(super) fn close_inherited() -> Result<(), String> {
    // The folder's own handle is among those listed, and closed by the time that the list is gone through.
    let listed: Vec<RawFd> = fs::read_dir("/proc/self/fd")
        .map_err(refused("/proc/self/fd"))?
        .map(|entry| Ok(entry?.file_name().to_str().and_then(|name| name.parse().ok())))
        .filter_map(Result::transpose)
        .collect::<Result<_, std::io::Error>>()
        .map_err(refused("/proc/self/fd"))?;
    for handle in listed.into_iter().filter(|handle| *handle >= GIVEN) {
        match close(handle) {
            // A handle is gone whatever its file had to say about it.
            Ok(()) | Err(Errno::EBADF | Errno::EINTR | Errno::EIO | Errno::ENOSPC | Errno::EDQUOT) => {}
            Err(error) => return Err(refused(&format!("closing handle {handle}"))(error)),
        }
    }
    Ok(())
}
