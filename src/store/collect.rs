//! Dropping what nobody needs: records first, then manifests that no record names, then objects that no manifest names.
//!
//! It takes no lock. What is younger than a grace period stays, so that a publication in progress, whose manifest and
//! record are not there yet, keeps its objects; publishing makes an object that is there already young again. Clocks may be
//! wrong, so what was written since the oldest run under way began counts as young, whatever they say ([`Ages`]). Should
//! one be lost in a race all the same, it is found missing and made again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;

use super::claim::is_hex;
use super::digest::Digest;
use super::disk::OnDisk;
use super::folder::{Folder, Seen};
use super::record::Record;
use super::scratch::Ages;
use super::shelf::Shelf;
use super::{Manifest, Store};
use crate::error::Result;

/// What to keep.
#[derive(Clone, Debug, Default)]
pub struct Keep {
    /// Keys of the records that are needed, whatever their age and size: those of locks.
    pub keys: BTreeSet<Digest>,
    /// Artifacts that are needed although no record names them.
    pub artifacts: BTreeSet<Digest>,
    /// Keys that runs came to, and how long ago the last of them began: they were used then.
    pub used: BTreeMap<Digest, Duration>,
    /// Other records are kept if they were made or used in this last time.
    pub recent: Duration,
    /// Of those, only the youngest are kept that fit into so many bytes together with what is needed.
    pub max_bytes: Option<u64>,
    /// Nothing younger than this is touched, even if nothing above asks for it: longer than any publication takes.
    pub grace: Duration,
    /// Only say what would be dropped.
    pub dry_run: bool,
}

/// What was dropped, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Records dropped.
    pub records: usize,
    /// Artifacts dropped.
    pub artifacts: usize,
    /// Objects dropped.
    pub objects: usize,
    /// The size of the objects dropped.
    pub bytes: u64,
    /// The size of the objects that remain.
    pub kept_bytes: u64,
    /// Of that, what is needed whatever its age and size.
    pub needed_bytes: u64,
    /// Records that remain for no other reason than that they are young.
    pub young_records: usize,
    /// The size of the objects that remain for no other reason.
    pub young_bytes: u64,
}

/// What was dropped of interrupted downloads and trainings, or would be, and what remains: sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interrupted {
    /// Dropped.
    pub bytes: u64,
    /// What remains.
    pub kept_bytes: u64,
    /// Of that, what remains for no other reason than that it is young.
    pub young_bytes: u64,
}

/// The records, by what becomes of them.
#[derive(Default)]
struct Sorted {
    /// Needed, whatever their age and size.
    needed: Vec<Record>,
    /// Young enough, and there is room for them.
    wanted: Vec<Record>,
    /// Neither, but nothing so young is touched.
    young: Vec<Record>,
    /// The files of those that go.
    dropped: Vec<Item>,
}

/// A record with what its file tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Filed {
    /// The record.
    pub record: Record,
    /// How long ago it was made or, if it is a memo, last used.
    pub age: Duration,
}

/// A file of the store.
struct Item {
    digest: Digest,
    seen: Seen,
}

/// What an interrupted download or training has left.
struct Leftover {
    folder: Arc<Folder>,
    name: String,
    seen: Seen,
}

impl Store {
    /// Every record, youngest first.
    ///
    /// # Errors
    /// If the cache cannot be read.
    pub fn records(&self) -> Result<Vec<Filed>> {
        self.records_by(&self.ages())
    }

    fn records_by(&self, ages: &Ages) -> Result<Vec<Filed>> {
        let filed = items(&self.records)?.into_par_iter().map(|item| {
            let record = self.record(&item.digest)?;
            Ok(record.map(|record| Filed {
                record: *record,
                age: ages.of(&item.seen),
            }))
        });
        let mut filed: Vec<Filed> = filed
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect();
        filed.sort_by_key(|filed| (filed.age, filed.record.key));
        Ok(filed)
    }

