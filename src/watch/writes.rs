//! Files that are written in place: when what the system tells means that a save is over.
//!
//! A file that appears under its name by a rename is whole at once. One that is written where it stands is whole when its
//! writer has closed it and does not open it again soon; a writer that keeps it open may be at rest or at an end, which
//! only time tells.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind};

/// A file that was written, and closed if the system tells that, is whole when it is left alone for so long.
const CLOSED: Duration = Duration::from_millis(100);

/// One that its writer has not closed is taken for whole after so long.
const OPEN: Duration = Duration::from_millis(500);

/// Whether the system tells when a file is closed.
const TELLS_CLOSE: bool = cfg!(target_os = "linux");

/// The files that were written lately.
#[derive(Debug, Default)]
pub(super) struct Writes {
    /// File → when it will be whole if nothing more happens to it.
    files: BTreeMap<PathBuf, Instant>,
}

impl Writes {
    /// Takes one word of the system, about an input.
    pub(super) fn hear(&mut self, kind: EventKind, path: &Path, now: Instant) {
        let open = if TELLS_CLOSE { OPEN } else { CLOSED };
        let patience = match kind {
            EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => open,
            EventKind::Create(CreateKind::File | CreateKind::Any) if is_written(path) => open,
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => CLOSED,
            EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_) => {
                self.files.remove(path);
                return;
            }
            _ => return,
        };
        self.files.insert(path.into(), now + patience);
    }

    /// How long it takes until all files are whole if nothing more happens to them.
    pub(super) fn left(&mut self, now: Instant) -> Duration {
        self.files.retain(|_, whole| *whole > now);
        let last = self.files.values().max();
        last.map_or(Duration::ZERO, |last| last.duration_since(now))
    }
}

/// Whether the new file at `path` was opened to be written, and is not another name of a file that is there already.
#[cfg(unix)]
fn is_written(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::symlink_metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.nlink() == 1)
}

#[cfg(not(unix))]
fn is_written(_path: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use notify::event::{DataChange, RemoveKind, RenameMode};

    use super::*;

    const WRITE: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CLOSE: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
    const RENAME: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::Both));

    #[test]
    fn a_file_is_whole_when_it_was_closed_and_left_alone() {
        let (mut writes, begin) = (Writes::default(), Instant::now());
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        let (a, b) = (Path::new("/nowhere/a"), Path::new("/nowhere/b"));
        assert_eq!(writes.left(at(0)), Duration::ZERO);
        writes.hear(WRITE, a, at(0));
        writes.hear(WRITE, a, at(50));
        if TELLS_CLOSE {
            assert!(writes.left(at(500)) > Duration::ZERO);
        }
        writes.hear(CLOSE, a, at(510));
        assert_eq!(writes.left(at(560)), Duration::from_millis(50));
        assert_eq!(writes.left(at(610)), Duration::ZERO);
        // Opened again before that, and another one that its writer never closes.
        writes.hear(CLOSE, a, at(700));
        writes.hear(WRITE, b, at(720));
        assert!(writes.left(at(790)) > Duration::ZERO);
        assert_eq!(writes.left(at(1230)), Duration::ZERO);
        // What was renamed or removed is no longer being written.
        for end in [RENAME, EventKind::Remove(RemoveKind::File)] {
            writes.hear(WRITE, a, at(2000));
            writes.hear(end, a, at(2001));
            assert_eq!(writes.left(at(2002)), Duration::ZERO);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_link_is_whole_at_once_and_a_new_file_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::File::create(&file).expect("made");
        let new = |path: &Path| {
            let (mut writes, now) = (Writes::default(), Instant::now());
            writes.hear(EventKind::Create(CreateKind::File), path, now);
            writes.left(now)
        };
        assert_eq!(new(&file), OPEN);
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        assert_eq!(new(&link), Duration::ZERO);
        std::fs::remove_file(&link).expect("removed");
        std::fs::hard_link(&file, &link).expect("linked");
        assert_eq!(new(&link), Duration::ZERO);
    }
}
