//! The stat cache: digests of local files by path and stamp, so that only files that changed are hashed again.
//!
//! It is only a cache. It is read when first needed, written only when something new was hashed, the last writer
//! wins, and a file that is not whole is as good as none.
//!
//! The file: 8 bytes of magic and version, rows of 88 bytes sorted by path, the BLAKE3 digest of all that. A path is
//! kept as the first 16 bytes of its digest, so that 15,000 rows are one read and no allocation each.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use super::digest::Digest;
use super::disk::{OnDisk, replace};
use super::lock;
use super::stamp::Stamp;
use crate::error::Result;

const MAGIC: &[u8; 8] = b"refstat\x01";
const ROW: usize = 88;
/// A row that was not used in so many writings of the file is dropped: its file is gone.
const FORGET_AFTER: u64 = 64;

type PathKey = [u8; 16];

#[derive(Clone, Copy, Debug, PartialEq)]
struct Row {
    path: PathKey,
    stamp: Stamp,
    digest: Digest,
    /// The number of the writing at which it was last used.
    used: u64,
}

#[derive(Debug)]
struct Loaded {
    rows: Vec<Row>,
    used: Vec<AtomicBool>,
}

#[derive(Debug, Default)]
struct Fresh {
    rows: BTreeMap<PathKey, (Stamp, Digest)>,
    unwritten: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct StatCache {
    file: PathBuf,
    loaded: OnceLock<Loaded>,
    fresh: Mutex<Fresh>,
}

impl StatCache {
    pub(super) fn new(file: PathBuf) -> Self {
        Self {
            file,
            loaded: OnceLock::new(),
            fresh: Mutex::default(),
        }
    }

    /// The digest of the file at `path` (absolute), if it was hashed when it looked like `stamp`.
    pub(super) fn get(&self, path: &Path, stamp: &Stamp) -> Option<Digest> {
        let key = key_of(path);
        if let Some((known, digest)) = lock(&self.fresh).rows.get(&key) {
            return (known == stamp).then_some(*digest);
        }
        let loaded = self.loaded.get_or_init(|| {
            let rows = read(&self.file);
            let used = rows.iter().map(|_| AtomicBool::new(false)).collect();
            Loaded { rows, used }
        });
        let at = loaded
            .rows
            .binary_search_by(|row| row.path.cmp(&key))
            .ok()?;
        loaded.used[at].store(true, Ordering::Relaxed);
        let row = &loaded.rows[at];
        (row.stamp == *stamp).then_some(row.digest)
    }

    /// Keeps what was hashed. The caller has made sure that the stamp proves something.
    pub(super) fn put(&self, path: &Path, stamp: Stamp, digest: Digest) {
        let mut fresh = lock(&self.fresh);
        fresh.rows.insert(key_of(path), (stamp, digest));
        fresh.unwritten = true;
    }

    /// Writes the file if there is something new, with what other processes have added meanwhile.
    pub(super) fn save(&self) -> Result<()> {
        let mut fresh = lock(&self.fresh);
        if !fresh.unwritten {
            return Ok(());
        }
        let mut rows: BTreeMap<PathKey, Row> = read(&self.file)
            .into_iter()
            .map(|row| (row.path, row))
            .collect();
        let now = 1 + rows.values().map(|row| row.used).max().unwrap_or(0);
        for path in self.used() {
            rows.entry(path).and_modify(|row| row.used = now);
        }
        for (&path, &(stamp, digest)) in &fresh.rows {
            let row = Row {
                path,
                stamp,
                digest,
                used: now,
            };
            rows.insert(path, row);
        }
        rows.retain(|_, row| row.used + FORGET_AFTER > now);
        let (file, folder) = (&self.file, self.file.parent().unwrap_or(Path::new(".")));
        replace(file, folder, &encode(rows.values())).doing("write", file)?;
        fresh.unwritten = false;
        Ok(())
    }

    fn used(&self) -> impl Iterator<Item = PathKey> {
        self.loaded.get().into_iter().flat_map(|loaded| {
            let rows = loaded.rows.iter().zip(&loaded.used);
            rows.filter(|(_, used)| used.load(Ordering::Relaxed))
                .map(|(row, _)| row.path)
        })
    }
}

fn key_of(path: &Path) -> PathKey {
    let digest = Digest::of(path.as_os_str().as_encoded_bytes());
    let mut key = PathKey::default();
    key.copy_from_slice(&digest.as_bytes()[..16]);
    key
}

fn encode<'a>(rows: impl ExactSizeIterator<Item = &'a Row>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MAGIC.len() + rows.len() * ROW + 32);
    bytes.extend_from_slice(MAGIC);
    for row in rows {
        bytes.extend_from_slice(&row.path);
        bytes.extend_from_slice(&row.stamp.size.to_le_bytes());
        bytes.extend_from_slice(&row.stamp.modified.to_le_bytes());
        bytes.extend_from_slice(&row.stamp.changed.to_le_bytes());
        bytes.extend_from_slice(&row.stamp.inode.to_le_bytes());
        bytes.extend_from_slice(row.digest.as_bytes());
        bytes.extend_from_slice(&row.used.to_le_bytes());
    }
    let checksum = Digest::of(&bytes);
    bytes.extend_from_slice(checksum.as_bytes());
    bytes
}

/// The rows of the file that still prove something: those whose file was older than the cache file when that was
/// written (git's rule; it also catches a clock that was set back). None, if the file is missing or not whole.
fn read(file: &Path) -> Vec<Row> {
    let Ok(bytes) = fs::read(file) else {
        return Vec::new();
    };
    let mut rows = decode(&bytes).unwrap_or_default();
    match fs::metadata(file).and_then(|metadata| metadata.modified()) {
        Ok(written) => rows.retain(|row| row.stamp.is_older_than(written)),
        Err(_) => rows.clear(),
    }
    rows
}

fn decode(bytes: &[u8]) -> Option<Vec<Row>> {
    let (body, checksum) = bytes.split_last_chunk::<32>()?;
    let rows = body.strip_prefix(MAGIC)?;
    if Digest::of(body).as_bytes() != checksum || rows.len() % ROW != 0 {
        return None;
    }
    rows.chunks_exact(ROW).map(decode_row).collect()
}

fn decode_row(mut row: &[u8]) -> Option<Row> {
    let bytes = &mut row;
    Some(Row {
        path: take(bytes)?,
        stamp: Stamp {
            size: u64::from_le_bytes(take(bytes)?),
            modified: i64::from_le_bytes(take(bytes)?),
            changed: i64::from_le_bytes(take(bytes)?),
            inode: u64::from_le_bytes(take(bytes)?),
        },
        digest: Digest::from(take::<32>(bytes)?),
        used: u64::from_le_bytes(take(bytes)?),
    })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}
