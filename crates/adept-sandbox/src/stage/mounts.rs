//! A separate file tree: what the interpreter needs, read-only, and an in-memory scratch folder.

use std::fs;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, umask};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{chdir, pivot_root};

use super::refused;
use crate::plan::Plan;

/// Path of the scratch folder in the new tree.
pub(super) const SCRATCH: &str = "/scratch";
/// Path of the old tree while the new one is built.
const OLD: &str = "/old";
/// Maximum number of files in the scratch folder.
const SCRATCH_FILES: u32 = 1024;

pub(super) fn build(plan: &Plan) -> Result<String, String> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(refused("unshare(CLONE_NEWNS)"))?;
    // Mounts made here must not be visible outside.
    attach(None, "/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)?;
    umask(Mode::from_bits_truncate(0o022));
    turn()?;
    for path in &plan.interpreter.readable {
        show(path)?;
    }
    for (link, target) in &plan.interpreter.links {
        std::os::unix::fs::symlink(target, link).map_err(refused(&link.to_string_lossy()))?;
    }
    let null = Path::new("/dev/null");
    place(null, false)?;
    attach(Some(&old(null)), "/dev/null", None, MsFlags::MS_BIND, None)?;

    fs::create_dir(SCRATCH).map_err(refused(SCRATCH))?;
    let options = format!("size={},nr_inodes={SCRATCH_FILES},mode=777", plan.bounds.scratch);
    attach(
        Some(Path::new("tmpfs")),
        SCRATCH,
        Some("tmpfs"),
        quiet() | MsFlags::MS_NOEXEC,
        Some(&options),
    )?;

    umount2(OLD, MntFlags::MNT_DETACH).map_err(refused("umount of the old tree"))?;
    fs::remove_dir(OLD).map_err(refused(OLD))?;
    attach(
        None,
        "/",
        None,
        MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | quiet(),
        None,
    )?;
    Ok(format!("{} paths shown", plan.interpreter.readable.len()))
}

/// Makes an empty in-memory tree the root, with the old one mounted in it.
fn turn() -> Result<(), String> {
    let base = ["/tmp", "/mnt", "/run", "/var"]
        .into_iter()
        .find(|folder| Path::new(folder).is_dir());
    let base = base.ok_or("no folder to build the new tree at")?;
    attach(
        Some(Path::new("tmpfs")),
        base,
        Some("tmpfs"),
        quiet(),
        Some("size=1m,mode=755"),
    )?;
    let kept = format!("{base}{OLD}");
    fs::create_dir(&kept).map_err(refused(&kept))?;
    pivot_root(base, kept.as_str()).map_err(refused("pivot_root"))?;
    chdir("/").map_err(refused("chdir"))
}

/// Mounts a path of the old tree at the same place in the new one, read-only.
fn show(path: &Path) -> Result<(), String> {
    let source = old(path);
    let is_folder = fs::metadata(&source)
        .map_err(refused(&path.to_string_lossy()))?
        .is_dir();
    place(path, is_folder)?;
    let target = path.to_string_lossy();
    attach(Some(&source), &target, None, MsFlags::MS_BIND | MsFlags::MS_REC, None)?;
    // Flags set outside cannot be cleared from a user namespace.
    let kept = statvfs(path).map_err(refused(&target))?.flags();
    let mut flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | quiet();
    flags.set(MsFlags::MS_NOEXEC, kept.contains(FsFlags::ST_NOEXEC));
    attach(None, &target, None, flags, None)
}

/// Creates an empty file or folder as a mount point.
fn place(path: &Path, is_folder: bool) -> Result<(), String> {
    let folder = if is_folder { Some(path) } else { path.parent() };
    let made = folder.map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| if is_folder { Ok(()) } else { fs::write(path, "") })
        .map_err(refused(&path.to_string_lossy()))
}

fn old(path: &Path) -> PathBuf {
    Path::new(OLD).join(path.strip_prefix("/").unwrap_or(path))
}

fn quiet() -> MsFlags {
    MsFlags::MS_NOSUID | MsFlags::MS_NODEV
}

fn attach(
    source: Option<&Path>,
    target: &str,
    kind: Option<&str>,
    flags: MsFlags,
    options: Option<&str>,
) -> Result<(), String> {
    mount(source, target, kind, flags, options).map_err(refused(&format!("mount at {target}")))
}
