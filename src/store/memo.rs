//! A part of a stage with a key of its own, so that other runs and other stages can reuse it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;

use super::digest::{Digest, Fields};
use super::disk::OnDisk;
use super::record::Record;
use super::restore::Unrestored;
use super::{Published, Store};
use crate::error::{Error, Result};
use crate::event;

/// The name of a memo's only output in its record.
const OUTPUT: &str = "memo";

/// A folder in `scratch` with what `make` writes into an empty folder, made only if the store does not have it.
///
/// The key is made of `name` and `fields`, in order, which must hold everything that can change the result. Processes
/// that make the same at once both make it; either result is kept.
///
/// # Errors
/// Those of `make`, and of the disk.
pub fn memo(
    store: &Store,
    scratch: &Path,
    name: &str,
    fields: &[(&str, String)],
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let key = key(name, fields);
    let folder = folder(scratch, &key);
    if find(store, scratch, &key)? {
        return Ok(folder);
    }
    let started = Instant::now();
    let work = store.scratch("memo")?;
    make(work.path())?;
    let published = store.publish(work.path())?;
    store.put_record(&record(name, fields, key, &published, started)?)?;
    put(store, &published.digest, scratch, &folder)?;
    Ok(folder)
}

/// The folder that [`memo`] gives for the same `name` and `fields`, if the store has what is in it.
///
/// # Errors
/// Those of the disk.
pub fn recall(
    store: &Store,
    scratch: &Path,
    name: &str,
    fields: &[(&str, String)],
) -> Result<Option<PathBuf>> {
    let key = key(name, fields);
    let found = find(store, scratch, &key)?;
    Ok(found.then(|| folder(scratch, &key)))
}

fn folder(scratch: &Path, key: &Digest) -> PathBuf {
    scratch.join(format!("memo-{key}"))
}

/// Puts what the store has into the memo's folder, unless it is there; whether it is then.
fn find(store: &Store, scratch: &Path, key: &Digest) -> Result<bool> {
    let folder = folder(scratch, key);
    if folder.is_dir() {
        return Ok(true);
    }
    let Some(record) = store.record(key)? else {
        return Ok(false);
    };
    let Some(artifact) = record.outputs.get(OUTPUT) else {
        return Ok(false);
    };
    match put(store, artifact, scratch, &folder) {
        Ok(()) => {
            store.touch_record(key);
            Ok(true)
        }
        Err(Unrestored::Damaged(damage)) => {
            store.notice(damage.to_string());
            Ok(false)
        }
        Err(Unrestored::Failed(error)) => Err(error),
    }
}

fn key(name: &str, fields: &[(&str, String)]) -> Digest {
    let mut all = Fields::new("refire memo 1");
    all.push(name.as_bytes());
    for (field, value) in fields {
        all.push(field.as_bytes());
        all.push(value.as_bytes());
    }
    all.digest()
}

fn record(
    name: &str,
    fields: &[(&str, String)],
    key: Digest,
    published: &Published,
    started: Instant,
) -> Result<Record> {
    let fields = fields.iter().map(|(field, value)| (*field, value.as_str()));
    Ok(Record {
        key,
        kind: OUTPUT.into(),
        explanation: std::iter::once(("name", name)).chain(fields).collect(),
        outputs: BTreeMap::from([(OUTPUT.into(), published.digest)]),
        metrics: BTreeMap::new(),
        seconds: started.elapsed().as_secs_f64(),
        finished_at: Timestamp::try_from(event::now())
            .map_err(|error| Error::stage("the clock is out of range").because(&error))?,
        bytes: published.bytes,
    })
}

/// Puts the artifact into `folder` in one step, so that a folder that is there is whole.
fn put(store: &Store, artifact: &Digest, scratch: &Path, folder: &Path) -> Result<(), Unrestored> {
    let part = tempfile::Builder::new()
        .prefix("part-")
        .tempdir_in(scratch)
        .doing("make a folder in", scratch)?;
    store.materialise(artifact, part.path())?;
    match fs::rename(part.path(), folder) {
        // Another thread was faster.
        Err(_) if folder.is_dir() => Ok(()),
        result => Ok(result.doing("make the folder", folder)?),
    }
}
