//! Fetching from a real HTTP server on loopback, and from archives that want to do harm.

mod archives;
mod downloads;
#[path = "../../../tests/scenarios/hub.rs"]
pub(crate) mod hub;
mod packages;
mod parsing;
mod resuming;

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::{Environment, Fetched, Sha256, Source, Transfer, parse};
use crate::error::{Error, Kind, Result};
use crate::event::Observer;

/// A place to fetch to, with what the fetches say.
struct Bench {
    folder: TempDir,
    environment: Environment,
    offline: bool,
    notices: RefCell<Vec<String>>,
    progress: RefCell<Vec<(String, u64, u64)>>,
    /// How often a fetch may ask before it is cancelled.
    patience: Cell<u64>,
}

impl Observer for Bench {
    fn progress(&self, activity: &str, done: u64, total: u64, _: &str) {
        self.progress
            .borrow_mut()
            .push((activity.into(), done, total));
    }

    fn notice(&self, text: String) {
        self.notices.borrow_mut().push(text);
    }

    fn check_cancelled(&self) -> Result<()> {
        match self.patience.get() {
            0 => Err(Error::new(Kind::Interrupted, "stopped")),
            left => {
                self.patience.set(left - 1);
                Ok(())
            }
        }
    }
}

impl Bench {
    fn new() -> Self {
        Self {
            folder: TempDir::new().expect("a folder"),
            environment: Environment {
                hub: "http://127.0.0.1:9".into(),
                token: None,
                hub_cache: None,
                hub_offline: false,
                pause: Duration::from_millis(1),
                patience: Duration::from_secs(5),
                ..Environment::of_process()
            },
            offline: false,
            notices: RefCell::default(),
            progress: RefCell::default(),
            patience: Cell::new(u64::MAX),
        }
    }

    /// A bench whose Hub is `hub`.
    fn at(hub: &hub::Hub) -> Self {
        let mut bench = Self::new();
        bench.environment.hub = hub.url().into();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn transfer(&self) -> Transfer<'_> {
        Transfer::new(
            &self.path("downloads"),
            self.folder.path(),
            self.offline,
            self.environment.clone(),
            self,
        )
    }

    /// Fetches `source` to the file `out`.
    fn fetch_pinned(&self, source: &str, sha256: Option<&Sha256>) -> Result<Fetched> {
        let dest = self.path("out");
        if dest.exists() {
            std::fs::remove_file(&dest).expect("an old file");
        }
        let fetched = source_of(source).fetch(&self.transfer(), &dest, sha256);
        assert_eq!(
            fetched.is_ok(),
            dest.exists(),
            "a file exactly after success"
        );
        fetched
    }

    fn fetch(&self, source: &str) -> Result<Vec<u8>> {
        self.fetch_pinned(source, None)
            .map(|_| read(&self.path("out")))
    }

    /// Fetches what must fail.
    fn refused(&self, source: &str) -> Error {
        self.fetch(source).expect_err(source)
    }

    /// What lies in the downloads folder.
    fn leftovers(&self) -> usize {
        std::fs::read_dir(self.path("downloads")).map_or(0, Iterator::count)
    }
}

fn source_of(text: &str) -> Source {
    parse(text, None).expect(text)
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("a file")
}

/// Bytes that are not all alike.
fn bytes(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from(at * 31 % 251).expect("small"))
        .collect()
}

/// Everything that an error says.
fn words(error: &Error) -> String {
    let parts = [error.message().to_string()].into_iter();
    let parts = parts
        .chain(error.causes().to_vec())
        .chain(error.notes().to_vec());
    parts
        .chain(error.help_text().map(String::from))
        .collect::<Vec<_>>()
        .join(" | ")
}

#[track_caller]
fn says(error: &Error, parts: &[&str]) {
    let words = words(error);
    for part in parts {
        assert!(words.contains(part), "no `{part}` in: {words}");
    }
}
