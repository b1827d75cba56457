//! Dropping what nobody needs: records first, then manifests that no record names, then objects that no manifest names.
//!
//! It takes no lock. What is younger than a grace period stays, so that a publication in progress, whose manifest and
//! record are not there yet, keeps its objects; publishing makes an object that is there already young again. Should
//! one be lost in a race all the same, it is found missing and made again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rayon::prelude::*;

use super::digest::Digest;
use super::disk::OnDisk;
use super::record::Record;
use super::stamp::age;
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
    path: PathBuf,
    bytes: u64,
    age: Duration,
}

impl Store {
    /// Every record, youngest first.
    ///
    /// # Errors
    /// If the cache cannot be read.
    pub fn records(&self) -> Result<Vec<Filed>> {
        let filed = self.items("records")?.into_par_iter().map(|item| {
            let record = self.record(&item.digest)?;
            Ok(record.map(|record| Filed {
                record: *record,
                age: item.age,
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
        let mut manifests = self.manifests()?;
        let sorted = self.sort_records(keep, &manifests)?;
        let mut collected = Collected {
            young_records: sorted.young.len(),
            ..Collected::default()
        };
        for item in &sorted.dropped {
            collected.records += usize::from(drop_item(item, keep)?);
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
        for item in self.items("artifacts")? {
            if !named.contains(&item.digest) && drop_item(&item, keep)? {
                collected.artifacts += 1;
                manifests.remove(&item.digest);
            }
        }

        let left: BTreeSet<Digest> = manifests
            .values()
            .flat_map(|manifest| manifest.files().iter().map(|file| file.digest))
            .collect();
        for item in self.items("objects")? {
            if !left.contains(&item.digest) && drop_item(&item, keep)? {
                collected.objects += 1;
                collected.bytes += item.bytes;
                continue;
            }
            collected.kept_bytes += item.bytes;
            if needed.contains(&item.digest) {
                collected.needed_bytes += item.bytes;
            } else if !wanted.contains(&item.digest) {
                collected.young_bytes += item.bytes;
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
        let folders = ["downloads", "checkpoints"].map(|name| list(&self.root.join(name)));
        let [downloads, checkpoints] = folders;
        let paths = downloads?.into_iter().chain(checkpoints?);
        // What vanishes meanwhile is being worked on.
        let found = paths.filter_map(|path| Some((fs::symlink_metadata(&path).ok()?, path)));
        let mut found: Vec<_> = found.collect();
        found.sort_by_key(|(metadata, _)| age(metadata));
        let mut collected = Interrupted::default();
        for (metadata, path) in found {
            // A folder is what a process left that was killed while it wrote a checkpoint.
            let bytes = if metadata.is_dir() { 0 } else { metadata.len() };
            let size = results + collected.kept_bytes + bytes;
            let fits = keep.max_bytes.is_none_or(|max| size <= max);
            let (recent, young) = (age(&metadata) < keep.recent, age(&metadata) < keep.grace);
            if young || (recent && fits) {
                collected.kept_bytes += bytes;
                collected.young_bytes += if recent && fits { 0 } else { bytes };
                continue;
            }
            collected.bytes += bytes;
            if !keep.dry_run {
                let remove = if metadata.is_dir() {
                    fs::remove_dir_all
                } else {
                    fs::remove_file
                };
                remove(&path).doing("remove", &path)?;
            }
        }
        Ok(collected)
    }

    fn sort_records(&self, keep: &Keep, manifests: &BTreeMap<Digest, Manifest>) -> Result<Sorted> {
        let mut items: BTreeMap<Digest, Item> = self
            .items("records")?
            .into_iter()
            .map(|item| (item.digest, item))
            .collect();
        let (needed, mut others): (Vec<Filed>, Vec<Filed>) = self
            .records()?
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
        let items = self.items("artifacts")?;
        let read = |item: Item| Some((item.digest, self.read_manifest(&item.digest).ok()?));
        Ok(items.into_par_iter().filter_map(read).collect())
    }

    /// All files of one of the store's folders, sorted by digest.
    fn items(&self, folder: &str) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        for shard in list(&self.root.join(folder))? {
            let prefix = name_of(&shard).to_owned();
            for path in list(&shard)? {
                let name = format!("{prefix}{}", name_of(&path).trim_end_matches(".json"));
                // Anything else is a file that is being written, or is not ours.
                let (Ok(digest), Ok(metadata)) = (name.parse(), fs::metadata(&path)) else {
                    continue;
                };
                items.push(Item {
                    digest,
                    path,
                    bytes: metadata.len(),
                    age: age(&metadata),
                });
            }
        }
        items.sort_by_key(|item| item.digest);
        Ok(items)
    }
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

/// Removes the file unless it is, or has just become, young. Says whether it is gone, or would be.
fn drop_item(item: &Item, keep: &Keep) -> Result<bool> {
    let age = fs::metadata(&item.path).map_or(item.age, |metadata| age(&metadata));
    if age < keep.grace {
        return Ok(false);
    }
    if !keep.dry_run {
        match fs::remove_file(&item.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            result => result.doing("remove", &item.path)?,
        }
    }
    Ok(true)
}

pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        items => items
            .doing("list", folder)?
            .map(|item| Ok(item.doing("list", folder)?.path()))
            .collect(),
    }
}

fn name_of(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}
