//! Changes on the disk → a word that something may have changed. What did is for the caller to find out, by digests.
//!
//! So nothing depends on what an event says: editors that write another file and rename it, folders that go and come
//! back, queues that overflow all mean "look again". Where the system tells nothing (network disks, no more watches to
//! be had) it is looked again from time to time.

mod disk;
mod system;
#[cfg(test)]
mod tests;
mod wanted;
mod writes;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use system::System;
use wanted::Wanted;

/// A save is over when nothing has happened for so long and no file is being written.
const QUIET: Duration = Duration::from_millis(20);
/// What goes on longer, such as renames without an end, is not waited for.
const LONGEST: Duration = Duration::from_millis(200);
/// Files that are being written, such as copies of large folders, are waited for so long.
const LONGEST_WRITE: Duration = Duration::from_mins(1);
/// How often is looked again where the system tells nothing.
const POLL: Duration = Duration::from_secs(1);
/// How often a wait looks whether it should stop.
const TICK: Duration = Duration::from_millis(50);

/// What is watched.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    /// Files, and folders with all that is in them, also behind links. They need not exist.
    pub read: BTreeSet<PathBuf>,
    /// Folders in which files may appear. Links in them are not followed.
    pub searched: BTreeSet<PathBuf>,
}

impl Paths {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.read.union(&self.searched).count()
    }
}

/// Watches files and folders.
pub struct Watcher {
    /// None: it is looked again from time to time.
    system: Option<System>,
    /// Whether others may write to the disks without the system knowing.
    remote: bool,
    poll: Duration,
    project: PathBuf,
    paths: Paths,
    /// When the last look ended.
    looked: Instant,
    words: Receiver<()>,
    /// When it began that something happens, and when it last did; none if it was told.
    stir: Cell<Option<(Instant, Instant)>>,
}

impl Watcher {
    /// Watches nothing yet. With `poll` the system is not asked, but looked again after so long. `project` is the folder
    /// with all or most of what will be watched; `ours` are files and folders that we write ourselves, which are
    /// nobody's input.
    #[must_use]
    pub fn new(poll: Option<Duration>, project: &Path, ours: &[PathBuf]) -> Self {
        let (wake, words) = sync_channel(1);
        let ours = ours.iter().map(|path| real(path)).collect();
        let system = if poll.is_some() {
            None
        } else {
            System::new(ours, wake).ok()
        };
        Self {
            system,
            remote: false,
            poll: poll.unwrap_or(POLL),
            project: real(project),
            paths: Paths::default(),
            looked: Instant::now(),
            words,
            stir: Cell::new(None),
        }
    }

    /// Whether the system tells of all changes.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.system.is_some() && !self.remote
    }

    /// What is watched.
    #[must_use]
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Watches `paths` and nothing else. Changes after this returns are noticed; true, if some may have gone unnoticed
    /// until now.
    pub fn watch(&mut self, paths: Paths) -> bool {
        self.paths = paths;
        self.arm()
    }

    /// Forgets what was told so far: whoever calls this looks at everything now. Folders that went and came back are
    /// watched anew.
    pub fn catch_up(&mut self) {
        while self.words.try_recv().is_ok() {}
        self.stir.set(None);
        match &self.system {
            Some(system) if system.is_full() => self.system = None,
            Some(system) if system.is_lost() => {
                self.arm();
            }
            _ => {}
        }
    }

    /// Says that a look has ended: where the system tells nothing, the next one follows after some time.
    pub fn rest(&mut self) {
        self.looked = Instant::now();
    }

    /// Waits until something may have changed; false if `stop` said so first. It waits no longer than where the system
    /// tells nothing, if `impatient`.
    #[must_use]
    pub fn wait(&self, stop: &dyn Fn() -> bool, impatient: bool) -> bool {
        loop {
            if stop() {
                return false;
            }
            if self.has_changed(TICK) || (impatient && self.is_time()) {
                return true;
            }
        }
    }

    /// Waits for the end of a save that has begun; false if `stop` said so first.
    #[must_use]
    pub fn settle(&self, stop: &dyn Fn() -> bool) -> bool {
        self.listen(Duration::ZERO);
        while self.stir.get().is_some() {
            if stop() {
                return false;
            }
            if self.listen(TICK) {
                break;
            }
        }
        true
    }

    /// Whether something may have changed and the save that changed it is over, now or within `patience`. Without a system
    /// that tells, something may have when it is time to look again.
    #[must_use]
    pub fn has_changed(&self, patience: Duration) -> bool {
        self.listen(patience.min(self.poll)) || (!self.is_told() && self.is_time())
    }

    fn is_time(&self) -> bool {
        self.looked.elapsed() >= self.poll
    }

    /// Listens for `patience` at the most. Whether something was told and the save is over.
    fn listen(&self, patience: Duration) -> bool {
        let Some(system) = &self.system else {
            std::thread::sleep(patience);
            return false;
        };
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let pause = match self.stir.get() {
                Some(stir) => match unsettled(stir, system.writing()) {
                    Duration::ZERO => {
                        self.stir.set(None);
                        return true;
                    }
                    unsettled => left.min(unsettled),
                },
                None => left,
            };
            match self.words.recv_timeout(pause) {
                Ok(()) => {
                    let now = Instant::now();
                    let begin = self.stir.get().map_or(now, |(begin, _)| begin);
                    self.stir.set(Some((begin, now)));
                }
                Err(RecvTimeoutError::Timeout) if pause == left => return false,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    std::thread::sleep(left);
                    return false;
                }
            }
        }
    }

    fn arm(&mut self) -> bool {
        let Some(system) = &mut self.system else {
            return false;
        };
        let wanted = Wanted::of(&self.paths, &self.project);
        self.remote = wanted.holders().any(disk::is_remote);
        system.arm(wanted).unwrap_or_else(|_| {
            self.system = None;
            true
        })
    }
}

/// How much longer a save takes that began and last stirred then, if files are being written for so long from now on.
fn unsettled((begin, last): (Instant, Instant), writing: Duration) -> Duration {
    let quiet = QUIET.saturating_sub(last.elapsed());
    let quiet = quiet.min(LONGEST.saturating_sub(begin.elapsed()));
    quiet.max(writing.min(LONGEST_WRITE.saturating_sub(begin.elapsed())))
}

/// Where `path` really is; what of it does not exist yet is taken as it is written.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let there = path.ancestors().find_map(|folder| {
        let real = folder.canonicalize().ok()?;
        Some(real.join(path.strip_prefix(folder).ok()?))
    });
    there.unwrap_or(path)
}
