//! One of the store's folders, kept open: a run with nothing to do looks up thousands of files, and from here the way to
//! each is two names long.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::digest::Digest;
use super::disk;

/// `ROOT/NAME`, with a folder for each pair of first digits.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    extension: &'static str,
    #[cfg(unix)]
    open: std::sync::OnceLock<Option<File>>,
}

impl Shelf {
    pub(super) fn new(root: &Path, name: &str, extension: &'static str) -> Self {
        Self {
            folder: root.join(name),
            extension,
            #[cfg(unix)]
            open: std::sync::OnceLock::new(),
        }
    }

    /// Where the file named by `digest` is, or should be.
    pub(super) fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(self.relative(digest))
    }

    /// `ab/cdef….json`.
    fn relative(&self, digest: &Digest) -> String {
        let hex = digest.to_string();
        let (shard, rest) = hex.split_at(2);
        [shard, "/", rest, self.extension].concat()
    }

    /// The shard and the name in it: `ab` and `cdef….json`.
    pub(super) fn names(&self, digest: &Digest) -> (String, String) {
        let hex = digest.to_string();
        let (shard, rest) = hex.split_at(2);
        (shard.to_string(), [rest, self.extension].concat())
    }

    /// The digest that names the file `name` in the folder `shard`, if one does.
    pub(super) fn digest(&self, shard: &str, name: &str) -> Option<Digest> {
        let rest = name.strip_suffix(self.extension)?;
        let digest = [shard, rest].concat().parse().ok()?;
        (self.names(&digest) == (shard.into(), name.into())).then_some(digest)
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Opens the file named by `digest` for reading, as [`disk::open`] does.
    #[cfg(unix)]
    pub(super) fn open(&self, digest: &Digest) -> io::Result<File> {
        use rustix::fs::{Mode, OFlags, openat};
        let Some(folder) = self.opened() else {
            return disk::open(&self.path(digest));
        };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | disk::PLAIN;
        let found = openat(folder, self.relative(digest), flags, Mode::empty());
        // Somebody may have put another folder in its place.
        found.map_or_else(|_| disk::open(&self.path(digest)), |file| Ok(file.into()))
    }

    /// Whether the file named by `digest` looks as `like` says: its type, size and time of modification in seconds and
    /// nanoseconds. If not, it is to be looked at by its path.
    #[cfg(unix)]
    pub(super) fn looks(&self, digest: &Digest, size: u64, modified: u64) -> bool {
        use rustix::fs::{AtFlags, FileType, statat};
        let Some(folder) = self.opened() else {
            return false;
        };
        statat(folder, self.relative(digest), AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
            FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                && u64::try_from(stat.st_size).is_ok_and(|length| length == size)
                && u64::try_from(stat.st_mtime).is_ok_and(|time| time == modified)
                && stat.st_mtime_nsec == 0
        })
    }

    /// The folder, once it is there.
    #[cfg(unix)]
    fn opened(&self) -> Option<&File> {
        if let Some(open) = self.open.get() {
            return open.as_ref();
        }
        // One that is made later is found by its path.
        let folder = File::open(&self.folder).ok()?;
        self.open.get_or_init(|| Some(folder)).as_ref()
    }

    #[cfg(not(unix))]
    pub(super) fn open(&self, digest: &Digest) -> io::Result<File> {
        disk::open(&self.path(digest))
    }

    #[cfg(not(unix))]
    pub(super) fn looks(&self, _: &Digest, _: u64, _: u64) -> bool {
        false
    }
}
