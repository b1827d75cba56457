//! Changes on the disk → a word that something may have changed. What did is for the caller to find out, by digests.
//!
//! So nothing depends on what an event says: editors that write another file and rename it, folders that go and come
//! back, queues that overflow all mean "look again". Where the system tells nothing (network disks, no more watches to
//! be had) it is looked again from time to time.

mod disk;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

/// A save is over when nothing has happened for so long.
const QUIET: Duration = Duration::from_millis(20);
/// What goes on longer, such as a copy of a large folder, is not waited for.
const LONGEST: Duration = Duration::from_millis(200);
/// How often is looked again where the system tells nothing.
const POLL: Duration = Duration::from_secs(1);
/// How often a wait looks whether it should stop.
const TICK: Duration = Duration::from_millis(50);

/// Watches files and folders.
pub struct Watcher {
    /// None: it is looked again from time to time.
    system: Option<System>,
    poll: Duration,
    events: Receiver<()>,
}

struct System {
    watcher: RecommendedWatcher,
    /// What is watched, and which folder or file that was.
    armed: BTreeMap<PathBuf, Armed>,
}

#[derive(Clone, Copy, PartialEq)]
struct Armed {
    recursive: bool,
    identity: Option<disk::Identity>,
}

impl Watcher {
    /// Watches nothing yet. With `poll` the system is not asked, but looked again after so long. What lies under a folder
    /// of a name in `ignored`, or has a name that begins with it, is nobody's input.
    #[must_use]
    pub fn new(poll: Option<Duration>, ignored: &'static [&'static str]) -> Self {
        let (sender, events) = channel();
        let tell = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| matters(&event, ignored)) {
                // The receiver lives as long as the watcher.
                let _ = sender.send(());
            }
        };
        let watcher = if poll.is_some() {
            None
        } else {
            notify::recommended_watcher(tell).ok()
        };
        let system = watcher.map(|watcher| System {
            watcher,
            armed: BTreeMap::new(),
        });
        Self {
            system,
            poll: poll.unwrap_or(POLL),
            events,
        }
    }

    /// Whether the system tells of changes.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.system.is_some()
    }

    /// Watches `paths` (files, or folders with all that is in them; they need not exist) and nothing else. Changes after
    /// this returns are noticed.
    pub fn watch(&mut self, paths: &BTreeSet<PathBuf>) {
        let Some(system) = &mut self.system else {
            return;
        };
        if paths.iter().any(|path| disk::is_remote(path)) || system.arm(&wanted(paths)).is_err() {
            self.system = None;
        }
    }

    /// Waits until something may have changed; false if `stop` said so first.
    #[must_use]
    pub fn wait(&self, stop: &dyn Fn() -> bool) -> bool {
        let begin = Instant::now();
        loop {
            if stop() {
                return false;
            }
            if self.system.is_none() {
                std::thread::sleep(TICK.min(self.poll));
                if begin.elapsed() >= self.poll {
                    return true;
                }
            } else if self.has_changed(TICK) {
                return true;
            }
        }
    }

    /// Whether something may have changed, now or within `patience`. Without a system that tells, it may have.
    #[must_use]
    pub fn has_changed(&self, patience: Duration) -> bool {
        if self.system.is_none() {
            std::thread::sleep(patience);
            return true;
        }
        match self.events.recv_timeout(patience) {
            Ok(()) => self.settle(),
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(patience),
        }
        true
    }

    /// Waits for the end of a save.
    fn settle(&self) {
        let begin = Instant::now();
        while begin.elapsed() < LONGEST && self.events.recv_timeout(QUIET).is_ok() {}
    }
}

impl System {
    /// Watches exactly `wanted`. What went and came back is another folder of the same name: it is watched anew.
    fn arm(&mut self, wanted: &BTreeMap<PathBuf, bool>) -> notify::Result<()> {
        let wanted: BTreeMap<PathBuf, Armed> = wanted
            .iter()
            .map(|(path, recursive)| {
                let armed = Armed {
                    recursive: *recursive,
                    identity: disk::identity(path),
                };
                (path.clone(), armed)
            })
            .collect();
        for (path, _) in self
            .armed
            .iter()
            .filter(|(path, armed)| wanted.get(*path) != Some(*armed))
        {
            // It may be gone, and its watch with it.
            let _ = self.watcher.unwatch(path);
        }
        self.armed
            .retain(|path, armed| wanted.get(path) == Some(&*armed));
        for (path, armed) in wanted {
            if self.armed.contains_key(&path) {
                continue;
            }
            let mode = if armed.recursive {
                RecursiveMode::Recursive
            } else {
                RecursiveMode::NonRecursive
            };
            match self.watcher.watch(&path, mode) {
                // It went a moment ago: what holds it is watched and will tell.
                Err(error) if !path.exists() => drop(error),
                result => result?,
            }
            self.armed.insert(path, armed);
        }
        Ok(())
    }
}

