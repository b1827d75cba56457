//! What the system says about a file without opening it: enough to tell that it was written to.

use std::fs::Metadata;
use std::time::{Duration, SystemTime};

use crate::event;

/// Size, times in nanoseconds since 1970 and, on Unix, inode of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    pub(super) modified: i64,
    /// When content, name or permissions last changed; no program can set it.
    pub(super) changed: i64,
    pub(super) inode: u64,
}

impl Stamp {
    #[cfg(unix)]
    pub(super) fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000) + rest;
        Self {
            size: metadata.len(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }

    #[cfg(not(unix))]
    pub(super) fn of(metadata: &Metadata) -> Self {
        let time = |time: std::io::Result<SystemTime>| {
            time.map_or(0, |time| {
                i64::try_from(since_1970(time).as_nanos()).unwrap_or(i64::MAX)
            })
        };
        Self {
            size: metadata.len(),
            modified: time(metadata.modified()),
            changed: time(metadata.created()),
            inode: 0,
        }
    }

    /// The same but for the time of the last change, which every new or removed hard link moves.
    pub(super) fn same_content(&self, other: &Self) -> bool {
        (self.size, self.modified, self.inode) == (other.size, other.modified, other.inode)
    }

    /// Whether a write at `time` or later is sure to give the file another stamp.
    ///
    /// Git's racy rule: file systems keep time in steps, so two writes within one step leave the same stamp, and a
    /// stamp that is not older than the moment it was taken proves nothing. A time in whole seconds comes from a file
    /// system with steps of up to two seconds; the others step every 10 ms at the slowest.
    pub(super) fn is_older_than(&self, time: SystemTime) -> bool {
        let newest = self.modified.max(self.changed);
        let step = if newest % 1_000_000_000 == 0 {
            Duration::from_secs(2)
        } else {
            Duration::from_millis(20)
        };
        let newest = Duration::from_nanos(u64::try_from(newest).unwrap_or(0));
        newest + step < since_1970(time)
    }
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

/// When content, name or permissions of a file last changed, as a time after the beginning of 1970.
pub(super) fn changed(metadata: &Metadata) -> Duration {
    Duration::from_nanos(u64::try_from(Stamp::of(metadata).changed).unwrap_or(0))
}

/// How long ago that was; nothing if it lies in the future.
pub(super) fn age(metadata: &Metadata) -> Duration {
    since(changed(metadata))
}

/// How long ago a time is that is so long after the beginning of 1970; nothing if it lies in the future.
pub(super) fn since(time: Duration) -> Duration {
    now().saturating_sub(time)
}

/// The time by this machine's clock, as one after the beginning of 1970.
pub(super) fn now() -> Duration {
    since_1970(event::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_proves_something_only_after_the_file_systems_clock_has_moved_on() {
        let second: u64 = 1_000_000_000;
        let is_older = |nanoseconds: u64, by: u64| {
            let modified = i64::try_from(nanoseconds).expect("fits");
            let stamp = Stamp {
                size: 1,
                modified,
                changed: modified - 1,
                inode: 1,
            };
            stamp.is_older_than(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds + by))
        };
        let fine = 1_700_000_000 * second + 123_456;
        assert!(!is_older(fine, 0));
        assert!(
            !is_older(fine, 10_000_000),
            "one slow step of a kernel's clock"
        );
        assert!(is_older(fine, 30_000_000));
        let coarse = 1_700_000_000 * second;
        assert!(
            !is_older(coarse, second),
            "a disk that counts in two seconds"
        );
        assert!(is_older(coarse, 3 * second));
    }
}
