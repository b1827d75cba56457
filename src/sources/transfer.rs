//! The surroundings of a fetch: folders, what earlier fetches taught, and who watches.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::archive::Archive;
use super::environment::Environment;
use crate::error::{Context, Error, Result};
use crate::event::Observer;

/// Fetches that belong together, such as those of one stage: a package that several files are taken from is
/// downloaded once, and a host that cannot be reached is tried once.
pub struct Transfer<'a> {
    /// Where interrupted downloads wait for the next run.
    pub(super) downloads: PathBuf,
    /// Where packages lie while files are taken from them.
    pub(super) scratch: PathBuf,
    /// Never touch the network.
    pub(super) offline: bool,
    pub(super) environment: Environment,
    pub(super) observer: &'a dyn Observer,
    agent: OnceCell<ureq::Agent>,
    packages: RefCell<BTreeMap<String, Archive>>,
    unreachable: RefCell<BTreeMap<String, Error>>,
    told: RefCell<BTreeSet<String>>,
}

impl<'a> Transfer<'a> {
    /// Fetches that keep partial downloads in `downloads` and temporary files in `scratch`.
    #[must_use]
    pub fn new(
        downloads: &Path,
        scratch: &Path,
        offline: bool,
        environment: Environment,
        observer: &'a dyn Observer,
    ) -> Self {
        Self {
            downloads: downloads.into(),
            scratch: scratch.into(),
            offline,
            environment,
            observer,
            agent: OnceCell::new(),
            packages: RefCell::default(),
            unreachable: RefCell::default(),
            told: RefCell::default(),
        }
    }

    /// The package called `name`, which `get` puts into the empty folder that it is given unless it is there already.
    pub(super) fn package(
        &self,
        name: &str,
        get: impl FnOnce(&Path) -> Result<Archive>,
    ) -> Result<Archive> {
        if let Some(archive) = self.packages.borrow().get(name) {
            return Ok(archive.clone());
        }
        let folder = tempfile::Builder::new()
            .prefix("package-")
            .tempdir_in(&self.scratch)
            .or_stage(|| format!("cannot make a folder in `{}`", self.scratch.display()))?
            .keep();
        let archive = get(&folder)?;
        let known = archive.clone();
        self.packages.borrow_mut().insert(name.into(), known);
        Ok(archive)
    }

    /// Refuses to go to the network for `what` when offline.
    pub(super) fn require_network(&self, what: &str) -> Result<()> {
        if self.offline {
            return Err(self
                .not_at_hand(what)
                .help("run once without `--offline`, or add a local path to the stage's sources"));
        }
        Ok(())
    }

    /// `what` is needed, and only the network has it.
    pub(super) fn not_at_hand(&self, what: &str) -> Error {
        let cache = self.downloads.parent().unwrap_or(&self.downloads);
        Error::stage(format!("offline, and `{what}` is not in the cache")).cause(format!(
            "`{}` has no result of this stage with these settings",
            cache.display()
        ))
    }

    /// The agent for all requests, made when it is first needed.
    pub(super) fn agent(&self) -> &ureq::Agent {
        self.agent
            .get_or_init(|| super::exchange::agent(&self.environment))
    }

    /// Waits before the next try.
    pub(super) fn pause(&self, duration: Duration) -> Result<()> {
        let start = Instant::now();
        loop {
            self.observer.check_cancelled()?;
            match duration.checked_sub(start.elapsed()) {
                Some(rest) if !rest.is_zero() => {
                    std::thread::sleep(rest.min(Duration::from_millis(50)));
                }
                _ => return Ok(()),
            }
        }
    }

    /// Passes a notice on, unless there was one about the same `subject`.
    pub fn notice_once(&self, subject: &str, notice: impl FnOnce() -> String) {
        if self.told.borrow_mut().insert(subject.into()) {
            self.observer.notice(notice());
        }
    }

    /// Remembers that nobody answers at `host`, and the error that says so.
    pub(super) fn mark_unreachable(&self, host: &str, error: Error) {
        self.unreachable.borrow_mut().insert(host.into(), error);
    }

    /// Fails if nobody answered at `host` before.
    pub(super) fn check_reachable(&self, host: &str) -> Result<()> {
        match self.unreachable.borrow().get(host) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}
