//! The system's own word on changes: which folders it is asked about, and what of that matters.
//!
//! Whenever it may have missed something, and whenever a folder went or came, all is watched anew: a folder that is no
//! longer watched takes along what lies in it, and one that came back under its old name is another one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Config, ErrorKind, Event, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::disk::{Identity, identity};
use super::wanted::{Scope, Wanted};
use super::writes::Writes;
use crate::names;
use crate::threads;

/// How often a folder is asked for in which others come and go at the same moment.
const ATTEMPTS: usize = 3;

/// Asks the system to tell.
pub(super) struct System {
    watcher: RecommendedWatcher,
    ear: Arc<Ear>,
    /// What is watched, and which folder that was.
    armed: BTreeMap<PathBuf, Armed>,
}

#[derive(Clone, Copy, PartialEq)]
struct Armed {
    recursive: bool,
    identity: Option<Identity>,
}

/// Hears what the system tells.
pub(super) struct Ear {
    /// Our own files, and folders full of them.
    ours: Vec<PathBuf>,
    wanted: Mutex<Wanted>,
    /// Inputs that are being written.
    writes: Mutex<Writes>,
    /// Something may have been missed, or is no longer watched.
    lost: AtomicBool,
    /// The system watches no more for us.
    full: AtomicBool,
    wake: SyncSender<()>,
}

impl System {
    /// Watches nothing yet. Words that matter, except about `ours`, go to `wake`, which need not take more than one.
    ///
    /// # Errors
    /// If the system cannot tell.
    pub(super) fn new(ours: Vec<PathBuf>, wake: SyncSender<()>) -> notify::Result<Self> {
        let ear = Arc::new(Ear::new(ours, wake));
        let hears = Arc::clone(&ear);
        // Links are followed by `Wanted`, which knows which of them matter.
        let config = Config::default().with_follow_symlinks(false);
        // The library does not say that it has no thread, and would tell nothing.
        threads::require(1).map_err(notify::Error::io)?;
        let watcher = RecommendedWatcher::new(move |told| hears.hear(told), config)?;
        Ok(Self {
            watcher,
            ear,
            armed: BTreeMap::new(),
        })
    }

    /// Whether it watches no more because there are no more watches to be had.
    pub(super) fn is_full(&self) -> bool {
        self.ear.full.load(Ordering::Relaxed)
    }

    /// Whether changes may go unnoticed until it is [armed](Self::arm) again.
    pub(super) fn is_lost(&self) -> bool {
        let mut armed = self.armed.iter();
        self.ear.lost.load(Ordering::Relaxed)
            || armed.any(|(folder, armed)| identity(folder) != armed.identity)
    }

    /// How long it takes until what is being written is whole, if nothing more happens.
    pub(super) fn writing(&self) -> Duration {
        self.ear.writes().left(Instant::now())
    }

    /// Watches exactly what is `wanted`. Says whether anything of that was not watched before.
    ///
    /// # Errors
    /// If the system does not watch something.
    pub(super) fn arm(&mut self, wanted: Wanted) -> notify::Result<bool> {
        let now: BTreeMap<PathBuf, (Armed, bool)> = wanted
            .to_watch()
            .map(|(folder, scope)| {
                let armed = Armed {
                    recursive: *scope == Scope::Tree,
                    identity: identity(folder),
                };
                let needed = !matches!(scope, Scope::Steps(_));
                (folder.into(), (armed, needed))
            })
            .collect();
        let is_lost = self.ear.lost.swap(false, Ordering::Relaxed);
        let is_stale =
            |(folder, armed): (&PathBuf, &Armed)| now.get(folder).map(|now| now.0) != Some(*armed);
        if is_lost || self.armed.iter().any(is_stale) {
            for folder in std::mem::take(&mut self.armed).into_keys() {
                // It may be gone, and its watch with it.
                let _ = self.watcher.unwatch(&folder);
            }
        }
        *self.ear.wanted() = wanted;
        let before = self.armed.len();
        for (folder, (armed, needed)) in now {
            if !self.armed.contains_key(&folder) && self.ask(&folder, armed.recursive, needed)? {
                self.armed.insert(folder, armed);
            }
        }
        Ok(self.armed.len() > before)
    }

