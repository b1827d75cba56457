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
    /// Keys of the records that are needed, whatever their age: those of locks and of recent runs.
    pub keys: BTreeSet<Digest>,
    /// Artifacts that are needed although no record names them.
    pub artifacts: BTreeSet<Digest>,
    /// Other records are kept if they were made or used in this last time.
    pub recent: Duration,
    /// Of those, only the youngest are kept that fit into so many bytes together with what is needed.
    pub max_bytes: Option<u64>,
    /// Nothing younger than this is touched: longer than any publication takes.
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
        let (kept, dropped) = self.sort_records(keep, &manifests)?;
        let mut collected = Collected::default();
        for item in dropped {
            collected.records += usize::from(drop_item(&item, keep)?);
        }

        let named = kept
            .iter()
            .flat_map(|record| record.outputs.values())
            .chain(&keep.artifacts);
        let named: BTreeSet<Digest> = named.copied().collect();
        for item in self.items("artifacts")? {
            if !named.contains(&item.digest) && drop_item(&item, keep)? {
                collected.artifacts += 1;
                manifests.remove(&item.digest);
            }
        }

        let needed: BTreeSet<Digest> = manifests
            .values()
            .flat_map(|manifest| manifest.files().iter().map(|file| file.digest))
            .collect();
        for item in self.items("objects")? {
            if !needed.contains(&item.digest) && drop_item(&item, keep)? {
                collected.objects += 1;
                collected.bytes += item.bytes;
            } else {
                collected.kept_bytes += item.bytes;
            }
        }
        Ok(collected)
    }

    /// Drops interrupted downloads and trainings that nobody has gone on with for so long. Gives their size in bytes.
    ///
    /// # Errors
    /// If the cache cannot be read or is not writable.
    pub fn collect_interrupted(&self, recent: Duration, dry_run: bool) -> Result<u64> {
        let mut bytes = 0;
        let folders = ["downloads", "checkpoints"].map(|name| list(&self.root.join(name)));
        let [downloads, checkpoints] = folders;
        for path in downloads?.into_iter().chain(checkpoints?) {
            // What vanishes meanwhile is being worked on.
            let Ok(metadata) = fs::symlink_metadata(&path) else {
                continue;
            };
            if age(&metadata) < recent {
                continue;
            }
            // A folder is what a process left that was killed while it wrote a checkpoint.
            let remove = if metadata.is_dir() {
                fs::remove_dir_all
            } else {
                bytes += metadata.len();
                fs::remove_file
            };
            if !dry_run {
                remove(&path).doing("remove", &path)?;
            }
        }
        Ok(bytes)
    }

    /// Parts the records into those that stay and the files of those that go.
    fn sort_records(
        &self,
        keep: &Keep,
        manifests: &BTreeMap<Digest, Manifest>,
    ) -> Result<(Vec<Record>, Vec<Item>)> {
        let mut items: BTreeMap<Digest, Item> = self
            .items("records")?
            .into_iter()
            .map(|item| (item.digest, item))
            .collect();
        let (needed, others): (Vec<Filed>, Vec<Filed>) = self
            .records()?
            .into_iter()
            .partition(|filed| keep.keys.contains(&filed.record.key) || filed.age < keep.grace);
        let mut size = Size {
            manifests,
            counted: BTreeSet::new(),
            bytes: 0,
        };
        for artifact in &keep.artifacts {
            size.add(artifact);
        }
        let mut kept: Vec<Record> = needed.into_iter().map(|filed| filed.record).collect();
        for artifact in kept.iter().flat_map(|record| record.outputs.values()) {
            size.add(artifact);
        }
        let mut room = true;
        for filed in others {
            for artifact in filed.record.outputs.values() {
                size.add(artifact);
            }
            room &= keep.max_bytes.is_none_or(|max| size.bytes <= max);
            if room && filed.age < keep.recent {
                kept.push(filed.record);
            }
        }
        for record in &kept {
            items.remove(&record.key);
        }
        Ok((kept, items.into_values().collect()))
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
