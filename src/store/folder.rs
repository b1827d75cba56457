//! A folder of the store from which something is removed. It is held open and no link in it is followed, so that what is
//! removed lies in it, whatever somebody puts in its place meanwhile.

#[cfg(unix)]
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::stamp;

/// See the module.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    #[cfg(unix)]
    file: File,
}

/// What is under a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Whether it is a folder. A link is none, wherever it leads.
    pub(super) is_folder: bool,
    /// Whether it is a plain file.
    pub(super) is_file: bool,
    /// Its size in bytes; nothing for a folder.
    pub(super) bytes: u64,
    /// When content, name or permissions last changed, by the clock of its disk: as a time after the beginning of 1970.
    pub(super) changed: Duration,
    /// How long ago that was, by the clock of this machine.
    pub(super) age: Duration,
}

impl Folder {
    /// Where it was when it was opened.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(unix)]
mod system {
    use std::ffi::CStr;
    use std::fs::{File, TryLockError};
    use std::io;
    use std::os::fd::AsFd;
    use std::path::Path;
    use std::time::Duration;

    use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat, unlinkat};
    use rustix::io::Errno;
    use rustix::path::Arg;

    use super::{Folder, Seen, stamp};

    impl Folder {
        /// Opens the folder at `path`; none if there is nothing, or something else, such as a link.
        pub(in super::super) fn open(path: &Path) -> io::Result<Option<Self>> {
            let path = path.to_path_buf();
            Ok(folder(CWD, &path)?.map(|file| Self { path, file }))
        }

        /// Opens the folder called `name` in this one; none as for [`open`](Self::open).
        pub(in super::super) fn inside(&self, name: &str) -> io::Result<Option<Self>> {
            let path = self.path.join(name);
            Ok(folder(&self.file, name)?.map(|file| Self { path, file }))
        }

        /// The names in it, as far as they are UTF-8.
        pub(in super::super) fn names(&self) -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in Dir::read_from(&self.file)? {
                let entry = entry?;
                match entry.file_name().to_str() {
                    Ok("." | "..") | Err(_) => {}
                    Ok(name) => names.push(name.to_string()),
                }
            }
            Ok(names)
        }

        /// What is called `name`, if anything is.
        pub(in super::super) fn look(&self, name: &str) -> Option<Seen> {
            let stat = statat(&self.file, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
            let kind = FileType::from_raw_mode(stat.st_mode);
            let is_folder = kind == FileType::Directory;
            let size = u64::try_from(stat.st_size).unwrap_or(0);
            let seconds = u64::try_from(stat.st_ctime).unwrap_or(0);
            let rest = u32::try_from(stat.st_ctime_nsec).unwrap_or(0);
            let changed = Duration::new(seconds, rest);
            Some(Seen {
                is_folder,
                is_file: kind == FileType::RegularFile,
                bytes: if is_folder { 0 } else { size },
                changed,
                age: stamp::since(changed),
            })
        }

        /// Locks the file `name` in it for a moment, unless somebody else has.
        pub(in super::super) fn try_lock_file(&self, name: &str) -> Result<(), TryLockError> {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | super::super::disk::PLAIN;
            let file = openat(&self.file, name, flags, Mode::empty());
            let file = file.map_err(|error| TryLockError::Error(error.into()))?;
            File::from(file).try_lock()
        }

        /// Locks it until it is dropped, unless somebody else has.
        pub(in super::super) fn try_lock(&self) -> Result<(), TryLockError> {
            self.file.try_lock()
        }

        /// Removes what is called `name`: a file, a link and not what it leads to, or a folder with all that is in it.
        pub(in super::super) fn remove(&self, name: &str) -> io::Result<()> {
            let name = name.into_c_str()?;
            remove(&self.file, &name)
        }
    }

    fn folder(at: impl AsFd, name: impl Arg) -> io::Result<Option<File>> {
        let plain = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(at, name, OFlags::RDONLY | plain, Mode::empty()) {
            Ok(folder) => Ok(Some(folder.into())),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn remove(at: impl AsFd, name: &CStr) -> io::Result<()> {
        let at = at.as_fd();
        // POSIX's error for a folder is `PERM`, Linux's `ISDIR`.
        let refused = match unlinkat(at, name, AtFlags::empty()) {
            Err(error @ (Errno::ISDIR | Errno::PERM)) => error,
            removed => return Ok(removed?),
        };
        let Some(inner) = folder(at, name)? else {
            return Err(refused.into());
        };
        for entry in Dir::read_from(&inner)? {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                remove(&inner, entry.file_name())?;
            }
        }
        Ok(unlinkat(at, name, AtFlags::REMOVEDIR)?)
    }
}

#[cfg(not(unix))]
mod system {
    use std::fs::{self, File, TryLockError};
    use std::io::{self, ErrorKind};
    use std::path::Path;