    /// Drops what `keep` does not ask for.
    ///
    /// # Errors
    /// If the cache cannot be read or is not writable. What was dropped until then is gone.
    pub fn collect(&self, keep: &Keep) -> Result<Collected> {
        let ages = &self.ages();
        let mut manifests = self.manifests()?;
        let sorted = self.sort_records(keep, &manifests, ages)?;
        let mut collected = Collected {
            young_records: sorted.young.len(),
            ..Collected::default()
        };
        for item in &sorted.dropped {
            collected.records += usize::from(drop_item(&self.records, item, keep, ages)?);
        }

        let outputs = |records: &[Record]| -> BTreeSet<Digest> {
            let outputs = records.iter().flat_map(|record| record.outputs.values());
            outputs.copied().collect()
        };
        let mut named = &outputs(&sorted.needed) | &keep.artifacts;
        let needed = objects(&manifests, &named);
        named.extend(outputs(&sorted.wanted));
        let wanted = objects(&manifests, &named);
        named.extend(outputs(&sorted.young));
        for item in items(&self.artifacts)? {
            if !named.contains(&item.digest) && drop_item(&self.artifacts, &item, keep, ages)? {
                collected.artifacts += 1;
                manifests.remove(&item.digest);
            }
        }

        let left: BTreeSet<Digest> = manifests
            .values()
            .flat_map(|manifest| manifest.files().iter().map(|file| file.digest))
            .collect();
        for item in items(&self.objects)? {
            if !left.contains(&item.digest) && drop_item(&self.objects, &item, keep, ages)? {
                collected.objects += 1;
                collected.bytes += item.seen.bytes;
                continue;
            }
            collected.kept_bytes += item.seen.bytes;
            if needed.contains(&item.digest) {
                collected.needed_bytes += item.seen.bytes;
            } else if !wanted.contains(&item.digest) {
                collected.young_bytes += item.seen.bytes;
            }
        }
        Ok(collected)
    }

    /// Drops interrupted downloads and trainings that nobody has gone on with in the time that `keep` calls recent, and those
    /// for which there is no room beside `results` bytes.
    ///
    /// # Errors
    /// If the cache cannot be read or is not writable.
    pub fn collect_interrupted(&self, keep: &Keep, results: u64) -> Result<Interrupted> {
        let downloads = self.leftovers("downloads", is_download)?;
        let checkpoints = self.leftovers("checkpoints", is_checkpoint)?;
        let mut found: Vec<Leftover> = downloads.into_iter().chain(checkpoints).collect();
        let ages = self.ages();
        found.sort_by_key(|left| ages.of(&left.seen));
        let mut collected = Interrupted::default();
        for Leftover { folder, name, seen } in found {
            let size = results + collected.kept_bytes + seen.bytes;
            let fits = keep.max_bytes.is_none_or(|max| size <= max);
            let age = ages.of(&seen);
            let (recent, young) = (age < keep.recent, age < keep.grace);
            if young || (recent && fits) {
                collected.kept_bytes += seen.bytes;
                collected.young_bytes += if recent && fits { 0 } else { seen.bytes };
                continue;
            }
            collected.bytes += seen.bytes;
            if !keep.dry_run {
                let removed = folder.remove(&name);
                removed.doing("remove", &folder.path().join(&name))?;
            }
        }
        Ok(collected)
    }

    /// What `is_ours` in one of the store's folders.
    fn leftovers(&self, name: &str, is_ours: fn(&str) -> bool) -> Result<Vec<Leftover>> {
        let path = self.root.join(name);
        let Some(folder) = Folder::open(&path).doing("open", &path)? else {
            return Ok(Vec::new());
        };
        let folder = Arc::new(folder);
        let names = folder.names().doing("list", &path)?.into_iter();
        // What vanishes meanwhile is being worked on.
        let seen = |name: String| {
            let seen = folder.look(&name)?;
            let folder = Arc::clone(&folder);
            Some(Leftover { folder, name, seen })
        };
        Ok(names
            .filter(|name| is_ours(name))
            .filter_map(seen)
            .collect())
    }

    /// Removes what is left of how far the stage with this key had come, and of writing it down.
    pub fn forget_checkpoint(&self, key: &Digest) {
        let path = self.checkpoint(key);
        let folder = path.parent().map(Folder::open);
        let Some(Ok(Some(folder))) = folder else {
            return;
        };
        let key = key.to_string();
        for name in folder.names().unwrap_or_default() {
            if is_checkpoint(&name) && name.starts_with(&key) {
                // One that cannot be removed is collected.
                let _ = folder.remove(&name);
            }
        }
    }

