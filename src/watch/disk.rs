//! What a path stands for: which folder it is now, and whether its disk is another machine's.

use std::path::Path;
use std::time::SystemTime;

/// Which folder a path leads to: another one of the same name is another one, even if the disk gave it the number of
/// the one before. Not every disk knows when a folder was made.
pub(super) type Identity = (u64, u64, Option<SystemTime>);

pub(super) fn identity(path: &Path) -> Option<Identity> {
    let metadata = std::fs::metadata(path).ok()?;
    let (device, number) = number(&metadata);
    Some((device, number, metadata.created().ok()))
}

#[cfg(unix)]
fn number(metadata: &std::fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn number(_: &std::fs::Metadata) -> (u64, u64) {
    (0, 0)
}

/// Whether the disk that `folder` is on may be written to by others without this system knowing: network disks, those
/// that several machines share, and those that a program provides.
#[cfg(target_os = "linux")]
pub(super) fn is_remote(folder: &Path) -> bool {
    // From linux/magic.h and, for those that are not part of Linux, from `stat` of GNU coreutils.
    const REMOTE: [u64; 22] = [
        0x6969,      // NFS
        0x517b,      // SMB
        0xfe53_4d42, // SMB 2
        0xff53_4d42, // CIFS
        0x564c,      // NCP
        0x6573_5546, // FUSE: sshfs, s3fs, bindfs; virtiofs
        0x0102_1997, // 9P
        0x5346_414f, // AFS
        0x6b41_4653, // AFS of the kernel
        0x7375_7245, // Coda
        0x00c3_6400, // Ceph
        0x0bd0_0bd0, // Lustre
        0x4750_4653, // GPFS
        0x1983_0326, // BeeGFS
        0xaad7_aaea, // PanFS
        0x0131_11a8, // IBRIX
        0xbeef_dead, // StorNext
        0x7461_636f, // OCFS2
        0x0116_1970, // GFS2
        0x786f_4256, // shared folders of VirtualBox
        0xbacb_acbc, // shared folders of VMware
        0x7c7c_6673, // shared folders of Parallels
    ];
    let disk = rustix::fs::statfs(folder).ok();
    disk.and_then(|disk| u64::try_from(disk.f_type).ok())
        .is_some_and(|kind| REMOTE.contains(&kind))
}

/// The same; the system itself says it.
#[cfg(target_os = "macos")]
pub(super) fn is_remote(folder: &Path) -> bool {
    // From sys/mount.h.
    const MNT_LOCAL: u32 = 0x1000;
    rustix::fs::statfs(folder).is_ok_and(|disk| disk.f_flags & MNT_LOCAL == 0)
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub(super) fn is_remote(_: &Path) -> bool {
    false
}