    use super::super::disk::is_folder;
    use super::{Folder, Seen, stamp};

    impl Folder {
        /// The folder at `path`; none if there is nothing, or something else, such as a link.
        pub(in super::super) fn open(path: &Path) -> io::Result<Option<Self>> {
            let path = path.to_path_buf();
            Ok(is_folder(&path).then_some(Self { path }))
        }

        /// The folder called `name` in this one; none as for [`open`](Self::open).
        pub(in super::super) fn inside(&self, name: &str) -> io::Result<Option<Self>> {
            Self::open(&self.path.join(name))
        }

        /// The names in it, as far as they are UTF-8.
        pub(in super::super) fn names(&self) -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in fs::read_dir(&self.path)? {
                names.extend(entry?.file_name().into_string().ok());
            }
            Ok(names)
        }

        /// What is called `name`, if anything is.
        pub(in super::super) fn look(&self, name: &str) -> Option<Seen> {
            let metadata = fs::symlink_metadata(self.path.join(name)).ok()?;
            let is_folder = metadata.is_dir();
            Some(Seen {
                is_folder,
                is_file: metadata.is_file(),
                bytes: if is_folder { 0 } else { metadata.len() },
                changed: stamp::changed(&metadata),
                age: stamp::age(&metadata),
            })
        }

        /// Fails if somebody else has locked the file `name` in it.
        pub(in super::super) fn try_lock_file(&self, name: &str) -> Result<(), TryLockError> {
            File::open(self.path.join(name))
                .map_err(TryLockError::Error)?
                .try_lock()
        }

        /// Fails if somebody else has locked it.
        pub(in super::super) fn try_lock(&self) -> Result<(), TryLockError> {
            File::open(&self.path)
                .map_err(TryLockError::Error)?
                .try_lock()
        }

        /// Removes what is called `name`: a file, a link and not what it leads to, or a folder with all that is in it.
        pub(in super::super) fn remove(&self, name: &str) -> io::Result<()> {
            let path = self.path.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound && is_folder(&path) => {
                    fs::remove_dir_all(&path)
                }
                removed => removed,
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::super::tests::{place, write};
    use super::*;

    #[test]
    fn what_is_removed_lies_in_the_folder_and_links_are_not_followed() {
        let place = place();
        let mine = place.path.join("mine");
        write(&mine.join("deep/file"), "mine");
        let root = place.path.join("root");
        write(&root.join("a/b/c"), "content");
        write(&root.join("file"), "content");
        symlink(&mine, root.join("link")).expect("linked");
        symlink(&mine, root.join("a/link")).expect("linked");
        symlink(mine.join("deep/file"), root.join("a/b/link")).expect("linked");
        symlink("nowhere", root.join("broken")).expect("linked");

        let folder = Folder::open(&root).expect("readable").expect("there");
        let mut names = folder.names().expect("listed");
        names.sort_unstable();
        assert_eq!(names, ["a", "broken", "file", "link"]);
        let seen = |name| folder.look(name).map(|seen| (seen.is_folder, seen.bytes));
        assert_eq!(seen("a"), Some((true, 0)));
        assert_eq!(seen("file"), Some((false, 7)));
        assert_eq!(seen("link").map(|seen| seen.0), Some(false));
        assert!(seen("none").is_none() && folder.remove("none").is_err());
        assert!(folder.inside("link").expect("looked").is_none());
        assert!(Folder::open(&root.join("link")).expect("looked").is_none());

        // Somebody puts a link in its place: what was opened is what is emptied.
        let moved = place.path.join("moved");
        fs::rename(&root, &moved).expect("moved");
        symlink(&mine, &root).expect("linked");
        for name in &names {
            folder.remove(name).expect(name);
        }
        assert_eq!(fs::read_dir(&moved).expect("there").count(), 0);
        assert_eq!(
            fs::read_to_string(mine.join("deep/file")).expect("there"),
            "mine"
        );
    }
}
