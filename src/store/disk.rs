//! Writing to a disk so that a file is there whole or not at all, and saying clearly what the disk refused.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::spread::try_each;
use crate::error::{Error, Result};
use crate::event;
use crate::names::TEMPORARY;

/// The content of a file, most often a small one: three calls to the system where `fs::read` needs five, of which a run
/// with nothing to do makes thousands.
pub(super) fn read_small(mut file: File) -> io::Result<Vec<u8>> {
    const SMALL: usize = 4096;
    let mut bytes = vec![0; SMALL];
    let mut length = 0;
    loop {
        match file.read(&mut bytes[length..]) {
            Ok(read) => {
                length += read;
                // Only at its end does a file give less than it is asked for.
                if length < bytes.len() {
                    bytes.truncate(length);
                    return Ok(bytes);
                }
                bytes.resize(2 * length, 0);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Says what was being done to which path when the system refused.
pub(super) trait OnDisk<T> {
    /// `action` is a verb: the message becomes "cannot `action` `path`".
    fn doing(self, action: &str, path: &Path) -> Result<T>;
}

impl<T> OnDisk<T> for io::Result<T> {
    fn doing(self, action: &str, path: &Path) -> Result<T> {
        self.map_err(|error| disk_error(&error, action, path))
    }
}

/// The error for a refusal of the disk: "cannot `action` `path`", with advice for a full or read-only one.
#[must_use]
pub fn disk_error(error: &io::Error, action: &str, path: &Path) -> Error {
    let shown = path.display();
    let folder = path.parent().unwrap_or(path).display();
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Error::stage(format!("the disk is full: cannot {action} `{shown}`"))
                .because(error)
                .note(format!("no space is left for `{folder}`"))
                .help(
                    "free some space there: `refire gc` drops what no pipeline needs; \
                     or move the cache to another disk with REFIRE_CACHE_DIR",
                )
        }
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
            Error::stage(format!("cannot {action} `{shown}`"))
                .because(error)
                .help(format!(
                    "check who owns `{folder}` and whether it is writable"
                ))
        }
        _ => Error::stage(format!("cannot {action} `{shown}`")).because(error),
    }
}

/// Writes `bytes` to `path` so that whoever reads it, even after a crash, finds the old file or the new one whole.
///
/// A new file gets the permissions 0644 less the umask, an existing one keeps its own; a link is written through.
///
/// # Errors
/// If the folder is missing or not writable, or the disk is full. Nothing is left behind then.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let target = if path.is_symlink() {
        fs::canonicalize(path).doing("follow the link", path)?
    } else {
        path.to_path_buf()
    };
    let folder = folder_of(&target);
    if !folder.is_dir() {
        return Err(Error::stage(format!(
            "cannot write `{}`: its folder does not exist",
            path.display()
        )));
    }
    replace(&target, folder, bytes).doing("write", path)
}

/// The same, unless the file holds `bytes` already. Says whether it wrote.
///
/// # Errors
/// Those of [`write_atomic`].
pub fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<bool> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    write_atomic(path, bytes)?;
    Ok(true)
}

/// The folder that `path` is in; a bare name is in the current one.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes `target` hold `bytes`, in one step and for good. The new file is made in `folder`, on the same disk.
pub(super) fn replace(target: &Path, folder: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = temporary(folder)?;
    file.write_all(bytes)?;
    if let Ok(old) = fs::metadata(target) {
        file.as_file().set_permissions(old.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(target)?;
    sync_folder(folder_of(target))
}

/// The same, but not yet for good.
pub(super) fn place(target: &Path, folder: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = temporary(folder)?;
    file.write_all(bytes)?;
    file.persist(target)?;
    Ok(())
}

/// An empty file in `folder` that vanishes unless it is kept, with the permissions of any new file.
///
/// It is locked as long as it is open. The lock of a killed process is gone, by which [`sweep`](super::sweep) recognises what it
/// left behind.
pub(super) fn temporary(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY.0).suffix(TEMPORARY.1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o644));
    }
    loop {
        let file = builder.tempfile_in(folder)?;
        // Elsewhere a lock would keep others from writing, by a path, what is theirs.
        if cfg!(unix) && file.as_file().lock().is_err() {
            return Ok(file);
        }
        // Before it was locked it may have been taken for a leftover.
        if file.path().exists() {
            return Ok(file);
        }
    }
}

/// Makes what was renamed into `folder` survive a power cut. Systems that cannot sync a folder do without.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Whether there is a folder, and no link to one.
pub(super) fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// Makes a folder, and those above it, that survive a power cut.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    let parent = folder.parent().unwrap_or(folder);
    match fs::create_dir(folder) {
        Ok(()) => sync_folder(parent),
        Err(_) if is_folder(folder) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound && parent != folder => {
            make_folder(parent)?;
            make_folder(folder)
        }
        Err(error) => Err(error),
    }
}

