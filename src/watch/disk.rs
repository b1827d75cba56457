//! What a path stands for: which folder or file it is now, and whether its disk is another machine's.

use std::path::Path;

/// Which file or folder a path leads to: another one of the same name is another one.
pub(super) type Identity = (u64, u64);

#[cfg(unix)]
pub(super) fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
pub(super) fn identity(path: &Path) -> Option<Identity> {
    path.exists().then_some((0, 0))
}

/// Whether the disk that `path` is on may be written to by others without this system knowing: network disks and those
/// that a program provides.
#[cfg(target_os = "linux")]
pub(super) fn is_remote(path: &Path) -> bool {
    // From linux/magic.h: NFS, SMB, SMB 2, CIFS, FUSE, 9P, AFS, Ceph, the shared folders of VirtualBox.
    const REMOTE: [u64; 9] = [
        0x6969,
        0x517b,
        0xfe53_4d42,
        0xff53_4d42,
        0x6573_5546,
        0x0102_1997,
        0x5346_414f,
        0x00c3_6400,
        0x786f_4256,
    ];
    let there = path.ancestors().find(|folder| folder.exists());
    let kind = there.and_then(|there| rustix::fs::statfs(there).ok());
    kind.and_then(|kind| u64::try_from(kind.f_type).ok())
        .is_some_and(|kind| REMOTE.contains(&kind))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_remote(_: &Path) -> bool {
    false
}