/// The folders to watch for `paths`, and whether with all that is in them. A file is watched by its folder, because
/// most editors replace it; what does not exist by the nearest folder that does; a folder also by the one that holds it.
fn wanted(paths: &BTreeSet<PathBuf>) -> BTreeMap<PathBuf, bool> {
    let mut wanted: BTreeMap<PathBuf, bool> = BTreeMap::new();
    for path in paths {
        let real = std::fs::canonicalize(path).ok();
        // A link is watched where it stands and where it leads to.
        for path in [Some(path), real.as_ref()].into_iter().flatten() {
            if path.is_dir() {
                wanted.insert(path.clone(), true);
            }
            if let Some(holder) = path.ancestors().skip(1).find(|folder| folder.is_dir()) {
                wanted.entry(holder.into()).or_insert(false);
            }
        }
    }
    wanted
}

/// Whether an event may be about an input: not one of reading, nor one about our own files.
fn matters(event: &notify::Event, ignored: &[&str]) -> bool {
    if event.need_rescan() {
        return true;
    }
    let is_write = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    };
    let is_ours = |path: &PathBuf| path.iter().any(|part| is_ignored(Path::new(part), ignored));
    is_write && (event.paths.is_empty() || !event.paths.iter().all(is_ours))
}

fn is_ignored(name: &Path, ignored: &[&str]) -> bool {
    let name = name.to_string_lossy();
    ignored
        .iter()
        .any(|ignored| match ignored.strip_prefix('*') {
            Some(end) => name.ends_with(end),
            None => name.starts_with(ignored),
        })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const IGNORED: &[&str] = &[".refire", "*.lock"];

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        crate::store::write_atomic(path, text.as_bytes()).expect("written");
    }

    /// Whether anything is told within a second.
    fn told(watcher: &Watcher) -> bool {
        let end = Instant::now() + Duration::from_secs(1);
        watcher.wait(&|| Instant::now() > end)
    }

    fn quiet(watcher: &Watcher) -> bool {
        let end = Instant::now() + Duration::from_millis(150);
        !watcher.wait(&|| Instant::now() > end)
    }

    #[test]
    fn saves_of_all_kinds_are_told_and_reading_and_our_own_files_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, data) = (folder.path().join("p.toml"), folder.path().join("data"));
        write(&file, "one");
        write(&data.join("a/b.txt"), "one");
        let paths = BTreeSet::from([file.clone(), data.clone()]);
        let mut watcher = Watcher::new(None, IGNORED);
        watcher.watch(&paths);
        if !watcher.is_told() {
            return;
        }
        assert!(quiet(&watcher));
        fs::read(&file).expect("read");
        write(&folder.path().join("p.lock"), "ours");
        write(&folder.path().join(".refire/runs/x"), "ours");
        assert!(quiet(&watcher));
        // By a rename, in place, in a new folder deep down.
        write(&file, "two");
        assert!(told(&watcher));
        let mut open = fs::File::options()
            .append(true)
            .open(data.join("a/b.txt"))
            .expect("there");
        std::io::Write::write_all(&mut open, b"more").expect("written");
        assert!(told(&watcher));
        write(&data.join("new/deep/c.txt"), "one");
        assert!(told(&watcher));
        // A folder that goes and comes back.
        fs::remove_dir_all(&data).expect("removed");
        assert!(told(&watcher));
        watcher.watch(&paths);
        write(&data.join("a/b.txt"), "two");
        assert!(told(&watcher));
        watcher.watch(&paths);
        assert!(quiet(&watcher));
        write(&data.join("a/b.txt"), "three");
        assert!(told(&watcher));
    }

    #[test]
    fn a_queue_that_overflowed_means_that_anything_may_have_changed() {
        use notify::event::Flag;
        let overflow = notify::Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert!(matters(&overflow, IGNORED));
        let ours = notify::Event::new(EventKind::Any).add_path("p/.refire/runs".into());
        assert!(!matters(&ours, IGNORED));
        assert!(matters(&ours.set_flag(Flag::Rescan), IGNORED));
    }

    #[test]
    fn where_nothing_is_told_it_is_looked_again() {
        let poll = Duration::from_millis(60);
        let mut watcher = Watcher::new(Some(poll), IGNORED);
        watcher.watch(&BTreeSet::from([PathBuf::from("/nowhere")]));
        let begin = Instant::now();
        assert!(watcher.wait(&|| false));
        assert!(begin.elapsed() >= poll);
        assert!(!watcher.wait(&|| true));
    }
}
