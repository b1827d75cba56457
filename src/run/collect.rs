//! `refire gc`: what of the cache and of earlier runs is still needed, and what is not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Workspace, sweep_beside};
use crate::error::{Error, Result};
use crate::journal;
use crate::lock::Lock;
use crate::store::{Collected, Digest, Interrupted, Keep, Store};

/// Longer than any publication takes: what is younger may belong to one that is under way.
pub const GRACE: Duration = Duration::from_hours(1);

/// What to keep, beside what a lock needs and what is younger than [`GRACE`].
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Runs of so long ago until now, and what they used.
    pub recent: Duration,
    /// Of that, only the youngest that fit into so many bytes together with what a lock needs.
    pub max_bytes: Option<u64>,
    /// Only say what would be dropped.
    pub dry_run: bool,
}

/// What was dropped, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Of the cache.
    pub cache: Collected,
    /// Interrupted downloads and trainings.
    pub interrupted: Interrupted,
    /// Journals and logs of earlier runs.
    pub runs: usize,
}

/// Drops what neither a lock of the project, a lock of those who share its cache, nor a recent run needs.
///
/// # Errors
/// A lock that cannot be read, because what it needs must not be dropped; a cache that is not writable.
pub fn collect(workspace: &Workspace, wanted: Wanted) -> Result<Dropped> {
    collect_beyond(workspace, wanted, GRACE)
}

/// The same, but nothing younger than `grace`.
pub(super) fn collect_beyond(
    workspace: &Workspace,
    wanted: Wanted,
    grace: Duration,
) -> Result<Dropped> {
    let store = Store::open(workspace.cache())?;
    let mut keep = Keep {
        recent: wanted.recent,
        max_bytes: wanted.max_bytes,
        grace,
        dry_run: wanted.dry_run,
        ..Keep::default()
    };
    for path in locks(workspace.project())? {
        if !wanted.dry_run {
            sweep_beside(&path);
        }
        let Some(lock) = Lock::read(&path)? else {
            continue;
        };
        for entry in lock.stages.values() {
            keep.keys.insert(entry.key);
            keep.artifacts.extend(entry.outputs.values());
        }
    }
    for pin in store.pins()? {
        if pin.age < wanted.recent || pin.lock.exists() {
            keep.keys.extend(pin.keys);
        } else if !wanted.dry_run {
            store.unpin(&pin);
        }
    }
    let mut old = Vec::new();
    for (place, (run, age)) in journal::runs_by_age(workspace.runs())
        .into_iter()
        .enumerate()
    {
        // What a run under way came to stays, whenever it began.
        let is_running = journal::is_running(&run) == Some(true);
        if is_running {
            let keys = journal::keys(&run);
            let keys = keys.iter().filter_map(|key| key.parse::<Digest>().ok());
            keep.keys.extend(keys);
        } else if age < wanted.recent {
            for key in journal::keys(&run) {
                if let Ok(key) = key.parse::<Digest>() {
                    // The latest run comes first.
                    keep.used.entry(key).or_insert(age);
                }
            }
        } else if place > 0 {
            // The journal of the latest run always stays.
            old.push(run);
        }
    }
    let cache = store.collect(&keep)?;
    let dropped = Dropped {
        cache,
        interrupted: store.collect_interrupted(&keep, cache.kept_bytes)?,
        runs: old.len(),
    };
    if !wanted.dry_run {
        for run in old {
            // A folder that cannot be removed is found again the next time.
            let _ = std::fs::remove_dir_all(run);
        }
    }
    Ok(dropped)
}

/// The locks of all pipelines below `project`; other tools' locks are passed over.
fn locks(project: &Path) -> Result<Vec<PathBuf>> {
    let walk = ignore::WalkBuilder::new(project)
        .standard_filters(false)
        .filter_entry(|entry| entry.file_name() != ".refire" && entry.file_name() != ".git")
        .build();
    let mut found = Vec::new();
    for entry in walk {
        let entry = entry.map_err(|error| {
            Error::stage("cannot look for locks, whose results must be kept").because(&error)
        })?;
        let path = entry.into_path();
        if path
            .extension()
            .is_some_and(|extension| extension == "lock")
            && Lock::is_at(&path)
        {
            found.push(path);
        }
    }
    Ok(found)
}