    fn sort_records(
        &self,
        keep: &Keep,
        manifests: &BTreeMap<Digest, Manifest>,
        ages: &Ages,
    ) -> Result<Sorted> {
        let mut items: BTreeMap<Digest, Item> = items(&self.records)?
            .into_iter()
            .map(|item| (item.digest, item))
            .collect();
        let (needed, mut others): (Vec<Filed>, Vec<Filed>) = self
            .records_by(ages)?
            .into_iter()
            .partition(|filed| keep.keys.contains(&filed.record.key));
        let unused = |filed: &Filed| {
            let used = keep.used.get(&filed.record.key);
            used.map_or(filed.age, |used| filed.age.min(*used))
        };
        others.sort_by_key(unused);
        let mut size = Size {
            manifests,
            counted: BTreeSet::new(),
            bytes: 0,
        };
        for artifact in &keep.artifacts {
            size.add(artifact);
        }
        let mut sorted = Sorted::default();
        for filed in needed {
            size.add_all(&filed.record);
            items.remove(&filed.record.key);
            sorted.needed.push(filed.record);
        }
        let mut room = true;
        for filed in others {
            size.add_all(&filed.record);
            room &= keep.max_bytes.is_none_or(|max| size.bytes <= max);
            let kept = if room && unused(&filed) < keep.recent {
                &mut sorted.wanted
            } else if filed.age < keep.grace {
                &mut sorted.young
            } else {
                continue;
            };
            items.remove(&filed.record.key);
            kept.push(filed.record);
        }
        sorted.dropped = items.into_values().collect();
        Ok(sorted)
    }

    fn manifests(&self) -> Result<BTreeMap<Digest, Manifest>> {
        let items = items(&self.artifacts)?;
        let read = |item: Item| Some((item.digest, self.read_manifest(&item.digest).ok()?));
        Ok(items.into_par_iter().filter_map(read).collect())
    }
}

/// All files of a shelf, sorted by digest.
fn items(shelf: &Shelf) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    let path = shelf.folder();
    let Some(folder) = Folder::open(path).doing("open", path)? else {
        return Ok(items);
    };
    for shard in folder.names().doing("list", path)? {
        // Anything else is not ours.
        let Some(inside) = folder.inside(&shard).doing("open", path)? else {
            continue;
        };
        for name in inside.names().doing("list", inside.path())? {
            // Anything else is a file that is being written, or is not ours.
            let Some((digest, seen)) = shelf.digest(&shard, &name).zip(inside.look(&name)) else {
                continue;
            };
            if !seen.is_folder {
                items.push(Item { digest, seen });
            }
        }
    }
    items.sort_by_key(|item| item.digest);
    Ok(items)
}

/// Adds up the objects of artifacts, each once.
struct Size<'a> {
    manifests: &'a BTreeMap<Digest, Manifest>,
    counted: BTreeSet<Digest>,
    bytes: u64,
}

impl Size<'_> {
    fn add_all(&mut self, record: &Record) {
        for artifact in record.outputs.values() {
            self.add(artifact);
        }
    }

    fn add(&mut self, artifact: &Digest) {
        let files = self
            .manifests
            .get(artifact)
            .map_or(&[][..], Manifest::files);
        for file in files {
            if self.counted.insert(file.digest) {
                self.bytes += file.size;
            }
        }
    }
}

/// The objects of `artifacts`.
fn objects(
    manifests: &BTreeMap<Digest, Manifest>,
    artifacts: &BTreeSet<Digest>,
) -> BTreeSet<Digest> {
    let known = artifacts
        .iter()
        .filter_map(|artifact| manifests.get(artifact));
    let files = known.flat_map(Manifest::files);
    files.map(|file| file.digest).collect()
}

/// Removes the file from its shelf unless it is, or has just become, young. Says whether it is gone, or would be.
fn drop_item(shelf: &Shelf, item: &Item, keep: &Keep, ages: &Ages) -> Result<bool> {
    let path = shelf.path(&item.digest);
    let (shard, name) = shelf.names(&item.digest);
    let folder = Folder::open(shelf.folder()).and_then(|folder| match folder {
        Some(folder) => folder.inside(&shard),
        None => Ok(None),
    });
    let Some(folder) = folder.doing("open", &path)? else {
        return Ok(true);
    };
    let seen = folder.look(&name).unwrap_or(item.seen);
    if ages.of(&seen) < keep.grace {
        return Ok(false);
    }
    if !keep.dry_run {
        match folder.remove(&name) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            result => result.doing("remove", &path)?,
        }
    }
    Ok(true)
}

/// Whether an interrupted download is called so: `0123456789abcdef-data.csv.part`, and beside it what is known of it.
fn is_download(name: &str) -> bool {
    let begins = name
        .split_once('-')
        .is_some_and(|(digest, _)| is_hex(digest, 16));
    let bytes = name.strip_suffix(".json").unwrap_or(name);
    begins && bytes.strip_suffix(".part").is_some()
}

/// Whether an interrupted training is called so, or what a process left that was killed while it wrote one: the stage's key,
/// and then nothing but letters and digits.
fn is_checkpoint(name: &str) -> bool {
    name.split_at_checked(64).is_some_and(|(key, rest)| {
        is_hex(key, 64) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}