    /// Asks for one folder; false, if it is gone.
    fn ask(&mut self, folder: &Path, recursive: bool, needed: bool) -> notify::Result<bool> {
        let mode = if recursive {
            RecursiveMode::Recursive
        } else {
            RecursiveMode::NonRecursive
        };
        let mut attempt = 1;
        loop {
            let Err(error) = self.watcher.watch(folder, mode) else {
                return Ok(true);
            };
            match error.kind {
                ErrorKind::MaxFilesWatch => return Err(error),
                // It went a moment ago: what holds it is watched and will tell.
                _ if !folder.exists() => return Ok(false),
                // It may not be read, but holds no input.
                _ if !needed => return Ok(true),
                _ if !is_missing(&error) || attempt == ATTEMPTS => return Err(error),
                _ => attempt += 1,
            }
        }
    }
}

/// Whether a folder was not there.
fn is_missing(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

impl Ear {
    fn new(ours: Vec<PathBuf>, wake: SyncSender<()>) -> Self {
        Self {
            ours,
            wanted: Mutex::default(),
            writes: Mutex::default(),
            lost: AtomicBool::new(false),
            full: AtomicBool::new(false),
            wake,
        }
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        // It is put in whole, so a panic elsewhere leaves nothing half done.
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writes(&self) -> MutexGuard<'_, Writes> {
        // At the worst a file is taken for whole too early or too late.
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one word of the system and passes it on if it matters.
    fn hear(&self, told: notify::Result<Event>) {
        let matters = match told {
            Err(error) => {
                if matches!(error.kind, ErrorKind::MaxFilesWatch) {
                    self.full.store(true, Ordering::Relaxed);
                }
                self.lost.store(true, Ordering::Relaxed);
                true
            }
            Ok(event) if event.need_rescan() => {
                self.lost.store(true, Ordering::Relaxed);
                true
            }
            Ok(event) => is_write(event.kind) && self.concerns_inputs(&event),
        };
        if matters {
            // Whoever was woken and has not looked yet looks at this too.
            let _ = self.wake.try_send(());
        }
    }

    fn concerns_inputs(&self, event: &Event) -> bool {
        let wanted = self.wanted();
        let is_gone = |path: &PathBuf| wanted.is_watched(path);
        if is_leaving(event.kind) && event.paths.iter().any(is_gone) {
            self.lost.store(true, Ordering::Relaxed);
        }
        for path in &event.paths {
            if !self.is_ours(path) && wanted.is_read(path) {
                self.writes().hear(event.kind, path, Instant::now());
            }
        }
        let matters = |path: &PathBuf| !self.is_ours(path) && wanted.matters(path);
        event.paths.is_empty() || event.paths.iter().any(matters)
    }

    fn is_ours(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default();
        name.to_str().is_some_and(names::is_temporary)
            || self.ours.iter().any(|ours| path.starts_with(ours))
    }
}

/// Whether something may be different afterwards.
fn is_write(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

/// Whether what stood under a name may be there no longer.
fn is_leaving(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::mpsc::{Receiver, sync_channel};

    use notify::event::{CreateKind, Flag, RemoveKind};

    use super::super::Paths;
    use super::*;

    /// An ear for a file and a folder in a project at `root`, and what it wakes.
    fn ear(root: &Path) -> (Ear, Receiver<()>) {
        std::fs::create_dir_all(root.join("data")).expect("made");
        std::fs::File::create(root.join("refire.toml")).expect("made");
        let (wake, woken) = sync_channel(1);
        let ear = Ear::new(vec![root.join(".refire"), root.join("refire.lock")], wake);
        let paths = Paths {
            read: BTreeSet::from([root.join("refire.toml"), root.join("data")]),
            searched: BTreeSet::new(),
        };
        *ear.wanted() = Wanted::of(&paths, root);
        (ear, woken)
    }

    fn root() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("there");
        (folder, root)
    }

    fn about(path: PathBuf) -> Event {
        Event::new(EventKind::Create(CreateKind::File)).add_path(path)
    }

    #[test]
    fn only_our_own_files_are_ours() {
        // Names like ours, in the way to the project and in it.
        let (_folder, root) = root();
        let root = root.join(".gitlab-runner/x.lock/.refire-tests");
        let (ear, woken) = ear(&root);
        let wakes = |path: &str| {
            ear.hear(Ok(about(root.join(path))));
            woken.try_recv().is_ok()
        };
        for input in ["uv.lock", ".github", "refire.toml", "data/x.lock"] {
            assert!(wakes(input), "{input}");
        }
        for input in ["data/.gitignore", "data/.github/x", "data/new/deep/x"] {
            assert!(wakes(input), "{input}");
        }
        for ours in [
            ".refire/runs/1/events.jsonl",
            "refire.lock",
            ".refire-a1B2c3.tmp",
            "data/.git/index",
            "data/deep/.refire/cache/stat",
            "data/.refire-a1B2c3.tmp",
        ] {
            assert!(!wakes(ours), "{ours}");
        }
    }

    #[test]
    fn what_may_have_been_missed_means_that_all_is_watched_anew() {
        let (_folder, root) = root();
        let (ear, woken) = ear(&root);
        let lost = || {
            assert!(woken.try_recv().is_ok());
            ear.lost.swap(false, Ordering::Relaxed)
        };
        ear.hear(Ok(about(root.join("data/x"))));
        assert!(!lost());
        // The queue overflowed; the word is about one of our own files.
        let ours = about(root.join(".refire/runs")).set_flag(Flag::Rescan);
        ear.hear(Ok(ours));
        assert!(lost());
        ear.hear(Err(notify::Error::generic("any")));
        assert!(lost());
        let gone = Event::new(EventKind::Remove(RemoveKind::Folder)).add_path(root.join("data"));
        ear.hear(Ok(gone));
        assert!(lost());
        // What is in it is not watched under a name of its own.
        let deep = Event::new(EventKind::Remove(RemoveKind::Folder)).add_path(root.join("data/x"));
        ear.hear(Ok(deep));
        assert!(!lost());
        assert!(!ear.full.load(Ordering::Relaxed));
        ear.hear(Err(notify::Error::new(ErrorKind::MaxFilesWatch)));
        assert!(lost() && ear.full.load(Ordering::Relaxed));
    }

    #[test]
    fn what_was_lost_is_watched_anew() {
        let (_folder, root) = root();
        let file = root.join("refire.toml");
        std::fs::File::create(&file).expect("made");
        let (wake, woken) = sync_channel(1);
        let mut system = System::new(Vec::new(), wake).expect("the system tells");
        let paths = Paths {
            read: BTreeSet::from([file.clone()]),
            searched: BTreeSet::new(),
        };
        let arm = |system: &mut System| system.arm(Wanted::of(&paths, &root)).expect("armed");
        let is_told = || {
            std::fs::File::create(&file).expect("written");
            let patience = std::time::Duration::from_millis(300);
            woken.recv_timeout(patience).is_ok()
        };
        assert!(arm(&mut system) && !arm(&mut system));
        assert!(is_told());
        // Not watched any more, without knowing it.
        system.watcher.unwatch(&root).expect("it was watched");
        while woken.try_recv().is_ok() {}
        assert!(!is_told() && !system.is_lost());
        system
            .ear
            .hear(Err(notify::Error::generic("something was missed")));
        assert!(system.is_lost() && woken.try_recv().is_ok());
        assert!(arm(&mut system) && !system.is_lost());
        assert!(is_told());
    }
}