/// From how many files on one sync of the whole file system is cheaper than one per file.
const MANY: usize = 64;

/// Makes `paths` (files, or folders with what was renamed into them) survive a power cut; all lie on the file system of
/// `root`.
///
/// A sync costs about as much for one file as for a thousand that are written at once, so beyond [`MANY`] Linux is
/// asked once to write back the whole file system (`syncfs`) instead of once per file; elsewhere many syncs
/// run in parallel, so that the system can merge them.
pub(super) fn sync_all(root: &Path, paths: &[PathBuf]) -> Result<()> {
    #[cfg(target_os = "linux")]
    if paths.len() > MANY {
        let root_file = File::open(root).doing("open", root)?;
        return rustix::fs::syncfs(&root_file)
            .map_err(io::Error::from)
            .doing("sync", root);
    }
    if cfg!(unix) {
        try_each(paths, |path| {
            File::open(path)
                .and_then(|file| file.sync_all())
                .doing("sync", path)
        })?;
    }
    Ok(())
}

/// The modification time of every object in the store, in seconds since 1970: 2000-01-01, an even number of whole
/// seconds, which every file system can hold.
///
/// Any later write moves it, so a file that still has it is what it was when it was sealed. Unlike an inode or a
/// ctime it survives hard links, copies of the cache by `cp -a`, rsync or tar, and needs no list that processes share.
pub(super) const SEAL: u64 = 946_684_800;

fn seal_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(SEAL)
}

/// How files of the store are opened: a link is not followed, because it is none of ours, and a pipe is not waited for.
#[cfg(unix)]
pub(super) const PLAIN: rustix::fs::OFlags =
    rustix::fs::OFlags::NOFOLLOW.union(rustix::fs::OFlags::NONBLOCK);

/// Opens a file of the store for reading.
///
/// # Errors
/// Those of [`File::open`]; for a link one of the kind [`ErrorKind::InvalidData`].
pub(super) fn open(path: &Path) -> io::Result<File> {
    plainly(File::options().read(true), path)
}

/// Opens a file as `options` say, but no link.
fn plainly(options: &mut fs::OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let file = options.custom_flags(PLAIN.bits().cast_signed()).open(path);
        file.map_err(|error| match error.raw_os_error() {
            Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => io::Error::new(
                ErrorKind::InvalidData,
                "it is a link, and refire follows none in its cache",
            ),
            _ => error,
        })
    }
    #[cfg(not(unix))]
    options.open(path)
}

/// Makes the file read-only and marks it as finished. Returns it open for reading.
pub(super) fn seal(path: &Path, executable: bool) -> io::Result<File> {
    let file = open_for_times(path)?;
    // Some disks that a program provides drop one time that comes alone.
    let times = fs::FileTimes::new();
    file.set_times(times.set_accessed(seal_time()).set_modified(seal_time()))?;
    file.set_permissions(read_only(&file, executable)?)?;
    Ok(file)
}

#[cfg(unix)]
fn open_for_times(path: &Path) -> io::Result<File> {
    match open(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
            open(path)
        }
        result => result,
    }
}

#[cfg(not(unix))]
fn open_for_times(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new().read(true).write(true).open(path)
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems have to ask first")]
fn read_only(_file: &File, executable: bool) -> io::Result<fs::Permissions> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::Permissions::from_mode(if executable {
        0o555
    } else {
        0o444
    }))
}

#[cfg(not(unix))]
fn read_only(file: &File, _executable: bool) -> io::Result<fs::Permissions> {
    let mut permissions = file.metadata()?.permissions();
    permissions.set_readonly(true);
    Ok(permissions)
}

/// Makes a file that is not sealed look as if it was written now.
pub(super) fn touch(path: &Path) -> io::Result<()> {
    let now = fs::FileTimes::new().set_modified(event::now());
    plainly(File::options().write(true), path)?.set_times(now)
}

/// Whether the file has `size` bytes and was not written to since it was sealed.
pub(super) fn is_sealed(metadata: &fs::Metadata, size: u64) -> bool {
    metadata.is_file()
        && metadata.len() == size
        && metadata.modified().is_ok_and(|time| time == seal_time())
}

/// Whether the owner may execute the file; never on systems without that bit.
pub(super) fn is_executable(metadata: &fs::Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        metadata.permissions().mode() & 0o100 != 0
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        false
    }
}

/// How many names the file has; 1 on systems that do not say.
pub(super) fn hard_links(metadata: &fs::Metadata) -> u64 {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        metadata.nlink()
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        1
    }
}
